/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/field.h"

/* The forms in which nearly every sender writes labels and samples: one look, no table. Whatever else is valid takes the long way. */

/* Label `0A n 0A name 12 value` of minimal one-byte lengths at @at: its size, else 0. */
static inline size_t usual_label(const uint8_t *at, const uint8_t *end)
{
	size_t room = (size_t)(end - at), len, name;

	if (room < 6 || at[0] != 0x0a || at[2] != 0x0a)
		return 0;
	len = at[1];
	name = at[3];
	if (len >= 0x80 || len + 2 > room || name + 4 > len)
		return 0;
	return at[4 + name] == 0x12 && at[5 + name] + name + 4 == len ? len + 2 : 0;
}

static inline const uint8_t *usual_labels_skip(const uint8_t *at, const uint8_t *end)
{
	size_t len;

	while ((len = usual_label(at, end)))
		at += len;
	return at;
}

#define USUAL_TS 6 /* bytes of a timestamp between 1971 and 2109 in ms */

static inline bool usual_ts(const uint8_t *at)
{
	return (at[0] & at[1] & at[2] & at[3] & at[4] & 0x80) && at[5] < 0x80 && at[5];
}

static inline int64_t usual_ts_get(const uint8_t *at)
{
	int64_t v = 0;

	for (int i = USUAL_TS - 1; i >= 0; i--)
		v = v << 7 | (at[i] & 0x7f);
	return v;
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
