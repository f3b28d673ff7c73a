/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explaining: the steps as one JSON object
 *
 * {"series", "global": {"rules", "result"}, "routes": [{"route", "match", "matched", "rules", "result", "reason", "destination": {…}}], "result"}.
 * A step that was not reached is not there.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "base/time.h"
#include "route/explain.h"
#include "route/wire/buf.h"

#define KEY_BYTES (1 << 20)
#define TASK_TEXT 16

struct explaining {
	const struct snapshot *s;
	struct relabel_context *global, *route, *keys;
	struct rw_label *labels; /* leaving ones, LABELS_MAX */
	uint8_t *scratch;
};
#define LABELS_MAX 1152

static const char *const result_names[] = { [RELABEL_UNCHANGED] = "unchanged",
					    [RELABEL_CHANGED] = "changed",
					    [RELABEL_DROP] = "relabel",
					    [RELABEL_DROP_EMPTY] = "empty_labels",
					    [RELABEL_DROP_LIMIT] = "regex_limit" };

/* name{label="value",…} */
static json_t *series_text(const struct rw_label *labels, size_t n)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	const struct rw_label *name = rw_find_label(labels, n, "__name__", 8);
	const char *comma = "";

	if (name)
		text_add_label(&b, name->value, name->value_len, name->value_len);
	strbuf_addch(&b, '{');
	for (size_t i = 0; i < n; i++) {
		if (&labels[i] == name)
			continue;
		strbuf_addstr(&b, comma);
		text_add_label(&b, labels[i].name, labels[i].name_len, labels[i].name_len);
		strbuf_addstr(&b, "=\"");
		text_add_label(&b, labels[i].value, labels[i].value_len, labels[i].value_len);
		strbuf_addch(&b, '"');
		comma = ",";
	}
	strbuf_addch(&b, '}');
	return json_stringn(strbuf_str(&b), b.len);
}

/* --- rules --- */

static void on_rule(void *ctx, size_t rule, const char *action, const char *text, const char *path,
		    bool matched, const struct rw_label *labels, size_t n)
{
	json_t *list = ctx, *step = json_object();

	(void)json_object_set_new(step, "rule", json_integer((json_int_t)rule));
	(void)json_object_set_new(step, "action", json_string(action ? action : ""));
	(void)json_object_set_new(step, "text", json_string(text ? text : ""));
	(void)json_object_set_new(step, "path", json_string(path ? path : ""));
	(void)json_object_set_new(step, "matched", json_boolean(matched));
	if (labels)
		(void)json_object_set_new(step, "series", series_text(labels, n));
	(void)json_array_append_new(list, step);
}

static enum relabel_result apply(const struct relabel *r, struct relabel_context *c, json_t *step,
				 const struct rw_label **labels, size_t *n)
{
	enum relabel_result result = RELABEL_UNCHANGED;
	const struct rw_label *before = *labels;
	json_t *list = json_array();
	size_t n_before = *n;

	if (r)
		result = relabel_explain(r, c, before, n_before, on_rule, list, labels, n);
	if (result != RELABEL_CHANGED) {
		*labels = before;
		*n = n_before;
	}
	(void)json_object_set_new(step, "rules", list);
	return result;
}

static bool kept(enum relabel_result r)
{
	return r == RELABEL_UNCHANGED || r == RELABEL_CHANGED;
}

/* --- destination --- */

static void explain_key(struct explaining *e, const struct destination *d, json_t *step,
			const struct rw_label *labels, size_t n)
{
	_cleanup_strbuf_ struct strbuf key = STRBUF_INIT, rules = STRBUF_INIT;
	const struct shard_config *c = &d->config->shard;
	bool by = c->key.by.n > 0;
	const struct config_strings *names = by ? &c->key.by : &c->key.without;

	if (!d->key) {
		(void)json_object_set_new(step, "key", json_string("all labels"));
		return;
	}
	if (d->config->rules) {
		shard_rules_explain(d->config->rules, e->keys, labels, n, &key, &rules);
		(void)json_object_set_new(step, "from_rules", json_string(strbuf_str(&rules)));
	} else {
		strbuf_addstr(&key, by ? "by(" : names->n ? "without(" : "all labels");
		for (size_t i = 0; i < names->n; i++)
			strbuf_addf(&key, "%s%s", i ? ", " : "", names->items[i]);
		strbuf_addstr(&key, names->n ? ")" : "");
	}
	(void)json_object_set_new(step, "key", json_string(strbuf_str(&key)));
}

