/* SPDX-License-Identifier: Apache-2.0 */
/* OOM-614: what cgroups counted before the agent came is known, so that the first OOM after it is seen to rise. */
#include "agent/oom/level-counts.h"
#include "limits_world.h"

static uint64_t last(const struct level_counts *c, uint64_t id, enum oom_level_count count)
{
	uint64_t v = 77;

	return level_counts_last(c, id, count, &v) ? v : 12345;
}

static void test_v2(void **state)
{
	_cleanup_(level_counts_freep) struct level_counts *c = NULL;
	static struct oom_victim v;
	struct world w;
	uint64_t id;

	setup(&w, CGROUP_MODE_V2, LIMITS_POLL, false);
	assert_int_equal(level_counts_new(&c), 0);
	assert_int_equal(cgroup_id(w.layout.memory_fd, "a", &id), 0);
	put(&w, "a/memory.events.local", "low 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n");
	assert_int_equal(last(c, id, LEVEL_OOM), 12345);
	level_counts_seed(c, &w.layout, id, "/a");
	assert_int_equal(last(c, id, LEVEL_OOM), 4);
	assert_true(last(c, id, LEVEL_FAILCNT) == UINT64_MAX);

	/* A record knows better than a file that is read later. */
	v.n_levels = 1;
	v.levels[0] = (struct oom_level){ .id = id, .oom_events = 5 };
	level_counts_remember(c, &v);
	level_counts_seed(c, &w.layout, id, "/a");
	assert_int_equal(last(c, id, LEVEL_OOM), 5);

	/* Another cgroup at that path, one without files, text that is no count: nothing is known, not 0. */
	level_counts_seed(c, &w.layout, id + 1, "/a");
	assert_true(last(c, id + 1, LEVEL_OOM) == UINT64_MAX);
	level_counts_seed(c, &w.layout, 99, "/none");
	assert_true(last(c, 99, LEVEL_OOM) == UINT64_MAX);
	put(&w, "a/memory.events.local", "oom_kill 3\n");
	level_counts_seed(c, &w.layout, 0, "/a");
	assert_int_equal(last(c, 98, LEVEL_OOM), 12345);
	teardown(&w);
}

static void test_v1(void **state)
{
	_cleanup_(level_counts_freep) struct level_counts *c = NULL;
	struct world w;
	uint64_t id;

	setup(&w, CGROUP_MODE_HYBRID, LIMITS_POLL, false);
	assert_int_equal(level_counts_new(&c), 0);
	assert_int_equal(cgroup_id(w.layout.memory_fd, "a", &id), 0);
	put(&w, "a/memory.failcnt", "7\n");
	put(&w, "a/memory.memsw.failcnt", "8\n");
	level_counts_seed(c, &w.layout, id, "/a");
	assert_int_equal(last(c, id, LEVEL_FAILCNT), 7);
	assert_int_equal(last(c, id, LEVEL_SWAP_FAILCNT), 8);
	assert_true(last(c, id, LEVEL_OOM) ==
		    UINT64_MAX); /* else any count would seem to have risen */
	teardown(&w);
}

/* More levels than there is room for: each answer is right, or there is none. */
static void test_crowded(void **state)
{
	_cleanup_(level_counts_freep) struct level_counts *c = NULL;
	static struct oom_victim v;
	unsigned known = 0;

	assert_int_equal(level_counts_new(&c), 0);
	v.n_levels = 1;
	for (uint64_t id = 1; id <= 20000; id++) {
		v.levels[0] = (struct oom_level){ .id = id, .oom_events = id * 3 };
		level_counts_remember(c, &v);
		assert_int_equal(last(c, id, LEVEL_OOM), id * 3);
	}
	for (uint64_t id = 1; id <= 20000; id++) {
		uint64_t n;

		if (!level_counts_last(c, id, LEVEL_OOM, &n))
			continue;
		assert_int_equal(n, id * 3);
		known++;
	}
	assert_true(known > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v2),
		cmocka_unit_test(test_v1),
		cmocka_unit_test(test_crowded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
