/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <endian.h>
#include <string.h>
#include "route/wire/series.h"
#include "route/wire/varint.h"

/* Fields of the protobuf wire format, read in place. */
enum rw_wire {
	RW_VARINT = 0,
	RW_FIXED64 = 1,
	RW_BYTES = 2,
	RW_GROUP = 3, /* skipped whole, without content */
	RW_GROUP_END = 4,
	RW_FIXED32 = 5
};

struct rw_field {
	uint32_t number;
	enum rw_wire type;
	const uint8_t *at; /* content */
	size_t len;
	uint64_t value; /* RW_VARINT, RW_FIXED64 */
};

#define RW_TAG(number, type) ((number) << 3 | (type))
#define RW_GROUP_DEPTH 32

static inline uint64_t rw_load64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

/* Any field; behind it, or NULL: cut short, a varint over ten bytes, a wire type of 6 or 7, number 0, an unbalanced group. */
const uint8_t *rw_field_get_slow(const uint8_t *at, const uint8_t *end, struct rw_field *ret);

/* The same; what nearly every field is stands here: a tag of one byte, a length of one or two. */
static inline const uint8_t *rw_field_get(const uint8_t *at, const uint8_t *end,
					  struct rw_field *ret)
{
	if (end - at >= 3 && at[0] < 0x80 && at[0] >= 8 && (at[0] & 7) == RW_BYTES &&
	    (at[1] < 0x80 || at[2] < 0x80)) {
		size_t more = at[1] >> 7, len = (at[1] & 0x7f) | (more ? (size_t)at[2] << 7 : 0);
		const uint8_t *content = at + 2 + more;

		if (len <= (size_t)(end - content)) {
			ret->number = at[0] >> 3;
			ret->type = RW_BYTES;
			ret->at = content;
			ret->len = len;
			return content + len;
		}
	}
	return rw_field_get_slow(at, end, ret);
}

static inline int64_t rw_zigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* A Sample message; of a Histogram the timestamps alone. */
struct rw_sample {
	uint64_t value; /* bits of the double */
	int64_t ts, start; /* ms; start 0 = unset */
};
struct rw_sample rw_sample_get(const uint8_t *at, size_t len);
struct rw_sample rw_histogram_times(const uint8_t *at, size_t len);
int32_t rw_histogram_schema(const uint8_t *at, size_t len);
#define RW_SCHEMA_CUSTOM (-53)
