/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of OOM kills
 *
 * Stage 1 counts before any other work: closed families are atomics, workload series live in a preallocated table. Where the
 * identity is still being read, the workload's counter waits for stage 2, the node's never does (OOM-504).
 */

#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/internal.h"
#include "base/time.h"

#define PREINIT_KEEP_US (15 * 60 * US_PER_SEC)
#define PREINIT_EVERY_US (10 * US_PER_SEC)

static uint64_t now_us(const struct oom_state *s)
{
	return loop_now(s->agent->loop);
}

static double delay(uint64_t boot_ns)
{
	uint64_t now = time_boot_ns();

	return now > boot_ns ? (double)(now - boot_ns) / 1e9 : 0;
}

/* Labels of a workload series, in the order of the rows. An empty label is the same as none. */
void oom_workload_labels(const struct oom_state *s, const struct identity *i,
			 const char *ret[WORKLOAD_LABELS])
{
	ret[0] = i ? cgname_kind_name(i->kind) : "none";
	ret[1] = i ? i->label_namespace : "";
	ret[2] = i ? i->label_workload : "";
	ret[3] = i ? i->label_container : "";
	ret[4] = i && s->config.metrics.pod_label && i->kind == CGNAME_K8S ? i->pod_name : "";
}

void oom_count_workload(struct oom_state *s, const struct oom_run *run, struct oom_kill *k)
{
	const char *labels[1 + WORKLOAD_LABELS], *last[WORKLOAD_LABELS];
	uint64_t now = now_us(s);

	if (k->counted_workload)
		return;
	k->counted_workload = true;
	oom_workload_labels(s, k->identity, last);
	labels[0] = oom_scope_names[run->scope];
	memcpy(labels + 1, last, sizeof(last));
	metric_series_add(metric_series(s->metrics, OOM_KILLS, labels, now), 1, now);
	metric_series_gauge(metric_series(s->metrics, OOM_LAST_KILL, last, now),
			    (double)(k->wall_ns / NS_PER_MSEC) / 1e3, now);
}

static void count_bytes(struct oom_state *s, const struct oom_victim *v)
{
	const uint64_t bytes[] = { oom_pages(v->rss_anon), oom_pages(v->rss_file),
				   oom_pages(v->rss_shmem), oom_pages(v->swap), v->pgtables_bytes };

	for (uint8_t i = 0; i < ARRAY_SIZE(bytes); i++)
		if (bytes[i] != OOM_UNKNOWN64)
			metric_add(s->metrics, METRIC(OOM_KILLED_BYTES, i), bytes[i]);
}

void oom_count_victim(struct oom_state *s, const struct oom_run *run, struct oom_kill *k)
{
	const struct oom_victim *v = &k->v;

	metric_add(s->metrics, METRIC(OOM_NODE_KILLS, run->scope, k->role), 1);
	metric_observe(s->metrics, METRIC(OOM_EVENT_DELAY, STAGE_COUNTER), delay(k->boot_ns));
	count_bytes(s, v);
	if (v->trigger_cgroup_id && v->cgroup_id && v->trigger_cgroup_id != v->cgroup_id)
		metric_add(s->metrics, METRIC(OOM_TRIGGER_FOREIGN), 1);
	if (k->identity && !k->identity->pending)
		oom_count_workload(s, run, k);
}

void oom_count_run(struct oom_state *s, const struct oom_run *run)
{
	const struct identity *i = s->world.limit_identity;
	enum oom_outcome outcome = OUTCOME_RESERVE;
	const char *labels[WORKLOAD_LABELS];

	for (const struct oom_kill *k = run->kills; k; k = k->next)
		if (k->v.kind != OOM_VICTIM_RESERVE)
			outcome = OUTCOME_KILLED;
	metric_add(s->metrics, METRIC(OOM_DECISIONS, run->scope, (uint8_t)outcome), 1);
	if (run->invoke_ns)
		metric_observe(s->metrics, METRIC(OOM_DECISION_SECONDS),
			       (double)run->invoke_ns / 1e9);
	if (outcome != OUTCOME_KILLED || run->scope != SCOPE_MEMCG || !run->limit.found)
		return;
	oom_workload_labels(s, report_knows_pod(i, run) ? run->kills->identity : i, labels);
	labels[3] = i ? cgname_level_name(i->level) : "other";
	metric_series_add(metric_series(s->metrics, OOM_LIMIT_KILLS, labels, now_us(s)), 1,
			  now_us(s));
}

void oom_count_blind(struct oom_state *s, const struct identity *i, uint64_t n)
{
	const char *labels[1 + WORKLOAD_LABELS] = { oom_scope_names[SCOPE_UNKNOWN] };
	uint64_t now = now_us(s);

	oom_workload_labels(s, i, labels + 1);
	metric_series_add(metric_series(s->metrics, OOM_KILLS, labels, now), n, now);
	metric_add(s->metrics, METRIC(OOM_NODE_KILLS, SCOPE_UNKNOWN, ROLE_CHOSEN), n);
}

