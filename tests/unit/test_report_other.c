/* SPDX-License-Identifier: Apache-2.0 */
/* Events without a victim: kills that nobody saw, decisions that found nobody, records that were lost. */
#include "bent.h"

static json_t *load(struct bent *t)
{
	json_error_t e;
	json_t *j = json_loadb(t->w.event.json.data, t->w.event.json.len, 0, &e);

	assert_non_null(j);
	return j;
}

static void test_unseen(void **state)
{
	struct bent t;
	struct identity *child, *limit;
	json_t *j;

	bend(&t);
	child = identity_from_path(t.w.identities, 1, 8, "/a/b", 4);
	limit = identity_from_path(t.w.identities, 1, 7, "/a", 2);
	assert_int_equal(report_unseen(&t.w.report, 3, 5, child, limit, &t.w.event), 0);
	j = load(&t);
	assert_string_equal(string_at(j, "event.name"), "oom.unseen");
	assert_int_equal(json_integer_value(json_object_get(j, "severity_number")), 13);
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.oom.unseen")), 3);
	assert_string_equal(string_at(j, "telamon.cgroup.path"), "/a/b");
	assert_string_equal(string_at(j, "telamon.oom.limit.cgroup.path"), "/a");
	assert_string_equal(string_at(j, "telamon.oom.limit.cgroup.id"), "7");
	assert_true(json_is_false(json_object_get(j, "telamon.oom.limit.certain")));
	json_decref(j);

	/* Of the whole host. */
	assert_int_equal(report_unseen(&t.w.report, 1, 5, NULL, NULL, &t.w.event), 0);
	j = load(&t);
	assert_null(json_object_get(j, "telamon.cgroup.path"));
	assert_null(json_object_get(j, "telamon.oom.limit.cgroup.path"));
	json_decref(j);
	(void)identity_unref(child);
	(void)identity_unref(limit);
	unbend(&t);
}

static void test_no_victim(void **state)
{
	struct report_no_victim n = { .boot_ns = 5, .scope = SCOPE_MEMCG, .source = "counters" };
	struct bent t;
	json_t *j;

	bend(&t);
	n.identity = t.kill.identity;
	assert_int_equal(report_no_victim(&t.w.report, &n, &t.w.event), 0);
	j = load(&t);
	assert_string_equal(string_at(j, "event.name"), "oom.no_victim");
	assert_int_equal(json_integer_value(json_object_get(j, "severity_number")), 21);
	assert_true(json_is_false(json_object_get(j, "telamon.oom.certain")));
	assert_string_equal(string_at(j, "telamon.oom.scope"), "memcg");
	assert_string_equal(string_at(j, "telamon.cgroup.path"), "/a");
	assert_null(json_object_get(j, "telamon.oom.trigger.pid"));
	json_decref(j);
	unbend(&t);
}

static void test_lost(void **state)
{
	struct bent t;
	json_t *j;

	bend(&t);
	assert_int_equal(report_lost(&t.w.report, 12, 5, &t.w.event), 0);
	j = load(&t);
	assert_string_equal(string_at(j, "event.name"), "telemetry.lost");
	assert_string_equal(string_at(j, "telamon.lost.class"), "oom");
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.lost.count")), 12);
	json_decref(j);
	unbend(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unseen),
		cmocka_unit_test(test_no_victim),
		cmocka_unit_test(test_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
