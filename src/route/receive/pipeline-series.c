/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of one series
 *
 * Global rules once, then each route by itself: its selectors, its rules, its window, the place in its destination. Routes with selectors or
 * rules remember what they decided about a series; the others have nothing to decide.
 */
#include <string.h>
#include <xxhash.h>
#include "base/macro.h"
#include "base/time.h"
#include "route/receive/pipeline-part.h"
#include "route/receive/window.h"

#define LAG_EVERY 64

/* One series at one stage of its way. */
struct item {
	const struct rw_series *series; /* samples, and labels as received */
	const struct rw_label *labels; /* as they are now */
	size_t n_labels;
	bool changed;
	bool metadata; /* goes along */
	struct rw_span canon; /* of labels, at NULL = not made */
};

/* --- canonical bytes --- */

static void make_canon(struct pipeline *p, struct item *it)
{
	size_t len;

	if (it->canon.at)
		return;
	len = rw_canon_len(it->labels, it->n_labels);
	p->canon.len = 0;
	if (!rw_buf_room(&p->canon, len + 1)) {
		p->no_memory = true;
		return;
	}
	it->canon = (struct rw_span){ p->canon.data, rw_canon(it->labels, it->n_labels,
							      p->canon.data, p->canon.size) };
}

/* --- one destination --- */

/* Adds @l in its sorted place; a label that is there stays, or is replaced. */
static size_t insert_label(struct rw_label *labels, size_t n, const struct rw_label *l,
			   bool replace)
{
	size_t at = n;

	while (at > 0 && rw_label_compare(&labels[at - 1], l) > 0)
		at--;
	if (at > 0 && rw_label_compare(&labels[at - 1], l) == 0) {
		if (replace)
			labels[at - 1] = *l;
		return n;
	}
	if (n == LABELS_MAX)
		return n;
	memmove(labels + at + 1, labels + at, (n - at) * sizeof(*labels));
	labels[at] = *l;
	return n + 1;
}

/* Labels as they leave: with task and constant labels. False: as they are. */
static bool leaving_labels(struct pipeline *p, const struct destination *d, const struct item *it,
			   uint32_t task, size_t *ret_n)
{
	const struct shard_config *s = &d->config->shard;
	bool task_label = s->task_label.enabled && d->n_nodes > (d->config->compat ? 1U : 0U);
	size_t n = MIN(it->n_labels, (size_t)LABELS_MAX);

	if (!task_label && !d->n_add_labels)
		return false;
	memcpy(p->labels, it->labels, n * sizeof(*p->labels));
	if (task_label) {
		int len = snprintf(p->task_text, sizeof(p->task_text), "%u", task);
		struct rw_label l = { s->task_label.name, p->task_text,
				      (uint32_t)strlen(s->task_label.name), (uint32_t)len };

		n = insert_label(p->labels, n, &l, true);
	}
	for (size_t i = 0; i < d->n_add_labels; i++)
		n = insert_label(p->labels, n, &d->add_labels[i], false);
	*ret_n = n;
	return true;
}

/* Tenant and split values of a block, as extra fields of its record. */
static uint16_t make_extra(struct pipeline *p, const struct destination *d,
			   const struct rw_label *labels, size_t n_labels)
{
	const struct config_strings *split = &d->config->batch.split_by_labels;
	const char *tenant = p->body->tenants[d - p->snapshot->destinations];
	size_t len = 0;

	if (d->config->tenant.from_request && *tenant)
		len += record_extra_put(p->extra, sizeof(p->extra), EXTRA_TENANT, tenant,
					strlen(tenant));
	for (size_t i = 0; i < split->n; i++) {
		size_t name_len = strlen(split->items[i]);
		const struct rw_label *l =
			rw_find_label(labels, n_labels, split->items[i], name_len);
		uint8_t pair[256];
		size_t value_len =
			l ? MIN((size_t)l->value_len, sizeof(pair) - 1 - MIN(name_len, (size_t)128))
			  : 0;

		name_len = MIN(name_len, (size_t)128);
		memcpy(pair, split->items[i], name_len);
		pair[name_len] = '\0';
		if (value_len)
			memcpy(pair + name_len + 1, l->value, value_len);
		len += record_extra_put(p->extra + len, sizeof(p->extra) - len, EXTRA_SPLIT, pair,
					name_len + 1 + value_len);
	}
	return (uint16_t)len;
}

enum rw_version pipeline_block_version(const struct destination *d, uint16_t node,
				       enum rw_version own)
{
	const struct node_config *c = d->node_configs;

	switch (c[node].send.protocol) {
	case SEND_RW1:
	case SEND_VM:
		return RW1;
	case SEND_RW2:
		return RW2;
	default:
		return own;
	}
}

