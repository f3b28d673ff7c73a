/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "base/time.h"
#include "test.h"

#define FFFD "\xef\xbf\xbd"

/* A literal that may hold NUL bytes. */
#define TEXT(s) s, sizeof(s) - 1

static void test_utf8(void **state)
{
	static const struct {
		const char *s;
		size_t len, sequence;
	} cases[] = {
		{ TEXT("a"), 1 },
		{ TEXT("\0"), 1 },
		{ TEXT("\x7f"), 1 },
		{ TEXT("\xc3\xa9"), 2 },
		{ TEXT("\xe2\x82\xac"), 3 },
		{ TEXT("\xf0\x9f\x92\xa9"), 4 },
		{ TEXT("\xf4\x8f\xbf\xbf"), 4 }, /* U+10FFFF */
		{ TEXT("\xed\x9f\xbf"), 3 }, /* U+D7FF */
		{ TEXT(""), 0 },
		{ TEXT("\x80"), 0 }, /* a continuation alone */
		{ TEXT("\xc3"), 0 }, /* cut */
		{ TEXT("\xe2\x82"), 0 },
		{ TEXT("\xf0\x9f\x92"), 0 },
		{ TEXT("\xc0\x80"), 0 }, /* overlong NUL */
		{ TEXT("\xc1\xbf"), 0 },
		{ TEXT("\xe0\x9f\xbf"), 0 },
		{ TEXT("\xf0\x8f\xbf\xbf"), 0 },
		{ TEXT("\xed\xa0\x80"), 0 }, /* surrogate */
		{ TEXT("\xf4\x90\x80\x80"), 0 }, /* beyond U+10FFFF */
		{ TEXT("\xf5\x80\x80\x80"), 0 },
		{ TEXT("\xff"), 0 },
		{ TEXT("\xe2\x28\xa1"), 0 },
		{ TEXT("\xf0\x9f\x28\xa9"), 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(utf8_sequence(cases[i].s, cases[i].len), cases[i].sequence);
		assert_int_equal(utf8_valid(cases[i].s, cases[i].len),
				 cases[i].sequence || !cases[i].len);
	}
	assert_true(utf8_valid(TEXT("a\xc3\xa9\xe2\x82\xac")));
	assert_false(utf8_valid(TEXT("a\xc3\xa9\xe2\x82")));
}

struct escape {
	const char *s;
	size_t len;
	const char *out;
	bool replaced;
};

static void test_json(void **state)
{
	static const struct escape cases[] = {
		{ TEXT(""), "", false },
		{ TEXT("plain"), "plain", false },
		{ TEXT("a\"b\\c/"), "a\\\"b\\\\c/", false },
		{ TEXT("\n\t\r"), "\\n\\t\\r", false },
		{ TEXT("\b\f\x1b\x7f"), "\\u0008\\u000c\\u001b\\u007f", false },
		{ TEXT("a\0b"), "a\\u0000b", false },
		{ TEXT("\xc3\xa9\xf0\x9f\x92\xa9"), "\xc3\xa9\xf0\x9f\x92\xa9", false },
		{ TEXT("a\xff"
		       "b"),
		  "a" FFFD "b", true },
		{ TEXT("\xe2\x82"), FFFD FFFD, true },
		{ TEXT("\xed\xa0\x80"), FFFD FFFD FFFD, true },
		{ TEXT("\xc3\""), FFFD "\\\"", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

		assert_int_equal(text_add_json(&b, cases[i].s, cases[i].len), cases[i].replaced);
		assert_string_equal(strbuf_str(&b), cases[i].out);
	}
}

/* Whatever the bytes: JSON of any text is valid UTF-8 without control bytes or bare quotes. */
static void test_json_every_pair(void **state)
{
	for (unsigned pair = 0; pair < 0x10000; pair++) {
		char s[2] = { (char)(pair >> 8), (char)pair }, room[32];
		struct strbuf b;

		strbuf_init_fixed(&b, room, sizeof(room));
		(void)text_add_json(&b, s, sizeof(s));
		assert_int_equal(b.error, 0);
		assert_true(utf8_valid(b.data, b.len));
		for (size_t i = 0; i < b.len; i++) {
			assert_true((unsigned char)b.data[i] >= 0x20 && b.data[i] != 0x7f);
			if (b.data[i] == '\\')
				i++;
			else
				assert_true(b.data[i] != '"');
		}
	}
}

static void test_terminal(void **state)
{
	static const struct escape cases[] = {
		{ TEXT("plain \xc3\xa9"), "plain \xc3\xa9", false },
		{ TEXT("\n\t"), "\\n\\t", false },
		{ TEXT("\x1b[31m"), "\\e[31m", false },
		{ TEXT("\r\b\x7f"
		       "a\0"),
		  "\\x0d\\x08\\x7fa\\x00", false },
		{ TEXT("\xc2\x9b"
		       "2J"),
		  "\\xc2\\x9b2J", false }, /* C1 CSI */
		{ TEXT("\xc2\xa0"), "\xc2\xa0", false },
		{ TEXT("\xe2\x80\xae"), "\\xe2\\x80\\xae", false }, /* right-to-left override */
		{ TEXT("\xe2\x81\xa6"), "\\xe2\\x81\\xa6", false }, /* isolate */
		{ TEXT("\xd8\x9c"), "\\xd8\\x9c", false }, /* Arabic letter mark */
		{ TEXT("\xe2\x80\xa8"), "\\xe2\\x80\\xa8", false }, /* line separator */
		{ TEXT("\xe2\x80\xa6"), "\xe2\x80\xa6", false }, /* ellipsis */
		{ TEXT("\x9b"
		       "2J"),
		  "\\x9b2J", false },
		{ TEXT("\xe2\x82"), "\\xe2\\x82", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

		text_add_terminal(&b, cases[i].s, cases[i].len);
		assert_string_equal(strbuf_str(&b), cases[i].out);
	}
}

static void test_terminal_every_pair(void **state)
{
	for (unsigned pair = 0; pair < 0x10000; pair++) {
		char s[2] = { (char)(pair >> 8), (char)pair }, room[32];
		struct strbuf b;

		strbuf_init_fixed(&b, room, sizeof(room));
		text_add_terminal(&b, s, sizeof(s));
		assert_int_equal(b.error, 0);
		assert_true(utf8_valid(b.data, b.len));
		for (size_t i = 0; i < b.len; i++) {
			assert_true((unsigned char)b.data[i] >= 0x20 && b.data[i] != 0x7f);
			assert_false((unsigned char)b.data[i] == 0xc2 &&
				     (unsigned char)b.data[i + 1] < 0xa0);
		}
	}
}

static void test_label(void **state)
{
	static const struct {
		const char *s;
		size_t len, max;
		const char *out;
	} cases[] = {
		{ TEXT("nginx"), 128, "nginx" },
		{ TEXT("a\\b\"c\nd"), 128, "a\\\\b\\\"c\\nd" },
		{ TEXT("abc"), 2, "ab" },
		{ TEXT("abc"), 0, "" },
		{ TEXT("a\xe2\x82\xac"), 3, "a" }, /* never a part of a character */
		{ TEXT("a\xe2\x82\xac"), 4, "a\xe2\x82\xac" },
		{ TEXT("a\"b"), 2, "a\\\"" }, /* the limit is the value's, not the escaped text's */
		{ TEXT("\xff\xff\xff"), 6, FFFD FFFD },
		{ TEXT("a\xff"), 3, "a" },
		{ TEXT("\t\x01"), 8, "\t\x01" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

		text_add_label(&b, cases[i].s, cases[i].len, cases[i].max);
		assert_string_equal(strbuf_str(&b), cases[i].out);
	}
}

struct amount {
	uint64_t v;
	const char *text;
};

static void test_bytes(void **state)
{
	static const struct amount cases[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1 KiB" },
		{ 20 << 10, "20 KiB" },
		{ (1 << 20) - 1, "1.00 MiB" },
		{ 61 << 20, "61.0 MiB" },
		{ 512 << 20, "512 MiB" },
		{ 2609192632, "2.43 GiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

		text_add_bytes(&b, cases[i].v);
		assert_string_equal(strbuf_str(&b), cases[i].text);
	}
}

static void test_duration(void **state)
{
	static const struct amount cases[] = {
		{ 0, "0.0 ms" },
		{ 400, "0.4 ms" },
		{ 121 * US_PER_MSEC, "121 ms" },
		{ 999999, "999 ms" },
		{ 1500 * US_PER_MSEC, "1.5 s" },
		{ 59 * US_PER_SEC, "59 s" },
		{ 214 * US_PER_SEC, "3m34s" },
		{ 3600 * US_PER_SEC, "1h00m" },
		{ 5280 * US_PER_SEC, "1h28m" },
		{ 90000 * US_PER_SEC, "1d01h" },
		{ UINT64_MAX, "213503982d08h" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

		text_add_duration(&b, cases[i].v);
		assert_string_equal(strbuf_str(&b), cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_every_pair),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_terminal_every_pair),
		cmocka_unit_test(test_label),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_duration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
