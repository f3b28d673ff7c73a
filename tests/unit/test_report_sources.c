/* SPDX-License-Identifier: Apache-2.0 */
/* Field by field: what a record says where a source is missing, and what it leaves out. */
#include "test.h"

#include <unistd.h>
#include "bent.h"

#define P "telamon.oom."
#define MIB(n) ((uint64_t)(n) << 20)

static uint64_t pages(uint64_t bytes)
{
	return bytes / oom_pages(1);
}

/* --- what /proc tells where the kernel's record does not --- */

static size_t proc_args(void *ctx, uint32_t pid, uint64_t start, char *buf, size_t size)
{
	static const char text[] = "java\0-jar\0a.jar";

	(void)ctx, (void)pid, (void)start;
	assert_true(size >= sizeof(text));
	memcpy(buf, text, sizeof(text));
	return sizeof(text);
}

static size_t proc_exe(void *ctx, uint32_t pid, uint64_t start, char *buf, size_t size)
{
	(void)ctx, (void)start;
	return (size_t)snprintf(buf, size, "/proc-says/%u", pid);
}

static void args_of_proc(struct bent *t)
{
	t->kill.v.args.length = 0;
	t->w.report.args_of = proc_args;
}

static void args_of_nobody(struct bent *t)
{
	t->kill.v.args_source = OOM_ARGS_SELF + 1;
}

static void args_off(struct bent *t)
{
	args_of_proc(t);
	t->w.report.args_on = false;
}

static void parents_of_proc(struct bent *t)
{
	t->kill.v.n_ancestors = 1;
	t->kill.v.ancestors[0] = (struct oom_ancestor){ .pid = 41, .comm = "sh" };
	t->w.report.exe_of = proc_exe;
}

/* --- trigger and request --- */

static void another_trigger(struct bent *t)
{
	t->kill.v.trigger_tgid = 42;
	t->kill.v.trigger_exe = (struct oom_text){};
	t->w.report.exe_of = proc_exe;
}

static void kernel_thread(struct bent *t)
{
	another_trigger(t);
	t->kill.v.flags |= OOM_VICTIM_TRIGGER_KTHREAD;
}

static void trigger_of_log(struct bent *t)
{
	t->kill.v.trigger_tgid = 0;
	(void)snprintf(t->run.kmsg_trigger, sizeof(t->run.kmsg_trigger), "logged");
}

static void order_of_9(struct bent *t)
{
	t->run.order = 9;
}

static void order_of_sysrq(struct bent *t)
{
	t->run.order = -1;
}

static void order_of_nobody(struct bent *t)
{
	t->run.order = 32;
}

static void nodes_told(struct bent *t)
{
	(void)snprintf(t->run.nodemask, sizeof(t->run.nodemask), "0-1");
	(void)snprintf(t->run.cpuset, sizeof(t->run.cpuset), "/batch");
}

static void nodes_null(struct bent *t)
{
	(void)snprintf(t->run.nodemask, sizeof(t->run.nodemask), "(null)");
}

/* --- size of the scope, and the points that come of it --- */

/* A limit of 64 MiB at the victim's own level, the host has 8 GiB and 1 GiB of swap. */
static void limited(struct bent *t)
{
	t->run.limit.found = true;
	t->run.limit.level = 0;
	t->run.limit.counter = "memory";
	t->run.snapshot.host.swap_total = 1ULL << 30;
	t->kill.v.n_levels = 2;
	t->kill.v.flags &= ~(unsigned)OOM_VICTIM_V1;
	for (int i = 0; i < 2; i++)
		t->kill.v.levels[i] = (struct oom_level){ .max = pages(MIB(64)),
							  .usage = pages(MIB(60)),
							  .swap_max = OOM_UNKNOWN64,
							  .swap_usage = OOM_UNKNOWN64 };
}

static void scope_of_oc(struct bent *t)
{
	limited(t);
	t->run.totalpages_bytes = 12345;
}

static void scope_global(struct bent *t)
{
	limited(t);
	t->run.scope = SCOPE_GLOBAL;
}

static void scope_sysrq(struct bent *t)
{
	limited(t);
	t->run.scope = SCOPE_SYSRQ;
}

static void scope_cpuset(struct bent *t)
{
	limited(t);
	t->run.scope = SCOPE_CPUSET;
}

static void scope_unlimited_swap(struct bent *t)
{
	limited(t);
}

static void scope_some_swap(struct bent *t)
{
	limited(t);
	t->kill.v.levels[0].swap_max = pages(MIB(16));
}

