/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From counts to metrics
 *
 * Workers, queues and senders count for themselves; once a second the main thread carries what they have into the registry, which a scrape only
 * formats. What belongs to a worker or a name for as long as the process lives is carried as a total; what may go or is summed up under one
 * name is carried as the difference to the last time. Gauges that were not set in a tick belong to nobody any more and go.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "base/time.h"
#include "route/revision.h"
#include "route/tick.h"

#define SERIES_MAX 16384

int route_metrics_new(struct gateway *g)
{
	int r = metrics_new(&g->metrics);

	g->figures = calloc(1, sizeof(*g->figures));
	if (!g->figures)
		return -ENOMEM;
	if (r >= 0)
		r = metrics_register(g->metrics, "route", route_metric_rows, _ROUTE_METRIC_MAX,
				     SERIES_MAX, &g->set);
	return r;
}

void route_metrics_free(struct gateway *g)
{
	struct figures *f = g->figures;

	metrics_free(g->metrics);
	while (f && f->seen) {
		struct route_seen *x = f->seen;

		f->seen = x->next;
		free(x);
	}
	if (f) {
		free(f->routes);
		free(f->orphans);
	}
	free(f);
	g->figures = NULL;
}

/* --- into the registry --- */

void tick_total(const struct tick *t, uint16_t metric, const char *const *labels, uint64_t value)
{
	struct metric_series *x = metric_series(t->g->set, metric, labels, t->now);
	uint64_t before;

	if (!x)
		return;
	before = metric_series_value(x);
	if (value > before)
		metric_series_add(x, value - before, t->now);
}

void tick_add(const struct tick *t, uint16_t metric, const char *const *labels, uint64_t n)
{
	metric_series_add(metric_series(t->g->set, metric, labels, t->now), n, t->now);
}

void tick_gauge(const struct tick *t, uint16_t metric, const char *const *labels, double value)
{
	metric_series_gauge(metric_series(t->g->set, metric, labels, t->now), value, t->now);
}

void tick_took(const struct tick *t, uint16_t metric, const char *const *labels,
	       const struct durations *now, const struct durations *before)
{
	uint64_t n[DURATION_BUCKETS + 1];

	for (size_t i = 0; i <= DURATION_BUCKETS; i++)
		n[i] = now->n[i] - before->n[i];
	metric_series_observe(metric_series(t->g->set, metric, labels, t->now), n, ARRAY_SIZE(n),
			      (now->sum_us - before->sum_us) * 1000, t->now);
}

#define SUM(g, expression)                                                           \
	({                                                                           \
		uint64_t sum_ = 0;                                                   \
		for (unsigned i_ = 0; i_ < (g)->n_workers; i_++) {                   \
			const struct route_worker *w = &(g)->workers[i_];            \
			const struct worker_counters *c =                            \
				w->pipeline ? pipeline_counters(w->pipeline) : NULL; \
			if (c)                                                       \
				sum_ += COUNTED(expression);                         \
		}                                                                    \
		sum_;                                                                \
	})

/* --- workers --- */

/* By the server, before a handler is asked. */
static uint64_t answered_before(const struct gateway *g, int status)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < g->n_servers; i++) {
		struct http_server_stats s;

		http_server_stats(g->servers[i], &s);
		n += status == 401 ? s.unauthorized : s.forbidden;
	}
	return n;
}

static void tick_receive(const struct tick *t)
{
	struct gateway *g = t->g;
	char code[8];

	for (uint8_t p = 0; p < _PATH_MAX; p++) {
		metric_store(g->set, METRIC(RECEIVE_BYTES, p), SUM(g, w->counters.bytes[p]));
		metric_store(g->set, METRIC(RECEIVE_SERIES, p), SUM(g, w->counters.series[p]));
		metric_store(g->set, METRIC(RECEIVE_SAMPLES, p), SUM(g, w->counters.samples[p]));
		metric_store(g->set, METRIC(RECEIVE_DROPPED, p), SUM(g, w->counters.dropped[p]));
	}
	metric_gauge(g->set, METRIC(RECEIVE_IN_FLIGHT), (double)SUM(g, w->counters.in_flight));
	for (uint8_t e = 0; e < _RECEIVE_ERROR_MAX; e++)
		metric_store(g->set, METRIC(RECEIVE_ERRORS, e), SUM(g, w->counters.errors[e]));
	for (int s = 100; s < 600; s++) {
		uint64_t n = SUM(g, w->counters.status[s]);

		if (s == 401 || s == 403)
			n += answered_before(g, s);
		if (!n)
			continue;
		(void)snprintf(code, sizeof(code), "%d", s);
		tick_total(t, RECEIVE_REQUESTS, L(code), n);
	}
}

