/* SPDX-License-Identifier: Apache-2.0 */
/* GET /events, GET /api/v1/events, POST /api/v1/events/test. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "event/internal.h"

void event_http_sse(struct http_request *q, void *ctx)
{
	clients_serve(event_stream_clients(ctx), q);
	event_stream_joined(ctx);
}

/* --- GET /api/v1/events: rows are sent as they are read, so memory does not grow with the answer --- */

struct answer {
	struct journal *journal;
	struct journal_cursor *cursor;
	struct strbuf pending;
	size_t sent;
};

static int add_line(void *ctx, const char *id, const char *name, const char *json, size_t len)
{
	struct answer *a = ctx;

	(void)id, (void)name;
	strbuf_add(&a->pending, json, len);
	strbuf_addch(&a->pending, '\n');
	return 0;
}

static ssize_t read_answer(void *ctx, char *buf, size_t size)
{
	struct answer *a = ctx;
	size_t n;
	int r;

	if (a->sent == a->pending.len) {
		strbuf_clear(&a->pending);
		a->sent = 0;
		r = journal_cursor_next(a->cursor, add_line, a);
		if (r < 0 || a->pending.error)
			return HTTP_STREAM_ERROR;
		if (r == 0)
			return HTTP_STREAM_END;
	}
	n = MIN(size, a->pending.len - a->sent);
	memcpy(buf, a->pending.data + a->sent, n);
	a->sent += n;
	return (ssize_t)n;
}

static void free_answer(void *ctx)
{
	struct answer *a = ctx;

	journal_cursor_free(a->cursor);
	journal_free(a->journal);
	strbuf_done(&a->pending);
	free(a);
}

void event_http_query(struct http_request *q, void *ctx)
{
	static const struct http_stream_ops ops = { read_answer, free_answer };
	const char *path = event_stream_journal_path(ctx);
	struct event_filter filter;
	struct http_stream *stream;
	struct answer *a;
	char why[512] = "";
	int r;

	if (event_filter_parse(q, &filter, why, sizeof(why)) < 0) {
		http_reply_text(q, 400, "%s\n", why);
		return;
	}
	if (!*path) {
		http_reply_text(q, 503, "there is no journal\n");
		return;
	}
	a = calloc(1, sizeof(*a));
	r = a ? journal_open_readonly(path, why, sizeof(why), &a->journal) : -ENOMEM;
	if (r >= 0)
		r = journal_cursor_new(a->journal, &filter, &a->cursor);
	if (r < 0) {
		if (a)
			free_answer(a);
		http_reply_text(q, 503, "%s\n", *why ? why : strerror(-r));
		return;
	}
	(void)http_reply_stream(q, "application/x-ndjson", &ops, a, &stream);
}

void event_http_test(struct http_request *q, void *ctx)
{
	struct strbuf out = STRBUF_INIT;
	int r = event_stream_test(ctx, &out);

	if (r < 0) {
		strbuf_done(&out);
		http_reply_text(q, 503, "the test event could not be published: %s\n",
				strerror(-r));
		return;
	}
	http_reply_strbuf(q, 200, "application/x-ndjson", &out);
}
