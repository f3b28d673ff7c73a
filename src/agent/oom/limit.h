/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/record.h"

/* Counts of a level that tell where a limit was met. */
enum oom_level_count {
	LEVEL_OOM, /* the kernel's local count of OOMs, v1 and v2 alike */
	LEVEL_FAILCNT, /* v1: memory.failcnt, for kernels whose records lack the former */
	LEVEL_SWAP_FAILCNT, /* v1: memory.memsw.failcnt */
	_LEVEL_COUNT_MAX,
};
uint64_t oom_level_count(const struct oom_victim *v, uint32_t level, enum oom_level_count count);

/* Last known value of a count, to see which rose. UINT64_MAX = not known. */
typedef uint64_t (*oom_last_count_fn)(void *ctx, uint64_t cgroup_id, enum oom_level_count count);

struct oom_limit_question {
	const struct oom_victim *v; /* the chosen victim, levels in pages */
	uint64_t oc_memcg_id, reclaim_memcg_id; /* 0 = not known */
	const char *kmsg_path; /* NULL = not known */
	const char *trigger_path; /* cgroup of the trigger; NULL = not known */
	int order;
	unsigned cpus;
	oom_last_count_fn last;
	void *ctx;
};
/* OOM-116: found=false when nothing fits. Levels are leaf first; path is filled from the victim's own. */
void oom_limit_choose(const struct oom_limit_question *q, struct oom_limit_found *ret);
/* What is known beside the records of a run. */
struct oom_limit_facts {
	const char *trigger_path; /* NULL = not known */
	unsigned cpus;
	oom_last_count_fn last;
	void *ctx;
};
/* Fills @run->limit by the best source that the run has by now; nothing for an OOM of the host. */
void oom_limit_find(const struct oom_limit_facts *facts, struct oom_run *run);
/* Path of the ancestor @up levels above @path (of @len bytes) into @ret; "/" at the root. */
void oom_limit_path(const char *path, size_t len, unsigned up, char *ret, size_t size);
