/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group key of a series (GW-SH-3, 4)
 *
 * Which labels belong to the key, written in canonical form and hashed. A series whose key is all of its labels, untouched, is hashed where
 * it lies. Names are compared by length first: no label list is long enough for more.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/macro.h"
#include "route/shard/internal.h"

static const struct name family_labels[] = { { "le", 2 }, { "vmrange", 7 }, { "quantile", 8 } };
static const char name_label[] = "__name__";
#define NAME_LABEL_LEN (sizeof(name_label) - 1)

static bool same(const struct name *n, const char *text, size_t len)
{
	return n->len == len && memcmp(n->text, text, len) == 0;
}

static bool is_family_label(const char *text, size_t len)
{
	if (len != 2 && len != 7 && len != 8)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(family_labels); i++)
		if (same(&family_labels[i], text, len))
			return true;
	return false;
}

static bool never_in_key(const struct shard_key *k, const char *text, size_t len)
{
	return (k->task_label.len && same(&k->task_label, text, len)) ||
	       (k->family && is_family_label(text, len));
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

int shard_key_new(const struct shard_key_options *o, struct shard_key **ret)
{
	_cleanup_(shard_key_freep) struct shard_key *k = calloc(1, sizeof(*k));
	const char *task = o->task_label ? o->task_label : "";
	size_t kept = 0;

	if (!k || arena_new(0, &k->arena) < 0)
		return -ENOMEM;
	k->by = o->by;
	k->family = o->family;
	k->seed = o->seed;
	k->task_label = (struct name){ arena_strdup(k->arena, task), (uint32_t)strlen(task) };
	k->names = arena_alloc(k->arena, (o->n_names + 1) * sizeof(*k->names));
	if (!k->task_label.text || !k->names)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_names; i++) {
		size_t len = strlen(o->names[i]);

		if (o->by && never_in_key(k, o->names[i], len))
			continue;
		k->names[kept] =
			(struct name){ arena_strdup(k->arena, o->names[i]), (uint32_t)len };
		if (!k->names[kept++].text)
			return -ENOMEM;
	}
	qsort(k->names, kept, sizeof(*k->names), compare_names);
	for (size_t i = 0; i < kept; i++)
		if (!k->n_names || !streq(k->names[k->n_names - 1].text, k->names[i].text))
			k->names[k->n_names++] = k->names[i];
	*ret = TAKE_PTR(k);
	return 0;
}

struct shard_key *shard_key_free(struct shard_key *k)
{
	if (!k)
		return NULL;
	arena_free(k->arena);
	free(k);
	return NULL;
}

static bool left_out(const struct shard_key *k, const struct rw_label *l)
{
	if (never_in_key(k, l->name, l->name_len))
		return true;
	for (size_t i = 0; i < k->n_names; i++)
		if (same(&k->names[i], l->name, l->name_len))
			return true;
	return false;
}

static size_t key_value_len(const struct shard_key *k, const struct rw_label *l)
{
	if (k->family && l->name_len == NAME_LABEL_LEN &&
	    memcmp(l->name, name_label, NAME_LABEL_LEN) == 0)
		return rw_family_len(l->value, l->value_len);
	return l->value_len;
}

/* Is every label of the series in the key as it stands? */
static bool untouched(const struct shard_key *k, const struct rw_label *labels, size_t n)
{
	if (k->by)
		return false;
	for (size_t i = 0; i < n; i++)
		if (left_out(k, &labels[i]) || key_value_len(k, &labels[i]) != labels[i].value_len)
			return false;
	return true;
}

/* One label of the key at *@at, if there is room before @end. */
static void put(const struct shard_key *k, const struct rw_label *l, uint8_t **at, uint8_t *end)
{
	struct rw_label cut = *l;

	cut.value_len = (uint32_t)key_value_len(k, l);
	if (*at && rw_canon_len(&cut, 1) <= (size_t)(end - *at))
		*at = rw_canon_label(*at, &cut);
	else
		*at = NULL;
}

size_t shard_key_bytes(const struct shard_key *k, const struct rw_label *labels, size_t n,
		       uint8_t *buf, size_t size)
{
	uint8_t *at = buf, *end = buf + size;

	if (k->by) {
		for (size_t i = 0; i < k->n_names; i++) {
			const struct rw_label *l =
				rw_find_label(labels, n, k->names[i].text, k->names[i].len);
			const struct rw_label missing = { k->names[i].text, "", k->names[i].len,
							  0 };

			put(k, l ? l : &missing, &at, end);
		}
	} else {
		for (size_t i = 0; i < n; i++)
			if (!left_out(k, &labels[i]))
				put(k, &labels[i], &at, end);
	}
	return at ? (size_t)(at - buf) : 0;
}

uint64_t shard_hash(const struct shard_key *k, const struct rw_label *labels, size_t n,
		    struct rw_span canon, uint8_t *scratch, size_t scratch_size)
{
	if (canon.at && untouched(k, labels, n))
		return XXH3_64bits_withSeed(canon.at, canon.len, k->seed);
	return XXH3_64bits_withSeed(scratch, shard_key_bytes(k, labels, n, scratch, scratch_size),
				    k->seed);
}
