/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telamon route bench sink: a receiver of remote write that counts
 *
 * For load and loss tests, not for data: plain sockets, one thread, a parser that knows what clients of remote write send. It must cost far
 * less than what is measured, so a body that nobody wants to see is thrown away inside the kernel. With --decode, --record, or RW2 (whose
 * answers say how much was written) bodies are read and scanned. GET /stats tells the totals.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <xxhash.h>
#include "base/time.h"
#include "cli/route.h"
#include "route/wire/buf.h"
#include "route/wire/field.h"
#include "route/wire/scan.h"
#include "route/wire/snappy.h"

#define HEAD_MAX 16384
#define LISTEN_MAX 64
#define BODY_MAX (1ULL << 30)
#define RECORD_BUFFER (1 << 20)
#define DISCARD_MAX (4 << 20)

struct request {
	uint64_t left; /* of the body */
	bool get_stats, rw2, zstd, keep, unknown_length;
};

struct connection {
	struct connection *next, *previous;
	int fd;
	bool in_body, closing;
	size_t head_len;
	char head[HEAD_MAX];
	struct request request;
	struct rw_buf body;
	struct strbuf out;
	size_t sent;
	uint64_t answer_at_us; /* of a delayed answer, 0 = none */
};

struct totals {
	uint64_t requests, bytes, series, samples, histograms, exemplars, invalid, bad, connections;
	uint64_t rw1, rw2;
};

struct sink {
	int epoll, listeners[LISTEN_MAX];
	size_t n_listeners;
	struct connection *connections;
	unsigned status;
	uint64_t delay_us;
	bool decode;
	FILE *record;
	struct rw_scan *scan;
	uint8_t *decoded;
	size_t decoded_size;
	struct rw_buf canon;
	struct totals totals;
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

/* --- what came --- */

/* One line a sample: hash of the series, timestamp, value; 24 bytes of the machine's order. */
static void record_samples(struct sink *s, const struct rw_series *series)
{
	const uint8_t *end = series->samples.at + series->samples.len;
	struct rw_span canon = series->canon;
	uint64_t row[3];

	if (!canon.at) {
		size_t need = rw_canon_len(series->labels, series->n_labels);

		s->canon.len = 0;
		if (!rw_buf_room(&s->canon, need + 1))
			return;
		canon.at = s->canon.data;
		canon.len =
			rw_canon(series->labels, series->n_labels, s->canon.data, s->canon.size);
	}
	row[0] = XXH3_64bits(canon.at, canon.len);
	for (const uint8_t *p = series->samples.at; p && p < end;) {
		struct rw_sample sample;
		struct rw_field f;

		p = rw_field_get(p, end, &f);
		if (!p)
			return;
		sample = rw_sample_get(f.at, f.len);
		row[1] = (uint64_t)sample.ts;
		row[2] = sample.value;
		(void)fwrite(row, sizeof(row), 1, s->record);
	}
}

/* Samples, histograms, exemplars of the body into @ret. 0 or -EBADMSG. */
static int scan_body(struct sink *s, const struct connection *c, struct rw_totals *ret)
{
	enum rw_encoding encoding = c->request.zstd ? RW_ENCODING_ZSTD : RW_ENCODING_SNAPPY;
	const struct rw_limits limits = {};
	struct rw_series series;
	size_t len;
	int r = rw_decode(encoding, c->body.data, c->body.len, BODY_MAX, &s->decoded,
			  &s->decoded_size, &len);

	if (r >= 0)
		r = rw_scan_begin(s->scan, c->request.rw2 ? RW2 : RW1, &limits, s->decoded, len);
	if (r < 0)
		return r;
	while (rw_scan_next(s->scan, &series))
		if (s->record)
			record_samples(s, &series);
	*ret = *rw_scan_totals(s->scan);
	return 0;
}

static void add_stats(struct sink *s, struct strbuf *b)
{
	const struct totals *t = &s->totals;

	strbuf_addf(
		b,
		"{\"requests\":%llu,\"bytes\":%llu,\"rw1\":%llu,\"rw2\":%llu,\"series\":%llu,"
		"\"samples\":%llu,\"histograms\":%llu,\"exemplars\":%llu,\"invalid_series\":%llu,"
		"\"bad_requests\":%llu,\"connections\":%llu}\n",
		(unsigned long long)t->requests, (unsigned long long)t->bytes,
		(unsigned long long)t->rw1, (unsigned long long)t->rw2,
		(unsigned long long)t->series, (unsigned long long)t->samples,
		(unsigned long long)t->histograms, (unsigned long long)t->exemplars,
		(unsigned long long)t->invalid, (unsigned long long)t->bad,
		(unsigned long long)t->connections);
}

/* --- answers --- */

static const char *reason(unsigned status)
{
	return status == 200	   ? "OK"
	       : status == 204	   ? "No Content"
	       : status / 100 == 2 ? "Success"
	       : status / 100 == 4 ? "Refused"
				   : "Failed";
}

static void answer_write(struct sink *s, struct connection *c)
{
	struct rw_totals t = {};
	unsigned status = s->status;

	s->totals.requests++;
	*(c->request.rw2 ? &s->totals.rw2 : &s->totals.rw1) += 1;
	if (c->request.keep && status / 100 == 2) {
		if (scan_body(s, c, &t) < 0) {
			s->totals.bad++;
			status = 400;
		}
		s->totals.series += t.series - t.invalid_series;
		s->totals.invalid += t.invalid_series;
		s->totals.samples += t.samples;
		s->totals.histograms += t.histograms;
		s->totals.exemplars += t.exemplars;
		if (s->record)
			(void)fflush(s->record); /* what was answered is on disk */
	}
	strbuf_addf(&c->out, "HTTP/1.1 %u %s\r\n", status, reason(status));
	if (c->request.rw2)
		strbuf_addf(&c->out,
			    "X-Prometheus-Remote-Write-Samples-Written: %llu\r\n"
			    "X-Prometheus-Remote-Write-Histograms-Written: %llu\r\n"
			    "X-Prometheus-Remote-Write-Exemplars-Written: %llu\r\n",
			    (unsigned long long)t.samples, (unsigned long long)t.histograms,
			    (unsigned long long)t.exemplars);
	strbuf_addstr(&c->out, status == 204 ? "\r\n" : "Content-Length: 0\r\n\r\n");
	if (s->delay_us)
		c->answer_at_us = time_mono_us() + s->delay_us;
}

static void answer(struct sink *s, struct connection *c)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	if (!c->request.get_stats) {
		answer_write(s, c);
		return;
	}
	add_stats(s, &text);
	strbuf_addf(
		&c->out,
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		text.len, strbuf_str(&text));
}

