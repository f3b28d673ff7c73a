/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of any form, and the two messages that are read in more than one place. */

#include "route/wire/field.h"

static const uint8_t *tag_get(const uint8_t *at, const uint8_t *end, struct rw_field *ret)
{
	uint64_t tag;

	at = varint_get(at, end, &tag);
	if (!at || tag > UINT32_MAX || tag >> 3 == 0)
		return NULL;
	ret->number = (uint32_t)tag >> 3;
	ret->type = tag & 7;
	return at;
}

static const uint8_t *content_get(const uint8_t *at, const uint8_t *end, struct rw_field *ret)
{
	size_t room = (size_t)(end - at);
	uint64_t len;

	switch (ret->type) {
	case RW_VARINT:
		ret->at = at;
		at = varint_get(at, end, &ret->value);
		ret->len = at ? (size_t)(at - ret->at) : 0;
		return at;
	case RW_FIXED64:
		if (room < 8)
			return NULL;
		ret->value = rw_load64(at);
		ret->at = at;
		ret->len = 8;
		return at + 8;
	case RW_BYTES:
		at = varint_get(at, end, &len);
		if (!at || len > (size_t)(end - at))
			return NULL;
		ret->at = at;
		ret->len = (size_t)len;
		return at + len;
	case RW_FIXED32:
		ret->at = at;
		ret->len = 4;
		return room < 4 ? NULL : at + 4;
	case RW_GROUP:
	case RW_GROUP_END:
		break;
	}
	return NULL;
}

/* Behind the end of group @number; groups inside it are balanced, at most RW_GROUP_DEPTH deep. */
static const uint8_t *group_skip(const uint8_t *at, const uint8_t *end, uint32_t number)
{
	uint32_t open[RW_GROUP_DEPTH] = { number };
	unsigned depth = 1;

	while (depth) {
		struct rw_field f;

		at = tag_get(at, end, &f);
		if (!at)
			return NULL;
		if (f.type == RW_GROUP_END) {
			if (f.number != open[--depth])
				return NULL;
		} else if (f.type == RW_GROUP) {
			if (depth == RW_GROUP_DEPTH)
				return NULL;
			open[depth++] = f.number;
		} else if (!(at = content_get(at, end, &f))) {
			return NULL;
		}
	}
	return at;
}

const uint8_t *rw_field_get_slow(const uint8_t *at, const uint8_t *end, struct rw_field *ret)
{
	at = tag_get(at, end, ret);
	if (!at)
		return NULL;
	if (ret->type == RW_GROUP) {
		ret->at = at;
		ret->len = 0;
		return group_skip(at, end, ret->number);
	}
	return content_get(at, end, ret);
}

/* Both messages: a value or none, a timestamp, a start timestamp, under these numbers. The last of each counts. */
static struct rw_sample times_get(const uint8_t *at, size_t len, uint32_t value, uint32_t ts,
				  uint32_t start)
{
	const uint8_t *end = at + len;
	struct rw_sample s = {};
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f))) {
		if (f.type == RW_FIXED64 && f.number == value)
			s.value = f.value;
		else if (f.type == RW_VARINT && f.number == ts)
			s.ts = (int64_t)f.value;
		else if (f.type == RW_VARINT && f.number == start)
			s.start = (int64_t)f.value;
	}
	return s;
}

struct rw_sample rw_sample_get(const uint8_t *at, size_t len)
{
	return times_get(at, len, 1, 2, 3);
}

struct rw_sample rw_histogram_times(const uint8_t *at, size_t len)
{
	return times_get(at, len, 0, 15, 17);
}

int32_t rw_histogram_schema(const uint8_t *at, size_t len)
{
	const uint8_t *end = at + len;
	int32_t schema = 0;
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f)))
		if (f.number == 4 && f.type == RW_VARINT)
			schema = (int32_t)rw_zigzag((uint32_t)f.value);
	return schema;
}
