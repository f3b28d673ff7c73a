/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers, sizes, durations and times from text
 *
 * Strict: the whole text must be of the form, nothing is skipped or guessed, no locale. Values that do not fit are -ERANGE.
 */

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/cleanup.h"
#include "base/parse.h"
#include "base/time.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits at @s; returns their number, 0 for none, -ERANGE. */
static int scan_u64(const char *s, uint64_t *ret)
{
	uint64_t v = 0;
	int n = 0;

	for (; is_digit(s[n]); n++) {
		uint64_t digit = (uint64_t)(s[n] - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
	}
	*ret = v;
	return n;
}

int parse_u64(const char *s, uint64_t *ret)
{
	uint64_t v;
	int n = scan_u64(s, &v);

	if (n < 0)
		return n;
	if (n == 0 || s[n])
		return -EINVAL;
	*ret = v;
	return 0;
}

int parse_i64(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t v;
	int r = parse_u64(s + negative, &v);

	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

int parse_u32(const char *s, uint32_t *ret)
{
	uint64_t v;
	int r = parse_u64(s, &v);

	if (r < 0)
		return r;
	if (v > UINT32_MAX)
		return -ERANGE;
	*ret = (uint32_t)v;
	return 0;
}

int parse_hex64(const char *s, size_t len, uint64_t *ret)
{
	uint64_t v = 0;

	if (len == 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		unsigned digit;

		if (is_digit(s[i]))
			digit = (unsigned)(s[i] - '0');
		else if ((s[i] | 32) >= 'a' && (s[i] | 32) <= 'f')
			digit = (unsigned)((s[i] | 32) - 'a' + 10);
		else
			return -EINVAL;
		if (v >> 60)
			return -ERANGE;
		v = v << 4 | digit;
	}
	*ret = v;
	return 0;
}

int parse_double(const char *s, double *ret)
{
	static locale_t c_locale;
	char *end;
	double v;

	if (!c_locale)
		c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (s[strspn(s, "0123456789+-.eE")] || *s == '+')
		return -EINVAL; /* strtod also takes spaces, inf, nan, hex */
	v = strtod_l(s, &end, c_locale);
	if (end == s || *end)
		return -EINVAL;
	if (!isfinite(v))
		return -ERANGE;
	*ret = v;
	return 0;
}

int parse_bool(const char *s, bool *ret)
{
	if (streq(s, "true"))
		*ret = true;
	else if (streq(s, "false"))
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

/* A decimal number with an optional fraction, times @unit, without floating point. */
static int scale(uint64_t whole, uint64_t fraction, uint64_t divisor, uint64_t unit, uint64_t *ret)
{
	uint64_t part;

	if (unit && whole > UINT64_MAX / unit)
		return -ERANGE;
	part = (uint64_t)((__uint128_t)fraction * unit / divisor);
	if (whole * unit > UINT64_MAX - part)
		return -ERANGE;
	*ret = whole * unit + part;
	return 0;
}

struct unit {
	const char *name;
	uint64_t value;
};

/* Number and unit at *@s, which moves behind them. -ENODATA: a number without a unit. */
static int scan_with_unit(const char **s, const struct unit *units, uint64_t *ret)
{
	uint64_t whole, fraction = 0, divisor = 1;
	const char *p = *s;
	size_t len = 0;
	int n = scan_u64(p, &whole);

	if (n <= 0)
		return n < 0 ? n : -EINVAL;
	p += n;
	if (*p == '.') {
		for (p++; is_digit(*p); p++)
			if (divisor < 1000000000) {
				fraction = fraction * 10 + (uint64_t)(*p - '0');
				divisor *= 10;
			}
		if (p[-1] == '.')
			return -EINVAL;
	}
	while ((p[len] | 32) >= 'a' && (p[len] | 32) <= 'z')
		len++;
	if (len == 0)
		return -ENODATA;
	for (const struct unit *u = units; u->name; u++) {
		if (strlen(u->name) != len || strncmp(u->name, p, len) != 0)
			continue;
		*s = p + len;
		return scale(whole, fraction, divisor, u->value, ret);
	}
	return -EINVAL;
}

int parse_size(const char *s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "B", 1 },
		{ "KiB", 1ULL << 10 },
		{ "MiB", 1ULL << 20 },
		{ "GiB", 1ULL << 30 },
		{ "TiB", 1ULL << 40 },
		{ "KB", 1000 },
		{ "MB", 1000000 },
		{ "GB", 1000000000 },
		{ "TB", 1000000000000 },
		{ "k", 1ULL << 10 },
		{ "K", 1ULL << 10 },
		{ "M", 1ULL << 20 },
		{ "G", 1ULL << 30 },
		{ "T", 1ULL << 40 },
		{},
	};
	uint64_t v;
	int r;

	if (streq(s, "0")) {
		*ret_bytes = 0;
		return 0;
	}
	r = scan_with_unit(&s, units, &v);
	if (r == -ERANGE)
		return r;
	if (r < 0 || *s)
		return -EINVAL;
	*ret_bytes = v;
	return 0;
}

int parse_duration(const char *s, uint64_t *ret_us)
{
	static const struct unit units[] = {
		{ "us", 1 },
		{ "ms", 1000 },
		{ "s", US_PER_SEC },
		{ "m", 60 * US_PER_SEC },
		{ "h", 3600 * US_PER_SEC },
		{ "d", 86400 * US_PER_SEC },
		{ "w", 7 * 86400 * US_PER_SEC },
		{},
	};
	uint64_t total = 0;

	if (streq(s, "0")) {
		*ret_us = 0;
		return 0;
	}
	if (!*s)
		return -EINVAL;
	while (*s) {
		uint64_t v;
		int r = scan_with_unit(&s, units, &v);

		if (r < 0)
			return r == -ERANGE ? r : -EINVAL;
		if (total > UINT64_MAX - v)
			return -ERANGE;
		total += v;
	}
	*ret_us = total;
	return 0;
}

/* Exactly @n digits at *@s within bounds; moves on. */
static bool take(const char **s, unsigned n, unsigned min, unsigned max, int *ret)
{
	unsigned v = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!is_digit((*s)[i]))
			return false;
		v = v * 10 + (unsigned)((*s)[i] - '0');
	}
	*s += n;
	*ret = (int)v;
	return v >= min && v <= max;
}