/* --- requests --- */

/* Value of a header of the NUL-terminated @head, NULL = not there. Length in @ret. */
static const char *header(const char *head, const char *name, size_t *ret)
{
	size_t len = strlen(name);

	for (const char *p = strstr(head, "\r\n"); p; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, len) == 0 && p[len] == ':') {
			p += len + 1;
			p += strspn(p, " \t");
			*ret = strcspn(p, "\r");
			return p;
		}
	}
	return NULL;
}

static bool contains(const char *text, size_t len, const char *part)
{
	return text && memmem(text, len, part, strlen(part));
}

static void begin(struct sink *s, struct connection *c)
{
	struct request *r = &c->request;
	size_t len = 0;
	const char *value;

	*r = (struct request){ .get_stats = strncmp(c->head, "GET /stats ", 11) == 0 };
	value = header(c->head, "Content-Length", &len);
	r->left = value ? strtoull(value, NULL, 10) : 0;
	r->unknown_length = header(c->head, "Transfer-Encoding", &len) != NULL;
	value = header(c->head, "Content-Type", &len);
	r->rw2 = contains(value, value ? len : 0, "io.prometheus.write.v2.Request");
	value = header(c->head, "Content-Encoding", &len);
	r->zstd = contains(value, value ? len : 0, "zstd");
	r->keep = !r->get_stats && (s->decode || s->record || r->rw2);
	c->body.len = 0;
	c->in_body = true;
	value = header(c->head, "Expect", &len);
	if (value)
		strbuf_addstr(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	if (r->unknown_length || r->left > BODY_MAX) {
		strbuf_addstr(&c->out, "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n"
				       "Connection: close\r\n\r\n");
		c->closing = true;
	}
}

/* Bytes that came before the head was complete and belong behind it. */
static void take_rest(struct connection *c, size_t head)
{
	size_t rest = c->head_len - head, body = MIN((uint64_t)rest, c->request.left);

	if (c->request.keep && !rw_buf_add(&c->body, c->head + head, body))
		c->closing = true;
	c->request.left -= body;
	memmove(c->head, c->head + head + body, rest - body);
	c->head_len = rest - body;
}

/* Complete requests in what has been read. */
static void advance(struct sink *s, struct connection *c)
{
	while (!c->closing && !c->answer_at_us) {
		char *end;

		if (!c->in_body) {
			size_t head;

			c->head[c->head_len] = '\0';
			end = strstr(c->head, "\r\n\r\n");
			if (!end) {
				c->closing |= c->head_len >= HEAD_MAX - 1;
				return;
			}
			head = (size_t)(end - c->head) + 4;
			end[2] = '\0';
			begin(s, c);
			s->totals.bytes += c->request.left;
			take_rest(c, head);
		}
		if (c->request.left)
			return;
		answer(s, c);
		c->in_body = false;
		c->body.len = 0;
		if (!c->head_len)
			return;
	}
}

/* --- sockets --- */

static void flush(struct sink *s, struct connection *c)
{
	struct epoll_event e = { .data.ptr = c, .events = EPOLLIN };

	while (!c->answer_at_us && c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

		if (n < 0) {
			if (errno == EAGAIN) {
				e.events |= EPOLLOUT;
				(void)epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &e);
				return;
			}
			c->closing = true;
			break;
		}
		c->sent += (size_t)n;
	}
	if (c->sent && c->sent == c->out.len) {
		strbuf_clear(&c->out);
		c->sent = 0;
	}
}

