/* SPDX-License-Identifier: Apache-2.0 */
/* Routes: what they name exists, their selectors and rules compile. */

#include <errno.h>
#include <string.h>
#include <xxhash.h>
#include "base/arena.h"
#include "route/config-check.h"

#define KEY_MAX 160

static void complain(struct checker *k, const void *member, size_t route, const char *key,
		     const char *text)
{
	char full[KEY_MAX];

	(void)snprintf(full, sizeof(full), k->c->compat ? "router_rules[%zu].%s" : "routes[%zu].%s",
		       route, key);
	config_complain(k->c->config, k->diags, member, full, "%s", text);
}

int route_find_route(struct checker *k, const char *name, const void *member, const char *key)
{
	if (!*name)
		return -1;
	for (size_t i = 0; i < k->c->n_routes; i++)
		if (streq(k->c->routes[i].name, name))
			return (int)i;
	config_complain(k->c->config, k->diags, member, key, "there is no route '%s'", name);
	return -1;
}

void route_check_window(struct checker *k, const struct window_config *w, const char *key,
			int *ret_route)
{
	char full[KEY_MAX];

	(void)snprintf(full, sizeof(full), "%s.route", key);
	*ret_route = route_find_route(k, w->route, &w->route, full);
	if (w->action == WINDOW_ROUTE && !*w->route)
		config_complain(k->c->config, k->diags, &w->action, full,
				"is required by action: route");
	if (w->action == WINDOW_DROP && *w->route)
		config_complain(k->c->config, k->diags, &w->route, full,
				"goes with action: route only");
}

/* --- relabelling --- */

static void place(const struct config *c, const void *member, unsigned *line, unsigned *column)
{
	struct config_place at;

	if (!config_given(c, member, &at))
		return;
	*line = at.line;
	*column = at.column;
}

/* Text as written, NULL where the key is not there: an empty regular expression is not none. */
static const char *given(const struct config *c, const char *const *member)
{
	return config_given(c, member, NULL) ? *member : NULL;
}

struct relabel_source route_relabel_source(const struct config *c,
					   const struct relabel_rule_config *r)
{
	struct relabel_source s = {
		.source_labels = r->source_labels.items,
		.n_source_labels = r->source_labels.n,
		.source_labels_given = config_given(c, &r->source_labels, NULL),
		.separator = given(c, &r->separator),
		.regex = r->regex.n == 1 ? r->regex.items[0] : NULL,
		.regexes = r->regex.n > 1 ? r->regex.items : NULL,
		.n_regexes = r->regex.n > 1 ? r->regex.n : 0,
		.target_label = given(c, &r->target_label),
		.replacement = given(c, &r->replacement),
		.action = given(c, &r->action),
		.modulus_given = config_given(c, &r->modulus, NULL),
		.modulus = r->modulus,
		.conditions = r->condition.items,
		.n_conditions = r->condition.n,
		.match = given(c, &r->match),
		.graphite_labels = r->labels.items,
		.n_graphite_labels = r->labels.n,
	};
	const void *const members[] = { &r->source_labels, &r->separator,   &r->modulus,
					&r->target_label,  &r->replacement, &r->condition,
					&r->match };

	place(c, &r->regex, &s.regex_line, &s.regex_column);
	place(c, &r->action, &s.action_line, &s.action_column);
	s.line = s.action_line ? s.action_line : s.regex_line;
	s.column = s.action_line ? s.action_column : s.regex_column;
	for (size_t i = 0; !s.line && i < ARRAY_SIZE(members); i++)
		place(c, members[i], &s.line, &s.column);
	return s;
}

/* --- what decides, as one number --- */

static uint64_t mix(uint64_t h, const char *text)
{
	return text ? XXH3_64bits_withSeed(text, strlen(text) + 1, h)
		    : XXH3_64bits_withSeed("", 0, h);
}

static uint64_t mix_number(uint64_t h, uint64_t n)
{
	return XXH3_64bits_withSeed(&n, sizeof(n), h);
}

static uint64_t mix_list(uint64_t h, const struct config_strings *list)
{
	h = mix_number(h, list->n);
	for (size_t i = 0; i < list->n; i++)
		h = mix(h, list->items[i]);
	return h;
}

static uint64_t mix_rule(uint64_t h, const struct relabel_rule_config *r)
{
	const char *const texts[] = { r->separator, r->target_label, r->replacement, r->action,
				      r->match };

	h = mix_list(h, &r->source_labels);
	h = mix_list(h, &r->regex);
	h = mix_list(h, &r->condition);
	h = mix_number(h, r->modulus);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		h = mix(h, texts[i]);
	h = mix_number(h, r->labels.n);
	for (size_t i = 0; i < r->labels.n; i++)
		h = mix(mix(h, r->labels.items[i].key), r->labels.items[i].value);
	return h;
}

