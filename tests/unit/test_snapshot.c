/* SPDX-License-Identifier: Apache-2.0 */
/* What is read right after a kill: out of a victim's record, and out of the files of host and cgroup. */
#include <errno.h>
#include "agent/oom/snapshot.h"
#include "base/macro.h"
#include "scratch.h"
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

/* --- texts of the kernel --- */

static void test_meminfo(void **state)
{
	static const char text[] = "MemTotal:        8000 kB\nMemFree:         1001 kB\n"
				   "MemAvailable:    3002 kB\nSwapCached:         9 kB\n"
				   "SwapTotal:       4003 kB\nSwapFree:        2004 kB\n"
				   "Shmem:             55 kB\nShmemHugePages:    99 kB\n"
				   "SUnreclaim:        66 kB\n";
	struct oom_host h = {};

	(void)state;
	snapshot_parse_meminfo(text, &h);
	assert_true(h.known);
	assert_int_equal(h.total, 8000 * 1024);
	assert_int_equal(h.free, 1001 * 1024);
	assert_int_equal(h.available, 3002 * 1024);
	assert_int_equal(h.swap_total, 4003 * 1024);
	assert_int_equal(h.swap_free, 2004 * 1024);
	assert_int_equal(h.shmem, 55 * 1024);
	assert_int_equal(h.slab_unreclaimable, 66 * 1024);
}

/* Half of it is not told as if it were the whole. */
static void test_meminfo_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"MemTotal: 1 kB\n",
		"MemTotal: 1 kB\nMemFree: 1 kB\nMemAvailable: 1 kB\nSwapTotal: 1 kB\nSwapFree: 1 kB\n"
		"Shmem: 1 kB\nSUnreclaim: many kB\n",
		"MemTotal: 1 kB\nMemFree: 1 kB\nMemAvailable: 1 kB\nSwapTotal: 1 kB\nSwapFree: 1 kB\n"
		"Shmem: 1 kB\nSUnreclaim: 18446744073709551615 kB\n",
		"MemTotal: 1 kB\nMemFree: 1 kB\nMemAvailable: 1 kB\nSwapTotal: 1 kB\nSwapFree: 1 kB\n"
		"Shmem: 1 kB\nSUnreclaim: 100000000000000000000000000 kB\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct oom_host h = {};

		snapshot_parse_meminfo(texts[i], &h);
		assert_false(h.known);
	}
}

static void test_psi(void **state)
{
	struct oom_psi p = { .some_avg10 = 9 };

	(void)state;
	assert_int_equal(snapshot_parse_psi("some avg10=1.50 avg60=2.25 avg300=3.00 total=42\n"
					    "full avg10=0.50 avg60=0.25 avg300=7.00 total=17\n",
					    &p),
			 0);
	assert_true(p.known);
	assert_true(p.some_avg10 == 1.5 && p.some_avg60 == 2.25 && p.some_total_us == 42);
	assert_true(p.full_avg10 == 0.5 && p.full_avg60 == 0.25 && p.full_total_us == 17);
	/* What is no such text changes nothing. */
	assert_int_equal(snapshot_parse_psi("some avg10=x avg60=2.25 avg300=3.00 total=42\n", &p),
			 -EBADMSG);
	assert_int_equal(snapshot_parse_psi("", &p), -EBADMSG);
	assert_true(p.known && p.some_avg10 == 1.5);
	/* Some kernels have no "full" here. */
	assert_int_equal(snapshot_parse_psi("some avg10=1.00 avg60=2.00 avg300=3.00 total=4\n", &p),
			 0);
	assert_true(p.known && p.full_avg10 == 0 && p.full_total_us == 0);
}

