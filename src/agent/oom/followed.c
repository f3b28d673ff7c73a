/* SPDX-License-Identifier: Apache-2.0 */
/* Victims that are watched until they exit. */

#include <errno.h>
#include <stdlib.h>
#include "agent/oom/followed.h"
#include "base/macro.h"
#include "base/time.h"

#define EARLY_NS \
	(5 * NS_PER_SEC) /* an exit and the spilled record of its kill are never further apart */

struct entity {
	uint32_t tgid;
	uint64_t start_boot_ns;
};

int followed_init(struct followed_table *t, size_t max)
{
	int r = hash_init(&t->hash, max);

	if (r < 0)
		return r;
	t->max = max;
	t->pool = calloc(max, sizeof(*t->pool));
	return t->pool ? 0 : -ENOMEM;
}

void followed_done(struct followed_table *t)
{
	hash_done(&t->hash);
	free(t->pool);
	*t = (struct followed_table){};
}

static bool same(uint32_t tgid, uint64_t start, const struct entity *e)
{
	return tgid == e->tgid && (start == e->start_boot_ns || !start || !e->start_boot_ns);
}

static bool equal(const struct hash_node *n, const void *key)
{
	const struct followed *f = (const void *)n;

	return same(f->tgid, f->start_boot_ns, key);
}

struct followed *followed_find(const struct followed_table *t, uint32_t tgid,
			       uint64_t start_boot_ns)
{
	const struct entity key = { tgid, start_boot_ns };

	return (void *)hash_find(&t->hash, hash_u64(tgid), equal, &key);
}

struct followed *followed_victim_of(const struct followed_table *t)
{
	return t->n < t->max ? NULL : (void *)t->hash.oldest;
}

struct followed *followed_add(struct followed_table *t, struct oom_run *run, struct oom_kill *kill)
{
	struct followed *f = followed_victim_of(t);

	if (f) {
		hash_remove(&t->hash, &f->link);
		if (f->kill)
			f->kill->followed = NULL;
	} else {
		f = &t->pool[t->n++];
	}
	*f = (struct followed){
		.tgid = kill->v.tgid,
		.start_boot_ns = kill->v.start_boot_ns,
		.mark_ns = kill->boot_ns,
		.kill = kill,
		.run = run,
		.run_seq = run->seq,
	};
	kill->followed = f;
	(void)hash_insert(&t->hash, &f->link, hash_u64(f->tgid));
	return f;
}

struct oom_run *followed_run(const struct followed *f)
{
	return f->run && f->run->used && f->run->seq == f->run_seq ? f->run : NULL;
}

void followed_keep_exit(struct followed_table *t, const struct oom_exit *e)
{
	t->early[t->next_early++ % EARLY_EXITS_MAX] =
		(struct early_exit){ e->tgid, e->start_boot_ns, e->head.boot_ns };
}

uint64_t followed_take_exit(struct followed_table *t, const struct oom_kill *kill)
{
	const struct entity key = { kill->v.tgid, kill->v.start_boot_ns };

	for (size_t i = 0; i < EARLY_EXITS_MAX; i++) {
		struct early_exit *e = &t->early[i];

		if (!e->tgid || !same(e->tgid, e->start_boot_ns, &key) ||
		    e->boot_ns < kill->boot_ns || e->boot_ns - kill->boot_ns > EARLY_NS)
			continue;
		e->tgid = 0;
		return e->boot_ns;
	}
	return 0;
}
