/* SPDX-License-Identifier: Apache-2.0 */
/* Samples per task: counted per worker, read as a window of the last minute. */
#include <stdlib.h>
#include "base/time.h"
#include "route/receive/tasks.h"
#include "route/task-load.h"
#include "test.h"

#define TASKS 4

static void counts_of_workers_add_up(void **state)
{
	struct task_counts *one = NULL, *two = NULL;
	uint32_t *a = task_counts_get(&one, "d", TASKS), *b = task_counts_get(&two, "d", TASKS);
	uint32_t sums[TASKS] = {};

	a[0] = 5;
	a[3] = 1;
	b[0] = 2;
	/* Another destination, and the same with another number of tasks, have arrays of their own. */
	task_counts_get(&one, "other", TASKS)[0] = 100;
	task_counts_get(&one, "d", 2 * TASKS)[0] = 100;
	assert_ptr_equal(task_counts_get(&one, "d", TASKS), a);
	task_counts_add(&one, "d", TASKS, sums);
	task_counts_add(&two, "d", TASKS, sums);
	task_counts_add(&two, "nobody", TASKS, sums);
	assert_int_equal(sums[0], 7);
	assert_int_equal(sums[1], 0);
	assert_int_equal(sums[3], 1);
	task_counts_free(one);
	task_counts_free(two);
}

static void window_of_a_minute(void **state)
{
	_cleanup_(task_load_freep) struct task_load *t = NULL;
	/* Counters wrap, and began somewhere. */
	uint32_t sums[TASKS] = { UINT32_MAX - 10, 7, 0, 0 };
	const uint32_t *got;
	uint64_t us;

	assert_int_equal(task_load_new("d", TASKS, &t), 0);
	task_load_take(t, sums, 1000 * US_PER_SEC);
	got = task_load_samples(t, &us);
	assert_int_equal(us, 0);
	assert_int_equal(got[0], 0);
	assert_true(task_load_ratio(t) == 0);
	for (unsigned second = 1; second <= 300; second++) {
		sums[0] += 3;
		sums[1] += 1;
		task_load_take(t, sums, (1000 + second) * US_PER_SEC);
		got = task_load_samples(t, &us);
		if (second >= 60)
			assert_in_range(us, 40 * US_PER_SEC, 60 * US_PER_SEC);
		else
			assert_in_range(us, second * US_PER_SEC * 2 / 3, second * US_PER_SEC);
		assert_int_equal(got[0], 3 * us / US_PER_SEC);
		assert_int_equal(got[1], us / US_PER_SEC);
		/* 3 of 4 samples on one of 4 tasks. */
		assert_true(task_load_ratio(t) == 3.0);
	}
	/* Silence is seen within the minute. */
	for (unsigned second = 301; second <= 361; second++)
		task_load_take(t, sums, (1000 + second) * US_PER_SEC);
	assert_true(task_load_ratio(t) == 0);
}

static void those_that_nobody_asks_for_go(void **state)
{
	struct task_load *list = NULL, *t;

	assert_int_equal(task_load_new("stays", TASKS, &t), 0);
	task_load_link(&list, t);
	assert_int_equal(task_load_new("goes", TASKS, &t), 0);
	task_load_link(&list, t);
	task_load_sweep(&list);
	assert_non_null(task_load_find(list, "stays", TASKS));
	assert_null(task_load_find(list, "stays", TASKS + 1));
	task_load_sweep(&list);
	assert_null(task_load_find(list, "goes", TASKS));
	assert_non_null(task_load_find(list, "stays", TASKS));
	task_load_sweep(&list);
	task_load_sweep(&list);
	assert_null(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_of_workers_add_up),
		cmocka_unit_test(window_of_a_minute),
		cmocka_unit_test(those_that_nobody_asks_for_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
