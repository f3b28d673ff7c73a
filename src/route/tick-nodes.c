/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of nodes: queue and sender of each, what routes see of them, and queues that belong to nobody. */
#define LOG_MODULE "route"

#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/time.h"
#include "route/tick.h"

#define ORPHANS_EVERY_US (60 * US_PER_SEC)

#define SINCE(field) (now->field - before->field)

static uint64_t lost_series(const struct queue_stats *q)
{
	return q->series[QUEUE_DROPPED] + q->series[QUEUE_EXPIRED] + q->series[QUEUE_CORRUPT] +
	       q->dropped_newest_series + q->series[QUEUE_DEAD];
}

/* --- one node --- */

static void tick_queue(const struct tick *t, const struct node *n, const struct queue_stats *now)
{
	static const char *const events[_QUEUE_EVENT_MAX] = {
		"enqueued", "sent",    "dropped", "dead",	 "recovered",
		"torn",	    "corrupt", "expired", "dead_dropped"
	};
	static const char *const errors[_QUEUE_ERROR_MAX] = { "nospace", "quota", "io", "other" };
	const struct queue_stats *before = &n->figures.queue;
	const char *d = n->destination, *name = n->name;
	const struct {
		const char *tier;
		uint64_t bytes, limit;
	} tiers[] = { { "memory", now->memory_bytes, now->memory_limit },
		      { "disk", now->disk_bytes, now->disk_limit },
		      { "dead", now->dead_bytes, now->dead_limit } };

	for (size_t i = 0; i < ARRAY_SIZE(tiers); i++) {
		tick_gauge(t, QUEUE_BYTES, L(d, name, tiers[i].tier), (double)tiers[i].bytes);
		tick_gauge(t, QUEUE_LIMIT, L(d, name, tiers[i].tier), (double)tiers[i].limit);
	}
	tick_gauge(t, QUEUE_BLOCKS, L(d, name, "memory"), (double)now->memory_blocks);
	tick_gauge(t, QUEUE_BLOCKS, L(d, name, "disk"), (double)(now->blocks - now->memory_blocks));
	tick_gauge(t, QUEUE_OLDEST, L(d, name),
		   now->blocks ? (double)(t->now_ms - now->oldest_enqueued_ms) / 1e3 : 0);
	for (unsigned i = 0; i < _QUEUE_EVENT_MAX; i++)
		tick_add(t, QUEUE_RECORDS, L(d, name, events[i]), SINCE(records[i]));
	for (unsigned i = 0; i < _QUEUE_ERROR_MAX; i++)
		tick_add(t, QUEUE_ERRORS, L(d, name, errors[i]), SINCE(errors[i]));
	tick_took(t, QUEUE_SYNC, L(d, name), &now->syncs, &before->syncs);
}

static void tick_drops_of(const struct tick *t, const struct node *n, const struct queue_stats *now)
{
	const struct queue_stats *before = &n->figures.queue;
	const char *route = n->figures.route ? n->figures.route : "";

	tick_add(t, DROPPED, L("queue", "full_oldest", route), SINCE(samples[QUEUE_DROPPED]));
	tick_add(t, DROPPED, L("queue", "full_newest", route), SINCE(dropped_newest_samples));
	tick_add(t, DROPPED, L("queue", "expired", route), SINCE(samples[QUEUE_EXPIRED]));
	tick_add(t, DROPPED, L("queue", "corrupt", route), SINCE(samples[QUEUE_CORRUPT]));
	/* By node, too; what was never enqueued is not among what left. Nobody looks into a dropped block for its kinds. */
	tick_add(t, SEND_SAMPLES, L(n->destination, n->name, "", "dropped"),
		 SINCE(samples[QUEUE_DROPPED]) + SINCE(samples[QUEUE_EXPIRED]) +
			 SINCE(samples[QUEUE_CORRUPT]));
}

static void tick_samples(const struct tick *t, const struct node *n, const struct sender_stats *now)
{
	static const char *const kinds[_SEND_KIND_MAX] = { "float", "histogram" };
	static const char *const results[_SEND_RESULT_MAX] = { "sent", "partial", "dead" };
	static const char *const reasons[_SEND_DEAD_MAX] = { "refused", "too_large", "poison",
							     "held", "unreadable" };
	const struct sender_stats *before = &n->figures.sender;
	const char *d = n->destination, *name = n->name;

	for (unsigned k = 0; k < _SEND_KIND_MAX; k++)
		for (unsigned r = 0; r < _SEND_RESULT_MAX; r++)
			tick_add(t, SEND_SAMPLES, L(d, name, kinds[k], results[r]),
				 SINCE(samples[k][r]));
	for (unsigned i = 0; i < _SEND_DEAD_MAX; i++)
		tick_add(t, DEAD_SAMPLES, L(d, name, reasons[i]), SINCE(dead_samples[i]));
}