static const char v2_stat[] = "anon 1\nfile 2\nkernel 4\nkernel_stack 5\npagetables 6\n"
			      "sec_pagetables 99\npercpu 99\nsock 7\nvmalloc 99\nshmem 3\n"
			      "file_mapped 10\nfile_dirty 11\nfile_writeback 99\n"
			      "anon_thp 99\ninactive_anon 15\nactive_anon 16\n"
			      "inactive_file 13\nactive_file 14\nunevictable 12\n"
			      "slab_reclaimable 8\nslab_unreclaimable 9\nslab 99\n"
			      "workingset_refault_anon 17\nworkingset_refault_file 18\n"
			      "pgfault 99\npgmajfault 19\n";

/* Own counts first, then those with all below, which are the ones that the limit is about (OOM-305). */
static const char v1_stat[] =
	"cache 99\nrss 99\nshmem 99\nmapped_file 99\ndirty 99\npgmajfault 99\n"
	"inactive_anon 99\nactive_anon 99\ninactive_file 99\nactive_file 99\n"
	"unevictable 99\nworkingset_refault_anon 99\nworkingset_refault_file 99\n"
	"hierarchical_memory_limit 99\ntotal_cache 2\ntotal_rss 1\ntotal_rss_huge 99\n"
	"total_shmem 3\ntotal_mapped_file 10\ntotal_dirty 11\n"
	"total_workingset_refault_anon 17\ntotal_workingset_refault_file 18\n"
	"total_pgfault 99\ntotal_pgmajfault 19\ntotal_inactive_anon 15\n"
	"total_active_anon 16\ntotal_inactive_file 13\ntotal_active_file 14\n"
	"total_unevictable 12\n";

static void check_stat(const struct oom_snapshot *s, bool v1)
{
	static const enum oom_stat_key v2_only[] = {
		STAT_KERNEL, STAT_KERNEL_STACK,	    STAT_PAGETABLES,
		STAT_SOCK,   STAT_SLAB_RECLAIMABLE, STAT_SLAB_UNRECLAIMABLE
	};
	uint32_t seen = (1U << _STAT_MAX) - 1;

	for (size_t i = 0; v1 && i < ARRAY_SIZE(v2_only); i++)
		seen &= ~(1U << v2_only[i]);
	assert_int_equal(s->stat_seen, seen);
	for (unsigned i = 0; i < _STAT_MAX; i++)
		if (seen & 1U << i && s->stat[i] != i + 1)
			fail_msg("%s: %u", oom_stat_names[i], (unsigned)s->stat[i]);
}

static void test_stat(void **state)
{
	struct oom_snapshot v2 = {}, v1 = {}, bad = {};

	(void)state;
	snapshot_parse_stat(v2_stat, false, &v2);
	check_stat(&v2, false);
	snapshot_parse_stat(v1_stat, true, &v1);
	check_stat(&v1, true);
	snapshot_parse_stat("anon\nfile \nshmem x\nanonymous 5\nsock 1", false, &bad);
	assert_int_equal(bad.stat_seen, 1U << STAT_SOCK);
}

/* --- files --- */

struct tree {
	struct scratch dir, unified;
	struct cgroup_layout layout;
	struct snapshotter *s;
};

