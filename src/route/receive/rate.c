/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets of tenants. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/macro.h"
#include "base/time.h"
#include "route/receive/rate.h"

#define TENANTS_MAX 65536
#define BURST_S 2.0
#define WAIT_MAX_S 60.0
#define LOOK_BACK 8 /* of the longest unused buckets, when one is needed */

struct bucket {
	double tokens;
	uint64_t at_us; /* they were so many then; 0 = never used: full */
};

struct tenant {
	struct hash_node node; /* first */
	struct bucket bucket;
	char name[];
};

struct rate_limit {
	pthread_mutex_t lock;
	struct hash tenants;
	struct bucket nobody, others;
};

int rate_new(struct rate_limit **ret)
{
	struct rate_limit *r = calloc(1, sizeof(*r));

	if (!r || hash_init(&r->tenants, TENANTS_MAX) < 0) {
		free(r);
		return -ENOMEM;
	}
	pthread_mutex_init(&r->lock, NULL);
	*ret = r;
	return 0;
}

static void drop(struct rate_limit *r, struct tenant *t)
{
	hash_remove(&r->tenants, &t->node);
	free(t);
}

struct rate_limit *rate_free(struct rate_limit *r)
{
	if (!r)
		return NULL;
	while (r->tenants.oldest)
		drop(r, (struct tenant *)r->tenants.oldest);
	hash_done(&r->tenants);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}

static void refill(struct bucket *b, double per_second, uint64_t now_us)
{
	double full = BURST_S * per_second;

	if (b->at_us)
		b->tokens += (double)(now_us - MIN(b->at_us, now_us)) * per_second / 1e6;
	if (!b->at_us || b->tokens > full)
		b->tokens = full;
	b->at_us = MAX(now_us, 1U);
}

static bool same_name(const struct hash_node *n, const void *key)
{
	return streq(((const struct tenant *)n)->name, key);
}

/* One whose bucket is full again is as good as unknown. */
static bool make_room(struct rate_limit *r, const struct rate_question *q, uint64_t now_us)
{
	struct hash_node *n = r->tenants.oldest, *newer;

	for (unsigned i = 0; n && i < LOOK_BACK && r->tenants.count >= q->tenants; i++) {
		struct tenant *t = (struct tenant *)n;

		newer = n->newer;
		refill(&t->bucket, q->per_second, now_us);
		if (t->bucket.tokens >= BURST_S * q->per_second)
			drop(r, t);
		n = newer;
	}
	return r->tenants.count < MIN(q->tenants, (uint32_t)TENANTS_MAX);
}

static struct bucket *find(struct rate_limit *r, const struct rate_question *q, uint64_t now_us)
{
	size_t len = strlen(q->tenant);
	uint64_t hash = hash_bytes(q->tenant, len);
	struct tenant *t;

	if (!len)
		return &r->nobody;
	t = (struct tenant *)hash_find(&r->tenants, hash, same_name, q->tenant);
	if (t) {
		hash_touch(&r->tenants, &t->node);
		return &t->bucket;
	}
	if (!make_room(r, q, now_us))
		return &r->others;
	t = calloc(1, sizeof(*t) + len + 1);
	if (!t)
		return &r->others;
	memcpy(t->name, q->tenant, len + 1);
	if (hash_insert(&r->tenants, &t->node, hash) < 0) {
		free(t);
		return &r->others;
	}
	return &t->bucket;
}

unsigned rate_wait(struct rate_limit *r, const struct rate_question *q, uint64_t now_us,
		   bool *ret_shared)
{
	struct bucket *b;
	double wait = 0;

	*ret_shared = false;
	if (!q->per_second)
		return 0;
	pthread_mutex_lock(&r->lock);
	b = find(r, q, now_us);
	*ret_shared = b == &r->others;
	refill(b, q->per_second, now_us);
	if (b->tokens <= 0)
		wait = CLAMP(ceil((1 - b->tokens) / q->per_second), 1.0, WAIT_MAX_S);
	pthread_mutex_unlock(&r->lock);
	return (unsigned)wait;
}

void rate_take(struct rate_limit *r, const struct rate_question *q, uint64_t samples,
	       uint64_t now_us)
{
	struct bucket *b;

	if (!q->per_second)
		return;
	pthread_mutex_lock(&r->lock);
	b = find(r, q, now_us);
	refill(b, q->per_second, now_us);
	b->tokens -= (double)samples;
	pthread_mutex_unlock(&r->lock);
}
