/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols of a block. */

#define XXH_INLINE_ALL /* texts are short: a call costs as much as the hash */
#include <errno.h>
#include <xxhash.h>
#include "base/hash.h"
#include "route/wire/field.h"
#include "route/wire/intern.h"

#define SLOTS_MIN 256
#define TAG_SYMBOLS 0x22

int rw_intern_init(struct rw_intern *t)
{
	t->seed = hash_bytes("symbols", 7);
	t->n_slots = SLOTS_MIN;
	t->slots = calloc(t->n_slots, sizeof(*t->slots));
	if (!t->slots || rw_intern(t, "", 0) != 0)
		return -ENOMEM;
	return 0;
}

void rw_intern_done(struct rw_intern *t)
{
	rw_buf_done(&t->bytes);
	free(t->items);
	free(t->slots);
	memset(t, 0, sizeof(*t));
}

/* The slot of number @n. */
static uint32_t *slot_of(struct rw_intern *t, uint32_t n)
{
	size_t i = t->items[n].hash & (t->n_slots - 1);

	while (t->slots[i] != n + 1)
		i = (i + 1) & (t->n_slots - 1);
	return &t->slots[i];
}

void rw_intern_cut(struct rw_intern *t, uint32_t n)
{
	if (n >= t->n)
		return;
	t->bytes.len = t->items[n].at - 1 - varint_len(t->items[n].len);
	while (t->n > n) {
		*slot_of(t, t->n - 1) = 0;
		t->n--;
	}
}

/* Whichever is less work: slot by slot, or all. */
void rw_intern_reset(struct rw_intern *t)
{
	if (t->n < t->n_slots / 16) {
		rw_intern_cut(t, 1);
		return;
	}
	memset(t->slots, 0, t->n_slots * sizeof(*t->slots));
	t->n = 1;
	t->bytes.len = t->items[0].at;
	*(t->slots + (t->items[0].hash & (t->n_slots - 1))) = 1;
}

static void place(struct rw_intern *t, uint32_t n)
{
	size_t i = t->items[n].hash & (t->n_slots - 1);

	while (t->slots[i])
		i = (i + 1) & (t->n_slots - 1);
	t->slots[i] = n + 1;
}

static bool grow_slots(struct rw_intern *t)
{
	uint32_t *slots;

	if (((size_t)t->n + 1) * 2 < t->n_slots)
		return true;
	slots = calloc(t->n_slots * 2, sizeof(*slots));
	if (!slots)
		return false;
	free(t->slots);
	t->slots = slots;
	t->n_slots *= 2;
	for (uint32_t n = 0; n < t->n; n++)
		place(t, n);
	return true;
}

static uint32_t hash_of(const struct rw_intern *t, const void *text, size_t len)
{
	return (uint32_t)XXH3_64bits_withSeed(text, len, t->seed);
}

static uint32_t find(const struct rw_intern *t, uint32_t hash, const void *text, size_t len)
{
	size_t i = hash & (t->n_slots - 1);

	for (; t->slots[i]; i = (i + 1) & (t->n_slots - 1)) {
		const struct rw_intern_item *x = &t->items[t->slots[i] - 1];

		if (x->hash == hash && x->len == len &&
		    memcmp(t->bytes.data + x->at, text, len) == 0)
			return t->slots[i] - 1;
	}
	return UINT32_MAX;
}

uint32_t rw_intern_find(const struct rw_intern *t, const void *text, size_t len)
{
	return find(t, hash_of(t, text, len), text, len);
}

uint32_t rw_intern(struct rw_intern *t, const void *text, size_t len)
{
	uint32_t hash = hash_of(t, text, len), known = find(t, hash, text, len);
	uint8_t *at;

	if (known != UINT32_MAX)
		return known;
	if (len > UINT32_MAX / 2 || t->bytes.len + len > UINT32_MAX - 16 || !grow_slots(t) ||
	    !rw_array_grow(&t->items, &t->items_size, (size_t)t->n + 1, sizeof(*t->items)) ||
	    !rw_buf_room(&t->bytes, len + 1 + VARINT_MAX))
		return UINT32_MAX;
	at = t->bytes.data + t->bytes.len;
	*at++ = TAG_SYMBOLS;
	at = varint_put(at, len);
	t->items[t->n] =
		(struct rw_intern_item){ (uint32_t)(at - t->bytes.data), (uint32_t)len, hash };
	if (len)
		memcpy(at, text, len);
	t->bytes.len = (size_t)(at - t->bytes.data) + len;
	place(t, t->n);
	return t->n++;
}
