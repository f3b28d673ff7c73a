/* SPDX-License-Identifier: Apache-2.0 */
/* GET /events, GET /api/v1/events, POST /api/v1/events/test. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/parse.h"
#include "base/time.h"
#include "event/internal.h"

#define LIMIT_MAX 10000

static int bad(char *why, size_t why_size, const char *name, const char *value, const char *want)
{
	(void)snprintf(why, why_size, "%s: '%.100s' is not %s", name, value, want);
	return -EINVAL;
}

static int parse_when(const struct http_request *q, const char *name, uint64_t *ret, char *why,
		      size_t why_size)
{
	const char *text = http_query(q, name);

	if (!text || !*text || parse_time(text, time_wall_ns(), ret) == 0)
		return 0;
	return bad(why, why_size, name, text, "RFC 3339 or a duration such as 10m");
}

int event_filter_parse(const struct http_request *q, struct event_filter *ret, char *why,
		       size_t why_size)
{
	static const char *const known[] = { "type",	  "since", "until",    "container",
					     "namespace", "pod",   "workload", "cgroup",
					     "severity",  "limit", "pid",      NULL };
	struct event_filter f = {
		.type = http_query(q, "type"),
		.container = http_query(q, "container"),
		.namespace = http_query(q, "namespace"),
		.pod = http_query(q, "pod"),
		.workload = http_query(q, "workload"),
		.cgroup = http_query(q, "cgroup"),
	};
	const char *unknown = http_query_unknown(q, known), *text;
	uint64_t v;
	int r;

	if (unknown) {
		(void)snprintf(why, why_size, "unknown parameter '%.100s'", unknown);
		return -EINVAL;
	}
	r = parse_when(q, "since", &f.since_ns, why, why_size);
	if (r >= 0)
		r = parse_when(q, "until", &f.until_ns, why, why_size);
	if (r < 0)
		return r;
	text = http_query(q, "severity");
	if (text && *text) {
		f.severity = event_severity_from_string(text);
		if (f.severity < 0)
			return bad(why, why_size, "severity", text,
				   "a number of 1..24 or one of info notice warning high critical");
	}
	text = http_query(q, "limit");
	if (text && *text) {
		if (parse_u64(text, &v) < 0 || v == 0 || v > LIMIT_MAX)
			return bad(why, why_size, "limit", text, "a number of 1..10000");
		f.limit = v;
	}
	text = http_query(q, "pid");
	if (text && *text && parse_u32(text, &f.pid) < 0)
		return bad(why, why_size, "pid", text, "a process id");
	*ret = f;
	return 0;
}

void event_http_sse(struct http_request *q, void *ctx)
{
	clients_serve(event_stream_clients(ctx), q);
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

	if (a->sent == a->pending.len) {
		strbuf_clear(&a->pending);
		a->sent = 0;
		if (journal_cursor_next(a->cursor, add_line, a) <= 0 || a->pending.error)
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