static void explain_family(const struct destination *d, json_t *step, const struct rw_label *labels,
			   size_t n)
{
	const struct rw_label *name = rw_find_label(labels, n, "__name__", 8);

	if (d->key && d->config->shard.family && name)
		(void)json_object_set_new(
			step, "family",
			json_stringn(name->value, rw_family_len(name->value, name->value_len)));
}

static size_t insert(struct rw_label *labels, size_t n, const struct rw_label *l, bool replace)
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

static void explain_label(const struct destination *d, const struct placement *p, json_t *step,
			  const struct rw_label *labels, size_t n)
{
	static const char *const done[] = { "replaced", "kept", "rejected" };
	const struct shard_config *c = &d->config->shard;
	bool there = rw_find_label(labels, n, c->task_label.name, strlen(c->task_label.name));
	json_t *label = json_object();
	char text[TASK_TEXT];

	(void)snprintf(text, sizeof(text), "%u", p->task);
	(void)json_object_set_new(label, "name", json_string(c->task_label.name));
	(void)json_object_set_new(label, "value", json_string(text));
	(void)json_object_set_new(
		label, "action", json_string(there ? done[c->task_label.on_existing] : "inserted"));
	(void)json_object_set_new(step, "label", label);
}

/* The series as it leaves: with task and constant labels. */
static json_t *leaving(struct explaining *e, const struct destination *d, const struct placement *p,
		       bool with_task, const struct rw_label *labels, size_t n)
{
	const struct shard_config *c = &d->config->shard;
	char text[TASK_TEXT];
	int len = snprintf(text, sizeof(text), "%u", p->task);
	const struct rw_label task = { c->task_label.name, text,
				       (uint32_t)strlen(c->task_label.name), (uint32_t)len };

	n = MIN(n, (size_t)LABELS_MAX);
	memcpy(e->labels, labels, n * sizeof(*labels));
	if (with_task)
		n = insert(e->labels, n, &task, true);
	for (size_t i = 0; i < d->n_add_labels; i++)
		n = insert(e->labels, n, &d->add_labels[i], false);
	return series_text(e->labels, n);
}

static void add_node(json_t *list, const struct destination *d, uint16_t node)
{
	static const char *const protocols[] = { "auto", "rw1", "rw2", "vm" };
	const struct node_config *c = &d->node_configs[node];
	json_t *item = json_object();

	(void)json_object_set_new(item, "node", json_string(c->name));
	(void)json_object_set_new(item, "url", json_stringn(c->url, strcspn(c->url, "?#")));
	(void)json_object_set_new(item, "protocol", json_string(protocols[c->send.protocol]));
	(void)json_array_append_new(list, item);
}

static json_t *explain_nodes(const struct destination *d, const struct placement *p,
			     const struct rw_label *labels, size_t n)
{
	json_t *list = json_array();

	for (uint32_t rank = 0; rank < MAX(d->replicas, 1U); rank++) {
		uint16_t node = destination_node(d, p, rank, labels, n);

		if (node != SHARD_NO_NODE)
			add_node(list, d, node);
	}
	return list;
}

static void set_time(json_t *o, const char *key, int64_t ms)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	time_add_rfc3339(&text, (uint64_t)ms * NS_PER_MSEC, 3);
	(void)json_object_set_new(o, key, json_string(strbuf_str(&text)));
}