static void scope_memsw(struct bent *t)
{
	scope_some_swap(t);
	t->kill.v.flags |= OOM_VICTIM_V1;
	t->kill.v.levels[0].swap_max = pages(MIB(72)); /* memory and swap together */
}

static void scope_memsw_below(struct bent *t)
{
	scope_memsw(t);
	t->kill.v.levels[0].swap_max = pages(MIB(32));
}

static void scope_v1_no_swap_limit(struct bent *t)
{
	limited(t);
	t->kill.v.flags |= OOM_VICTIM_V1;
}

static void scope_no_limit(struct bent *t)
{
	limited(t);
	t->kill.v.levels[0].max = OOM_UNKNOWN64;
}

static void scope_no_host(struct bent *t)
{
	limited(t);
	t->run.snapshot.host.known = false;
}

static void scope_not_found(struct bent *t)
{
	limited(t);
	t->run.limit.found = false;
}

static void scope_level_cut(struct bent *t)
{
	limited(t);
	t->run.limit.level = 2;
	t->kill.v.levels[2] = t->kill.v.levels[0];
}

/* 10 + 20 + 30 + 4 pages, page tables of 2 pages, adj 100 of a scope of 1,000,000 pages. */
static void points(struct bent *t)
{
	t->run.totalpages_bytes = oom_pages(1000000);
	t->kill.v.rss_anon = 10;
	t->kill.v.rss_file = 20;
	t->kill.v.rss_shmem = 30;
	t->kill.v.swap = 4;
	t->kill.v.pgtables_bytes = oom_pages(2);
	t->kill.v.adj = 100;
	t->kill.v.flags |= OOM_VICTIM_SNAPSHOT;
}

static void points_no_swap(struct bent *t)
{
	points(t);
	t->kill.v.swap = OOM_UNKNOWN64;
}

static void points_of_kernel(struct bent *t)
{
	points(t);
	t->run.points = 77;
	t->run.chosen_tgid = t->kill.v.tgid;
}

static void points_not_told(struct bent *t)
{
	points(t);
	t->run.chosen_tgid = t->kill.v.tgid;
}

static void points_of_another(struct bent *t)
{
	points(t);
	t->run.points = 77;
	t->run.chosen_tgid = t->kill.v.tgid + 1;
}

static void points_spilled(struct bent *t)
{
	points(t);
	t->kill.spilled = true;
}

static void points_no_snapshot(struct bent *t)
{
	points(t);
	t->kill.v.flags &= ~(unsigned)OOM_VICTIM_SNAPSHOT;
}

static void points_no_rss(struct bent *t)
{
	points(t);
	t->kill.v.rss_file = OOM_UNKNOWN64;
}

static void points_no_tables(struct bent *t)
{
	points(t);
	t->kill.v.pgtables_bytes = OOM_UNKNOWN64;
}

static void points_no_scope(struct bent *t)
{
	points(t);
	t->run.totalpages_bytes = 0;
	t->run.scope = SCOPE_CPUSET;
}

static void counters_only(struct bent *t)
{
	points_no_snapshot(t);
}

static void nothing_read(struct bent *t)
{
	points_no_snapshot(t);
	t->kill.v.rss_anon = t->kill.v.rss_file = t->kill.v.rss_shmem = OOM_UNKNOWN64;
}

/* A task was read, but lockdown kept its counters. */
static void no_counters(struct bent *t)
{
	points(t);
	t->kill.v.rss_anon = t->kill.v.rss_file = t->kill.v.rss_shmem = OOM_UNKNOWN64;
}

/* --- the limit where the victim's levels were not read --- */

static void limit_of_files(struct bent *t)
{
	limited(t);
	t->run.limit.level = -1;
	t->run.snapshot.limit_known = true;
	t->run.snapshot.max = MIB(48);
	t->run.snapshot.usage = MIB(47);
}

static void limit_of_files_none(struct bent *t)
{
	limit_of_files(t);
	t->run.snapshot.max = UINT64_MAX;
}

static void limit_of_files_unread(struct bent *t)
{
	limit_of_files(t);
	t->run.snapshot.limit_known = false;
}

static void limit_level_cut(struct bent *t)
{
	limit_of_files(t);
	t->run.limit.level = 2;
	t->kill.v.levels[2] = t->kill.v.levels[0];
}

static void limit_of_unknown_scope(struct bent *t)
{
	limited(t);
	t->run.scope = SCOPE_UNKNOWN;
}

static void limit_of_host(struct bent *t)
{
	limited(t);
	t->run.scope = SCOPE_GLOBAL;
}

/* --- after the kill --- */