static void tick_wire(const struct tick *t)
{
	struct gateway *g = t->g;

	for (uint8_t v = 0; v < _RW_VERSION_MAX; v++) {
		metric_store(g->set, METRIC(RECEIVED, v, 0), SUM(g, c->samples[v]));
		metric_store(g->set, METRIC(RECEIVED, v, 1), SUM(g, c->histograms[v]));
		metric_store(g->set, METRIC(RECEIVED, v, 2), SUM(g, c->exemplars[v]));
		metric_store(g->set, METRIC(RECEIVED, v, 3), SUM(g, c->series[v]));
		metric_store(g->set, METRIC(RECEIVED, v, 4), SUM(g, c->metadata[v]));
		metric_store(g->set, METRIC(RECEIVED_BYTES, v, 0), SUM(g, c->wire_bytes[v]));
		metric_store(g->set, METRIC(RECEIVED_BYTES, v, 1), SUM(g, c->decoded_bytes[v]));
	}
	for (uint8_t i = 0; i < _RW_INVALID_MAX; i++)
		metric_store(g->set, METRIC(INVALID, i), SUM(g, c->invalid[i]));
	tick_total(t, ROUTER_SERIES, L("all"), SUM(g, c->series[RW1]) + SUM(g, c->series[RW2]));
}

static void tick_files(const struct tick *t)
{
	struct gateway *g = t->g;

	for (uint8_t i = 0; i < _FILE_KIND_MAX; i++) {
		metric_store(g->set, METRIC(FILE_RELOADS, i, 0), g->files_changed[i]);
		metric_store(g->set, METRIC(FILE_RELOADS, i, 1), g->files_bad[i]);
	}
}

static void tick_families(const struct tick *t)
{
	struct rw_families_stats s;

	rw_families_stats(t->g->families, &s);
	metric_gauge(t->g->set, METRIC(FAMILIES), (double)s.families);
	metric_store(t->g->set, METRIC(FAMILIES_EVICTED), s.evicted);
}

static void tick_connections(const struct tick *t, unsigned open)
{
	uint64_t active = SUM(t->g, w->counters.in_flight);

	metric_gauge(t->g->set, METRIC(CONNECTIONS, 0), (double)active);
	metric_gauge(t->g->set, METRIC(CONNECTIONS, 1),
		     open > active ? (double)(open - active) : 0);
}

static const char *const limit_names[_ROUTE_LIMIT_MAX] = {
	[LIMIT_MAX_BODY] = "max_body",
	[LIMIT_MAX_DECOMPRESSED] = "max_decompressed",
	[LIMIT_MAX_INFLIGHT] = "max_inflight",
	[LIMIT_HEADER_TIMEOUT] = "header_timeout",
	[LIMIT_MIN_BODY_RATE] = "min_body_rate",
	[LIMIT_IDLE_TIMEOUT] = "idle_timeout",
	[LIMIT_CONNECTIONS] = "connections",
	[LIMIT_CONNECTIONS_PER_IP] = "connections_per_ip",
	[LIMIT_SERIES] = "series_per_request",
	[LIMIT_SAMPLES] = "samples_per_request",
	[LIMIT_SYMBOLS] = "symbols_per_request",
	[LIMIT_LABELS] = "labels_per_series",
	[LIMIT_LABEL_NAME] = "label_name_bytes",
	[LIMIT_LABEL_VALUE] = "label_value_bytes",
	[LIMIT_SERIES_BYTES] = "series_bytes",
	[LIMIT_RATE] = "samples_per_second",
	[LIMIT_TENANTS] = "tenants",
};

