/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own encoder of snappy blocks (GW-TX-5)
 *
 * Series of a body are alike: same labels as the series before, but for one or two. So nothing is looked up byte by byte. From the place where the
 * series before has the same label, bytes are compared in long steps. Where they differ, the label is the unit: what is left of it is copied from where
 * a label with the same last bytes was seen (a small table), or its parts from the label above it; behind it the comparison goes on beside the next
 * label of the series before. Positions of labels come from those of the series before, as long as bytes are equal, so that lengths are read only where
 * something differs.
 *
 * Whatever the input is, positions are bounded by the message and every copy is compared first: a body that is no RW1, or is of histograms, only compresses
 * badly. That is noticed, and libsnappy does it.
 *
 * Format: google/snappy format_description.txt. Copies: 1..64 bytes at offsets below 64 KiB in three bytes, 4..11 below 2 KiB in two, else five.
 */

#include <snappy-c.h>
#include "route/wire/encoder.h"
#include "route/wire/snappy-put.h"
#include "route/wire/usual.h"

#define LABELS_MAX 64 /* of a series; those behind are not looked at */
#define MARGIN (SNAPPY_STEP + 16) /* of the body's end, where steps and copies may go too far */
#define COPY_MIN 4
#define FAR_COPY_MIN 8
#define PARTS 3
#define PART_MIN 5
#define TAIL 7 /* of a usual sample: the timestamp with its tag */
#define GIVE_UP_AFTER \
	65536 /* bytes; by then, and at the end, output is at most half of the input */
#define NOWHERE INT32_MAX
#define TAG_SERIES 0x0a
#define TAG_METADATA 0x1a

/* Offsets into the body: where labels begin, the end of the last, then NOWHERE. */
struct positions {
	uint32_t at[LABELS_MAX + 2];
	unsigned n;
};

struct encode {
	const uint8_t *body;
	uint32_t safe; /* comparing may start below */
	uint8_t *out;
	uint32_t literal; /* everything before is written, but for the run */
	uint32_t run, run_len, run_distance; /* pending copy */
	uint32_t *memory, base; /* entries up to base are of messages before */
	struct positions positions[2], *before, *labels; /* of the series before, of this one */
	uint32_t tail_before;
};

static void flush(struct encode *e)
{
	uint32_t len = e->run - e->literal;
	const uint8_t *at = e->body + e->literal;

	if (len <= 16) {
		*e->out = (uint8_t)((len - 1) << 2);
		memcpy(e->out + 1, at, 16);
		e->out += len ? len + 1 : 0;
	} else {
		e->out = snappy_literal(e->out, at, len);
	}
	e->out = snappy_copy(e->out, e->run_len, e->run_distance);
	e->literal = e->run + e->run_len;
}

/* [at, at + len) is what stands @distance before. */
static inline void copy(struct encode *e, uint32_t at, uint32_t len, uint32_t distance)
{
	if (e->run + e->run_len == at && e->run_distance == distance) {
		e->run_len += len;
		return;
	}
	if (len < (distance >= SNAPPY_FAR ? FAR_COPY_MIN : COPY_MIN))
		return;
	if (e->run_len)
		flush(e);
	e->run = at;
	e->run_len = len;
	e->run_distance = distance;
}

/* Equal bytes of @at and @distance before, at most @max; SNAPPY_STEP bytes behind may be read. */
static inline uint32_t equal(const struct encode *e, uint32_t at, uint32_t distance, uint32_t max)
{
	const uint8_t *b = e->body + at, *a = b - distance;
	uint32_t n = 0;

	for (; n < max; n += SNAPPY_STEP) {
		uint64_t differ = snappy_differing(a + n, b + n);

		if (differ) {
			n += (uint32_t)__builtin_ctzll(differ);
			break;
		}
	}
	return MIN(n, max);
}

/*
 * What is left of a label, [at, end), where it differs from the one @distance before: from another label with the same end, else in parts. Where the
 * comparison goes on: behind it, or with its last part, if what follows is as far (@aligned), so that both are one copy.
 */
static inline uint32_t copy_label(struct encode *e, uint32_t at, uint32_t end, uint32_t distance,
				  bool aligned)
{
	uint64_t last = rw_load64(e->body + end - 8);
	uint32_t *seen = &e->memory[last * 0x9e3779b97f4a7c15 >> (64 - RW_MEMORY_BITS)];
	uint32_t source = *seen - e->base, len = end - at;
	bool known = *seen > e->base && source > len;

	*seen = e->base + end;
	if (len >= COPY_MIN && known && equal(e, at, end - source, len) == len) {
		copy(e, at, len, end - source);
		return end;
	}
	/* Lengths differ, then the name is equal; then the length of the value, and its beginning. */
	for (unsigned part = 0; distance && part < PARTS && ++at < end; part++) {
		uint32_t n = equal(e, at, distance, end - at);

		if (n == end - at && aligned)
			return at;
		if (n >= PART_MIN)
			copy(e, at, n, distance);
		at += n;
	}
	return end;
}

/* End of the label at @at, in a series that ends at @end; 0: there is none. */
static inline uint32_t label_end(const struct encode *e, uint32_t at, uint32_t end)
{
	const uint8_t *label = e->body + at;

	if (end - at < 8 || label[0] != 0x0a || label[1] >= 0x80 || label[1] < 6 ||
	    label[1] + 2U > end - at)
		return 0;
	return at + 2 + label[1];
}