/* Where samples up to a boundary go by an old table (GW-SH-14). */
static json_t *explain_moves(struct explaining *e, const struct destination *d,
			     const struct placement *p, const struct rw_label *labels, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->n_moves; i++) {
		const struct destination_move *m = &d->moves[i];
		struct placement before = destination_place_before(
			m, p, e->keys, labels, n, (struct rw_span){}, e->scratch, KEY_BYTES);
		json_t *item = json_object(), *nodes = json_array();

		for (uint32_t rank = 0; rank < m->table->replicas; rank++) {
			uint16_t node =
				m->table->nodes[(size_t)rank * m->table->tasks + before.task];

			if (node != SHARD_NO_NODE)
				add_node(nodes, d, node);
		}
		set_time(item, "samples_up_to", m->boundary_ms);
		set_time(item, "dropped_at", m->until_ms);
		(void)json_object_set_new(item, "task", json_integer(before.task));
		(void)json_object_set_new(item, "nodes", nodes);
		(void)json_array_append_new(list, item);
	}
	return list;
}

static json_t *explain_destination(struct explaining *e, const struct destination *d,
				   const struct rw_label *labels, size_t n, bool *ret_rejected)
{
	const struct shard_config *c = &d->config->shard;
	bool with_task = c->task_label.enabled && d->n_nodes > (d->config->compat ? 1U : 0U);
	struct placement p =
		destination_place(d, e->keys, labels, n, (struct rw_span){}, e->scratch, KEY_BYTES);
	json_t *step = json_object();
	char hash[20];

	(void)snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)p.hash);
	(void)json_object_set_new(step, "name", json_string(d->config->name));
	explain_key(e, d, step, labels, n);
	explain_family(d, step, labels, n);
	(void)json_object_set_new(step, "hash", json_string(hash));
	(void)json_object_set_new(step, "task", json_integer(p.task));
	(void)json_object_set_new(step, "lane", json_integer(p.lane));
	(void)json_object_set_new(step, "algorithm",
				  json_string(shard_algorithm_names[c->algorithm]));
	(void)json_object_set_new(step, "table",
				  json_string(!d->table	       ? "places in the list"
					      : *c->table_file ? "pinned"
							       : "computed"));
	if (with_task)
		explain_label(d, &p, step, labels, n);
	*ret_rejected = p.reject;
	if (!p.reject) {
		(void)json_object_set_new(step, "nodes", explain_nodes(d, &p, labels, n));
		if (d->n_moves)
			(void)json_object_set_new(step, "moves",
						  explain_moves(e, d, &p, labels, n));
		(void)json_object_set_new(step, "series", leaving(e, d, &p, with_task, labels, n));
	}
	return step;
}

/* --- routes --- */

static bool matches(struct explaining *e, const struct route_rule_config *r, json_t *step,
		    const struct rw_label *labels, size_t n)
{
	json_t *list = json_array();
	bool matched = !r->match.n;

	for (size_t i = 0; i < r->match.n; i++) {
		matched |= selector_match(r->selectors[i], e->route, labels, n);
		(void)json_array_append_new(list, json_string(r->match.items[i]));
	}
	(void)json_object_set_new(step, "match", list);
	(void)json_object_set_new(step, "matched", json_boolean(matched));
	return matched;
}

static void add_window(json_t *step, const struct window_config *w)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	if (!w->max_age && !w->max_ahead)
		return;
	strbuf_addstr(&b, "samples ");
	if (w->max_age) {
		strbuf_addstr(&b, "older than ");
		text_add_duration(&b, w->max_age);
	}
	if (w->max_ahead) {
		strbuf_addstr(&b, w->max_age ? " or ahead by more than " : "ahead by more than ");
		text_add_duration(&b, w->max_ahead);
	}
	if (w->action == WINDOW_ROUTE)
		strbuf_addf(&b, " go to route %s", w->route);
	else
		strbuf_addstr(&b, " are dropped");
	(void)json_object_set_new(step, "window", json_string(strbuf_str(&b)));
}

