/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a file to a configuration that can be built
 *
 * The reader checks each value; here is what needs more than one: names that must exist or be unique, keys that exclude each other,
 * what a destination inherits, what this version does not have. Rules and selectors are compiled here, so that each of their errors
 * has its place in the file, too.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/macro.h"
#include "route/config-check.h"

static const void *section(const struct route_config *c, const char *name)
{
	return config_section(c->config, name);
}

static int take_lists(struct checker *k)
{
	struct route_config *c = k->c;
	const struct root_config *root = k->root;

	c->destinations = (void *)(uintptr_t)root->destinations.items;
	c->n_destinations = root->destinations.n;
	c->routes = (void *)(uintptr_t)root->routes.items;
	c->n_routes = root->routes.n;
	if (!root->router_rules.n)
		return 0;
	c->compat = true;
	if (root->routes.n)
		config_complain(c->config, k->diags, &root->routes, "routes",
				"stands beside router_rules, of which it is the other form");
	return route_compat_convert(k);
}

/* The key is one thing: `by` of a destination does not go with `without` of the defaults. */
static void inherit_shard(const struct config *c, struct destination_config *d,
			  const struct shard_config *defaults)
{
	struct shard_config own = d->shard;
	bool own_key = config_given(c, &d->shard.key.by, NULL) ||
		       config_given(c, &d->shard.key.without, NULL) ||
		       config_given(c, &d->shard.key.aggregation.sets, NULL) ||
		       config_given(c, &d->shard.key.aggregation.rules_file, NULL);

	if (d->compat)
		return; /* hash_labels says it all */
	config_inherit(c, route_shard_rows, &d->shard, defaults);
	if (own_key)
		memcpy(&d->shard.key, &own.key, sizeof(own.key));
}

static void inherit(struct checker *k)
{
	const struct defaults_config *defaults = section(k->c, "defaults");
	struct config *c = k->c->config;

	for (size_t i = 0; i < k->c->n_destinations; i++) {
		struct destination_config *d = &k->c->destinations[i];
		struct node_config *nodes = (void *)(uintptr_t)d->nodes.items;

		inherit_shard(c, d, &defaults->shard);
		config_inherit(c, route_batch_rows, &d->batch, &defaults->batch);
		config_inherit(c, route_queue_rows, &d->queue, &defaults->queue);
		config_inherit(c, route_send_rows, &d->send, &defaults->send);
		for (size_t n = 0; n < d->nodes.n; n++)
			route_inherit_node(c, d, &nodes[n]);
	}
}

static void check_file(struct checker *k)
{
	const struct receive_config *r = k->c->receive;
	const struct routing_config *routing = section(k->c, "routing");

	if (r->max_inflight < r->max_decompressed)
		config_complain(k->c->config, k->diags, &r->max_inflight, "receive.max_inflight",
				"is below receive.max_decompressed");
	k->c->routing_mode = routing->mode;
	k->c->default_route = route_find_route(k, routing->default_route, &routing->default_route,
					       "routing.default_route");
	k->c->window_route = -1;
	route_check_window(k, k->c->time_window, "time_window", &k->c->window_route);
	if (!k->c->n_routes && !k->diags->total)
		config_complain(k->c->config, k->diags, NULL, "routes",
				"there is none, so every sample would be dropped");
}

static int finish(struct route_config *c, struct diags *diags)
{
	const struct root_config *root = section(c, "");
	struct checker k = { .c = c, .root = root, .diags = diags };
	int r;

	c->receive = section(c, "receive");
	c->limits = section(c, "limits");
	c->time_window = section(c, "time_window");
	c->metadata = section(c, "metadata");
	c->relabel_cache_bytes = *(const uint64_t *)section(c, "relabel_cache");
	c->legacy_names = root->name_validation;
	r = take_lists(&k);
	if (r < 0)
		return r;
	inherit(&k);
	r = route_check_destinations(&k);
	if (r >= 0)
		r = route_check_routes(&k);
	if (r < 0)
		return r;
	check_file(&k);
	return diags->total ? -EINVAL : 0;
}

static int load(struct config *config, struct diags *diags, struct route_config **ret)
{
	_cleanup_(route_config_freep) struct route_config *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		config_free(config);
		return -ENOMEM;
	}
	c->refs = 1;
	c->config = config;
	r = finish(c, diags);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

int route_config_load(const char *path, struct diags *diags, struct route_config **ret)
{
	struct config *config;
	int r = config_load(path, route_config_sections(), diags, &config);

	return r < 0 ? r : load(config, diags, ret);
}

int route_config_parse(const char *text, size_t len, const char *name, struct diags *diags,
		       struct route_config **ret)
{
	struct config *config;
	int r = config_parse(text, len, name, route_config_sections(), diags, &config);

	return r < 0 ? r : load(config, diags, ret);
}

struct route_config *route_config_ref(struct route_config *c)
{
	c->refs++;
	return c;
}

struct route_config *route_config_free(struct route_config *c)
{
	if (!c || --c->refs)
		return NULL;
	for (size_t i = 0; i < c->n_routes; i++) {
		struct route_rule_config *route = &c->routes[i];

		relabel_unref(route->relabel);
		for (size_t s = 0; route->selectors && s < route->match.n; s++)
			selector_free(route->selectors[s]);
	}
	for (size_t i = 0; i < c->n_destinations; i++)
		if (c->destinations[i].rules)
			shard_rules_free(c->destinations[i].rules);
	relabel_unref(c->relabel);
	config_free(c->config);
	free(c);
	return NULL;
}
