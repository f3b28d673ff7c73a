/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The original gateway's hash, bit for bit (GW-SH-1, 2)
 *
 * FNV-32a over all names and values as one flat list of strings, sorted by bytes, without separators: so `up=node` and `node=up` collide. It
 * stays for fleets that migrate; new ones take the native key.
 */

#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "route/shard/shard.h"

#define FNV_BASIS 2166136261U
#define FNV_PRIME 16777619U

const char *const shard_algorithm_names[] = { "native", "jump", "hashmod", NULL };

struct piece {
	const char *at;
	size_t len;
};

static int compare(const struct piece *a, const struct piece *b)
{
	int r = memcmp(a->at, b->at, MIN(a->len, b->len));

	return r ? r : (a->len > b->len) - (a->len < b->len);
}

/* Labels come sorted by name, so most of the list is in order already: insertion sort. */
static void insert(struct piece *pieces, size_t n, struct piece p)
{
	size_t i = n;

	for (; i > 0 && compare(&pieces[i - 1], &p) > 0; i--)
		pieces[i] = pieces[i - 1];
	pieces[i] = p;
}

static uint32_t fnv(const struct piece *pieces, size_t n)
{
	uint32_t h = FNV_BASIS;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < pieces[i].len; k++)
			h = (h ^ (uint8_t)pieces[i].at[k]) * FNV_PRIME;
	return h;
}

static size_t insert_label(struct piece *pieces, size_t n, const struct rw_label *l)
{
	insert(pieces, n, (struct piece){ l->name, l->name_len });
	insert(pieces, n + 1, (struct piece){ l->value, l->value_len });
	return n + 2;
}

uint32_t shard_fnv(const struct rw_label *labels, size_t n)
{
	struct piece pieces[2 * SHARD_COMPAT_LABELS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < MIN(n, (size_t)SHARD_COMPAT_LABELS_MAX); i++)
		count = insert_label(pieces, count, &labels[i]);
	return fnv(pieces, count);
}

uint32_t shard_fnv_of(const struct rw_label *labels, size_t n, const char *const *names,
		      size_t n_names)
{
	struct piece pieces[2 * SHARD_COMPAT_LABELS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < MIN(n_names, (size_t)SHARD_COMPAT_LABELS_MAX); i++) {
		const struct rw_label *l = rw_find_label(labels, n, names[i], strlen(names[i]));

		if (l) /* a name that is listed twice counts twice */
			count = insert_label(pieces, count, l);
	}
	return fnv(pieces, count);
}

/* Jump consistent hash (Lamping, Veach 2014): moves 1/n of the keys when a bucket is added at the end. */
uint32_t shard_jump(uint64_t key, uint32_t buckets)
{
	int64_t b = -1, j = 0;

	if (buckets <= 1)
		return 0;
	while (j < (int64_t)buckets) {
		b = j;
		key = key * 2862933555777941757ULL + 1;
		j = (int64_t)((double)(b + 1) * ((double)(1LL << 31) / (double)((key >> 33) + 1)));
	}
	return (uint32_t)b;
}
