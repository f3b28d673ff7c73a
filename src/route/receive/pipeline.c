/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request on its way through one worker
 *
 * Body in, answer out; what it needs of a snapshot is made when the snapshot comes. Nothing is allocated per series.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "base/time.h"
#include "route/receive/headers.h"
#include "route/receive/pipeline-part.h"

#define KEY_BYTES_MIN (64 * 1024)

int pipeline_new(const struct pipeline_shared *shared, struct pipeline **ret)
{
	_cleanup_(pipeline_freep) struct pipeline *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->shared = *shared;
	p->encoder = rw_encoder_new();
	r = p->encoder && rw_buf_room(&p->key, KEY_BYTES_MIN) ? rw_scan_new(&p->scan) : -ENOMEM;
	if (r >= 0)
		r = relabel_context_new(&p->global);
	if (r >= 0)
		r = relabel_context_new(&p->context);
	if (r >= 0)
		r = relabel_context_new(&p->keys);
	if (r >= 0)
		r = open_blocks_new(p->encoder, shared->snappy, &p->counters, &p->open);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

struct pipeline *pipeline_free(struct pipeline *p)
{
	if (!p)
		return NULL;
	pipeline_caches_free(p->caches, p->n_routes);
	open_blocks_free(p->open);
	if (p->scan)
		rw_scan_free(p->scan);
	if (p->encoder)
		rw_encoder_free(p->encoder);
	if (p->global)
		relabel_context_free(p->global);
	if (p->context)
		relabel_context_free(p->context);
	if (p->keys)
		relabel_context_free(p->keys);
	rw_buf_done(&p->canon);
	rw_buf_done(&p->key);
	rw_buf_done(&p->window[0]);
	rw_buf_done(&p->window[1]);
	rw_buf_done(&p->family);
	free(p->told);
	free(p->tenants);
	free(p->series_before);
	for (size_t i = 0; i < ARRAY_SIZE(p->moved); i++)
		rw_buf_done(&p->moved[i]);
	free(p->routes);
	free(p->task_samples);
	task_counts_free(p->tasks);
	free(p->cache_seen);
	while (p->named) {
		struct named_counters *n = p->named;

		p->named = n->next;
		free(n);
	}
	free(p);
	return NULL;
}

/* --- snapshots --- */

static struct rw_limits limits_of(const struct route_config *c)
{
	return (struct rw_limits){
		.series = c->limits->series_per_request,
		.samples = c->limits->samples_per_request,
		.symbols = c->limits->symbols_per_request,
		.labels = c->limits->labels_per_series,
		.name_bytes = c->limits->label_name_bytes,
		.value_bytes = c->limits->label_value_bytes,
		.series_bytes = (uint32_t)c->limits->series_bytes,
		.require_metric_name = c->receive->require_metric_name,
		.validate_histograms = c->receive->validate_histograms,
	};
}

static struct route_counters *counters_of(struct pipeline *p, const char *name)
{
	struct named_counters *n;

	for (n = p->named; n; n = n->next)
		if (streq(n->name, name))
			return &n->c;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	(void)snprintf(n->name, sizeof(n->name), "%s", name);
	n->next = p->named;
	__atomic_store_n(&p->named, n, __ATOMIC_RELEASE);
	return &n->c;
}

static struct route_counters **list_counters(struct pipeline *p, const struct snapshot *s)
{
	struct route_counters **routes = calloc(s->n_routes + 1, sizeof(struct route_counters *));

	for (size_t i = 0; routes && i < s->n_routes; i++) {
		routes[i] = counters_of(p, s->config->routes[i].name);
		if (!routes[i]) {
			free(routes);
			return NULL;
		}
	}
	return routes;
}

static uint32_t **list_tasks(struct pipeline *p, const struct snapshot *s)
{
	uint32_t **samples = calloc(s->n_destinations + 1, sizeof(uint32_t *));

	for (size_t i = 0; samples && i < s->n_destinations; i++) {
		const struct destination_config *d = s->destinations[i].config;

		samples[i] = task_counts_get(&p->tasks, d->name, d->shard.tasks);
		if (!samples[i]) {
			free(samples);
			return NULL;
		}
	}
	return samples;
}

int pipeline_use(struct pipeline *p, const struct snapshot *s)
{
	struct route_counters **routes = list_counters(p, s);
	uint32_t **task_samples = list_tasks(p, s);
	struct decision_cache **caches = NULL;
	struct decision_cache_stats *seen = calloc(s->n_routes + 1, sizeof(*seen));
	uint64_t *before = calloc(s->n_routes + 1, sizeof(*before));
	uint64_t *tenants = calloc(s->n_destinations + 1, sizeof(*tenants));
	/* A key is never longer than the series that the limit lets in. */
	bool room = rw_buf_room(&p->key, MAX(KEY_BYTES_MIN, s->config->limits->series_bytes));
	int r = routes && task_samples && seen && before && tenants && room
			? pipeline_caches_new(p, s, &caches)
			: -ENOMEM;

	if (r >= 0)
		r = open_blocks_use(p->open, s);
	if (r < 0) {
		free(routes);
		free(task_samples);
		free(seen);
		free(before);
		free(tenants);
		pipeline_caches_free(caches, s->n_routes);
		return r;
	}
	pipeline_caches_keep(p, s, caches, seen);
	pipeline_caches_free(p->caches, p->n_routes);
	free(p->cache_seen);
	p->cache_seen = seen;
	p->caches = caches;
	free(p->routes);
	free(p->task_samples);
	free(p->series_before);
	free(p->tenants);
	p->series_before = before;
	p->tenants = tenants;
	p->task_samples = task_samples;
	p->routes = routes;
	p->n_routes = s->n_routes;
	p->limits = limits_of(s->config);
	p->snapshot = s;
	return 0;
}

/* --- a request --- */

static void note_caches(struct pipeline *p)
{
	for (size_t i = 0; i < p->n_routes; i++) {
		struct route_counters *c = p->routes[i];
		struct decision_cache_stats s;

		if (!p->caches[i])
			continue;
		decision_cache_stats(p->caches[i], &s);
		COUNT(c->cache_entries, s.entries - c->cache_entries);
		COUNT(c->cache_bytes, s.bytes - c->cache_bytes);
		COUNT(c->cache_hits, s.hits - p->cache_seen[i].hits);
		COUNT(c->cache_misses, s.misses - p->cache_seen[i].misses);
		COUNT(c->cache_evictions, s.evictions - p->cache_seen[i].evictions);
		p->cache_seen[i] = s;
	}
}

static void count_request(struct pipeline *p)
{
	const struct rw_totals *t = rw_scan_totals(p->scan);
	struct worker_counters *c = &p->counters;
	enum rw_version v = p->body->version;

	COUNT(c->series[v], t->series);
	COUNT(c->samples[v], t->samples);
	COUNT(c->histograms[v], t->histograms);
	COUNT(c->exemplars[v], t->exemplars);
	COUNT(c->empty_labels, t->empty_labels);
	for (unsigned i = 0; i < _RW_INVALID_MAX; i++)
		if (t->invalid[i])
			COUNT(c->invalid[i], t->invalid[i]);
	for (unsigned i = 0; i < _RW_LABEL_LIMIT_MAX; i++)
		if (t->label_limits[i])
			COUNT(c->label_limits[i], t->label_limits[i]);
	COUNT(c->invalid[RW_TASK_LABEL], p->rejected);
}

static void refuse(struct pipeline_answer *a, int status, const char *text)
{
	a->status = status;
	(void)snprintf(a->text, sizeof(a->text), "%s", text);
}

/* A message that cannot be used as a whole. */
static void refuse_body(struct pipeline *p, struct pipeline_answer *a, int error)
{
	static const char *const over[_RW_OVER_MAX] = { "", "too many series in one request\n",
							"too many samples in one request\n",
							"too many symbols in one request\n" };

	if (error == -E2BIG)
		COUNT(p->counters.over[rw_scan_totals(p->scan)->over], 1);
	if (error == -E2BIG)
		refuse(a, 413, over[rw_scan_totals(p->scan)->over]);
	else if (error == -EBADMSG)
		refuse(a, 400, "the body is not a remote write message\n");
	else
		refuse(a, 503, "out of memory\n");
}

/* All series on their way. Version 1 is checked meanwhile, while its bytes are in the cache: what is wrong with it may show at its end. */
static int take_series(struct pipeline *p, const struct pipeline_body *b)
{
	struct rw_series s;
	int r = 0;

	if (b->version == RW1)
		rw_scan_begin_rw1(p->scan, &p->limits, b->body, b->len);
	else
		r = rw_scan_begin(p->scan, b->version, &p->limits, b->body, b->len);
	while (r >= 0 && (r = rw_scan_next(p->scan, &s)) > 0)
		pipeline_series(p, &s);
	return r;
}

/* Samples that no route gets to see: window and rules of all. */
static uint64_t dropped_before_routing(const struct pipeline *p)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < _DROP_MAX; i++)
		n += i == DROP_NO_ROUTE ? 0 : p->counters.dropped[i];
	return n;
}

