/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics of the gateway
 *
 * Workers, queues and senders count for themselves; once a second the main thread carries their totals into the registry, which a scrape
 * only formats. Names that begin with stream_ are those of the original gateway.
 */

#include <string.h>
#include "base/macro.h"
#include "base/time.h"
#include "route/internal.h"
#include "route/rows.h"

#define SERIES_MAX 16384
#define PATHS "/api/v1/write /api/v1/receive"
#define DN                       \
	{ "destination", NULL }, \
	{                        \
		"node", NULL     \
	}

static const double request_buckets[] = { .001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10 };

const struct metric_row route_metric_rows[] = {
	[RECEIVE_BYTES] = { .name = "stream_receive_data_bytes_total",
			    .type = METRIC_COUNTER,
			    .labels = { { "src_service", PATHS } },
			    .help = "Compressed bytes of bodies that were taken." },
	[RECEIVE_SAMPLES] = { .name = "stream_receive_samples_total",
			      .type = METRIC_COUNTER,
			      .labels = { { "src_service", PATHS } },
			      .help = "Samples and histograms that were taken." },
	[RECEIVE_SECONDS] = { .name = "stream_receive_request_duration_seconds",
			      .type = METRIC_HISTOGRAM,
			      .labels = { { "src_service", PATHS } },
			      .buckets = request_buckets,
			      .n_buckets = ARRAY_SIZE(request_buckets),
			      .help = "Time from a request to its answer." },
	[RECEIVE_IN_FLIGHT] = { .name = "stream_receive_in_flight",
				.type = METRIC_GAUGE,
				.help = "Requests in work." },
	[RECEIVE_REQUESTS] = { .name = "stream_receive_requests_total",
			       .type = METRIC_COUNTER,
			       .labels = { { "status_code", NULL } },
			       .other = "status_code",
			       .help = "Requests that were answered." },
	[RECEIVE_ERRORS] = { .name = "stream_receive_errors_total",
			     .type = METRIC_COUNTER,
			     .labels = { { "error_type",
					   "content_length_exceeded read_error empty_body snappy_decode_error "
					   "protobuf_decode_error store_error unsupported_media invalid_series" } },
			     .help = "Requests that failed." },
	[ROUTER_INFO] = { .name = "stream_router_info",
			  .type = METRIC_INFO,
			  .labels = { { "route_name", NULL },
				      { "upstream_type", NULL },
				      { "upstream_url", NULL } },
			  .help = "Routes and the first node of each." },
	[ROUTER_SERIES] = { .name = "stream_router_timeseries_total",
			    .type = METRIC_COUNTER,
			    .labels = { { "route_name", NULL } },
			    .other = "route_name",
			    .help = "Series that a route accepted; all: received." },
	[ROUTER_DEPTH] = { .name = "stream_router_queue_depth",
			   .type = METRIC_GAUGE,
			   .labels = { { "route_name", NULL } },
			   .help = "Blocks that wait." },
	[ROUTER_BREAKER] = { .name = "stream_router_circuit_breaker_state",
			     .type = METRIC_GAUGE,
			     .labels = { { "route_name", NULL } },
			     .help = "Worst breaker: 0 closed, 1 open, 2 half-open." },
	[WRITE_SERIES] = { .name = "stream_remote_write_timeseries_total",
			   .type = METRIC_COUNTER,
			   .labels = { { "url", NULL } },
			   .other = "url",
			   .help = "Series that were sent." },
	[WRITE_FALSE] = { .name = "stream_remote_write_timeseries_false_total",
			  .type = METRIC_COUNTER,
			  .labels = { { "url", NULL } },
			  .other = "url",
			  .help = "Series that became dead letters." },
	[WRITE_SUCCESSES] = { .name = "stream_remote_write_successes_total",
			      .type = METRIC_COUNTER,
			      .labels = { { "url", NULL } },
			      .other = "url",
			      .help = "Requests that were stored." },
	[WRITE_FAILURES] = { .name = "stream_remote_write_failures_total",
			     .type = METRIC_COUNTER,
			     .labels = { { "url", NULL } },
			     .other = "url",
			     .help = "Requests that failed." },
	[WRITE_RETRIES] = { .name = "stream_remote_write_retries_total",
			    .type = METRIC_COUNTER,
			    .labels = { { "url", NULL } },
			    .other = "url",
			    .help = "Requests that were repeated." },
	[BUILD_INFO] = { .name = "telamon_route_build_info",
			 .type = METRIC_INFO,
			 .labels = { { "version", NULL } },
			 .help = "Version of the program." },
	[RELOAD_OK] = { .name = "telamon_route_config_last_reload_successful",
			.type = METRIC_GAUGE,
			.help = "Did the last reload succeed." },
	[RELOAD_SECONDS] = { .name = "telamon_route_config_last_reload_success_timestamp_seconds",
			     .type = METRIC_GAUGE,
			     .help = "Time of the last reload that did." },
	[RECEIVED] = { .name = "telamon_route_received_total",
		       .type = METRIC_COUNTER,
		       .labels = { { "version", "rw1 rw2" },
				   { "kind", "float histogram exemplar series metadata" } },
		       .help = "Valid items of decoded bodies." },
	[RECEIVED_BYTES] = { .name = "telamon_route_received_bytes_total",
			     .type = METRIC_COUNTER,
			     .labels = { { "version", "rw1 rw2" }, { "stage", "wire decoded" } },
			     .help = "Bytes of bodies." },
	[INVALID] = { .name = "telamon_route_invalid_series_total",
		      .type = METRIC_COUNTER,
		      .labels = { { "reason",
				    "missing_metric_name no_labels empty_label_name duplicate_label invalid_utf8 "
				    "bad_symbol_ref odd_symbol_refs mixed_samples_histograms no_samples "
				    "invalid_histogram label_limit task_label" } },
		      .help = "Series that were left out." },
	[LIMIT_REFUSED] = { .name = "telamon_route_limit_refused_total",
			    .type = METRIC_COUNTER,
			    .labels = { { "limit", NULL } },
			    .other = "limit",
			    .help = "Connections, requests or series that a limit, by its key, refused." },
	[LOSSY] = { .name = "telamon_route_lossy_total",
		    .type = METRIC_COUNTER,
		    .labels = { { "reason", "start_timestamp custom_buckets orphan_exemplar" } },
		    .help = "Items that a conversion between versions could not keep." },
	[DROPPED] = { .name = "telamon_route_dropped_samples_total",
		      .type = METRIC_COUNTER,
		      .labels = { { "stage", NULL }, { "reason", NULL }, { "route", NULL } },
		      .other = "route",
		      .help = "Samples that were dropped on purpose or for want of room." },
	[ROUTE_SAMPLES] = { .name = "telamon_route_route_samples_total",
			    .type = METRIC_COUNTER,
			    .labels = { { "route", NULL }, { "result", NULL } },
			    .other = "route",
			    .help = "Samples by what a route did with them." },
	[CACHE_ENTRIES] = { .name = "telamon_route_relabel_cache_entries",
			    .type = METRIC_GAUGE,
			    .labels = { { "route", NULL } },
			    .help = "Decisions remembered." },
	[CACHE_BYTES] = { .name = "telamon_route_relabel_cache_bytes",
			  .type = METRIC_GAUGE,
			  .labels = { { "route", NULL } },
			  .help = "Memory of remembered decisions." },
	[CACHE_HITS] = { .name = "telamon_route_relabel_cache_hits_total",
			 .type = METRIC_COUNTER,
			 .labels = { { "route", NULL } },
			 .other = "route",
			 .help = "Series whose decision was remembered." },
	[CACHE_MISSES] = { .name = "telamon_route_relabel_cache_misses_total",
			   .type = METRIC_COUNTER,
			   .labels = { { "route", NULL } },
			   .other = "route",
			   .help = "Series that were decided anew." },
	[NODE_INFO] = { .name = "telamon_route_node_info",
			.type = METRIC_INFO,
			.labels = { DN, { "url", NULL } },
			.help = "Nodes." },
	[NODE_UP] = { .name = "telamon_route_node_up",
		      .type = METRIC_GAUGE,
		      .labels = { DN },
		      .help = "Was the last request to the node stored." },
	[NODE_BREAKER] = { .name = "telamon_route_breaker_state",
			   .type = METRIC_GAUGE,
			   .labels = { DN },
			   .help = "0 closed, 1 open, 2 half-open." },
	[NODE_WAIT] = { .name = "telamon_route_retry_wait_seconds",
			.type = METRIC_GAUGE,
			.labels = { DN },
			.help = "Time until the next try." },
	[QUEUE_BYTES] = { .name = "telamon_route_queue_bytes",
			  .type = METRIC_GAUGE,
			  .labels = { DN, { "tier", NULL } },
			  .help = "Bytes of a queue." },
	[QUEUE_BLOCKS] = { .name = "telamon_route_queue_blocks",
			   .type = METRIC_GAUGE,
			   .labels = { DN },
			   .help = "Blocks that wait." },
	[QUEUE_OLDEST] = { .name = "telamon_route_queue_oldest_seconds",
			   .type = METRIC_GAUGE,
			   .labels = { DN },
			   .help = "Age of the oldest block." },
	[QUEUE_RECORDS] = { .name = "telamon_route_queue_records_total",
			    .type = METRIC_COUNTER,
			    .labels = { DN, { "event", NULL } },
			    .other = "node",
			    .help = "Blocks by what became of them." },
	[QUEUE_ERRORS] = { .name = "telamon_route_queue_errors_total",
			   .type = METRIC_COUNTER,
			   .labels = { DN, { "error", NULL } },
			   .other = "node",
			   .help = "Errors of the disk." },
	[SEND_REQUESTS] = { .name = "telamon_route_send_requests_total",
			    .type = METRIC_COUNTER,
			    .labels = { DN, { "code", NULL } },
			    .other = "node",
			    .help = "Answers of nodes; error: none." },
	[SEND_BYTES] = { .name = "telamon_route_send_bytes_total",
			 .type = METRIC_COUNTER,
			 .labels = { DN },
			 .other = "node",
			 .help = "Compressed bytes that were sent." },
	[SEND_SAMPLES] = { .name = "telamon_route_send_samples_total",
			   .type = METRIC_COUNTER,
			   .labels = { DN, { "result", NULL } },
			   .other = "node",
			   .help = "Samples by what the node said." },
	[SEND_RETRIES] = { .name = "telamon_route_send_retries_total",
			   .type = METRIC_COUNTER,
			   .labels = { DN },
			   .other = "node",
			   .help = "Requests that were repeated." },
	[CONNECTIONS] = { .name = "telamon_route_connections",
			  .type = METRIC_GAUGE,
			  .help = "Connections of senders." },
	[TABLE_BOUNDARY] = { .name = "telamon_route_table_boundary_timestamp_seconds",
			     .type = METRIC_GAUGE,
			     .labels = { { "destination", NULL } },
			     .help = "Samples up to this time go by the old table; 0: there is none." },
	[TABLE_UNTIL] = { .name = "telamon_route_table_old_until_timestamp_seconds",
			  .type = METRIC_GAUGE,
			  .labels = { { "destination", NULL } },
			  .help = "When the last old table is dropped; 0: there is none." },
	[WORKER_LAG] = { .name = "telamon_route_worker_lag_seconds",
			 .type = METRIC_GAUGE,
			 .help = "Time since the slowest worker turned." },
};
_Static_assert(ARRAY_SIZE(route_metric_rows) == _ROUTE_METRIC_MAX, "one row per metric");

