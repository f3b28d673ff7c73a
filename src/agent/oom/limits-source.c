/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limit hits as the module counts them
 *
 * Which source is live is the business of the capability oom_limit; the numbers go to telamon_oom_limit_hits_total. Where
 * oom_kill has nothing better than `counters`, the same files also tell in which cgroups somebody died.
 */
#define LOG_MODULE "oom"

#include "agent/oom/internal.h"
#include "agent/protect.h"
#include "base/log.h"
#include "base/time.h"

static struct identity *find(struct oom_state *s, uint64_t id)
{
	enum identity_result result;

	return identity_lookup(s->agent->identity, s->agent->cgroups->memory_hierarchy, id, NULL, 0,
			       &result);
}

/* @i: NULL where nobody knows the cgroup. */
static void on_hit(void *ctx, const struct identity *i, enum limit_event event, uint64_t n)
{
	static const char *const names[] = { "max", "oom", "oom_group_kill", "failcnt" };
	struct oom_state *s = ctx;
	uint64_t now = loop_now(s->agent->loop);
	const char *labels[1 + WORKLOAD_LABELS] = { names[event] };

	oom_workload_labels(s, i, labels + 1);
	metric_series_add(metric_series(s->metrics, OOM_LIMIT_HITS, labels, now), n, now);
}

static void on_no_victim(void *ctx, const struct identity *i)
{
	struct oom_state *s = ctx;

	oom_publish_no_victim(s, &(struct report_no_victim){ .boot_ns = time_boot_ns(),
							     .scope = SCOPE_MEMCG,
							     .source = "counters",
							     .identity = i });
}

/* Kills that the host's counter has and nobody told yet. */
static uint64_t untold(struct oom_state *s)
{
	const struct correlator_stats *c = correlator_stats(s->correlator);
	uint64_t kills, told = c->kills + c->groups + s->unseen;

	if (!s->vmstat_known || snapshot_kills(s->snapshotter, &kills) < 0)
		return UINT64_MAX;
	return kills - s->vmstat_base > told ? kills - s->vmstat_base - told : 0;
}

static void on_kills(void *ctx, const struct identity *i, const struct identity *limit, uint64_t n)
{
	struct oom_state *s = ctx;

	n = MIN(n, untold(s)); /* what was found late may have been told of the host */
	if (n == 0)
		return;
	oom_count_blind(s, i, n);
	oom_publish_unseen(s, n, i, limit);
	s->unseen +=
		n; /* the host's counter may still tell of kills in cgroups that are not known yet */
}

static enum limits_source source_of(const struct hook_state *limit)
{
	if (hook_live_is(limit, "fentry") || hook_live_is(limit, "kprobe"))
		return LIMITS_KERNEL;
	if (hook_live_is(limit, "memory_events"))
		return LIMITS_INOTIFY;
	return hook_live_is(limit, "eventfd_v1") ? LIMITS_EVENTFD : LIMITS_POLL;
}

static void add_known(void *ctx, struct identity *i)
{
	struct oom_state *s = ctx;

	limits_add(s->limits, i, loop_now(s->agent->loop));
}

/* As many cgroups as descriptors were granted for. */
static uint32_t raise_descriptors(const struct oom_state *s)
{
	uint32_t wanted = s->config.limits.fds;
	uint64_t each = cgroup_files_count(s->agent->cgroups) + 1; /* and an eventfd */
	uint64_t granted = protect_descriptors(wanted * each);

	if (granted >= wanted * each)
		return wanted;
	log_warning("files of %llu cgroups can be kept open and not of %u: RLIMIT_NOFILE cannot be "
		    "raised to need (needs CAP_SYS_RESOURCE)",
		    (unsigned long long)(granted / each), wanted);
	return (uint32_t)(granted / each);
}

