/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway answers beside remote write: health, metrics, reload, status. */
#define LOG_MODULE "web"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/macro.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "base/time.h"
#include "route/explain.h"
#include "route/internal.h"
#include "route/relabel/selector.h"

#define STUCK_US (10 * US_PER_SEC)

static bool all_turn(const struct gateway *g)
{
	uint64_t now = time_mono_us();

	for (unsigned i = 0; i < g->n_workers; i++)
		if (now > g->workers[i].turned_us + STUCK_US)
			return false;
	return true;
}

static void healthy(struct http_request *q, void *ctx)
{
	bool ok = all_turn(ctx);

	http_reply_text(q, ok ? 200 : 503, "%s\n", ok ? "ok" : "a worker is stuck");
}

/* As the original answered. */
static void health(struct http_request *q, void *ctx)
{
	static const char ok[] = "{\"code\":2000,\"msg\":\"ok\",\"data\":null}";
	static const char bad[] = "{\"code\":5000,\"msg\":\"a worker is stuck\",\"data\":null}";
	bool fine = all_turn(ctx);

	http_reply(q, fine ? 200 : 503, "application/json", fine ? ok : bad,
		   strlen(fine ? ok : bad));
}

static void ready(struct http_request *q, void *ctx)
{
	const struct gateway *g = ctx;
	bool ok = g->ready && !g->stopping;

	http_reply_text(q, ok ? 200 : 503, "%s\n", ok ? "ready" : "starting or stopping");
}

static void metrics(struct http_request *q, void *ctx)
{
	const struct gateway *g = ctx;
	enum metrics_format format = metrics_negotiate(http_header(q, "Accept"));
	struct strbuf text = STRBUF_INIT;

	metrics_write(g->metrics, format, &text);
	http_reply_strbuf(q, 200, metrics_content_type[format], &text);
	strbuf_done(&text);
}

static void reload(struct http_request *q, void *ctx)
{
	struct gateway *g = ctx;
	struct strbuf text = STRBUF_INIT;

	if (!g->o.lifecycle)
		http_reply_text(q, 403, "reload by HTTP needs --web.enable-lifecycle\n");
	else if (gateway_reload(g, &text) < 0)
		http_reply_strbuf(q, 500, "text/plain; charset=utf-8", &text);
	else
		http_reply_text(q, 200, "reloaded\n");
	strbuf_done(&text);
}

static void status_config(struct http_request *q, void *ctx)
{
	struct gateway *g = ctx;
	struct snapshot *s = gateway_take_snapshot(g);
	struct strbuf text = STRBUF_INIT;

	config_write_yaml(s->config->config, &text);
	gateway_put_snapshot(g, s);
	http_reply_strbuf(q, 200, "application/yaml", &text);
	strbuf_done(&text);
}

static void add_json(struct strbuf *b, const char *text)
{
	strbuf_addch(b, '"');
	(void)text_add_json(b, text, strlen(text));
	strbuf_addch(b, '"');
}

static void write_load(const struct task_load *t, uint32_t tasks, struct strbuf *b)
{
	uint64_t us;
	const uint32_t *samples = task_load_samples(t, &us);
	uint32_t hottest = 0;

	strbuf_addf(b, ",\"samples_seconds\":%.3f,\"samples_per_task\":[", (double)us / 1e6);
	for (uint32_t i = 0; i < tasks; i++) {
		strbuf_addf(b, "%s%u", i ? "," : "", samples[i]);
		if (samples[i] > samples[hottest])
			hottest = i;
	}
	strbuf_addf(b, "],\"hottest\":{\"task\":%u,\"samples\":%u,\"max_ratio\":%.3f}", hottest,
		    samples[hottest], task_load_ratio(t));
}

static void add_tasks(struct strbuf *b, const struct shard_table *t)
{
	strbuf_addstr(b, "\"table\":[");
	for (size_t i = 0; i < (size_t)t->tasks * t->replicas; i++)
		strbuf_addf(b, "%s%d", i ? "," : "",
			    t->nodes[i] == SHARD_NO_NODE ? -1 : t->nodes[i]);
	strbuf_addch(b, ']');
}

static void add_moment(struct strbuf *b, const char *key, int64_t ms)
{
	strbuf_addf(b, "\"%s\":\"", key);
	time_add_rfc3339(b, (uint64_t)ms * NS_PER_MSEC, 3);
	strbuf_addstr(b, "\",");
}

/* Old tables of moves at a boundary (GW-SH-14); their indexes may be of nodes that left. */
static void write_moves(const struct destination *d, struct strbuf *b)
{
	strbuf_addstr(b, ",\"moves\":[");
	for (size_t i = 0; i < d->n_moves; i++) {
		const struct destination_move *m = &d->moves[i];

		strbuf_addstr(b, i ? ",{" : "{");
		add_moment(b, "samples_up_to", m->boundary_ms);
		add_moment(b, "dropped_at", m->until_ms);
		strbuf_addf(b, "\"tasks\":%u,\"replicas\":%u,\"hash\":\"%016llx\",",
			    m->table->tasks, m->table->replicas,
			    (unsigned long long)m->table->hash);
		add_tasks(b, m->table);
		strbuf_addch(b, '}');
	}
	strbuf_addstr(b, "],\"leaving\":[");
	for (size_t i = d->n_nodes; i < d->n_all; i++) {
		strbuf_addstr(b, i > d->n_nodes ? "," : "");
		add_json(b, d->node_configs[i].name);
	}
	strbuf_addch(b, ']');
}

