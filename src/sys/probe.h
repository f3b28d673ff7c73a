/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "sys/hook.h"

struct btf;

enum lockdown { LOCKDOWN_NONE, LOCKDOWN_INTEGRITY, LOCKDOWN_CONFIDENTIALITY, LOCKDOWN_UNKNOWN };

struct hook_env {
	struct btf *btf; /* kernel BTF; NULL without */
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

/* Ready-made probes for variant rows; each obeys v->target and v->shape. */
enum hook_reason probe_btf_tracepoint(const struct hook_env *e, const struct hook_variant *v);
enum hook_reason probe_raw_tracepoint(const struct hook_env *e, const struct hook_variant *v);
enum hook_reason probe_tracepoint(const struct hook_env *e, const struct hook_variant *v); /* "oom/mark_victim" in tracefs */
enum hook_reason probe_fentry(const struct hook_env *e, const struct hook_variant *v); /* BTF function + shape */
enum hook_reason probe_kprobe(const struct hook_env *e, const struct hook_variant *v); /* exact symbol in kallsyms, kprobes built in */
enum hook_reason probe_kfunc(const struct hook_env *e, const struct hook_variant *v);
enum hook_reason probe_file(const struct hook_env *e, const struct hook_variant *v);

/* "int (struct oom_control *, const char *)" of a BTF function or btf_trace_ typedef; -ENOENT */
int probe_prototype(const struct hook_env *e, const char *name, struct strbuf *ret);
