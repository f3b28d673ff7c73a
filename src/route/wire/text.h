/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/macro.h"
#include "base/text.h"

typedef uint64_t rw_pair __attribute__((vector_size(16)));

static inline rw_pair rw_load_pair(const char *at)
{
	rw_pair v;

	memcpy(&v, at, sizeof(v));
	return v;
}

/* Is every byte below 0x80? 32 bytes a step; the last step may overlap the one before, which no branch has to decide. */
static inline bool rw_ascii(const void *text, size_t len)
{
	const char *at = text, *end = at + len;
	rw_pair a = {}, b = {};
	uint64_t few = 0;

	if (len >= 16) {
		for (; end - at > 32; at += 32) {
			a |= rw_load_pair(at);
			b |= rw_load_pair(at + 16);
		}
		if (end - at > 16)
			a |= rw_load_pair(at);
		a |= b | rw_load_pair(end - 16);
		return ((a[0] | a[1]) & 0x8080808080808080) == 0;
	}
	for (; at < end; at++)
		few |= (uint8_t)*at;
	return few < 0x80;
}

static inline bool rw_text_valid(const void *text, size_t len)
{
	return rw_ascii(text, len) || utf8_valid(text, len);
}

/* The first eight bytes of a name, such that numbers stand in the order of names; equal numbers say nothing. Eight bytes may be read. */
static inline uint64_t rw_name_key(const uint8_t *name, uint32_t len)
{
	static const uint64_t masks[] = { 0,
					  UINT64_MAX << 56,
					  UINT64_MAX << 48,
					  UINT64_MAX << 40,
					  UINT64_MAX << 32,
					  UINT64_MAX << 24,
					  UINT64_MAX << 16,
					  UINT64_MAX << 8,
					  UINT64_MAX };
	uint64_t v;

	memcpy(&v, name, sizeof(v));
	return be64toh(v) & masks[MIN(len, 8)];
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
