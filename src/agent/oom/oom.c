/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oom module: puts hooks, correlation, counting and publishing together
 *
 * Start: hooks are attached first, then levels and command lines are seeded (OOM-614).
 */
#define LOG_MODULE "oom"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/internal.h"
#include "agent/oom/spared.h"
#include "agent/protect.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"
#include "event/payload.h"

#define CHECK_EVERY_US (10 * US_PER_SEC)
#define STARTING_US (UINT64_MAX / 2) /* nothing is younger */
#define UNSEEN_AFTER_US (5 * US_PER_SEC)

/* --- calls of the correlator --- */

static uint64_t now_us(const struct oom_state *s)
{
	return loop_now(s->agent->loop);
}

static void on_victim(void *ctx, struct oom_run *run, struct oom_kill *k)
{
	struct oom_state *s = ctx;
	enum identity_result result;
	size_t len;
	const char *path = oom_text(&k->v, k->v.path, &len);
	struct bus_oom_kill payload;

	k->wall_ns = clock_map_wall(s->agent->clock, k->boot_ns);
	if (k->v.kind == OOM_VICTIM_RESERVE)
		return;
	k->identity = identity_ref(identity_lookup(s->agent->identity,
						   s->agent->cgroups->memory_hierarchy,
						   k->v.cgroup_id, path, len, &result));
	oom_count_victim(s, run, k);
	payload = (struct bus_oom_kill){
		.boot_ns = k->boot_ns,
		.wall_ns = k->wall_ns,
		.pid = k->v.tgid,
		.uid = k->v.uid,
		.start_boot_ns = k->v.start_boot_ns,
		.comm = k->v.comm,
		.rss_bytes = oom_pages(oom_rss_pages(&k->v)),
		.cgroup_id = k->v.cgroup_id,
		.hierarchy = s->agent->cgroups->memory_hierarchy,
		.identity = k->identity,
	};
	bus_publish(s->agent->bus, BUS_OOM_KILL, &payload);
	metric_observe(s->metrics, METRIC(OOM_EVENT_DELAY, STAGE_BUS),
		       (double)(time_boot_ns() - k->boot_ns) / 1e9);
}

static void on_snapshot(void *ctx, struct oom_run *run)
{
	struct oom_state *s = ctx;
	struct cgroup_place limit;

	oom_find_limit(s, run);
	oom_note_decision(s, run);
	limit = oom_limit_place(s, run);
	run->limit_read = run->limit.found && (limit.files || *limit.path);
	snapshot_begin(&run->kills->v, run->limit.found ? run->limit.id : 0, &run->snapshot);
	snapshot_take(s->snapshotter, &limit, &run->snapshot);
	symbols_want(s->symbols, run->kills->v.stack, run->kills->v.n_stack);
	s->check_at_us = now_us(s) + US_PER_SEC;
}

static void count_spared(struct oom_state *s, struct oom_run *run)
{
	_cleanup_(closep) int proc_fd = -EBADF;
	char path[OOM_PATH_MAX];

	if (!run->group || run->spared_known || !spared_group_path(run, path, sizeof(path)))
		return;
	proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	run->spared_known =
		spared_count(s->agent->cgroups->memory_fd, proc_fd, path, &run->spared) == 0;
}

static int on_ready(void *ctx, struct oom_run *run)
{
	struct oom_state *s = ctx;

	/* Not before: a cgroup that was made a moment ago may have become known meanwhile. */
	oom_limits_run(s, run);
	/* The kernel log may have told the limit meanwhile. */
	if (run->limit.found && run->limit.level < 0)
		oom_find_limit(s, run);
	if (!run->limit_read && run->limit.found) {
		const struct cgroup_place limit = oom_limit_place(s, run);

		run->limit_read = true;
		snapshot_cgroup(s->snapshotter, &limit, &run->snapshot);
	}
	count_spared(s, run);
	return oom_publish_run(s, run);
}

static int on_aftermath(void *ctx, struct oom_run *run, const char *reason)
{
	return oom_publish_aftermath(ctx, run, reason);
}

static void on_no_victim(void *ctx, const struct oom_invoke *r)
{
	struct oom_state *s = ctx;
	enum identity_result result;

	oom_publish_no_victim(
		s,
		&(struct report_no_victim){
			.boot_ns = r->head.boot_ns,
			.duration_ns = r->duration_ns,
			.trigger_pid = r->trigger_tgid,
			.scope = r->memcg_id ? SCOPE_MEMCG : SCOPE_GLOBAL,
			.certain = true,
			.source = oom_scope_source_name(SOURCE_OC),
			.identity = r->memcg_id
					    ? identity_lookup(s->agent->identity,
							      s->agent->cgroups->memory_hierarchy,
							      r->memcg_id, NULL, 0, &result)
					    : NULL,
		});
}

