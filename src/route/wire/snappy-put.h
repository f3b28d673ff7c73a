/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/macro.h"
#include "route/wire/field.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

/*
 * Elements of a snappy block, and the comparison that finds them: between the encoders
 *
 * Format: google/snappy format_description.txt. Copies: 1..64 bytes at offsets below 64 KiB in three bytes, 4..11 below 2 KiB in two, else five. Up
 * to 4 bytes behind what is used are written.
 */
#define SNAPPY_STEP 32 /* bytes that are compared at a time */
#define SNAPPY_FAR 65536
#define SNAPPY_SLACK 64 /* bytes behind an output that may be written */

static inline uint8_t *snappy_literal(uint8_t *out, const uint8_t *at, size_t len)
{
	size_t n = len - 1;

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

static inline uint8_t *snappy_far_copy(uint8_t *out, size_t len, uint32_t distance)
{
	for (; len; len -= MIN(len, 64)) {
		*out++ = (uint8_t)((MIN(len, 64) - 1) << 2 | 3);
		distance = htole32(distance);
		memcpy(out, &distance, sizeof(distance));
		distance = le32toh(distance);
		out += sizeof(distance);
	}
	return out;
}

static inline void snappy_put32(uint8_t *out, uint32_t v)
{
	v = htole32(v);
	memcpy(out, &v, sizeof(v));
}

static inline uint8_t *snappy_copy(uint8_t *out, uint32_t len, uint32_t distance)
{
	if (distance >= SNAPPY_FAR)
		return snappy_far_copy(out, len, distance);
	for (; len > 64; len -= 64, out += 3)
		snappy_put32(out, 63 << 2 | 2 | distance << 8);
	if (len >= 4 && len < 12 && distance < 2048) {
		*out++ = (uint8_t)(distance >> 8 << 5 | (len - 4) << 2 | 1);
		*out++ = (uint8_t)distance;
		return out;
	}
	snappy_put32(out, (len - 1) << 2 | 2 | distance << 8);
	return out + 3;
}

/* A bit for each of SNAPPY_STEP bytes that differs. */
static inline uint64_t snappy_differing(const uint8_t *a, const uint8_t *b)
{
#ifdef __AVX2__
	__m256i x = _mm256_loadu_si256((const __m256i *)a),
		y = _mm256_loadu_si256((const __m256i *)b);

	return (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, y)) ^ 0xffffffff;
#elif defined(__SSE2__)
	__m128i x = _mm_loadu_si128((const __m128i *)a), y = _mm_loadu_si128((const __m128i *)b);
	__m128i x2 = _mm_loadu_si128((const __m128i *)a + 1);
	__m128i y2 = _mm_loadu_si128((const __m128i *)b + 1);
	unsigned low = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));
	unsigned high = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x2, y2));

	return (low | high << 16) ^ 0xffffffff;
#else
	const uint64_t low = 0x7f7f7f7f7f7f7f7f;
	uint64_t mask = 0;

	for (unsigned i = 0; i < SNAPPY_STEP; i += 8) {
		uint64_t x = rw_load64(a + i) ^ rw_load64(b + i);

		/* The high bit of each byte that is not 0, then these bits side by side. */
		x = (((x & low) + low) | x) & ~low;
		mask |= ((x >> 7) * 0x0102040810204080 >> 56) << i;
	}
	return mask;
#endif
}
