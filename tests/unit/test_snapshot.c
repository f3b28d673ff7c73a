/* SPDX-License-Identifier: Apache-2.0 */
/* memory.stat out of a victim's record: whose it is, and whether it is all there. */
#include "agent/oom/snapshot.h"
#include "base/macro.h"
#include "test.h"

#define MIB (1ULL << 20)
#define CGROUP 77

static void test_stat_of_the_mark(void **state)
{
	static const struct {
		const char *what;
		uint32_t flags;
		uint64_t cgroup_id, usage, anon, file, kernel;
		bool used;
	} cases[] = {
		{ "all there", OOM_VICTIM_STAT, CGROUP, 32 * MIB, 20 * MIB, 10 * MIB, 2 * MIB,
		  true },
		{ "what the kernel rounds", OOM_VICTIM_STAT, CGROUP, 32 * MIB, 20 * MIB, 10 * MIB,
		  0, true },
		{ "counts of CPUs missing", OOM_VICTIM_STAT, CGROUP, 32 * MIB, 0, 10 * MIB, 2 * MIB,
		  false },
		{ "a kernel without a line", OOM_VICTIM_STAT, CGROUP, 32 * MIB, 32 * MIB, 0,
		  OOM_UNKNOWN64, true },
		{ "of another cgroup", OOM_VICTIM_STAT, CGROUP + 1, 32 * MIB, 32 * MIB, 0, 0,
		  false },
		{ "not read", 0, CGROUP, 32 * MIB, 32 * MIB, 0, 0, false },
		{ "empty", OOM_VICTIM_STAT, CGROUP, 0, 0, 0, 0, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		static struct oom_victim v;
		struct oom_snapshot s = { .stat_seen = 1 };

		v = (struct oom_victim){ .head.boot_ns = 5, .flags = cases[i].flags };
		v.stat.cgroup_id = cases[i].cgroup_id;
		v.stat.usage = cases[i].usage;
		v.stat.values[STAT_ANON] = cases[i].anon;
		v.stat.values[STAT_FILE] = cases[i].file;
		v.stat.values[STAT_KERNEL] = cases[i].kernel;
		snapshot_begin(&v, CGROUP, &s);
		if (!cases[i].used != !s.stat_seen)
			fail_msg("%s", cases[i].what);
		if (!cases[i].used)
			continue;
		assert_int_equal(s.stat_boot_ns, 5); /* age 0 */
		assert_int_equal(s.stat[STAT_ANON], cases[i].anon);
		assert_int_equal(!!(s.stat_seen & 1U << STAT_KERNEL),
				 cases[i].kernel != OOM_UNKNOWN64);
	}
}

static void test_no_limit(void **state)
{
	static struct oom_victim v = { .flags = OOM_VICTIM_STAT, .stat.cgroup_id = CGROUP };
	struct oom_snapshot s;

	(void)state;
	snapshot_begin(&v, 0, &s);
	assert_int_equal(s.stat_seen, 0);
	assert_true(s.usage == OOM_UNKNOWN64 && s.max == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat_of_the_mark),
		cmocka_unit_test(test_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
