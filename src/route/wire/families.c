/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table of families
 *
 * Shards with a lock each, so that workers seldom meet; a small table is one shard, for its limit to be exact. In a shard a hash finds a
 * family and a list holds them by last use. Memory is taken when a family is new or says something new, never for a series.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>
#include "base/macro.h"
#include "route/wire/families.h"

#define SHARDS 16
#define SHARDED_FROM 4096 /* families */
#define SLOTS_MIN 64
#define BYTES_EACH 1024 /* of text, on the average over all families of a shard */
#define TEXT_MAX (64 * 1024) /* of one family */

struct family {
	struct family *chain; /* of the slot */
	struct family *newer, *older;
	uint64_t hash, tenant;
	uint32_t type, name_len, help_len, unit_len;
	uint8_t text[]; /* name, help, unit */
};

struct shard {
	pthread_mutex_t lock;
	struct family **slots;
	size_t n_slots; /* power of two */
	struct family *newest, *oldest;
	size_t n, max, bytes;
	uint64_t evicted;
};

struct rw_families {
	uint64_t seed; /* per process: nobody outside can choose names of one slot */
	_Atomic unsigned active; /* shards in use */
	struct shard shards[SHARDS];
};

static void set_limit(struct rw_families *f, uint32_t max)
{
	unsigned active = max >= SHARDED_FROM ? SHARDS : 1;

	f->active = active;
	for (unsigned i = 0; i < SHARDS; i++)
		f->shards[i].max = i < active ? max / active + (i < max % active) : 0;
}

int rw_families_new(uint32_t max, struct rw_families **ret)
{
	struct rw_families *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	(void)!getrandom(&f->seed, sizeof(f->seed), GRND_NONBLOCK);
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&f->shards[i].lock, NULL);
		f->shards[i].slots = calloc(SLOTS_MIN, sizeof(struct family *));
		f->shards[i].n_slots = SLOTS_MIN;
		if (!f->shards[i].slots) {
			rw_families_free(f);
			return -ENOMEM;
		}
	}
	set_limit(f, max);
	*ret = f;
	return 0;
}

/* --- one shard, its lock held --- */

static size_t text_len(const struct family *x)
{
	return (size_t)x->name_len + x->help_len + x->unit_len;
}

static void unlink_use(struct shard *s, struct family *x)
{
	if (x->newer)
		x->newer->older = x->older;
	else
		s->newest = x->older;
	if (x->older)
		x->older->newer = x->newer;
	else
		s->oldest = x->newer;
}

static void link_newest(struct shard *s, struct family *x)
{
	x->newer = NULL;
	x->older = s->newest;
	if (s->newest)
		s->newest->newer = x;
	else
		s->oldest = x;
	s->newest = x;
}

static struct family **slot_of(const struct shard *s, uint64_t hash)
{
	return &s->slots[hash & (s->n_slots - 1)];
}

static struct family *find(struct shard *s, uint64_t hash, uint64_t tenant, const void *name,
			   size_t len)
{
	struct family *x = *slot_of(s, hash);

	while (x && (x->hash != hash || x->tenant != tenant || x->name_len != len ||
		     memcmp(x->text, name, len) != 0))
		x = x->chain;
	return x;
}

static void drop(struct shard *s, struct family *x)
{
	struct family **p = slot_of(s, x->hash);

	while (*p != x)
		p = &(*p)->chain;
	*p = x->chain;
	unlink_use(s, x);
	s->n--;
	s->bytes -= text_len(x);
	free(x);
}

static void make_room(struct shard *s)
{
	while (s->oldest && (s->n > s->max || s->bytes > s->max * BYTES_EACH)) {
		drop(s, s->oldest);
		s->evicted++;
	}
}

static void grow(struct shard *s)
{
	size_t n = 2 * s->n_slots, old = s->n_slots;
	struct family **slots = calloc(n, sizeof(struct family *)), **before = s->slots;

	if (!slots)
		return; /* chains are longer, that is all */
	s->slots = slots;
	s->n_slots = n;
	for (size_t i = 0; i < old; i++)
		for (struct family *x = before[i], *next; x; x = next) {
			struct family **slot = slot_of(s, x->hash);

			next = x->chain;
			x->chain = *slot;
			*slot = x;
		}
	free(before);
}

static bool says(const struct family *x, const struct rw_metadata *m)
{
	return x->type == m->type && x->help_len == m->help.len && x->unit_len == m->unit.len &&
	       memcmp(x->text + x->name_len, m->help.at, m->help.len) == 0 &&
	       memcmp(x->text + x->name_len + x->help_len, m->unit.at, m->unit.len) == 0;
}

