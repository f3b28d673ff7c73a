/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions: what Go accepts and refuses, what matches, by which path, and within which limits. */
#include <errno.h>
#include <stdio.h>
#include "base/strbuf.h"
#include "route/relabel/regex.h"
#include "test.h"

static struct regex *compile(const char *text, unsigned flags)
{
	struct regex *r = NULL;
	char why[200] = "";

	if (regex_compile(text, strlen(text), flags, why, sizeof(why), &r) < 0)
		fail_msg("%s: %s", text, why);
	return r;
}

static enum regex_result match(const char *regex, const char *text)
{
	_cleanup_(regex_scratch_freep) struct regex_scratch *s = NULL;
	_cleanup_(regex_freep) struct regex *plain = compile(regex, 0);
	_cleanup_(regex_freep) struct regex *groups = compile(regex, REGEX_CAPTURES);
	enum regex_result r;

	assert_int_equal(regex_scratch_new(&s), 0);
	r = regex_match(plain, s, text, strlen(text));
	/* Groups never change what matches. */
	assert_int_equal(regex_match(groups, s, text, strlen(text)), r);
	return r;
}

static void refused_with_the_offset(void **state)
{
	static const struct {
		const char *regex, *why;
	} cases[] = {
		{ "a(b", "missing closing ) at offset 1" },
		{ "a)b", "unexpected ) at offset 1" },
		{ "[a", "missing closing ] at offset 0" },
		{ "a**", "a repeat of a repeat at offset 2" },
		{ "a++", "a repeat of a repeat at offset 2" },
		{ "*a", "nothing to repeat at offset 0" },
		{ "a|*", "nothing to repeat at offset 2" },
		{ "(?:*)", "nothing to repeat at offset 3" },
		{ "a{1001}", "the numbers of the repeat are not 0 to 1000 in order at offset 1" },
		{ "a{3,2}", "the numbers of the repeat are not 0 to 1000 in order at offset 1" },
		{ "((a{100}){10}){2}", "more than 1000 repeats at offset 14" },
		{ "(a)\\1", "back-references are not supported at offset 3" },
		{ "\\9", "back-references are not supported at offset 0" },
		{ "(?=a)", "this kind of group is not supported at offset 0" },
		{ "(?!a)", "this kind of group is not supported at offset 0" },
		{ "(?<=a)", "this kind of group is not supported at offset 0" },
		{ "(?>a)", "this kind of group is not supported at offset 0" },
		{ "(?R)", "this kind of group is not supported at offset 0" },
		{ "(?1)", "this kind of group is not supported at offset 0" },
		{ "(?C1)", "this kind of group is not supported at offset 0" },
		{ "(?(1)a|b)", "this kind of group is not supported at offset 0" },
		{ "(?x)a", "this kind of group is not supported at offset 0" },
		{ "(?-)", "this kind of group is not supported at offset 0" },
		{ "(*UTF8)a", "nothing to repeat at offset 1" },
		{ "\\C", "unknown escape sequence at offset 0" },
		{ "\\K", "unknown escape sequence at offset 0" },
		{ "\\R", "unknown escape sequence at offset 0" },
		{ "\\X", "unknown escape sequence at offset 0" },
		{ "\\G", "unknown escape sequence at offset 0" },
		{ "\\Z", "unknown escape sequence at offset 0" },
		{ "\\h", "unknown escape sequence at offset 0" },
		{ "\\H", "unknown escape sequence at offset 0" },
		{ "\\V", "unknown escape sequence at offset 0" },
		{ "\\N", "unknown escape sequence at offset 0" },
		{ "\\e", "unknown escape sequence at offset 0" },
		{ "\\cA", "unknown escape sequence at offset 0" },
		{ "\\o{7}", "unknown escape sequence at offset 0" },
		{ "a\\", "backslash at the end at offset 1" },
		{ "[b-a]", "the range of characters ends before it begins at offset 1" },
		{ "[a-\\d]", "unknown escape sequence at offset 3" },
		{ "\\p{Foo}", "unknown character property at offset 0" },
		{ "\\p{greek}", "unknown character property at offset 0" },
		{ "[[:foo:]]", "unknown character class at offset 1" },
		{ "(?P<n>a)(?P<n>b)", "two groups of one name at offset 8" },
		{ "(?P<>a)", "bad name of a group at offset 0" },
		{ "(?P<a b>a)", "bad name of a group at offset 0" },
		{ "a\xff", "not UTF-8 at offset 0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct regex *r = NULL;
		char why[200] = "";

		assert_int_equal(regex_compile(cases[i].regex, strlen(cases[i].regex),
					       REGEX_CAPTURES, why, sizeof(why), &r),
				 -EINVAL);
		assert_string_equal(why, cases[i].why);
		assert_null(r);
	}
}

static void refused_by_size(void **state)
{
	struct strbuf b _cleanup_strbuf_ = STRBUF_INIT;
	struct regex *r = NULL;
	char why[200] = "";

	for (int depth = 250; depth <= 251; depth++) {
		strbuf_clear(&b);
		for (int i = 0; i < depth; i++)
			strbuf_addch(&b, '(');
		strbuf_addch(&b, 'a');
		for (int i = 0; i < depth; i++)
			strbuf_addch(&b, ')');
		assert_int_equal(regex_compile(b.data, b.len, REGEX_CAPTURES, why, sizeof(why), &r),
				 depth == 250 ? 0 : -EINVAL);
		if (depth == 250)
			r = regex_free(r);
	}
	assert_string_equal(why, "groups are nested more than 250 deep at offset 250");
	strbuf_clear(&b);
	for (int i = 0; i < 32769; i++)
		strbuf_addch(&b, 'a');
	assert_int_equal(regex_compile(b.data, b.len, 0, why, sizeof(why), &r), -EINVAL);
	assert_string_equal(why, "longer than 32 KiB at offset 0");
	assert_int_equal(regex_compile(b.data, b.len - 1, 0, why, sizeof(why), &r), 0);
	(void)regex_free(r);
}

static void means_what_it_means_in_go(void **state)
{
	static const struct {
		const char *regex, *text;
		bool match;
	} cases[] = {
		{ "a\\sb", "a\vb", false },
		{ "a\\sb", "a\fb", true },
		{ "[[:space:]]", "\v", true },
		{ "\\v", "\v", true },
		{ "\\d", "\xd9\xa3", false },
		{ "\\w", "\xc3\xa4", false },
		{ "(?i)k", "\xe2\x84\xaa", true },
		{ "(?i)\xe2\x84\xaa", "k", true },
		{ "(?i)sin", "\xc5\xbfin", true },
		{ "(?i)[k]x",
		  "\xe2\x84\xaa"
		  "X",
		  true },
		{ "(?i)\\w", "\xe2\x84\xaa", true },
		{ "(?i)\xce\xa3", "\xcf\x82", true },
		{ "(?i)\\p{Lu}", "a", true },
		{ "(?i)\\P{Lu}", "a", false },
		{ "(?i)[^\\P{Lu}]", "a", true },
		{ "(?i)[^\\p{Lu}x]", "1", true },
		{ "x{,3}", "x{,3}", true },
		{ "x{", "x{", true },
		{ "{}", "{}", true },
		{ "]", "]", true },
		{ "a{0}b", "b", true },
		{ "\\Qa.b\\E.", "a.bc", true },
		{ "\\Qa.b", "a.b", true },
		{ "\\101\\x42\\x{43}", "ABC", true },
		{ "\\0", "", false },
		{ "[\\]a-]+", "]-a", true },
		{ "[^\\x00-\\x{10FFFF}]", "a", false },
		{ "[\\x{d800}-\\x{dfff}]|a", "a", true },
		{ "\\p{Greek}+", "\xce\xb1\xce\xb2", true },
		{ "\\p{Greek}", "a", false },
		{ "\\pL\\p{^L}\\PL", "a1-", true },
		{ ".", "\n", true },
		{ "(?-s).", "\n", false },
		{ "(?-s:.)(?s:.)", "a\n", true },
		{ "x$", "x\n", false },
		{ "(?m)x$\n^y", "x\ny", true },
		{ "(?m)a\n^", "a\n", true },
		{ "a(?i)b|c", "C", true },
		{ "(a(?i)b)c", "aBC", false },
		{ "a*(?i)*", "aaa", true },
		{ "(?U)a+b", "aab", true },
		{ "\\bfoo\\b.*", "foo bar", true },
		{ "f\\Boo", "foo", true },
		{ "a|", "", true },
		{ "(|a)*", "aa", true },
		{ "(a|b*)*c", "abbac", true },
		{ "(?:)", "", true },
		{ "", "a", false },
		{ "a", "ab", false },
		{ "^a$|b", "a", true },
		{ "^^a$$", "a", true },
		{ "a$b", "ab", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (match(cases[i].regex, cases[i].text) != (cases[i].match ? REGEX_YES : REGEX_NO))
			fail_msg("%s on %s", cases[i].regex, cases[i].text);
}

/* GW-RL-16: the path, and that it decides as PCRE2 does: (?:) in a repeat keeps an expression off the fast paths. */
static void fast_paths(void **state)
{
	static const struct {
		const char *regex, *path;
	} cases[] = {
		{ "foo", "literal" },
		{ "^foo$", "literal" },
		{ "", "literal" },
		{ "f(o)o", "literal" },
		{ "foo|bar|x", "literal set" },
		{ "(foo|bar|)", "literal set" },
		{ "^foo$|^bar$", "literal set" },
		{ "foo.*", "prefix" },
		{ "foo.+", "prefix" },
		{ "(fo)o(.*)", "prefix" },
		{ ".*bar", "suffix" },
		{ "(.+)(bar)", "suffix" },
		{ "foo(.*)bar", "prefix and suffix" },
		{ ".*", "anything" },
		{ "(.*)", "anything" },
		{ ".+", "not empty" },
		{ "(?i)foo", "literal in any case" },
		{ "(?i)kiss-1", "literal in any case" },
	};
	static const char *const texts[] = {
		"",	    "foo",     "bar",	 "x",
		"foobar",   "fooxbar", "FOO",	 "fOo\n",
		"foo\n",    "xbar",    "barbar", "fo",
		"\xc3\xa4", "KISS-1",  "kiss-1", "\xe2\x84\xaai\xc5\xbf\xc5\xbf-1",
		"fooba"
	};
	_cleanup_(regex_scratch_freep) struct regex_scratch *s = NULL;

	assert_int_equal(regex_scratch_new(&s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(regex_freep) struct regex *plain = compile(cases[i].regex, 0);
		_cleanup_(regex_freep) struct regex *fast = NULL, *slow = NULL;
		char longer[100];

		(void)snprintf(longer, sizeof(longer), "(?:a{0}){0,1}(?:%s)", cases[i].regex);
		fast = compile(cases[i].regex, strstr(cases[i].regex, "?i") ? 0 : REGEX_CAPTURES);
		slow = compile(longer, REGEX_CAPTURES);
		assert_string_equal(regex_path(plain), cases[i].path);
		assert_string_equal(regex_path(fast), cases[i].path);
		assert_string_equal(regex_path(slow), "PCRE2 JIT");
		for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
			size_t len = strlen(texts[k]), from[3] = {}, to[3] = {}, a, b;
			enum regex_result want = regex_match(slow, s, texts[k], len);
			bool took[3] = {};

			for (unsigned g = 0; want == REGEX_YES && g <= regex_n_captures(slow); g++)
				took[g] = regex_capture(slow, s, g, &from[g], &to[g]);
			assert_int_equal(regex_match(plain, s, texts[k], len), want);
			assert_int_equal(regex_match(fast, s, texts[k], len), want);
			if (strstr(cases[i].regex, "?i"))
				continue;
			for (unsigned g = 0; want == REGEX_YES && g <= regex_n_captures(slow);
			     g++) {
				assert_int_equal(regex_capture(fast, s, g, &a, &b), took[g]);
				assert_int_equal(a, from[g]);
				assert_int_equal(b, to[g]);
			}
		}
	}
}

static void set_of_a_thousand(void **state)
{
	struct strbuf b _cleanup_strbuf_ = STRBUF_INIT;
	_cleanup_(regex_scratch_freep) struct regex_scratch *s = NULL;
	_cleanup_(regex_freep) struct regex *r = NULL;
	char text[32];

	for (int i = 0; i < 1000; i++)
		strbuf_addf(&b, "%sword_%d", i ? "|" : "", i);
	r = compile(strbuf_str(&b), 0);
	assert_int_equal(regex_scratch_new(&s), 0);
	for (int i = 0; i < 2000; i++) {
		int len = snprintf(text, sizeof(text), "word_%d", i);

		assert_int_equal(regex_match(r, s, text, (size_t)len),
				 i < 1000 ? REGEX_YES : REGEX_NO);
	}
}

/* GW-RL-15: where backtracking explodes, the linear matcher decides; with groups there is no answer. */
static void limits(void **state)
{
	_cleanup_(regex_scratch_freep) struct regex_scratch *s = NULL;
	_cleanup_(regex_freep) struct regex *plain = compile("(?:a|aa|b)+c|(?:x+x+)+y", 0);
	_cleanup_(regex_freep) struct regex *groups =
		compile("(?:a|aa|b)+c|((?:x+x+)+y)", REGEX_CAPTURES);
	char text[256];

	assert_int_equal(regex_scratch_new(&s), 0);
	/* The letter that it must end with is there, but not at the end: no shortcut finds that out. */
	memset(text, 'a', sizeof(text));
	text[254] = 'c';
	assert_int_equal(regex_match(groups, s, text, sizeof(text)), REGEX_LIMIT);
	assert_int_equal(regex_match(plain, s, text, sizeof(text)), REGEX_NO);
	text[254] = 'a';
	text[255] = 'c';
	assert_int_equal(regex_match(plain, s, text, sizeof(text)), REGEX_YES);
	memset(text, 'x', sizeof(text));
	text[254] = 'y';
	assert_int_equal(regex_match(plain, s, text, sizeof(text)), REGEX_NO);
}

static void unsure_groups(void **state)
{
	static const struct {
		const char *regex;
		unsigned group;
		bool unsure;
	} cases[] = {
		{ "(a|b*)*", 1, true },	  { "(a|b)*", 1, false },	 { "(a*)", 1, false },
		{ "(a*)+", 1, true },	  { "(a*)?", 1, false },	 { "(x)(a*)*", 1, false },
		{ "(x)(a*)*", 2, true },  { "(?:(a)|b*){2,}", 1, true }, { "(?:(a)b)*", 1, false },
		{ "(?:(a)?)*", 1, true }, { "(\\b)*", 1, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(regex_freep) struct regex *r = compile(cases[i].regex, REGEX_CAPTURES);

		assert_int_equal(regex_capture_unsure(r, cases[i].group), cases[i].unsure);
	}
}

static void names_of_groups(void **state)
{
	_cleanup_(regex_freep) struct regex *r =
		compile("(a)(?P<two>b)(?<three>c)", REGEX_CAPTURES);

	assert_int_equal(regex_n_captures(r), 3);
	assert_int_equal(regex_find_name(r, "two", 3), 2);
	assert_int_equal(regex_find_name(r, "three", 5), 3);
	assert_int_equal(regex_find_name(r, "tw", 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_with_the_offset),
		cmocka_unit_test(refused_by_size),
		cmocka_unit_test(means_what_it_means_in_go),
		cmocka_unit_test(fast_paths),
		cmocka_unit_test(set_of_a_thousand),
		cmocka_unit_test(limits),
		cmocka_unit_test(unsure_groups),
		cmocka_unit_test(names_of_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
