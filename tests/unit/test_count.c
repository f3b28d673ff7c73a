/* SPDX-License-Identifier: Apache-2.0 */
/* Stage 1: what is counted at once, and what waits for the identity (OOM-504). */
#include <stdlib.h>
#include "agent/oom/decode.h"
#include "agent/oom/internal.h"
#include "base/macro.h"
#include "base/strbuf.h"
#include "base/time.h"
#include "test.h"

struct world {
	struct agent agent;
	struct oom_state state;
	struct oom_run run;
	struct oom_kill kill;
	struct identity identity;
};

static void setup(struct world *w)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(loop_new(&w->agent.loop), 0);
	assert_int_equal(metrics_new(&w->agent.metrics), 0);
	assert_int_equal(metrics_register(w->agent.metrics, "oom", oom_metric_rows, _OOM_METRIC_MAX,
					  64, &w->state.metrics),
			 0);
	w->state.agent = &w->agent;
	w->run.scope = SCOPE_MEMCG;
	w->identity.kind = CGNAME_DOCKER;
	w->identity.label_namespace = w->identity.label_workload = "";
	w->identity.label_container = "early";
	w->kill.identity = &w->identity;
	w->kill.v.rss_anon = 3;
	w->kill.v.rss_file = w->kill.v.rss_shmem = w->kill.v.swap = OOM_UNKNOWN64;
	w->kill.v.pgtables_bytes = 4096;
}

static void teardown(struct world *w)
{
	metrics_free(w->agent.metrics);
	loop_free(w->agent.loop);
}

static bool shows(const struct world *w, const char *line)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	metrics_write(w->agent.metrics, METRICS_TEXT, &text);
	return strstr(strbuf_str(&text), line) != NULL;
}

#define LIMIT_KILLS "telamon_oom_limit_kills_total{"
#define NODE "telamon_oom_node_kills_total{scope=\"memcg\",role=\"chosen\"} 1\n"

static void test_known_identity(void **state)
{
	struct world w;

	setup(&w);
	oom_count_victim(&w.state, &w.run, &w.kill);
	assert_true(shows(&w, NODE));
	assert_true(w.kill.counted_workload);
	assert_true(shows(&w, "container=\"early\"} 1\n"));
	oom_count_workload(&w.state, &w.run, &w.kill); /* stage 2 does not count again */
	assert_false(shows(&w, "container=\"early\"} 2\n"));
	teardown(&w);
}

/* Its sources are still being read: the node's counter rises at once, the workload's under the name found by then. */
static void test_pending_identity(void **state)
{
	struct world w;

	setup(&w);
	w.identity.pending = true;
	oom_count_victim(&w.state, &w.run, &w.kill);
	assert_true(shows(&w, NODE));
	assert_false(w.kill.counted_workload);
	assert_false(shows(&w, "container=\"early\"}"));
	w.identity.pending = false;
	w.identity.label_container = "late";
	oom_count_workload(&w.state, &w.run, &w.kill);
	assert_false(shows(&w, "container=\"early\"}"));
	assert_true(shows(&w, "container=\"late\"} 1\n"));
	teardown(&w);
}

static void test_nobody_knows_it(void **state)
{
	struct world w;

	setup(&w);
	w.kill.identity = NULL;
	oom_count_victim(&w.state, &w.run, &w.kill);
	assert_true(shows(&w, NODE));
	assert_false(w.kill.counted_workload);
	oom_count_workload(&w.state, &w.run, &w.kill);
	assert_true(shows(&w, "telamon_oom_kills_total{scope=\"memcg\",kind=\"none\""));
	teardown(&w);
}

