/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantities of Kubernetes
 *
 * A decimal number with a suffix that is a power of 2 or of 10, or an exponent. Kept as mantissa * 2^shift * 10^scale in
 * integers of 128 bits, because "1.1Gi" has no exact floating point form.
 * Source: apimachinery, pkg/api/resource/quantity.go
 */

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "base/macro.h"
#include "base/parse.h"
#include "sys/quantity.h"

typedef unsigned __int128 u128;

struct number {
	u128 mantissa;
	int scale; /* power of ten */
	unsigned shift; /* power of two */
};

static const struct {
	const char *text;
	int scale;
	unsigned shift;
} suffixes[] = {
	{ "", 0, 0 },	 { "n", -9, 0 },  { "u", -6, 0 },  { "m", -3, 0 },
	{ "k", 3, 0 },	 { "M", 6, 0 },	  { "G", 9, 0 },   { "T", 12, 0 },
	{ "P", 15, 0 },	 { "E", 18, 0 },  { "Ki", 0, 10 }, { "Mi", 0, 20 },
	{ "Gi", 0, 30 }, { "Ti", 0, 40 }, { "Pi", 0, 50 }, { "Ei", 0, 60 },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool multiply(u128 *v, u128 by)
{
	return !__builtin_mul_overflow(*v, by, v);
}

static bool add_digit(u128 *v, char c)
{
	return multiply(v, 10) && !__builtin_add_overflow(*v, (u128)(c - '0'), v);
}

/* Digits with one point among them. Zeros at the end of a fraction say nothing and cost no room. */
static int scan_number(const char **s, struct number *ret)
{
	const char *p = *s;
	size_t digits = 0;
	int zeros = 0;

	for (; is_digit(*p); p++, digits++)
		if (!add_digit(&ret->mantissa, *p))
			return -ERANGE;
	if (*p == '.') {
		for (p++; is_digit(*p); p++, digits++) {
			zeros++;
			if (*p == '0')
				continue;
			for (; zeros > 0; zeros--, ret->scale--)
				if (!add_digit(&ret->mantissa, zeros > 1 ? '0' : *p))
					return -ERANGE;
		}
	}
	if (digits == 0)
		return -EINVAL;
	*s = p;
	return 0;
}

static int scan_exponent(const char *s, struct number *n)
{
	bool negative = *s == '-';
	int64_t exponent;
	int r;

	if (*s == '+' || *s == '-')
		s++;
	if (!is_digit(*s))
		return -EINVAL;
	r = parse_i64(s, &exponent);
	if (r < 0)
		return r;
	if (exponent > 100)
		return -ERANGE;
	n->scale += negative ? -(int)exponent : (int)exponent;
	return 0;
}

static int scan_suffix(const char *s, struct number *n)
{
	if ((*s == 'e' || *s == 'E') && s[1] && s[1] != 'i')
		return scan_exponent(s + 1, n);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (!streq(s, suffixes[i].text))
			continue;
		n->scale += suffixes[i].scale;
		n->shift = suffixes[i].shift;
		return 0;
	}
	return -EINVAL;
}

static int value_of(const struct number *n, uint64_t *ret)
{
	u128 v = n->mantissa;

	if (!multiply(&v, (u128)1 << n->shift))
		return -ERANGE;
	for (int i = 0; v && i < n->scale; i++)
		if (!multiply(&v, 10))
			return -ERANGE;
	/* One division after the other rounds up to the same as one by the product. */
	for (int i = 0; v > 1 && i > n->scale; i--)
		v = v / 10 + (v % 10 != 0);
	if (v > INT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)v;
	return 0;
}

int quantity_parse(const char *s, uint64_t *ret)
{
	struct number n = {};
	bool negative = *s == '-';
	int r;

	if (*s == '+' || *s == '-')
		s++;
	r = scan_number(&s, &n);
	if (r >= 0)
		r = scan_suffix(s, &n);
	if (r >= 0 && negative && n.mantissa)
		r = -ERANGE;
	return r < 0 ? r : value_of(&n, ret);
}
