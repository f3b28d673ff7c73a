/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events
 *
 * A client first joins the live list, then replays the journal, then drains its queue; what it already replayed is skipped by
 * the journal's row number, so there is neither gap nor duplicate. A client that is too slow in live mode loses events and is
 * told how many; one that still replays loses nothing, because it simply replays further.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/time.h"
#include "event/internal.h"

#define QUEUE_MAX 256
#define REPLAY_ROWS 32

/* One event as text, shared by all clients that get it. */
struct shared {
	_Atomic unsigned refs;
	int64_t row;
	size_t len;
	char text[];
};

struct client {
	struct clients *owner;
	struct client *next;
	struct http_stream *stream;
	/* Owned copies of the filter's strings. */
	struct event_filter filter;
	char *strings[7];
	/* Under the owner's lock. */
	struct shared *queue[QUEUE_MAX];
	size_t head, tail;
	uint64_t lost;
	bool ping, replaying, missed; /* missed: the queue was full while replaying */
	/* HTTP thread only. */
	struct journal *journal; /* while replaying */
	int64_t row;
	struct strbuf pending;
	size_t sent;
};

struct clients {
	pthread_mutex_t lock;
	struct client *list;
	unsigned n, max;
	_Atomic unsigned count;
	_Atomic uint64_t refused, overflows;
	char journal_path[4096], start[16];
};

int clients_new(const char *journal_path, const char *start, unsigned max, struct clients **ret)
{
	struct clients *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	c->max = max;
	(void)snprintf(c->journal_path, sizeof(c->journal_path), "%s", journal_path);
	(void)snprintf(c->start, sizeof(c->start), "%s", start);
	*ret = c;
	return 0;
}

/* The HTTP server is gone by now, and with it every client. */
struct clients *clients_free(struct clients *c)
{
	if (!c)
		return NULL;
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

bool clients_any(const struct clients *c)
{
	return c->count > 0;
}

void clients_stats(const struct clients *c, struct event_stream_stats *ret)
{
	ret->clients = c->count;
	ret->clients_refused = c->refused;
	ret->client_overflows = c->overflows;
}

static void unref(struct shared *s)
{
	if (s && atomic_fetch_sub(&s->refs, 1) == 1)
		free(s);
}

static struct shared *new_shared(const struct event_keys *k, const char *id, int64_t row,
				 const char *json, size_t len)
{
	size_t size = len + strlen(id) + strlen(k->name) + 64;
	struct shared *s = malloc(sizeof(*s) + size);

	if (!s)
		return NULL;
	s->refs = 1;
	s->row = row;
	s->len = (size_t)snprintf(s->text, size, "id: %s\nevent: %s\ndata: %.*s\n\n", id, k->name,
				  (int)len, json);
	return s;
}

/* Owner's lock held. */
static void enqueue(struct client *x, struct shared *s)
{
	if (x->head - x->tail == QUEUE_MAX) {
		if (x->replaying) {
			x->missed = true;
		} else {
			x->lost++;
			x->owner->overflows++;
		}
		return;
	}
	atomic_fetch_add(&s->refs, 1);
	x->queue[x->head++ % QUEUE_MAX] = s;
}

void clients_hand(struct clients *c, const struct event_keys *k, const char *id, int64_t row,
		  const char *json, size_t len)
{
	struct shared *s;

	if (!clients_any(c))
		return;
	s = new_shared(k, id, row, json, len);
	pthread_mutex_lock(&c->lock);
	for (struct client *x = c->list; x; x = x->next) {
		if (!event_filter_match(&x->filter, k))
			continue;
		if (s)
			enqueue(x, s);
		else
			x->lost++;
		if (x->stream)
			http_stream_wake(x->stream);
	}
	pthread_mutex_unlock(&c->lock);
	unref(s);
}

void clients_ping(struct clients *c)
{
	pthread_mutex_lock(&c->lock);
	for (struct client *x = c->list; x; x = x->next) {
		x->ping = true;
		if (x->stream)
			http_stream_wake(x->stream);
	}
	pthread_mutex_unlock(&c->lock);
}

/* --- one client, on a thread of the HTTP server --- */

static int add_row(void *ctx, const char *id, const char *name, const char *json, size_t len)
{
	struct client *x = ctx;

	strbuf_addf(&x->pending, "id: %s\nevent: %s\ndata: ", id, name);
	strbuf_add(&x->pending, json, len);
	strbuf_addstr(&x->pending, "\n\n");
	return 0;
}

/* The next rows; at the end of the journal the live queue takes over. -errno of the journal. */
static int replay(struct client *x)
{
	int r = journal_after(x->journal, &x->row, &x->filter, add_row, x);
	bool again;

	if (r != 0)
		return MIN(r, 0);
	pthread_mutex_lock(&x->owner->lock);
	again = x->missed;
	x->missed = false;
	x->replaying = again;
	if (again) /* what is queued was or will be replayed: rows tell */
		for (; x->tail != x->head; x->tail++)
			unref(x->queue[x->tail % QUEUE_MAX]);
	pthread_mutex_unlock(&x->owner->lock);
	if (!again)
		x->journal = journal_free(x->journal);
	return 0;
}

static void add_lost(struct client *x, uint64_t lost)
{
	strbuf_addf(&x->pending, "event: telemetry.lost\ndata: {\"timestamp\":\"");
	time_add_rfc3339(&x->pending, time_wall_ns(), 9);
	strbuf_addf(
		&x->pending,
		"\",\"event.name\":\"telemetry.lost\",\"severity_text\":\"WARN\",\"severity_number\":13,"
		"\"telamon.lost.class\":\"sse\",\"telamon.lost.count\":%llu}\n\n",
		(unsigned long long)lost);
}

static void take_live(struct client *x)
{
	struct shared *s = NULL;
	uint64_t lost;
	bool ping;

	pthread_mutex_lock(&x->owner->lock);
	if (x->tail != x->head)
		s = x->queue[x->tail++ % QUEUE_MAX];
	lost = x->lost;
	x->lost = 0;
	ping = x->ping;
	x->ping = false;
	pthread_mutex_unlock(&x->owner->lock);
	if (lost)
		add_lost(x, lost);
	if (s && (!s->row || s->row > x->row))
		strbuf_add(&x->pending, s->text, s->len);
	else if (!s && ping)
		strbuf_addstr(&x->pending, ":\n\n");
	unref(s);
}

static bool more_live(struct client *x)
{
	bool more;

	pthread_mutex_lock(&x->owner->lock);
	more = x->tail != x->head || x->lost || x->ping;
	pthread_mutex_unlock(&x->owner->lock);
	return more;
}

static ssize_t read_client(void *ctx, char *buf, size_t size)
{
	struct client *x = ctx;
	size_t n;

	while (x->sent == x->pending.len) {
		strbuf_clear(&x->pending);
		x->sent = 0;
		if (x->journal) {
			/* A client that comes back with its last id goes on where it was. */
			if (replay(x) < 0)
				return HTTP_STREAM_ERROR;
		} else if (more_live(x)) {
			take_live(x);
		} else {
			return 0;
		}
		if (x->pending.error)
			return HTTP_STREAM_ERROR;
	}
	n = MIN(size, x->pending.len - x->sent);
	memcpy(buf, x->pending.data + x->sent, n);
	x->sent += n;
	return (ssize_t)n;
}

static void free_client(void *ctx)
{
	struct client *x = ctx, **p;
	struct clients *c = x->owner;

	pthread_mutex_lock(&c->lock);
	for (p = &c->list; *p && *p != x; p = &(*p)->next)
		;
	if (*p) {
		*p = x->next;
		c->n--;
		c->count--;
	}
	pthread_mutex_unlock(&c->lock);
	for (; x->tail != x->head; x->tail++)
		unref(x->queue[x->tail % QUEUE_MAX]);
	for (size_t i = 0; i < ARRAY_SIZE(x->strings); i++)
		free(x->strings[i]);
	strbuf_done(&x->pending);
	journal_free(x->journal);
	free(x);
}

static bool own_strings(struct client *x, const struct event_filter *f)
{
	const char **fields[] = { &x->filter.type, &x->filter.container, &x->filter.namespace,
				  &x->filter.pod,  &x->filter.workload,	 &x->filter.cgroup,
				  &x->filter.scope };

	x->filter = *f;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!*fields[i])
			continue;
		x->strings[i] = strdup(*fields[i]);
		if (!x->strings[i])
			return false;
		*fields[i] = x->strings[i];
	}
	x->filter.limit = REPLAY_ROWS;
	return true;
}