static void reaped(struct bent *t)
{
	t->kill.reap_start_ns = t->kill.boot_ns + 5;
	t->kill.reap_end_ns = t->kill.reap_start_ns + 250 * NS_PER_MSEC;
}

static void reaped_without_begin(struct bent *t)
{
	t->kill.reap_end_ns = t->kill.boot_ns + 5;
}

static void reaping(struct bent *t)
{
	t->kill.reap_start_ns = t->kill.boot_ns + 5;
}

static void some_largest(void *ctx, struct event_buf *b, const struct oom_run *run)
{
	(void)ctx, (void)run;
	event_str(b, P "largest", "asked");
}

static void largest(struct bent *t)
{
	t->w.report.add_largest = some_largest;
}

/* --- identity --- */

static void bound_levels(struct bent *t)
{
	limited(t);
	t->kill.v.flags |= OOM_VICTIM_LEVELS_CUT;
}

static void lean(struct bent *t)
{
	bound_levels(t);
	parents_of_proc(t);
	t->w.report.lean = true;
}

static const struct {
	void (*change)(struct bent *t);
	const char *key, *expected; /* JSON; NULL = left out */
} cases[] = {
	/* OOM-304 */
	{ args_of_proc, "process.command_args", "[\"java\",\"-jar\",\"a.jar\"]" },
	{ args_of_proc, P "args_source", "\"proc\"" },
	{ args_of_proc, P "missing", "[\"trend\"]" },
	{ args_of_nobody, P "args_source", NULL },
	{ args_off, P "args_source", NULL },
	{ args_off, "process.command_args", NULL },
	{ parents_of_proc, "telamon.process.ancestors",
	  "[{\"pid\":41,\"path\":\"/proc-says/41\",\"comm\":\"sh\"}]" },
	{ lean, "telamon.process.ancestors", NULL },
	{ lean, P "levels", NULL },
	/* trigger */
	{ another_trigger, P "trigger.pid", "42" },
	{ another_trigger, P "trigger.is_victim", "false" },
	{ another_trigger, P "trigger.kernel_thread", NULL },
	{ another_trigger, P "trigger.executable.path", "\"/proc-says/42\"" },
	{ kernel_thread, P "trigger.kernel_thread", "true" },
	{ kernel_thread, P "trigger.executable.path", NULL },
	{ trigger_of_log, P "trigger.comm", "\"logged\"" },
	{ trigger_of_log, P "trigger.pid", NULL },
	/* request */
	{ order_of_9, P "pages_requested", "512" },
	{ order_of_sysrq, P "order", "-1" },
	{ order_of_sysrq, P "pages_requested", NULL },
	{ order_of_nobody, P "pages_requested", NULL },
	{ nodes_told, P "nodemask", "\"0-1\"" },
	{ nodes_told, P "cpuset", "\"/batch\"" },
	{ nodes_null, P "nodemask", NULL },
	/* scope.bytes: as mem_cgroup_get_max() and constrained_alloc() count */
	{ scope_of_oc, P "scope.bytes", "12345" },
	{ scope_global, P "scope.bytes", "9663676416" },
	{ scope_sysrq, P "scope.bytes", "9663676416" },
	{ scope_cpuset, P "scope.bytes", NULL },
	{ scope_unlimited_swap, P "scope.bytes", "1140850688" },
	{ scope_some_swap, P "scope.bytes", "83886080" },
	{ scope_memsw, P "scope.bytes", "75497472" },
	{ scope_memsw_below, P "scope.bytes", "67108864" },
	{ scope_v1_no_swap_limit, P "scope.bytes", "1140850688" },
	{ scope_no_limit, P "scope.bytes", NULL },
	{ scope_no_host, P "scope.bytes", NULL },
	{ scope_not_found, P "scope.bytes", NULL },
	{ limit_of_files, P "scope.bytes", NULL },
	{ scope_level_cut, P "scope.bytes", NULL },
	/* victim.points: as oom_badness() counts */
	{ points, P "victim.points", "100066" },
	{ points_no_swap, P "victim.points", "100062" },
	{ points_of_kernel, P "victim.points", "77" },
	{ points_not_told, P "victim.points", "100066" },
	{ points_of_another, P "victim.points", "100066" },
	{ points_spilled, P "victim.points", NULL },
	{ points_no_snapshot, P "victim.points", NULL },
	{ points_no_rss, P "victim.points", NULL },
	{ points_no_tables, P "victim.points", NULL },
	{ points_no_scope, P "victim.points", NULL },
	{ counters_only, P "victim.adj", "100" },
	{ counters_only, P "rss_error", NULL },
	{ nothing_read, P "victim.adj", NULL },
	{ nothing_read, P "rss_error", NULL },
	{ no_counters, P "victim.adj", "100" },
	{ no_counters, P "rss_error", NULL },
	/* limit */
	{ limited, P "limit.max", "67108864" },
	{ limited, P "limit.usage", "62914560" },
	{ limited, P "limit.distance", "0" },
	{ limit_of_files, P "limit.max", "50331648" },
	{ limit_of_files, P "limit.usage", "49283072" },
	{ limit_of_files_none, P "limit.max", NULL },
	{ limit_of_files_none, P "limit.usage", "49283072" },
	{ limit_of_files_unread, P "limit.max", NULL },
	{ limit_of_files_unread, P "limit.usage", NULL },
	{ limit_level_cut, P "limit.max", "50331648" },
	{ limit_of_unknown_scope, P "limit.max", "67108864" },
	{ limit_of_host, P "limit.max", NULL },
	{ bound_levels, P "levels_truncated", "true" },
	{ limited, P "levels_truncated", NULL },
	/* times and providers */
	{ reaped, P "time.reap", "0.25" },
	{ reaped_without_begin, P "time.reap", NULL },
	{ reaping, P "time.reap", NULL },
	{ largest, P "largest", "\"asked\"" },
};