static void on_exited(void *ctx, const struct oom_kill *k)
{
	struct oom_state *s = ctx;

	metric_observe(s->metrics, METRIC(OOM_KILL_TO_EXIT),
		       k->exit_boot_ns > k->boot_ns ? (double)(k->exit_boot_ns - k->boot_ns) / 1e9
						    : 0);
}

static void on_reaped(void *ctx, const struct oom_kill *k)
{
	struct oom_state *s = ctx;

	metric_add(s->metrics, METRIC(OOM_REAPER, k->reaper_skipped ? 1 : 0), 1);
}

/* Late facts: names of the stack, and the log where the decision itself is not hooked. */
static bool on_pending(void *ctx, const struct oom_run *run)
{
	struct oom_state *s = ctx;

	if (run->snapshot_taken && symbols_busy(s->symbols))
		return true;
	if (s->kmsg_fd < 0)
		return false;
	/* Of the counters, the log tells right after the mark. */
	return (!run->oc && !run->kmsg_answered) ||
	       (run->kills && run->kills->v.rss_anon == OOM_UNKNOWN64);
}

static int match_symbol(void *ctx, uint64_t address)
{
	const struct oom_state *s = ctx;

	return kallsyms_match(s->kallsyms, address);
}

static struct oom_stack_verdict on_judge(void *ctx, const struct oom_victim *v)
{
	struct oom_state *s = ctx;
	const struct oom_stack_verdict unknown = { .scope = SCOPE_UNKNOWN };

	if (!s->kallsyms || !(v->flags & OOM_VICTIM_STACK))
		return unknown;
	return oom_stack_judge(v->stack, v->n_stack, match_symbol, s);
}

static const struct correlator_calls calls = {
	.victim = on_victim,
	.snapshot = on_snapshot,
	.ready = on_ready,
	.aftermath = on_aftermath,
	.no_victim = on_no_victim,
	.exited = on_exited,
	.reaped = on_reaped,
	.pending = on_pending,
	.judge = on_judge,
};

static void on_identity(void *ctx, enum bus_topic topic, const void *payload)
{
	struct oom_state *s = ctx;

	if (topic == BUS_IDENTITY_ADD)
		oom_preinit(s, payload, now_us(s));
	else
		oom_preinit_removed(s, payload, now_us(s));
	oom_limits_identity(s, topic == BUS_IDENTITY_ADD, (struct identity *)(uintptr_t)payload);
}

/* --- cross-check: what the kernel counted (OOM-119) --- */

/*
 * Under a steady stream of kills some are always on their way, counted by the kernel and not yet by us. So the ring is read after
 * the kernel's counter, and only what is missing at each look of a whole window is unseen.
 */
static void check_unseen(struct oom_state *s, uint64_t now)
{
	const struct correlator_stats *c = correlator_stats(s->correlator);
	uint64_t kills, counted, excess;

	if (!s->vmstat_known || snapshot_kills(s->snapshotter, &kills) < 0)
		return;
	oom_ring_read(s);
	counted = c->kills + c->groups +
		  s->unseen; /* the chosen one of a group is counted twice (K4) */
	if (kills - s->vmstat_base <= counted) {
		s->unseen_since_us = 0;
		return;
	}
	excess = kills - s->vmstat_base - counted;
	if (!s->unseen_since_us) {
		s->unseen_since_us = now;
		s->unseen_least = excess;
	}
	s->unseen_least = MIN(s->unseen_least, excess);
	if (now - s->unseen_since_us < UNSEEN_AFTER_US) {
		s->check_at_us = now + US_PER_SEC;
		return;
	}
	log_warning("the kernel counted %llu OOM kills that no hook reported",
		    (unsigned long long)s->unseen_least);
	/* Where counters are all there is, these kills are what the files of cgroups did not tell. */
	if (s->kills_by_counters)
		oom_count_blind(s, NULL, s->unseen_least);
	oom_publish_unseen(s, s->unseen_least, NULL, NULL);
	s->unseen += s->unseen_least;
	s->unseen_since_us = 0;
}

/* Programs may take seconds to load, and cgroups are looked for after that: all that were found by now were there before us. */
static void started(struct oom_state *s, uint64_t now)
{
	s->started_us = s->limits_since_us = now;
	if (s->limits)
		limits_started(s->limits, now);
	oom_seed_counts(s);
}