static void plant(struct tree *t, enum cgroup_mode mode)
{
	bool v2 = mode == CGROUP_MODE_V2;

	scratch_init(&t->dir);
	scratch_init(&t->unified);
	assert_int_equal(mkdir(scratch_path(&t->dir, "a"), 0755), 0);
	assert_int_equal(mkdir(scratch_path(&t->unified, "a"), 0755), 0);
	scratch_write(&t->dir, "a/memory.stat", v2 ? v2_stat : v1_stat);
	scratch_write(&t->dir, v2 ? "a/memory.current" : "a/memory.usage_in_bytes", "1048576\n");
	scratch_write(&t->dir, v2 ? "a/memory.max" : "a/memory.limit_in_bytes", "2097152\n");
	scratch_write(&t->dir, v2 ? "a/memory.peak" : "a/memory.max_usage_in_bytes", "1572864\n");
	scratch_write(&t->unified, "a/memory.pressure",
		      "some avg10=1.50 avg60=0.00 avg300=0.00 total=42\n");
	t->layout = (struct cgroup_layout){ .mode = mode };
	t->layout.memory_fd = open(t->dir.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	t->layout.unified_fd = open(t->unified.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(snapshotter_new(&t->layout, &t->s), 0);
}

static void fell(struct tree *t)
{
	snapshotter_free(t->s);
	(void)close(t->layout.memory_fd);
	(void)close(t->layout.unified_fd);
	scratch_done(&t->dir);
	scratch_done(&t->unified);
}

static void check_tree(enum cgroup_mode mode)
{
	const struct cgroup_place a = { .path = "/a" }, none = { .path = "" };
	struct oom_snapshot s = {};
	struct tree t;
	uint64_t usage;

	plant(&t, mode);
	snapshot_take(t.s, &a, &s);
	check_stat(&s, mode != CGROUP_MODE_V2);
	assert_true(s.stat_boot_ns > 0 && s.psi_boot_ns >= s.stat_boot_ns);
	assert_true(s.limit_known);
	assert_int_equal(s.max, 2097152);
	assert_int_equal(s.usage, 1048576);
	assert_int_equal(s.peak, 1572864);
	assert_true(s.cgroup.known && s.cgroup.some_avg10 == 1.5);
	assert_int_equal(snapshot_usage(t.s, &a, &usage), 0);
	assert_int_equal(usage, 1048576);
	/* What the mark itself told is not read once more. */
	s = (struct oom_snapshot){ .stat_seen = 1, .stat = { 77 }, .stat_boot_ns = 5 };
	snapshot_cgroup(t.s, &a, &s);
	assert_int_equal(s.stat_seen, 1);
	assert_int_equal(s.stat[0], 77);
	assert_int_equal(s.stat_boot_ns, 5);
	assert_int_equal(s.usage, 1048576);
	s = (struct oom_snapshot){};
	snapshot_cgroup(t.s, &none, &s);
	assert_true(!s.limit_known && s.usage == OOM_UNKNOWN64 && !s.stat_seen && !s.cgroup.known);
	fell(&t);
}

static void test_cgroup(void **state)
{
	(void)state;
	check_tree(CGROUP_MODE_V2);
	check_tree(CGROUP_MODE_HYBRID);
}

static uint64_t proc_number(const char *file, const char *key)
{
	FILE *f = fopen(file, "re");
	char line[256];
	unsigned long long v = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			v = strtoull(line + strlen(key), NULL, 10);
	(void)fclose(f);
	return v;
}

/* This host: what does not change between two looks is the same, the rest is there. */
static void test_host(void **state)
{
	const struct cgroup_place none = { .path = "" };
	struct oom_snapshot s = {};
	struct tree t;
	uint64_t kills = UINT64_MAX;

	(void)state;
	plant(&t, CGROUP_MODE_V2);
	snapshot_take(t.s, &none, &s);
	assert_true(s.host.known);
	assert_int_equal(s.host.total, proc_number("/proc/meminfo", "MemTotal:") * 1024);
	assert_int_equal(s.host.swap_total, proc_number("/proc/meminfo", "SwapTotal:") * 1024);
	assert_true(s.host.available > 0 && s.host.available <= s.host.total);
	assert_int_equal(s.system.known, snapshot_has_psi(t.s));
	if (s.system.known)
		assert_true(s.system.some_total_us > 0 || s.system.some_avg10 == 0);
	assert_int_equal(snapshot_kills(t.s, &kills), 0);
	assert_true(kills <= proc_number("/proc/vmstat", "oom_kill "));
	assert_int_equal(snapshot_allocating_task(t.s),
			 proc_number("/proc/sys/vm/oom_kill_allocating_task", "") != 0);
	fell(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat_of_the_mark),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_meminfo),
		cmocka_unit_test(test_meminfo_refused),
		cmocka_unit_test(test_psi),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
