/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway asks of senders before it looks into their bodies: rates, tokens, and when they may come again. */
#include "base/fs.h"
#include "base/time.h"
#include "route/receive/headers.h"
#include "route/receive/rate.h"
#include "route/receive/tokens.h"
#include "scratch.h"
#include "test.h"

/* --- rates --- */

static unsigned wait_of(struct rate_limit *r, const struct rate_question *q, uint64_t now_us)
{
	bool shared;

	return rate_wait(r, q, now_us, &shared);
}

static void burst_and_refill(void **state)
{
	_cleanup_(rate_freep) struct rate_limit *r = NULL;
	const struct rate_question q = { 100, 4, "" };
	uint64_t now = 1000 * US_PER_SEC;

	(void)state;
	assert_int_equal(rate_new(&r), 0);
	assert_int_equal(wait_of(r, &q, now), 0);
	rate_take(r, &q, 200, now); /* the burst: 2 s */
	assert_int_equal(wait_of(r, &q, now), 1);
	assert_int_equal(wait_of(r, &q, now + US_PER_SEC / 10), 0);
	/* One that is larger than the burst passes, and is waited for. */
	rate_take(r, &q, 1010, now + US_PER_SEC / 10);
	assert_int_equal(wait_of(r, &q, now + US_PER_SEC / 10), 11);
	assert_int_equal(wait_of(r, &q, now + 11 * US_PER_SEC), 0);
	/* A long rest gives no more than the burst. */
	rate_take(r, &q, 300, now + 1000 * US_PER_SEC);
	assert_int_equal(wait_of(r, &q, now + 1000 * US_PER_SEC), 2);
	rate_take(r, &q, 1000000, now + 1000 * US_PER_SEC);
	assert_int_equal(wait_of(r, &q, now + 1000 * US_PER_SEC), 60);
}

static void no_limit(void **state)
{
	_cleanup_(rate_freep) struct rate_limit *r = NULL;
	const struct rate_question q = { 0, 4, "a" };

	(void)state;
	assert_int_equal(rate_new(&r), 0);
	rate_take(r, &q, 1000000, US_PER_SEC);
	assert_int_equal(wait_of(r, &q, US_PER_SEC), 0);
}

static void tenants_have_their_own(void **state)
{
	_cleanup_(rate_freep) struct rate_limit *r = NULL;
	const struct rate_question a = { 10, 2, "a" }, b = { 10, 2, "b" }, c = { 10, 2, "c" },
				   d = { 10, 2, "d" }, none = { 10, 2, "" };
	uint64_t now = 1000 * US_PER_SEC;
	bool shared;

	(void)state;
	assert_int_equal(rate_new(&r), 0);
	rate_take(r, &a, 100, now);
	assert_int_not_equal(wait_of(r, &a, now), 0);
	assert_int_equal(wait_of(r, &b, now), 0);
	assert_int_equal(wait_of(r, &none, now), 0);
	rate_take(r, &b, 1, now);
	/* The table is full of active ones: the rest shares one bucket. */
	assert_int_equal(rate_wait(r, &c, now, &shared), 0);
	assert_true(shared);
	rate_take(r, &c, 100, now);
	assert_int_not_equal(rate_wait(r, &d, now, &shared), 0);
	assert_true(shared);
	assert_int_equal(wait_of(r, &b, now), 0);
	/* b rests: its place is free for another. */
	assert_int_equal(rate_wait(r, &d, now + 3 * US_PER_SEC, &shared), 0);
	assert_false(shared);
	/* a has not: it is still known. */
	assert_int_not_equal(wait_of(r, &a, now + 3 * US_PER_SEC), 0);
}

/* --- when to come again --- */

static void retry_after_grows_with_the_fill(void **state)
{
	unsigned before = 0;

	(void)state;
	assert_int_equal(headers_retry_after(0), 1);
	assert_int_equal(headers_retry_after(0.5), 1);
	assert_int_equal(headers_retry_after(1), 30);
	assert_int_equal(headers_retry_after(7), 30);
	for (double fill = 0; fill <= 1; fill += 0.01) {
		unsigned s = headers_retry_after(fill);

		assert_in_range(s, MAX(before, 1U), 30);
		before = s;
	}
}

/* --- tokens --- */

static const char *file_of(const struct scratch *s, const char *name, const char *text, size_t len)
{
	const char *path = scratch_path(s, name);

	assert_int_equal(fs_write_atomic(path, 0600, text, len), 0);
	return path;
}

static bool holds(const struct tokens *t, const char *token)
{
	return tokens_hold(t, token, strlen(token));
}

static void tokens_of_files(void **state)
{
	struct scratch d;
	static const char one[] = "first\n\n  second\t\r\n", two[] = "third without an end";
	const char *paths[2];
	const struct config_strings files = { .items = paths, .n = 2 };
	_cleanup_(tokens_freep) struct tokens *t = NULL;
	char why[256] = "";

	(void)state;
	scratch_init(&d);
	paths[0] = file_of(&d, "one", one, strlen(one));
	paths[1] = file_of(&d, "two", two, strlen(two));
	assert_int_equal(tokens_load(&files, why, sizeof(why), &t), 0);
	scratch_done(&d);
	assert_int_equal(tokens_count(t), 3);
	assert_true(holds(t, "first") && holds(t, "second") && holds(t, two));
	assert_false(holds(t, "") || holds(t, "firs") || holds(t, "first ") || holds(t, "First"));
}

static void no_files_no_check(void **state)
{
	const struct config_strings files = {};
	struct tokens *t = (void *)&files;
	char why[64];

	(void)state;
	assert_int_equal(tokens_load(&files, why, sizeof(why), &t), 0);
	assert_null(t);
}

static void refused(const char *path, const char *what)
{
	const struct config_strings files = { .items = &path, .n = 1 };
	struct tokens *t;
	char why[600] = "";

	assert_true(tokens_load(&files, why, sizeof(why), &t) < 0);
	assert_non_null(strstr(why, what));
}

static void bad_files_of_tokens(void **state)
{
	struct scratch d;
	char many[1025 * 2];

	(void)state;
	scratch_init(&d);
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = i % 2 ? '\n' : 'x';
	refused("/nonexistent/tokens", "No such file");
	refused(file_of(&d, "empty", "\n \n", 3), "holds no token");
	refused(file_of(&d, "zero", "a\0b\n", 4), "zero byte");
	refused(file_of(&d, "many", many, sizeof(many)), "1025th");
	scratch_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_and_refill),
		cmocka_unit_test(no_limit),
		cmocka_unit_test(tenants_have_their_own),
		cmocka_unit_test(retry_after_grows_with_the_fill),
		cmocka_unit_test(tokens_of_files),
		cmocka_unit_test(no_files_no_check),
		cmocka_unit_test(bad_files_of_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
