/* SPDX-License-Identifier: Apache-2.0 */
/* Kills by counters alone: which cgroup, and by whose limit. */
#include "limits_world.h"

static void make(struct world *w, const char *path)
{
	char full[128];

	(void)snprintf(full, sizeof(full), "%s%s", w->root, path);
	assert_int_equal(mkdir(full, 0700), 0);
}

/* Counts of v2 in @path: of itself and with those below. */
static void counts(const struct world *w, const char *path, unsigned own, unsigned with_below)
{
	char file[128], text[64];

	(void)snprintf(file, sizeof(file), "%s/memory.events.local", path + 1);
	(void)snprintf(text, sizeof(text), "max 0\noom 0\noom_kill %u\noom_group_kill 0\n", own);
	put(w, file, text);
	(void)snprintf(file, sizeof(file), "%s/memory.events", path + 1);
	(void)snprintf(text, sizeof(text), "max 0\noom 0\noom_kill %u\noom_group_kill 0\n",
		       with_below);
	put(w, file, text);
}

static void counts_v1(const struct world *w, const char *path, unsigned own)
{
	char file[128], text[64];

	(void)snprintf(file, sizeof(file), "%s/memory.oom_control", path + 1);
	(void)snprintf(text, sizeof(text), "oom_kill_disable 0\nunder_oom 0\noom_kill %u\n", own);
	put(w, file, text);
}

static void limit(const struct world *w, const char *path, const char *max)
{
	char file[128];

	(void)snprintf(file, sizeof(file), "%s/%s", path + 1,
		       w->layout.mode == CGROUP_MODE_V2 ? "memory.max" : "memory.limit_in_bytes");
	put(w, file, max);
}

static struct identity *known(struct world *w, const char *path, uint64_t added_us)
{
	struct identity *i = cgroup(w, 0, path, added_us);

	limits_add(w->limits, i, added_us);
	return i;
}

static void passes(struct world *w)
{
	for (int i = 0; i < LIMITS_KILLS_PASSES; i++)
		limits_find_kills(w->limits);
}

static void assert_told(const struct world *w, size_t at, const char *path, const char *by,
			uint64_t n)
{
	assert_true(at < w->n_told);
	assert_string_equal(w->told[at].path, path);
	assert_int_equal(w->told[at].n, n);
	if (by)
		assert_string_equal(w->told[at].limit, by);
	else
		assert_null(w->told[at].limit);
}

/* /a has the limit, /a/b and /a/b/c have none; /d has nothing above it. */
static void tree(struct world *w, enum cgroup_mode mode)
{
	static const char *const paths[] = { "/a/b", "/a/b/c", "/d" };

	setup(w, mode, LIMITS_POLL, true);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		make(w, paths[i]);
	limit(w, "/a", "1048576\n");
}

static void test_child_without_limit(void **state)
{
	struct world w;

	tree(&w, CGROUP_MODE_V2);
	counts(&w, "/a", 0, 0);
	counts(&w, "/a/b", 0, 0);
	counts(&w, "/a/b/c", 0, 0);
	counts(&w, "/d", 0, 0);
	(void)known(&w, "/a", 10 * SECOND);
	(void)known(&w, "/a/b", 10 * SECOND);
	(void)known(&w, "/a/b/c", 10 * SECOND);
	(void)known(&w, "/d", 10 * SECOND);
	passes(&w);
	assert_int_equal(w.kills, 0);

	counts(&w, "/a/b/c", 2, 2);
	counts(&w, "/a/b", 0, 2);
	counts(&w, "/a", 0, 2);
	passes(&w);
	assert_int_equal(w.n_told, 1); /* and not once more for each level above */
	assert_told(&w, 0, "/a/b/c", "/a", 2);

	counts(&w, "/a", 1, 3);
	counts(&w, "/d", 1, 1);
	passes(&w);
	assert_int_equal(w.n_told, 3);
	assert_told(&w, 1, "/a", "/a", 1);
	assert_told(&w, 2, "/d", NULL, 1);
	teardown(&w);
}

/* Its own count went with it, but not out of the sum of the one above. */
static void test_child_that_is_gone(void **state)
{
	struct world w;

	tree(&w, CGROUP_MODE_V2);
	counts(&w, "/a", 0, 0);
	counts(&w, "/a/b", 0, 0);
	(void)known(&w, "/a", 10 * SECOND);
	limits_remove(w.limits, known(&w, "/a/b", 10 * SECOND));
	counts(&w, "/a", 1, 4);
	limits_find_kills(w.limits);
	assert_int_equal(w.kills,
			 1); /* those below might be told by a file that was read too early */
	limits_find_kills(w.limits);
	assert_int_equal(w.n_told, 2);
	assert_told(&w, 0, "/a", "/a", 1);
	assert_told(&w, 1, "/a", "/a", 3);
	passes(&w);
	assert_int_equal(w.kills, 4);
	teardown(&w);
}

/* The kill falls between two reads: whichever file is read first, it is told once. */
static void test_between_two_reads(void **state)
{
	struct world w;

	tree(&w, CGROUP_MODE_V2);
	counts(&w, "/a", 0, 0);
	counts(&w, "/a/b", 0, 0);
	(void)known(&w, "/a", 10 * SECOND);
	(void)known(&w, "/a/b", 10 * SECOND);
	counts(&w, "/a", 0, 1);
	limits_find_kills(w.limits);
	counts(&w, "/a/b", 1, 1);
	passes(&w);
	assert_int_equal(w.n_told, 1);
	assert_told(&w, 0, "/a/b", "/a", 1);

	counts(&w, "/a/b", 2, 2);
	limits_find_kills(w.limits);
	counts(&w, "/a", 0, 2);
	passes(&w);
	assert_int_equal(w.n_told, 2);
	teardown(&w);
}