/* Connections are refused and cut by the server, series by the scan, the rest by the handler. */
static void tick_limits(const struct tick *t)
{
	struct gateway *g = t->g;
	struct http_server_stats s;
	uint64_t n[_ROUTE_LIMIT_MAX];

	for (unsigned i = 0; i < _ROUTE_LIMIT_MAX; i++)
		n[i] = SUM(g, w->counters.limits[i]);
	for (unsigned i = 0; i < _RW_LABEL_LIMIT_MAX; i++)
		n[LIMIT_LABELS + i] = SUM(g, c->label_limits[i]);
	for (unsigned i = RW_OVER_SERIES; i < _RW_OVER_MAX; i++)
		n[LIMIT_SERIES + i - RW_OVER_SERIES] = SUM(g, c->over[i]);
	if (g->n_servers) {
		http_server_stats(g->servers[0], &s); /* they share their connections */
		n[LIMIT_CONNECTIONS] = s.refused_all;
		n[LIMIT_CONNECTIONS_PER_IP] = s.refused_peer;
		n[LIMIT_HEADER_TIMEOUT] = s.cut_headers;
		n[LIMIT_MIN_BODY_RATE] = s.cut_body;
		n[LIMIT_IDLE_TIMEOUT] = s.cut_idle;
		tick_connections(t, s.connections);
	}
	for (unsigned i = 0; i < _ROUTE_LIMIT_MAX; i++)
		tick_total(t, LIMIT_REFUSED, L(limit_names[i]), n[i]);
}

static void tick_lag(const struct tick *t)
{
	struct figures *f = t->g->figures;
	uint64_t worst = 0;

	for (unsigned i = 0; i < t->g->n_workers; i++) {
		struct route_worker *w = &t->g->workers[i];
		uint64_t busy = w->busy_us, longest = atomic_exchange(&w->worst_us, 0);

		worst = MAX(worst, longest);
		if (busy && busy < t->now) /* still at it */
			worst = MAX(worst, t->now - busy);
	}
	f->lag_us[f->ticks++ % LAG_SECONDS] = worst;
	for (size_t i = 0; i < LAG_SECONDS; i++)
		worst = MAX(worst, f->lag_us[i]);
	metric_gauge(t->g->set, METRIC(WORKER_LAG), (double)worst / 1e6);
}

/* --- drops: each is counted once, under its stage (GW-OB-3) --- */

static const struct {
	const char *stage, *reason;
} drops[_DROP_MAX] = {
	[DROP_LATE] = { "window", "late" },
	[DROP_FUTURE] = { "window", "future" },
	[DROP_RELABEL] = { "relabel", "relabel" },
	[DROP_EMPTY_LABELS] = { "relabel", "empty_labels" },
	[DROP_REGEX_LIMIT] = { "relabel", "regex_limit" },
	[DROP_NO_ROUTE] = { "route", "no_route" },
};

static void tick_drops(const struct tick *t)
{
	struct gateway *g = t->g;

	for (unsigned i = 0; i < _DROP_MAX; i++)
		tick_total(t, DROPPED, L(drops[i].stage, drops[i].reason, ""),
			   SUM(g, c->dropped[i]));
	/* Conversions happen in workers, and in senders for nodes that turned out not to take a version. */
	for (uint8_t i = 0; i < _RW_LOSS_MAX; i++) {
		uint64_t n = SUM(g, c->losses[i]) + g->figures->losses[i];

		metric_store(g->set, METRIC(LOSSY, i), n);
		if (i != RW_LOSS_START_TIMESTAMP)
			tick_total(t, DROPPED, L("convert", rw_loss_names[i], ""), n);
	}
}

/* --- routes --- */

static struct route_seen *seen_of(struct figures *f, const char *name)
{
	struct route_seen *x;

	for (x = f->seen; x; x = x->next)
		if (streq(x->name, name))
			return x;
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	(void)snprintf(x->name, sizeof(x->name), "%s", name);
	x->next = f->seen;
	f->seen = x;
	return x;
}

/* Looked up once a snapshot, not once a tick. */
static bool list_seen(const struct tick *t)
{
	struct figures *f = t->g->figures;

	if (f->routes && f->generation == t->s->generation)
		return true;
	free(f->routes);
	f->routes = calloc(t->s->n_routes + 1, sizeof(struct route_seen *));
	for (size_t i = 0; f->routes && i < t->s->n_routes; i++) {
		f->routes[i] = seen_of(f, t->s->config->routes[i].name);
		if (!f->routes[i]) {
			free(f->routes);
			f->routes = NULL;
		}
	}
	f->generation = t->s->generation;
	f->orphans_us = 0; /* nodes may have come and gone */
	return f->routes;
}

