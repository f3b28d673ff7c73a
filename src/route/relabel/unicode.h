/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Simple case mapping and folding of Unicode, by tables of one pinned version: the same on every host, whatever its locale
 */
struct unicode_run { /* first, first + step, … last: each maps to itself + delta */
	uint32_t first, last;
	int32_t step, delta;
};
extern const struct unicode_run unicode_upper[], unicode_lower[], unicode_fold[];
extern const size_t unicode_n_upper, unicode_n_lower, unicode_n_fold;

#define UNICODE_MAX 0x10ffff
#define UNICODE_NEAR 4 /* runs before a code point that may hold it; asserted by the generator */
#define UNICODE_ORBIT_MAX 4

/* Code point at @s, which is valid UTF-8; its bytes in @ret_len. */
uint32_t unicode_get(const char *s, size_t len, size_t *ret_len);
size_t unicode_put(uint32_t c, char *at); /* up to 4 bytes */
uint32_t unicode_map(const struct unicode_run *runs, size_t n, uint32_t c);
/* All that equal @c without regard to case, @c first; their number, at most UNICODE_ORBIT_MAX. */
size_t unicode_orbit(uint32_t c, uint32_t *ret);