struct rw_block *pipeline_rows(struct pipeline *p, const struct destination *d, uint16_t node,
			       uint16_t lane, enum rw_version version,
			       const struct rw_label *labels, size_t n_labels)
{
	struct block_key k = { .d = d,
			       .node = node,
			       .lane = lane,
			       .version = version,
			       .flags = (uint16_t)p->body->hops,
			       .extra = p->extra };
	struct rw_block *rows;

	if (d->config->tenant.from_request || d->config->batch.split_by_labels.n)
		k.extra_len = make_extra(p, d, labels, n_labels);
	rows = open_blocks_get(p->open, p->ticket, &k);
	if (!rows)
		p->no_memory = true;
	return rows;
}

/* What a series says of its family stays behind. */
static int add_bare(struct rw_block *rows, const struct item *it, const struct rw_label *labels,
		    size_t n_labels)
{
	struct rw_series bare = *it->series;

	bare.metadata = (struct rw_span){};
	return rw_block_add(rows, &bare, labels, n_labels);
}

static void add_row(struct pipeline *p, const struct destination *d, struct item *it,
		    const struct placement *place, uint16_t node, const struct rw_label *labels,
		    size_t n_labels)
{
	enum rw_version own = it->series->version, version = pipeline_block_version(d, node, own);
	struct rw_block *rows =
		pipeline_rows(p, d, node, place->lane, version, it->labels, it->n_labels);
	int r;

	if (!rows)
		return;
	if (version != RW1 && own == RW1 && it->metadata)
		pipeline_know_family(p, d, rows, labels ? labels : it->labels,
				     labels ? n_labels : it->n_labels);
	if (it->series->metadata.at && !it->metadata)
		r = add_bare(rows, it, labels, n_labels);
	else
		r = rw_block_add(rows, it->series, labels, n_labels);
	if (r < 0)
		p->no_memory = true;
	else if (version == RW1 && it->series->metadata.at && it->metadata)
		pipeline_tell_family(p, d, node, rows, it->series, labels, n_labels);
}

/* By the old table of @m, or by the present one. */
static void deliver_by(struct pipeline *p, const struct destination *d,
		       const struct destination_move *m, struct item *it,
		       const struct placement *place)
{
	const struct rw_label *labels = it->changed ? it->labels : NULL;
	size_t n = it->changed ? it->n_labels : 0;
	uint32_t replicas = m ? m->table->replicas : d->replicas;

	if (leaving_labels(p, d, it, place->task, &n))
		labels = p->labels;
	for (uint32_t rank = 0; rank < replicas; rank++) {
		uint16_t node = m ? m->table->nodes[(size_t)rank * m->table->tasks + place->task]
				  : destination_node(d, place, rank, labels ? labels : it->labels,
						     labels ? n : it->n_labels);

		if (node != SHARD_NO_NODE)
			add_row(p, d, it, place, node, labels, n);
	}
}

/* Samples up to the boundary of each old table go by it, the oldest first; what is newer by the present one. */
static void deliver_moving(struct pipeline *p, const struct destination *d, struct item *it,
			   const struct placement *place)
{
	struct rw_series whole = *it->series, older, after;
	struct item part = *it;
	unsigned at = 0; /* of the three scratches: where the rest lies */

	for (size_t i = 0; i < d->n_moves; i++) {
		const struct destination_move *m = &d->moves[i];
		struct placement before;

		if (whole.min_ts > m->boundary_ms)
			continue;
		before = destination_place_before(m, place, p->keys, it->labels, it->n_labels,
						  it->canon, p->key.data, p->key.size);
		if (whole.max_ts <= m->boundary_ms) {
			part.series = &whole;
			deliver_by(p, d, m, &part, &before);
			return;
		}
		if (!window_split(m->boundary_ms, &whole, &p->moved[(at + 1) % 3],
				  &p->moved[(at + 2) % 3], &older, &after)) {
			p->no_memory = true;
			return;
		}
		at = (at + 2) % 3;
		part.series = &older;
		deliver_by(p, d, m, &part, &before);
		whole = after;
	}
	part.series = &whole;
	deliver_by(p, d, NULL, &part, place);
}

/* False: its task label was not wanted, the series is invalid here. */
static bool deliver(struct pipeline *p, const struct destination *d, struct item *it,
		    const struct placement *place)
{
	if (place->reject) {
		p->rejected++;
		return false;
	}
	if (__builtin_expect(d->n_moves > 0, false) &&
	    it->series->min_ts <= d->moves[d->n_moves - 1].boundary_ms)
		deliver_moving(p, d, it, place);
	else
		deliver_by(p, d, NULL, it, place);
	return true;
}

/* --- one route --- */

