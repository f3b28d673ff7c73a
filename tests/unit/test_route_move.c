/* SPDX-License-Identifier: Apache-2.0 */
/* Moves from one table to the next at a boundary of time (GW-SH-14): which boundary, which old tables stay, for how long, and for which nodes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "base/time.h"
#include "route/receive/window.h"
#include "route/rules-file.h"
#include "route/snapshot.h"
#include "route/wire/varint.h"
#include "test.h"

#define MINUTE 60000LL
#define NOW 1700000010000LL /* 30 s into a minute */
#define BOUNDARY "move_at: boundary, move_interval: 1m"

static void boundaries(void **state)
{
	static const struct {
		int64_t now, interval, boundary;
	} cases[] = {
		{ 0, 1000, 1000 },	   { 1, 1000, 2000 },
		{ 999, 1000, 2000 },	   { 1000, 1000, 2000 },
		{ 1001, 1000, 3000 },	   { NOW, MINUTE, NOW + 90000 },
		{ NOW, 1000, NOW + 1000 }, { NOW, 86400000, 1700092800000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(shard_boundary(cases[i].now, cases[i].interval),
				 cases[i].boundary);
}

static void common_intervals(void **state)
{
	static const struct {
		unsigned seconds[3], common;
		bool longest;
	} cases[] = {
		{ { 60, 60, 60 }, 60, false },
		{ { 30, 60, 20 }, 60, false },
		{ { 60, 90, 100 }, 900, false },
		{ { 1800, 3600, 60 }, 3600, false },
		{ { 3600, 2700, 60 }, 3600, true },
		{ { 3600, 7200, 60 }, 7200, false },
		{ { 7200, 10800, 60 }, 10800, true },
		{ { 3599, 3571, 3559 }, 3599, true },
		{ { 86400, 86400, 86400 }, 86400, false },
	};
	bool longest;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t us[3];

		for (unsigned k = 0; k < 3; k++)
			us[k] = cases[i].seconds[k] * US_PER_SEC;
		assert_int_equal(shard_common_interval(us, 3, &longest),
				 cases[i].common * US_PER_SEC);
		assert_int_equal(longest, cases[i].longest);
	}
	assert_int_equal(shard_common_interval(NULL, 0, &longest), 0);
	assert_false(longest);
}

static void intervals_of_a_rules_file(void **state)
{
	static const char text[] = "- {interval: 30s, by: [a], outputs: [total]}\n"
				   "- {interval: 1m30s, by: [a], outputs: [total]}\n"
				   "- {interval: 0.05h, by: [a], outputs: [total]}\n";
	const struct shard_key_options o = {};
	struct diags errors = {}, warnings = {};
	struct shard_rules *rules = NULL;
	bool longest;

	assert_int_equal(rules_file_parse(text, strlen(text), "rules.yaml", &o, &errors, &warnings,
					  &rules),
			 0);
	/* 30 s, 90 s, 180 s */
	assert_int_equal(shard_rules_interval(rules, &longest), 180 * US_PER_SEC);
	assert_false(longest);
	shard_rules_free(rules);
}

/* --- snapshots --- */

static struct route_config *parse(const char *nodes, const char *shard)
{
	char text[2048], line[512];
	struct diags diags = {};
	struct route_config *c = NULL;

	(void)snprintf(text, sizeof(text), "destinations:\n- name: d\n  shard: {%s}\n  nodes:\n",
		       shard);
	for (const char *n = nodes; *n; n++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
			       "  - {name: %c, url: 'http://%c/', weight: %d}\n", *n | 0x20,
			       *n | 0x20, *n & 0x20 ? 1 : 0);
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
		       "routes:\n- {name: r, destination: d}\n");
	if (route_config_parse(text, strlen(text), "route.yaml", &diags, &c) < 0)
		fail_msg("%s\n%s", text, diag_format(&diags.items[0], line, sizeof(line)));
	return c;
}

/* @nodes: a letter each, a capital one has no weight. @before goes. */
static struct snapshot *load(struct snapshot *before, const char *nodes, const char *shard,
			     int64_t now_ms, struct diags *warnings)
{
	struct diags own = {};
	struct snapshot *s = NULL;
	char why[256] = "";

	assert_int_equal(snapshot_after(before, now_ms, parse(nodes, shard), NULL,
					warnings ? warnings : &own, why, sizeof(why), &s),
			 0);
	snapshot_free(before);
	return s;
}

