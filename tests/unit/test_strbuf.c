/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "base/strbuf.h"
#include "test.h"

static void test_growth(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	assert_string_equal(strbuf_str(&b), "");
	for (int i = 0; i < 1000; i++)
		strbuf_addf(&b, "%03d,", i);
	assert_int_equal(b.error, 0);
	assert_int_equal(b.len, 4000);
	assert_int_equal(strlen(strbuf_str(&b)), 4000);
	assert_memory_equal(b.data + 3996, "999,", 5);
	strbuf_clear(&b);
	assert_string_equal(strbuf_str(&b), "");
	assert_true(b.size > 4000); /* the memory stays */
}

static void test_numbers(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	strbuf_addu64(&b, 0);
	strbuf_addch(&b, ' ');
	strbuf_addu64(&b, UINT64_MAX);
	strbuf_addch(&b, ' ');
	strbuf_addi64(&b, INT64_MIN);
	strbuf_addch(&b, ' ');
	strbuf_addi64(&b, -1);
	strbuf_addch(&b, ' ');
	strbuf_addi64(&b, INT64_MAX);
	assert_string_equal(strbuf_str(&b),
			    "0 18446744073709551615 -9223372036854775808 -1 9223372036854775807");
}

static void test_nul_bytes(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	strbuf_add(&b, "a\0b", 3);
	strbuf_add(&b, NULL, 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
}

static void test_limit(void **state)
{
	_cleanup_strbuf_ struct strbuf b = { .max = 8 };

	strbuf_addstr(&b, "12345678");
	assert_int_equal(b.error, 0);
	strbuf_addch(&b, '9');
	assert_int_equal(b.error, -ENOSPC);
	strbuf_truncate(&b, 2);
	assert_int_equal(b.error, 0);
	strbuf_addstr(&b, "abcdefg"); /* refused whole, not cut */
	strbuf_addch(&b, 'x'); /* the error sticks although there is room */
	assert_string_equal(strbuf_str(&b), "12");
	assert_int_equal(b.error, -ENOSPC);
	assert_null(strbuf_steal(&b, NULL));
	assert_int_equal(b.error, 0);
	assert_null(b.data);
}

static void test_fixed(void **state)
{
	char room[5] = { 'x', 'x', 'x', 'x', 'x' };
	struct strbuf b;

	strbuf_init_fixed(&b, room, 4);
	assert_string_equal(strbuf_str(&b), "");
	strbuf_addf(&b, "%s", "abc");
	assert_int_equal(b.error, 0);
	assert_string_equal(room, "abc");
	strbuf_addch(&b, 'd');
	assert_int_equal(b.error, -ENOSPC);
	assert_string_equal(room, "abc");
	assert_int_equal(room[4], 'x');
	strbuf_clear(&b);
	strbuf_addf(&b, "%s", "abcd");
	assert_int_equal(b.error, -ENOSPC);
	assert_string_equal(strbuf_str(&b), "");
	assert_null(strbuf_steal(&b, NULL));
	strbuf_done(&b);

	strbuf_init_fixed(&b, room, 0);
	strbuf_addstr(&b, "");
	assert_int_equal(b.error, -ENOSPC);
	assert_string_equal(strbuf_str(&b), "");
}

static void test_truncate_marks(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	size_t mark;

	strbuf_truncate(&b, 0);
	strbuf_addstr(&b, "keep");
	mark = b.len;
	strbuf_addstr(&b, " drop");
	strbuf_truncate(&b, mark);
	assert_string_equal(strbuf_str(&b), "keep");
	strbuf_truncate(&b, 100);
	assert_string_equal(strbuf_str(&b), "keep");
}

static void test_steal(void **state)
{
	struct strbuf b = STRBUF_INIT;
	_cleanup_(freep) char *empty = NULL, *text = NULL;
	size_t len = 7;

	empty = strbuf_steal(&b, &len);
	assert_string_equal(empty, "");
	assert_int_equal(len, 0);
	strbuf_addstr(&b, "abc");
	text = strbuf_steal(&b, &len);
	assert_string_equal(text, "abc");
	assert_int_equal(len, 3);
	assert_null(b.data);
	assert_int_equal(b.size, 0);
}

static void test_huge_request(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	strbuf_addch(&b, 'a');
	strbuf_add(&b, "b", SIZE_MAX - 1);
	assert_int_equal(b.error, -ENOSPC);
	assert_string_equal(strbuf_str(&b), "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth),	  cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_nul_bytes), cmocka_unit_test(test_limit),
		cmocka_unit_test(test_fixed),	  cmocka_unit_test(test_truncate_marks),
		cmocka_unit_test(test_steal),	  cmocka_unit_test(test_huge_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