static void oom_tick(void *state, uint64_t now)
{
	struct oom_state *s = state;

	if (s->started_us == STARTING_US)
		started(s, now);
	oom_drop_capabilities(s); /* at the first tick all modules have started */
	oom_ring_tick(s);
	if (oom_hooks_drain_spill(s->hooks) > 0)
		oom_run_correlator(s);
	/* Not when a record comes: where it is set, who allocates then is the next to die. */
	correlator_set_allocating_task(s->correlator, snapshot_allocating_task(s->snapshotter));
	if (now >= s->next_check_us || (s->check_at_us && now >= s->check_at_us)) {
		s->check_at_us = 0;
		s->next_check_us = now + CHECK_EVERY_US;
		check_unseen(s, now);
	}
	if (s->args_scan)
		args_scan_tick(s->args_scan, now);
	users_tick(s->users, now);
	oom_limits_tick(s, now);
	oom_count_tick(s, now);
}

/* --- start and stop --- */

static void oom_stop(void *state)
{
	struct oom_state *s = state;

	if (!s)
		return;
	s->ring_source = loop_source_free(s->ring_source);
	oom_kmsg_stop(s);
	oom_limits_stop(s);
	bus_unsubscribe(s->agent->bus, on_identity, s);
	event_stream_on_journaled(s->agent->stream, NULL, NULL);
	s->hooks = oom_hooks_free(s->hooks);
	s->timer = loop_timer_free(s->timer);
	s->correlator = correlator_free(s->correlator);
	s->snapshotter = snapshotter_free(s->snapshotter);
	s->kallsyms = kallsyms_free(s->kallsyms);
	s->symbols = symbols_free(s->symbols);
	s->users = users_free(s->users);
	s->args_scan = args_scan_free(s->args_scan);
	free(s->event_memory);
	s->counts = level_counts_free(s->counts);
	free(s);
}

/* Variants that read the kernel log, for `kmsg: off`. */
static const char *const without_log[] = { "oom_kill/kmsg", "oom_decision/kmsg", "oom_invoke/kmsg",
					   NULL };

static int start_hooks(struct oom_state *s)
{
	struct oom_reprobe *p = &s->reprobe;
	const struct oom_hooks_options o = {
		.ring_bytes = s->config.ring_bytes,
		.spill_entries = s->config.spill_entries,
		.args_entries = s->config.args_entries,
		.victims = s->config.victims,
		.user_stack = s->config.user_stack,
		.args_bytes = s->config.args_entries ? s->config.args_bytes : 0,
		.disabled = s->config.kmsg == OOM_KMSG_OFF ? without_log : NULL,
	};
	const struct oom_hooks_sink sink = { oom_on_record, s };
	int r;

	p->options = o;
	p->sink = (struct oom_hooks_sink){ oom_on_fresh_record, s };

	s->env = *s->agent->env;
	s->env.btf = NULL;
	s->env.tracepoint_tier = s->config.max_tier == OOM_TIER_TRACEPOINT;
	gfp_names_read(&s->env, &s->gfp);
	r = oom_hooks_new(&o, &s->env, &sink, &s->hooks);
	hook_env_drop_btf(&s->env);
	return r;
}

static bool is_hooked(const struct hook_state *state)
{
	return hook_live_is(state, "fentry") || hook_live_is(state, "kprobe");
}

static int start_correlator(struct oom_state *s)
{
	const struct hook_state *states = oom_hooks_states(s->hooks);
	const struct correlator_options o = {
		.wait_us = s->config.wait_us,
		.aftermath_us = s->config.aftermath_us,
		.victims = s->config.victims,
		.invoke_live = is_hooked(&states[OOM_CAP_INVOKE]),
		.allocating_task = snapshot_allocating_task(s->snapshotter),
	};

	return correlator_new(&o, &calls, s, &s->correlator);
}

static void prefault(void *ctx, void *memory, size_t size)
{
	bool *all = ctx;

	*all = protect_prefault(memory, size) && *all;
}

/* Touched now, because the first touch of a page may fail when it is needed. */
static void touch_pools(struct oom_state *s)
{
	bool all = true;
	void *memory;
	size_t size;

	correlator_pools(s->correlator, prefault, &all);
	prefault(&all, s->event_memory, EVENT_BYTES_MAX);
	memory = level_counts_memory(s->counts, &size);
	prefault(&all, memory, size);
	s->agent->prefaulted = all;
}

static void on_journaled(void *ctx, const struct event_keys *k, uint64_t boot_ns)
{
	struct oom_state *s = ctx;

	if (strcmp(k->name, "oom.kill") == 0)
		metric_observe(s->metrics, METRIC(OOM_EVENT_DELAY, STAGE_JOURNAL),
			       (double)(time_boot_ns() - boot_ns) / 1e9);
}

