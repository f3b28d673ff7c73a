/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /stats: routes as the original gateway told of them (GW-OB-5)
 *
 * Ours beside: what waits in the queues, and the same figures of each node.
 */

#include <string.h>
#include "base/macro.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "base/time.h"
#include "route/internal.h"

struct stats_sum { /* of a node, or over the nodes of a destination */
	uint64_t requests, successes, failures, answered, latency_us, waiting;
	int64_t last_request, last_success, last_failure, oldest_ms;
	enum breaker_state worst;
	char reason[64];
};

static void sum_node(struct stats_sum *sum, struct node *n)
{
	struct sender_stats s;
	struct queue_stats q;

	sender_stats(n->sender, &s);
	queue_stats(n->queue, &q);
	sum->requests += s.requests;
	sum->successes += s.successes;
	sum->failures += s.failures;
	for (size_t i = 0; i <= DURATION_BUCKETS; i++)
		sum->answered += s.took.n[i];
	sum->latency_us += s.took.sum_us;
	sum->waiting += q.waiting_samples;
	sum->last_request = MAX(sum->last_request, s.last_request_ms);
	sum->last_success = MAX(sum->last_success, s.last_success_ms);
	sum->last_failure = MAX(sum->last_failure, s.last_failure_ms);
	if (q.blocks && (!sum->oldest_ms || q.oldest_enqueued_ms < sum->oldest_ms))
		sum->oldest_ms = q.oldest_enqueued_ms;
	if (s.breaker == BREAKER_OPEN ||
	    (s.breaker == BREAKER_HALF_OPEN && sum->worst == BREAKER_CLOSED)) {
		sum->worst = s.breaker;
		(void)snprintf(sum->reason, sizeof(sum->reason), "%s", s.reason);
	}
}

/* --- JSON --- */

static void add_text(struct strbuf *b, const char *text)
{
	strbuf_addch(b, '"');
	(void)text_add_json(b, text, strlen(text));
	strbuf_addch(b, '"');
}

static void add_time(struct strbuf *b, const char *key, int64_t ms)
{
	strbuf_addf(b, ",\"%s\":\"", key);
	if (ms)
		time_add_rfc3339(b, (uint64_t)ms * NS_PER_MSEC, 3);
	strbuf_addch(b, '"');
}

static const char *state_of(const struct stats_sum *sum)
{
	static const char *const states[] = { "closed", "open", "half-open" };

	return states[sum->worst];
}

static void add_breaker(struct strbuf *b, const struct stats_sum *sum)
{
	uint64_t all = sum->failures + sum->successes;

	strbuf_addf(b,
		    ",\"circuit_breaker\":{\"state\":\"%s\",\"failures\":%llu,\"successes\":%llu",
		    state_of(sum), (unsigned long long)sum->failures,
		    (unsigned long long)sum->successes);
	add_time(b, "last_failure", sum->last_failure);
	strbuf_addf(b, ",\"failure_rate\":%.2f}", all ? (double)sum->failures / (double)all : 0.0);
}

/* The fields of a route or a node behind its name, to the end of the object but for the brace. */
static void add_sum(struct strbuf *b, const struct stats_sum *sum)
{
	int64_t now = (int64_t)(time_wall_ns() / NS_PER_MSEC);

	strbuf_addf(b,
		    ",\"state\":\"%s\",\"total_requests\":%llu,\"success_count\":%llu,"
		    "\"failure_count\":%llu",
		    state_of(sum), (unsigned long long)sum->requests,
		    (unsigned long long)sum->successes, (unsigned long long)sum->failures);
	add_time(b, "last_request_at", sum->last_request);
	add_time(b, "last_success_at", sum->last_success);
	add_time(b, "last_failure_at", sum->last_failure);
	strbuf_addf(b, ",\"avg_latency_ms\":%.2f",
		    sum->answered ? (double)sum->latency_us / 1e3 / (double)sum->answered : 0.0);
	add_breaker(b, sum);
	strbuf_addf(b, ",\"queue_samples\":%llu,\"queue_oldest_seconds\":%.3f",
		    (unsigned long long)sum->waiting,
		    sum->oldest_ms ? (double)(now - sum->oldest_ms) / 1e3 : 0.0);
}

static void add_node(struct strbuf *b, const struct node_config *c, struct node *n)
{
	struct stats_sum sum = {};
	char url[512];

	sum_node(&sum, n);
	add_text(b, n->name);
	strbuf_addstr(b, ":{\"url\":");
	(void)snprintf(url, sizeof(url), "%.*s", (int)strcspn(c->url, "?#"), c->url);
	add_text(b, url);
	add_sum(b, &sum);
	strbuf_addstr(b, ",\"reason\":");
	add_text(b, sum.reason);
	strbuf_addch(b, '}');
}

static void add_route(struct strbuf *b, const struct snapshot *s, size_t at)
{
	const struct route_rule_config *r = &s->config->routes[at];
	const struct destination *d = &s->destinations[r->destination_index];
	const struct node_config *c = d->node_configs;
	struct stats_sum sum = {};

	for (size_t i = 0; i < d->n_all; i++)
		sum_node(&sum, d->nodes[i]);
	add_text(b, r->name);
	strbuf_addstr(b, ":{\"name\":");
	add_text(b, r->name);
	add_sum(b, &sum);
	strbuf_addstr(b, ",\"nodes\":{");
	for (size_t i = 0; i < d->n_all; i++) {
		strbuf_addstr(b, i ? "," : "");
		add_node(b, &c[i], d->nodes[i]);
	}
	strbuf_addstr(b, "}}");
}

void route_stats(struct http_request *q, void *ctx)
{
	struct gateway *g = ctx;
	struct snapshot *s = gateway_take_snapshot(g);
	struct strbuf text = STRBUF_INIT;

	strbuf_addstr(&text, "{\"code\":2000,\"msg\":\"ok\",\"data\":{");
	for (size_t i = 0; i < s->n_routes; i++) {
		strbuf_addstr(&text, i ? "," : "");
		add_route(&text, s, i);
	}
	strbuf_addstr(&text, "}}\n");
	gateway_put_snapshot(g, s);
	http_reply_strbuf(q, 200, "application/json", &text);
	strbuf_done(&text);
}
