/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST of a remote-write body
 *
 * What can be refused is refused from the headers, before the body is read. The body is kept as it came, decoded into the worker's buffer
 * and handed to the pipeline; the answer waits until all blocks that it touched are safe.
 */
#define LOG_MODULE "receive"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/parse.h"
#include "base/time.h"
#include "route/internal.h"
#include "route/receive/headers.h"
#include "route/receive/upload.h"
#include "route/rows.h"

#define RUDE_FACTOR 4 /* a body of that many times the limit is cut off unanswered */
#define HOPS_MAX 4
#define TENANT_MAX 255
#define DECODED_KEPT (16U << 20) /* of a worker; a body that needs more gives it back */

/* --- answers --- */

static void count_answer(struct upload *u, int status)
{
	struct http_counters *c = &u->worker->counters;
	uint64_t took = time_mono_us() - u->began_us;

	metric_observe(u->worker->gateway->set, METRIC(RECEIVE_SECONDS, (uint8_t)u->path),
		       (double)took / 1e6);
	COUNT(c->status[CLAMP(status, 0, 599)], 1);
}

static void add_written(struct upload *u)
{
	const struct pipeline_answer *a = &u->answer;
	const struct {
		const char *name;
		uint64_t n;
	} written[] = {
		{ "X-Prometheus-Remote-Write-Samples-Written", a->samples },
		{ "X-Prometheus-Remote-Write-Histograms-Written", a->histograms },
		{ "X-Prometheus-Remote-Write-Exemplars-Written", a->exemplars },
	};

	for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
		char text[24];

		(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)written[i].n);
		http_reply_header(u->q, written[i].name, text);
	}
}

static void reply(struct upload *u, int status, const char *text)
{
	if (u->version == RW2 && u->taken)
		add_written(u);
	if (status == 429 || status == 503) {
		char seconds[16];

		(void)snprintf(seconds, sizeof(seconds), "%u", MAX(u->answer.retry_s, 1U));
		http_reply_header(u->q, "Retry-After", seconds);
	}
	count_answer(u, status);
	if (status == 204)
		http_reply(u->q, 204, NULL, "", 0);
	else
		http_reply(u->q, (unsigned)status, "text/plain; charset=utf-8", text,
			   strlen(text)); /* whole: it may name ten long series */
}

static void refuse(struct upload *u, int status, enum receive_error error, const char *text)
{
	COUNT(u->worker->counters.errors[error], 1);
	reply(u, status, text);
}

static int full_status(const struct upload *u)
{
	return u->worker->snapshot->config->receive->full_status == FULL_429 ? 429 : 503;
}

/* --- headers --- */

static bool take_length(struct upload *u)
{
	const char *text = http_header(u->q, "Content-Length");
	uint64_t max = u->worker->snapshot->config->receive->max_body, n;

	if (!text || parse_u64(text, &n) < 0)
		return true; /* chunked: counted as it comes */
	if (n > max) {
		COUNT(u->worker->counters.limits[LIMIT_MAX_BODY], 1);
		refuse(u, 413, ERROR_CONTENT_LENGTH, "the body is larger than receive.max_body\n");
		return false;
	}
	if (!upload_grow(u, n)) {
		refuse(u, 503, ERROR_READ, "out of memory\n");
		return false;
	}
	return true;
}

static bool take_hops(struct upload *u)
{
	const char *text = http_header(u->q, "X-Telamon-Hops");
	uint32_t n;

	if (!text)
		return true;
	if (parse_u32(text, &n) < 0 || n > HOPS_MAX) {
		refuse(u, 400, ERROR_SERIES, "hops: the body has passed too many gateways\n");
		return false;
	}
	u->hops = n;
	return true;
}

/* The header may differ from destination to destination. In force until the next request of the worker. */
static bool take_tenants(struct upload *u)
{
	const struct route_config *c = u->worker->snapshot->config;

	for (size_t i = 0; i < c->n_destinations; i++) {
		const struct tenant_config *t = &c->destinations[i].tenant;
		const char *value = t->from_request ? http_header(u->q, t->header) : NULL;

		u->worker->tenants[i] = value ? value : "";
		if (value && strlen(value) > TENANT_MAX) {
			refuse(u, 400, ERROR_SERIES, "the tenant has more than 255 bytes\n");
			return false;
		}
	}
	return true;
}

/* A request has one bucket: that of the first tenant that is told. */
static struct rate_question rate_question(const struct upload *u)
{
	const struct route_worker *w = u->worker;
	const struct route_config *c = w->snapshot->config;
	struct rate_question q = { c->limits->samples_per_second, c->limits->tenants, "" };