static void write_table(const struct destination *d, const struct task_load *load, struct strbuf *b)
{
	strbuf_addstr(b, "{\"destination\":");
	add_json(b, d->config->name);
	strbuf_addf(b, ",\"tasks\":%u,\"nodes\":[", d->config->shard.tasks);
	for (size_t i = 0; i < d->n_all; i++) {
		strbuf_addstr(b, i ? "," : "");
		add_json(b, d->node_configs[i].name);
	}
	strbuf_addstr(b, "]");
	if (d->table) {
		strbuf_addf(b,
			    ",\"replicas\":%u,\"source\":\"%s\",\"hash\":\"%016llx\","
			    "\"over_cap\":%llu,",
			    d->replicas, *d->config->shard.table_file ? "pinned" : "computed",
			    (unsigned long long)d->table->hash,
			    (unsigned long long)d->table->over_cap);
		add_tasks(b, d->table);
		if (d->n_moves)
			write_moves(d, b);
	}
	if (load)
		write_load(load, d->config->shard.tasks, b);
	strbuf_addstr(b, "}\n");
}

static void status_table(struct http_request *q, void *ctx)
{
	static const char *const known[] = { "destination", NULL };
	struct gateway *g = ctx;
	const char *name = http_query(q, "destination");
	const char *unknown = http_query_unknown(q, known);
	struct strbuf text = STRBUF_INIT;
	struct snapshot *s;

	if (unknown || !name) {
		http_reply_text(q, 400, "destination=NAME is the one parameter\n");
		return;
	}
	pthread_mutex_lock(&g->reload_lock);
	s = gateway_take_snapshot(g);
	for (size_t i = 0; i < s->n_destinations; i++)
		if (streq(s->destinations[i].config->name, name))
			write_table(&s->destinations[i], gateway_task_load(g, &s->destinations[i]),
				    &text);
	gateway_put_snapshot(g, s);
	pthread_mutex_unlock(&g->reload_lock);
	if (text.len)
		http_reply_strbuf(q, 200, "application/json", &text);
	else
		http_reply_text(q, 404, "there is no such destination\n");
	strbuf_done(&text);
}

/* --- the way of one series --- */

/* ?series=… or {"series": "…"}; points into the request or @ret_json. NULL: neither. */
static const char *asked_series(struct http_request *q, json_t **ret_json)
{
	const char *series = http_query(q, "series");
	const void *body;
	size_t len;

	*ret_json = NULL;
	if (!streq(http_method(q), "POST"))
		return series;
	body = http_body(q, &len);
	*ret_json = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
	return json_string_value(json_object_get(*ret_json, "series"));
}

static char *explain_text_of(struct gateway *g, const char *series, struct arena *arena, char *why,
			     size_t why_size)
{
	struct snapshot *s;
	const struct rw_label *labels;
	size_t n;
	json_t *result;
	char *text = NULL;

	if (series_parse(series, arena, why, why_size, &labels, &n) < 0)
		return NULL;
	s = gateway_take_snapshot(g);
	result = explain_run(s, labels, n);
	gateway_put_snapshot(g, s);
	if (result)
		text = json_dumps(result, JSON_COMPACT);
	json_decref(result);
	return text;
}

static void explain(struct http_request *q, void *ctx)
{
	static const char *const known[] = { "series", NULL };
	_cleanup_(arena_freep) struct arena *arena = NULL;
	json_t *json = NULL;
	const char *series = http_query_unknown(q, known) ? NULL : asked_series(q, &json);
	char why[256] = "", *text = NULL;

	if (series && arena_new(0, &arena) >= 0)
		text = explain_text_of(ctx, series, arena, why, sizeof(why));
	if (text)
		http_reply(q, 200, "application/json", text, strlen(text));
	else if (!series)
		http_reply_text(q, 400,
				"one series is asked for: ?series=… or {\"series\": \"…\"}\n");
	else if (*why)
		http_reply_text(q, 400, "%s\n", why);
	else
		http_reply_text(q, 503, "out of memory\n");
	free(text);
	json_decref(json);
}

/* --- tables --- */

const struct http_route *route_web(struct gateway *g, bool with_admin, bool with_write)
{
	const struct http_route common[] = {
		{ "GET HEAD", "/-/healthy", HTTP_PUBLIC, healthy, g },
		{ "GET HEAD", "/-/health", HTTP_PUBLIC, health, g },
		{ "GET HEAD", "/-/ready", HTTP_PUBLIC, ready, g },
	};
	const struct http_route write[] = {
		{ "GET HEAD POST PUT DELETE PATCH OPTIONS", "/api/v1/write", HTTP_PUBLIC, NULL, g,
		  &route_upload, gateway_bearer },
		{ "GET HEAD POST PUT DELETE PATCH OPTIONS", "/api/v1/receive", HTTP_PUBLIC, NULL, g,
		  &route_upload, gateway_bearer },
	};
	const struct http_route admin[] = {
		{ "GET HEAD", g->o.telemetry_path, HTTP_PUBLIC, metrics, g },
		{ "POST PUT", "/-/reload", HTTP_PUBLIC, reload, g },
		{ "GET HEAD", "/stats", HTTP_PUBLIC, route_stats, g },
		{ "GET POST", "/api/v1/explain", HTTP_PUBLIC, explain, g },
		{ "GET HEAD", "/api/v1/status/config", HTTP_PUBLIC, status_config, g },
		{ "GET HEAD", "/api/v1/status/table", HTTP_PUBLIC, status_table, g },
	};
	static struct http_route
		tables[4][ARRAY_SIZE(common) + ARRAY_SIZE(write) + ARRAY_SIZE(admin) + 1];
	struct http_route *t = tables[with_admin * 2 + with_write];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		t[n++] = common[i];
	for (size_t i = 0; with_write && i < ARRAY_SIZE(write); i++)
		t[n++] = write[i];
	for (size_t i = 0; with_admin && i < ARRAY_SIZE(admin); i++)
		t[n++] = admin[i];
	t[n] = (struct http_route){};
	return t;
}