/* Time goes on, the configuration stays. */
static struct snapshot *settle(struct snapshot *before, int64_t now_ms)
{
	struct diags warnings = {};
	struct snapshot *s = NULL;
	char why[256] = "";

	assert_int_equal(snapshot_after(before, now_ms, route_config_ref(before->config), NULL,
					&warnings, why, sizeof(why), &s),
			 0);
	snapshot_free(before);
	return s;
}

/* Names of the nodes by task, of the old table @move, or of the present one where it is -1. */
static void names(const struct snapshot *s, int move, char *ret)
{
	const struct destination *d = s->destinations;
	const struct shard_table *t = move < 0 ? d->table : d->moves[move].table;

	for (uint32_t i = 0; i < t->tasks; i++) {
		assert_in_range(t->nodes[i], 0, d->n_all - 1);
		ret[i] = *d->node_configs[t->nodes[i]].name;
	}
	ret[t->tasks] = '\0';
}

static void a_node_joins(void **state)
{
	struct snapshot *s = load(NULL, "ab", BOUNDARY ", tasks: 64", NOW, NULL);
	const struct destination *d = s->destinations;
	char before[65], old[65], now[65];

	assert_int_equal(d->n_moves, 0);
	assert_int_equal(snapshot_moves_until(s), 0);
	names(s, -1, before);
	/* Its name is in front: indexes change, nodes do not. */
	s = load(s, "0ab", BOUNDARY ", tasks: 64", NOW, NULL);
	d = s->destinations;
	assert_int_equal(d->n_moves, 1);
	assert_int_equal(d->moves[0].boundary_ms, NOW + 90000);
	assert_int_equal(d->moves[0].until_ms, NOW + 90000 + 2 * MINUTE);
	assert_int_equal(snapshot_moves_until(s), NOW + 90000 + 2 * MINUTE);
	assert_null(d->moves[0].key);
	assert_int_equal(d->n_all, 3);
	names(s, 0, old);
	names(s, -1, now);
	assert_string_equal(old, before);
	assert_non_null(strchr(now, '0'));
	/* A reload that changes no table leaves the move as it is, whatever else it changes. */
	s = load(s, "ba0", BOUNDARY ", tasks: 64, overload: 2%", NOW + MINUTE, NULL);
	assert_int_equal(s->destinations->n_moves, 1);
	assert_int_equal(s->destinations->moves[0].boundary_ms, NOW + 90000);
	names(s, 0, old);
	assert_string_equal(old, before);
	/* It ends by the clock. */
	s = settle(s, NOW + 90000 + 2 * MINUTE - 1);
	assert_int_equal(s->destinations->n_moves, 1);
	names(s, 0, old);
	assert_string_equal(old, before);
	s = settle(s, NOW + 90000 + 2 * MINUTE);
	assert_int_equal(s->destinations->n_moves, 0);
	names(s, -1, old);
	assert_string_equal(old, now);
	snapshot_free(s);
}

static void a_node_leaves(void **state)
{
	struct snapshot *s = load(NULL, "abc", BOUNDARY ", tasks: 64", NOW, NULL);
	char before[65], old[65], now[65];

	names(s, -1, before);
	s = load(s, "ac", BOUNDARY ", tasks: 64", NOW, NULL);
	assert_int_equal(s->destinations->n_nodes, 2);
	assert_int_equal(s->destinations->n_all, 3);
	assert_string_equal(s->destinations->node_configs[2].name, "b");
	/* Its texts are of a configuration that is otherwise gone. */
	assert_string_equal(s->destinations->node_configs[2].url, "http://b/");
	names(s, 0, old);
	assert_string_equal(old, before);
	names(s, -1, now);
	assert_null(strchr(now, 'b'));
	s = settle(s, NOW + 10 * MINUTE);
	assert_int_equal(s->destinations->n_all, 2);
	assert_int_equal(s->destinations->n_moves, 0);
	names(s, -1, old);
	assert_string_equal(old, now);
	snapshot_free(s);
}

