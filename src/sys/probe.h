/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "sys/hook.h"

struct btf;

enum lockdown { LOCKDOWN_NONE, LOCKDOWN_INTEGRITY, LOCKDOWN_CONFIDENTIALITY, LOCKDOWN_UNKNOWN };

struct hook_env {
	struct btf *
		btf; /* use hook_env_btf(): read when first wanted, several MiB, dropped after probing */
	bool no_btf;
	char btf_path[256];
	enum lockdown lockdown;
	int tracefs_fd; /* events directory readable below it; negative without */
	uint64_t caps; /* effective capabilities, bit per CAP_* */
	bool tracepoint_tier; /* oom.max_tier: tracepoint */
	bool cgroup_v2_memory;
};

/* Reads the facts. @btf_path NULL: the running kernel's; a test gives a file. Never fails: what is missing is marked so. */
int hook_env_new(const char *btf_path, struct hook_env **ret);
struct hook_env *hook_env_free(struct hook_env *e);
DEFINE_CLEANUP(struct hook_env *, hook_env_free);
const struct btf *hook_env_btf(const struct hook_env *e); /* NULL without */
void hook_env_drop_btf(const struct hook_env *e);
bool hook_env_has_function(const struct hook_env *e, const char *name); /* in BTF */

/* Ready-made probes for variant rows; each obeys v->target and v->shape. */
enum hook_reason probe_btf_tracepoint(const struct hook_env *e, const struct hook_variant *v);
enum hook_reason probe_raw_tracepoint(const struct hook_env *e, const struct hook_variant *v);
enum hook_reason probe_tracepoint(const struct hook_env *e,
				  const struct hook_variant *v); /* "oom/mark_victim" in tracefs */
enum hook_reason probe_fentry(const struct hook_env *e,
			      const struct hook_variant *v); /* BTF function + shape */
enum hook_reason
probe_kprobe(const struct hook_env *e,
	     const struct hook_variant *v); /* exact symbol in kallsyms, kprobes built in */
enum hook_reason probe_kfunc(const struct hook_env *e, const struct hook_variant *v);
enum hook_reason probe_file(const struct hook_env *e, const struct hook_variant *v);

/* Parameters of a BTF function or of a tracepoint (typedef btf_trace_NAME): "struct oom_control *, const char *"; -ENOENT */
int probe_prototype(const struct hook_env *e, const char *name, bool tracepoint,
		    struct strbuf *ret);
