/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the bytes of a timestamp in a snappy block
 *
 * The block is walked once: for each byte of the message, where in the block it comes from (a copy comes from where its source comes
 * from). Then the places of the timestamps are looked up. What was found is proved by stamping another time, decompressing and comparing.
 *
 * Format: google/snappy format_description.txt.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cli/route-body.h"
#include "route/wire/block.h"
#include "route/wire/varint.h"

#define TAG_TIMESTAMP 0x10 /* field 2, varint: of a Sample in both versions */
#define NEEDLE_LEN (1 + LOAD_STAMP_BYTES)

static void stamp_bytes(int64_t ts, uint8_t ret[LOAD_STAMP_BYTES])
{
	for (int i = 0; i < LOAD_STAMP_BYTES; i++)
		ret[i] = (uint8_t)((uint64_t)ts >> 7 * i & 0x7f) |
			 (i + 1 < LOAD_STAMP_BYTES ? 0x80 : 0);
}

/* --- where each byte comes from --- */

struct element {
	const uint8_t *literal; /* NULL: a copy */
	size_t len, distance;
};

/* The element at @at; behind its tag and, for a literal, its bytes. */
static const uint8_t *next_element(const uint8_t *at, struct element *ret)
{
	unsigned tag = *at++;
	size_t value = 0;

	if ((tag & 3) == 0) {
		unsigned bytes = tag >> 2 < 60 ? 0 : (tag >> 2) - 59;

		for (unsigned i = 0; i < bytes; i++)
			value |= (size_t)*at++ << 8 * i;
		*ret = (struct element){ at, (bytes ? value : tag >> 2) + 1, 0 };
		return at + ret->len;
	}
	if ((tag & 3) == 1) {
		*ret = (struct element){ NULL, (tag >> 2 & 7) + 4, (size_t)(tag >> 5) << 8 | *at };
		return at + 1;
	}
	for (unsigned i = 0; i < ((tag & 3) == 2 ? 2U : 4U); i++)
		value |= (size_t)*at++ << 8 * i;
	*ret = (struct element){ NULL, (tag >> 2) + 1, value };
	return at;
}

/* @block was made by us a moment ago: it is sound. */
static void trace(const uint8_t *block, size_t len, uint32_t *origin)
{
	const uint8_t *at = block, *end = block + len;
	uint64_t raw;
	size_t n = 0;

	at = varint_get(at, end, &raw);
	while (at && at < end) {
		struct element e;

		at = next_element(at, &e);
		for (size_t i = 0; i < e.len; i++, n++)
			origin[n] = e.literal ? (uint32_t)(e.literal - block + (ptrdiff_t)i)
					      : origin[n - e.distance];
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int find_patches(struct load_body *b, const uint8_t *raw, size_t len, int64_t ts)
{
	uint32_t *origin = malloc((len + 1) * sizeof(*origin));
	uint8_t needle[NEEDLE_LEN] = { TAG_TIMESTAMP };
	size_t n = 0, kept = 0;

	b->patches = malloc(((size_t)b->samples * LOAD_STAMP_BYTES + 1) * sizeof(*b->patches));
	if (!origin || !b->patches) {
		free(origin);
		return -ENOMEM;
	}
	stamp_bytes(ts, needle + 1);
	trace(b->data, b->len, origin);
	for (const uint8_t *p = raw; (p = memmem(p, (size_t)(raw + len - p), needle, NEEDLE_LEN));
	     p += NEEDLE_LEN)
		for (uint32_t i = 0;
		     i < LOAD_STAMP_BYTES && n < (size_t)b->samples * LOAD_STAMP_BYTES; i++)
			b->patches[n++] = origin[p - raw + 1 + i] << 3 | i;
	free(origin);
	qsort(b->patches, n, sizeof(*b->patches), compare);
	for (size_t i = 0; i < n; i++)
		if (!kept || b->patches[kept - 1] != b->patches[i])
			b->patches[kept++] = b->patches[i];
	b->n_patches = kept;
	return n == (size_t)b->samples * LOAD_STAMP_BYTES ? 0 : -EPROTO;
}

/* Does a body with another timestamp differ in its timestamps alone? */
static int prove(struct load_body *b, uint8_t *raw, size_t len, int64_t ts)
{
	uint8_t needle[NEEDLE_LEN] = { TAG_TIMESTAMP }, other[LOAD_STAMP_BYTES];
	uint8_t *decoded = NULL;
	size_t size = 0, decoded_len;
	int64_t later = ts + 123456789;
	int r;

	stamp_bytes(ts, needle + 1);
	stamp_bytes(later, other);
	for (uint8_t *p = raw; (p = memmem(p, (size_t)(raw + len - p), needle, NEEDLE_LEN));
	     p += NEEDLE_LEN)
		memcpy(p + 1, other, sizeof(other));
	load_body_stamp(b, later);
	r = rw_decode(RW_ENCODING_SNAPPY, b->data, b->len, SIZE_MAX / 2, &decoded, &size,
		      &decoded_len);
	if (r >= 0 && (decoded_len != len || memcmp(decoded, raw, len) != 0))
		r = -EPROTO;
	load_body_stamp(b, ts);
	free(decoded);
	return r;
}

/* --- public --- */

void load_body_stamp(struct load_body *b, int64_t ts)
{
	uint8_t bytes[LOAD_STAMP_BYTES];

	stamp_bytes(ts, bytes);
	for (size_t i = 0; i < b->n_patches; i++)
		b->data[b->patches[i] >> 3] = bytes[b->patches[i] & 7];
}

static int encode(struct load_body *b, const uint8_t *raw, size_t len, int64_t ts,
		  struct rw_encoder *encoder)
{
	size_t size = 0;
	int r = rw_encode(encoder, RW_CODEC_SNAPPY, RW_SNAPPY_LIB, raw, len, &b->data, &size,
			  &b->len);

	b->raw_len = len;
	return r < 0 ? r : find_patches(b, raw, len, ts);
}

int load_body_make(const struct sample_shape *shape, enum rw_version version, uint64_t first,
		   uint32_t n, int64_t ts, struct rw_encoder *encoder, struct load_body *ret)
{
	const struct rw_convert_options convert = {};
	uint64_t losses[_RW_LOSS_MAX] = {};
	struct load_body b = { .series = n, .samples = n };
	struct rw_buf rw1 = {};
	uint8_t *rw2 = NULL;
	size_t len = 0;
	int r = sample_body_rw1(shape, first, n, ts, &rw1) ? 0 : -ENOMEM;

	if (r >= 0 && version == RW2)
		r = rw_body_convert(rw1.data, rw1.len, RW1, RW2, &convert, &rw2, &len, losses);
	else
		len = rw1.len;
	if (r >= 0)
		r = encode(&b, rw2 ? rw2 : rw1.data, len, ts, encoder);
	if (r >= 0)
		r = prove(&b, rw2 ? rw2 : rw1.data, len, ts);
	rw_buf_done(&rw1);
	free(rw2);
	if (r < 0) {
		load_body_done(&b);
		return r;
	}
	*ret = b;
	return 0;
}

void load_body_done(struct load_body *b)
{
	free(b->data);
	free(b->patches);
	*b = (struct load_body){};
}