static uint64_t items_of(const struct rw_series *s)
{
	return (uint64_t)s->n_samples + s->n_histograms;
}

static void count_task(uint32_t *samples, uint32_t task, const struct rw_series *s)
{
	__atomic_store_n(&samples[task], samples[task] + (uint32_t)items_of(s), __ATOMIC_RELAXED);
}

static bool matches(struct pipeline *p, const struct route_rule_config *r, const struct item *it)
{
	if (!r->match.n)
		return true;
	for (size_t i = 0; i < r->match.n; i++)
		if (selector_match(r->selectors[i], p->context, it->labels, it->n_labels))
			return true;
	return false;
}

static inline struct placement place(struct pipeline *p, const struct destination *d,
				     const struct item *it)
{
	if (d->key && !d->config->rules && !d->config->shard.task_label.enabled) {
		uint64_t hash = shard_hash(d->key, it->labels, it->n_labels, it->canon, p->key.data,
					   p->key.size);

		return (struct placement){ .hash = hash,
					   .task = shard_task(hash, d->config->shard.tasks),
					   .lane = (uint16_t)shard_lane(hash, d->lanes) };
	}
	return destination_place(d, p->keys, it->labels, it->n_labels, it->canon, p->key.data,
				 p->key.size);
}

/* Is the place more than the task and lane that the cache remembers? */
static bool place_again(const struct destination *d)
{
	const struct shard_config *s = &d->config->shard;

	return !d->key || (s->task_label.enabled && s->task_label.on_existing == TASK_LABEL_REJECT);
}

static bool keeps(const struct decision *d)
{
	return d->matched && (d->result == RELABEL_CHANGED || d->result == RELABEL_UNCHANGED);
}

/* What the route does with the labels of @it, which become the new ones, and where they go. */
static void decide(struct pipeline *p, size_t at, const struct destination *d, struct item *it,
		   struct decision *ret, struct placement *ret_place)
{
	const struct route_rule_config *r = &p->snapshot->config->routes[at];
	struct decision_cache *cache = p->caches[at];
	const struct rw_label *before = it->labels;
	size_t n_before = it->n_labels;
	struct rw_span key = it->canon;

	*ret = (struct decision){ .result = RELABEL_UNCHANGED, .matched = true };
	if (cache && decision_cache_find(cache, key, p->context, it->labels, it->n_labels, ret,
					 &it->labels, &it->n_labels)) {
		it->changed |= ret->result == RELABEL_CHANGED;
		*ret_place = (struct placement){ .task = ret->task, .lane = ret->lane };
		if (keeps(ret) && place_again(d))
			*ret_place = place(p, d, it);
		return;
	}
	ret->matched = matches(p, r, it);
	if (ret->matched && r->relabel)
		ret->result = relabel_apply(r->relabel, p->context, it->labels, it->n_labels,
					    &it->labels, &it->n_labels);
	if (ret->result == RELABEL_CHANGED) {
		it->changed = true;
		it->canon = (struct rw_span){};
	}
	if (keeps(ret)) {
		*ret_place = place(p, d, it);
		ret->task = ret_place->task;
		ret->lane = ret_place->lane;
	}
	if (cache)
		decision_cache_put(cache, key, before, n_before, ret, it->labels, it->n_labels);
}

static void count_dropped(struct route_counters *c, enum relabel_result result, uint64_t n)
{
	static const enum drop_reason reasons[] = { [RELABEL_DROP] = DROP_RELABEL,
						    [RELABEL_DROP_EMPTY] = DROP_EMPTY_LABELS,
						    [RELABEL_DROP_LIMIT] = DROP_REGEX_LIMIT };

	COUNT(c->dropped[reasons[result]], n);
}

static void note_lag(struct pipeline *p, struct route_counters *c, int64_t ts)
{
	int64_t lag = p->now_ms - ts;
	size_t i = 0;

	if (c->lag_draw++ % LAG_EVERY)
		return;
	while (i < ARRAY_SIZE(lag_bounds_ms) && lag > lag_bounds_ms[i])
		i++;
	COUNT(c->lag_buckets[i], 1);
	COUNT(c->lag_ms_sum, MAX(lag, 0));
}

static struct window window_of(const struct pipeline *p, const struct window_config *w)
{
	return (struct window){
		w->max_age ? p->now_ms - (int64_t)(w->max_age / 1000) : INT64_MIN,
		w->max_ahead ? p->now_ms + (int64_t)(w->max_ahead / 1000) : INT64_MAX,
	};
}

static bool take_route(struct pipeline *p, size_t at, struct item *it, bool windowed);

/*
 * Leaves out what lies outside of the window and hands it to the window's own route, if it has one. @dropped gets the counts. False: nothing is
 * left.
 */