static bool take_char(const char **s, const char *set)
{
	if (!**s || !strchr(set, **s))
		return false;
	(*s)++;
	return true;
}

static bool take_fraction(const char **s, uint64_t *ret_ns)
{
	uint64_t unit = NS_PER_SEC / 10;

	*ret_ns = 0;
	if (**s != '.')
		return true;
	(*s)++;
	if (!is_digit(**s))
		return false;
	for (; is_digit(**s); (*s)++, unit /= 10)
		*ret_ns += (uint64_t)(**s - '0') * unit;
	return true;
}

static bool take_offset(const char **s, int *ret_seconds)
{
	int hours, minutes;
	char sign = **s;

	*ret_seconds = 0;
	if (take_char(s, "Zz"))
		return true;
	if (!take_char(s, "+-") || !take(s, 2, 0, 23, &hours) || !take_char(s, ":") ||
	    !take(s, 2, 0, 59, &minutes))
		return false;
	*ret_seconds = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
	return true;
}

static int days_of_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month] + (month == 1 && leap);
}

int parse_rfc3339(const char *s, uint64_t *ret_ns)
{
	struct tm tm = {};
	uint64_t fraction;
	int64_t seconds;
	int offset;

	if (!take(&s, 4, 1970, 2262, &tm.tm_year) || !take_char(&s, "-") ||
	    !take(&s, 2, 1, 12, &tm.tm_mon) || !take_char(&s, "-") ||
	    !take(&s, 2, 1, 31, &tm.tm_mday) || !take_char(&s, "Tt ") ||
	    !take(&s, 2, 0, 23, &tm.tm_hour) || !take_char(&s, ":") ||
	    !take(&s, 2, 0, 59, &tm.tm_min) || !take_char(&s, ":") ||
	    !take(&s, 2, 0, 60, &tm.tm_sec) || !take_fraction(&s, &fraction) ||
	    !take_offset(&s, &offset) || *s)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (tm.tm_mday > days_of_month(tm.tm_year + 1900, tm.tm_mon))
		return -EINVAL; /* timegm would make 1 July of 31 June */
	seconds = timegm(&tm) - offset;
	if (seconds < 0 || (uint64_t)seconds > UINT64_MAX / NS_PER_SEC - 1)
		return -ERANGE;
	*ret_ns = (uint64_t)seconds * NS_PER_SEC + fraction;
	return 0;
}

int parse_time(const char *s, uint64_t now_ns, uint64_t *ret_ns)
{
	uint64_t us;
	int r = parse_duration(s, &us);

	if (r == -EINVAL)
		return parse_rfc3339(s, ret_ns);
	if (r < 0)
		return r;
	*ret_ns = us > now_ns / NS_PER_USEC ? 0 : now_ns - us * NS_PER_USEC;
	return 0;
}

bool parse_field(const char *line, unsigned n, const char **ret, size_t *ret_len)
{
	for (;;) {
		size_t len;

		line += strspn(line, " \t");
		len = strcspn(line, " \t\n");
		if (len == 0)
			return false;
		if (n-- == 0) {
			*ret = line;
			*ret_len = len;
			return true;
		}
		line += len;
	}
}
