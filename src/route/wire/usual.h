/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/field.h"

/* The forms in which nearly every sender writes labels and samples: one look, no table. Whatever else is valid takes the long way. */

#define USUAL_LABEL_MAX (2 + 2 * 255 + 8) /* bytes that are looked at before lengths are believed */

#define USUAL_TS 6 /* bytes of a timestamp between 1971 and 2109 in ms */

static inline bool usual_ts(const uint8_t *at)
{
	return (at[0] & at[1] & at[2] & at[3] & at[4] & 0x80) && at[5] < 0x80 && at[5];
}

/* The timestamp that ends at @end; there are bytes before it. */
static inline int64_t usual_ts_get(const uint8_t *end)
{
	uint64_t v = rw_load64(end - 8) >> 16;

	return (int64_t)((v & 0x7f) | (v >> 1 & 0x7f << 7) | (v >> 2 & 0x7f << 14) |
			 (v >> 3 & 0x7f << 21) | (v >> 4 & 0x7fULL << 28) |
			 (v >> 5 & 0x7fULL << 35));
}

/* Sample `12 10 09 value 10 ts`, or without a value of zero, as proto3 writes it, at @at: its size, else 0. The timestamp is its end. */
static inline size_t usual_sample(const uint8_t *at, const uint8_t *end)
{
	if (end - at >= 18 && at[0] == 0x12 && at[1] == 0x10 && at[2] == 0x09 && at[11] == 0x10)
		return usual_ts(at + 12) ? 18 : 0;
	if (end - at >= 9 && at[0] == 0x12 && at[1] == 0x07 && at[2] == 0x10)
		return usual_ts(at + 3) ? 9 : 0;
	return 0;
}