static void note_begin(struct pipeline *p)
{
	for (size_t i = 0; i < p->n_routes; i++)
		p->series_before[i] = p->routes[i]->series;
}

/* Which routes took something: for what has to be counted when the request is answered. */
static void note_routes(struct pipeline *p, struct ticket *t)
{
	t->n_routes = 0;
	for (size_t i = 0; i < p->n_routes; i++) {
		uint64_t series = p->routes[i]->series - p->series_before[i];

		if (!series)
			continue;
		if (!rw_array_grow(&t->routes, &t->routes_size, t->n_routes + 1,
				   sizeof(*t->routes)))
			return;
		t->routes[t->n_routes++] = (struct ticket_route){ (uint32_t)i, (uint32_t)series };
	}
}

/* Rows were taken back: nothing of the request is in a queue. */
static void take_back(struct pipeline *p, struct ticket *t)
{
	pipeline_metadata_undo(p);
	t->failed = true;
	pipeline_answered(p, t);
}

static void tell_invalid(struct pipeline *p, struct pipeline_answer *a)
{
	const struct rw_totals *t = rw_scan_totals(p->scan);
	uint64_t bad = t->invalid_series + p->rejected;

	if (bad)
		(void)snprintf(a->text, sizeof(a->text),
			       "%llu of %u series are invalid and were left out\n%s",
			       (unsigned long long)bad, t->series, rw_scan_why(p->scan));
}

