/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of explain.c in columns. The object may come from another gateway: whatever is missing in it is left out. */

#include <string.h>
#include "base/text.h"
#include "route/explain.h"

#define COLUMN_1 24
#define COLUMN_2 49
#define COLUMN_3 65

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void add(struct strbuf *b, const char *text)
{
	text_add_terminal(b, text, strlen(text));
}

/* Blanks up to @column of the line that began at @start, at least one. */
static void pad(struct strbuf *b, size_t start, size_t column)
{
	do
		strbuf_addch(b, ' ');
	while (b->len - start < column);
}

static void add_rules(struct strbuf *b, const json_t *rules, const char *prefix)
{
	size_t i;
	json_t *rule;

	json_array_foreach (rules, i, rule) {
		size_t start = b->len;

		strbuf_addf(b, "  %srule %lld ", prefix,
			    (long long)json_integer_value(json_object_get(rule, "rule")));
		add(b, text_of(rule, "action"));
		pad(b, start, COLUMN_1);
		add(b, text_of(rule, "text"));
		pad(b, start, COLUMN_2);
		add(b, text_of(rule, "path"));
		pad(b, start, COLUMN_3);
		strbuf_addstr(b, json_is_true(json_object_get(rule, "matched")) ? "match\n"
										: "no match\n");
	}
}

static void add_nodes(struct strbuf *b, const json_t *d)
{
	const json_t *nodes = json_object_get(d, "nodes");
	const char *comma = "";
	size_t i;
	json_t *node;

	json_array_foreach (nodes, i, node) {
		strbuf_addstr(b, comma);
		add(b, text_of(node, "node"));
		comma = ", ";
	}
	if (!json_array_size(nodes))
		strbuf_addstr(b, "no node");
}

static void add_place(struct strbuf *b, const json_t *d)
{
	size_t start = b->len;

	if (*text_of(d, "family")) {
		strbuf_addstr(b, "  family ");
		add(b, text_of(d, "family"));
	} else {
		strbuf_addstr(b, "  key");
	}
	pad(b, start, COLUMN_1);
	strbuf_addstr(b, "h ");
	add(b, text_of(d, "hash"));
	pad(b, start, COLUMN_2);
	strbuf_addf(b, "task %lld -> ", (long long)json_integer_value(json_object_get(d, "task")));
	add_nodes(b, d);
	strbuf_addstr(b, " (");
	add(b, text_of(d, "table"));
	strbuf_addstr(b, streq(text_of(d, "table"), "places in the list") ? ")\n" : " table)\n");
}

/* Old tables, behind the place by the present one. */
static void add_moves(struct strbuf *b, const json_t *d)
{
	size_t i;
	json_t *move;

	json_array_foreach (json_object_get(d, "moves"), i, move) {
		size_t start = b->len;

		strbuf_addstr(b, "  samples up to ");
		add(b, text_of(move, "samples_up_to"));
		pad(b, start, COLUMN_2);
		strbuf_addf(b, "task %lld -> ",
			    (long long)json_integer_value(json_object_get(move, "task")));
		add_nodes(b, move);
		strbuf_addstr(b, " (old table, dropped at ");
		add(b, text_of(move, "dropped_at"));
		strbuf_addstr(b, ")\n");
	}
}

static void add_label(struct strbuf *b, const json_t *d)
{
	const json_t *label = json_object_get(d, "label");
	const json_t *node = json_array_get(json_object_get(d, "nodes"), 0);
	size_t start = b->len;

	if (label) {
		strbuf_addstr(b, "  label ");
		add(b, text_of(label, "name"));
		strbuf_addstr(b, "=\"");
		add(b, text_of(label, "value"));
		strbuf_addstr(b, "\" ");
		add(b, text_of(label, "action"));
	} else {
		strbuf_addstr(b, "  no label");
	}
	pad(b, start, COLUMN_2);
	strbuf_addf(b, "lane %lld", (long long)json_integer_value(json_object_get(d, "lane")));
	if (node) {
		strbuf_addstr(b, ", protocol ");
		add(b, text_of(node, "protocol"));
	}
	strbuf_addch(b, '\n');
}

static void add_destination(struct strbuf *b, const json_t *d)
{
	size_t start = b->len;
	const char *rules = text_of(d, "from_rules");

	strbuf_addstr(b, "  destination ");
	add(b, text_of(d, "name"));
	pad(b, start, COLUMN_1);
	strbuf_addstr(b, "key ");
	add(b, text_of(d, "key"));
	if (json_object_get(d, "from_rules")) {
		pad(b, start, COLUMN_2);
		strbuf_addstr(b, *rules ? "from rules " : "no rule matches");
		add(b, rules);
	}
	strbuf_addch(b, '\n');
	add_place(b, d);
	add_moves(b, d);
	add_label(b, d);
	if (*text_of(d, "series")) {
		strbuf_addstr(b, "  leaves as ");
		add(b, text_of(d, "series"));
		strbuf_addch(b, '\n');
	}
}

static void add_match(struct strbuf *b, const json_t *route)
{
	const json_t *list = json_object_get(route, "match");
	bool matched = json_is_true(json_object_get(route, "matched"));
	size_t i;
	json_t *selector;

	if (!list) {
		strbuf_addstr(b, "not asked");
		return;
	}
	if (!json_array_size(list)) {
		strbuf_addstr(b, "match: all");
		return;
	}
	strbuf_addstr(b, "match ");
	json_array_foreach (list, i, selector) {
		strbuf_addstr(b, i ? " or " : "");
		add(b, json_is_string(selector) ? json_string_value(selector) : "");
	}
	strbuf_addstr(b, matched ? ": yes" : ": no");
}

static void add_outcome(struct strbuf *b, const json_t *step)
{
	const char *result = text_of(step, "result");

	if (streq(result, "accepted") || streq(result, "unmatched") || !*result)
		return;
	strbuf_addstr(b, "  ");
	add(b, result);
	if (*text_of(step, "reason")) {
		strbuf_addstr(b, ": ");
		add(b, text_of(step, "reason"));
	}
	strbuf_addch(b, '\n');
}

static void add_route(struct strbuf *b, const json_t *route)
{
	const json_t *d = json_object_get(route, "destination");
	size_t start = b->len;

	strbuf_addstr(b, "route ");
	add(b, text_of(route, "route"));
	pad(b, start, COLUMN_1);
	add_match(b, route);
	if (json_is_true(json_object_get(route, "default")))
		strbuf_addstr(b, " (default route)");
	strbuf_addch(b, '\n');
	add_rules(b, json_object_get(route, "rules"), "");
	if (*text_of(route, "window")) {
		strbuf_addstr(b, "  window                ");
		add(b, text_of(route, "window"));
		strbuf_addch(b, '\n');
	}
	if (d)
		add_destination(b, d);
	add_outcome(b, route);
}

void explain_text(const json_t *result, struct strbuf *out)
{
	const json_t *global = json_object_get(result, "global");
	const char *outcome = text_of(result, "result");
	size_t i;
	json_t *route;

	strbuf_addstr(out, "series ");
	add(out, text_of(result, "series"));
	strbuf_addch(out, '\n');
	add_rules(out, json_object_get(global, "rules"), "global ");
	json_array_foreach (json_object_get(result, "routes"), i, route)
		add_route(out, route);
	if (streq(outcome, "no_route"))
		strbuf_addstr(out, "no route takes it: dropped\n");
	else
		add_outcome(out, result);
}