static bool apply_window(struct pipeline *p, const struct window_config *config, int route,
			 struct item *it, uint64_t *dropped, unsigned depth)
{
	struct window w;
	struct rw_series *inside = &p->inside[depth], *outside = &p->outside[depth];
	struct window_cut cut;

	if (!config->max_age && !config->max_ahead)
		return true;
	w = window_of(p, config);
	if (window_holds(&w, it->series))
		return true;
	if (!items_of(it->series))
		return true; /* exemplars alone have no age here */
	if (config->action == WINDOW_ROUTE && route >= 0) {
		struct item beyond = *it;

		if (!window_apply(&w, it->series, true, &p->window[depth], outside, &cut))
			p->no_memory = true;
		beyond.series = outside;
		if (!p->no_memory && items_of(outside))
			(void)take_route(p, (size_t)route, &beyond, false);
	}
	if (!window_apply(&w, it->series, false, &p->window[depth], inside, &cut)) {
		p->no_memory = true;
		return false;
	}
	if (config->action == WINDOW_DROP) {
		COUNT(dropped[DROP_LATE], cut.late);
		COUNT(dropped[DROP_FUTURE], cut.future);
	}
	it->series = inside;
	return items_of(inside) > 0;
}

/* True: the route took it. */
static bool take_route(struct pipeline *p, size_t at, struct item *before, bool windowed)
{
	const struct route_rule_config *r = &p->snapshot->config->routes[at];
	const struct destination *d = &p->snapshot->destinations[r->destination_index];
	struct route_counters *c = p->routes[at];
	struct item it;
	struct decision decision = { .result = RELABEL_UNCHANGED, .matched = true };
	struct placement where = {};
	uint64_t n = items_of(before->series);

	/* Once a series: p->canon holds the bytes of its labels after the global rules, for all routes. */
	if (p->caches[at] || d->key)
		make_canon(p, before);
	it = *before;
	it.metadata &= r->metadata;
	if (pipeline_decides(r)) {
		decide(p, at, d, &it, &decision, &where);
	} else {
		where = place(p, d, &it);
	}
	if (!decision.matched) {
		COUNT(c->unmatched, n);
		return false;
	}
	if (!keeps(&decision)) {
		count_dropped(c, decision.result, n);
		return false;
	}
	if (windowed && !apply_window(p, &r->time_window, r->window_route, &it, c->dropped, 1))
		return false;
	if (!deliver(p, d, &it, &where))
		return false;
	COUNT(c->accepted, items_of(it.series));
	COUNT(c->series, 1);
	count_task(p->task_samples[r->destination_index], where.task, it.series);
	note_lag(p, c, it.series->max_ts);
	return true;
}

static void route_item(struct pipeline *p, struct item *it)
{
	const struct route_config *c = p->snapshot->config;
	bool taken = false, stopped = false;

	for (size_t i = 0; i < c->n_routes; i++) {
		if ((int)i == c->default_route)
			continue;
		if (stopped) {
			COUNT(p->routes[i]->skipped, items_of(it->series));
			continue;
		}
		if (!take_route(p, i, it, true))
			continue;
		taken = true;
		stopped = c->routing_mode == ROUTING_FIRST_MATCH || c->routes[i].stop;
	}
	if (taken && c->default_route >= 0)
		COUNT(p->routes[c->default_route]->skipped, items_of(it->series));
	if (taken)
		return;
	if (c->default_route >= 0 && take_route(p, (size_t)c->default_route, it, true))
		return;
	COUNT(p->counters.dropped[DROP_NO_ROUTE], items_of(it->series));
}

/* --- a series --- */

void pipeline_series(struct pipeline *p, const struct rw_series *s)
{
	const struct route_config *c = p->snapshot->config;
	struct item it = {
		.series = s,
		.labels = s->labels,
		.n_labels = s->n_labels,
		.metadata = c->metadata->mode != METADATA_DROP,
		.canon = s->canon,
	};
	enum relabel_result result;

	if (s->metadata.at)
		COUNT(p->counters.metadata[RW2], 1);

	if (!apply_window(p, c->time_window, c->window_route, &it, p->counters.dropped, 0))
		return;
	if (c->relabel) {
		result = relabel_apply(c->relabel, p->global, it.labels, it.n_labels, &it.labels,
				       &it.n_labels);
		if (result == RELABEL_CHANGED) {
			it.changed = true;
			it.canon = (struct rw_span){};
		} else if (result != RELABEL_UNCHANGED) {
			struct route_counters total = {};

			count_dropped(&total, result, items_of(s));
			for (unsigned i = 0; i < _DROP_MAX; i++)
				COUNT(p->counters.dropped[i], total.dropped[i]);
			return;
		}
	}
	route_item(p, &it);
}
