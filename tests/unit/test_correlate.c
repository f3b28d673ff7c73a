/* SPDX-License-Identifier: Apache-2.0 */
/* Which run a record belongs to, folding, waits. Recorded streams: test_report.c */
#include "marks.h"

/* --- OOM-202: the wait --- */

static void test_wait(void **state)
{
	static const struct {
		const char *name;
		bool busy, invoke_live;
		uint64_t members_every_ms, members; /* marks after the first */
		uint64_t ready_ms; /* after the first mark */
	} cases[] = {
		{ "nothing to wait for", false, false, 0, 0, 20 },
		{ "something is pending", true, false, 0, 0, 500 },
		{ "out_of_memory() has not returned", false, true, 0, 0, 500 },
		{ "half a second after the last member", true, false, 100, 3, 800 },
		{ "five seconds after the first", true, false, 400, 20, 5000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct correlator_options o = defaults;
		struct world w;

		o.invoke_live = cases[i].invoke_live;
		begin_with(&w, &o);
		w.busy = cases[i].busy;
		world_feed(&w, mark(1, 1, BEGIN, STACK_MEMCG), false);
		for (uint64_t m = 1; m <= cases[i].members && !w.readies; m++) {
			uint64_t at = BEGIN + m * cases[i].members_every_ms * MS;

			world_wait(&w, at / 1000);
			if (!w.readies)
				world_feed(&w, mark(1 + (uint32_t)m, 1, at, STACK_MEMBER), false);
		}
		world_wait(&w, BEGIN / 1000 + 10 * US_PER_SEC);
		if (w.ready_us != BEGIN / 1000 + cases[i].ready_ms * US_PER_MSEC)
			fail_msg("%s: after %llu us", cases[i].name,
				 (unsigned long long)(w.ready_us - BEGIN / 1000));
		world_done(&w);
	}
}

/* The return of out_of_memory() ends the wait. */
static void test_invoke_ends_wait(void **state)
{
	struct correlator_options o = defaults;
	struct oom_invoke r = {
		.head = { .type = OOM_RECORD_INVOKE, .size = sizeof(r), .boot_ns = BEGIN + 3 * MS },
		.trigger_tgid = 1,
		.trigger_tid = 1,
		.marks = 1,
		.result = 1,
		.duration_ns = 4 * MS
	};
	struct world w;

	(void)state;
	o.invoke_live = true;
	begin_with(&w, &o);
	world_feed(&w, mark(1, 1, BEGIN, STACK_MEMCG), false);
	world_feed(&w, &r, false);
	world_wait(&w, BEGIN / 1000 + US_PER_SEC);
	assert_int_equal(w.ready_us, BEGIN / 1000 + 23 * US_PER_MSEC);
	world_done(&w);
}

/* A full event queue: asked again, nothing is lost, nothing twice. */
static void test_refused(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.refuse = true;
	world_feed(&w, mark(1, 1, BEGIN, STACK_MEMCG), false);
	world_wait(&w, BEGIN / 1000 + 2 * US_PER_SEC);
	assert_int_equal(n_events(&w, "oom.kill"), 0);
	w.refuse = false;
	world_wait(&w, BEGIN / 1000 + 3 * US_PER_SEC);
	assert_int_equal(n_events(&w, "oom.kill"), 1);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 1);
	assert_int_equal(n_events(&w, "oom.aftermath"), 1);
	world_done(&w);
}

/* --- OOM-113: one record per entity --- */

static void test_fold(void **state)
{
	static const struct {
		const char *name;
		uint64_t after_ms, start; /* of the second mark; start 0 = unknown, 1 = the same */
		bool first_unknown, reserve, same_thread;
		unsigned records;
	} cases[] = {
		{ "another thread of it", 1, 1, false, false, false, 1 },
		{ "the same thread", 1, 1, false, false, true, 1 },
		{ "just below a minute", 59999, 1, false, false, false, 1 },
		{ "a minute later", 60000, 1, false, false, false, 2 },
		{ "pid reuse within the wait", 5, START + 77, false, false, true, 2 },
		{ "start unknown, at once", 1, 0, false, false, false, 1 },
		{ "start unknown of the first", 1, 1, true, false, false, 1 },
		{ "start unknown, seconds later", 2000, 0, true, false, true, 2 },
		{ "a thread of a killed process gets reserves", 1, 1, false, true, false, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oom_victim *v = mark(10, 1, BEGIN, STACK_MEMCG);
		struct world w;
		uint64_t at = BEGIN + cases[i].after_ms * MS;

		begin(&w);
		if (cases[i].first_unknown)
			v->start_boot_ns = 0;
		world_feed(&w, v, false);
		world_wait(&w, at / 1000);
		v = mark(10, 2, at, STACK_MEMCG);
		v->tid = cases[i].same_thread ? 10 : 11;
		if (cases[i].start != 1)
			v->start_boot_ns = cases[i].start;
		if (cases[i].reserve)
			v->kind = OOM_VICTIM_RESERVE;
		world_feed(&w, v, false);
		world_wait(&w, UINT64_MAX);
		if (n_events(&w, "oom.kill") != cases[i].records || w.victims != cases[i].records ||
		    n_events(&w, "oom.reserve") != 0)
			fail_msg("%s: %u records", cases[i].name, n_events(&w, "oom.kill"));
		if (cases[i].records == 1 && cases[i].after_ms < 20)
			check_number(&w, 1, "telamon.oom.attempts", 2);
		world_done(&w);
	}
}

/* Marks of one entity in the wrong order are one, too. */
static void test_fold_backwards(void **state)
{
	struct oom_victim *v;
	struct world w;

	(void)state;
	begin(&w);
	world_feed(&w, mark(10, 1, BEGIN + MS, STACK_MEMCG), false);
	v = mark(10, 2, BEGIN, STACK_MEMCG);
	v->tid = 11;
	world_feed(&w, v, false);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 1);
	world_done(&w);
}