int route_metrics_new(struct gateway *g)
{
	int r = metrics_new(&g->metrics);

	if (r >= 0)
		r = metrics_register(g->metrics, "route", route_metric_rows, _ROUTE_METRIC_MAX,
				     SERIES_MAX, &g->set);
	if (r >= 0)
		metric_series_gauge(metric_series(g->set, BUILD_INFO,
						  (const char *const[]){ TELAMON_VERSION },
						  time_mono_us()),
				    1, time_mono_us());
	return r;
}

/* --- carrying over --- */

struct tick {
	struct gateway *g;
	uint64_t now;
	int64_t now_ms;
};

static void total(const struct tick *t, uint16_t metric, const char *const *labels, uint64_t value)
{
	struct metric_series *x = metric_series(t->g->set, metric, labels, t->now);
	uint64_t before;

	if (!x)
		return;
	before = metric_series_value(x);
	if (value > before)
		metric_series_add(x, value - before, t->now);
}

static void gauge(const struct tick *t, uint16_t metric, const char *const *labels, double value)
{
	struct metric_series *x = metric_series(t->g->set, metric, labels, t->now);

	if (x)
		metric_series_gauge(x, value, t->now);
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

static void tick_receive(const struct tick *t)
{
	struct gateway *g = t->g;
	char code[8];

	for (uint8_t p = 0; p < _PATH_MAX; p++) {
		metric_store(g->set, METRIC(RECEIVE_BYTES, p), SUM(g, w->counters.bytes[p]));
		metric_store(g->set, METRIC(RECEIVE_SAMPLES, p), SUM(g, w->counters.samples[p]));
	}
	metric_gauge(g->set, METRIC(RECEIVE_IN_FLIGHT), (double)SUM(g, w->counters.in_flight));
	for (uint8_t e = 0; e < _RECEIVE_ERROR_MAX; e++)
		metric_store(g->set, METRIC(RECEIVE_ERRORS, e), SUM(g, w->counters.errors[e]));
	for (int s = 100; s < 600; s++) {
		uint64_t n = SUM(g, w->counters.status[s]);

		/* Answered before a handler is asked. */
		for (unsigned i = 0; i < g->n_servers && (s == 401 || s == 403); i++) {
			struct http_server_stats st;

			http_server_stats(g->servers[i], &st);
			n += s == 401 ? st.unauthorized : st.forbidden;
		}
		if (!n)
			continue;
		(void)snprintf(code, sizeof(code), "%d", s);
		total(t, RECEIVE_REQUESTS, (const char *const[]){ code }, n);
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
	for (uint8_t i = 0; i < _RW_LOSS_MAX; i++)
		metric_store(g->set, METRIC(LOSSY, i), SUM(g, c->losses[i]));
	total(t, ROUTER_SERIES, (const char *const[]){ "all" },
	      SUM(g, c->series[RW1]) + SUM(g, c->series[RW2]));
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
		metric_gauge(g->set, METRIC(CONNECTIONS), s.connections);
	}
	for (unsigned i = 0; i < _ROUTE_LIMIT_MAX; i++)
		total(t, LIMIT_REFUSED, (const char *const[]){ limit_names[i] }, n[i]);
}

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

	for (unsigned i = 0; i < _DROP_MAX; i++) {
		uint64_t n = SUM(g, c->dropped[i]);

		if (n)
			total(t, DROPPED,
			      (const char *const[]){ drops[i].stage, drops[i].reason, "" }, n);
	}
}

