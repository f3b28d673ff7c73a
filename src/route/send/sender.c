/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sending thread
 *
 * libcurl's multi interface: asleep until a queue has something, an answer comes, or a wait is over. All state of nodes is under one lock that
 * is held while blocks are moved, never while the network is waited for.
 */
#define LOG_MODULE "send"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/time.h"
#include "route/send/internal.h"

#define WAIT_MAX_US US_PER_SEC
#define LOOK_US US_PER_SEC
#define STACK_BYTES (512 * 1024)

static int64_t now_ms(void)
{
	return (int64_t)(time_wall_ns() / NS_PER_MSEC);
}

/* --- starting requests --- */

static void start_lane(struct sender *n, struct lane_state *l, uint64_t now_us)
{
	const uint8_t *body;
	size_t len;
	int r = send_prepare_body(n, l, &body, &len);

	if (r == -EBADMSG) {
		send_dead_block(n, l, 0, "cannot be decoded", DEAD_UNREADABLE);
		return;
	}
	if (r >= 0)
		r = send_start(n, l, body, len, now_us);
	if (r < 0) {
		log_warning_limited("cannot send to %s/%s: %s", n->o.destination, n->o.node,
				    strerror(-r));
		l->not_before_us = now_us + US_PER_SEC;
	}
}

/* µs at which the lane wants to be looked at again; 0 = when its queue or an answer says so. */
static uint64_t look_at_lane(struct sender *n, struct lane_state *l, uint64_t now_us)
{
	if (l->in_flight)
		return 0;
	if (!l->block) {
		l->block = queue_take(n->queue, l->index, now_ms());
		if (!l->block)
			return 0;
	}
	/* Of a node that is away, too, nothing is kept for ever. */
	if (l->block->attempts && queue_expire(n->queue, l->block, now_ms())) {
		send_idle(l);
		return now_us;
	}
	if (MAX(l->not_before_us, n->not_before_us) > now_us)
		return MAX(l->not_before_us, n->not_before_us);
	if (!breaker_allows(&n->breaker, now_us)) {
		/* Once a block and wait, however often it is looked at. */
		n->stats.errors_breaker += !l->breaker_waited;
		l->breaker_waited = true;
		return breaker_next(
			&n->breaker); /* half-open: the answer of the one request wakes the rest */
	}
	start_lane(n, l, now_us);
	return l->in_flight ? 0 : now_us + US_PER_MSEC;
}

/* Once a second; a node that is held because of them is tried again at once (GW-TX-7). */
static void refresh_secrets(struct sender *n, uint64_t now_us)
{
	bool changed;

	if (now_us - n->looked_us < LOOK_US)
		return;
	n->looked_us = now_us;
	changed = tls_refresh(&n->tls, &n->o);
	changed |= secret_refresh(&n->password);
	changed |= secret_refresh(&n->credentials);
	n->stats.files_changed += changed;
	if (!changed || n->breaker.state != BREAKER_OPEN)
		return;
	log_info("credentials of %s/%s changed, trying again", n->o.destination, n->o.node);
	n->breaker.until_us = 0;
}

/* Of a node that goes: what is on the way may arrive, its blocks stay in the queue. */
static void cancel(struct sender *n)
{
	for (uint32_t i = 0; i < LANES_MAX; i++) {
		if (n->lanes[i].in_flight)
			(void)curl_multi_remove_handle(n->all->multi, n->lanes[i].easy);
		n->lanes[i].in_flight = false;
	}
}

static uint64_t look_at_node(struct sender *n, uint64_t now_us)
{
	uint64_t next = 0;

	if (n->removed) {
		cancel(n);
		return 0;
	}
	refresh_secrets(n, now_us);
	if (n->snappy_only && now_us >= n->snappy_until_us)
		n->snappy_only = false;
	for (uint32_t i = 0, lanes = queue_lanes(n->queue); i < lanes; i++) {
		uint64_t at = look_at_lane(n, &n->lanes[i], now_us);

		if (at && (!next || at < next))
			next = at;
	}
	return next;
}

/* --- answers --- */

/* True: there were some, so lanes may have blocks that wait. */
static bool take_answers(struct senders *s)
{
	bool any = false;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(s->multi, &left))) {
		struct lane_state *l = NULL;
		CURLcode code = m->data.result;
		CURL *easy = m->easy_handle;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&l);
		(void)curl_multi_remove_handle(s->multi, easy);
		send_finished(l->node, l, code, time_mono_us());
		any = true;
	}
	return any;
}

