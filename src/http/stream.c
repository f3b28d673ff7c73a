/* SPDX-License-Identifier: Apache-2.0 */
/* Answers without an end: a stream sleeps suspended and is woken by whoever has something for it. */

#include <errno.h>
#include <stdlib.h>
#include "base/macro.h"
#include "http/server-part.h"

#define STREAM_BLOCK 16384

static ssize_t stream_read(void *ctx, uint64_t position, char *buf, size_t size)
{
	struct http_stream *s = ctx;

	(void)position;
	for (;;) {
		ssize_t n;

		if (s->ended)
			return MHD_CONTENT_READER_END_OF_STREAM;
		n = s->ops->read(s->ctx, buf, size);
		if (n > 0)
			return n;
		if (n < 0)
			return n == HTTP_STREAM_END ? MHD_CONTENT_READER_END_OF_STREAM
						    : MHD_CONTENT_READER_END_WITH_ERROR;
		/* A wake-up between that answer and the sleep is not lost: it left its mark. */
		pthread_mutex_lock(&s->lock);
		if (s->woken || s->ended) {
			s->woken = false;
			pthread_mutex_unlock(&s->lock);
			continue;
		}
		s->suspended = true;
		MHD_suspend_connection(s->connection);
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
}

static void stream_free(void *ctx)
{
	struct http_stream *s = ctx, **p;

	/* First: after that nobody wakes it any more. */
	s->ops->free(s->ctx);
	pthread_mutex_lock(&s->server->streams_lock);
	for (p = &s->server->streams; *p && *p != s; p = &(*p)->next)
		;
	if (*p)
		*p = s->next;
	pthread_mutex_unlock(&s->server->streams_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int http_reply_stream(struct http_request *q, const char *content_type,
		      const struct http_stream_ops *ops, void *ctx, struct http_stream **ret)
{
	struct http_stream *s = calloc(1, sizeof(*s));
	struct MHD_Response *response;

	if (!s) {
		ops->free(ctx);
		http_reply_text(q, 500, "out of memory\n");
		return -ENOMEM;
	}
	s->server = q->server;
	s->connection = q->connection;
	s->ops = ops;
	s->ctx = ctx;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_lock(&q->server->streams_lock);
	s->next = q->server->streams;
	q->server->streams = s;
	pthread_mutex_unlock(&q->server->streams_lock);
	*ret = s;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, s,
						     stream_free);
	if (!response) {
		stream_free(s);
		http_reply_text(q, 500, "out of memory\n");
		return -ENOMEM;
	}
	http_queue(q, 200, content_type, response);
	/* Not taken: the response went at once, and with it the stream. */
	return q->replied ? 0 : -EIO;
}

static void wake_locked(struct http_stream *s)
{
	if (s->suspended) {
		s->suspended = false;
		MHD_resume_connection(s->connection);
	} else {
		s->woken = true;
	}
}

void http_stream_wake(struct http_stream *s)
{
	pthread_mutex_lock(&s->lock);
	wake_locked(s);
	pthread_mutex_unlock(&s->lock);
}

void http_end_streams(struct http_server *server)
{
	pthread_mutex_lock(&server->streams_lock);
	for (struct http_stream *s = server->streams; s; s = s->next) {
		pthread_mutex_lock(&s->lock);
		s->ended = true;
		wake_locked(s);
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_unlock(&server->streams_lock);
}
