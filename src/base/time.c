/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks, and RFC 3339 without the C library's locale and time zone. */

#include <time.h>
#include "base/time.h"

static uint64_t read_ns(clockid_t id)
{
	struct timespec t = {};

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

uint64_t time_mono_us(void)
{
	return read_ns(CLOCK_MONOTONIC) / NS_PER_USEC;
}

uint64_t time_boot_ns(void)
{
	return read_ns(CLOCK_BOOTTIME);
}

uint64_t time_wall_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

static void add_padded(struct strbuf *b, uint64_t v, unsigned width)
{
	char digits[10];

	for (unsigned i = width; i > 0; i--, v /= 10)
		digits[i - 1] = (char)('0' + v % 10);
	strbuf_add(b, digits, width);
}

void time_add_rfc3339(struct strbuf *b, uint64_t wall_ns, unsigned digits)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_SEC);
	uint64_t fraction = wall_ns % NS_PER_SEC;
	struct tm tm = {};

	(void)gmtime_r(&seconds, &tm);
	add_padded(b, (uint64_t)tm.tm_year + 1900, 4);
	strbuf_addch(b, '-');
	add_padded(b, (uint64_t)tm.tm_mon + 1, 2);
	strbuf_addch(b, '-');
	add_padded(b, (uint64_t)tm.tm_mday, 2);
	strbuf_addch(b, 'T');
	add_padded(b, (uint64_t)tm.tm_hour, 2);
	strbuf_addch(b, ':');
	add_padded(b, (uint64_t)tm.tm_min, 2);
	strbuf_addch(b, ':');
	add_padded(b, (uint64_t)tm.tm_sec, 2);
	if (digits == 3 || digits == 9) {
		strbuf_addch(b, '.');
		add_padded(b, digits == 3 ? fraction / NS_PER_MSEC : fraction, digits);
	}
	strbuf_addch(b, 'Z');
}
