/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive hash table with an age list
 *
 * The bucket array is made once for the configured limit, so nothing is allocated or moved later. Hash values are
 * SipHash-1-3 with a key from getrandom(2), because names of cgroups and labels are chosen by others.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/hash.h"
#include "base/time.h"

static uint64_t seed[2];
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
	/* Early in boot the pool may be empty: a weaker seed beats a daemon that waits. */
	if (getrandom(seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed)) {
		seed[0] = time_wall_ns();
		seed[1] = time_boot_ns() ^ (uint64_t)(uintptr_t)&seeded;
	}
}

static inline uint64_t rotl(uint64_t x, int n)
{
	return (x << n) | (x >> (64 - n));
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t hash_bytes(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t v[4], last = (uint64_t)len << 56, m;
	size_t left = len;

	pthread_once(&seeded, make_seed);
	v[0] = seed[0] ^ 0x736f6d6570736575ULL;
	v[1] = seed[1] ^ 0x646f72616e646f6dULL;
	v[2] = seed[0] ^ 0x6c7967656e657261ULL;
	v[3] = seed[1] ^ 0x7465646279746573ULL;
	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&m, p, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_u64(uint64_t v)
{
	return hash_bytes(&v, sizeof(v));
}

int hash_init(struct hash *h, size_t max)
{
	size_t n = 16;

	while (n < max && n < SIZE_MAX / 4 / sizeof(*h->buckets))
		n *= 2;
	*h = (struct hash){ .mask = n - 1, .max = max };
	h->buckets = calloc(n, sizeof(*h->buckets));
	return h->buckets ? 0 : -ENOMEM;
}

void hash_done(struct hash *h)
{
	free(h->buckets);
	*h = (struct hash){};
}

bool hash_full(const struct hash *h)
{
	return h->count >= h->max;
}

struct hash_node *hash_find(const struct hash *h, uint64_t hash, hash_equal_fn equal,
			    const void *key)
{
	if (!h->buckets)
		return NULL;
	for (struct hash_node *n = h->buckets[hash & h->mask]; n; n = n->next)
		if (n->hash == hash && equal(n, key))
			return n;
	return NULL;
}

static void link_newest(struct hash *h, struct hash_node *n)
{
	n->older = h->newest;
	n->newer = NULL;
	if (h->newest)
		h->newest->newer = n;
	else
		h->oldest = n;
	h->newest = n;
}

static void unlink_age(struct hash *h, struct hash_node *n)
{
	if (n->older)
		n->older->newer = n->newer;
	else
		h->oldest = n->newer;
	if (n->newer)
		n->newer->older = n->older;
	else
		h->newest = n->older;
	n->older = n->newer = NULL;
}

int hash_insert(struct hash *h, struct hash_node *n, uint64_t hash)
{
	if (hash_full(h))
		return -ENOSPC;
	n->hash = hash;
	n->next = h->buckets[hash & h->mask];
	h->buckets[hash & h->mask] = n;
	link_newest(h, n);
	h->count++;
	return 0;
}

void hash_remove(struct hash *h, struct hash_node *n)
{
	struct hash_node **p = &h->buckets[n->hash & h->mask];

	while (*p && *p != n)
		p = &(*p)->next;
	if (!*p)
		return;
	*p = n->next;
	n->next = NULL;
	unlink_age(h, n);
	h->count--;
}

void hash_touch(struct hash *h, struct hash_node *n)
{
	if (h->newest == n)
		return;
	unlink_age(h, n);
	link_newest(h, n);
}