static void tick_route(const struct tick *t, const struct snapshot *s, size_t at)
{
	const char *name = s->config->routes[at].name;
	const struct destination *d = &s->destinations[s->config->routes[at].destination_index];
	struct route_counters sum = {};
	uint64_t dropped = 0, blocks = 0;
	enum breaker_state worst = BREAKER_CLOSED;

	for (unsigned i = 0; i < t->g->n_workers; i++)
		if (t->g->workers[i].pipeline)
			pipeline_route_totals(t->g->workers[i].pipeline, name, &sum);
	gauge(t, CACHE_ENTRIES, (const char *const[]){ name }, (double)sum.cache_entries);
	gauge(t, CACHE_BYTES, (const char *const[]){ name }, (double)sum.cache_bytes);
	total(t, CACHE_HITS, (const char *const[]){ name }, sum.cache_hits);
	total(t, CACHE_MISSES, (const char *const[]){ name }, sum.cache_misses);
	for (unsigned i = 0; i < _DROP_MAX; i++) {
		dropped += sum.dropped[i];
		if (sum.dropped[i])
			total(t, DROPPED,
			      (const char *const[]){ drops[i].stage, drops[i].reason, name },
			      sum.dropped[i]);
	}
	total(t, ROUTE_SAMPLES, (const char *const[]){ name, "accepted" }, sum.accepted);
	total(t, ROUTE_SAMPLES, (const char *const[]){ name, "dropped" }, dropped);
	total(t, ROUTE_SAMPLES, (const char *const[]){ name, "unmatched" }, sum.unmatched);
	total(t, ROUTE_SAMPLES, (const char *const[]){ name, "skipped" }, sum.skipped);
	total(t, ROUTER_SERIES, (const char *const[]){ name }, sum.series);
	for (size_t i = 0; i < d->n_nodes; i++) {
		struct sender_stats st;
		struct queue_stats q;

		sender_stats(d->nodes[i]->sender, &st);
		queue_stats(d->nodes[i]->queue, &q);
		blocks += q.blocks;
		if (st.breaker == BREAKER_OPEN ||
		    (st.breaker == BREAKER_HALF_OPEN && worst == BREAKER_CLOSED))
			worst = st.breaker;
	}
	gauge(t, ROUTER_DEPTH, (const char *const[]){ name }, (double)blocks);
	gauge(t, ROUTER_BREAKER, (const char *const[]){ name }, worst);
	if (d->n_nodes)
		gauge(t, ROUTER_INFO,
		      (const char *const[]){
			      name, "remotewriter",
			      ((const struct node_config *)d->config->nodes.items)[0].url },
		      1);
}

