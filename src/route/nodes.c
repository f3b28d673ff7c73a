/* SPDX-License-Identifier: Apache-2.0 */
/* Queues and senders that outlive a reload. */
#define LOG_MODULE "route"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/time.h"
#include "route/nodes.h"

#define HEADERS_MAX 64

struct nodes {
	struct node *list;
	struct senders *senders;
	char storage[4096];
	uint64_t epoch;
	enum rw_snappy snappy;
	struct ballast *ballast;
};

int nodes_new(const char *storage_path, const char *gateway, uint64_t epoch, enum rw_snappy snappy,
	      struct nodes **ret)
{
	struct nodes *n = calloc(1, sizeof(*n));
	char directory[4200];
	int r;

	if (!n)
		return -ENOMEM;
	(void)snprintf(n->storage, sizeof(n->storage), "%s", storage_path);
	n->epoch = epoch;
	n->snappy = snappy;
	(void)snprintf(directory, sizeof(directory), "%s/queue", storage_path);
	r = ballast_new(directory, &n->ballast);
	if (r < 0)
		log_error("%s: %s", directory, strerror(-r));
	if (r >= 0)
		r = senders_new(gateway, epoch, &n->senders);
	if (r < 0) {
		ballast_free(n->ballast);
		free(n);
		return r;
	}
	*ret = n;
	return 0;
}

/* --- options --- */

static struct queue_options queue_options(const struct nodes *n, const struct destination_config *d,
					  const struct node_config *c)
{
	const struct queue_config *q = &c->queue;

	return (struct queue_options){
		.storage_path = n->storage,
		.destination = d->name,
		.node = c->name,
		.memory = q->memory,
		.disk = q->disk,
		.segment = q->segment,
		.min_free_disk = q->min_free_disk,
		.dead_letter = q->dead_letter,
		.max_age_us = q->max_age,
		.ack = (enum queue_ack)q->ack,
		.full = (enum queue_full)q->full,
		.drain = (enum queue_drain)q->drain,
		.lanes = c->send.lanes,
		.epoch = n->epoch,
		.ballast = n->ballast,
	};
}

struct lines { /* "Name: value" of the configured headers */
	const char *items[HEADERS_MAX + 1];
	char *text;
};

static int format_headers(const struct config_pairs *pairs, struct lines *ret)
{
	size_t need = 1;
	char *at;

	for (size_t i = 0; i < pairs->n; i++)
		need += strlen(pairs->items[i].key) + strlen(pairs->items[i].value) + 3;
	at = ret->text = malloc(need);
	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < pairs->n && i < HEADERS_MAX; i++) {
		ret->items[i] = at;
		at += snprintf(at, need - (size_t)(at - ret->text), "%s: %s", pairs->items[i].key,
			       pairs->items[i].value) +
		      1;
	}
	return 0;
}

static struct send_options send_options(const struct nodes *n, const struct destination_config *d,
					const struct node_config *c, const struct lines *headers)
{
	const struct send_config *s = &c->send;

	return (struct send_options){
		.destination = d->name,
		.node = c->name,
		.url = c->url,
		.zone = c->zone,
		.tls = { c->tls_config.ca_file, c->tls_config.cert_file, c->tls_config.key_file,
			 c->tls_config.server_name, c->tls_config.insecure_skip_verify,
			 c->tls_config.min_version == 1 },
		.user = c->basic_auth.username,
		.password = c->basic_auth.password,
		.password_file = c->basic_auth.password_file,
		.auth_type = c->authorization.type,
		.credentials = c->authorization.credentials,
		.credentials_file = c->authorization.credentials_file,
		.headers = headers->items,
		.tenant_header = c->tenant.header,
		.tenant = c->tenant.value,
		.protocol = (enum send_protocol)s->protocol,
		.convert = { s->rw1_custom_buckets,
			     (enum rw_start_timestamp)s->rw2_start_timestamp },
		.snappy = n->snappy,
		.lanes = s->lanes,
		.timeout_us = s->timeout,
		.connect_timeout_us = s->connect_timeout,
		.retry_min_us = s->retry.min,
		.retry_max_us = s->retry.max,
		.retry_after_max_us = s->retry.retry_after_max,
		.client_error_hold_us = s->retry.client_error_hold,
		.open_us = s->breaker.open,
		.poison_attempts = s->retry.poison_attempts,
		.breaker_failures = s->breaker.failures,
		.breaker_successes = s->breaker.successes,
	};
}

/* Of all texts and numbers that the sender was told: what did not change keeps its connections. */
static uint64_t hash_options(const struct send_options *o)
{
	const char *const texts[] = { o->url,		o->zone,	 o->tls.ca_file,
				      o->tls.cert_file, o->tls.key_file, o->tls.server_name,
				      o->user,		o->password,	 o->password_file,
				      o->auth_type,	o->credentials,	 o->credentials_file,
				      o->tenant_header, o->tenant };
	const uint64_t numbers[] = { o->tls.insecure_skip_verify,
				     o->tls.tls13,
				     (uint64_t)o->protocol,
				     o->convert.send_custom_buckets,
				     (uint64_t)o->convert.start,
				     o->lanes,
				     o->timeout_us,
				     o->connect_timeout_us,
				     o->retry_min_us,
				     o->retry_max_us,
				     o->retry_after_max_us,
				     o->client_error_hold_us,
				     o->open_us,
				     o->poison_attempts,
				     o->breaker_failures,
				     o->breaker_successes };
	uint64_t h = XXH3_64bits(numbers, sizeof(numbers));

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		h = XXH3_64bits_withSeed(texts[i], strlen(texts[i]) + 1, h);
	for (size_t i = 0; o->headers[i]; i++)
		h = XXH3_64bits_withSeed(o->headers[i], strlen(o->headers[i]) + 1, h);
	return h;
}