static bool any_in_flight(const struct sender *n)
{
	for (uint32_t i = 0; i < LANES_MAX; i++)
		if (n->lanes[i].in_flight)
			return true;
	return false;
}

static int turn(struct senders *s, uint64_t *ret_next)
{
	uint64_t now = time_mono_us(), next = now + WAIT_MAX_US;
	int running;

	pthread_mutex_lock(&s->lock);
	for (struct sender *n = s->list; n; n = n->next) {
		uint64_t at = look_at_node(n, now);

		if (at)
			next = MIN(next, MAX(at, now + US_PER_MSEC));
	}
	(void)curl_multi_perform(s->multi, &running);
	/* A lane that has become free is looked at again at once: queues only tell of blocks that come to a lane at rest. */
	if (take_answers(s))
		next = now;
	(void)pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
	*ret_next = next;
	return running;
}

static void *run(void *ctx)
{
	struct senders *s = ctx;

	for (;;) {
		uint64_t next, now;
		bool stop;

		(void)turn(s, &next);
		pthread_mutex_lock(&s->lock);
		stop = s->stop;
		pthread_mutex_unlock(&s->lock);
		if (stop)
			return NULL;
		now = time_mono_us();
		(void)curl_multi_poll(
			s->multi, NULL, 0,
			next > now ? (int)((next - now + US_PER_MSEC - 1) / US_PER_MSEC) : 0, NULL);
	}
}

/* --- public --- */

int senders_new(const char *gateway_name, uint64_t epoch, struct senders **ret)
{
	struct senders *s = calloc(1, sizeof(*s));
	pthread_attr_t attributes;
	int r;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	(void)snprintf(s->gateway, sizeof(s->gateway), "%s", gateway_name);
	s->epoch = epoch;
	s->multi = curl_multi_init();
	s->encoder = rw_encoder_new();
	if (!s->multi || !s->encoder) {
		senders_free(s);
		return -ENOMEM;
	}
	pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
	r = -pthread_create(&s->thread, &attributes, run, s);
	pthread_attr_destroy(&attributes);
	if (r < 0) {
		senders_free(s);
		return r;
	}
	s->started = true;
	*ret = s;
	return 0;
}

static void wake(struct senders *s)
{
	(void)curl_multi_wakeup(s->multi);
}

static void on_ready(void *ctx, uint32_t lane)
{
	(void)lane;
	wake(((struct sender *)ctx)->all);
}

static const char *copy(struct arena *a, const char *text)
{
	return arena_strdup(a, text ? text : "");
}