static void tick_queue(const struct tick *t, const struct node *n, const struct queue_stats *q)
{
	static const char *const events[_QUEUE_EVENT_MAX] = { "enqueued", "sent",      "dropped",
							      "dead",	  "recovered", "torn",
							      "corrupt",  "expired" };
	static const char *const errors[_QUEUE_ERROR_MAX] = { "nospace", "quota", "io", "other" };
	const char *d = n->destination, *name = n->name;

	gauge(t, QUEUE_BYTES, (const char *const[]){ d, name, "memory" }, (double)q->memory_bytes);
	gauge(t, QUEUE_BYTES, (const char *const[]){ d, name, "disk" }, (double)q->disk_bytes);
	gauge(t, QUEUE_BYTES, (const char *const[]){ d, name, "dead" }, (double)q->dead_bytes);
	gauge(t, QUEUE_BLOCKS, (const char *const[]){ d, name }, (double)q->blocks);
	gauge(t, QUEUE_OLDEST, (const char *const[]){ d, name },
	      q->blocks ? (double)(t->now_ms - q->oldest_enqueued_ms) / 1e3 : 0);
	for (unsigned i = 0; i < _QUEUE_EVENT_MAX; i++)
		total(t, QUEUE_RECORDS, (const char *const[]){ d, name, events[i] }, q->records[i]);
	for (unsigned i = 0; i < _QUEUE_ERROR_MAX; i++)
		total(t, QUEUE_ERRORS, (const char *const[]){ d, name, errors[i] }, q->errors[i]);
}

