/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads
 *
 * Each drives its share of every listening server and seals its open blocks when they are due; nothing else wakes it. At the stop it goes on
 * until its requests are answered.
 */
#define LOG_MODULE "route"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/time.h"
#include "route/internal.h"

#define TURN_MAX_MS 1000
#define STACK_BYTES (1024 * 1024)

static int timeout_ms(const struct route_worker *w, uint64_t now)
{
	uint64_t due = pipeline_next(w->pipeline);
	int ms = TURN_MAX_MS;

	if (due)
		ms = due <= now
			     ? 0
			     : (int)MIN((due - now + US_PER_MSEC - 1) / US_PER_MSEC, (uint64_t)ms);
	for (unsigned i = 0; i < w->gateway->n_servers; i++) {
		int t = http_server_timeout(w->gateway->servers[i], w->index);

		if (t >= 0)
			ms = MIN(ms, t);
	}
	return ms;
}

/* How long connections and deadlines had to wait for this turn. */
static void note_turn(struct route_worker *w, uint64_t began)
{
	uint64_t now = time_mono_us();

	if (now - began > w->worst_us)
		w->worst_us = now - began;
	w->busy_us = 0;
	w->turned_us = now;
}

static void turn(struct route_worker *w)
{
	struct gateway *g = w->gateway;
	struct pollfd fds[SERVERS_MAX];
	uint64_t now = time_mono_us();
	int ms = timeout_ms(w, now);

	for (unsigned i = 0; i < g->n_servers; i++)
		fds[i] = (struct pollfd){ .fd = http_server_fd(g->servers[i], w->index),
					  .events = POLLIN };
	(void)poll(fds, g->n_servers, ms);
	now = time_mono_us();
	w->busy_us = now;
	for (unsigned i = 0; i < g->n_servers; i++)
		http_server_run(g->servers[i], w->index);
	route_worker_use_newest(w);
	pipeline_run(w->pipeline, time_mono_us());
	/* Answers that the seals made ready. */
	for (unsigned i = 0; i < g->n_servers; i++)
		http_server_run(g->servers[i], w->index);
	note_turn(w, now);
}

static bool may_stop(const struct route_worker *w)
{
	return w->gateway->stopping &&
	       (COUNTED(w->counters.in_flight) == 0 || time_mono_us() > w->gateway->stop_by_us);
}

static void *run(void *ctx)
{
	struct route_worker *w = ctx;

	while (!may_stop(w))
		turn(w);
	pipeline_flush(w->pipeline);
	for (unsigned i = 0; i < w->gateway->n_servers; i++)
		http_server_run(w->gateway->servers[i], w->index);
	return NULL;
}

static int start(struct gateway *g, struct route_worker *w, unsigned index)
{
	const struct pipeline_shared shared = { .cache_seed = g->epoch,
						.workers = g->n_workers,
						.snappy = g->o.snappy,
						.families = g->families };
	pthread_attr_t attributes;
	int r;

	w->gateway = g;
	w->index = index;
	w->turned_us = time_mono_us();
	r = pipeline_new(&shared, &w->pipeline);
	if (r < 0)
		return r;
	w->snapshot = gateway_take_snapshot(g);
	r = pipeline_use(w->pipeline, w->snapshot);
	if (r < 0)
		return r;
	pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
	r = -pthread_create(&w->thread, &attributes, run, w);
	pthread_attr_destroy(&attributes);
	w->started = r == 0;
	return r;
}

int workers_start(struct gateway *g)
{
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < g->n_workers; i++)
		r = start(g, &g->workers[i], i);
	return r;
}

void workers_stop(struct gateway *g)
{
	for (unsigned i = 0; g->workers && i < g->n_workers; i++) {
		struct route_worker *w = &g->workers[i];

		if (w->started)
			(void)pthread_join(w->thread, NULL);
		w->started = false;
	}
}
