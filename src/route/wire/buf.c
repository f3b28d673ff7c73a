/* SPDX-License-Identifier: Apache-2.0 */
/* Scratch memory of a worker, and the sort that needs nothing else. */

#include "route/wire/buf.h"

#define BUF_MIN 512

bool rw_buf_grow(struct rw_buf *b, size_t room)
{
	size_t size = MAX(b->size * 2, (size_t)BUF_MIN);
	uint8_t *data;

	if (room > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
		return false;
	size = MAX(size, b->len + room);
	data = realloc(b->data, size);
	if (!data)
		return false;
	b->data = data;
	b->size = size;
	return true;
}

void rw_buf_done(struct rw_buf *b)
{
	free(b->data);
	*b = (struct rw_buf){};
}

bool rw_array_grow(void *array, size_t *have, size_t n, size_t size)
{
	void **at = array;
	size_t want = MAX(MAX(n, *have * 2), (size_t)64);
	void *grown;

	if (n <= *have)
		return true;
	grown = reallocarray(*at, want, size);
	if (!grown)
		return false;
	*at = grown;
	*have = want;
	return true;
}

/* The runs [from, middle) and [middle, to) of @items to @out. */
static void merge(const char *items, char *out, size_t from, size_t middle, size_t to, size_t size,
		  int (*compare)(const void *, const void *))
{
	size_t left = from, right = middle;

	for (size_t i = from; i < to; i++) {
		bool take_left =
			right >= to ||
			(left < middle && compare(items + left * size, items + right * size) <= 0);
		size_t which = take_left ? left++ : right++;

		memcpy(out + i * size, items + which * size, size);
	}
}

void rw_sort(void *items, void *tmp, size_t n, size_t size,
	     int (*compare)(const void *, const void *))
{
	char *from = items, *to = tmp;

	for (size_t width = 1; width < n; width *= 2) {
		char *swap = from;

		for (size_t i = 0; i < n; i += 2 * width)
			merge(from, to, i, MIN(i + width, n), MIN(i + 2 * width, n), size, compare);
		from = to;
		to = swap;
	}
	if (from != items)
		memcpy(items, from, n * size);
}