static void tick_sender(const struct tick *t, const struct node *n, const struct sender_stats *s)
{
	const char *d = n->destination, *name = n->name;
	char code[8];

	gauge(t, NODE_UP, (const char *const[]){ d, name }, s->up);
	gauge(t, NODE_BREAKER, (const char *const[]){ d, name }, s->breaker);
	gauge(t, NODE_WAIT, (const char *const[]){ d, name }, (double)s->retry_wait_us / 1e6);
	total(t, SEND_BYTES, (const char *const[]){ d, name }, s->bytes);
	total(t, SEND_RETRIES, (const char *const[]){ d, name }, s->retries);
	total(t, SEND_SAMPLES, (const char *const[]){ d, name, "sent" }, s->samples_sent);
	total(t, SEND_SAMPLES, (const char *const[]){ d, name, "partial" }, s->samples_partial);
	total(t, SEND_SAMPLES, (const char *const[]){ d, name, "dead" }, s->samples_dead);
	for (int i = 0; i < 600; i++) {
		if (!s->by_code[i])
			continue;
		(void)snprintf(code, sizeof(code), i ? "%d" : "error", i);
		total(t, SEND_REQUESTS, (const char *const[]){ d, name, code }, s->by_code[i]);
	}
}

static void tick_node(void *ctx, struct node *n)
{
	const struct tick *t = ctx;
	struct sender_stats s;
	struct queue_stats q;

	sender_stats(n->sender, &s);
	queue_stats(n->queue, &q);
	tick_sender(t, n, &s);
	tick_queue(t, n, &q);
	total(t, DROPPED, (const char *const[]){ "queue", "full_oldest", n->destination },
	      q.samples[QUEUE_DROPPED]);
	total(t, DROPPED, (const char *const[]){ "queue", "full_newest", n->destination },
	      q.dropped_newest_samples);
	total(t, DROPPED, (const char *const[]){ "queue", "expired", n->destination },
	      q.samples[QUEUE_EXPIRED]);
	total(t, DROPPED, (const char *const[]){ "queue", "corrupt", n->destination },
	      q.samples[QUEUE_CORRUPT]);
}