static uint64_t hash_decisions(const struct route_rule_config *route, int dialect, bool legacy)
{
	const struct relabel_rule_config *rules = route->relabel_configs.items;
	uint64_t h = mix_number(mix_number(0, (uint64_t)dialect), legacy);

	h = mix_list(h, &route->match);
	for (size_t i = 0; i < route->relabel_configs.n; i++)
		h = mix_rule(h, &rules[i]);
	return h;
}

static int compile(struct checker *k, const struct config_list *list, int dialect,
		   const char *where, struct relabel **ret)
{
	const struct relabel_rule_config *rules = list->items;
	struct relabel_source *sources;
	int r;

	*ret = NULL;
	if (!list->n)
		return 0;
	sources = arena_alloc(config_arena(k->c->config), list->n * sizeof(*sources));
	if (!sources)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++)
		sources[i] = route_relabel_source(k->c->config, &rules[i]);
	r = relabel_compile(sources, list->n, (enum relabel_dialect)dialect, k->c->legacy_names,
			    config_file(k->c->config), where, k->diags, ret);
	return r == -EINVAL ? 0 : r; /* told in diags */
}

static int compile_selectors(struct checker *k, struct route_rule_config *route, size_t at)
{
	struct selector **selectors =
		arena_alloc(config_arena(k->c->config), (route->match.n + 1) * sizeof(*selectors));

	if (!selectors)
		return -ENOMEM;
	route->selectors = selectors;
	for (size_t i = 0; i < route->match.n; i++) {
		char why[256] = "", key[32];
		int r = selector_parse(route->match.items[i], why, sizeof(why), &selectors[i]);

		if (r == -ENOMEM)
			return r;
		(void)snprintf(key, sizeof(key), "match[%zu]", i);
		if (r < 0)
			complain(k, &route->match, at, key, why);
	}
	return 0;
}

/* --- one route --- */

static void find_destination(struct checker *k, struct route_rule_config *route, size_t at)
{
	char why[128];

	for (size_t i = 0; i < k->c->n_destinations; i++)
		if (streq(k->c->destinations[i].name, route->destination)) {
			route->destination_index = i;
			return;
		}
	(void)snprintf(why, sizeof(why), "there is no destination '%s'", route->destination);
	complain(k, &route->destination, at, "destination", why);
}

static void check_input(struct checker *k, const struct route_rule_config *route, size_t at)
{
	if (streq(route->input, "any") || streq(route->input, "received"))
		return;
	if (streq(route->input, "aggregated") || strncmp(route->input, "aggregation:", 12) == 0)
		complain(k, &route->input, at, "input", "aggregation is not built in this version");
	else
		complain(k, &route->input, at, "input",
			 "is not one of any, received, aggregated, aggregation:RULE");
}

static int check_route(struct checker *k, size_t at)
{
	const struct compat_rule *rules = k->root->router_rules.items;
	struct route_rule_config *route = &k->c->routes[at];
	char where[KEY_MAX], why[128];
	int dialect = config_given(k->c->config, &route->relabel_dialect, NULL)
			      ? route->relabel_dialect
			      : k->root->relabel_dialect;
	int r;

	for (size_t i = 0; i < at; i++)
		if (streq(k->c->routes[i].name, route->name)) {
			(void)snprintf(why, sizeof(why), "another route is called '%s', too",
				       route->name);
			complain(k, k->c->compat ? &rules[at].name : &route->name, at,
				 k->c->compat ? "router_name" : "name", why);
			break;
		}
	find_destination(k, route, at);
	check_input(k, route, at);
	(void)snprintf(where, sizeof(where), "routes[%zu].time_window", at);
	route_check_window(k, &route->time_window, where, &route->window_route);
	route->decisions = hash_decisions(route, dialect, k->c->legacy_names);
	r = compile_selectors(k, route, at);
	(void)snprintf(where, sizeof(where),
		       k->c->compat ? "router_rules[%zu].metric_relabel_configs"
				    : "routes[%zu].relabel_configs",
		       at);
	if (r >= 0)
		r = compile(k, &route->relabel_configs, dialect, where, &route->relabel);
	return r;
}

int route_check_routes(struct checker *k)
{
	int r = compile(k, &k->root->relabel_configs, k->root->relabel_dialect, "relabel_configs",
			&k->c->relabel);

	for (size_t i = 0; r >= 0 && i < k->c->n_routes; i++) {
		config_inherit(k->c->config, route_window_rows, &k->c->routes[i].time_window,
			       k->c->time_window);
		r = check_route(k, i);
	}
	return r;
}
