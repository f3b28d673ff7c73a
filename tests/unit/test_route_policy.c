/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer means, how long to wait, when the breaker lets something through. */
#include "base/macro.h"
#include "base/time.h"
#include "route/send/policy.h"
#include "test.h"

static void answers(void **state)
{
	static const struct {
		struct send_answer a;
		enum send_action action;
	} cases[] = {
		{ { .status = 200 }, SEND_RELEASE },
		{ { .status = 204 }, SEND_RELEASE },
		{ { .status = 0 }, SEND_RETRY },
		{ { .status = 500 }, SEND_RETRY },
		{ { .status = 503 }, SEND_RETRY },
		{ { .status = 408 }, SEND_RETRY },
		{ { .status = 425 }, SEND_RETRY },
		{ { .status = 429 }, SEND_RETRY },
		{ { .status = 400 }, SEND_DEAD },
		{ { .status = 409 }, SEND_DEAD },
		{ { .status = 422 }, SEND_DEAD },
		{ { .status = 499 }, SEND_DEAD },
		{ { .status = 413 }, SEND_HALVE },
		{ { .status = 401 }, SEND_HOLD },
		{ { .status = 403 }, SEND_HOLD },
		{ { .status = 404 }, SEND_HOLD },
		{ { .status = 405 }, SEND_HOLD },
		{ { .status = 407 }, SEND_HOLD },
		{ { .status = 410 }, SEND_HOLD },
		{ { .status = 301 }, SEND_HOLD },
		{ { .status = 302 }, SEND_HOLD },
		{ { .status = 307 }, SEND_REDIRECT },
		{ { .status = 308 }, SEND_REDIRECT },
		/* 415: down one step, at the bottom hold. */
		{ { .status = 415 }, SEND_HOLD },
		{ { .status = 415, .zstd = true, .protocol = SEND_VM }, SEND_STEP_DOWN },
		{ { .status = 415, .rw2 = true }, SEND_STEP_DOWN },
		{ { .status = 415, .rw2 = true, .protocol = SEND_RW2 }, SEND_HOLD },
		{ { .status = 400, .zstd = true, .protocol = SEND_VM }, SEND_STEP_DOWN },
		{ { .status = 400, .rw2 = true }, SEND_DEAD },
		/* Version 2 without a Written header: nothing was stored. */
		{ { .status = 204, .rw2 = true }, SEND_STEP_DOWN },
		{ { .status = 204, .rw2 = true, .protocol = SEND_RW2 }, SEND_HOLD },
		{ { .status = 204, .rw2 = true, .has_written = true }, SEND_RELEASE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(send_judge(&cases[i].a), cases[i].action);
}

static void waits_do_not_shrink(void **state)
{
	for (int draw = 0; draw <= 10; draw++) {
		struct backoff b = {};
		uint64_t before = 0;

		for (int i = 0; i < 100; i++) {
			/* One factor per outage: later draws change nothing. */
			double random01 = i == 0 ? draw / 10.0 : (i * 7 % 11) / 10.0;
			uint64_t wait =
				backoff_next(&b, 100 * US_PER_MSEC, 30 * US_PER_SEC, random01);

			if (i == 0)
				assert_in_range(wait, 75 * US_PER_MSEC, 100 * US_PER_MSEC);
			assert_true(wait >= before);
			assert_true(wait >= US_PER_MSEC && wait <= 60 * US_PER_SEC);
			before = wait;
		}
		assert_in_range(before, 22 * US_PER_SEC, 30 * US_PER_SEC);
		backoff_reset(&b);
		assert_int_equal(backoff_next(&b, 100 * US_PER_MSEC, 30 * US_PER_SEC, 1),
				 100 * US_PER_MSEC);
	}
}

static void shortest_wait(void **state)
{
	struct backoff b = {};

	assert_int_equal(backoff_next(&b, 1, 10, 0), US_PER_MSEC);
}

static void retry_after_values(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds;
	} cases[] = {
		{ "2", 2 },
		{ " 120", 120 },
		{ "0", 0 },
		{ "99999999", 86400 },
		{ "Thu, 01 Jan 1970 00:16:50 GMT", 10 }, /* now is 1000 */
		{ "Thu Jan  1 00:16:50 1970", 10 },
		{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
		{ "soon", 0 },
		{ "-5", 0 },
		{ "", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(retry_after(cases[i].text, 1000), cases[i].seconds * US_PER_SEC);
}

static void breaker_states(void **state)
{
	const struct breaker_limits l = { 5, 3, 30 * US_PER_SEC };
	struct breaker b = {};
	uint64_t now = 1;

	for (int i = 0; i < 4; i++)
		breaker_failure(&b, &l, "status 500", now);
	assert_true(breaker_allows(&b, now));
	breaker_success(&b, &l); /* in a row: counted anew */
	for (int i = 0; i < 5; i++)
		breaker_failure(&b, &l, "status 500", now);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_string_equal(b.reason, "status 500");
	assert_false(breaker_allows(&b, now + 30 * US_PER_SEC - 1));
	assert_int_equal(breaker_next(&b), now + 30 * US_PER_SEC);
	now += 30 * US_PER_SEC;
	/* Half-open: exactly one at a time. */
	assert_true(breaker_allows(&b, now));
	breaker_sent(&b);
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_false(breaker_allows(&b, now));
	breaker_failure(&b, &l, "status 502", now);
	assert_int_equal(b.state, BREAKER_OPEN);
	now += 30 * US_PER_SEC;
	for (int i = 0; i < 3; i++) {
		assert_true(breaker_allows(&b, now));
		breaker_sent(&b);
		assert_false(breaker_allows(&b, now));
		breaker_success(&b, &l);
	}
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_true(breaker_allows(&b, now));
	assert_true(breaker_allows(&b, now));
}

static void hold_opens_at_once(void **state)
{
	const struct breaker_limits l = { 5, 1, US_PER_SEC };
	struct breaker b = {};

	breaker_hold(&b, "status 401", 10, 300 * US_PER_SEC);
	assert_false(breaker_allows(&b, 10 + 299 * US_PER_SEC));
	assert_string_equal(b.reason, "status 401");
	/* An answer that was on the way when it opened changes nothing. */
	breaker_failure(&b, &l, "status 500", 20);
	assert_int_equal(breaker_next(&b), 10 + 300 * US_PER_SEC);
	assert_true(breaker_allows(&b, 10 + 300 * US_PER_SEC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),	  cmocka_unit_test(waits_do_not_shrink),
		cmocka_unit_test(shortest_wait),  cmocka_unit_test(retry_after_values),
		cmocka_unit_test(breaker_states), cmocka_unit_test(hold_opens_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
