/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "bpf/api/cgroup.h"
#include "sys/hook.h"
#include "sys/probe.h"

/* Capability cgroup_track: id and path of each cgroup before its first process. Only this room's file sees the skeleton. */
extern const struct hook cgroup_track;

typedef void (*cgtrack_fn)(void *ctx, const struct cgroup_record_event *e);
struct cgroup_layout;
struct cgtrack_options {
	const struct cgroup_layout *cgroups; /* kept: where the variant inotify looks */
	size_t watches_max; /* of inotify */
	const char *const *disabled; /* as hooks_select() takes it, may be NULL */
};

struct cgtrack;
/* Succeeds also when only "scan" is left: then cgtrack_fd() is negative. -ENOMEM */
int cgtrack_new(const struct hook_env *env, const struct cgtrack_options *options, cgtrack_fn fn,
		void *ctx, struct cgtrack **ret);
void cgtrack_probe(const struct hook_env *env, struct hook_state *ret); /* attaches nothing */
struct cgtrack *cgtrack_free(struct cgtrack *t);
DEFINE_CLEANUP(struct cgtrack *, cgtrack_free);
const struct hook_state *cgtrack_state(const struct cgtrack *t);
int cgtrack_fd(const struct cgtrack *t);
int cgtrack_consume(struct cgtrack *t);
int cgtrack_path(const struct cgroup_record_event *e, int mount_fd, char *ret, size_t size);
uint64_t cgtrack_lost(const struct cgtrack *t);
/* Of the variant inotify, else 0: watches held, and cgroups that got none. */
size_t cgtrack_watches(const struct cgtrack *t);
uint64_t cgtrack_watches_refused(const struct cgtrack *t);
