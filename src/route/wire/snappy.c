/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own encoder of snappy blocks (GW-TX-5)
 *
 * Series of a body are alike: same labels as the series before, but for one or two. So nothing is looked up byte by byte. From the place where the
 * series before has the same label, bytes are compared in long steps. Where they differ, the label is the unit: what is left of it is copied from where
 * a label with the same last bytes was seen (a small table), or is a literal; behind it the comparison goes on beside the next label of the series
 * before. Positions of labels come from those of the series before, as long as bytes are equal, so that lengths are read only where something differs.
 *
 * Whatever the input is, positions are bounded by the message and every copy is compared first: a body that is no RW1 only compresses badly. That is
 * noticed (GIVE_UP_AFTER), and libsnappy does it.
 *
 * Format: google/snappy format_description.txt. Copies: 1..64 bytes at offsets below 64 KiB in three bytes, 4..11 below 2 KiB in two, else five.
 */

#include <snappy-c.h>
#include "route/wire/encoder.h"
#include "route/wire/usual.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define LABELS_MAX \
	64 /* positions that are remembered of a series; labels behind are not looked at */
#define MARGIN \
	32 /* bytes at the end of the body that are not compared, so that steps may read on */
#define COPY_MIN 4
#define FAR 65536
#define FAR_COPY_MIN 8
#define TAIL 7 /* of a usual sample: the timestamp with its tag */
#define GIVE_UP_AFTER 65536 /* bytes; by then output has to be half of the input */

struct encode {
	const uint8_t *body, *end, *safe; /* safe: comparing may start below */
	uint8_t *out;
	const uint8_t *literal; /* everything before is written, but for the run */
	const uint8_t *run; /* pending copy */
	size_t run_len, run_distance;
	uint32_t *memory;
	/* Labels of the series before, and of this one: starts, and the end of the last. */
	const uint8_t *before[LABELS_MAX + 2], *labels[LABELS_MAX + 2];
	unsigned n_before;
	const uint8_t *tail_before;
};

static uint8_t *put_literal(uint8_t *out, const uint8_t *at, size_t len, const uint8_t *end)
{
	size_t n = len - 1;

	if (len <= 16 && end - at >= 16) {
		*out++ = (uint8_t)(n << 2);
		memcpy(out, at, 16);
		return out + len;
	}
	if (n < 60) {
		*out++ = (uint8_t)(n << 2);
	} else {
		unsigned bytes = n < 1 << 8 ? 1 : n < 1 << 16 ? 2 : n < 1 << 24 ? 3 : 4;

		*out++ = (uint8_t)((59 + bytes) << 2);
		for (unsigned i = 0; i < bytes; i++)
			*out++ = (uint8_t)(n >> 8 * i);
	}
	memcpy(out, at, len);
	return out + len;
}

static inline uint8_t *put_copy2(uint8_t *out, size_t len, size_t distance)
{
	*out++ = (uint8_t)((len - 1) << 2 | 2);
	*out++ = (uint8_t)distance;
	*out++ = (uint8_t)(distance >> 8);
	return out;
}

static uint8_t *put_copy(uint8_t *out, size_t len, size_t distance)
{
	if (distance >= FAR) {
		for (; len; len -= MIN(len, 64)) {
			*out++ = (uint8_t)((MIN(len, 64) - 1) << 2 | 3);
			for (unsigned i = 0; i < 4; i++)
				*out++ = (uint8_t)(distance >> 8 * i);
		}
		return out;
	}
	for (; len > 64; len -= 64)
		out = put_copy2(out, 64, distance);
	if (len >= 4 && len < 12 && distance < 2048) {
		*out++ = (uint8_t)(distance >> 8 << 5 | (len - 4) << 2 | 1);
		*out++ = (uint8_t)distance;
		return out;
	}
	return put_copy2(out, len, distance);
}

static void flush(struct encode *e)
{
	if (!e->run_len)
		return;
	if (e->run > e->literal)
		e->out = put_literal(e->out, e->literal, (size_t)(e->run - e->literal), e->end);
	e->out = put_copy(e->out, e->run_len, e->run_distance);
	e->literal = e->run + e->run_len;
	e->run_len = 0;
}

/* [at, at + len) is what stands @distance before. */
static inline void copy(struct encode *e, const uint8_t *at, size_t len, size_t distance)
{
	if (e->run_len && e->run + e->run_len == at && e->run_distance == distance) {
		e->run_len += len;
		return;
	}
	if (len < (distance >= FAR ? FAR_COPY_MIN : COPY_MIN))
		return;
	flush(e);
	e->run = at;
	e->run_len = len;
	e->run_distance = distance;
}

/* Equal bytes of @a and @b, at most @max; 15 bytes behind both may be read. */
static inline size_t equal(const uint8_t *a, const uint8_t *b, size_t max)
{
	size_t n = 0;

#ifdef __SSE2__
	for (; n < max; n += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(a + n));
		__m128i y = _mm_loadu_si128((const __m128i *)(b + n));
		unsigned differ = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) ^ 0xffff;

		if (differ) {
			n += (unsigned)__builtin_ctz(differ);
			break;
		}
	}