/* OOM-503: zero from the start, 15 minutes longer than its containers, and no longer. */
static void test_preinit(void **state)
{
	const struct identity_options o = { .entries = 8, .tombstones = 8, .node_name = "n" };
	const uint64_t minute = 60 * US_PER_SEC;
	struct world w;
	struct identity *i;
	static const char zero[] = "container=\"a.service\"} 0\n";

	setup(&w);
	assert_int_equal(identity_cache_new(&o, &w.agent.identity), 0);
	w.state.config.metrics.preinit = true;
	i = identity_add(w.agent.identity, 0, 7, "/system.slice/a.service", true, minute);
	assert_non_null(i);
	oom_preinit(&w.state, i, minute);
	assert_true(shows(&w, zero));
	/* As long as it lives. */
	for (uint64_t m = 2; m <= 60; m++)
		oom_preinit_tick(&w.state, m * minute);
	assert_true(shows(&w, zero));
	assert_int_equal(metric_series_expire(w.state.metrics, OOM_KILLS, 59 * minute), 0);

	identity_remove(w.agent.identity, 0, 7, 61 * minute);
	oom_preinit_removed(&w.state, i, 61 * minute);
	oom_preinit_tick(&w.state, 76 * minute);
	assert_true(shows(&w, zero));
	oom_preinit_tick(&w.state, 77 * minute);
	assert_false(shows(&w, zero));
	assert_int_equal(metric_series_evicted(w.state.metrics, OOM_KILLS), 0);
	/* A late word of its end brings nothing back. */
	oom_preinit_removed(&w.state, i, 78 * minute);
	assert_false(shows(&w, zero));
	identity_cache_free(w.agent.identity);
	teardown(&w);
}

/* Hits that the kernel program counted in a cgroup that nobody knows (any more). */
static void test_hits_of_unknown(void **state)
{
	const struct identity_options o = { .entries = 8, .tombstones = 8, .node_name = "n" };
	const struct oom_limit_hits hits = { .hits = { [OOM_LIMIT_MAX] = 5, [OOM_LIMIT_OOM] = 2 } };
	const struct cgroup_layout layout = {};
	struct world w;

	setup(&w);
	assert_int_equal(identity_cache_new(&o, &w.agent.identity), 0);
	w.agent.cgroups = &layout;
	assert_non_null(identity_add(w.agent.identity, 0, 7, "/system.slice/a.service", true, 1));
	oom_limits_hits(&w.state, 7, &hits);
	oom_limits_hits(&w.state, 8, &hits);
	assert_true(shows(&w, "container=\"a.service\"} 2\n"));
	assert_true(shows(&w, "telamon_oom_limit_hits_total{event=\"max\",kind=\"none\"} 5\n"));
	identity_cache_free(w.agent.identity);
	teardown(&w);
}

/* Variant `counters`: of some kills nothing is known but that they happened. */
static void test_blind(void **state)
{
	struct world w;

	setup(&w);
	oom_count_blind(&w.state, NULL, 3);
	oom_count_blind(&w.state, &w.identity, 2);
	assert_true(shows(&w, "telamon_oom_kills_total{scope=\"unknown\",kind=\"none\"} 3\n"));
	assert_true(shows(&w, "container=\"early\"} 2\n"));
	assert_true(
		shows(&w, "telamon_oom_node_kills_total{scope=\"unknown\",role=\"chosen\"} 5\n"));
	teardown(&w);
}

/* Once somebody died there, the series is kept by the retention alone. */
static void test_preinit_killed(void **state)
{
	struct world w;

	setup(&w);
	w.state.config.metrics.preinit = true;
	w.identity.level = CGLEVEL_CONTAINER;
	oom_preinit(&w.state, &w.identity, US_PER_SEC);
	oom_count_victim(&w.state, &w.run, &w.kill);
	oom_preinit_removed(&w.state, &w.identity, 2 * US_PER_SEC);
	assert_int_equal(metric_series_drop_zero(w.state.metrics, OOM_KILLS, UINT64_MAX), 0);
	assert_true(shows(&w, "container=\"early\"} 1\n"));
	teardown(&w);
}

/* What died, by kind of memory; what is not known is not counted as nothing, and never as much. */
static void test_bytes(void **state)
{
	struct world w;
	char line[128];

	setup(&w);
	w.kill.v.rss_file = 5;
	oom_count_victim(&w.state, &w.run, &w.kill);
	(void)snprintf(line, sizeof(line), "killed_bytes_total{type=\"anon\"} %llu\n",
		       (unsigned long long)oom_pages(3));
	assert_true(shows(&w, line));
	(void)snprintf(line, sizeof(line), "killed_bytes_total{type=\"file\"} %llu\n",
		       (unsigned long long)oom_pages(5));
	assert_true(shows(&w, line));
	assert_true(shows(&w, "killed_bytes_total{type=\"shmem\"} 0\n"));
	assert_true(shows(&w, "killed_bytes_total{type=\"swap\"} 0\n"));
	assert_true(shows(&w, "killed_bytes_total{type=\"pgtables\"} 4096\n"));
	assert_true(shows(&w, "telamon_oom_event_delay_seconds_count{stage=\"counter\"} 1\n"));
	teardown(&w);
}

