/* SPDX-License-Identifier: Apache-2.0 */
/* Aftermath, and tables that are full. */
#include "marks.h"

/* --- OOM-204, OOM-205: aftermath --- */

static void test_aftermath(void **state)
{
	static const struct {
		const char *name;
		uint64_t exit_s[2]; /* of the two victims, 0 = never */
		uint64_t aftermath_s, at_s;
		const char *reason;
		unsigned exits;
	} cases[] = {
		{ "a second after the last exit", { 1, 3 }, 60, 4, "exited", 2 },
		{ "one stays", { 1, 0 }, 60, 60, "timeout", 1 },
		{ "an exit later than a minute", { 1, 90 }, 600, 91, "exited", 2 },
		{ "short aftermath", { 0, 0 }, 1, 1, "timeout", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct correlator_options o = defaults;
		struct world w;

		o.aftermath_us = cases[i].aftermath_s * US_PER_SEC;
		begin_with(&w, &o);
		for (uint32_t k = 0; k < 2; k++)
			world_feed(&w, mark(10 + k, 1, BEGIN, k ? STACK_MEMBER : STACK_MEMCG),
				   false);
		for (uint32_t k = 0; k < 2; k++) {
			uint64_t at = BEGIN + cases[i].exit_s[k] * NS_PER_SEC;

			if (!cases[i].exit_s[k])
				continue;
			world_wait(&w, at / 1000);
			world_feed(&w, exit_of(10 + k, at), false);
			world_feed(&w, exit_of(10 + k, at), false); /* told twice: one exit */
		}
		world_wait(&w, UINT64_MAX);
		assert_int_equal(w.aftermaths, 1);
		assert_int_equal(w.exits, cases[i].exits);
		if (!streq(w.reason, cases[i].reason) ||
		    w.now_us != BEGIN / 1000 + cases[i].at_s * US_PER_SEC)
			fail_msg("%s: %s at %llu", cases[i].name, w.reason,
				 (unsigned long long)(w.now_us - BEGIN / 1000));
		world_done(&w);
	}
}

static void test_victims_full(void **state)
{
	struct correlator_options o = defaults;
	struct world w;

	(void)state;
	o.victims = 64;
	begin_with(&w, &o);
	for (uint32_t i = 0; i < 65; i++)
		world_feed(&w, mark(100 + i, 100 + i, BEGIN + i * 1000, STACK_MEMCG), false);
	world_wait(&w, BEGIN / 1000 + US_PER_SEC);
	assert_int_equal(n_events(&w, "oom.kill"), 65);
	assert_int_equal(w.aftermaths, 1);
	assert_string_equal(w.reason, "evicted");
	assert_int_equal(correlator_stats(w.correlator)->evicted, 1);
	/* Those that went were not missed: nothing is evicted for them. */
	for (uint32_t i = 1; i < 65; i++)
		world_feed(&w, exit_of(100 + i, BEGIN + NS_PER_SEC), false);
	for (uint32_t i = 0; i < 64; i++)
		world_feed(&w, mark(300 + i, 300 + i, BEGIN + NS_PER_SEC + 1, STACK_MEMCG), false);
	assert_int_equal(correlator_stats(w.correlator)->evicted, 1);
	world_done(&w);
}

/* --- OOM-602: slots --- */

static void test_slots_full(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.busy = true;
	for (uint32_t i = 0; i < 300; i++) {
		struct oom_victim *v = mark(1000 + i, 1000 + i, BEGIN + i, STACK_MEMCG);

		v->flags |= OOM_VICTIM_RECLAIM;
		v->reclaim_kind = OOM_RECLAIM_MEMCG;
		world_feed(&w, v, false);
	}
	assert_int_equal(n_events(&w, "oom.kill"), 300 - 256);
	check_number(&w, 1, "process.pid", 1000); /* the oldest first, at once, incomplete */
	check_bool(&w, 1, "telamon.oom.complete", false);
	check_text(&w, 2, "telamon.oom.aftermath", "evicted");
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 300);
	assert_int_equal(w.aftermaths, 300);
	assert_int_equal(correlator_stats(w.correlator)->evicted, 44);
	check_bool(&w, 2 * 44 + 1, "telamon.oom.complete", true);
	world_done(&w);
}

/* What was told and only waits for its aftermath makes room first. */
static void test_told_go_first(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.busy = true;
	for (uint32_t i = 0; i < 255; i++)
		world_feed(&w, mark(1000 + i, 1000 + i, BEGIN + i, STACK_MEMCG), false);
	w.busy = false;
	world_wait(&w, BEGIN / 1000 + 100 * US_PER_MSEC);
	assert_int_equal(n_events(&w, "oom.kill"), 255);
	w.busy = true;
	for (uint32_t i = 0; i < 256; i++)
		world_feed(&w, mark(2000 + i, 2000 + i, BEGIN + 100 * MS + i, STACK_MEMCG), false);
	assert_int_equal(n_events(&w, "oom.kill"), 255);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 511);
	world_done(&w);
}

/* A group that is larger than the pool of kills: a record for each, one decision. */
static void test_large_group(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.busy = true;
	for (uint32_t i = 0; i < 1000; i++)
		world_feed(&w, mark(1000 + i, 1000, BEGIN + i, i ? STACK_MEMBER : STACK_MEMCG),
			   false);
	for (uint32_t i = 0; i < 1000; i++)
		world_feed(&w, exit_of(1000 + i, BEGIN + MS + i), false);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 1000);
	assert_int_equal(w.aftermaths, 1);
	assert_string_equal(w.reason, "exited");
	check_number(&w, 1000, "telamon.oom.chosen_pid", 1000);
	check_text(&w, 1000, "telamon.oom.role", "group");
	check_text(&w, 1000, "telamon.oom.decision", "c0ffee01-1000000000000");
	assert_int_equal(correlator_stats(w.correlator)->kills, 1000);
	assert_int_equal(correlator_stats(w.correlator)->groups, 1);
	world_done(&w);
}

/* 65,536 followed victims: what a record costs does not grow with them. No time is measured; a scan would not end here. */
static void test_many_victims(void **state)
{
	struct correlator_options o = defaults;
	struct world w;

	(void)state;
	o.victims = 65536;
	begin_with(&w, &o);
	for (uint32_t i = 0; i < 100000; i++) {
		uint64_t at = BEGIN + i * MS;

		correlator_feed(w.correlator, &mark(1000 + i, 1000 + i, at, STACK_MEMCG)->head,
				false, at / 1000);
		correlator_feed(w.correlator, &exit_of(1000 + i, at)->head, false, at / 1000);
		if (i % 64 == 0) {
			w.now_us = at / 1000;
			correlator_run(w.correlator, w.now_us);
			strbuf_clear(&w.json);
		}
	}
	assert_int_equal(w.exits, 100000);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aftermath),   cmocka_unit_test(test_victims_full),
		cmocka_unit_test(test_slots_full),  cmocka_unit_test(test_told_go_first),
		cmocka_unit_test(test_large_group), cmocka_unit_test(test_many_victims),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