/* --- OOM-201: which run --- */

static void test_same_run(void **state)
{
	static const struct {
		const char *name;
		enum coded_stack first, second;
		uint64_t gap_us;
		bool oom_group, shared;
		uint32_t trigger; /* of the second */
		unsigned decisions;
	} cases[] = {
		{ "a member", STACK_MEMCG, STACK_MEMBER, 100, true, false, 1, 1 },
		{ "the next decision of the same thread", STACK_MEMCG, STACK_MEMCG, 100, true,
		  false, 1, 2 },
		{ "a member of another thread's decision", STACK_MEMCG, STACK_MEMBER, 100, true,
		  false, 2, 2 },
		{ "a member seconds later", STACK_MEMCG, STACK_MEMBER, 3000000, true, false, 1, 2 },
		{ "a sharer", STACK_MEMCG, STACK_MEMCG, 100, false, true, 1, 1 },
		{ "no stack, group, at once", STACK_NONE, STACK_NONE, 19999, true, false, 1, 1 },
		{ "no stack, group, 20 ms", STACK_NONE, STACK_NONE, 20000, true, false, 1, 2 },
		{ "no stack, no group", STACK_NONE, STACK_NONE, 100, false, false, 1, 2 },
		{ "no stack, sharer without group", STACK_NONE, STACK_NONE, 100, false, true, 1,
		  1 },
		{ "no stack, another thread", STACK_NONE, STACK_NONE, 100, true, false, 2, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oom_victim *v = mark(10, 1, BEGIN, cases[i].first);
		struct world w;

		begin(&w);
		v->levels[0].oom_group = cases[i].oom_group;
		world_feed(&w, v, false);
		v = mark(11, cases[i].trigger, BEGIN + cases[i].gap_us * 1000, cases[i].second);
		v->levels[0].oom_group = cases[i].oom_group;
		if (cases[i].shared)
			v->kind = OOM_VICTIM_SHARED_MM;
		world_feed(&w, v, false);
		world_wait(&w, UINT64_MAX);
		if (w.aftermaths != cases[i].decisions)
			fail_msg("%s: %u decisions", cases[i].name, w.aftermaths);
		assert_int_equal(n_events(&w, "oom.kill"), 2);
		world_done(&w);
	}
}

/* The number of a hooked decision is stronger than stack and time, and the decision record may come last. */
static void test_numbered(void **state)
{
	struct oom_victim *v;
	struct world w;

	(void)state;
	begin(&w);
	for (uint32_t i = 0; i < 4; i++) {
		v = mark(10 + i, 1, BEGIN + i * MS, STACK_NONE);
		v->flags |= OOM_VICTIM_DECISION;
		v->decision = 5 + i / 2;
		world_feed(&w, v, false);
	}
	world_feed(&w, decision(5, 1, 11, BEGIN - MS), false);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(w.aftermaths, 2);
	check_text(&w, 1, "telamon.oom.role", "group"); /* 10: the decision says 11 */
	check_text(&w, 2, "telamon.oom.role", "chosen");
	check_number(&w, 1, "telamon.oom.chosen_pid", 11);
	check_text(&w, 1, "telamon.oom.scope.source", "oc");
	check_text(&w, 3, "telamon.oom.role", "chosen");
	check_text(&w, 4, "telamon.oom.role", "group");
	world_done(&w);
}

/* A victim that comes when its run was told already has a record of its own (wait 0). */
static void test_late_member(void **state)
{
	struct correlator_options o = defaults;
	struct world w;

	(void)state;
	o.wait_us = 0;
	begin_with(&w, &o);
	world_feed(&w, mark(10, 1, BEGIN, STACK_MEMCG), false);
	world_feed(&w, mark(11, 1, BEGIN + MS, STACK_MEMBER), false);
	world_feed(&w, mark(12, 1, BEGIN - MS, STACK_MEMBER), false); /* its clock was first */
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 3);
	assert_int_equal(w.aftermaths, 1);
	check_number(&w, 2, "process.pid", 11);
	check_number(&w, 3, "process.pid", 12);
	for (unsigned n = 1; n <= 3; n++) {
		check_number(&w, n, "telamon.oom.chosen_pid", 10);
		check_text(&w, n, "telamon.oom.decision", "c0ffee01-1000000000000");
	}
	world_done(&w);
}

/* --- bad records --- */

static void test_bad_records(void **state)
{
	struct oom_victim *v;
	struct record_head head = { .type = 99, .size = sizeof(head) };
	struct world w;

	(void)state;
	begin(&w);
	world_feed(&w, &head, false);
	v = mark(0, 1, BEGIN, STACK_MEMCG);
	world_feed(&w, v, false);
	v = mark(1, 1, BEGIN, STACK_MEMCG);
	v->kind = 77;
	world_feed(&w, v, false);
	v = mark(1, 1, BEGIN, STACK_MEMCG);
	v->head.size = offsetof(struct oom_victim, text) - 1;
	world_feed(&w, v, false);
	assert_int_equal(correlator_stats(w.correlator)->decode_errors, 4);
	assert_int_equal(w.victims, 0);
	world_feed(&w, mark(1, 1, BEGIN, STACK_MEMCG), false); /* and the loop goes on */
	assert_int_equal(w.victims, 1);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait),	       cmocka_unit_test(test_invoke_ends_wait),
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_fold),
		cmocka_unit_test(test_fold_backwards), cmocka_unit_test(test_same_run),
		cmocka_unit_test(test_numbered),       cmocka_unit_test(test_late_member),
		cmocka_unit_test(test_bad_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