static void add(struct shard *s, uint64_t hash, uint64_t tenant, const struct rw_metadata *m)
{
	struct family *x = malloc(sizeof(*x) + m->family.len + m->help.len + m->unit.len);
	struct family **slot;

	if (!x)
		return;
	*x = (struct family){ .hash = hash,
			      .tenant = tenant,
			      .type = m->type,
			      .name_len = (uint32_t)m->family.len,
			      .help_len = (uint32_t)m->help.len,
			      .unit_len = (uint32_t)m->unit.len };
	memcpy(x->text, m->family.at, m->family.len);
	memcpy(x->text + x->name_len, m->help.at, m->help.len);
	memcpy(x->text + x->name_len + x->help_len, m->unit.at, m->unit.len);
	if (s->n >= s->n_slots)
		grow(s);
	slot = slot_of(s, hash);
	x->chain = *slot;
	*slot = x;
	link_newest(s, x);
	s->n++;
	s->bytes += text_len(x);
	make_room(s);
}

/* --- public --- */

static uint64_t hash_of(const struct rw_families *f, uint64_t tenant, const void *name, size_t len)
{
	return XXH3_64bits_withSeed(name, len, f->seed ^ tenant);
}

/* Locked. The low bits of the hash choose the slot, the high ones the shard. */
static struct shard *shard_of(struct rw_families *f, uint64_t hash)
{
	struct shard *s = &f->shards[(hash >> 32) % f->active];

	pthread_mutex_lock(&s->lock);
	return s;
}

/**
 * rw_families_put() - what a sender says of a family
 * @tenant: hash of the tenant whose family it is, 0 = none
 *
 * Texts over 64 KiB in all are not remembered; they count as evicted.
 */
void rw_families_put(struct rw_families *f, uint64_t tenant, const struct rw_metadata *m)
{
	uint64_t hash = hash_of(f, tenant, m->family.at, m->family.len);
	struct shard *s = shard_of(f, hash);
	struct family *x = find(s, hash, tenant, m->family.at, m->family.len);

	if (x && says(x, m)) {
		unlink_use(s, x);
		link_newest(s, x);
	} else if (m->family.len + m->help.len + m->unit.len > TEXT_MAX) {
		s->evicted++;
	} else if (s->max) {
		if (x)
			drop(s, x);
		add(s, hash, tenant, m);
	}
	pthread_mutex_unlock(&s->lock);
}

static bool look_up(struct rw_families *f, uint64_t tenant, const char *name, size_t len,
		    struct rw_buf *scratch, struct rw_metadata *ret)
{
	uint64_t hash = hash_of(f, tenant, name, len);
	struct shard *s = shard_of(f, hash);
	struct family *x = find(s, hash, tenant, name, len);
	const uint8_t *text;
	bool found = false;

	if (x) {
		unlink_use(s, x);
		link_newest(s, x);
		scratch->len = 0;
		found = rw_buf_add(scratch, x->text, text_len(x));
	}
	if (found) {
		text = scratch->data;
		*ret = (struct rw_metadata){ x->type,
					     { text, x->name_len },
					     { text + x->name_len, x->help_len },
					     { text + x->name_len + x->help_len, x->unit_len } };
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

bool rw_families_find(struct rw_families *f, uint64_t tenant, const char *name, size_t len,
		      struct rw_buf *scratch, struct rw_metadata *ret)
{
	size_t family = rw_family_len(name, len);

	return look_up(f, tenant, name, len, scratch, ret) ||
	       (family != len && look_up(f, tenant, name, family, scratch, ret));
}

void rw_families_limit(struct rw_families *f, uint32_t max)
{
	unsigned before = f->active;

	for (unsigned i = 0; i < SHARDS; i++)
		pthread_mutex_lock(&f->shards[i].lock);
	set_limit(f, max);
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &f->shards[i];

		/* Of another number of shards, families are looked for elsewhere; senders say them again within a minute. */
		while (before != f->active && s->oldest)
			drop(s, s->oldest);
		make_room(s);
		pthread_mutex_unlock(&s->lock);
	}
}

void rw_families_stats(struct rw_families *f, struct rw_families_stats *ret)
{
	*ret = (struct rw_families_stats){};
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &f->shards[i];

		pthread_mutex_lock(&s->lock);
		ret->families += s->n;
		ret->bytes += s->bytes;
		ret->evicted += s->evicted;
		pthread_mutex_unlock(&s->lock);
	}
}

struct rw_families *rw_families_free(struct rw_families *f)
{
	if (!f)
		return NULL;
	for (unsigned i = 0; i < SHARDS; i++) {
		while (f->shards[i].oldest)
			drop(&f->shards[i], f->shards[i].oldest);
		free(f->shards[i].slots);
		pthread_mutex_destroy(&f->shards[i].lock);
	}
	free(f);
	return NULL;
}