static void a_second_change_before_the_boundary(void **state)
{
	struct snapshot *s = load(NULL, "ab", BOUNDARY ", tasks: 64", NOW, NULL);
	char before[65], old[65];

	names(s, -1, before);
	s = load(s, "abc", BOUNDARY ", tasks: 64", NOW, NULL);
	/* The table of three never came into force: the first one stays up to the boundary of the last. */
	s = load(s, "bd", BOUNDARY ", tasks: 64", NOW + MINUTE, NULL);
	assert_int_equal(s->destinations->n_moves, 1);
	assert_int_equal(s->destinations->moves[0].boundary_ms, NOW + 90000 + MINUTE);
	names(s, 0, old);
	assert_string_equal(old, before);
	assert_int_equal(s->destinations->n_all, 3); /* b d, and a; c is gone */
	/* Back to the first: nothing moves. */
	s = load(s, "ab", BOUNDARY ", tasks: 64", NOW + MINUTE, NULL);
	assert_int_equal(s->destinations->n_moves, 0);
	assert_int_equal(s->destinations->n_all, 2);
	snapshot_free(s);
}

static void a_second_change_after_the_boundary(void **state)
{
	struct snapshot *s = load(NULL, "ab", BOUNDARY ", tasks: 64", NOW, NULL);
	struct diags warnings = {};
	char one[65], two[65], got[65];
	int64_t now = NOW;

	names(s, -1, one);
	s = load(s, "abc", BOUNDARY ", tasks: 64", now, NULL);
	names(s, -1, two);
	/* Late samples still come: both old tables stay, each up to its own boundary. */
	now += 2 * MINUTE;
	s = load(s, "bcd", BOUNDARY ", tasks: 64", now, NULL);
	assert_int_equal(s->destinations->n_moves, 2);
	assert_int_equal(s->destinations->moves[0].boundary_ms, NOW + 90000);
	assert_int_equal(s->destinations->moves[1].boundary_ms, now + 90000);
	names(s, 0, got);
	assert_string_equal(got, one);
	names(s, 1, got);
	assert_string_equal(got, two);
	/* The first ends, the second goes on. */
	s = settle(s, NOW + 90000 + 2 * MINUTE);
	assert_int_equal(s->destinations->n_moves, 1);
	names(s, 0, got);
	assert_string_equal(got, two);
	/* There is a limit, and it is told. */
	for (unsigned i = 0; i < 8; i++) {
		now += 2000;
		s = load(s, i % 2 ? "abc" : "abd",
			 "move_at: boundary, move_interval: 1s, tasks: 64", now, NULL);
		/* These end long before. */
		assert_in_range(s->destinations->n_moves, 1, DESTINATION_MOVES_MAX);
	}
	s = load(
		s, "xy",
		"move_at: boundary, move_interval: 1h, effective_at: '2023-11-14T22:00:00Z', tasks: 64",
		now, &warnings);
	assert_int_equal(warnings.total, 1); /* past */
	snapshot_free(s);
}

static void more_tables_than_are_kept(void **state)
{
	static const char *const nodes[] = { "ab", "abc", "bcd", "ad", "acd", "cd", "bd" };
	struct diags warnings = {};
	struct snapshot *s = load(NULL, nodes[0], BOUNDARY ", tasks: 64", NOW, NULL);
	char got[65], first[65] = "";

	/* Boundaries in the past of each, with hours until they end. */
	for (size_t i = 1; i < ARRAY_SIZE(nodes); i++) {
		char shard[160];

		(void)snprintf(shard, sizeof(shard),
			       "move_at: boundary, move_interval: 12h, tasks: 64, "
			       "effective_at: '2023-11-14T22:%02zu:00Z'",
			       i);
		if (i == ARRAY_SIZE(nodes) - DESTINATION_MOVES_MAX)
			names(s, -1, first);
		s = load(s, nodes[i], shard, NOW + (int64_t)i, &warnings);
		assert_int_equal(s->destinations->n_moves, MIN(i, (size_t)DESTINATION_MOVES_MAX));
	}
	names(s, 0, got);
	assert_string_equal(got, first);
	for (size_t i = 1; i < s->destinations->n_moves; i++)
		assert_true(s->destinations->moves[i - 1].boundary_ms <
			    s->destinations->moves[i].boundary_ms);
	assert_int_equal(warnings.total,
			 ARRAY_SIZE(nodes) - 1 + ARRAY_SIZE(nodes) - 1 - DESTINATION_MOVES_MAX);
	snapshot_free(s);
}