void pipeline_take(struct pipeline *p, const struct pipeline_body *b, struct ticket *t,
		   struct pipeline_answer *ret, uint64_t now_us)
{
	const struct rw_totals *totals;
	uint64_t dropped = dropped_before_routing(p);
	int r;

	*ret = (struct pipeline_answer){};
	p->body = b;
	p->ticket = t;
	t->began_us = now_us;
	p->no_memory = false;
	p->rejected = 0;
	p->now_ms = (int64_t)(time_wall_ns() / NS_PER_MSEC);
	COUNT(p->counters.wire_bytes[b->version], b->wire_len);
	COUNT(p->counters.decoded_bytes[b->version], b->len);
	note_begin(p);
	pipeline_metadata_begin(p, now_us);
	r = take_series(p, b);
	note_routes(p, t);
	if (r >= 0)
		pipeline_metadata(p);
	totals = rw_scan_totals(p->scan);
	count_request(p);
	note_caches(p);
	if (p->no_memory)
		r = -ENOMEM;
	if (r < 0) {
		open_blocks_rollback(p->open, t);
		take_back(p, t);
		refuse_body(p, ret, r);
		return;
	}
	tell_invalid(p, ret);
	if (open_blocks_commit(p->open, t, now_us) < 0) {
		take_back(p, t);
		ret->retry_s = headers_retry_after(t->fill);
		refuse(ret, 503, "a queue is full\n");
		return;
	}
	ret->samples = totals->samples;
	ret->histograms = totals->histograms;
	ret->exemplars = totals->exemplars;
	ret->series = totals->series;
	ret->dropped = dropped_before_routing(p) - dropped;
	if (t->pending)
		return;
	pipeline_answered(p, t);
	if (t->failed) {
		ret->retry_s = headers_retry_after(t->fill);
		refuse(ret, 503, "a queue did not take the block\n");
	} else {
		ret->status = *ret->text ? 400 : 204;
	}
}

void pipeline_answered(struct pipeline *p, const struct ticket *t)
{
	uint64_t took = time_mono_us() - t->began_us;

	for (size_t i = 0; i < t->n_routes; i++) {
		struct route_counters *c = p->routes[t->routes[i].route];

		if (t->failed) {
			COUNT(c->refused, t->routes[i].series);
			continue;
		}
		COUNT(c->write.n[duration_bucket(took)], 1);
		COUNT(c->write.sum_us, took);
	}
}

void pipeline_forget(struct pipeline *p, struct ticket *t)
{
	open_blocks_forget(p->open, t);
}

void pipeline_run(struct pipeline *p, uint64_t now_us)
{
	open_blocks_run(p->open, now_us);
}

void pipeline_flush(struct pipeline *p)
{
	open_blocks_flush(p->open);
}

uint64_t pipeline_next(const struct pipeline *p)
{
	return open_blocks_next(p->open);
}

const struct worker_counters *pipeline_counters(const struct pipeline *p)
{
	return &p->counters;
}

void pipeline_route_totals(const struct pipeline *p, const char *name, struct route_counters *sum)
{
	const struct named_counters *n = __atomic_load_n(&p->named, __ATOMIC_ACQUIRE);
	uint64_t *to = (uint64_t *)sum;

	while (n && !streq(n->name, name))
		n = n->next;
	for (size_t i = 0; n && i < sizeof(*sum) / sizeof(uint64_t); i++)
		to[i] += COUNTED(((const uint64_t *)&n->c)[i]);
}

void pipeline_task_totals(const struct pipeline *p, const char *destination, uint32_t tasks,
			  uint32_t *sums)
{
	task_counts_add(&p->tasks, destination, tasks, sums);
}
