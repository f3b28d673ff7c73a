/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"
#include "base/time.h"
#include "test.h"

static const char *format(uint64_t ns, unsigned digits)
{
	static char room[64];
	struct strbuf b;

	strbuf_init_fixed(&b, room, sizeof(room));
	time_add_rfc3339(&b, ns, digits);
	assert_int_equal(b.error, 0);
	return room;
}

static void test_rfc3339(void **state)
{
	static const struct {
		uint64_t ns;
		unsigned digits;
		const char *text;
	} cases[] = {
		{ 0, 0, "1970-01-01T00:00:00Z" },
		{ 0, 9, "1970-01-01T00:00:00.000000000Z" },
		{ 1795339867482113904ULL, 9, "2026-11-22T09:31:07.482113904Z" },
		{ 1795339867482113904ULL, 3,
		  "2026-11-22T09:31:07.482Z" }, /* cut, never rounded up */
		{ 1795339867999999999ULL, 3, "2026-11-22T09:31:07.999Z" },
		{ 1795339867482113904ULL, 0, "2026-11-22T09:31:07Z" },
		{ 1709164800000000001ULL, 9, "2024-02-29T00:00:00.000000001Z" },
		{ UINT64_MAX, 9, "2554-07-21T23:34:33.709551615Z" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(format(cases[i].ns, cases[i].digits), cases[i].text);
}

/* What we write, we read: one time in each 11 days and some of nanoseconds. */
static void test_there_and_back(void **state)
{
	for (uint64_t ns = 0; ns < 9000000000000000000ULL; ns += 987654321987654ULL) {
		uint64_t back = 0;

		assert_int_equal(parse_rfc3339(format(ns, 9), &back), 0);
		assert_int_equal(back, ns);
	}
}

static void test_clocks(void **state)
{
	uint64_t mono = time_mono_us(), boot = time_boot_ns(), wall = time_wall_ns();

	assert_true(mono <= time_mono_us());
	assert_true(boot <= time_boot_ns());
	assert_true(boot / NS_PER_USEC >= mono); /* the boot clock runs in suspend too */
	assert_true(wall > 1600000000ULL * NS_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc3339),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
