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
#define LENGTH_MAX 63 /* of names that are told apart by their length */

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

static void note_special(struct shard_key *k, const char *name, size_t len)
{
	if (len)
		k->special[MIN(len, (size_t)LENGTH_MAX)] |= UINT64_C(1) << (name[0] & 63);
}

static int find_special(struct shard_key *k)
{
	k->special = arena_alloc(k->arena, (LENGTH_MAX + 1) * sizeof(*k->special));
	if (!k->special)
		return -ENOMEM;
	memset(k->special, 0, (LENGTH_MAX + 1) * sizeof(*k->special));
	note_special(k, k->task_label.text, k->task_label.len);
	for (size_t i = 0; i < k->n_names; i++)
		note_special(k, k->names[i].text, k->names[i].len);
	if (!k->family)
		return 0;
	note_special(k, "le", 2);
	note_special(k, "vmrange", 7);
	note_special(k, "quantile", 8);
	note_special(k, name_label, NAME_LABEL_LEN);
	return 0;
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
	if (find_special(k) < 0)
		return -ENOMEM;
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

static inline bool is_special(const struct shard_key *k, const struct rw_label *l)
{
	size_t len = MIN(l->name_len, (uint32_t)LENGTH_MAX);

	return !k->special || (len && k->special[len] >> (l->name[0] & 63) & 1);
}

static inline size_t field_len(const struct rw_label *l)
{
	size_t inner = 4 + (size_t)l->name_len + l->value_len;

	return inner < 0x80 ? 2 + inner : rw_canon_len(l, 1);
}

/* Where label @i stands in @canon: labels that lie there tell it themselves. */
static inline const uint8_t *field_at(const struct rw_label *labels, size_t i, struct rw_span canon)
{
	uintptr_t name = (uintptr_t)labels[i].name, start = (uintptr_t)canon.at;
	const uint8_t *field = canon.at;

	if (name >= start + 4 && name < start + canon.len)
		return (const uint8_t *)labels[i].name -
		       (field_len(&labels[i]) - 2 - labels[i].value_len - labels[i].name_len);
	for (size_t j = 0; j < i; j++)
		field += field_len(&labels[j]);
	return field;
}

static inline uint8_t *put_run(uint8_t *at, const uint8_t *from, const uint8_t *to)
{
	memcpy(at, from, (size_t)(to - from));
	return at + (to - from);
}

/* As put(), where there is room. */
static inline uint8_t *put_cut(uint8_t *at, const struct rw_label *l, uint32_t value_len)
{
	size_t inner = 4 + (size_t)l->name_len + value_len;
	struct rw_label cut = { l->name, l->value, l->name_len, value_len };

	if (inner >= 0x80)
		return rw_canon_label(at, &cut);
	*at++ = 0x0a;
	*at++ = (uint8_t)inner;
	*at++ = 0x0a;
	*at++ = (uint8_t)l->name_len;
	at = (uint8_t *)memcpy(at, l->name, l->name_len) + l->name_len;
	*at++ = 0x12;
	*at++ = (uint8_t)value_len;
	return (uint8_t *)memcpy(at, l->value, value_len) + value_len;
}

/*
 * The bytes that shard_key_bytes() makes, for a key of all labels but some: what stands in @canon one behind the other goes over as one piece. Nothing is
 * copied where it is all of it. Scratch has room for @canon.
 */
static struct rw_span cut_out(const struct shard_key *k, const struct rw_label *labels, size_t n,
			      struct rw_span canon, uint8_t *scratch)
{
	const uint8_t *run = canon.at, *field;
	uint8_t *at = scratch;

	for (size_t i = 0; i < n; i++) {
		const struct rw_label *l = &labels[i];
		size_t value_len;

		if (!is_special(k, l))
			continue;
		value_len = key_value_len(k, l);
		if (left_out(k, l)) {
			field = field_at(labels, i, canon);
			at = put_run(at, run, field);
		} else if (value_len != l->value_len) {
			field = field_at(labels, i, canon);
			at = put_run(at, run, field);
			at = put_cut(at, l, (uint32_t)value_len);
		} else {
			continue;
		}
		run = field + field_len(l);
	}
	if (run == canon.at)
		return canon;
	at = put_run(at, run, canon.at + canon.len);
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
