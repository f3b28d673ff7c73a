/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group key of a series (GW-SH-3, 4)
 *
 * Which labels belong to the key, written in canonical form and hashed. A series whose key is all of its labels, untouched, is hashed where
 * it lies. Names are compared by length first: no label list is long enough for more.
 */

#define XXH_INLINE_ALL /* a key is short: a call costs as much as a part of the hash */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/macro.h"
#include "route/shard/internal.h"

static const char name_label[] = "__name__";
#define NAME_LABEL_LEN (sizeof(name_label) - 1)

static bool same(const struct name *n, const char *text, size_t len)
{
	return n->len == len && memcmp(n->text, text, len) == 0;
}

/* Lengths are constants here, so that comparing is no call. */
static inline bool is_family_label(const char *text, size_t len)
{
	switch (len) {
	case 2:
		return memcmp(text, "le", 2) == 0;
	case 7:
		return memcmp(text, "vmrange", 7) == 0;
	case 8:
		return memcmp(text, "quantile", 8) == 0;
	default:
		return false;
	}
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

static inline size_t key_value_len(const struct shard_key *k, const struct rw_label *l)
{
	if (k->family && l->name_len == NAME_LABEL_LEN &&
	    memcmp(l->name, name_label, NAME_LABEL_LEN) == 0)
		return rw_family_len(l->value, l->value_len);
	return l->value_len;
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

/* --- a key out of the canonical bytes --- */

static inline uint64_t length_bit(size_t len)
{
	return UINT64_C(1) << MIN(len, (size_t)63);
}

/* Lengths of all names that are not taken as they are: most labels are, and are told by nothing else. */
static inline uint64_t special_lengths(const struct shard_key *k)
{
	uint64_t bits = k->task_label.len ? length_bit(k->task_label.len) : 0;

	if (k->family) /* le, vmrange, quantile, __name__ */
		bits |= length_bit(2) | length_bit(7) | length_bit(8);
	for (size_t i = 0; i < k->n_names; i++)
		bits |= length_bit(k->names[i].len);
	return bits;
}

static inline size_t field_len(const struct rw_label *l)
{
	size_t inner = 4 + (size_t)l->name_len + l->value_len;

	return inner < 0x80 ? 2 + inner : rw_canon_len(l, 1);
}

static inline uint8_t *put_run(uint8_t *at, const uint8_t *from, const uint8_t *to)
{
	memcpy(at, from, (size_t)(to - from));
	return at + (to - from);
}

/*
 * The bytes that shard_key_bytes() makes, for a key of all labels but some: what stands in @canon one behind the other goes over as one piece. Nothing is
 * copied where it is all of it. Scratch has room for @canon.
 */
static struct rw_span cut_out(const struct shard_key *k, const struct rw_label *labels, size_t n,
			      struct rw_span canon, uint8_t *scratch)
{
	const uint8_t *field = canon.at, *run = canon.at, *next;
	uint64_t special = special_lengths(k);
	uint8_t *at = scratch;

	for (size_t i = 0; i < n; i++, field = next) {
		const struct rw_label *l = &labels[i];

		next = field + field_len(l);
		if (!(special & length_bit(l->name_len)))
			continue;
		if (left_out(k, l)) {
			at = put_run(at, run, field);
			run = next;
		} else if (key_value_len(k, l) != l->value_len) {
			at = put_run(at, run, field);
			put(k, l, &at, at + (next - field));
			run = next;
		}
	}
	if (run == canon.at)
		return canon;
	at = put_run(at, run, field);
	return (struct rw_span){ scratch, (size_t)(at - scratch) };
}

uint64_t shard_hash(const struct shard_key *k, const struct rw_label *labels, size_t n,
		    struct rw_span canon, uint8_t *scratch, size_t scratch_size)
{
	struct rw_span key = { scratch, 0 };

	if (!k->by && canon.at && canon.len <= scratch_size)
		key = cut_out(k, labels, n, canon, scratch);
	else
		key.len = shard_key_bytes(k, labels, n, scratch, scratch_size);
	return XXH3_64bits_withSeed(key.at, key.len, k->seed);
}