static void set_result(json_t *step, const char *result, const char *reason)
{
	(void)json_object_set_new(step, "result", json_string(result));
	if (reason)
		(void)json_object_set_new(step, "reason", json_string(reason));
}

/* True: the route takes the series. */
static bool explain_route(struct explaining *e, size_t at, json_t *step,
			  const struct rw_label *labels, size_t n)
{
	const struct route_rule_config *r = &e->s->config->routes[at];
	enum relabel_result result;
	bool rejected = false;

	if (!matches(e, r, step, labels, n)) {
		set_result(step, "unmatched", NULL);
		return false;
	}
	result = apply(r->relabel, e->route, step, &labels, &n);
	if (!kept(result)) {
		set_result(step, "dropped", result_names[result]);
		return false;
	}
	add_window(step, &r->time_window);
	(void)json_object_set_new(step, "destination",
				  explain_destination(e, &e->s->destinations[r->destination_index],
						      labels, n, &rejected));
	set_result(step, rejected ? "invalid" : "accepted", rejected ? "task_label" : NULL);
	return !rejected;
}

static json_t *add_route(const struct explaining *e, json_t *routes, size_t at)
{
	json_t *step = json_object();

	(void)json_object_set_new(step, "route", json_string(e->s->config->routes[at].name));
	(void)json_array_append_new(routes, step);
	return step;
}

static const char *explain_routes(struct explaining *e, json_t *routes,
				  const struct rw_label *labels, size_t n)
{
	const struct route_config *c = e->s->config;
	bool taken = false, stopped = false;
	json_t *step;

	for (size_t i = 0; i < c->n_routes; i++) {
		if ((int)i == c->default_route)
			continue;
		step = add_route(e, routes, i);
		if (stopped) {
			set_result(step, "skipped", NULL);
			continue;
		}
		if (!explain_route(e, i, step, labels, n))
			continue;
		taken = true;
		stopped = c->routing_mode == ROUTING_FIRST_MATCH || c->routes[i].stop;
	}
	if (!taken && c->default_route >= 0) {
		step = add_route(e, routes, (size_t)c->default_route);
		(void)json_object_set_new(step, "default", json_true());
		taken = explain_route(e, (size_t)c->default_route, step, labels, n);
	}
	return taken ? "accepted" : "no_route";
}

static void explain_all(struct explaining *e, json_t *ret, const struct rw_label *labels, size_t n)
{
	const struct route_config *c = e->s->config;
	json_t *global = json_object(), *routes;
	enum relabel_result result;

	(void)json_object_set_new(ret, "series", series_text(labels, n));
	if (c->receive->require_metric_name && !rw_find_label(labels, n, "__name__", 8)) {
		json_decref(global);
		set_result(ret, "invalid", "missing_metric_name");
		return;
	}
	(void)json_object_set_new(ret, "global", global);
	add_window(global, c->time_window);
	result = apply(c->relabel, e->global, global, &labels, &n);
	(void)json_object_set_new(global, "result", json_string(result_names[result]));
	if (!kept(result)) {
		set_result(ret, "dropped", result_names[result]);
		return;
	}
	routes = json_array();
	(void)json_object_set_new(ret, "routes", routes);
	set_result(ret, explain_routes(e, routes, labels, n), NULL);
}

json_t *explain_run(const struct snapshot *s, const struct rw_label *labels, size_t n)
{
	struct explaining e = { .s = s,
				.labels = calloc(LABELS_MAX + 1, sizeof(*e.labels)),
				.scratch = malloc(KEY_BYTES) };
	json_t *ret = NULL;

	if (e.labels && e.scratch && relabel_context_new(&e.global) >= 0 &&
	    relabel_context_new(&e.route) >= 0 && relabel_context_new(&e.keys) >= 0) {
		ret = json_object();
		explain_all(&e, ret, labels, n);
	}
	if (e.global)
		relabel_context_free(e.global);
	if (e.route)
		relabel_context_free(e.route);
	if (e.keys)
		relabel_context_free(e.keys);
	free(e.labels);
	free(e.scratch);
	return ret;
}