static void test_foreign_trigger(void **state)
{
	static const struct {
		uint64_t victim, trigger;
		bool foreign;
	} cases[] = { { 7, 7, false }, { 7, 8, true }, { 0, 8, false }, { 7, 0, false } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world w;

		setup(&w);
		w.kill.v.cgroup_id = cases[i].victim;
		w.kill.v.trigger_cgroup_id = cases[i].trigger;
		oom_count_victim(&w.state, &w.run, &w.kill);
		assert_true(shows(&w, cases[i].foreign ? "telamon_oom_trigger_foreign_total 1\n"
						       : "telamon_oom_trigger_foreign_total 0\n"));
		teardown(&w);
	}
}

static void test_last_kill(void **state)
{
	struct world w;

	setup(&w);
	w.kill.wall_ns = 1790000000250000000ULL;
	oom_count_victim(&w.state, &w.run, &w.kill);
	assert_true(shows(&w, "telamon_oom_last_kill_timestamp_seconds{kind=\"docker\""));
	assert_true(shows(&w, "container=\"early\"} 1790000000.25\n"));
	teardown(&w);
}

/* One decision, whatever the number of its victims; by the limit only where a known limit killed. */
static void test_decision(void **state)
{
	struct world w;
	struct identity limit;

	setup(&w);
	limit = w.identity;
	limit.level = CGLEVEL_SYSTEMD_SLICE;
	limit.label_workload = "limiting";
	w.run.kills = &w.kill;
	w.run.limit.found = true;
	w.run.invoke_ns = 20000;
	w.kill.v.kind = OOM_VICTIM_KILL;
	w.state.world.limit_identity = &limit;
	oom_count_run(&w.state, &w.run);
	assert_true(
		shows(&w, "telamon_oom_decisions_total{scope=\"memcg\",outcome=\"killed\"} 1\n"));
	assert_true(shows(&w, "telamon_oom_decision_seconds_count 1\n"));
	assert_true(shows(&w, "telamon_oom_decision_seconds_sum 2e-05\n"));
	assert_true(shows(&w, "workload=\"limiting\",level=\"systemd_slice\"} 1\n"));

	w.state.world.limit_identity =
		NULL; /* a limit that nobody can name is a limit all the same */
	w.run.invoke_ns = 0;
	oom_count_run(&w.state, &w.run);
	assert_true(shows(&w, "level=\"other\"} 1\n"));
	assert_true(shows(&w, "telamon_oom_decision_seconds_count 1\n"));
	teardown(&w);
}

static void test_decision_without_limit(void **state)
{
	static const struct {
		uint16_t kind;
		enum oom_scope scope;
		bool found;
		const char *decision;
	} cases[] = {
		{ OOM_VICTIM_KILL, SCOPE_GLOBAL, true, "scope=\"global\",outcome=\"killed\"} 1\n" },
		{ OOM_VICTIM_KILL, SCOPE_MEMCG, false, "scope=\"memcg\",outcome=\"killed\"} 1\n" },
		{ OOM_VICTIM_RESERVE, SCOPE_MEMCG, true,
		  "scope=\"memcg\",outcome=\"reserve\"} 1\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world w;

		setup(&w);
		w.run.kills = &w.kill;
		w.run.scope = cases[i].scope;
		w.run.limit.found = cases[i].found;
		w.kill.v.kind = cases[i].kind;
		w.state.world.limit_identity = &w.identity;
		oom_count_run(&w.state, &w.run);
		assert_true(shows(&w, cases[i].decision));
		assert_false(shows(&w, LIMIT_KILLS));
		teardown(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_identity),
		cmocka_unit_test(test_pending_identity),
		cmocka_unit_test(test_nobody_knows_it),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_foreign_trigger),
		cmocka_unit_test(test_last_kill),
		cmocka_unit_test(test_decision),
		cmocka_unit_test(test_decision_without_limit),
		cmocka_unit_test(test_preinit),
		cmocka_unit_test(test_preinit_killed),
		cmocka_unit_test(test_blind),
		cmocka_unit_test(test_hits_of_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
