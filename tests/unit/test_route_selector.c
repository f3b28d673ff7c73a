/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors and series as text. */
#include <errno.h>
#include <stdio.h>
#include "base/strbuf.h"
#include "route/relabel/selector.h"
#include "test.h"

static void what_matches(void **state)
{
	static const struct {
		const char *selector, *series;
		bool match;
	} cases[] = {
		{ "up", "up", true },
		{ "up", "down{a=\"b\"}", false },
		{ "up{}", "up{a=\"b\"}", true },
		{ "{}", "up{a=\"b\"}", true },
		{ "ns:up:sum", "ns:up:sum", true },
		{ "up{job=\"api\"}", "up{job=\"api\",x=\"1\"}", true },
		{ "up{job=\"api\",}", "up{job=\"api\"}", true },
		{ "up{job!=\"api\"}", "up{job=\"api\"}", false },
		{ "{job!=\"api\"}", "up", true },
		{ "{job=\"\"}", "up", true },
		{ "{job=~\"\"}", "up", true },
		{ "{job=~\".+\"}", "up", false },
		{ "{job=~\"a|b.*\"}", "up{job=\"bc\"}", true },
		{ "{job=~\"b\"}", "up{job=\"bc\"}", false },
		{ "{job!~\"b.*\"}", "up{job=\"bc\"}", false },
		{ "{job!~\"b\"}", "up{job=\"bc\"}", true },
		{ "{\"my.metric\"}", "{\"my.metric\"}", true },
		{ "{\"my.metric\",\"a.b\"=\"1\"}", "{\"my.metric\",\"a.b\"=\"1\"}", true },
		{ "{__name__=~\"u.\"}", "up", true },
		{ "{a=\"1\" or b=\"2\"}", "up{b=\"2\"}", true },
		{ "{a=\"1\",b=\"1\" or b=\"2\"}", "up{a=\"1\"}", false },
		{ "{a=\"1\",b=\"1\" or b=\"2\"}", "up{a=\"1\",b=\"1\"}", true },
		{ "up{a=\"1\" or b=\"2\"}", "down{b=\"2\"}", false },
		{ "{or=\"1\"}", "up{or=\"1\"}", true },
		{ "{a=\"1\" or or=\"1\"}", "up{or=\"1\"}", true },
		{ "{order=\"1\"}", "up{order=\"1\"}", true },
		{ " up { a = \"1\" , b =~ 'x' } ", "up{a=\"1\",b=\"x\"}", true },
		{ "{a=\"\\\"\\x41\\u00e4\\n\"}", "{a=\"\\\"A\xc3\xa4\\n\"}", true },
		{ "{a=`\\d`}", "{a=\"\\\\d\"}", true },
		{ "{a=~`\\d`}", "{a=\"1\"}", true },
	};
	_cleanup_(relabel_context_freep) struct relabel_context *c = NULL;

	assert_int_equal(relabel_context_new(&c), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(selector_freep) struct selector *s = NULL;
		_cleanup_(arena_freep) struct arena *arena = NULL;
		const struct rw_label *labels;
		char why[200] = "";
		size_t n;

		assert_int_equal(arena_new(0, &arena), 0);
		if (series_parse(cases[i].series, arena, why, sizeof(why), &labels, &n) < 0 ||
		    selector_parse(cases[i].selector, why, sizeof(why), &s) < 0)
			fail_msg("%s, %s: %s", cases[i].selector, cases[i].series, why);
		if (selector_match(s, c, labels, n) != cases[i].match)
			fail_msg("%s on %s", cases[i].selector, cases[i].series);
	}
}

static void what_is_refused(void **state)
{
	static const struct {
		const char *selector, *why;
	} cases[] = {
		{ "", "empty selector at offset 0" },
		{ "9x", "a metric name or { is missing at offset 0" },
		{ "up{", "a label name is missing at offset 3" },
		{ "up{a}", "=, !=, =~ or !~ is missing at offset 4" },
		{ "up{a=b}", "a quoted value is missing at offset 5" },
		{ "up{a=\"b}", "missing closing quote at offset 8" },
		{ "up{a=\"\\q\"}", "unknown escape sequence at offset 7" },
		{ "up{a=\"\\xff\"}", "not UTF-8 at offset 10" },
		{ "up{a=\"b\" c=\"d\"}", "}, comma or `or` is missing at offset 9" },
		{ "up{a=\"b\" or }", "a matcher is missing behind `or` at offset 13" },
		{ "up{a=\"b\"} x", "text behind the selector at offset 10" },
		{ "up{a=~\"(\"}",
		  "regular expression before offset 9: missing closing ) at offset 0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct selector *s = NULL;
		char why[200] = "";

		assert_int_equal(selector_parse(cases[i].selector, why, sizeof(why), &s), -EINVAL);
		assert_string_equal(why, cases[i].why);
	}
}

static void series_are_canonical(void **state)
{
	_cleanup_(arena_freep) struct arena *arena = NULL;
	const struct rw_label *labels;
	char why[200] = "";
	size_t n;

	assert_int_equal(arena_new(0, &arena), 0);
	assert_int_equal(series_parse("up{z=\"1\",a=\"2\",e=\"\"}", arena, why, sizeof(why),
				      &labels, &n),
			 0);
	assert_int_equal(n, 3);
	assert_memory_equal(labels[0].name, "__name__", 8);
	assert_memory_equal(labels[1].name, "a", 1);
	assert_memory_equal(labels[2].name, "z", 1);
	assert_int_equal(series_parse("up{a=\"1\",a=\"2\"}", arena, why, sizeof(why), &labels, &n),
			 -EINVAL);
	assert_string_equal(why, "a label is given twice at offset 15");
	assert_int_equal(series_parse("up{a~\"1\"}", arena, why, sizeof(why), &labels, &n),
			 -EINVAL);
	assert_string_equal(why, "= is missing at offset 4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_matches),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(series_are_canonical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
