/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The elements of one row: the part of pack.c that is compiled twice, without and with AVX2. PACK_ADD names the function.
 *
 * Rows are read where they came from, not where they have just been written: a load that is not covered by one store waits for it.
 */
#pragma once
#include <string.h>
#include "route/wire/pack.h"
#include "route/wire/snappy-put.h"

#define COPY_MIN 5
#define LOOK_FOR 6 /* bytes of a label that differ, until the table is asked */
#define SAMPLE 18 /* a usual sample; its tail is the timestamp with its tag */
#define TAIL 7
#define NAMED 14 /* bytes of a label whose name is worth a copy of its own */
#define SHORT 32 /* bytes of a literal that is written without a look at its length */

#define ALWAYS_INLINE \
	static inline __attribute__((always_inline)) /* the cursor is to live in registers */

struct cursor { /* of rw_pack, while a row is packed */
	const uint8_t *data;
	const uint8_t *content; /* of the row, from first on */
	uint32_t first;
	uint8_t *out;
	uint32_t written, run, run_len, distance;
};

/* --- elements --- */

ALWAYS_INLINE const uint8_t *row_at(const struct cursor *c, uint32_t at)
{
	return c->content + (at - c->first);
}

/* The pending copy, with the literal before it. */
ALWAYS_INLINE void emit(struct cursor *c)
{
	uint32_t len = c->run - c->written;
	const uint8_t *at = c->data + c->written;

	if (__builtin_expect(len <= SHORT, 1)) {
		*c->out = (uint8_t)((len - 1) << 2);
		memcpy(c->out + 1, at, SHORT);
		c->out += len ? len + 1 : 0;
	} else {
		c->out = snappy_literal(c->out, at, len);
	}
	for (; c->run_len > 64; c->run_len -= 64, c->run += 64, c->out += 3)
		snappy_put32(c->out, 63 << 2 | 2 | c->distance << 8);
	snappy_put32(c->out, (c->run_len - 1) << 2 | 2 | c->distance << 8);
	c->out += 3;
	c->written = c->run + c->run_len;
}

/* [at, at + len) is what stands @distance before: it joins the pending copy, or that is written and this one pends. */
ALWAYS_INLINE void copy(struct cursor *c, uint32_t at, uint32_t len, uint32_t distance)
{
	if (c->run + c->run_len == at && c->distance == distance) {
		c->run_len += len;
		return;
	}
	if (len < COPY_MIN)
		return;
	if (c->run_len)
		emit(c);
	c->run = at;
	c->run_len = len;
	c->distance = distance;
}

/* Equal bytes of the row at @at and what stands @distance before, at most @max. */
ALWAYS_INLINE uint32_t equal(const struct cursor *c, uint32_t at, uint32_t distance, uint32_t max)
{
	const uint8_t *b = row_at(c, at), *a = c->data + at - distance;

	for (uint32_t n = 0; n < max; n += SNAPPY_STEP) {
		uint64_t differ = snappy_differing(a + n, b + n);

		if (differ) {
			n += (uint32_t)__builtin_ctzll(differ);
			return MIN(n, max);
		}
	}
	return max;
}

/* As equal(); nearly all labels are within one step. */
ALWAYS_INLINE uint32_t label_equal(const struct cursor *c, uint32_t at, uint32_t before,
				   uint32_t max)
{
	uint64_t differ = snappy_differing(c->data + before, row_at(c, at));
	uint32_t same = (uint32_t)__builtin_ctzll(differ | UINT64_C(1) << SNAPPY_STEP);

	if (same == SNAPPY_STEP && max > SNAPPY_STEP)
		same += equal(c, at + SNAPPY_STEP, at - before, max - SNAPPY_STEP);
	return MIN(same, max);
}

/* --- a row as long as the one before, in all of its labels --- */

/* The tail of the last row, if it was not looked at, and the header, which is the same for the same length. */
ALWAYS_INLINE void pack_header(const struct rw_pack *p, struct cursor *c, uint32_t row,
			       uint32_t distance)
{
	const uint8_t *tail = c->data + row - 8;
	uint32_t back = 0;

	if (p->done < row) {
		/* The first of the eight bytes is of the value. */
		uint64_t differ = (rw_load64(tail) ^ rw_load64(tail - distance)) & ~UINT64_C(0xff);

		back = differ ? (uint32_t)__builtin_clzll(differ) / 8 : TAIL;
	}
	copy(c, row - back, c->first - row + back, distance);
}

ALWAYS_INLINE void pack_same(struct cursor *c, uint32_t from, uint32_t end, uint32_t distance)
{
	uint32_t same = from; /* begin of what is equal */

	for (uint32_t at = from; at < end; at += 2 * SNAPPY_STEP) {
		const uint8_t *b = row_at(c, at), *a = c->data + at - distance;
		uint64_t differ = snappy_differing(a, b) |
				  snappy_differing(a + SNAPPY_STEP, b + SNAPPY_STEP) << SNAPPY_STEP;
		uint64_t wide;

		if (end - at < 64)
			differ &= (UINT64_C(1) << (end - at)) - 1;
		/* Up to three equal bytes between two that differ are no copy. */
		wide = differ | differ << 1;
		wide |= wide << 2;
		while (differ) {
			unsigned x = (unsigned)__builtin_ctzll(differ);
			uint64_t rest = ~(wide >> x);
			unsigned y = x + (rest ? (unsigned)__builtin_ctzll(rest) : 64);

			if (at + x > same)
				copy(c, same, at + x - same, distance);
			if (y >= 64) {
				same = at + 64 - (unsigned)__builtin_clzll(differ);
				break;
			}
			same = at + y - 3;
			differ &= UINT64_MAX << y;
		}
	}
	if (end > same)
		copy(c, same, end - same, distance);
}

