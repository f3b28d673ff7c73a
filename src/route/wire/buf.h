/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/cleanup.h"

/* Growing bytes that are kept from use to use: `len = 0` empties them. Zeroed is empty. */
struct rw_buf {
	uint8_t *data;
	size_t len, size;
};

bool rw_buf_grow(struct rw_buf *b, size_t room); /* false: no memory, nothing changed */
void rw_buf_done(struct rw_buf *b);

static inline bool rw_buf_room(struct rw_buf *b, size_t room)
{
	return b->size - b->len >= room || rw_buf_grow(b, room);
}

static inline bool rw_buf_add(struct rw_buf *b, const void *data, size_t len)
{
	if (!rw_buf_room(b, len))
		return false;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return true;
}

/* An array of @size bytes an item with room for @n items; the old content stays. */
bool rw_array_grow(void *array, size_t *have, size_t n, size_t size);

/* Stable, without allocation: @tmp has room for as many items. */
void rw_sort(void *items, void *tmp, size_t n, size_t size,
	     int (*compare)(const void *, const void *));
