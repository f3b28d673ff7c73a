/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The original gateway's form: each router_rule is a route and a destination of the same name
 *
 * Nodes have no names there: their place in the list is the hash index, so the order is kept, and the name comes out of the URL.
 */

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include "base/arena.h"
#include "base/parse.h"
#include "route/config-check.h"
#include "route/shard/shard.h"

#define TASK_LABEL "stream_task_id"
#define USUAL_PATH "/api/v1/write"

static void complain(struct checker *k, const void *member, size_t at, const char *key,
		     const char *text)
{
	char full[128];

	(void)snprintf(full, sizeof(full), "router_rules[%zu].%s", at, key);
	config_complain(k->c->config, k->diags, member, full, "%s", text);
}

/* "host_port", with the path unless it is the usual one; anything else becomes '_'. Cut to 64 bytes, as names are. */
static int node_name(struct arena *arena, const char *url, const char **ret)
{
	CURLU *u = curl_url();
	char *host = NULL, *port = NULL, *path = NULL;
	char name[65] = "";
	int r = -EINVAL;

	if (!u)
		return -ENOMEM;
	if (curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK) {
		(void)snprintf(name, sizeof(name), "%s_%s%s", host, port,
			       streq(path, USUAL_PATH) ? "" : path);
		for (char *p = name; *p; p++)
			if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-",
				    *p))
				*p = '_';
		*ret = arena_strdup(arena, name);
		r = *ret ? 0 : -ENOMEM;
	}
	curl_free(host);
	curl_free(port);
	curl_free(path);
	curl_url_cleanup(u);
	return r;
}

static int add_nodes(struct checker *k, const struct compat_rule *rule, size_t at,
		     const struct node_config *blank, struct destination_config *d)
{
	struct arena *arena = config_arena(k->c->config);
	struct node_config *nodes =
		arena_alloc(arena, (rule->upstreams.urls.n + 1) * sizeof(*nodes));

	if (!nodes)
		return -ENOMEM;
	d->nodes = (struct config_list){ nodes, rule->upstreams.urls.n };
	if (!rule->upstreams.urls.n)
		complain(k, &rule->name, at, "upstreams.upstream_urls", "there is none");
	for (size_t i = 0; i < rule->upstreams.urls.n; i++) {
		int r;

		nodes[i] = *blank;
		nodes[i].url = rule->upstreams.urls.items[i];
		nodes[i].name = "";
		r = node_name(arena, nodes[i].url, &nodes[i].name);
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}

static int check_upstream(struct checker *k, const struct compat_rule *rule, size_t at)
{
	if (streq(rule->upstreams.type, "remotewriter") && !rule->upstreams.kafka)
		return 0;
	if (rule->upstreams.kafka || streq(rule->upstreams.type, "kafka"))
		complain(k, &rule->upstreams.type, at, "upstreams.upstream_type",
			 "kafka is not built in this version");
	else
		complain(k, &rule->upstreams.type, at, "upstreams.upstream_type",
			 "is neither remotewriter nor kafka");
	return -EINVAL;
}

static void set_shard(struct checker *k, const struct compat_rule *rule, size_t at,
		      struct destination_config *d)
{
	uint32_t tasks = 0;
	char key[64];

	(void)parse_u32(rule->hash.mode, &tasks);
	d->compat = true;
	d->compat_labels = rule->hash.labels;
	d->shard.algorithm = rule->hash.algorithm;
	d->shard.tasks = MAX(tasks, 1U);
	d->shard.task_label.enabled = rule->upstreams.urls.n > 1;
	d->shard.task_label.name = TASK_LABEL;
	if (rule->upstreams.urls.n < 2 || config_given(k->c->config, &rule->hash.algorithm, NULL))
		return;
	(void)snprintf(key, sizeof(key), "router_rules[%zu].hash_labels.algorithm", at);
	config_complain(
		k->c->config, &k->c->warnings, &rule->hash.mode, key,
		"is not given, so it is jump; releases of the original up to 0.1.2 used hashmod");
}

/* Defaults of destinations, nodes and routes, as the reader would have set them. */
struct blanks {
	struct destination_config destination;
	struct node_config node;
	struct route_rule_config route;
};

static int convert(struct checker *k, const struct compat_rule *rule, size_t at,
		   const struct blanks *b)
{
	struct destination_config *d = &k->c->destinations[at];
	struct route_rule_config *route = &k->c->routes[at];

	*d = b->destination;
	*route = b->route;
	d->name = route->name = route->destination = rule->name;
	route->relabel_configs = rule->relabel_configs;
	set_shard(k, rule, at, d);
	if (check_upstream(k, rule, at) < 0)
		return 0;
	return add_nodes(k, rule, at, &b->node, d);
}

int route_compat_convert(struct checker *k)
{
	struct arena *arena = config_arena(k->c->config);
	const struct compat_rule *rules = k->root->router_rules.items;
	size_t n = k->root->router_rules.n;
	struct blanks b;
	int r = route_blank(arena, &b.destination, &b.node, &b.route);

	k->c->destinations = arena_alloc(arena, n * sizeof(*k->c->destinations));
	k->c->routes = arena_alloc(arena, n * sizeof(*k->c->routes));
	if (!k->c->destinations || !k->c->routes)
		return -ENOMEM;
	k->c->n_destinations = k->c->n_routes = n;
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = convert(k, &rules[i], i, &b);
	return r;
}
