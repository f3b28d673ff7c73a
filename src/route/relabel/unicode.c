/* SPDX-License-Identifier: Apache-2.0 */
/* Code points in and out of UTF-8, and look-ups in the case tables. */
#include "base/macro.h"
#include "base/text.h"
#include "route/relabel/unicode.h"

/**
 * unicode_get() - read one code point
 * @s:       text of @len > 0 bytes; what is no UTF-8 counts as one U+FFFD a byte
 * @ret_len: its bytes
 */
uint32_t unicode_get(const char *s, size_t len, size_t *ret_len)
{
	const uint8_t *b = (const uint8_t *)s;
	size_t n = utf8_sequence(s, len);

	*ret_len = n ? n : 1;
	switch (n) {
	case 1:
		return b[0];
	case 2:
		return (uint32_t)(b[0] & 0x1f) << 6 | (b[1] & 0x3f);
	case 3:
		return (uint32_t)(b[0] & 0x0f) << 12 | (uint32_t)(b[1] & 0x3f) << 6 | (b[2] & 0x3f);
	case 4:
		return (uint32_t)(b[0] & 0x07) << 18 | (uint32_t)(b[1] & 0x3f) << 12 |
		       (uint32_t)(b[2] & 0x3f) << 6 | (b[3] & 0x3f);
	default:
		return 0xfffd;
	}
}

size_t unicode_put(uint32_t c, char *at)
{
	if (c < 0x80) {
		at[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		at[0] = (char)(0xc0 | c >> 6);
		at[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		at[0] = (char)(0xe0 | c >> 12);
		at[1] = (char)(0x80 | (c >> 6 & 0x3f));
		at[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	at[0] = (char)(0xf0 | c >> 18);
	at[1] = (char)(0x80 | (c >> 12 & 0x3f));
	at[2] = (char)(0x80 | (c >> 6 & 0x3f));
	at[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Runs stand in the order of their first code point but interleave where the step is 2: the one is among the last UNICODE_NEAR. */
uint32_t unicode_map(const struct unicode_run *runs, size_t n, uint32_t c)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (runs[middle].first <= c)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t i = low, tries = 0; i-- > 0 && tries < UNICODE_NEAR; tries++)
		if (c <= runs[i].last && (c - runs[i].first) % (uint32_t)runs[i].step == 0)
			return (uint32_t)((int32_t)c + runs[i].delta);
	return c;
}

size_t unicode_orbit(uint32_t c, uint32_t *ret)
{
	uint32_t fold = unicode_map(unicode_fold, unicode_n_fold, c);
	size_t n = 0;

	ret[n++] = c;
	if (fold != c)
		ret[n++] = fold;
	for (size_t i = 0; i < unicode_n_fold && n < UNICODE_ORBIT_MAX; i++) {
		const struct unicode_run *r = &unicode_fold[i];
		uint32_t from = (uint32_t)((int32_t)fold - r->delta);

		if (from >= r->first && from <= r->last &&
		    (from - r->first) % (uint32_t)r->step == 0 && from != c)
			ret[n++] = from;
	}
	return n;
}
