/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/record.h"
#include "base/hash.h"

/*
 * Victims that are watched until they exit, by entity (OOM-113, OOM-205)
 *
 * A table of fixed size in which the oldest makes room. It also keeps the last exits that nobody was waited for: where the ring
 * was full the record of the kill comes by the spill map, after the exit.
 */
struct followed {
	struct hash_node link; /* by tgid */
	uint32_t tgid;
	bool exited;
	uint64_t start_boot_ns, mark_ns; /* start 0: not known */
	struct oom_kill *kill; /* NULL once its slot went to another */
	struct oom_run *run; /* see followed_run() */
	uint64_t run_seq;
};

#define EARLY_EXITS_MAX 64

struct early_exit {
	uint32_t tgid; /* 0: free */
	uint64_t start_boot_ns, boot_ns;
};

struct followed_table {
	struct hash hash;
	struct followed *pool;
	size_t max, n;
	struct early_exit early[EARLY_EXITS_MAX];
	size_t next_early;
};

int followed_init(struct followed_table *t, size_t max);
void followed_done(struct followed_table *t);
/* The newest entry of (tgid, start); where one of the starts is not known, of the tgid alone. */
struct followed *followed_find(const struct followed_table *t, uint32_t tgid,
			       uint64_t start_boot_ns);
/* The entry that makes room for a new one, as it is: the caller may look whom it pushes out. NULL while there is room. */
struct followed *followed_victim_of(const struct followed_table *t);
struct followed *followed_add(struct followed_table *t, struct oom_run *run, struct oom_kill *kill);
/* The run that the entry belongs to; NULL when its slot serves another one by now. */
struct oom_run *followed_run(const struct followed *f);
void followed_keep_exit(struct followed_table *t, const struct oom_exit *e);
/* Boot time of an exit that came before its kill, 0 = none. It is handed out once. */
uint64_t followed_take_exit(struct followed_table *t, const struct oom_kill *kill);