/* --- nodes --- */

static struct node *find(struct nodes *n, const char *destination, const char *name)
{
	for (struct node *x = n->list; x; x = x->next)
		if (streq(x->destination, destination) && streq(x->name, name))
			return x;
	return NULL;
}

static void free_node(struct nodes *n, struct node *x)
{
	struct node **p = &n->list;

	while (*p && *p != x)
		p = &(*p)->next;
	if (*p)
		*p = x->next;
	if (x->sender)
		sender_remove(x->sender);
	queue_close(x->queue);
	rw_told_free(x->told);
	free(x);
}

static int new_node(struct nodes *n, const struct queue_options *q, struct send_options *o,
		    char *why, size_t why_size, struct node **ret)
{
	struct node *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return -ENOMEM;
	(void)snprintf(x->destination, sizeof(x->destination), "%s", q->destination);
	(void)snprintf(x->name, sizeof(x->name), "%s", q->node);
	x->hash = hash_options(o);
	r = rw_told_new(&x->told);
	o->told = x->told;
	if (r >= 0)
		r = queue_open(q, why, why_size, &x->queue);
	if (r >= 0)
		r = sender_add(n->senders, o, x->queue, &x->sender);
	if (r < 0) {
		queue_close(x->queue);
		rw_told_free(x->told);
		free(x);
		return r;
	}
	x->next = n->list;
	n->list = x;
	*ret = x;
	return 0;
}

int nodes_check(struct nodes *n, const struct destination_config *d, const struct node_config *c,
		char *why, size_t why_size)
{
	static const struct lines none;
	const struct send_options o = send_options(n, d, c, &none);
	char text[512] = "";
	int r = send_tls_check(&o.tls, text, sizeof(text));

	if (r < 0)
		(void)snprintf(why, why_size, "%s/%s: %s", d->name, c->name, text);
	return r;
}

int nodes_get(struct nodes *n, const struct destination_config *d, const struct node_config *c,
	      char *why, size_t why_size, struct node **ret)
{
	struct lines headers = {};
	struct queue_options q = queue_options(n, d, c);
	struct send_options o;
	struct node *x = find(n, d->name, c->name);
	int r = format_headers(&c->headers, &headers);

	if (r >= 0 && !x) {
		o = send_options(n, d, c, &headers);
		r = new_node(n, &q, &o, why, why_size, &x);
	}
	free(headers.text);
	if (r < 0)
		return r;
	x->refs++;
	x->retired_us = 0;
	*ret = x;
	return 0;
}

int nodes_change(struct nodes *n, struct node *x, const struct destination_config *d,
		 const struct node_config *c)
{
	struct queue_options q = queue_options(n, d, c);
	struct lines headers = {};
	struct send_options o;
	uint64_t hash;
	int r = format_headers(&c->headers, &headers);

	if (r < 0)
		return r;
	o = send_options(n, d, c, &headers);
	o.told = x->told;
	hash = hash_options(&o);
	queue_change(x->queue, &q);
	if (hash != x->hash)
		r = sender_change(x->sender, &o);
	if (r >= 0)
		x->hash = hash;
	x->retire_timeout_us = c->queue.retire_timeout;
	free(headers.text);
	return r;
}

void nodes_put(struct nodes *n, struct node *x)
{
	(void)n;
	if (--x->refs == 0)
		x->retired_us = time_mono_us();
}

static bool is_empty(struct node *x)
{
	struct queue_stats s;

	queue_stats(x->queue, &s);
	return s.blocks == 0;
}

void nodes_tick(struct nodes *n, uint64_t now_us)
{
	int64_t now_ms = (int64_t)(time_wall_ns() / NS_PER_MSEC);

	ballast_tick(n->ballast);
	for (struct node *x = n->list, *next; x; x = next) {
		next = x->next;
		queue_tick(x->queue, now_ms);
		if (x->refs || !x->retired_us)
			continue;
		if (!is_empty(x) && now_us - x->retired_us < x->retire_timeout_us)
			continue;
		log_info("node %s/%s is retired", x->destination, x->name);
		free_node(n, x);
	}
}

void nodes_for_each(struct nodes *n, node_fn fn, void *ctx)
{
	for (struct node *x = n->list; x; x = x->next)
		fn(ctx, x);
}

struct nodes *nodes_free(struct nodes *n)
{
	if (!n)
		return NULL;
	/* First, so that nothing is on the way when the queues are closed. */
	n->senders = senders_free(n->senders);
	while (n->list) {
		n->list->sender = NULL; /* went with the thread */
		free_node(n, n->list);
	}
	ballast_free(n->ballast);
	free(n);
	return NULL;
}
