/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/hooks.h"
#include "sys/child.h"

/* Between hooks.c, which reads, and hooks-load.c, which loads in a child process. */
enum { OOM_MAP_RING, OOM_MAP_SPILL, OOM_MAP_LOST, OOM_MAP_LIMITS, OOM_MAP_ARGS, _OOM_MAP_MAX };

struct oom_load_request {
	const struct oom_hooks_options *options;
	const struct hook_env *env;
};

struct oom_loaded {
	struct hook_state states[_OOM_CAP_MAX]; /* hook is NULL: index into oom_capabilities */
	int maps[_OOM_MAP_MAX]; /* index into the descriptors, -1 = not there; the rest are links */
};
_Static_assert(sizeof(struct oom_loaded) <= CHILD_DATA_MAX, "fits into one answer");

/* For child_run(): ctx is a struct oom_load_request, data a struct oom_loaded. Always 0. */
int oom_hooks_load(void *ctx, struct child_result *r);
