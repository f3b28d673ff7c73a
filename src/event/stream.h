/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include "event/event.h"
#include "event/journal.h"
#include "http/server.h"

/*
 * From a finished event to journal, clients and sinks
 *
 * event_publish() copies the JSON into a bounded byte queue and wakes the writer thread, which journals a batch
 * (one transaction), then hands the events to server-sent-event clients, then to the sinks. Classes have queues of
 * their own: "oom" is never pushed out by others.
 */
enum event_class { EVENT_CLASS_OOM, EVENT_CLASS_OTHER, _EVENT_CLASS_MAX };

enum event_sink_type { EVENT_SINK_STDOUT, EVENT_SINK_FILE, EVENT_SINK_JOURNALD, _EVENT_SINK_MAX };
struct event_sink_config {
	int type; /* enum event_sink_type */
	const char *path; /* file */
	const char *const *
		types; /* prefixes of event.name, "alert" = runtime.alert; NULL-terminated, none = all */
	size_t n_types;
};

struct event_stream_options {
	struct journal_options journal; /* path "" = no journal */
	const struct event_sink_config *sinks;
	size_t n_sinks;
	unsigned clients_max; /* server-sent-event clients */
	size_t queue_bytes; /* per class; 0 = 1 MiB */
};

struct event_stream_stats {
	uint64_t published, refused[_EVENT_CLASS_MAX]; /* queue full */
	uint64_t journaled, journal_errors, journal_retries, journal_bytes, journal_expired;
	uint64_t journal_missed[_EVENT_CLASS_MAX]; /* never got there; of oom: on stderr alone */
	uint64_t sink_written[_EVENT_SINK_MAX], sink_errors[_EVENT_SINK_MAX];
	unsigned clients;
	uint64_t clients_refused, client_overflows;
};

struct event_stream;
int event_stream_new(const struct event_stream_options *o, struct event_origin *origin,
		     struct event_stream **ret);
struct event_stream *event_stream_free(
	struct event_stream *s); /* drains first; a journal that refuses is tried three times */
DEFINE_CLEANUP(struct event_stream *, event_stream_free);
/* Loop thread. 0, or -EAGAIN when the class's queue is full: the caller keeps the event and tries again. Allocates nothing. */
int event_publish(struct event_stream *s, enum event_class c, const struct event_buf *b);
int event_stream_flush(struct event_stream *s,
		       unsigned timeout_ms); /* waits until all published events are journalled */
void event_stream_stats(const struct event_stream *s, struct event_stream_stats *ret);
/* Called on the writer thread for each event after its transaction; for delay metrics. */
void event_stream_on_journaled(struct event_stream *s,
			       void (*fn)(void *ctx, const struct event_keys *k, uint64_t boot_ns),
			       void *ctx);

/* Handlers of GET /events and GET /api/v1/events; ctx is the stream. */
void event_http_sse(struct http_request *q, void *ctx);
void event_http_query(struct http_request *q, void *ctx);
/* POST /api/v1/events/test: a marked alert through journal and every sink; answers one JSON line per destination. */
void event_http_test(struct http_request *q, void *ctx);

/* Parameters of /api/v1/events into a filter; the strings stay the request's. 0, or -EINVAL with the reason in @why. */
int event_filter_parse(struct http_request *q, struct event_filter *ret, char *why,
		       size_t why_size);
/* The same from anywhere. */
int event_filter_read(const char *(*get)(void *ctx, const char *name), void *ctx,
		      struct event_filter *ret, char *why, size_t why_size);
