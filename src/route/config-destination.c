/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations and their nodes: what a node inherits, what fits together, what this version does not have. */

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include "base/time.h"
#include "route/config-check.h"
#include "route/queue/queue.h"
#include "route/rules-file.h"
#include "route/shard/shard.h"

#define KEY_MAX 200

/* The place of the errors at hand: "destinations[1].nodes[0]". */
struct where {
	struct checker *k;
	const struct destination_config *d;
	char path[KEY_MAX];
};

/* Where the value came from: a destination's keys may be those of the defaults, a node's those of its destination. */
static const void *written(const struct checker *k, const struct destination_config *d,
			   const void *member)
{
	const struct defaults_config *defaults = config_section(k->c->config, "defaults");
	const struct {
		const void *own, *from;
		size_t size;
	} blocks[] = { { &d->shard, &defaults->shard, sizeof(d->shard) },
		       { &d->batch, &defaults->batch, sizeof(d->batch) },
		       { &d->queue, &defaults->queue, sizeof(d->queue) },
		       { &d->send, &defaults->send, sizeof(d->send) } };
	const struct compat_rule *rules = k->root->router_rules.items;
	const char *at = member;

	if (!member || config_given(k->c->config, member, NULL))
		return member;
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		if (at >= (const char *)blocks[i].own &&
		    at < (const char *)blocks[i].own + blocks[i].size)
			return (const char *)blocks[i].from + (at - (const char *)blocks[i].own);
	/* The original's form: nodes are made out of the list of URLs. */
	return d->compat ? &rules[d - k->c->destinations].upstreams.urls : member;
}

PRINTF_LIKE(4, 5)
static void complain(const struct where *w, const void *member, const char *key, const char *fmt,
		     ...)
{
	char full[2 * KEY_MAX], text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(full, sizeof(full), "%s%s%s", w->path, *key ? "." : "", key);
	config_complain(w->k->c->config, w->k->diags, written(w->k, w->d, member), full, "%s",
			text);
}

PRINTF_LIKE(4, 5)
static void warn(const struct where *w, const void *member, const char *key, const char *fmt, ...)
{
	char full[2 * KEY_MAX], text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(full, sizeof(full), "%s.%s", w->path, key);
	config_complain(w->k->c->config, &w->k->c->warnings, written(w->k, w->d, member), full,
			"%s", text);
}

static bool given(const struct where *w, const void *member)
{
	return config_given(w->k->c->config, member, NULL);
}

/* --- what a node inherits --- */

static bool any_given(const struct config *c, const void *const *members, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (config_given(c, members[i], NULL))
			return true;
	return false;
}

void route_inherit_node(const struct config *c, const struct destination_config *d,
			struct node_config *n)
{
	const struct tls_client_config *t = &n->tls_config;
	const void *const tls[] = { &t->ca_file,
				    &t->cert_file,
				    &t->key_file,
				    &t->server_name,
				    &t->insecure_skip_verify,
				    &t->min_version };
	const void *const access[] = {
		&n->basic_auth.username,       &n->basic_auth.password,
		&n->basic_auth.password_file,  &n->authorization.type,
		&n->authorization.credentials, &n->authorization.credentials_file
	};
	const void *const tenant[] = { &n->tenant.header, &n->tenant.value,
				       &n->tenant.from_request };

	config_inherit(c, route_queue_rows, &n->queue, &d->queue);
	config_inherit(c, route_send_rows, &n->send, &d->send);
	/* These are one thing each: a user of the node does not go with the password of the destination. */
	if (!any_given(c, tls, ARRAY_SIZE(tls)))
		n->tls_config = d->tls_config;
	if (!any_given(c, access, ARRAY_SIZE(access))) {
		n->basic_auth = d->basic_auth;
		n->authorization = d->authorization;
	}
	if (!any_given(c, tenant, ARRAY_SIZE(tenant)))
		n->tenant = d->tenant;
	if (!n->headers.n)
		n->headers = d->headers;
}

/* --- nodes --- */

static bool has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool there = curl_url_get(u, part, &text, 0) == CURLUE_OK && text && *text;

	curl_free(text);
	return there;
}

static void check_url(const struct where *w, const struct node_config *n)
{
	CURLU *u = curl_url();

	if (!u)
		return;
	if (strncasecmp(n->url, "http://", 7) != 0 && strncasecmp(n->url, "https://", 8) != 0)
		complain(w, &n->url, "url", "does not begin with http:// or https://");
	else if (curl_url_set(u, CURLUPART_URL, n->url, 0) != CURLUE_OK)
		complain(w, &n->url, "url", "is not a URL");
	else if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
		complain(w, &n->url, "url", "holds a user: write basic_auth");
	curl_url_cleanup(u);
}