/* A piece of the body or the head; 0 = nothing is there now, -1 = the peer is gone. */
static ssize_t receive(struct connection *c)
{
	ssize_t n;

	if (!c->in_body || !c->request.left) {
		n = recv(c->fd, c->head + c->head_len, HEAD_MAX - 1 - c->head_len, 0);
		c->head_len += (size_t)MAX(n, 0);
	} else if (!c->request.keep) {
		n = recv(c->fd, NULL, MIN(c->request.left, (uint64_t)DISCARD_MAX), MSG_TRUNC);
		c->request.left -= (uint64_t)MAX(n, 0);
	} else {
		if (!rw_buf_room(&c->body, c->request.left))
			return -1;
		n = recv(c->fd, c->body.data + c->body.len, c->request.left, 0);
		c->body.len += (size_t)MAX(n, 0);
		c->request.left -= (uint64_t)MAX(n, 0);
	}
	if (n > 0)
		return n;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static void close_connection(struct sink *s, struct connection *c)
{
	if (c->next)
		c->next->previous = c->previous;
	if (c->previous)
		c->previous->next = c->next;
	else
		s->connections = c->next;
	s->totals.connections--;
	(void)close(c->fd);
	rw_buf_done(&c->body);
	strbuf_done(&c->out);
	free(c);
}

static void serve(struct sink *s, struct connection *c)
{
	for (int turns = 0; turns < 16 && !c->closing; turns++) {
		ssize_t n = c->head_len < HEAD_MAX - 1 ? receive(c) : 0;

		if (n < 0)
			c->closing = true;
		if (n <= 0)
			break;
		advance(s, c);
		flush(s, c);
	}
	flush(s, c);
	if (c->closing)
		close_connection(s, c);
}

static void accept_all(struct sink *s, int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
		struct connection *c;
		struct epoll_event e = { .events = EPOLLIN };

		if (fd < 0)
			return;
		c = calloc(1, sizeof(*c));
		e.data.ptr = c;
		if (!c || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
			free(c);
			(void)close(fd);
			return;
		}
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c->fd = fd;
		c->next = s->connections;
		if (c->next)
			c->next->previous = c;
		s->connections = c;
		s->totals.connections++;
	}
}

/* Delayed answers that are due; milliseconds to the next, -1 = none. */
static int release_answers(struct sink *s)
{
	uint64_t now = time_mono_us(), next = UINT64_MAX;
	struct connection *after;

	for (struct connection *c = s->connections; s->delay_us && c; c = after) {
		after = c->next;
		if (!c->answer_at_us)
			continue;
		if (c->answer_at_us > now) {
			next = MIN(next, c->answer_at_us);
			continue;
		}
		c->answer_at_us = 0;
		flush(s, c);
		advance(s, c);
		flush(s, c);
		if (c->closing)
			close_connection(s, c);
	}
	return next == UINT64_MAX ? -1 : (int)((next - now) / US_PER_MSEC) + 1;
}