/* Labels from number @j on that end at or before @at, as those of the series before do @distance before. */
static inline unsigned pass_labels(struct encode *e, unsigned j, uint32_t at, uint32_t distance)
{
	const uint32_t *before = e->before->at;

	for (; before[j + 1] <= at - distance; j++)
		e->labels->at[j + 1] = before[j + 1] + distance;
	return j;
}

/* From the tail of a sample on, and before that what is equal of the value's last bytes, its exponent. */
static inline void copy_tail(struct encode *e, uint32_t from, uint32_t first, uint32_t distance)
{
	uint64_t differ = rw_load64(e->body + from - 8) ^ rw_load64(e->body + from - 8 - distance);
	uint32_t back = differ ? (uint32_t)__builtin_clzll(differ) / 8 : 8;

	back = MIN(back, from - (e->run + e->run_len));
	from -= back;
	copy(e, from, back + equal(e, from + back, distance, first - from - back), distance);
}

/*
 * One series: its fields are from @first to @limit, the tail of its sample follows. Its header, and before that the tail of the series before, begin at
 * @from. Behind, all of that is a pending copy or literal.
 */
static void encode_series(struct encode *e, uint32_t from, uint32_t first, uint32_t limit)
{
	uint32_t stop = MIN(limit, e->safe), at = first, distance = from - e->tail_before;
	struct positions *before = e->before, *labels = e->labels;
	unsigned j = 0;

	if (e->tail_before >= 8 && first < stop)
		copy_tail(e, from, first, distance);
	labels->at[0] = first;
	distance = before->n ? first - before->at[0] : 0;
	while (at < stop) {
		uint32_t next, beside;

		if (distance) {
			uint32_t n = equal(e, at, distance, stop - at);

			copy(e, at, n, distance);
			at += n;
			j = pass_labels(e, j, at, distance);
			if (at == stop)
				break;
		}
		next = j < LABELS_MAX ? label_end(e, labels->at[j], limit) : 0;
		if (next <= at || next >= stop)
			break;
		labels->at[++j] = next;
		beside = j <= before->n ? next - before->at[j] : 0;
		at = copy_label(e, at, next, distance, beside == distance);
		distance = beside;
	}
	/* Labels that were not reached are not known to the next series. */
	labels->n = j;
	labels->at[j + 1] = NOWHERE;
	e->before = labels;
	e->labels = before;
	e->tail_before = from;
}

static const uint8_t *tail_of(const uint8_t *first, const uint8_t *end)
{
	return end - first >= 18 && usual_sample(end - 18, end) == 18 ? end - TAIL : end;
}

static bool worth(const struct encode *e, size_t at, const uint8_t *out)
{
	return at < GIVE_UP_AFTER || (size_t)(e->out - out) < at / 2;
}

static size_t by_library(const uint8_t *body, size_t len, uint8_t *out)
{
	size_t n = rw_snappy_bound(len);

	return snappy_compress((const char *)body, len, (char *)out, &n) == SNAPPY_OK ? n : 0;
}

/* Series after series from the start of the body, as far as there are such. False: it is not worth it. */
static bool encode_body(struct encode *e, const uint8_t *end, uint8_t *out)
{
	const uint8_t *at = e->body, *from = at;

	while ((size_t)(at - e->body) < e->safe && (*at == TAG_SERIES || *at == TAG_METADATA)) {
		bool series = *at == TAG_SERIES;
		const uint8_t *first, *tail;
		uint64_t size;

		first = varint_get(at + 1, end, &size);
		if (!first || size > (size_t)(end - first))
			break;
		at = first + size;
		if (!series)
			continue; /* a literal, or part of a copy from the tail before on */
		tail = tail_of(first, at);
		encode_series(e, (uint32_t)(from - e->body), (uint32_t)(first - e->body),
			      (uint32_t)(tail - e->body));
		from = tail;
		if (!worth(e, (size_t)(at - e->body), out))
			return false;
	}
	return true;
}

/**
 * rw_snappy_encode() - a snappy block of an RW1 body
 * @out: rw_snappy_bound(@len) bytes
 *
 * Any input gives a valid block; one that is no RW1, or is not made of labels, is left to libsnappy.
 *
 * Return: length of the block.
 */
size_t rw_snappy_encode(struct rw_encoder *encoder, const uint8_t *body, size_t len, uint8_t *out)
{
	struct encode e = { .body = body, .memory = encoder->memory };

	if (len <= MARGIN || len >= NOWHERE || *body != TAG_SERIES)
		return by_library(body, len, out);
	e.safe = (uint32_t)(len - MARGIN);
	e.out = varint_put(out, len);
	e.before = &e.positions[0];
	e.labels = &e.positions[1];
	e.before->at[0] = e.before->at[1] = NOWHERE;
	if (encoder->base > UINT32_MAX - len) {
		memset(encoder->memory, 0, sizeof(encoder->memory));
		encoder->base = 0;
	}
	e.base = encoder->base;
	encoder->base += (uint32_t)len;
	if (!encode_body(&e, body + len, out))
		return by_library(body, len, out);
	if (e.run_len)
		flush(&e);
	e.out = snappy_literal(e.out, body + e.literal, len - e.literal);
	return (size_t)(e.out - out) <= len / 2 ? (size_t)(e.out - out)
						: by_library(body, len, out);
}