static const char *const own_headers[] = { "Content-Encoding",
					   "Content-Type",
					   "Content-Length",
					   "Host",
					   "User-Agent",
					   "X-Prometheus-Remote-Write-Version",
					   "X-VictoriaMetrics-Remote-Write-Version",
					   "Retry-Attempt",
					   "X-Telamon-Block",
					   "X-Telamon-Hops" };

static void check_headers(const struct where *w, const struct config_pairs *headers)
{
	for (size_t i = 0; i < headers->n; i++) {
		const struct config_pair *h = &headers->items[i];

		if (strpbrk(h->key, " \t\r\n:") || strpbrk(h->value, "\r\n") || !*h->key)
			complain(w, NULL, "headers", "'%s' (line %u) is not a header", h->key,
				 h->line);
		for (size_t k = 0; k < ARRAY_SIZE(own_headers); k++)
			if (strcasecmp(h->key, own_headers[k]) == 0)
				complain(w, NULL, "headers",
					 "'%s' (line %u) is set by the gateway itself", h->key,
					 h->line);
	}
}

static void check_access(const struct where *w, const struct basic_auth_config *b,
			 const struct authorization_config *a, const struct tls_client_config *t)
{
	bool basic = *b->username || *b->password || *b->password_file;
	bool token = *a->credentials || *a->credentials_file;

	if (basic && token)
		complain(w, &a->credentials, "authorization", "stands beside basic_auth");
	if (*b->password && *b->password_file)
		complain(w, &b->password, "basic_auth.password", "stands beside password_file");
	if (*a->credentials && *a->credentials_file)
		complain(w, &a->credentials, "authorization.credentials",
			 "stands beside credentials_file");
	if (!*t->cert_file != !*t->key_file)
		complain(w, *t->cert_file ? &t->cert_file : &t->key_file, "tls_config",
			 "cert_file and key_file go together");
	if (given(w, &b->password))
		warn(w, &b->password, "basic_auth.password",
		     "stands in the file: password_file is safer");
	if (given(w, &a->credentials))
		warn(w, &a->credentials, "authorization.credentials",
		     "stands in the file: credentials_file is safer");
}

static void check_queue(const struct where *w, const struct queue_config *q)
{
	if (q->disk && q->disk < q->segment)
		complain(w, &q->disk, "queue.disk", "is below queue.segment");
	if (!q->disk && q->ack && given(w, written(w->k, w->d, &q->ack)))
		warn(w, &q->ack, "queue.ack", "without disk it is memory");
}

static void check_send(const struct where *w, const struct send_config *s)
{
	if (s->retry.min > s->retry.max)
		complain(w, &s->retry.min, "send.retry.min", "is above max");
}

/* Has the node more than what it got from its destination, where that was checked? */
#define DIFFERS(n, d, member) (memcmp(&(n)->member, &(d)->member, sizeof((n)->member)) != 0)

static void check_node(struct checker *k, const struct destination_config *d, size_t at,
		       const char *path)
{
	const struct node_config *nodes = d->nodes.items, *n = &nodes[at];
	struct where w = { k, d, "" };

	(void)snprintf(w.path, sizeof(w.path), "%s.nodes[%zu]", path, at);
	for (size_t i = 0; i < at; i++)
		if (streq(nodes[i].name, n->name)) {
			complain(&w, &n->name, "name", "another node is called '%s', too", n->name);
			break;
		}
	check_url(&w, n);
	if (DIFFERS(n, d, headers))
		check_headers(&w, &n->headers);
	if (DIFFERS(n, d, basic_auth) || DIFFERS(n, d, authorization) || DIFFERS(n, d, tls_config))
		check_access(&w, &n->basic_auth, &n->authorization, &n->tls_config);
	if (DIFFERS(n, d, queue))
		check_queue(&w, &n->queue);
	if (DIFFERS(n, d, send))
		check_send(&w, &n->send);
}

/* --- sharding --- */

static void check_key(const struct where *w, const struct shard_config *s)
{
	unsigned forms = given(w, &s->key.by) + given(w, &s->key.without) +
			 (s->key.aggregation.sets.n > 0) + (*s->key.aggregation.rules_file != '\0');

	if (forms > 1)
		complain(w, &s->key.by, "shard.key", "exactly one of by, without and aggregation");
	if (s->key.aggregation.sets.n)
		complain(w, &s->key.aggregation.sets, "shard.key.aggregation.sets",
			 "aggregation is not built in this version");
	if (*s->key.aggregation.rules_file && w->d->queue.drain == QUEUE_FRESH_FIRST)
		complain(w, &w->d->queue.drain, "queue.drain",
			 "fresh_first breaks the order that key.aggregation needs");
	if (s->algorithm != SHARD_NATIVE && !w->d->compat &&
	    (given(w, &s->key.without) || *s->key.aggregation.rules_file || s->replicas > 1))
		complain(w, &s->algorithm, "shard.algorithm",
			 "%s has neither without, aggregation nor replicas",
			 shard_algorithm_names[s->algorithm]);
}