/* Only what people call a workload: groups, slices and roots get a series when something dies there. */
static bool wants_preinit(const struct oom_state *s, const struct identity *i)
{
	return s->config.metrics.preinit && !i->pending && !i->sandbox && i->kind != CGNAME_OTHER &&
	       i->kind != CGNAME_NONE &&
	       (i->level == CGLEVEL_CONTAINER || i->level == CGLEVEL_SYSTEMD_SERVICE);
}

void oom_preinit(struct oom_state *s, const struct identity *i, uint64_t now)
{
	const char *labels[1 + WORKLOAD_LABELS] = { oom_scope_names[SCOPE_MEMCG] };

	if (!wants_preinit(s, i))
		return;
	oom_workload_labels(s, i, labels + 1);
	(void)metric_series(s->metrics, OOM_KILLS, labels, now);
}

/* The time from which a series that is still 0 is kept moves to @now. */
static void keep_zero(struct oom_state *s, const struct identity *i, uint64_t now)
{
	const char *labels[1 + WORKLOAD_LABELS] = { oom_scope_names[SCOPE_MEMCG] };
	struct metric_series *x;

	if (!wants_preinit(s, i))
		return;
	oom_workload_labels(s, i, labels + 1);
	x = metric_series_find(s->metrics, OOM_KILLS, labels);
	if (x && metric_series_value(x) == 0)
		metric_series_add(x, 0, now);
}

void oom_preinit_removed(struct oom_state *s, const struct identity *i, uint64_t now)
{
	keep_zero(s, i, now);
}

static void keep_alive(void *ctx, struct identity *i)
{
	struct oom_state *s = ctx;

	keep_zero(s, i, s->preinit_us);
}

/*
 * Several containers may stand behind one series, so it is not dropped with one of them: whoever lives keeps it, and what nobody kept
 * for a while goes.
 */
void oom_preinit_tick(struct oom_state *s, uint64_t now)
{
	if (s->preinit_us && now < s->preinit_us + PREINIT_EVERY_US)
		return;
	s->preinit_us = now;
	identity_for_each(s->agent->identity, keep_alive, s);
	if (now > PREINIT_KEEP_US)
		(void)metric_series_drop_zero(s->metrics, OOM_KILLS, now - PREINIT_KEEP_US);
}

void oom_count_tick(struct oom_state *s, uint64_t now)
{
	const struct correlator_stats *c = correlator_stats(s->correlator);
	uint64_t lost[_OOM_LOST_MAX], retention = s->config.metrics.retention_us;
	struct event_stream_stats events;

	oom_hooks_lost(s->hooks, lost);
	for (int i = 0; i < _OOM_LOST_MAX; i++)
		lost[i] += s->lost_before[i];
	metric_store(s->metrics, METRIC(OOM_LOST, LOST_RING_FULL),
		     lost[OOM_LOST_RING] + lost[OOM_LOST_OTHER]);
	metric_store(s->metrics, METRIC(OOM_LOST, LOST_SPILL_FULL), lost[OOM_LOST_SPILL]);
	if (lost[OOM_LOST_SPILL] > s->lost_told) {
		oom_publish_lost(s, lost[OOM_LOST_SPILL] - s->lost_told);
		s->lost_told = lost[OOM_LOST_SPILL];
	}
	metric_store(s->metrics, METRIC(OOM_LOST, LOST_DECODE),
		     c->decode_errors + s->malformed_before + oom_hooks_malformed(s->hooks));
	metric_store(s->metrics, METRIC(OOM_LOST, LOST_VICTIMS_FULL), c->evicted);
	event_stream_stats(s->agent->stream, &events);
	metric_store(s->metrics, METRIC(OOM_LOST, LOST_JOURNAL),
		     s->unpublished + events.journal_missed[EVENT_CLASS_OOM]);
	metric_store(s->metrics, METRIC(OOM_RECORDS), c->records);
	metric_store(s->metrics, METRIC(OOM_UNSEEN), s->unseen);
	oom_preinit_tick(s, now);
	if (now > retention) {
		(void)metric_series_expire(s->metrics, OOM_KILLS, now - retention);
		(void)metric_series_expire(s->metrics, OOM_LAST_KILL, now - retention);
		(void)metric_series_expire(s->metrics, OOM_LIMIT_KILLS, now - retention);
		(void)metric_series_expire(s->metrics, OOM_LIMIT_HITS, now - retention);
	}
	metric_gauge(s->metrics, METRIC(OOM_SERIES),
		     (double)metric_series_count(s->metrics, OOM_KILLS));
	metric_store(s->metrics, METRIC(OOM_SERIES_EVICTED),
		     metric_series_evicted(s->metrics, OOM_KILLS));
}
