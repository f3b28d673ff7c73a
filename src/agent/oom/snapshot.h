/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/cgroup-files.h"
#include "agent/oom/record.h"

/*
 * What files say right after a kill: host, pressure, and the limiting cgroup. Host files are opened at start and only read
 * afterwards; those of cgroups with a limit are kept open too (limits.h), the rest is found by path.
 */
struct snapshotter;
int snapshotter_new(const struct cgroup_layout *layout, struct snapshotter **ret);
struct snapshotter *snapshotter_free(struct snapshotter *s);
DEFINE_CLEANUP(struct snapshotter *, snapshotter_free);
/* Forgets what @ret has, and takes what the kernel program read at the mark of @v if that was of @cgroup_id. */
void snapshot_begin(const struct oom_victim *v, uint64_t cgroup_id, struct oom_snapshot *ret);
/* @p: the limiting cgroup, path "" = none. After snapshot_begin(). Allocates nothing. */
void snapshot_take(struct snapshotter *s, const struct cgroup_place *p, struct oom_snapshot *ret);
/* Only what the cgroup's files say; the rest stays. */
void snapshot_cgroup(struct snapshotter *s, const struct cgroup_place *p, struct oom_snapshot *ret);
/* Bytes; -errno. */
int snapshot_usage(struct snapshotter *s, const struct cgroup_place *p, uint64_t *ret);
int snapshot_kills(struct snapshotter *s, uint64_t *ret); /* /proc/vmstat oom_kill */
bool snapshot_has_psi(const struct snapshotter *s);
bool snapshot_allocating_task(const struct snapshotter *s); /* vm.oom_kill_allocating_task */

/* Pure parsers of the texts. */
void snapshot_parse_meminfo(const char *text, struct oom_host *ret);
int snapshot_parse_psi(const char *text, struct oom_psi *ret); /* -EBADMSG */
void snapshot_parse_stat(const char *text, bool v1, struct oom_snapshot *ret);