static void check_shard(const struct where *w, const struct shard_config *s)
{
	const struct node_config *nodes = w->d->nodes.items;
	uint64_t weights = 0;
	size_t live = 0;

	for (size_t i = 0; i < w->d->nodes.n; i++) {
		weights += nodes[i].weight;
		live += nodes[i].weight > 0;
	}
	check_key(w, s);
	if (w->d->nodes.n && !live)
		complain(w, &w->d->nodes, "nodes", "none has a weight above 0");
	else if (live && s->replicas > live)
		complain(w, &s->replicas, "shard.replicas",
			 "is %u, but only %zu nodes have a weight above 0", s->replicas, live);
	if (s->algorithm == SHARD_NATIVE && weights * s->tasks > 1ULL << 28)
		complain(w, &s->tasks, "shard.tasks", "times the sum of weights is above 2^28");
	if (live > 1 && s->algorithm == SHARD_NATIVE && s->tasks < 50 * live)
		warn(w, &s->tasks, "shard.tasks",
		     "%u tasks over %zu nodes spread unevenly: %zu would do", s->tasks, live,
		     (size_t)1 << (64 - __builtin_clzll(50 * live - 1)));
	if (s->move_at == MOVE_BOUNDARY && s->algorithm != SHARD_NATIVE)
		complain(w, &s->move_at, "shard.move_at", "%s has no table that could move",
			 shard_algorithm_names[s->algorithm]);
	if (*s->effective_at && s->move_at == MOVE_NOW)
		complain(w, &s->effective_at, "shard.effective_at", "goes with move_at: boundary");
}

/* --- one destination --- */

static const char *const type_names[] = { "remote_write", "aggregate", "kafka", "file" };

static void check_built(const struct where *w)
{
	const struct destination_config *d = w->d;

	if (d->type != DESTINATION_REMOTE_WRITE)
		complain(w, &d->type, "type", "%s is not built in this version",
			 type_names[d->type]);
	if (d->discovery)
		complain(w, &d->discovery, "discovery", "is not built in this version");
	if (d->kafka)
		complain(w, &d->kafka, "kafka", "is not built in this version");
	if (d->file)
		complain(w, &d->file, "file", "is not built in this version");
}

/* Without a word on it, boundaries are ends of the rules' windows (GW-SH-14). */
static void take_interval(struct checker *k, struct destination_config *d, const char *path)
{
	struct where w = { k, d, "" };
	bool longest;
	uint64_t us = d->rules ? shard_rules_interval(d->rules, &longest) : 0;

	if (!us || given(&w, written(k, d, &d->shard.move_interval)))
		return;
	d->shard.move_interval = us;
	(void)snprintf(w.path, sizeof(w.path), "%s", path);
	if (longest && d->shard.move_at == MOVE_BOUNDARY)
		warn(&w, &d->shard.move_at, "shard.move_interval",
		     "no hour holds whole windows of all rules: the longest, %llus, is taken",
		     (unsigned long long)(us / US_PER_SEC));
}

/* -ENOMEM, or 0: errors are told. */
static int load_rules(struct checker *k, struct destination_config *d)
{
	const char *path = d->shard.key.aggregation.rules_file;
	const struct shard_key_options o = { .family = d->shard.family,
					     .task_label = d->shard.task_label.name,
					     .seed = d->shard.seed };
	int r;

	if (!*path || d->shard.algorithm != SHARD_NATIVE)
		return 0;
	r = rules_file_load(path, &o, k->diags, &k->c->warnings, &d->rules);
	return r == -ENOMEM ? r : 0;
}

int route_check_destinations(struct checker *k)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < k->c->n_destinations; i++) {
		struct destination_config *d = &k->c->destinations[i];
		struct where w = { k, d, "" };

		(void)snprintf(w.path, sizeof(w.path), "%s[%zu]",
			       d->compat ? "router_rules" : "destinations", i);
		for (size_t n = 0; n < i && !d->compat; n++)
			if (streq(k->c->destinations[n].name, d->name)) {
				complain(&w, &d->name, "name",
					 "another destination is called '%s', too", d->name);
				break;
			}
		check_built(&w);
		if (!d->nodes.n && d->type == DESTINATION_REMOTE_WRITE && !d->discovery &&
		    !d->compat)
			complain(&w, &d->name, "nodes", "there is none");
		check_headers(&w, &d->headers);
		check_access(&w, &d->basic_auth, &d->authorization, &d->tls_config);
		check_queue(&w, &d->queue);
		check_send(&w, &d->send);
		check_shard(&w, &d->shard);
		for (size_t n = 0; n < d->nodes.n; n++)
			check_node(k, d, n, w.path);
		r = load_rules(k, d);
		take_interval(k, d, w.path);
	}
	return r;
}
