/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Families that a node was told of
 *
 * Open addresses by the hash of the name, which stands for the name: with 64 bits, two families of one node are never the same. What is older
 * than the interval is dead and goes when the table has to grow; at its limit the table begins anew, and families are told early once.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>
#include "base/macro.h"
#include "base/time.h"
#include "route/wire/families.h"

#define SLOTS_MIN 256
#define SLOTS_MAX (1U << 20)

struct slot {
	uint64_t hash, at_us, tag; /* at_us 0 = free */
};

struct rw_told {
	pthread_mutex_t lock;
	uint64_t interval_us;
	struct slot *slots;
	size_t n_slots, used; /* with those that are dead */
};

int rw_told_new(struct rw_told **ret)
{
	struct rw_told *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->interval_us = 60 * US_PER_SEC;
	*ret = t;
	return 0;
}

struct rw_told *rw_told_free(struct rw_told *t)
{
	if (!t)
		return NULL;
	pthread_mutex_destroy(&t->lock);
	free(t->slots);
	free(t);
	return NULL;
}

void rw_told_interval(struct rw_told *t, uint64_t interval_us)
{
	pthread_mutex_lock(&t->lock);
	t->interval_us = interval_us;
	pthread_mutex_unlock(&t->lock);
}

uint64_t rw_told_hash(uint64_t tenant, struct rw_span family)
{
	return XXH3_64bits_withSeed(family.at, family.len, tenant);
}

static struct slot *find(struct rw_told *t, uint64_t hash)
{
	size_t i = hash & (t->n_slots - 1);

	while (t->slots[i].at_us && t->slots[i].hash != hash)
		i = (i + 1) & (t->n_slots - 1);
	return &t->slots[i];
}

/* Room for one more: the dead go; with more than half alive, twice the slots. */
static bool make_room(struct rw_told *t, uint64_t now_us)
{
	struct slot *before = t->slots, *fresh;
	size_t n = t->n_slots, alive = 0, want = MAX(n, (size_t)SLOTS_MIN);

	if (n && 4 * (t->used + 1) <= 3 * n)
		return true;
	for (size_t i = 0; i < n; i++)
		alive += before[i].at_us && now_us - before[i].at_us < t->interval_us;
	if (2 * alive >= want)
		want *= 2;
	if (want > SLOTS_MAX) {
		memset(t->slots, 0, n * sizeof(*t->slots));
		t->used = 0;
		return true;
	}
	fresh = calloc(want, sizeof(*fresh));
	if (!fresh)
		return n && t->used + 1 < n;
	t->slots = fresh;
	t->n_slots = want;
	t->used = 0;
	for (size_t i = 0; i < n; i++)
		if (before[i].at_us && now_us - before[i].at_us < t->interval_us) {
			*find(t, before[i].hash) = before[i];
			t->used++;
		}
	free(before);
	return true;
}

bool rw_told_due(struct rw_told *t, uint64_t hash, uint64_t now_us, uint64_t tag)
{
	bool due = false;
	struct slot *s;

	pthread_mutex_lock(&t->lock);
	if (make_room(t, now_us)) {
		s = find(t, hash);
		t->used += !s->at_us;
		due = !s->at_us || now_us - s->at_us >= t->interval_us || (tag && s->tag == tag);
		if (due)
			*s = (struct slot){ hash, now_us, tag };
	}
	pthread_mutex_unlock(&t->lock);
	return due;
}

void rw_told_forget(struct rw_told *t, uint64_t hash)
{
	struct slot *s;

	pthread_mutex_lock(&t->lock);
	s = t->n_slots ? find(t, hash) : NULL;
	if (s && s->at_us) {
		s->at_us = 1; /* long ago; a free slot would hide what lies behind it */
		s->tag = 0;
	}
	pthread_mutex_unlock(&t->lock);
}