#else
	for (; n < max; n += 8) {
		uint64_t differ = rw_load64(a + n) ^ rw_load64(b + n);

		if (differ) {
			n += (unsigned)__builtin_ctzll(differ) / 8;
			break;
		}
	}
#endif
	return MIN(n, max);
}

static inline uint32_t *slot(struct encode *e, const uint8_t *label_end)
{
	return &e->memory[rw_load64(label_end - 8) * 0x9e3779b97f4a7c15 >> (64 - RW_MEMORY_BITS)];
}

/* What is left of a label, [at, end): from another label with the same end. */
static inline void from_memory(struct encode *e, const uint8_t *at, const uint8_t *end)
{
	size_t len = (size_t)(end - at);
	uint32_t *seen = slot(e, end);
	size_t source = *seen;

	*seen = (uint32_t)(end - e->body);
	if (source < len + 1 || end >= e->safe)
		return;
	if (equal(e->body + source - len, at, len) == len)
		copy(e, at, len, (size_t)(end - e->body) - source);
}

/* End of the label at @at within a series that ends at @end, NULL where none is. */
static inline const uint8_t *label_end(const uint8_t *at, const uint8_t *end)
{
	if (end - at < 8 || at[0] != 0x0a || at[1] >= 0x80 || at[1] < 6 || at[1] > end - at - 2)
		return NULL;
	return at + 2 + at[1];
}

/*
 * One series: its fields from @first to @end; its header and the tail of the one before begin at @at. Behind, everything up to @limit is copied or is
 * part of the pending literal.
 */
static void encode_series(struct encode *e, const uint8_t *at, const uint8_t *first,
			  const uint8_t *limit)
{
	size_t distance = e->tail_before ? (size_t)(at - e->tail_before) : 0;
	const uint8_t *stop = MIN(limit, e->safe), *from = at, *next;
	unsigned j = 0;

	if (e->tail_before && at < stop) {
		size_t n = equal(at - distance, at, (size_t)(MIN(first, stop) - at));

		copy(e, at, n, distance);
	}
	at = first;
	e->labels[0] = first;
	distance = e->n_before ? (size_t)(first - e->before[0]) : 0;
	while (at < stop) {
		if (distance) {
			size_t n = equal(at - distance, at, (size_t)(stop - at));

			copy(e, at, n, distance);
			at += n;
			for (; j < e->n_before && e->before[j + 1] + distance <= at; j++)
				e->labels[j + 1] = e->before[j + 1] + distance;
			if (at == stop)
				break;
		}
		next = j < LABELS_MAX ? label_end(e->labels[j], limit) : NULL;
		if (!next)
			break;
		if (next > at)
			from_memory(e, at, next);
		at = next;
		e->labels[++j] = next;
		distance = j <= e->n_before ? (size_t)(next - e->before[j]) : 0;
	}
	/* Labels that were not reached are not known to the next series. */
	e->n_before = j;
	memcpy(e->before, e->labels, (j + 1) * sizeof(*e->before));
	e->tail_before = from;
}

static const uint8_t *tail_of(const uint8_t *first, const uint8_t *end)
{
	return end - first >= 18 && usual_sample(end - 18, end) == 18 ? end - TAIL : end;
}

static bool worth(const struct encode *e, const uint8_t *at, const uint8_t *out)
{
	return (size_t)(at - e->body) < GIVE_UP_AFTER ||
	       (size_t)(e->out - out) < (size_t)(at - e->body) / 2;
}

size_t rw_snappy_encode(struct rw_encoder *encoder, const uint8_t *body, size_t len, uint8_t *out)
{
	struct encode e = {
		.body = body, .end = body + len, .literal = body, .memory = encoder->memory
	};
	const uint8_t *at = body, *from = body;

	e.safe = len > MARGIN ? e.end - MARGIN : body;
	e.out = varint_put(out, len);
	memset(encoder->memory, 0, sizeof(encoder->memory));
	while (at < e.safe && len <= UINT32_MAX) {
		const uint8_t *first, *end, *tail;
		uint64_t size;

		first = *at == 0x0a ? varint_get(at + 1, e.end, &size) : NULL;
		if (!first || size > (size_t)(e.end - first))
			break;
		end = first + size;
		tail = tail_of(first, end);
		encode_series(&e, from, first, tail);
		from = tail;
		at = end;
		if (!worth(&e, at, out)) {
			size_t bound = rw_snappy_bound(len);

			return snappy_compress((const char *)body, len, (char *)out, &bound) ==
					       SNAPPY_OK
				       ? bound
				       : 0;
		}
	}
	flush(&e);
	if (e.literal < e.end)
		e.out = put_literal(e.out, e.literal, (size_t)(e.end - e.literal), e.end);
	return (size_t)(e.out - out);
}