static void tick_lag_of(const struct tick *t, const char *name, const struct route_counters *now,
			const struct route_counters *before)
{
	uint64_t n[ARRAY_SIZE(now->lag_buckets)];

	for (size_t i = 0; i < ARRAY_SIZE(n); i++)
		n[i] = now->lag_buckets[i] - before->lag_buckets[i];
	metric_series_observe(metric_series(t->g->set, SAMPLE_LAG, L(name), t->now), n,
			      ARRAY_SIZE(n), (now->lag_ms_sum - before->lag_ms_sum) * 1000000,
			      t->now);
}

static void tick_results(const struct tick *t, const char *name, const struct route_counters *now)
{
	uint64_t dropped = 0;

	for (unsigned i = 0; i < _DROP_MAX; i++) {
		dropped += now->dropped[i];
		if (now->dropped[i])
			tick_total(t, DROPPED, L(drops[i].stage, drops[i].reason, name),
				   now->dropped[i]);
	}
	tick_total(t, ROUTE_SAMPLES, L(name, "accepted"), now->accepted);
	tick_total(t, ROUTE_SAMPLES, L(name, "dropped"), dropped);
	tick_total(t, ROUTE_SAMPLES, L(name, "unmatched"), now->unmatched);
	tick_total(t, ROUTE_SAMPLES, L(name, "skipped"), now->skipped);
	tick_total(t, ROUTER_SERIES, L(name), now->series);
}

static void tick_route(const struct tick *t, size_t at)
{
	const struct route_rule_config *r = &t->s->config->routes[at];
	struct route_seen *seen = t->g->figures->routes[at];
	const char *const *label = L(r->name);
	struct route_counters now = {};

	for (unsigned i = 0; i < t->g->n_workers; i++)
		if (t->g->workers[i].pipeline)
			pipeline_route_totals(t->g->workers[i].pipeline, r->name, &now);
	tick_gauge(t, CACHE_ENTRIES, label, (double)now.cache_entries);
	tick_gauge(t, CACHE_BYTES, label, (double)now.cache_bytes);
	tick_total(t, CACHE_HITS, label, now.cache_hits);
	tick_total(t, CACHE_MISSES, label, now.cache_misses);
	tick_total(t, CACHE_EVICTIONS, label, now.cache_evictions);
	tick_results(t, r->name, &now);
	tick_lag_of(t, r->name, &now, &seen->c);
	tick_took(t, ROUTER_SECONDS, label, &now.write, &seen->c.write);
	tick_add(t, ROUTER_FALSE, label, now.refused - seen->c.refused);
	seen->c = now;
	tick_routes_of_nodes(t, r);
}

/* --- all --- */

static void drop_unset(const struct tick *t)
{
	for (uint16_t i = 0; i < _ROUTE_METRIC_MAX; i++) {
		const struct metric_row *r = &route_metric_rows[i];
		bool open = false;

		for (size_t k = 0; r->labels[k].name; k++)
			open |= !r->labels[k].values;
		if (open && (r->type == METRIC_GAUGE || r->type == METRIC_INFO))
			(void)metric_series_expire(t->g->set, i, t->now);
	}
}

static void tick_all(const struct tick *t)
{
	struct gateway *g = t->g;

	tick_gauge(t, BUILD_INFO, L(TELAMON_VERSION, TELAMON_REVISION), 1);
	metric_gauge(g->set, METRIC(RELOAD_OK), g->last_reload_ok);
	metric_gauge(g->set, METRIC(RELOAD_SECONDS), (double)g->reload_ok_ms / 1e3);
	tick_receive(t);
	tick_wire(t);
	tick_families(t);
	tick_limits(t);
	tick_lag(t);
	tick_nodes(t);
	tick_files(t); /* behind the nodes, which have some of them */
	tick_drops(t); /* behind the nodes, whose conversions it shows */
	for (size_t i = 0; i < t->s->n_routes; i++)
		tick_route(t, i);
	tick_tables(t);
	tick_orphans(t);
	drop_unset(t);
}

void route_metrics_tick(struct gateway *g)
{
	struct snapshot *s = gateway_take_snapshot(g);
	struct tick t = { .g = g,
			  .s = s,
			  .now = time_mono_us(),
			  .now_ms = (int64_t)(time_wall_ns() / NS_PER_MSEC) };

	t.sums = calloc(s->n_destinations + 1, sizeof(*t.sums));
	if (t.sums && list_seen(&t)) /* else a second later */
		tick_all(&t);
	free(t.sums);
	gateway_put_snapshot(g, s);
}