static void test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *value = NULL;
		struct bent t;
		json_t *j, *v;

		bend(&t);
		cases[i].change(&t);
		j = report(&t);
		v = json_object_get(j, cases[i].key);
		value = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
		if (!cases[i].expected != !value ||
		    (value && strcmp(value, cases[i].expected) != 0))
			fail_msg("case %zu: %s is %s", i, cases[i].key, value ? value : "left out");
		/* What the agent counts is what the record says (OOM-207). */
		for (unsigned f = 0; f < _FIELD_MAX; f++)
			assert_int_equal(names(j, P "missing", oom_field_names[f]),
					 !!(t.w.missing & 1U << f));
		json_decref(j);
		unbend(&t);
	}
}

/* Whole or not at all: a parent that would take the room of what stands behind is left out, and said to be. */
static size_t long_exe(void *ctx, uint32_t pid, uint64_t start, char *buf, size_t size)
{
	(void)ctx, (void)pid, (void)start;
	memset(buf, 1, size);
	return size;
}

static void test_parents_are_cut(void **state)
{
	struct bent t;
	json_t *j;

	(void)state;
	bend(&t);
	t.w.report.exe_of = long_exe;
	t.kill.v.n_ancestors = OOM_ANCESTORS_MAX;
	for (size_t i = 0; i < OOM_ANCESTORS_MAX; i++)
		memset(t.kill.v.ancestors[i].comm, 1, COMM_MAX - 1);
	j = report(&t);
	assert_in_range(json_array_size(json_object_get(j, "telamon.process.ancestors")), 1,
			OOM_ANCESTORS_MAX - 1);
	assert_true(names(j, "telamon.truncated", "ancestors"));
	json_decref(j);
	unbend(&t);
}

static size_t n_members(uint32_t max)
{
	struct oom_kill *other = calloc(1, sizeof(*other));
	struct bent t;
	json_t *j;
	size_t n;

	assert_non_null(other);
	bend(&t);
	other->v = t.kill.v;
	t.kill.next = other;
	t.run.n_kills = 2;
	t.w.report.members_max = max;
	j = report(&t);
	assert_int_equal(json_integer_value(json_object_get(j, P "members.count")), 2);
	n = json_array_size(json_object_get(j, P "members"));
	assert_int_equal(!n, !json_object_get(j, P "members"));
	json_decref(j);
	unbend(&t);
	free(other);
	return n;
}

/* OOM-203: up to members_max, then only their number. */
static void test_members(void **state)
{
	(void)state;
	assert_int_equal(n_members(64), 2);
	assert_int_equal(n_members(1), 1);
	assert_int_equal(n_members(0), 0);
}

static void test_kernel_log(void **state)
{
	static const char lines[] = "oom-kill:constraint=X\0Killed process 5";
	struct bent t;
	json_t *j;

	(void)state;
	bend(&t);
	j = report(&t);
	assert_null(json_object_get(j, P "kernel_log"));
	json_decref(j);
	memcpy(t.run.kernel_log, lines, sizeof(lines));
	t.run.kernel_log_len = sizeof(lines);
	j = report(&t);
	assert_int_equal(json_array_size(json_object_get(j, P "kernel_log")), 2);
	assert_true(names(j, P "kernel_log", "oom-kill:constraint=X"));
	assert_true(names(j, P "kernel_log", "Killed process 5"));
	json_decref(j);
	unbend(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_parents_are_cut),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_kernel_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
