/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/record.h"
#include "sys/cgroup.h"

/*
 * What files say right after a kill: host, pressure, and the limiting cgroup. Host files are opened at start and only read
 * afterwards; files of cgroups are opened relative to the hierarchy's root when they are wanted.
 */
struct snapshotter;
int snapshotter_new(const struct cgroup_layout *layout, struct snapshotter **ret);
struct snapshotter *snapshotter_free(struct snapshotter *s);
DEFINE_CLEANUP(struct snapshotter *, snapshotter_free);
/* Forgets what @ret has, and takes what the kernel program read at the mark of @v if that was of @cgroup_id. */
void snapshot_begin(const struct oom_victim *v, uint64_t cgroup_id, struct oom_snapshot *ret);
/* @cgroup: path of the limiting cgroup in the memory hierarchy, "" = none. Allocates nothing. */
void snapshot_take(struct snapshotter *s, const char *cgroup, struct oom_snapshot *ret);
/* Only what the cgroup's files say; the rest stays. */
void snapshot_cgroup(struct snapshotter *s, const char *cgroup, struct oom_snapshot *ret);
int snapshot_usage(struct snapshotter *s, const char *cgroup, uint64_t *ret); /* bytes; -errno */
int snapshot_kills(struct snapshotter *s, uint64_t *ret); /* /proc/vmstat oom_kill */
bool snapshot_has_psi(const struct snapshotter *s);
bool snapshot_allocating_task(const struct snapshotter *s); /* vm.oom_kill_allocating_task */

/* Pure parsers of the texts. */
void snapshot_parse_meminfo(const char *text, struct oom_host *ret);
int snapshot_parse_psi(const char *text, struct oom_psi *ret); /* -EBADMSG */
void snapshot_parse_stat(const char *text, bool v1, struct oom_snapshot *ret);