/* A boundary before those that were there: the tables between the two have no samples any more. */
static void effective_before_others(void **state)
{
	struct snapshot *s = load(NULL, "ab", BOUNDARY ", tasks: 64", NOW, NULL);
	struct diags warnings = {};
	char first[65], got[65];

	names(s, -1, first);
	s = load(s, "abc",
		 "move_at: boundary, move_interval: 12h, tasks: 64, effective_at: "
		 "'2023-11-14T22:10:00Z'",
		 NOW, &warnings);
	s = load(s, "abd",
		 "move_at: boundary, move_interval: 12h, tasks: 64, effective_at: "
		 "'2023-11-14T22:05:00Z'",
		 NOW, &warnings);
	assert_int_equal(s->destinations->n_moves, 1);
	assert_int_equal(s->destinations->moves[0].boundary_ms, 1699999500000);
	names(s, 0, got);
	assert_string_equal(got, first);
	snapshot_free(s);
}

static void effective_at(void **state)
{
	struct snapshot *s = load(NULL, "ab", BOUNDARY, NOW, NULL);
	struct diags warnings = {};

	s = load(s, "abc",
		 "move_at: boundary, move_interval: 1m, effective_at: '2023-11-14T22:30:00.5Z'",
		 NOW, &warnings);
	assert_int_equal(s->destinations->n_moves, 1);
	assert_int_equal(s->destinations->moves[0].boundary_ms, 1700001000500);
	assert_int_equal(s->destinations->moves[0].until_ms, 1700001000500 + 2 * MINUTE);
	assert_int_equal(warnings.total, 0);
	/* So long ago that no late sample is waited for. */
	s = load(s, "abd",
		 "move_at: boundary, move_interval: 1m, effective_at: '2020-11-14T22:30:00Z'", NOW,
		 &warnings);
	assert_int_equal(s->destinations->n_moves, 0);
	assert_int_equal(warnings.total, 1);
	snapshot_free(s);
}

static void at_once(void **state)
{
	struct snapshot *s = load(NULL, "ab", "", NOW, NULL);
	struct diags warnings = {};

	s = load(s, "abc", "", NOW, NULL);
	assert_int_equal(s->destinations->n_moves, 0);
	/* A move that waits ends when the next one is at once. */
	s = load(s, "ab", BOUNDARY, NOW, NULL);
	assert_int_equal(s->destinations->n_moves, 1);
	s = load(s, "abd", "", NOW, NULL);
	assert_int_equal(s->destinations->n_moves, 0);
	/* Jump has no table that samples could go by. */
	s = load(s, "ab", "algorithm: jump", NOW, NULL);
	s = load(s, "abc", BOUNDARY, NOW, &warnings);
	assert_int_equal(s->destinations->n_moves, 0);
	assert_int_equal(warnings.total, 1);
	snapshot_free(s);
}

static struct placement place_before(const struct snapshot *s, const struct rw_label *labels,
				     size_t n, struct placement *ret_now)
{
	uint8_t scratch[1024];

	*ret_now = destination_place(s->destinations, NULL, labels, n, (struct rw_span){}, scratch,
				     sizeof(scratch));
	return destination_place_before(s->destinations->moves, ret_now, NULL, labels, n,
					(struct rw_span){}, scratch, sizeof(scratch));
}