	for (size_t i = 0; i < c->n_destinations && !*q.tenant; i++)
		q.tenant = w->tenants[i];
	return q;
}

static bool take_media(struct upload *u)
{
	if (headers_version(http_header(u->q, "Content-Type"), &u->version) &&
	    headers_encoding(http_header(u->q, "Content-Encoding"), &u->encoding))
		return true;
	refuse(u, 415, ERROR_MEDIA,
	       "Content-Type is application/x-protobuf, Content-Encoding snappy or zstd\n");
	return false;
}

void route_worker_use_newest(struct route_worker *w)
{
	struct snapshot *s;
	const char **tenants;

	if (w->tenants && w->snapshot->generation == w->gateway->generation)
		return;
	s = gateway_take_snapshot(w->gateway);
	tenants = reallocarray(w->tenants, s->n_destinations + 1, sizeof(*tenants));
	if (tenants)
		w->tenants = tenants;
	if (!tenants || pipeline_use(w->pipeline, s) < 0) {
		log_warning_limited("out of memory, the old configuration stays for now");
		gateway_put_snapshot(w->gateway, s);
		return;
	}
	if (w->snapshot)
		gateway_put_snapshot(w->gateway, w->snapshot);
	w->snapshot = s;
}

static bool begin(struct http_request *q, void *ctx)
{
	struct gateway *g = ctx;
	struct route_worker *w = &g->workers[http_worker(q)];
	struct upload *u;

	/* Handshake of old VictoriaMetrics agents. */
	if (http_query(q, "get_vm_proto_version")) {
		http_reply(q, 200, "text/plain; charset=utf-8", "1", 1);
		return false;
	}
	if (!streq(http_method(q), "POST")) {
		http_reply_header(q, "Allow", "POST");
		http_reply_text(q, 405, "method not allowed\n");
		return false;
	}
	route_worker_use_newest(w);
	u = upload_new(w);
	if (!u) {
		http_reply_text(q, 503, "out of memory\n");
		return false;
	}
	u->q = q;
	u->began_us = time_mono_us();
	u->path = streq(http_path(q), "/api/v1/receive") ? PATH_RECEIVE : PATH_WRITE;
	http_set_user(q, u);
	COUNT(w->counters.in_flight, 1);
	if (g->stopping || !g->ready)
		reply(u, 503, "starting or stopping\n");
	else
		return take_media(u) && take_hops(u) && take_length(u);
	return false;
}

/* --- body --- */

static void data(struct http_request *q, void *ctx, const void *bytes, size_t len)
{
	struct upload *u = http_user(q);
	uint64_t max = u->worker->snapshot->config->receive->max_body;

	(void)ctx;
	u->seen += len;
	u->too_large |= u->len + len > max;
	if (u->too_large || u->no_room)
		return;
	u->no_room = !upload_hold(u, u->len + len);
	if (u->no_room || !upload_grow(u, u->len + len)) {
		u->no_room = true;
		return;
	}
	memcpy(u->body + u->len, bytes, len);
	u->len += len;
}

static void refuse_room(struct upload *u)
{
	COUNT(u->worker->counters.limits[LIMIT_MAX_INFLIGHT], 1);
	u->taken = false;
	refuse(u, full_status(u), ERROR_STORE, "too many bodies in work\n");
}

static bool decode(struct upload *u, size_t *ret_len)
{
	struct route_worker *w = u->worker;
	size_t max = w->snapshot->config->receive->max_decompressed, claimed = 0;
	int r = rw_decoded_size(u->encoding, u->body, u->len, max, &claimed);

	claimed = claimed ? claimed : MIN(max, 64 * u->len);
	if (r >= 0 && !upload_hold(u, MAX(claimed, u->len))) {
		refuse_room(u);
		return false;
	}
	if (r >= 0)
		r = rw_decode(u->encoding, u->body, u->len, max, &w->decoded, &w->decoded_size,
			      ret_len);
	if (r >= 0)
		return true;
	u->taken = false;
	if (r == -E2BIG)
		COUNT(w->counters.limits[LIMIT_MAX_DECOMPRESSED], 1);
	if (r == -E2BIG)
		refuse(u, 413, ERROR_CONTENT_LENGTH,
		       "the body is larger than receive.max_decompressed\n");
	else if (r == -ENOMEM)
		refuse(u, 503, ERROR_STORE, "out of memory\n");
	else
		refuse(u, 400, ERROR_SNAPPY, "the body is not one block of its encoding\n");
	return false;
}

