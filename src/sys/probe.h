/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "sys/hook.h"

struct btf;

enum lockdown { LOCKDOWN_NONE, LOCKDOWN_INTEGRITY, LOCKDOWN_CONFIDENTIALITY, LOCKDOWN_UNKNOWN };

/* How often a text symbol exists, exactly so named and as clones (.isra, .constprop, .part). */
struct hook_symbol {
	char name[64];
	unsigned exact, clones;
};
#define HOOK_SYMBOLS_MAX 16

struct hook_env {
	/* Use hook_env_btf(): read when first wanted, several MiB, dropped after probing. */
	struct btf *btf;
	bool no_btf;
	char btf_path[256];
	enum lockdown lockdown;
	int tracefs_fd; /* its directory "events"; negative without */
	bool tracefs_detached; /* not mounted, reached by a mount of this process alone */
	uint64_t caps; /* effective capabilities, bit per CAP_* */
	bool tracepoint_tier; /* oom.max_tier: tracepoint */
	bool cgroup_v2_memory;
	struct hook_symbol symbols[HOOK_SYMBOLS_MAX];
	unsigned n_symbols;
	bool symbols_counted;
};

/* Reads the facts. @btf_path NULL: the running kernel's; a test gives a file. Never fails: what is missing is marked so. */
int hook_env_new(const char *btf_path, struct hook_env **ret);
struct hook_env *hook_env_free(struct hook_env *e);
DEFINE_CLEANUP(struct hook_env *, hook_env_free);
const struct btf *hook_env_btf(const struct hook_env *e); /* NULL without */
void hook_env_drop_btf(const struct hook_env *e);
/* Names that probes will ask for, so that /proc/kallsyms is read once for all of them. */
void hook_env_want_symbol(const struct hook_env *e, const char *name);

bool hook_env_has_symbol(const struct hook_env *e, const char *name); /* or a clone of it */

/* Ready-made probes for variant rows; each obeys v->target and v->shape. */
enum hook_reason probe_btf_tracepoint(const struct hook_env *e, const struct hook_variant *v);
enum hook_reason probe_raw_tracepoint(const struct hook_env *e, const struct hook_variant *v);
/* "oom/mark_victim" in tracefs. */
enum hook_reason probe_tracepoint(const struct hook_env *e, const struct hook_variant *v);
/* BTF function of this shape, one symbol of this name. */
enum hook_reason probe_fentry(const struct hook_env *e, const struct hook_variant *v);
/* The same, and kprobes are built in. */
enum hook_reason probe_kprobe(const struct hook_env *e, const struct hook_variant *v);
enum hook_reason probe_kfunc(const struct hook_env *e, const struct hook_variant *v);
enum hook_reason probe_file(const struct hook_env *e, const struct hook_variant *v);

/* Parameters of a BTF function or of a tracepoint (typedef btf_trace_NAME): "struct oom_control *, const char *"; -ENOENT */
int probe_prototype(const struct hook_env *e, const char *name, bool tracepoint,
		    struct strbuf *ret);