static void tick_codes(const struct tick *t, const struct node *n, const struct sender_stats *now)
{
	static const struct send_code none;
	const char *url = n->figures.url;
	char code[8];

	for (unsigned i = 0; i < now->n_codes; i++) {
		const struct send_code *c = &now->codes[i];
		/* Codes only come. */
		const struct send_code *b =
			i < n->figures.sender.n_codes ? &n->figures.sender.codes[i] : &none;

		(void)snprintf(code, sizeof(code), c->status ? "%d" : "error", c->status);
		tick_add(t, SEND_REQUESTS, L(n->destination, n->name, code),
			 c->requests - b->requests);
		tick_took(t, REMOTE_SECONDS, L(url, code), &c->took, &b->took);
		tick_add(t, REMOTE_BYTES, L(url, code), c->bytes - b->bytes);
		tick_add(t, REMOTE_SERIES, L(url, code), c->series - b->series);
		tick_add(t, REMOTE_SAMPLES, L(url, code), c->samples - b->samples);
	}
}

static void tick_sender(const struct tick *t, const struct node *n, const struct sender_stats *now)
{
	const struct sender_stats *before = &n->figures.sender;
	const char *d = n->destination, *name = n->name;

	tick_gauge(t, NODE_UP, L(d, name), now->up);
	tick_gauge(t, NODE_BREAKER, L(d, name, now->reason), now->breaker);
	tick_gauge(t, NODE_WAIT, L(d, name), (double)now->retry_wait_us / 1e6);
	tick_add(t, SEND_BYTES, L(d, name), SINCE(bytes));
	tick_add(t, SEND_RETRIES, L(d, name), SINCE(retries));
	tick_add(t, SEND_DOWNGRADES, L(d, name, "rw1"), SINCE(downgrades_rw1));
	tick_add(t, SEND_DOWNGRADES, L(d, name, "snappy"), SINCE(downgrades_snappy));
	tick_took(t, SEND_SECONDS, L(d, name), &now->took, &before->took);
	tick_samples(t, n, now);
	tick_codes(t, n, now);
	t->g->files_changed[FILES_NODE] += SINCE(files_changed);
	t->g->files_bad[FILES_NODE] += SINCE(files_bad);
	for (unsigned i = 0; i < _RW_LOSS_MAX; i++)
		t->g->figures->losses[i] += SINCE(losses[i]);
}

static void tick_url(const struct tick *t, const struct node *n, const struct sender_stats *now,
		     const struct queue_stats *q)
{
	const struct sender_stats *before = &n->figures.sender;
	const char *const *url = L(n->figures.url);

	tick_add(t, WRITE_SERIES, url, SINCE(series_sent));
	tick_add(t, WRITE_FALSE, url, lost_series(q) - lost_series(&n->figures.queue));
	tick_add(t, WRITE_SUCCESSES, url, SINCE(successes));
	tick_add(t, WRITE_FAILURES, url, SINCE(failures));
	tick_add(t, WRITE_RETRIES, url, SINCE(retries));
	tick_took(t, WRITE_SECONDS, url, &now->took, &before->took);
}

static void sum_up(struct destination_sum *sum, const struct node *n, const struct queue_stats *q,
		   const struct sender_stats *now)
{
	const struct sender_stats *before = &n->figures.sender;

	sum->blocks += q->blocks;
	sum->enqueued += q->series[QUEUE_ENQUEUED] - n->figures.queue.series[QUEUE_ENQUEUED];
	sum->lost += lost_series(q) - lost_series(&n->figures.queue);
	sum->errors[0] += SINCE(errors_timeout);
	sum->errors[1] += SINCE(errors_connection);
	sum->errors[2] += SINCE(errors_breaker);
	sum->errors[3] += SINCE(errors_unknown);
	if (now->breaker == BREAKER_OPEN ||
	    (now->breaker == BREAKER_HALF_OPEN && sum->worst == BREAKER_CLOSED))
		sum->worst = now->breaker;
}

static void tick_node(void *ctx, struct node *n)
{
	const struct tick *t = ctx;
	struct sender_stats s;
	struct queue_stats q;

	sender_stats(n->sender, &s);
	queue_stats(n->queue, &q);
	tick_queue(t, n, &q);
	tick_drops_of(t, n, &q);
	tick_sender(t, n, &s);
	tick_url(t, n, &s, &q);
	if (n->figures.in_use)
		sum_up(&t->sums[n->figures.destination], n, &q, &s);
	n->figures.closed = s.breaker == BREAKER_CLOSED;
	n->figures.sender = s;
	n->figures.queue = q;
}

/* --- all nodes --- */

static void forget_place(void *ctx, struct node *n)
{
	(void)ctx;
	n->figures.in_use = false;
	n->figures.route = NULL;
}

/* Without what may be secret: userinfo is refused by the configuration, tokens may stand behind the question mark. */
static void copy_url(char *ret, size_t size, const char *url)
{
	(void)snprintf(ret, size, "%.*s", (int)strcspn(url, "?#"), url);
}

static void place_nodes(const struct tick *t, size_t at)
{
	static const char *const protocols[] = { "auto", "rw1", "rw2", "vm" };
	const struct destination *d = &t->s->destinations[at];
	const struct node_config *c = d->node_configs;

	for (size_t i = 0; i < d->n_all; i++) {
		struct node *n = d->nodes[i];

		n->figures.in_use = true;
		n->figures.destination = at;
		n->figures.route = t->sums[at].route;
		copy_url(n->figures.url, sizeof(n->figures.url), c[i].url);
		tick_gauge(t, NODE_INFO,
			   L(n->destination, n->name, c[i].zone, n->figures.url,
			     protocols[c[i].send.protocol]),
			   1);
	}
}

