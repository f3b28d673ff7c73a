/* SPDX-License-Identifier: Apache-2.0 */
/* OOM-601: what 96 bytes of a spilled record still tell of its decision. */
#include "marks.h"

/* Of a kill whose record found the ring full, as the spill map has it. */
static struct record_head *spilled(uint32_t pid, uint32_t trigger, uint64_t boot_ns,
				   enum oom_victim_role role, uint64_t number)
{
	static struct ring r;
	struct oom_victim *v;

	if (r.n == RECORDS_MAX)
		ring_free(&r);
	v = (struct oom_victim *)ring_add(&r, mark(pid, trigger, boot_ns, STACK_NONE));
	v->role = role;
	v->decision = number;
	v->flags |= number ? OOM_VICTIM_DECISION : 0;
	ring_spill(&r, r.n - 1);
	return r.records[r.n - 1];
}

/* Decision ids of the @n events of kills, compared with the first one's. */
static void check_runs(const struct world *w, const bool *same, unsigned n)
{
	json_t *first = event(w, 1);

	for (unsigned i = 1; i <= n; i++) {
		json_t *j = event(w, i);
		bool equal =
			streq(json_string_value(json_object_get(j, "telamon.oom.decision")),
			      json_string_value(json_object_get(first, "telamon.oom.decision")));

		if (equal != same[i - 1])
			fail_msg("event %u is %s decision", i,
				 equal ? "of the same" : "of another");
		json_decref(j);
	}
	json_decref(first);
}

static void test_roles(void **state)
{
	static const bool same[] = { true, true, true, false };
	struct world w;

	begin(&w);
	world_feed(&w, mark(10, 50, BEGIN, STACK_MEMCG), false);
	world_feed(&w, spilled(11, 50, BEGIN + 1, OOM_ROLE_MEMBER, 0), true);
	world_feed(&w, spilled(12, 50, BEGIN + 2, OOM_ROLE_MEMBER, 0), true);
	/* The next one of the same thread, right behind it. */
	world_feed(&w, spilled(13, 50, BEGIN + 3, OOM_ROLE_CHOSEN, 0), true);
	world_wait(&w, BEGIN / 1000 + 2 * US_PER_SEC);
	assert_int_equal(n_events(&w, "oom.kill"), 4);
	check_runs(&w, same, 4);
	check_text(&w, 2, "telamon.oom.role", "group");
	check_text(&w, 3, "telamon.oom.role", "group");
	check_text(&w, 4, "telamon.oom.role", "chosen");
	check_number(&w, 3, "telamon.oom.trigger.thread", 50);
	check_bool(&w, 3, "telamon.oom.spilled", true);
	world_done(&w);
}

/* Nothing of the group but what was spilled: its chosen one, too. */
static void test_all_spilled(void **state)
{
	static const bool same[] = { true, true, true };
	struct world w;

	begin(&w);
	world_feed(&w, spilled(10, 50, BEGIN, OOM_ROLE_CHOSEN, 0), true);
	world_feed(&w, spilled(11, 50, BEGIN + 30 * MS, OOM_ROLE_MEMBER, 0), true);
	world_feed(&w, spilled(12, 50, BEGIN + 60 * MS, OOM_ROLE_MEMBER, 0), true);
	world_wait(&w, BEGIN / 1000 + 3 * US_PER_SEC);
	check_runs(&w, same, 3);
	check_text(&w, 1, "telamon.oom.role", "chosen");
	check_text(&w, 2, "telamon.oom.role", "group");
	/* The kernel counts the chosen one of a group twice (K4). */
	assert_int_equal(correlator_stats(w.correlator)->kills, 3);
	assert_int_equal(correlator_stats(w.correlator)->groups, 1);
	world_done(&w);
}

/* Where the decision is hooked its number tells, however close and whoever asked. */
static void test_numbers(void **state)
{
	static const bool same[] = { true, true, false };
	struct world w;

	begin(&w);
	world_feed(&w, spilled(10, 50, BEGIN, OOM_ROLE_UNKNOWN, 7), true);
	world_feed(&w, spilled(11, 50, BEGIN + 1, OOM_ROLE_MEMBER, 7), true);
	world_feed(&w, spilled(12, 50, BEGIN + 2, OOM_ROLE_UNKNOWN, 8), true);
	world_wait(&w, BEGIN / 1000 + 2 * US_PER_SEC);
	check_runs(&w, same, 3);
	world_done(&w);
}

/* Two threads of one process ask at the same time: the thread tells them apart. */
static void test_threads(void **state)
{
	static const bool same[] = { true, false };
	struct record_head *head;
	struct world w;

	begin(&w);
	world_feed(&w, spilled(10, 50, BEGIN, OOM_ROLE_CHOSEN, 0), true);
	head = spilled(11, 50, BEGIN + 1, OOM_ROLE_MEMBER, 0);
	((struct oom_core *)head)->trigger_tid = 51;
	world_feed(&w, head, true);
	world_wait(&w, BEGIN / 1000 + 2 * US_PER_SEC);
	check_runs(&w, same, 2);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_all_spilled),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