static void other_tasks_and_keys(void **state)
{
	static const struct rw_label labels[] = { { "__name__", "up", 8, 2 },
						  { "job", "node", 3, 4 } };
	struct snapshot *s = load(NULL, "ab", BOUNDARY ", tasks: 64", NOW, NULL);
	struct placement now, before, first;

	first = destination_place(s->destinations, NULL, labels, 2, (struct rw_span){},
				  (uint8_t[1024]){}, 1024);
	s = load(s, "ab", BOUNDARY ", tasks: 128, key: {by: [job]}", NOW, NULL);
	assert_int_equal(s->destinations->n_moves, 1);
	assert_non_null(s->destinations->moves[0].key);
	assert_int_equal(s->destinations->moves[0].table->tasks, 64);
	before = place_before(s, labels, 2, &now);
	assert_int_equal(before.task, first.task);
	assert_int_equal(before.hash, first.hash);
	assert_int_not_equal(before.hash, now.hash);
	/* Old samples leave in the lane of new ones, so before them. */
	assert_int_equal(before.lane, now.lane);
	/* The old key's labels are of a configuration that is gone by now. */
	s = load(s, "ab", BOUNDARY ", tasks: 128, key: {by: [__name__]}", NOW, NULL);
	assert_int_equal(s->destinations->n_moves, 1);
	before = place_before(s, labels, 2, &now);
	assert_int_equal(before.task, first.task);
	snapshot_free(s);
}

/* --- a series that reaches over the boundary --- */

static uint8_t *put_sample(uint8_t *at, uint8_t tag, uint8_t ts_field, uint64_t ts)
{
	uint8_t *len = at + 1;

	*at = tag;
	at += 2;
	*at++ = (uint8_t)(ts_field << 3);
	at = varint_put(at, ts);
	*len = (uint8_t)(at - len - 1);
	return at;
}

static void split(void **state)
{
	static const uint64_t samples[] = { 10, 20, 21, 30 }, exemplars[] = { 5, 20, 25 };
	uint8_t data[256], *at = data, *mid;
	struct rw_buf scratch[2] = {};
	struct rw_series s = { .min_ts = 10,
			       .max_ts = 40,
			       .n_samples = 4,
			       .n_histograms = 1,
			       .n_exemplars = 3 },
			 older, after;

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		at = put_sample(at, 0x12, 2, samples[i]);
	s.samples = (struct rw_span){ data, (size_t)(at - data) };
	mid = at;
	for (size_t i = 0; i < ARRAY_SIZE(exemplars); i++)
		at = put_sample(at, 0x1a, 3, exemplars[i]);
	s.exemplars = (struct rw_span){ mid, (size_t)(at - mid) };
	mid = at;
	at = put_sample(at, 0x22, 15, 40);
	s.histograms = (struct rw_span){ mid, (size_t)(at - mid) };
	/* The boundary itself belongs to the old table. */
	assert_true(window_split(20, &s, &scratch[0], &scratch[1], &older, &after));
	assert_int_equal(older.n_samples, 2);
	assert_int_equal(older.n_histograms, 0);
	assert_int_equal(older.n_exemplars, 2);
	assert_int_equal(older.min_ts, 10);
	assert_int_equal(older.max_ts, 20);
	assert_int_equal(after.n_samples, 2);
	assert_int_equal(after.n_histograms, 1);
	assert_int_equal(after.n_exemplars, 1);
	assert_int_equal(after.min_ts, 21);
	assert_int_equal(after.max_ts, 40);
	assert_int_equal(older.samples.len + after.samples.len, s.samples.len);
	assert_memory_equal(older.samples.at, s.samples.at, older.samples.len);
	assert_memory_equal(after.samples.at, s.samples.at + older.samples.len, after.samples.len);
	assert_int_equal(older.exemplars.len + after.exemplars.len, s.exemplars.len);
	assert_memory_equal(after.histograms.at, s.histograms.at, s.histograms.len);
	rw_buf_done(&scratch[0]);
	rw_buf_done(&scratch[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(boundaries),
		cmocka_unit_test(common_intervals),
		cmocka_unit_test(intervals_of_a_rules_file),
		cmocka_unit_test(a_node_joins),
		cmocka_unit_test(a_node_leaves),
		cmocka_unit_test(a_second_change_before_the_boundary),
		cmocka_unit_test(a_second_change_after_the_boundary),
		cmocka_unit_test(more_tables_than_are_kept),
		cmocka_unit_test(effective_at),
		cmocka_unit_test(effective_before_others),
		cmocka_unit_test(at_once),
		cmocka_unit_test(other_tasks_and_keys),
		cmocka_unit_test(split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
