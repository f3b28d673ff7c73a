/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "sys/hook.h"

struct bpf_object;
struct bpf_object_skeleton;

/*
 * How the loader tries one variant: @open gives a fresh object (rodata set, all programs autoload off); the loader
 * switches on @programs, loads, and closes it again. Returns 0 or -errno of the load.
 */
struct bpf_trial {
	int (*open)(void *ctx, struct bpf_object **ret);
	void *ctx;
};

/*
 * Walks every capability: probe, then trial load. Writes states[i] for hooks[i]. Never fails as a whole.
 * @disabled: variants to refuse with HOOK_DISABLED, as "capability/variant", NULL-terminated, may be NULL.
 */
void hooks_select(const struct hook *const *hooks, size_t n, const struct hook_env *env,
		  const struct bpf_trial *trial, const char *const *disabled,
		  struct hook_state *states);
/* Attach failed later: marks the variant and takes the next that probes and loads. Returns its index or -1. */
int hook_next(struct hook_state *s, const struct hook_env *env, const struct bpf_trial *trial,
	      int error);
/* The same for a variant that another capability's choice makes useless. */
int hook_refuse(struct hook_state *s, const struct hook_env *env, const struct bpf_trial *trial,
		enum hook_reason reason);

void bpf_log_to_debug(void); /* libbpf's messages one level down */
/* Only where the kernel accounts BPF memory to RLIMIT_MEMLOCK. 0, or -EPERM, which callers may ignore. */
int bpf_memlock_raise(void);
