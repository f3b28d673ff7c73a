/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/limit.h"
#include "base/cleanup.h"
#include "sys/cgroup.h"

/*
 * What the kernel counted at levels when they were seen last, to tell which count rose (OOM-116)
 *
 * A table of fixed size: where it is crowded an old entry is forgotten. Nothing is allocated after level_counts_new().
 */
struct level_counts;
int level_counts_new(struct level_counts **ret);
struct level_counts *level_counts_free(struct level_counts *c);
DEFINE_CLEANUP(struct level_counts *, level_counts_free);
/* What files of the cgroup say now, as far as they tell (OOM-614); a count that is known already stays. Opens files. */
void level_counts_seed(struct level_counts *c, const struct cgroup_layout *l, uint64_t id,
		       const char *path);
bool level_counts_last(
	const struct level_counts *c, uint64_t id, enum oom_level_count count,
	uint64_t *ret); /* false: nothing is known of the level; UINT64_MAX: not of this count */
void level_counts_remember(struct level_counts *c, const struct oom_victim *v);
/* So that it can be touched and locked. */
void *level_counts_memory(struct level_counts *c, size_t *ret_size);
