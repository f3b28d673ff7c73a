/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/macro.h"
#include "base/text.h"

/* Is every byte below 0x80? 16 bytes a step. */
static inline bool rw_ascii(const void *text, size_t len)
{
	typedef uint64_t pair __attribute__((vector_size(16)));
	const char *at = text;
	pair all = {};
	uint64_t rest = 0;

	for (; len >= 16; at += 16, len -= 16) {
		pair v;

		memcpy(&v, at, sizeof(v));
		all |= v;
	}
	for (; len >= 8; at += 8, len -= 8) {
		uint64_t v;

		memcpy(&v, at, sizeof(v));
		rest |= v;
	}
	for (; len; at++, len--)
		rest |= (uint8_t)*at;
	return ((all[0] | all[1] | rest) & 0x8080808080808080) == 0;
}

static inline bool rw_text_valid(const void *text, size_t len)
{
	return rw_ascii(text, len) || utf8_valid(text, len);
}

/* The first eight bytes of a name, such that numbers stand in the order of names; equal numbers say nothing. @end: of readable bytes. */
static inline uint64_t rw_name_key(const uint8_t *name, uint32_t len, const uint8_t *end)
{
	uint64_t v = 0;

	if (end - name < 8) {
		memcpy(&v, name, MIN(len, 8));
		return be64toh(v);
	}
	memcpy(&v, name, sizeof(v));
	v = be64toh(v);
	return len >= 8 ? v : v & ~(UINT64_MAX >> (len * 8));
}
#define RW_NAME_KEY 0x5f5f6e616d655f5f /* __name__ */

/* As memcmp, the shorter first. */
static inline int rw_name_compare(const void *a, uint32_t a_len, const void *b, uint32_t b_len)
{
	int r = memcmp(a, b, MIN(a_len, b_len));

	if (r)
		return r;
	return a_len < b_len ? -1 : a_len > b_len;
}