/* Where the replay begins: behind Last-Event-ID, or at since. */
static void open_replay(struct client *x, const char *last_id)
{
	char why[256];

	if (!x->replaying)
		return;
	if (journal_open_readonly(x->owner->journal_path, why, sizeof(why), &x->journal) < 0) {
		strbuf_addstr(&x->pending, ": the journal cannot be read, nothing is replayed\n\n");
		pthread_mutex_lock(&x->owner->lock);
		x->replaying = false;
		pthread_mutex_unlock(&x->owner->lock);
		return;
	}
	x->row = last_id ? journal_row_of(x->journal, last_id) : 0;
}

static bool join(struct clients *c, struct client *x)
{
	bool room;

	pthread_mutex_lock(&c->lock);
	room = c->n < c->max;
	if (room) {
		x->next = c->list;
		c->list = x;
		c->n++;
		c->count++;
	} else {
		c->refused++;
	}
	pthread_mutex_unlock(&c->lock);
	return room;
}

void clients_serve(struct clients *c, struct http_request *q)
{
	static const struct http_stream_ops ops = { read_client, free_client };
	struct event_filter filter;
	struct http_stream *stream;
	const char *last_id;
	struct client *x;
	char why[256];

	if (event_filter_parse(q, &filter, why, sizeof(why)) < 0) {
		http_reply_text(q, 400, "%s\n", why);
		return;
	}
	x = calloc(1, sizeof(*x));
	if (!x || !own_strings(x, &filter)) {
		if (x) {
			x->owner = c;
			free_client(x);
		}
		http_reply_text(q, 500, "out of memory\n");
		return;
	}
	x->owner = c;
	strbuf_addstr(&x->pending, ":\n\n"); /* sends the headers at once */
	last_id = http_header(q, "Last-Event-ID");
	/* Before it joins: from the first moment on a full queue means to replay further. */
	x->replaying = last_id || x->filter.since_ns;
	if (last_id)
		x->filter.since_ns = 0;
	if (!join(c, x)) {
		free_client(x);
		/* Some may be gone: only who is written to is found out. The next try finds room then. */
		clients_ping(c);
		http_reply_text(q, 503,
				"as many clients as events.max_clients allows follow already\n");
		return;
	}
	open_replay(x, last_id);
	if (http_reply_stream(q, "text/event-stream", &ops, x, &stream) < 0)
		return; /* free_client() was called */
	pthread_mutex_lock(&c->lock);
	for (struct client *y = c->list; y; y = y->next) /* it may be gone already */
		if (y == x) {
			x->stream = stream;
			http_stream_wake(stream);
		}
	pthread_mutex_unlock(&c->lock);
}
