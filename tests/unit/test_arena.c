/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "test.h"

static void test_zeroed_and_aligned(void **state)
{
	_cleanup_(arena_freep) struct arena *a = NULL;
	static const size_t sizes[] = { 1, 15, 16, 17, 100, 4000, 4096, 4097, 100000, 3 };
	char *blocks[ARRAY_SIZE(sizes)];

	assert_int_equal(arena_new(0, &a), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		blocks[i] = arena_alloc(a, sizes[i]);
		assert_non_null(blocks[i]);
		assert_int_equal((uintptr_t)blocks[i] % 16, 0);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(blocks[i][k], 0);
		memset(blocks[i], (int)i + 1, sizes[i]);
	}
	/* No block lies in another. */
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(blocks[i][k], (int)i + 1);
	assert_true(arena_bytes(a) >= 112345);
}

static void test_limit(void **state)
{
	_cleanup_(arena_freep) struct arena *a = NULL;

	assert_int_equal(arena_new(100, &a), 0);
	assert_null(arena_alloc(a, 101));
	assert_non_null(arena_alloc(a, 60));
	assert_null(arena_alloc(a, 60)); /* what failed took nothing */
	assert_non_null(arena_alloc(a, 30));
	assert_null(arena_alloc(a, 20));
	assert_true(arena_bytes(a) <= 100);
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_null(arena_alloc(a, SIZE_MAX / 2 + 1));
}

static void test_text(void **state)
{
	_cleanup_(arena_freep) struct arena *a = NULL;

	assert_int_equal(arena_new(0, &a), 0);
	assert_string_equal(arena_strdup(a, "abc"), "abc");
	assert_string_equal(arena_strdup(a, ""), "");
	assert_string_equal(arena_strndup(a, "abcdef", 2), "ab");
	assert_null(arena_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed_and_aligned),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