/* --- label by label --- */

ALWAYS_INLINE uint16_t *seen_slot(struct rw_pack *p, const uint8_t *end)
{
	return &p->seen[rw_load64(end - 8) * 0x9e3779b97f4a7c15 >> (64 - PACK_SEEN_BITS)];
}

/* A label [at, end) that differs behind @same bytes from the one @distance before. */
ALWAYS_INLINE void pack_label(struct rw_pack *p, struct cursor *c, uint32_t at, uint32_t end,
			      uint32_t same, uint32_t distance)
{
	uint32_t len = end - at, source;
	uint16_t *slot;

	if (len - same >= LOOK_FOR) {
		slot = seen_slot(p, row_at(c, end));
		source = *slot;
		*slot = (uint16_t)end;
		if (source >= len && source <= at && equal(c, at, end - source, len) == len) {
			copy(c, at, len, end - source);
			return;
		}
	}
	copy(c, at, same, distance);
	if (same == 1 && len > NAMED) {
		/* The length differs; the name behind it mostly does not. */
		same = label_equal(c, at + 2, at + 2 - distance, MIN(len - 2, SNAPPY_STEP));
		copy(c, at + 2, same, distance);
	}
}

/*
 * The tail of the last row and the header of this one at @row, up to the first byte that differs; before that what is equal of the value's last bytes, its
 * exponent. Byte by byte where bytes have just been written.
 */
ALWAYS_INLINE void pack_tail(const struct rw_pack *p, struct cursor *c, uint32_t row)
{
	uint32_t from = p->done, distance = from - p->done_before, back, room, n = 0;
	const uint8_t *at = c->data + from, *before = c->data + p->done_before;
	uint64_t differ;

	if (p->done_before < 8)
		return;
	if (row - from == TAIL) {
		differ = (rw_load64(at - 1) ^ rw_load64(before - 1)) >> 8;
		n = differ ? (uint32_t)__builtin_ctzll(differ) / 8 : TAIL;
	}
	if (n == row - from)
		while (from + n < c->first && at[n] == before[n])
			n++;
	differ = rw_load64(at - 8) ^ rw_load64(before - 8);
	back = differ ? (uint32_t)__builtin_clzll(differ) / 8 : 8;
	room = from - MAX(c->run + c->run_len, c->written);
	back = MIN(back, room);
	copy(c, from - back, back + n, distance);
}

ALWAYS_INLINE void pack_labels(struct rw_pack *p, struct cursor *c, uint32_t end,
			       const uint16_t *ends, uint32_t n)
{
	uint32_t at = c->first, before = p->first, both = MIN(n, p->n);

	for (uint32_t j = 0; j < both; j++) {
		uint32_t next = c->first + ends[j], next_before = p->first + p->ends[j];
		uint32_t len = next - at, same;

		same = label_equal(c, at, before, MIN(len, next_before - before));
		if (same == len)
			copy(c, at, len, at - before);
		else
			pack_label(p, c, at, next, same, at - before);
		at = next;
		before = next_before;
	}
	for (uint32_t j = both; j < n; j++) {
		pack_label(p, c, at, c->first + ends[j], 0, at - before);
		at = c->first + ends[j];
	}
	if (n == p->n)
		copy(c, at, label_equal(c, at, before, MIN(end - at, p->end - before)),
		     at - before);
}

ALWAYS_INLINE uint32_t label_len(const struct rw_label *l)
{
	uint32_t inner = 4 + l->name_len + l->value_len;

	return inner < 0x80 ? inner + 2 : (uint32_t)rw_canon_len(l, 1);
}

void PACK_ADD(struct rw_pack *p, const struct rw_buf *data, uint32_t row, uint32_t first,
	      const uint8_t *content, const struct rw_label *labels, uint32_t n)
{
	uint32_t end = (uint32_t)data->len, len = end - row, at = 0, changed = n ^ p->n;
	uint16_t ends[PACK_LABELS_MAX];
	struct cursor c = { data->data, content, first,	     p->out.data + p->out.len,
			    p->written, p->run,	 p->run_len, p->distance };

	for (uint32_t j = 0; j < n; j++) {
		at += label_len(&labels[j]);
		ends[j] = (uint16_t)at;
		changed |= at ^ p->ends[j];
	}
	if (p->known && !changed && len == p->end - p->row && p->done >= len) {
		pack_header(p, &c, row, len);
		pack_same(&c, first, end, len);
		p->done_before = 0;
		p->done = end;
	} else {
		bool usual = end - (first + at) == SAMPLE;

		if (p->known) {
			pack_tail(p, &c, row);
			pack_labels(p, &c, usual ? end - TAIL : end, ends, n);
		}
		p->done_before = p->done;
		p->done = usual ? end - TAIL : end;
		memcpy(p->ends, ends, n * sizeof(*ends));
		p->n = n;
	}
	p->written = c.written;
	p->run = c.run;
	p->run_len = c.run_len;
	p->distance = c.distance;
	p->out.len = (size_t)(c.out - p->out.data);
	p->known = true;
	p->row = row;
	p->first = first;
	p->end = end;
}
