/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "event/stream.h"

/* --- queue.c: bounded byte queue, one producer, one consumer, no lock --- */

struct queued { /* as it lies in the queue; strings and JSON follow */
	uint32_t bytes, json_len;
	uint64_t wall_ns, boot_ns, sequence;
	int32_t severity;
	uint32_t pid;
	uint16_t offsets
		[7]; /* name, container_id, container_name, namespace, pod, workload, cgroup: from the end of this struct */
	int64_t row; /* in the journal, once it is there */
	uint8_t told, handed; /* written to stderr; handed to clients and sinks */
	uint32_t json_offset;
};
struct queue {
	char *memory;
	size_t size;
	_Atomic size_t head, tail; /* bytes ever written, ever taken */
};
int queue_init(struct queue *q, size_t size);
void queue_done(struct queue *q);
int queue_put(struct queue *q, const struct event_buf *b, uint64_t boot_ns); /* -EAGAIN when full */
/* The entry at *@position (from queue_first()); moves behind it. NULL when there is none. Consumer only. */
size_t queue_first(const struct queue *q);
struct queued *queue_next(struct queue *q, size_t *position);
void queue_advance(struct queue *q, size_t position); /* everything before it is done */
bool queue_empty(const struct queue *q);
size_t queue_bytes(const struct queue *q, size_t position); /* from there to the newest */
void queued_keys(const struct queued *e, struct event_keys *ret);
const char *queued_json(const struct queued *e);

/* --- sinks.c --- */

struct sinks;
int sinks_new(const struct event_sink_config *configs, size_t n, struct sinks **ret);
struct sinks *sinks_free(struct sinks *s);
void sinks_write(struct sinks *s, const struct event_keys *k, const char *json, size_t len);
void sinks_stats(const struct sinks *s, struct event_stream_stats *ret);
size_t sinks_describe(const struct sinks *s, struct strbuf *out,
		      const char *name); /* one JSON line each: last result */

/* --- clients.c: server-sent events --- */

struct clients;
int clients_new(const char *journal_path, const char *start, unsigned max, struct clients **ret);
struct clients *clients_free(struct clients *c);
bool clients_any(const struct clients *c);
void clients_hand(struct clients *c, const struct event_keys *k, const char *id, int64_t row,
		  const char *json, size_t len);
void clients_ping(struct clients *c);
void clients_stats(const struct clients *c, struct event_stream_stats *ret);
void clients_serve(struct clients *c, struct http_request *q);

/* --- stream.c --- */

struct clients *event_stream_clients(struct event_stream *s);
void event_stream_joined(struct event_stream *s); /* a client: the writer has to ping from now on */
const char *event_stream_journal_path(const struct event_stream *s); /* "" without a journal */
/* From any thread but the loop's: for the test event. */
int event_stream_test(struct event_stream *s, struct strbuf *out);
void event_format_id(char *buf, size_t size, const char *start, uint64_t sequence);
