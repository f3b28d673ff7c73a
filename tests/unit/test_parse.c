/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "base/parse.h"
#include "base/time.h"
#include "test.h"

/* Every refusal leaves the output as it was. */
#define UNTOUCHED 0x5a5a5a5aULL

struct number {
	const char *text;
	int r;
	uint64_t value;
};

static void test_u64(void **state)
{
	static const struct number cases[] = {
		{ "0", 0, 0 },
		{ "007", 0, 7 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1e3", -EINVAL, 0 },
		{ "1\n", -EINVAL, 0 },
		{ "\xd9\xa1", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = UNTOUCHED;

		assert_int_equal(parse_u64(cases[i].text, &v), cases[i].r);
		assert_int_equal(v, cases[i].r ? UNTOUCHED : cases[i].value);
	}
}

static void test_i64(void **state)
{
	static const struct {
		const char *text;
		int r;
		int64_t value;
	} cases[] = {
		{ "0", 0, 0 },
		{ "-0", 0, 0 },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "9223372036854775808", -ERANGE, 0 },
		{ "-9223372036854775808", 0, INT64_MIN },
		{ "-9223372036854775809", -ERANGE, 0 },
		{ "-", -EINVAL, 0 },
		{ "--1", -EINVAL, 0 },
		{ "- 1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t v = UNTOUCHED;

		assert_int_equal(parse_i64(cases[i].text, &v), cases[i].r);
		assert_true(v == (cases[i].r ? (int64_t)UNTOUCHED : cases[i].value));
	}
}

static void test_u32(void **state)
{
	static const struct number cases[] = {
		{ "4294967295", 0, UINT32_MAX },
		{ "4294967296", -ERANGE, 0 },
		{ "-1", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t v = UNTOUCHED;

		assert_int_equal(parse_u32(cases[i].text, &v), cases[i].r);
		assert_int_equal(v, cases[i].r ? UNTOUCHED : cases[i].value);
	}
}

static void test_hex(void **state)
{
	static const struct number cases[] = {
		{ "0", 0, 0 },
		{ "fFaA09", 0, 0xffaa09 },
		{ "ffffffffffffffff", 0, UINT64_MAX },
		{ "10000000000000000", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "0x1", -EINVAL, 0 },
		{ "g", -EINVAL, 0 },
		{ "@", -EINVAL, 0 },
		{ "\xc1", -EINVAL, 0 },
	};
	uint64_t v = UNTOUCHED;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		v = UNTOUCHED;
		assert_int_equal(parse_hex64(cases[i].text, strlen(cases[i].text), &v), cases[i].r);
		assert_int_equal(v, cases[i].r ? UNTOUCHED : cases[i].value);
	}
	assert_int_equal(parse_hex64("12zz", 2, &v), 0);
	assert_int_equal(v, 0x12);
}

static void test_double(void **state)
{
	static const struct {
		const char *text;
		int r;
		double value;
	} cases[] = {
		{ "0", 0, 0 },
		{ "1.5", 0, 1.5 },
		{ ".5", 0, .5 },
		{ "-2e3", 0, -2000 },
		{ "1e-3", 0, .001 },
		{ "1e999", -ERANGE, 0 },
		{ "-1e999", -ERANGE, 0 },
		{ "inf", -EINVAL, 0 },
		{ "-inf", -EINVAL, 0 },
		{ "-nan", -EINVAL, 0 },
		{ "nan", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1p3", -EINVAL, 0 },
		{ "1,5", -EINVAL, 0 },
		{ "1.5 ", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "-", -EINVAL, 0 },
		{ ".", -EINVAL, 0 },
		{ "1e", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		double v = -7;

		assert_int_equal(parse_double(cases[i].text, &v), cases[i].r);
		assert_true(v == (cases[i].r ? -7 : cases[i].value));
	}
}

static void test_bool(void **state)
{
	static const char *const refused[] = {
		"", "1", "0", "yes", "no", "on", "True", "true ", "t"
	};
	bool v = false;

	assert_int_equal(parse_bool("true", &v), 0);
	assert_true(v);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		assert_int_equal(parse_bool(refused[i], &v), -EINVAL);
		assert_true(v);
	}
	assert_int_equal(parse_bool("false", &v), 0);
	assert_false(v);
}

static void test_size(void **state)
{
	static const struct number cases[] = {
		{ "0", 0, 0 },
		{ "0B", 0, 0 },
		{ "12B", 0, 12 },
		{ "4KiB", 0, 4096 },
		{ "4k", 0, 4096 },
		{ "4K", 0, 4096 },
		{ "4KB", 0, 4000 },
		{ "1.5MiB", 0, 1536 << 10 },
		{ "2GB", 0, 2000000000 },
		{ "0.5GiB", 0, 1ULL << 29 },
		{ "3TiB", 0, 3ULL << 40 },
		{ "16777215TiB", 0, 16777215ULL << 40 },
		{ "16777216TiB", -ERANGE, 0 },
		{ "16777215.9999999999TiB", 0, (16777215ULL << 40) + 1099511626676 },
		{ "18446744073709551615B", 0, UINT64_MAX },
		{ "18446744073709551615.9B", 0, UINT64_MAX },
		{ "18446744073709551616B", -ERANGE, 0 },
		{ "12", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "-1B", -EINVAL, 0 },
		{ "1 B", -EINVAL, 0 },
		{ "1B ", -EINVAL, 0 },
		{ "1kib", -EINVAL, 0 },
		{ "1KiBB", -EINVAL, 0 },
		{ "1KiB1B", -EINVAL, 0 },
		{ "1.KiB", -EINVAL, 0 },
		{ ".5KiB", -EINVAL, 0 },
		{ "KiB", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = UNTOUCHED;

		assert_int_equal(parse_size(cases[i].text, &v), cases[i].r);
		assert_int_equal(v, cases[i].r ? UNTOUCHED : cases[i].value);
	}
}

static void test_duration(void **state)
{
	static const struct number cases[] = {
		{ "0", 0, 0 },
		{ "0s", 0, 0 },
		{ "1us", 0, 1 },
		{ "500ms", 0, 500000 },
		{ "15s", 0, 15000000 },
		{ "1.5s", 0, 1500000 },
		{ "1h30m", 0, 5400000000 },
		{ "1w2d3h4m5s6ms7us", 0, 788645006007 },
		{ "0.0000004s", 0, 0 },
		{ "18446744073709551615us", 0, UINT64_MAX },
		{ "18446744073709551615us1us", -ERANGE, 0 },
		{ "18446744073709552s", -ERANGE, 0 },
		{ "30500569w", -ERANGE, 0 },
		{ "15", -EINVAL, 0 },
		{ "1h30", -EINVAL, 0 },
		{ "1h 30m", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },
		{ "1S", -EINVAL, 0 },
		{ "1y", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = UNTOUCHED;

		assert_int_equal(parse_duration(cases[i].text, &v), cases[i].r);
		assert_int_equal(v, cases[i].r ? UNTOUCHED : cases[i].value);
	}
}

static void test_rfc3339(void **state)
{
	static const struct number cases[] = {
		{ "1970-01-01T00:00:00Z", 0, 0 },
		{ "2026-11-22T09:31:07.482113904Z", 0, 1795339867482113904 },
		{ "2026-11-22T09:31:07.4821139049Z", 0, 1795339867482113904 },
		{ "2026-11-22 09:31:07z", 0, 1795339867000000000 },
		{ "2026-11-22T11:31:07+02:00", 0, 1795339867000000000 },
		{ "2026-11-22T04:01:07-05:30", 0, 1795339867000000000 },
		{ "2024-02-29T00:00:00Z", 0, 1709164800000000000 },
		{ "2016-12-31T23:59:60Z", 0, 1483228800000000000 },
		{ "2262-12-31T23:59:59Z", 0, 9246182399000000000ULL },
		{ "2023-02-29T00:00:00Z", -EINVAL, 0 },
		{ "2026-06-31T00:00:00Z", -EINVAL, 0 },
		{ "2026-06-31T10:00:07Z", -EINVAL, 0 },
		{ "2100-02-29T12:00:00Z", -EINVAL, 0 },
		{ "1970-01-01T00:00:00+00:01", -ERANGE, 0 },
		{ "1969-12-31T23:59:59Z", -EINVAL, 0 },
		{ "2263-01-01T00:00:00Z", -EINVAL, 0 },
		{ "2026-13-01T00:00:00Z", -EINVAL, 0 },
		{ "2026-00-01T00:00:00Z", -EINVAL, 0 },
		{ "2026-01-00T00:00:00Z", -EINVAL, 0 },
		{ "2026-01-01T24:00:00Z", -EINVAL, 0 },
		{ "2026-01-01T00:60:00Z", -EINVAL, 0 },
		{ "2026-01-01T00:00:61Z", -EINVAL, 0 },
		{ "2026-01-01T00:00:00", -EINVAL, 0 },
		{ "2026-01-01T00:00:00.Z", -EINVAL, 0 },
		{ "2026-01-01T00:00:00+0200", -EINVAL, 0 },
		{ "2026-01-01T00:00:00+24:00", -EINVAL, 0 },
		{ "2026-01-01T00:00:00Z ", -EINVAL, 0 },
		{ "2026-01-01", -EINVAL, 0 },
		{ "2026-1-1T00:00:00Z", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = UNTOUCHED;

		assert_int_equal(parse_rfc3339(cases[i].text, &v), cases[i].r);
		assert_int_equal(v, cases[i].r ? UNTOUCHED : cases[i].value);
	}
}

static void test_time(void **state)
{
	const uint64_t now = 1795339867482113904;
	uint64_t v = UNTOUCHED;

	assert_int_equal(parse_time("10m", now, &v), 0);
	assert_int_equal(v, now - 600 * NS_PER_SEC);
	assert_int_equal(parse_time("0", now, &v), 0);
	assert_int_equal(v, now);
	assert_int_equal(parse_time("5200w", now, &v), 0);
	assert_int_equal(v, 0); /* before 1970 */
	assert_int_equal(parse_time("1970-01-01T00:00:01Z", now, &v), 0);
	assert_int_equal(v, NS_PER_SEC);
	v = UNTOUCHED;
	assert_int_equal(parse_time("yesterday", now, &v), -EINVAL);
	assert_int_equal(parse_time("99999999999w", now, &v), -ERANGE);
	assert_int_equal(v, UNTOUCHED);
}

static void test_field(void **state)
{
	static const struct {
		const char *line;
		unsigned n;
		const char *field;
	} cases[] = {
		{ "a bc\td\n", 0, "a" },  { "a bc\td\n", 1, "bc" }, { "a bc\td\n", 2, "d" },
		{ "a bc\td\n", 3, NULL }, { "  a  ", 0, "a" },	    { "  a  ", 1, NULL },
		{ "", 0, NULL },	  { "\n", 0, NULL },	    { "a\nb", 1, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *field = NULL;
		size_t len = 0;

		assert_int_equal(parse_field(cases[i].line, cases[i].n, &field, &len),
				 cases[i].field != NULL);
		if (cases[i].field) {
			assert_int_equal(len, strlen(cases[i].field));
			assert_memory_equal(field, cases[i].field, len);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),	cmocka_unit_test(test_i64),
		cmocka_unit_test(test_u32),	cmocka_unit_test(test_hex),
		cmocka_unit_test(test_double),	cmocka_unit_test(test_bool),
		cmocka_unit_test(test_size),	cmocka_unit_test(test_duration),
		cmocka_unit_test(test_rfc3339), cmocka_unit_test(test_time),
		cmocka_unit_test(test_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
