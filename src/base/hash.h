/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Intrusive chained hash table of fixed bucket count, and an LRU list through the same nodes.
 * The node is embedded in the caller's entry, so inserting allocates nothing. Keys are compared by the caller's
 * function. Hash values come from hash_bytes(), seeded once per process against chosen keys.
 */
struct hash_node {
	struct hash_node *next;
	struct hash_node *older, *newer; /* insertion or use order; hash_touch() moves to newest */
	uint64_t hash;
};

struct hash {
	struct hash_node **buckets;
	size_t mask, count, max;
	struct hash_node *oldest, *newest;
};

typedef bool (*hash_equal_fn)(const struct hash_node *n, const void *key);

int hash_init(struct hash *h, size_t max); /* buckets for @max entries; -ENOMEM */
void hash_done(struct hash *h); /* frees the buckets, not the entries */
bool hash_full(const struct hash *h);
struct hash_node *hash_find(const struct hash *h, uint64_t hash, hash_equal_fn equal,
			    const void *key);
int hash_insert(struct hash *h, struct hash_node *n, uint64_t hash); /* -ENOSPC when full */
void hash_remove(struct hash *h, struct hash_node *n);
void hash_touch(struct hash *h, struct hash_node *n);

uint64_t hash_bytes(const void *data, size_t len); /* seeded by getrandom at first use */
uint64_t hash_u64(uint64_t v);
