/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which cgroup's limit was hit (OOM-116)
 *
 * The kernel's own word where it is known: oom_control, then the memcg of the trigger's last reclaim, then the kernel log. Else
 * the levels of the victim at that instant, as far as the trigger is below them, too: the leafmost finite limit whose local OOM
 * count rose, or that is full.
 */

#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/limit.h"
#include "base/macro.h"

#define ORDER_MAX 20 /* more than any request */

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

/* Is @path @level or below it? */
static bool is_below(const char *path, const char *level)
{
	size_t len = strlen(level);

	if (streq(level, "/"))
		return true;
	return strncmp(path, level, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/*
 * The leafmost level that the trigger is below, too. Kernel threads charge on behalf of others, so theirs tells nothing; 0 where
 * nothing is known.
 */
static uint32_t first_common(const struct oom_limit_question *q)
{
	size_t len;
	const char *own = oom_text(q->v, q->v->path, &len);
	int level;

	if (q->v->flags & OOM_VICTIM_TRIGGER_KTHREAD)
		return 0;
	level = q->v->trigger_cgroup_id ? level_by_id(q->v, q->v->trigger_cgroup_id) : -1;
	if (level >= 0)
		return (uint32_t)level;
	for (uint32_t i = 0; q->trigger_path && len && i < q->v->n_levels; i++) {
		char path[OOM_PATH_MAX];

		oom_limit_path(own, len, i, path, sizeof(path));
		if (is_below(q->trigger_path, path))
			return i;
	}
	return 0;
}

static uint64_t slack(uint64_t usage, uint64_t max)
{
	if (max == OOM_UNKNOWN64 || usage == OOM_UNKNOWN64)
		return OOM_UNKNOWN64;
	return max > usage ? max - usage : 0;
}

/*
 * v1 charges memory + swap first, so of two counters without room that one failed (try_charge_memcg()). kmem is no third one: the
 * kernel's own memory is charged to these before it, and where kmem has a limit (before v5.16) a full one fails the allocation without
 * asking for a victim (__memcg_kmem_charge()).
 */
static bool swap_is_tighter(const struct oom_victim *v, const struct oom_level *l)
{
	return is_v1(v) && l->swap_max != OOM_UNKNOWN64 &&
	       slack(l->swap_usage, l->swap_max) <= slack(l->usage, l->max);
}

struct choice {
	int level;
	unsigned matches;
};

static void consider(struct choice *c, uint32_t level)
{
	if (c->matches++ == 0)
		c->level = (int)level;
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
static struct choice by_counts(const struct oom_limit_question *q, bool *ret_swap)
{
	struct choice c = { .level = -1 };
	uint32_t first = first_common(q);

	for (uint32_t i = first; q->last && i < q->v->n_levels; i++)
		if (rose(q, i, LEVEL_OOM)) {
			consider(&c, i);
			*ret_swap = swap_is_tighter(q->v, &q->v->levels[c.level]);
		}
	for (uint32_t i = first; q->last && !c.matches && i < q->v->n_levels; i++)
		if (rose(q, i, LEVEL_FAILCNT) || rose(q, i, LEVEL_SWAP_FAILCNT)) {
			consider(&c, i);
			*ret_swap = !rose(q, i, LEVEL_FAILCNT);
		}
	return c;
}

/* (5) A limit that is full. */
static struct choice by_fullness(const struct oom_limit_question *q)
{
	uint64_t margin = MAX(1ULL << MAX(MIN(q->order, ORDER_MAX), 0), 64ULL * q->cpus);
	struct choice c = { .level = -1 };

	for (uint32_t i = first_common(q); i < q->v->n_levels; i++) {
		const struct oom_level *l = &q->v->levels[i];

		if (slack(l->usage, l->max) <= margin ||
		    (is_v1(q->v) && slack(l->swap_usage, l->swap_max) <= margin))
			consider(&c, i);
	}
	return c;
}

static void take_level(const struct oom_limit_question *q, int level, bool swap,
		       struct oom_limit_found *ret)
{
	size_t len;
	const char *own = oom_text(q->v, q->v->path, &len);

	ret->level = level;
	ret->id = q->v->levels[level].id;
	ret->counter = swap ? "memsw" : "memory";
	if (len)
		oom_limit_path(own, len, (unsigned)level, ret->path, sizeof(ret->path));
}

/* The kernel named it; the levels tell its numbers, unless it is not among them. */
static void take_named(const struct oom_limit_question *q, int level, uint64_t id, const char *path,
		       enum oom_limit_source source, struct oom_limit_found *ret)
{
	ret->found = ret->certain = true;
	ret->source = source;
	ret->id = id;
	(void)snprintf(ret->path, sizeof(ret->path), "%s", path);
	if (level >= 0)
		take_level(q, level, swap_is_tighter(q->v, &q->v->levels[level]), ret);
}

static void take_choice(const struct oom_limit_question *q, const struct choice *c, bool swap,
			enum oom_limit_source source, struct oom_limit_found *ret)
{
	ret->found = true;
	ret->certain = c->matches == 1;
	ret->source = source;
	take_level(q, c->level, swap, ret);
}

void oom_limit_choose(const struct oom_limit_question *q, struct oom_limit_found *ret)
{
	struct choice c;
	bool swap = false;

	*ret = (struct oom_limit_found){ .level = -1, .counter = "memory" };
	if (q->oc_memcg_id) {
		take_named(q, level_by_id(q->v, q->oc_memcg_id), q->oc_memcg_id, "", LIMIT_FROM_OC,
			   ret);
	} else if (q->reclaim_memcg_id) {
		take_named(q, level_by_id(q->v, q->reclaim_memcg_id), q->reclaim_memcg_id, "",
			   LIMIT_FROM_RECLAIM, ret);
	} else if (q->kmsg_path) {
		take_named(q, level_by_path(q->v, q->kmsg_path), 0, q->kmsg_path, LIMIT_FROM_KMSG,
			   ret);
	} else if ((c = by_counts(q, &swap)).matches) {
		take_choice(q, &c, swap, LIMIT_FROM_COUNTS, ret);
	} else if ((c = by_fullness(q)).matches) {
		take_choice(q, &c, swap_is_tighter(q->v, &q->v->levels[c.level]), LIMIT_FROM_USAGE,
			    ret);
	}
}

void oom_limit_find(const struct oom_limit_facts *facts, struct oom_run *run)
{
	const struct oom_limit_found known = run->limit;
	struct oom_limit_question q = {
		.v = &run->kills->v,
		.reclaim_memcg_id = run->scope == SCOPE_MEMCG ? run->kills->v.reclaim_cgroup_id : 0,
		.trigger_path = facts->trigger_path,
		.order = run->order_known ? run->order : 0,
		.cpus = facts->cpus,
		.last = facts->last,
		.ctx = facts->ctx,
	};

	if ((run->scope != SCOPE_MEMCG && run->scope != SCOPE_UNKNOWN) ||
	    (known.found && known.level >= 0))
		return;
	if (known.source == LIMIT_FROM_OC)
		q.oc_memcg_id = known.id;
	else if (known.source == LIMIT_FROM_KMSG)
		q.kmsg_path = known.path;
	oom_limit_choose(&q, &run->limit);
	/* Programs that may not read paths give the victim's id alone: the path of the limit comes with the limit. */
	if (known.path[0] && !run->limit.path[0])
		memcpy(run->limit.path, known.path, sizeof(known.path));
}
