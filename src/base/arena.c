/* SPDX-License-Identifier: Apache-2.0 */
/* Arena: chunks in a list, the newest first; big requests get a chunk of their own. */

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"

#define CHUNK_BYTES 4096
#define ALIGNMENT 16

struct chunk {
	struct chunk *next;
	size_t used, size;
	alignas(ALIGNMENT) char data[];
};

struct arena {
	struct chunk *chunks;
	size_t bytes, max;
};

int arena_new(size_t max_bytes, struct arena **ret)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->max = max_bytes;
	*ret = a;
	return 0;
}

struct arena *arena_free(struct arena *a)
{
	if (!a)
		return NULL;
	while (a->chunks) {
		struct chunk *c = a->chunks;

		a->chunks = c->next;
		free(c);
	}
	free(a);
	return NULL;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct chunk *c = a->chunks;
	void *p;

	if (size > SIZE_MAX / 2 || (a->max && size > a->max - a->bytes))
		return NULL;
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (!c || c->size - c->used < size) {
		size_t room = MAX(size, (size_t)CHUNK_BYTES);

		c = calloc(1, sizeof(*c) + room);
		if (!c)
			return NULL;
		c->size = room;
		c->next = a->chunks;
		a->chunks = c;
	}
	p = c->data + c->used;
	c->used += size;
	a->bytes = MIN(a->bytes + size, a->max ? a->max : SIZE_MAX);
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *copy = arena_alloc(a, len + 1);

	if (copy)
		memcpy(copy, s, len);
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

size_t arena_bytes(const struct arena *a)
{
	return a->bytes;
}
