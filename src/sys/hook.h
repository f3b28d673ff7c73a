/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/strbuf.h"

/*
 * Capabilities and their variants
 *
 * A capability ("OOM kill observed") owns a table of variants, best first. hooks_select() walks it: a cheap probe, then a
 * real load of that program alone. The first that loads is live; the reasons of the others are kept for
 * telamon_hook_info, telamon_hook_refused_info, hooks.json and `telamon doctor`. No kernel version anywhere.
 */
enum hook_reason { /* closed set; text by hook_reason_name() */
		   HOOK_OK,
		   HOOK_NO_BTF,
		   HOOK_NO_TRACEPOINT,
		   HOOK_NO_FUNCTION,
		   HOOK_NO_STRUCT,
		   HOOK_SHAPE_UNKNOWN,
		   HOOK_SYMBOL_CLONE,
		   HOOK_NO_KFUNC,
		   HOOK_NO_FILE,
		   HOOK_EPERM,
		   HOOK_EINVAL,
		   HOOK_LOCKDOWN,
		   HOOK_NO_CAPABILITY,
		   HOOK_LOAD_FAILED,
		   HOOK_ATTACH_FAILED,
		   HOOK_BUSY,
		   HOOK_LIBBPF,
		   HOOK_CGROUP_V1,
		   HOOK_NOT_APPLICABLE,
		   HOOK_DISABLED,
		   HOOK_NOT_NEEDED, /* a better variant is live */
		   _HOOK_REASON_MAX,
};
const char *hook_reason_name(enum hook_reason r); /* "no_btf" …; "ok" for HOOK_OK */

enum hook_variant_flags {
	HOOK_TRAMPOLINE = 1 << 0, /* fentry, fexit, fmod_ret, lsm: off under max_tier tracepoint */
	HOOK_KPROBE = 1 << 1, /* off under max_tier tracepoint */
	HOOK_DIRECT = 1 << 2, /* typed loads only: for lockdown=confidentiality */
	HOOK_USER = 1
		    << 3, /* no BPF program: files, kmsg, counters; .start says whether it works */
	HOOK_NONE = 1 << 4, /* last row "none" */
};

struct hook_env; /* facts of this host, read once: BTF, lockdown, tracefs, capabilities (sys/probe.h) */

struct hook_variant {
	const char *name; /* "tp_btf_task" */
	const char *const *
		programs; /* BPF programs that make the variant, NULL-terminated; NULL for HOOK_USER */
	enum hook_reason (*probe)(const struct hook_env *env, const struct hook_variant *v);
	const char *target; /* tracepoint, function or file that the probe looks for */
	const char *
		shape; /* parameters that the programs were written for: "struct task_struct *, uid_t"; several: a|b */
	unsigned flags;
};

#define HOOK_VARIANTS_MAX 10
struct hook {
	const char *capability; /* "oom_kill" */
	const char *module; /* "oom" */
	bool required; /* M: without a variant the module's main job is not done */
	const char *without; /* for people: what is missing without any variant */
	struct hook_variant variants[HOOK_VARIANTS_MAX + 1]; /* ends with {} */
};

struct hook_state {
	const struct hook *hook;
	int live; /* index into variants, -1 = none */
	enum hook_reason reasons[HOOK_VARIANTS_MAX]; /* HOOK_OK for the live one */
	int errors[HOOK_VARIANTS_MAX]; /* -errno of a failed load or attach, else 0 */
};
const char *hook_live_name(const struct hook_state *s); /* "none" without one */
bool hook_live_is(const struct hook_state *s, const char *variant);

/* hooks.json: what the agent writes to /run/telamon and the doctor reads. */
void hook_states_write_json(const struct hook_state *states, size_t n, struct strbuf *out);