static void tick_urls(const struct tick *t, const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_destinations; i++) {
		const struct node_config *c = s->destinations[i].config->nodes.items;

		for (size_t n = 0; n < s->destinations[i].n_nodes; n++) {
			const struct node *node = s->destinations[i].nodes[n];
			const char *const url[] = { c[n].url };
			struct sender_stats st;

			sender_stats(node->sender, &st);
			gauge(t, NODE_INFO,
			      (const char *const[]){ node->destination, node->name, c[n].url }, 1);
			total(t, WRITE_SERIES, url, st.series_sent);
			total(t, WRITE_FALSE, url, st.series_dead);
			total(t, WRITE_SUCCESSES, url, st.successes);
			total(t, WRITE_FAILURES, url, st.failures);
			total(t, WRITE_RETRIES, url, st.retries);
		}
	}
}

static void tick_moves(const struct tick *t, const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_destinations; i++) {
		const struct destination *d = &s->destinations[i];
		const struct destination_move *last = d->n_moves ? &d->moves[d->n_moves - 1] : NULL;
		const char *const name[] = { d->config->name };

		if (!d->table)
			continue;
		gauge(t, TABLE_BOUNDARY, name, last ? (double)last->boundary_ms / 1e3 : 0);
		gauge(t, TABLE_UNTIL, name, last ? (double)last->until_ms / 1e3 : 0);
	}
}

void route_metrics_tick(struct gateway *g)
{
	struct tick t = { g, time_mono_us(), (int64_t)(time_wall_ns() / NS_PER_MSEC) };
	struct snapshot *s = gateway_take_snapshot(g);
	uint64_t oldest = t.now;

	metric_gauge(g->set, METRIC(RELOAD_OK), g->last_reload_ok);
	metric_gauge(g->set, METRIC(RELOAD_SECONDS), (double)g->reload_ok_ms / 1e3);
	for (unsigned i = 0; i < g->n_workers; i++)
		oldest = MIN(oldest, g->workers[i].turned_us);
	metric_gauge(g->set, METRIC(WORKER_LAG), (double)(t.now - oldest) / 1e6);
	tick_receive(&t);
	tick_wire(&t);
	tick_limits(&t);
	tick_drops(&t);
	for (size_t i = 0; i < s->n_routes; i++)
		tick_route(&t, s, i);
	nodes_for_each(g->nodes, tick_node, &t);
	tick_urls(&t, s);
	tick_moves(&t, s);
	gateway_put_snapshot(g, s);
}