void tick_nodes(const struct tick *t)
{
	for (size_t i = t->s->n_routes; i-- > 0;)
		t->sums[t->s->config->routes[i].destination_index].route =
			t->s->config->routes[i].name;
	nodes_for_each(t->g->nodes, forget_place, NULL);
	for (size_t i = 0; i < t->s->n_destinations; i++)
		place_nodes(t, i);
	nodes_for_each(t->g->nodes, tick_node, (void *)(uintptr_t)t);
}

void tick_routes_of_nodes(const struct tick *t, const struct route_rule_config *r)
{
	static const char *const errors[] = { "timeout", "connection", "circuit_breaker",
					      "unknown" };
	const struct destination *d = &t->s->destinations[r->destination_index];
	const struct destination_sum *sum = &t->sums[r->destination_index];
	bool first = streq(sum->route, r->name);

	tick_gauge(t, ROUTER_DEPTH, L(r->name), (double)sum->blocks);
	tick_gauge(t, ROUTER_BREAKER, L(r->name), sum->worst);
	tick_gauge(t, CLUSTER_BREAKER, L(r->name), sum->worst);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		tick_add(t, ROUTER_ERRORS, L(r->name, errors[i]), sum->errors[i]);
	tick_add(t, CLUSTER_SERIES, L(r->name), first ? sum->enqueued : 0);
	tick_add(t, CLUSTER_FALSE, L(r->name), first ? sum->lost : 0);
	tick_add(t, ROUTER_FALSE, L(r->name), first ? sum->lost : 0);
	for (size_t i = 0; i < d->n_all; i++)
		tick_gauge(t, ROUTER_HEALTH, L(r->name, d->nodes[i]->figures.url),
			   d->nodes[i]->figures.closed);
	if (d->n_nodes)
		tick_gauge(t, ROUTER_INFO, L(r->name, "remotewriter", d->nodes[0]->figures.url, ""),
			   1);
}

/* --- queues of nobody (GW-QU-8) --- */

struct known {
	char (*names)[132];
	const char **list;
	size_t n, room;
};

static void count_node(void *ctx, struct node *n)
{
	(void)n;
	++*(size_t *)ctx;
}

static void know_node(void *ctx, struct node *n)
{
	struct known *k = ctx;

	if (k->n == k->room)
		return;
	(void)snprintf(k->names[k->n], sizeof(k->names[0]), "%s/%s", n->destination, n->name);
	k->list[k->n] = k->names[k->n];
	k->n++;
}

struct hunt {
	struct figures *f;
	struct orphan *found;
	size_t n;
};

static bool was_known(const struct figures *f, const char *destination, const char *node)
{
	for (size_t i = 0; i < f->n_orphans; i++)
		if (streq(f->orphans[i].destination, destination) &&
		    streq(f->orphans[i].node, node))
			return true;
	return false;
}

static void on_orphan(void *ctx, const char *destination, const char *node, uint64_t bytes)
{
	struct hunt *h = ctx;
	struct orphan *o;

	if (h->n == ORPHANS_MAX || !bytes)
		return;
	if (!was_known(h->f, destination, node))
		log_warning("queue '%s/%s' belongs to no configured node and holds %llu bytes; "
			    "telamon route replay empties it",
			    destination, node, (unsigned long long)bytes);
	o = &h->found[h->n++];
	(void)snprintf(o->destination, sizeof(o->destination), "%s", destination);
	(void)snprintf(o->node, sizeof(o->node), "%s", node);
	o->bytes = bytes;
}

static void look_for_orphans(const struct tick *t)
{
	struct figures *f = t->g->figures;
	struct hunt h = { f, calloc(ORPHANS_MAX, sizeof(struct orphan)), 0 };
	struct known k = {};

	nodes_for_each(t->g->nodes, count_node, &k.room);
	k.names = calloc(k.room + 1, sizeof(*k.names));
	k.list = calloc(k.room + 1, sizeof(*k.list));
	if (h.found && k.names && k.list) {
		nodes_for_each(t->g->nodes, know_node, &k);
		(void)queue_orphans(t->g->o.storage_path, k.list, k.n, on_orphan, &h);
		free(f->orphans);
		f->orphans = TAKE_PTR(h.found);
		f->n_orphans = h.n;
	}
	free(h.found);
	free(k.names);
	free(k.list);
}

void tick_orphans(const struct tick *t)
{
	struct figures *f = t->g->figures;

	if (!f->orphans_us || t->now - f->orphans_us >= ORPHANS_EVERY_US) {
		f->orphans_us = t->now;
		look_for_orphans(t);
	}
	for (size_t i = 0; i < f->n_orphans; i++)
		tick_gauge(t, QUEUE_ORPHAN, L(f->orphans[i].destination, f->orphans[i].node),
			   (double)f->orphans[i].bytes);
}