/* Token buckets of samples (GW-RX-18). */
static bool within_rate(struct upload *u)
{
	struct route_worker *w = u->worker;
	const struct limits_config *l = w->snapshot->config->limits;
	const struct rate_question q = rate_question(u);
	bool shared;
	unsigned wait = rate_wait(w->gateway->rate, &q, time_mono_us(), &shared);

	if (shared)
		COUNT(w->counters.limits[LIMIT_TENANTS], 1);
	if (!wait)
		return true;
	COUNT(w->counters.limits[LIMIT_RATE], 1);
	u->answer.retry_s = wait;
	reply(u, l->rate_status == RATE_503 ? 503 : 429, "too many samples a second\n");
	return false;
}

static void finish(struct upload *u)
{
	struct pipeline_answer *a = &u->answer;

	if (u->ticket.failed) {
		a->retry_s = headers_retry_after(u->ticket.fill);
		a->samples = a->histograms = a->exemplars = 0;
		refuse(u, full_status(u), ERROR_STORE, "a queue did not take the block\n");
	} else if (*a->text) {
		refuse(u, 400, ERROR_SERIES, a->text);
	} else {
		reply(u, 204, "");
	}
}

static void done(struct ticket *t)
{
	struct upload *u = container_of(t, struct upload, ticket);

	pipeline_answered(u->worker->pipeline, t);
	http_resume(u->q); /* end() is called again */
}

static void count_items(struct upload *u)
{
	struct http_counters *c = &u->worker->counters;
	uint64_t n = u->answer.samples + u->answer.histograms;

	COUNT(c->bytes[u->path], u->len);
	COUNT(c->samples[u->path], n);
	COUNT(c->series[u->path], u->answer.series);
	COUNT(c->dropped[u->path], u->answer.dropped);
	if (n) {
		const struct rate_question q = rate_question(u);

		rate_take(u->worker->gateway->rate, &q, n, time_mono_us());
	}
}

static void take(struct upload *u, size_t len)
{
	struct route_worker *w = u->worker;
	const struct pipeline_body body = { .version = u->version,
					    .body = w->decoded,
					    .len = len,
					    .wire_len = u->len,
					    .tenants = w->tenants,
					    .hops = u->hops };

	u->taken = true; /* RW2 answers tell what was written from here on */
	u->ticket.done = done;
	pipeline_take(w->pipeline, &body, &u->ticket, &u->answer, time_mono_us());
	(void)upload_hold(u, 0);
	if (w->decoded_size > DECODED_KEPT) {
		free(w->decoded);
		w->decoded = NULL;
		w->decoded_size = 0;
	}
	count_items(u);
	switch (u->answer.status) {
	case 0:
		u->waiting = true;
		http_later(u->q);
		return;
	case 204:
		reply(u, 204, "");
		return;
	case 503:
		refuse(u, full_status(u), ERROR_STORE, u->answer.text);
		return;
	case 413:
		refuse(u, 413, ERROR_CONTENT_LENGTH, u->answer.text);
		return;
	default:
		refuse(u, u->answer.status, u->answer.samples ? ERROR_SERIES : ERROR_PROTOBUF,
		       u->answer.text);
	}
}

static void end(struct http_request *q, void *ctx)
{
	struct upload *u = http_user(q);
	size_t len;

	(void)ctx;
	if (u->waiting) {
		u->waiting = false;
		finish(u);
		return;
	}
	if (u->too_large)
		COUNT(u->worker->counters.limits[LIMIT_MAX_BODY], 1);
	if (u->seen > RUDE_FACTOR * u->worker->snapshot->config->receive->max_body)
		return; /* closed without an answer */
	if (u->too_large)
		refuse(u, 413, ERROR_CONTENT_LENGTH, "the body is larger than receive.max_body\n");
	else if (!u->len)
		refuse(u, 400, ERROR_EMPTY, "the body is empty\n");
	else if (u->no_room)
		refuse_room(u);
	else if (take_tenants(u) && within_rate(u) && decode(u, &len))
		take(u, len);
}

static void gone(struct http_request *q, void *ctx)
{
	struct upload *u = http_user(q);

	(void)ctx;
	if (!u)
		return;
	if (u->waiting)
		pipeline_forget(u->worker->pipeline, &u->ticket);
	COUNT(u->worker->counters.in_flight, -1);
	upload_free(u);
}

const struct http_upload_ops route_upload = { begin, data, end, gone };