void oom_limits_start(struct oom_state *s)
{
	const struct hook_state *states = oom_hooks_states(s->hooks);
	bool hooked = hook_live_is(&states[OOM_CAP_INVOKE], "fentry") ||
		      hook_live_is(&states[OOM_CAP_INVOKE], "kprobe");
	struct limits_options o = {
		.layout = s->agent->cgroups,
		.source = source_of(&states[OOM_CAP_LIMIT]),
		.started_us = s->limits_since_us,
	};
	struct limits_calls calls = {
		.hit = on_hit,
		/* Where out_of_memory() itself tells, a guess is not wanted. */
		.no_victim = hooked || s->kmsg_fd >= 0 ? NULL : on_no_victim,
		.ctx = s,
	};
	int r;

	s->limits_by_kernel = o.source == LIMITS_KERNEL;
	s->kills_by_counters = hook_live_is(&states[OOM_CAP_KILL], "counters");
	if (s->kills_by_counters)
		calls.kills = on_kills;
	if (s->agent->cgroups->memory_fd < 0)
		return;
	o.max = raise_descriptors(s);
	if (o.max == 0)
		return;
	r = limits_new(&o, &calls, &s->limits);
	if (r < 0) {
		log_warning_errno(r, "limit hits are not counted");
		return;
	}
	identity_for_each(s->agent->identity, add_known, s);
}

void oom_limits_stop(struct oom_state *s)
{
	s->limits = limits_free(s->limits);
}

/* Another set of hooks may count by itself, or need the files instead. What was counted stays; counting begins anew. */
void oom_limits_replaced(struct oom_state *s)
{
	oom_limits_tick(s, loop_now(s->agent->loop));
	oom_limits_stop(s);
	s->limits_since_us = loop_now(s->agent->loop);
	oom_limits_start(s);
}

void oom_limits_identity(struct oom_state *s, bool added, struct identity *i)
{
	if (!s->limits)
		return;
	if (added)
		limits_add(s->limits, i, loop_now(s->agent->loop));
	else
		limits_remove(s->limits, i);
}

void oom_limits_run(struct oom_state *s, const struct oom_run *run)
{
	const struct oom_victim *v = &run->kills->v;
	uint64_t now = loop_now(s->agent->loop);

	for (uint32_t i = 0; s->limits && i < v->n_levels; i++) {
		struct identity *level = find(s, v->levels[i].id);

		if (level && v->levels[i].oom_events)
			limits_observe(s->limits, level, LIMIT_OOM, v->levels[i].oom_events, now);
		limits_killed(s->limits, v->levels[i].id, now);
	}
}

/* A cgroup may be gone before anybody knew it: then its hits have no owner, but they happened. */
void oom_limits_hits(void *ctx, uint64_t id, const struct oom_limit_hits *hits)
{
	static const enum limit_event events[_OOM_LIMIT_EVENT_MAX] = {
		[OOM_LIMIT_MAX] = LIMIT_MAX,
		[OOM_LIMIT_OOM] = LIMIT_OOM,
		[OOM_LIMIT_GROUP_KILL] = LIMIT_GROUP_KILL,
	};
	struct oom_state *s = ctx;
	struct identity *i = find(s, id);

	for (int e = 0; e < _OOM_LIMIT_EVENT_MAX; e++)
		if (hits->hits[e])
			on_hit(s, i, events[e], hits->hits[e]);
}

/* All files of all cgroups are read only when the host's counter says that there is something to find. */
static void find_kills(struct oom_state *s)
{
	uint64_t kills;

	if (!s->kills_by_counters || snapshot_kills(s->snapshotter, &kills) < 0)
		return;
	if (kills != s->kills_looked || limits_kills_waiting(s->limits))
		s->kills_looks = LIMITS_KILLS_PASSES;
	s->kills_looked = kills;
	if (s->kills_looks == 0)
		return;
	s->kills_looks--;
	limits_find_kills(s->limits);
}

void oom_limits_tick(struct oom_state *s, uint64_t now_us)
{
	struct limits_stats st;

	if (s->limits_by_kernel)
		(void)oom_hooks_limits(s->hooks, oom_limits_hits, s);
	if (!s->limits)
		return;
	limits_tick(s->limits, now_us);
	find_kills(s);
	limits_stats(s->limits, &st);
	metric_gauge(s->metrics, METRIC(OOM_LIMIT_OPEN), (double)st.watched);
	metric_store(s->metrics, METRIC(OOM_LIMIT_REFUSED), st.refused);
	metric_store(s->metrics, METRIC(OOM_LIMIT_EVICTED), st.evicted);
}
