/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OOM-303: the wall clock is set before a record comes, while it waits, and between two of one decision
 *
 * A stamp is what the clock said when its record came, for ever. All stamps of one record are by that clock.
 */
#include "base/parse.h"
#include "bent.h"

#define HOUR ((int64_t)3600 * NS_PER_SEC)

static const int64_t steps[] = { HOUR, -HOUR, 37 * (int64_t)NS_PER_MSEC, -1 };

static const struct correlator_options options = { .wait_us = 500 * US_PER_MSEC,
						   .aftermath_us = 60 * US_PER_SEC,
						   .victims = 64 };

/* Records of the ring @name; the clock is set before record @at comes, behind the last one while all wait. */
static void play(struct world *w, const char *name, size_t at, int64_t step)
{
	struct ring r = {};

	world_init(w, name, &options);
	ring_read(&r, name);
	world_know(w, &r);
	for (size_t i = 0; i < r.n; i++) {
		world_wait(w, r.records[i]->boot_ns / 1000);
		w->step_ns = i >= at ? step : 0;
		world_feed(w, r.records[i], r.spilled[i]);
	}
	w->step_ns = step;
	world_wait(w, UINT64_MAX);
	ring_free(&r);
}

/* The @n-th event named @name; NULL when there are fewer. */
static json_t *event(const struct world *w, const char *name, unsigned n)
{
	for (const char *line = w->json.data; line && *line; line = strchr(line, '\n') + 1) {
		json_error_t error;
		json_t *j = json_loadb(line, strcspn(line, "\n"), 0, &error);

		if (!j)
			fail_msg("%s", error.text);
		if (streq(string_at(j, "event.name"), name) && n-- == 0)
			return j;
		json_decref(j);
	}
	return NULL;
}

static int64_t stamp(const json_t *j, const char *key)
{
	uint64_t ns;

	if (parse_rfc3339(string_at(j, key), &ns) < 0)
		fail_msg("%s is '%s'", key, string_at(j, key));
	return (int64_t)ns;
}

/* Wall time less boot time of the mark, beside what it is without a step. */
static int64_t offset(const json_t *j)
{
	return stamp(j, "timestamp") -
	       (int64_t)strtoll(string_at(j, "telamon.boottime_ns"), NULL, 10) -
	       (int64_t)WALL_OFFSET_NS;
}

static void test_set_while_a_record_waits(void **state)
{
	static const char *const rings[] = { "single", "group", "shared_mm", "repeat" };

	for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
		for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
			struct world still, set;
			json_t *a, *b;

			play(&still, rings[i], SIZE_MAX, 0);
			play(&set, rings[i], SIZE_MAX, steps[s]);
			for (unsigned n = 0; (a = event(&still, "oom.kill", n)); n++) {
				b = event(&set, "oom.kill", n);
				/* The last of "repeat" waits alone; those before it were told already. */
				if (!b || !json_equal(a, b))
					fail_msg("%s, step %zu: record %u is another", rings[i], s,
						 n);
				json_decref(a);
				json_decref(b);
			}
			/* What happens later is by the new clock. */
			b = event(&set, "oom.aftermath", 0);
			if (!streq(rings[i], "repeat"))
				assert_int_equal(offset(b), steps[s]);
			json_decref(b);
			world_done(&still);
			world_done(&set);
		}
	}
}

static void test_set_before_the_record_comes(void **state)
{
	for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
		struct world still, set;
		json_t *a, *b;

		play(&still, "group", 0, 0);
		play(&set, "group", 0, steps[s]);
		for (unsigned n = 0; (a = event(&still, "oom.kill", n)); n++) {
			b = event(&set, "oom.kill", n);
			assert_int_equal(offset(a), 0);
			assert_int_equal(offset(b), steps[s]);
			assert_int_equal(stamp(b, "process.creation.time"),
					 stamp(a, "process.creation.time") + steps[s]);
			assert_string_equal(string_at(b, "telamon.process.id"),
					    string_at(a, "telamon.process.id"));
			assert_string_equal(string_at(b, "telamon.oom.decision"),
					    string_at(a, "telamon.oom.decision"));
			json_decref(a);
			json_decref(b);
		}
		world_done(&still);
		world_done(&set);
	}
}

/* Each record keeps the clock of its own coming. */
static void test_set_between_two_of_a_decision(void **state)
{
	for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
		struct world still, set;
		unsigned before = 0, after = 0;
		json_t *a, *b;

		play(&still, "group", 3, 0);
		play(&set, "group", 3, steps[s]);
		for (unsigned n = 0; (a = event(&still, "oom.kill", n)); n++) {
			int64_t by;

			b = event(&set, "oom.kill", n);
			by = offset(b);
			assert_true(by == 0 || by == steps[s]);
			before += by == 0;
			after += by != 0;
			assert_int_equal(stamp(b, "process.creation.time") - stamp(b, "timestamp"),
					 stamp(a, "process.creation.time") - stamp(a, "timestamp"));
			json_decref(a);
			json_decref(b);
		}
		assert_true(before > 0 && after > 0 && before + after == 6);
		world_done(&still);
		world_done(&set);
	}
}

/* Lists in a record are by its own clock, too: exits are told by their own time, not by that of the report. */
static void test_members(void **state)
{
	struct bent t;
	json_t *a, *b;

	bend(&t);
	t.kill.exit_boot_ns = t.kill.boot_ns + 3 * NS_PER_MSEC;
	t.run.n_kills = 2;
	a = report(&t);
	t.w.step_ns = HOUR;
	b = report(&t);
	assert_int_equal(json_array_size(json_object_get(a, "telamon.oom.members")), 1);
	assert_true(json_equal(json_object_get(a, "telamon.oom.members"),
			       json_object_get(b, "telamon.oom.members")));
	assert_int_equal(stamp(json_array_get(json_object_get(a, "telamon.oom.members"), 0),
			       "exit.time") -
				 stamp(a, "timestamp"),
			 3 * NS_PER_MSEC);
	json_decref(a);
	json_decref(b);
	unbend(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_while_a_record_waits),
		cmocka_unit_test(test_set_before_the_record_comes),
		cmocka_unit_test(test_set_between_two_of_a_decision),
		cmocka_unit_test(test_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