static void run(struct sink *s)
{
	struct epoll_event events[64];

	while (!stopped) {
		int n = epoll_wait(s->epoll, events, ARRAY_SIZE(events), release_answers(s));

		for (int i = 0; i < n; i++) {
			uintptr_t at = (uintptr_t)events[i].data.ptr;

			if (at <= LISTEN_MAX)
				accept_all(s, s->listeners[at - 1]);
			else
				serve(s, events[i].data.ptr);
		}
	}
}

/* --- command --- */

static int listen_one(struct sink *s, const char *text)
{
	struct sockaddr_storage a;
	struct epoll_event e = { .events = EPOLLIN };
	unsigned len;
	int one = 1, fd, r = route_address(text, true, &a, &len);

	if (r < 0 || s->n_listeners == LISTEN_MAX)
		return -EINVAL;
	fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	s->listeners[s->n_listeners++] = fd;
	e.data.ptr = (void *)(uintptr_t)s->n_listeners; /* 1…: no address of a connection */
	if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 1024) < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return -errno;
	return 0;
}

static int listen_all(struct sink *s, const char *list)
{
	char text[4096], *save = NULL;

	(void)snprintf(text, sizeof(text), "%s", list);
	for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		int r = listen_one(s, p);

		if (r < 0) {
			(void)fprintf(stderr, "telamon route bench sink: '%s': %s\n", p,
				      strerror(-r));
			return r;
		}
	}
	return 0;
}

static int open_sink(struct sink *s, const char *listen, const char *record)
{
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0)
		return -errno;
	if (rw_scan_new(&s->scan) < 0)
		return -ENOMEM;
	if (record) {
		s->record = fopen(record, "ae");
		if (!s->record) {
			(void)fprintf(stderr, "telamon route bench sink: '%s': %s\n", record,
				      strerror(errno));
			return -EINVAL;
		}
		(void)setvbuf(s->record, NULL, _IOFBF, RECORD_BUFFER);
	}
	return listen_all(s, listen);
}

static void close_sink(struct sink *s)
{
	while (s->connections)
		close_connection(s, s->connections);
	for (size_t i = 0; i < s->n_listeners; i++)
		(void)close(s->listeners[i]);
	if (s->epoll >= 0)
		(void)close(s->epoll);
	if (s->record)
		(void)fclose(s->record);
	rw_scan_free(s->scan);
	rw_buf_done(&s->canon);
	free(s->decoded);
}

int cli_route_sink(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal };
	const char *listen = "127.0.0.1:9009", *status = "204", *delay = "0", *record = NULL;
	struct sink s = { .epoll = -1 };
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	uint64_t number;
	const struct cli_option options[] = {
		{ "listen", OPTION_TEXT, &listen,
		  "addresses, separated by commas (127.0.0.1:9009)" },
		{ "status", OPTION_TEXT, &status, "answer to every request (204)" },
		{ "delay", OPTION_TEXT, &delay, "time before the answer (0)" },
		{ "decode", OPTION_FLAG, &s.decode, "decode bodies, count series and samples" },
		{ "record", OPTION_TEXT, &record,
		  "append series hash, timestamp, value of each sample to this file, 24 bytes each" },
		{},
	};
	int r = cli_parse("telamon route bench sink [options]", options, argc, argv);

	if (r > 0)
		(void)fprintf(stderr, "telamon route bench sink: '%s' is too much\n", argv[0]);
	if (r != 0)
		return r == -2 ? CLI_OK : CLI_USAGE;
	if (!route_number("status", status, 200, 599, &number) ||
	    !route_duration("delay", delay, &s.delay_us))
		return CLI_USAGE;
	s.status = (unsigned)number;
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	r = open_sink(&s, listen, record);
	if (r >= 0) {
		(void)fprintf(stderr, "listening on %s\n", listen);
		run(&s);
		add_stats(&s, &text);
		cli_print(&text);
	}
	close_sink(&s);
	return r < 0 ? CLI_NONE : CLI_OK;
}