static int copy_headers(struct arena *a, const char *const *headers, struct send_options *ret)
{
	size_t n = 0;
	const char **list;

	while (headers && headers[n])
		n++;
	list = arena_alloc(a, (n + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		list[i] = copy(a, headers[i]);
	ret->headers = list;
	return 0;
}

static int copy_options(const struct send_options *o, struct arena **ret_arena,
			struct send_options *ret)
{
	struct arena *a;
	const char **texts[] = { &ret->destination,   &ret->node,
				 &ret->url,	      &ret->zone,
				 &ret->tls.ca_file,   &ret->tls.cert_file,
				 &ret->tls.key_file,  &ret->tls.server_name,
				 &ret->user,	      &ret->password,
				 &ret->password_file, &ret->auth_type,
				 &ret->credentials,   &ret->credentials_file,
				 &ret->tenant_header, &ret->tenant };

	if (arena_new(0, &a) < 0)
		return -ENOMEM;
	*ret = *o;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		*texts[i] = copy(a, *texts[i]);
		if (!*texts[i]) {
			arena_free(a);
			return -ENOMEM;
		}
	}
	if (copy_headers(a, o->headers, ret) < 0) {
		arena_free(a);
		return -ENOMEM;
	}
	*ret_arena = a;
	return 0;
}

static int load_tls(struct sender *n, const struct send_options *o)
{
	char why[512] = "";
	int r = tls_load(&n->tls, &o->tls, why, sizeof(why));

	if (r < 0)
		log_error("%s/%s: %s", o->destination, o->node, why);
	return r;
}

static void take_options(struct sender *n, struct arena *arena, const struct send_options *o)
{
	arena_free(n->arena);
	n->arena = arena;
	n->o = *o;
	if (send_set_target(n) < 0)
		log_error("tls_config.server_name of %s/%s cannot be used", o->destination,
			  o->node);
	secret_set(&n->password, o->password, o->password_file);
	secret_set(&n->credentials, o->credentials, o->credentials_file);
}

int sender_add(struct senders *s, const struct send_options *o, struct queue *q,
	       struct sender **ret)
{
	struct sender *n = calloc(1, sizeof(*n));
	struct send_options copied;
	struct arena *arena;
	int r;

	if (!n)
		return -ENOMEM;
	r = load_tls(n, o);
	if (r >= 0)
		r = copy_options(o, &arena, &copied);
	if (r < 0) {
		tls_done(&n->tls);
		free(n);
		return r;
	}
	n->all = s;
	n->queue = q;
	take_options(n, arena, &copied);
	for (uint32_t i = 0; i < LANES_MAX; i++) {
		n->lanes[i].node = n;
		n->lanes[i].index = i;
	}
	queue_on_ready(q, on_ready, n);
	pthread_mutex_lock(&s->lock);
	n->next = s->list;
	s->list = n;
	pthread_mutex_unlock(&s->lock);
	wake(s);
	*ret = n;
	return 0;
}

static bool same_files(const struct send_tls *a, const struct send_tls *b)
{
	return streq(a->ca_file, b->ca_file) && streq(a->cert_file, b->cert_file) &&
	       streq(a->key_file, b->key_file);
}

int sender_change(struct sender *n, const struct send_options *o)
{
	struct send_options copied;
	struct arena *arena;
	int r = copy_options(o, &arena, &copied);

	if (r < 0)
		return r;
	pthread_mutex_lock(&n->all->lock);
	if (!same_files(&copied.tls, &n->o.tls)) {
		file_watch_done(&n->tls.watch);
		r = load_tls(n, &copied);
	}
	if (r < 0) {
		pthread_mutex_unlock(&n->all->lock);
		arena_free(arena);
		return r;
	}
	take_options(n, arena, &copied);
	n->stats.rw1_only = n->snappy_only = false;
	n->max_bytes = 0;
	n->not_before_us = 0;
	n->breaker.until_us = 0; /* what was wrong may be right now */
	pthread_mutex_unlock(&n->all->lock);
	wake(n->all);
	return 0;
}

static void drop_lanes(struct sender *n)
{
	for (uint32_t i = 0; i < LANES_MAX; i++) {
		struct lane_state *l = &n->lanes[i];

		if (l->in_flight)
			(void)curl_multi_remove_handle(n->all->multi, l->easy);
		if (l->block)
			queue_put_back(n->queue, l->block);
		if (l->aside) /* last: it is the older one */
			queue_put_back(n->queue, l->aside);
		send_lane_free(l);
	}
}

static void free_sender(struct sender *n)
{
	drop_lanes(n);
	tls_done(&n->tls);
	send_target_done(n);
	arena_free(n->arena);
	free(n);
}

void sender_remove(struct sender *n)
{
	struct senders *s = n->all;
	struct sender **p;

	queue_on_ready(n->queue, NULL, NULL);
	pthread_mutex_lock(&s->lock);
	n->removed = true;
	wake(s);
	while (any_in_flight(n) && !s->stop)
		pthread_cond_wait(&s->idle, &s->lock);
	for (p = &s->list; *p && *p != n; p = &(*p)->next)
		;
	if (*p)
		*p = n->next;
	free_sender(n);
	pthread_mutex_unlock(&s->lock);
}

void sender_stats(struct sender *n, struct sender_stats *ret)
{
	uint64_t now = time_mono_us(), at = 0;

	pthread_mutex_lock(&n->all->lock);
	*ret = n->stats;
	ret->files_bad = n->tls.failures + n->password.failures + n->credentials.failures;
	ret->breaker = n->breaker.state;
	(void)snprintf(ret->reason, sizeof(ret->reason), "%s",
		       n->breaker.state == BREAKER_CLOSED ? "" : n->breaker.reason);
	for (uint32_t i = 0; i < queue_lanes(n->queue); i++)
		at = MAX(at, n->lanes[i].not_before_us);
	at = MAX(MAX(at, n->not_before_us), breaker_next(&n->breaker));
	ret->retry_wait_us = at > now ? at - now : 0;
	pthread_mutex_unlock(&n->all->lock);
}

struct senders *senders_free(struct senders *s)
{
	if (!s)
		return NULL;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_mutex_unlock(&s->lock);
	if (s->started) {
		wake(s);
		(void)pthread_join(s->thread, NULL);
	}
	while (s->list) {
		struct sender *n = s->list;

		s->list = n->next;
		free_sender(n);
	}
	curl_multi_cleanup(s->multi);
	(void)rw_encoder_free(s->encoder);
	free(s->decoded);
	pthread_cond_destroy(&s->idle);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}
