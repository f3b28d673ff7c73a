/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sender of load
 *
 * Each connection has one request on the way. Bodies are made before the clock starts and only get new timestamps (route-body.h), so that
 * the sender costs little beside what it measures. A body is stamped when no connection is sending it.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "base/time.h"
#include "cli/route-body.h"
#include "cli/route-load.h"
#include "cli/route.h"

#define ANSWER_MAX 4096
#define TIMES_MAX (1U << 24)
#define PAUSE_US 100000 /* after a failed connection */
#define ANSWER_TIMEOUT_US (60 * US_PER_SEC)

struct connection {
	int fd; /* -1: closed */
	struct load_body *body; /* on the way, NULL = none */
	uint64_t since_us, retry_at_us;
	char head[512];
	size_t head_len, sent;
	char answer[ANSWER_MAX + 1];
	size_t answer_len;
};

struct load {
	const struct load_options *o;
	struct load_result *result;
	struct sockaddr_storage address;
	unsigned address_len;
	struct load_body *bodies;
	unsigned *busy; /* per body: connections that send it */
	size_t n_bodies, next_body;
	struct connection *connections;
	int epoll;
	uint64_t start_us, started; /* requests */
	uint32_t *times;
	size_t n_times, times_room;
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

static int64_t wall_ms(void)
{
	return (int64_t)(time_wall_ns() / NS_PER_MSEC);
}

/* --- bodies --- */

static int make_bodies(struct load *l)
{
	_cleanup_(rw_encoder_freep) struct rw_encoder *encoder = rw_encoder_new();
	uint32_t per = MIN(l->o->per_request, l->o->series);

	l->n_bodies = (l->o->series + per - 1) / per;
	l->bodies = calloc(l->n_bodies, sizeof(*l->bodies));
	l->busy = calloc(l->n_bodies, sizeof(*l->busy));
	if (!l->bodies || !l->busy || !encoder)
		return -ENOMEM;
	for (size_t i = 0; i < l->n_bodies && !stopped; i++) {
		uint32_t n = (uint32_t)MIN((uint64_t)per, l->o->series - i * (uint64_t)per);
		int r = load_body_make(&l->o->shape, l->o->version, i * (uint64_t)per, n, wall_ms(),
				       encoder, &l->bodies[i]);

		/* Another moment has other bytes: then no literal serves two purposes. */
		for (int64_t other = 1; r == -EPROTO && other < 20; other++)
			r = load_body_make(&l->o->shape, l->o->version, i * (uint64_t)per, n,
					   wall_ms() - other * 7777777, encoder, &l->bodies[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static struct load_body *take_body(struct load *l)
{
	size_t at = l->next_body;

	for (size_t i = 0; i < l->n_bodies && l->busy[at]; i++)
		at = (at + 1) % l->n_bodies;
	l->next_body = (at + 1) % l->n_bodies;
	if (!l->busy[at]++)
		load_body_stamp(&l->bodies[at], wall_ms());
	return &l->bodies[at];
}

static void release_body(struct load *l, struct connection *c)
{
	if (c->body)
		l->busy[c->body - l->bodies]--;
	c->body = NULL;
}

/* --- one request --- */

static void note_time(struct load *l, uint64_t us)
{
	if (l->n_times == l->times_room && l->times_room < TIMES_MAX) {
		size_t room = l->times_room ? 2 * l->times_room : 4096;
		uint32_t *more = realloc(l->times, room * sizeof(*more));

		if (more) {
			l->times = more;
			l->times_room = room;
		}
	}
	if (l->n_times < l->times_room)
		l->times[l->n_times++] = (uint32_t)MIN(us, (uint64_t)UINT32_MAX);
}

static void disconnect(struct load *l, struct connection *c)
{
	release_body(l, c);
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
}

static void fail(struct load *l, struct connection *c, const char *why)
{
	l->result->by_status[0]++;
	(void)snprintf(l->result->why, sizeof(l->result->why), "%s", why);
	c->retry_at_us = time_mono_us() + PAUSE_US;
	disconnect(l, c);
}

static bool watch(struct load *l, struct connection *c, bool writing, int op)
{
	struct epoll_event e = { .events = EPOLLIN | (writing ? (unsigned)EPOLLOUT : 0),
				 .data.ptr = c };

	return epoll_ctl(l->epoll, op, c->fd, &e) == 0;
}

static int open_connection(struct load *l, struct connection *c)
{
	int one = 1;

	c->fd = socket(l->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&l->address, l->address_len) < 0 ||
	    !watch(l, c, false, EPOLL_CTL_ADD)) {
		int e = errno;

		(void)close(c->fd);
		c->fd = -1;
		return -e;
	}
	return 0;
}

static void push(struct load *l, struct connection *c)
{
	size_t total = c->head_len + c->body->len;

	while (c->sent < total) {
		bool head = c->sent < c->head_len;
		struct iovec parts[2] = {
			{ c->head + c->sent, head ? c->head_len - c->sent : 0 },
			{ c->body->data + (head ? 0 : c->sent - c->head_len),
			  head ? c->body->len : total - c->sent },
		};
		const struct msghdr m = { .msg_iov = parts + !head, .msg_iovlen = head ? 2 : 1 };
		ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			(void)watch(l, c, true, EPOLL_CTL_MOD);
			return;
		}
		if (n < 0) {
			fail(l, c, strerror(errno));
			return;
		}
		c->sent += (size_t)n;
	}
	(void)watch(l, c, false, EPOLL_CTL_MOD);
}

static void start(struct load *l, struct connection *c, uint64_t due_us)
{
	static const char *const types[] = {
		"application/x-protobuf\r\nX-Prometheus-Remote-Write-Version: 0.1.0",
		"application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n"
		"X-Prometheus-Remote-Write-Version: 2.0.0"
	};

	l->started++;
	if (c->fd < 0) {
		int r = open_connection(l, c);

		if (r < 0) {
			fail(l, c, strerror(-r));
			return;
		}
	}
	c->body = take_body(l);
	c->head_len =
		(size_t)snprintf(c->head, sizeof(c->head),
				 "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: telamon-bench\r\n"
				 "Content-Encoding: snappy\r\nContent-Type: %s\r\n"
				 "Content-Length: %zu\r\n\r\n",
				 l->o->path, l->o->host, types[l->o->version], c->body->len);
	c->sent = c->answer_len = 0;
	c->since_us = due_us;
	push(l, c);
}

/* --- answers --- */

/* Is the answer complete? @ret_close: nothing more can come on this connection. */
static bool complete(const struct connection *c, unsigned *ret_status, bool *ret_close)
{
	const char *end = strstr(c->answer, "\r\n\r\n"), *length;
	size_t body = 0, head;

	if (!end || strncmp(c->answer, "HTTP/1.", 7) != 0)
		return false;
	head = (size_t)(end - c->answer) + 4;
	*ret_status = (unsigned)strtoul(c->answer + 9, NULL, 10) % 600;
	length = strcasestr(c->answer, "\r\nContent-Length:");
	if (length && length < end)
		body = strtoul(length + 17, NULL, 10);
	*ret_close = (!length && *ret_status != 204) || head + body > ANSWER_MAX ||
		     strcasestr(c->answer, "\r\nConnection: close");
	return *ret_close || c->answer_len >= head + body;
}

static void take_answer(struct load *l, struct connection *c)
{
	ssize_t n =
		recv(c->fd, c->answer + c->answer_len, ANSWER_MAX - c->answer_len, MSG_DONTWAIT);
	unsigned status;
	bool last;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !c->body) {
		if (c->body)
			fail(l, c, n < 0 ? strerror(errno) : "the connection was closed");
		else
			disconnect(l, c);
		return;
	}
	c->answer_len += (size_t)n;
	c->answer[c->answer_len] = '\0';
	if (!complete(c, &status, &last)) {
		if (c->answer_len == ANSWER_MAX)
			fail(l, c, "an answer that is none");
		return;
	}
	l->result->by_status[status]++;
	note_time(l, time_mono_us() - c->since_us);
	if (status / 100 == 2) {
		l->result->requests++;
		l->result->samples += c->body->samples;
		l->result->bytes += c->body->len;
		l->result->raw_bytes += c->body->raw_len;
	}
	/* An answer before the end of the request: the rest of it would be taken for the next one. */
	last |= c->sent < c->head_len + c->body->len;
	release_body(l, c);
	if (last)
		disconnect(l, c);
}

/* --- the run --- */

/* When the next request is due; UINT64_MAX: none. */
static uint64_t due(const struct load *l)
{
	double per = (double)MIN(l->o->per_request, l->o->series);

	if (l->o->requests && l->started >= l->o->requests)
		return UINT64_MAX;
	if (!l->o->rate)
		return 0;
	return l->start_us + (uint64_t)((double)l->started * per / (double)l->o->rate * 1e6);
}

/* Free connections get what is due. Microseconds until something else is. */
static uint64_t start_due(struct load *l, uint64_t now)
{
	uint64_t next = now + US_PER_SEC;

	for (uint32_t i = 0; i < l->o->connections; i++) {
		struct connection *c = &l->connections[i];
		uint64_t at = due(l);

		if (c->body) {
			if (now > c->since_us + ANSWER_TIMEOUT_US)
				fail(l, c, "no answer in time");
			continue;
		}
		at = MAX(at, c->retry_at_us);
		if (at > now) {
			next = MIN(next, at);
			continue;
		}
		start(l, c, l->o->rate ? due(l) : time_mono_us());
	}
	return next - now;
}

static bool in_work(const struct load *l)
{
	for (uint32_t i = 0; i < l->o->connections; i++)
		if (l->connections[i].body)
			return true;
	return false;
}

static void drive(struct load *l)
{
	uint64_t end = l->o->duration_us ? l->start_us + l->o->duration_us : UINT64_MAX;
	struct epoll_event events[64];

	for (;;) {
		uint64_t now = time_mono_us(), wait = US_PER_SEC;
		bool more = now < end && !stopped && due(l) != UINT64_MAX;
		int n;

		if (more)
			wait = MIN(start_due(l, now), end - now);
		else if (!in_work(l) || (end != UINT64_MAX && now > end + ANSWER_TIMEOUT_US))
			return;
		n = epoll_wait(l->epoll, events, ARRAY_SIZE(events),
			       (int)((wait + US_PER_MSEC - 1) / US_PER_MSEC));
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (c->fd >= 0 && (events[i].events & EPOLLOUT) && c->body)
				push(l, c);
			if (c->fd >= 0 && (events[i].events & ~(unsigned)EPOLLOUT))
				take_answer(l, c);
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void count_times(struct load *l)
{
	if (!l->n_times)
		return;
	qsort(l->times, l->n_times, sizeof(*l->times), compare);
	l->result->p50_us = l->times[(l->n_times - 1) / 2];
	l->result->p99_us = l->times[(l->n_times - 1) * 99 / 100];
	l->result->max_us = l->times[l->n_times - 1];
}

static int begin(struct load *l)
{
	const struct sigaction action = { .sa_handler = on_signal };
	int r = route_address(l->o->host, false, &l->address, &l->address_len);

	if (r < 0) {
		(void)snprintf(l->result->why, sizeof(l->result->why), "'%s' is no address",
			       l->o->host);
		return r;
	}
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->connections = calloc(l->o->connections, sizeof(*l->connections));
	if (l->epoll < 0 || !l->connections)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->o->connections; i++)
		l->connections[i].fd = -1;
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	r = make_bodies(l);
	if (r < 0)
		(void)snprintf(l->result->why, sizeof(l->result->why), "bodies: %s", strerror(-r));
	return r;
}

int load_run(const struct load_options *o, struct load_result *ret)
{
	struct load l = { .o = o, .result = ret, .epoll = -1 };
	int r;

	*ret = (struct load_result){};
	r = begin(&l);
	if (r >= 0) {
		l.start_us = time_mono_us();
		drive(&l);
		ret->elapsed_us = time_mono_us() - l.start_us;
		count_times(&l);
	}
	for (uint32_t i = 0; l.connections && i < o->connections; i++)
		disconnect(&l, &l.connections[i]);
	for (size_t i = 0; l.bodies && i < l.n_bodies; i++)
		load_body_done(&l.bodies[i]);
	free(l.connections);
	free(l.bodies);
	free(l.busy);
	free(l.times);
	if (l.epoll >= 0)
		(void)close(l.epoll);
	return r;
}