static int start_rest(struct oom_state *s)
{
	struct agent *a = s->agent;
	int r;

	s->event_memory = malloc(EVENT_BYTES_MAX);
	if (!s->event_memory || level_counts_new(&s->counts) < 0)
		return -ENOMEM;
	event_buf_init(&s->event, s->event_memory, EVENT_BYTES_MAX);
	r = loop_add_timer(a->loop, oom_on_timer, s, &s->timer);
	if (r >= 0)
		r = snapshotter_new(a->cgroups, &s->snapshotter);
	if (r >= 0)
		r = symbols_new(a->workers, &s->symbols);
	if (r >= 0)
		r = users_new(a->workers, a->rootfs, &s->users);
	if (r >= 0)
		r = bus_subscribe(a->bus, BUS_IDENTITY_ADD, on_identity, s);
	if (r >= 0)
		r = bus_subscribe(a->bus, BUS_IDENTITY_REMOVE, on_identity, s);
	return r;
}

static int oom_start(struct agent *a, const void *config, struct metric_set *metrics,
		     void **ret_state)
{
	struct oom_state *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->agent = a;
	s->metrics = metrics;
	s->config = *(const struct oom_config *)config;
	s->kmsg_fd = -EBADF;
	s->started_us = s->limits_since_us = STARTING_US;
	r = start_rest(s);
	if (r >= 0)
		r = start_hooks(s);
	if (r >= 0)
		r = start_correlator(s);
	if (r < 0) {
		oom_stop(s);
		return r;
	}
	(void)oom_ring_start(s);
	s->vmstat_known = snapshot_kills(s->snapshotter, &s->vmstat_base) == 0;
	s->psi_on = snapshot_has_psi(s->snapshotter);
	r = kallsyms_read(NULL, oom_stack_symbols, &s->kallsyms);
	if (r < 0)
		log_warning_errno(
			r,
			"cannot read kernel symbols, the scope of a kill comes from other sources");
	oom_world_init(s);
	metric_gauge(metrics, METRIC(OOM_RING_BYTES), (double)s->config.ring_bytes);
	metric_gauge(metrics, METRIC(OOM_SPILL_CAPACITY), s->config.spill_entries);
	oom_kmsg_start(s);
	oom_limits_start(s);
	(void)oom_hooks_seed_args(s->hooks);
	/* Without it command lines come from /proc after the kill, mostly too late. */
	if (s->config.args_bytes && hook_live_is(&oom_hooks_states(s->hooks)[OOM_CAP_ARGS], "scan"))
		(void)args_scan_new(a->workers, "/proc", &s->args_scan);
	event_stream_on_journaled(a->stream, on_journaled, s);
	touch_pools(s);
	*ret_state = s;
	return 0;
}

static void oom_reload(void *state, const void *config)
{
	struct oom_state *s = state;
	const struct oom_config *c = config;

	s->config.wait_us = c->wait_us;
	s->config.aftermath_us = c->aftermath_us;
	s->config.members_max = s->world.members_max = c->members_max;
	s->config.processes_top = s->world.processes_top = c->processes_top;
	s->config.metrics.retention_us = c->metrics.retention_us;
	s->config.metrics.preinit = c->metrics.preinit;
	s->config.trend_window_us = c->trend_window_us;
	correlator_set_times(s->correlator, c->wait_us, c->aftermath_us);
	oom_reprobe(s);
}

void oom_hooks_replaced(struct oom_state *s)
{
	const struct hook_state *states = oom_hooks_states(s->hooks);

	(void)oom_ring_start(s);
	correlator_set_invoke_live(s->correlator, is_hooked(&states[OOM_CAP_INVOKE]));
	oom_world_init(s);
	oom_kmsg_stop(s);
	oom_kmsg_start(s);
	oom_limits_replaced(s);
	(void)oom_hooks_seed_args(s->hooks);
	oom_run_correlator(s);
}

static size_t oom_module_hooks(const void *state, const struct hook_state **ret)
{
	const struct oom_state *s = state;

	*ret = oom_hooks_states(s->hooks);
	return _OOM_CAP_MAX;
}

static bool oom_enabled(const void *config)
{
	return ((const struct oom_config *)config)->enabled;
}

static size_t oom_series_max(const void *config)
{
	return ((const struct oom_config *)config)->metrics.series_max;
}

const struct module module_oom = {
	.name = "oom",
	.help = "OOM kills from the kernel hook to the record.",
	.config = oom_config_rows,
	.config_size = sizeof(struct oom_config),
	.metrics = oom_metric_rows,
	.n_metrics = _OOM_METRIC_MAX,
	.series_max = oom_series_max,
	.enabled = oom_enabled,
	.start = oom_start,
	.tick = oom_tick,
	.reload = oom_reload,
	.stop = oom_stop,
	.hooks = oom_module_hooks,
};
