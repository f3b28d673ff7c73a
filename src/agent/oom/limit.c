/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which cgroup's limit was hit (OOM-116)
 *
 * The kernel's own word where it is known: oom_control, then the memcg of the trigger's last reclaim, then the kernel log. Else
 * the levels of the victim at that instant: the leafmost finite limit whose local OOM count rose, or that is full.
 */

#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/limit.h"
#include "base/macro.h"

void oom_limit_path(const char *path, size_t len, unsigned up, char *ret, size_t size)
{
	while (up-- > 0) {
		while (len > 0 && path[len - 1] != '/')
			len--;
		if (len > 0)
			len--; /* the slash */
	}
	if (len == 0) {
		(void)snprintf(ret, size, "/");
		return;
	}
	len = MIN(len, size - 1);
	memcpy(ret, path, len);
	ret[len] = '\0';
}

static int level_by_id(const struct oom_victim *v, uint64_t id)
{
	for (uint32_t i = 0; i < v->n_levels; i++)
		if (v->levels[i].id == id)
			return (int)i;
	return -1;
}

static int level_by_path(const struct oom_victim *v, const char *path)
{
	size_t len;
	const char *own = oom_text(v, v->path, &len);

	for (uint32_t i = 0; i < v->n_levels; i++) {
		char level[OOM_PATH_MAX];

		oom_limit_path(own, len, i, level, sizeof(level));
		if (streq(level, path))
			return (int)i;
	}
	return -1;
}

static bool is_v1(const struct oom_victim *v)
{
	return v->flags & OOM_VICTIM_V1;
}

static bool full(uint64_t usage, uint64_t max, uint64_t margin)
{
	return max != OOM_UNKNOWN64 && usage + margin >= max;
}

struct choice {
	int level;
	unsigned matches;
	bool swap;
};

static void consider(struct choice *c, int level, bool swap)
{
	if (c->matches++ == 0) {
		c->level = level;
		c->swap = swap;
	}
}

uint64_t oom_level_count(const struct oom_victim *v, uint32_t level, enum oom_level_count count)
{
	const struct oom_level *l = &v->levels[level];

	if (count == LEVEL_OOM)
		return l->oom_events;
	if (!is_v1(v))
		return 0;
	return count == LEVEL_FAILCNT ? l->oom_count : l->swap_count;
}

static bool rose(const struct oom_limit_question *q, uint32_t level, enum oom_level_count count)
{
	const struct oom_level *l = &q->v->levels[level];
	uint64_t last = q->last(q->ctx, l->id, count);

	/* A level that was not known before proves nothing. */
	return (count == LEVEL_SWAP_FAILCNT ? l->swap_max : l->max) != OOM_UNKNOWN64 &&
	       last != UINT64_MAX && oom_level_count(q->v, level, count) > last;
}

/* (4) A local OOM count above the last known one; on v1 a counter that failed, where the kernel keeps no such count. */
static struct choice by_counts(const struct oom_limit_question *q)
{
	struct choice c = { .level = -1 };

	for (uint32_t i = 0; q->last && i < q->v->n_levels; i++)
		if (rose(q, i, LEVEL_OOM))
			consider(&c, (int)i, false);
	for (uint32_t i = 0; q->last && !c.matches && i < q->v->n_levels; i++) {
		if (rose(q, i, LEVEL_FAILCNT))
			consider(&c, (int)i, false);
		else if (rose(q, i, LEVEL_SWAP_FAILCNT))
			consider(&c, (int)i, true);
	}
	return c;
}

/* (5) A limit that is full. */
static struct choice by_fullness(const struct oom_limit_question *q)
{
	uint64_t margin = MAX(1ULL << MAX(q->order, 0), 64ULL * q->cpus);
	struct choice c = { .level = -1 };

	for (uint32_t i = 0; i < q->v->n_levels; i++) {
		const struct oom_level *l = &q->v->levels[i];

		if (full(l->usage, l->max, margin))
			consider(&c, (int)i, false);
		else if (is_v1(q->v) && full(l->swap_usage, l->swap_max, margin))
			consider(&c, (int)i, true);
	}
	return c;
}

static void take_level(const struct oom_limit_question *q, int level, bool certain, bool swap,
		       struct oom_limit_found *ret)
{
	size_t len;
	const char *own = oom_text(q->v, q->v->path, &len);
	const struct oom_level *l = &q->v->levels[level];

	/* Both counters of v1 full: the plain limit is the smaller or equal one, so it was hit first. */
	if (is_v1(q->v) && !swap && l->max != OOM_UNKNOWN64 && l->swap_max != OOM_UNKNOWN64 &&
	    l->swap_max < l->max)
		swap = true;
	ret->found = true;
	ret->certain = certain;
	ret->level = level;
	ret->id = l->id;
	ret->counter = swap ? "memsw" : "memory";
	if (len)
		oom_limit_path(own, len, (unsigned)level, ret->path, sizeof(ret->path));
}

void oom_limit_choose(const struct oom_limit_question *q, struct oom_limit_found *ret)
{
	struct choice counts, fullness;
	int level;

	*ret = (struct oom_limit_found){ .level = -1, .counter = "memory" };
	if (q->oc_memcg_id || q->reclaim_memcg_id) {
		uint64_t id = q->oc_memcg_id ? q->oc_memcg_id : q->reclaim_memcg_id;

		level = level_by_id(q->v, id);
		if (level >= 0) {
			take_level(q, level, true, false, ret);
		} else {
			ret->found = ret->certain = true;
			ret->id = id;
		}
		return;
	}
	if (q->kmsg_path) {
		level = level_by_path(q->v, q->kmsg_path);
		if (level >= 0) {
			take_level(q, level, true, false, ret);
		} else {
			ret->found = ret->certain = true;
			(void)snprintf(ret->path, sizeof(ret->path), "%s", q->kmsg_path);
		}
		return;
	}
	counts = by_counts(q);
	if (counts.matches) {
		take_level(q, counts.level, counts.matches == 1, counts.swap, ret);
		return;
	}
	fullness = by_fullness(q);
	if (fullness.matches)
		take_level(q, fullness.level, fullness.matches == 1, fullness.swap, ret);
}
