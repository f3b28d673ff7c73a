/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/buf.h"

/*
 * Symbols of a RW2 block: each text once
 *
 * The bytes are the wire form already (`22 len text` each), in order of their numbers; number 0 is "". A table of open addresses finds a
 * text. Symbols are taken back from the end only, so no probe of an older one is broken by it.
 */
struct rw_intern_item {
	uint32_t at, len; /* text in bytes */
	uint32_t hash;
};

struct rw_intern {
	struct rw_buf bytes;
	struct rw_intern_item *items;
	size_t items_size;
	uint32_t n;
	uint32_t *slots; /* number + 1; 0 = free */
	size_t n_slots; /* power of two, more than 2 x n */
	uint64_t seed; /* per process: nobody outside can choose texts of one slot */
};

int rw_intern_init(struct rw_intern *t); /* -ENOMEM */
void rw_intern_done(struct rw_intern *t);
void rw_intern_reset(struct rw_intern *t); /* only "" is left */
/* Number of the text; UINT32_MAX: no memory, nothing changed. */
uint32_t rw_intern(struct rw_intern *t, const void *text, size_t len);
uint32_t rw_intern_find(const struct rw_intern *t, const void *text,
			size_t len); /* UINT32_MAX: unknown */
void rw_intern_cut(struct rw_intern *t, uint32_t n); /* the first @n are left, at least 1 */