/* Of two with a limit it is the nearer one, and its sum is not told again by the sum above. */
static void test_nested_limits(void **state)
{
	struct world w;

	tree(&w, CGROUP_MODE_V2);
	limit(&w, "/a/b", "4096\n");
	counts(&w, "/a", 0, 0);
	counts(&w, "/a/b", 0, 0);
	counts(&w, "/a/b/c", 0, 0);
	(void)known(&w, "/a", 10 * SECOND);
	(void)known(&w, "/a/b", 10 * SECOND);
	limits_remove(w.limits, known(&w, "/a/b/c", 10 * SECOND));
	counts(&w, "/a/b", 0, 2);
	counts(&w, "/a", 0, 2);
	passes(&w);
	assert_int_equal(w.n_told, 1);
	assert_told(&w, 0, "/a/b", "/a/b", 2);

	/* The nearer one goes before it could be told: then it is the one above. */
	counts(&w, "/a/b", 0, 3);
	counts(&w, "/a", 0, 3);
	limits_find_kills(w.limits);
	limits_remove(w.limits, cgroup(&w, 0, "/a/b", 10 * SECOND));
	passes(&w);
	assert_int_equal(w.n_told, 2);
	assert_told(&w, 1, "/a", "/a", 1);
	teardown(&w);
}

/* What was counted before the agent came, or before a limit was set, is not told. */
static void test_begin(void **state)
{
	struct world w;

	tree(&w, CGROUP_MODE_V2);
	counts(&w, "/a", 3, 9);
	counts(&w, "/d", 7, 7);
	(void)known(&w, "/a", SECOND);
	(void)known(&w, "/d", SECOND);
	passes(&w);
	assert_int_equal(w.kills, 0);
	counts(&w, "/d", 8, 8);
	passes(&w);
	assert_told(&w, 0, "/d", NULL, 1);
	limit(&w, "/d", "4096\n");
	limits_tick(w.limits, 100 * SECOND);
	passes(&w);
	assert_int_equal(w.n_told, 1);
	teardown(&w);
}

/* Mount option memory_localevents: sums hold nothing of what is below. */
static void test_local_events(void **state)
{
	struct world w;

	tree(&w, CGROUP_MODE_V2);
	counts(&w, "/a", 0, 0);
	counts(&w, "/a/b", 0, 0);
	(void)known(&w, "/a", 10 * SECOND);
	(void)known(&w, "/a/b", 10 * SECOND);
	counts(&w, "/a/b", 5, 5);
	passes(&w);
	assert_told(&w, 0, "/a/b", "/a", 5);
	counts(&w, "/a", 0, 1); /* of a child that is gone: not swallowed by those five */
	passes(&w);
	assert_int_equal(w.n_told, 2);
	assert_told(&w, 1, "/a", "/a", 1);
	teardown(&w);
}

static void test_v1(void **state)
{
	struct world w;

	tree(&w, CGROUP_MODE_HYBRID);
	limit(&w, "/d", "9223372036854771712\n");
	counts_v1(&w, "/a", 0);
	counts_v1(&w, "/a/b", 0);
	counts_v1(&w, "/d", 4);
	(void)known(&w, "/a", 10 * SECOND);
	(void)known(&w, "/a/b", 10 * SECOND);
	(void)known(&w, "/d", SECOND);
	counts_v1(&w, "/a/b", 1);
	counts_v1(&w, "/d", 6);
	passes(&w);
	assert_int_equal(w.n_told, 2);
	assert_told(&w, 0, "/a/b", "/a", 1);
	assert_told(&w, 1, "/d", NULL, 2);
	teardown(&w);
}

/* Made and killed in before anybody knew of it: whoever finds it says that there is something to look for. */
static void test_found_late(void **state)
{
	struct world w;

	tree(&w, CGROUP_MODE_V2);
	counts(&w, "/a", 0, 0);
	counts(&w, "/d", 3, 3);
	(void)known(&w, "/a", 10 * SECOND);
	assert_false(limits_kills_waiting(w.limits));
	(void)known(&w, "/d", 12 * SECOND);
	assert_true(limits_kills_waiting(w.limits));
	passes(&w);
	assert_false(limits_kills_waiting(w.limits) || limits_kills_waiting(NULL));
	assert_int_equal(w.n_told, 1);
	assert_told(&w, 0, "/d", NULL, 3);
	teardown(&w);
}

/* Where hooks tell of kills nobody asks, and no file is read for it. */
static void test_not_asked(void **state)
{
	struct world w;

	setup(&w, CGROUP_MODE_V2, LIMITS_POLL, false);
	counts(&w, "/a", 0, 0);
	(void)known(&w, "/a", 10 * SECOND);
	counts(&w, "/a", 1, 1);
	passes(&w);
	assert_int_equal(w.kills, 0);
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child_without_limit),
		cmocka_unit_test(test_child_that_is_gone),
		cmocka_unit_test(test_between_two_reads),
		cmocka_unit_test(test_nested_limits),
		cmocka_unit_test(test_begin),
		cmocka_unit_test(test_local_events),
		cmocka_unit_test(test_v1),
		cmocka_unit_test(test_found_late),
		cmocka_unit_test(test_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
