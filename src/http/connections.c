/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected, and who has to go
 *
 * libmicrohttpd closes what exceeds its limits without telling, and counts a byte each 29 s as life: a few clients could
 * hold every connection for ever. So connections are counted here, in all and by address, and whoever is too slow with its headers or its
 * body, or has nothing to ask for too long, is cut off. A server without a tick of its own does that when the next one knocks.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "base/hash.h"
#include "base/time.h"
#include "http/internal.h"

#define SLACK 16U /* between the question and the start of a connection another may come */
#define CUT_EVERY_US (100 * US_PER_MSEC)
#define BODY_WINDOW_US (5 * US_PER_SEC) /* a body is judged by what came in that time */

enum state {
	STATE_FREE,
	STATE_HEADERS, /* of the first request: from the start on */
	STATE_BODY,
	STATE_BUSY, /* its request is complete, the answer is being made */
	STATE_IDLE, /* answered, nothing asked since */
};

struct slot {
	int fd;
	enum state state;
	bool cut;
	uint64_t since_us; /* in that state */
	uint64_t request_us; /* its request began */
	uint64_t window_us, bytes; /* of the body: since then came so many; bytes is atomic */
	struct in6_addr peer;
	struct slot *next_free, *peer_next, **peer_link;
};

struct connections {
	pthread_mutex_t lock;
	struct connection_limits limits;
	struct connection_counts counts;
	unsigned users; /* servers */
	uint64_t cut_us; /* last look */
	unsigned n, n_used, n_buckets;
	struct slot *free;
	struct slot **buckets; /* by address */
	struct slot slots[];
};

int connections_new(const struct connection_limits *l, struct connections **ret)
{
	unsigned n = l->max + SLACK;
	struct connections *c = calloc(1, sizeof(*c) + n * sizeof(c->slots[0]));

	if (!c)
		return -ENOMEM;
	c->n_buckets = 64;
	while (c->n_buckets < n)
		c->n_buckets *= 2;
	c->buckets = calloc(c->n_buckets, sizeof(struct slot *));
	if (!c->buckets) {
		free(c);
		return -ENOMEM;
	}
	pthread_mutex_init(&c->lock, NULL);
	c->limits = *l;
	c->users = 1;
	c->n = n;
	for (unsigned i = n; i-- > 0;) {
		c->slots[i].next_free = c->free;
		c->free = &c->slots[i];
	}
	*ret = c;
	return 0;
}

struct connections *connections_share(struct connections *c)
{
	c->users++;
	return c;
}

struct connections *connections_free(struct connections *c)
{
	if (!c || --c->users)
		return NULL;
	pthread_mutex_destroy(&c->lock);
	free(c->buckets);
	free(c);
	return NULL;
}

bool address_is_loopback(const struct sockaddr *address)
{
	if (!address)
		return false;
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
	if (address->sa_family == AF_INET6) {
		const struct in6_addr *a = &((const struct sockaddr_in6 *)address)->sin6_addr;

		return IN6_IS_ADDR_LOOPBACK(a) ||
		       (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
	}
	return false;
}

bool address_text(const void *bytes, size_t len, char *ret, size_t size)
{
	int family = len == sizeof(struct in_addr) ? AF_INET : AF_INET6;

	return (len == sizeof(struct in_addr) || len == sizeof(struct in6_addr)) &&
	       inet_ntop(family, bytes, ret, (socklen_t)size);
}

static struct in6_addr peer_of(const struct sockaddr *a)
{
	struct in6_addr ret = {};

	if (a && a->sa_family == AF_INET6) {
		ret = ((const struct sockaddr_in6 *)a)->sin6_addr;
	} else if (a && a->sa_family == AF_INET) {
		ret.s6_addr[10] = ret.s6_addr[11] =
			0xff; /* as a socket of both families shows it */
		memcpy(&ret.s6_addr[12], &((const struct sockaddr_in *)a)->sin_addr, 4);
	}
	return ret;
}

static struct slot **bucket_of(struct connections *c, const struct in6_addr *peer)
{
	return &c->buckets[hash_bytes(peer, sizeof(*peer)) & (c->n_buckets - 1)];
}

/* --- who is too slow; the lock is held --- */

/* What lies in the socket unread is ours to fetch: not the sender's fault. */
static uint64_t unread(const struct slot *s)
{
	int n = 0;

	return ioctl(s->fd, FIONREAD, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

static bool body_is_slow(const struct connections *c, struct slot *s, uint64_t now_us)
{
	uint64_t took = now_us - s->window_us, bytes;

	if (!c->limits.body_rate || took < BODY_WINDOW_US)
		return false;
	bytes = __atomic_exchange_n(&s->bytes, 0, __ATOMIC_RELAXED) + unread(s);
	s->window_us = now_us;
	return (double)bytes < (double)c->limits.body_rate * (double)took / (double)US_PER_SEC;
}

/* The counter of why it has to go, NULL = it may stay. */
static uint64_t *why_cut(struct connections *c, struct slot *s, uint64_t now_us)
{
	const struct connection_limits *l = &c->limits;
	bool asks = s->state == STATE_HEADERS || s->state == STATE_BODY;

	if (s->state == STATE_HEADERS && now_us - s->since_us > l->header_us)
		return &c->counts.cut_headers;
	if (s->state == STATE_BODY && body_is_slow(c, s, now_us))
		return &c->counts.cut_body;
	if (asks && l->request_us && now_us - s->request_us > l->request_us)
		return &c->counts.cut_body;
	if (s->state == STATE_IDLE && now_us - s->since_us > l->idle_us)
		return &c->counts.cut_idle;
	return NULL;
}

/* Its thread sees the end of the stream and closes it: never close() what another thread owns. */
static void cut_slow(struct connections *c, uint64_t now_us)
{
	if (now_us - c->cut_us < CUT_EVERY_US)
		return;
	c->cut_us = now_us;
	for (unsigned i = 0; i < c->n && c->n_used; i++) {
		struct slot *s = &c->slots[i];
		uint64_t *why = s->state == STATE_FREE || s->cut ? NULL : why_cut(c, s, now_us);

		if (!why)
			continue;
		++*why;
		s->cut = true;
		(void)shutdown(s->fd, SHUT_RDWR);
	}
}

void connections_tick(struct connections *c)
{
	pthread_mutex_lock(&c->lock);
	cut_slow(c, time_mono_us());
	pthread_mutex_unlock(&c->lock);
}

/* --- a connection --- */

static unsigned count_peer(struct connections *c, const struct in6_addr *peer)
{
	unsigned n = 0;

	for (const struct slot *s = *bucket_of(c, peer); s; s = s->peer_next)
		n += memcmp(&s->peer, peer, sizeof(*peer)) == 0;
	return n;
}

bool connections_admit(struct connections *c, const struct sockaddr *address)
{
	struct in6_addr peer = peer_of(address);
	bool ok;

	pthread_mutex_lock(&c->lock);
	cut_slow(c, time_mono_us());
	ok = c->n_used < c->limits.max;
	if (!ok) {
		c->counts.refused++;
	} else if (c->limits.per_peer && count_peer(c, &peer) >= c->limits.per_peer) {
		c->counts.refused_peer++;
		ok = false;
	}
	pthread_mutex_unlock(&c->lock);
	return ok;
}

static void enter(struct connections *c, struct slot *s, int fd, const struct in6_addr *peer)
{
	struct slot **bucket = bucket_of(c, peer);
	uint64_t now = time_mono_us();

	*s = (struct slot){ .fd = fd,
			    .state = STATE_HEADERS,
			    .since_us = now,
			    .request_us = now,
			    .peer = *peer,
			    .peer_next = *bucket,
			    .peer_link = bucket };
	if (*bucket)
		(*bucket)->peer_link = &s->peer_next;
	*bucket = s;
	c->n_used++;
}

void *connections_start(struct connections *c, int fd, const struct sockaddr *address)
{
	struct in6_addr peer = peer_of(address);
	struct slot *s;

	pthread_mutex_lock(&c->lock);
	s = c->free;
	if (s) {
		c->free = s->next_free;
		enter(c, s, fd, &peer);
	}
	pthread_mutex_unlock(&c->lock);
	return s;
}

static void change(struct connections *c, struct slot *s, enum state to)
{
	if (!s)
		return;
	pthread_mutex_lock(&c->lock);
	s->state = to;
	s->since_us = s->window_us = time_mono_us();
	__atomic_store_n(&s->bytes, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&c->lock);
}

void connections_request(struct connections *c, void *slot)
{
	struct slot *s = slot;

	/* The first one had its time from the start on. */
	if (!s || s->state != STATE_IDLE)
		return;
	change(c, s, STATE_HEADERS);
	s->request_us = s->since_us;
}

void connections_body(struct connections *c, void *slot)
{
	change(c, slot, STATE_BODY);
}

void connections_bytes(void *slot, size_t n)
{
	struct slot *s = slot;

	if (s)
		(void)__atomic_add_fetch(&s->bytes, n, __ATOMIC_RELAXED);
}

void connections_busy(struct connections *c, void *slot)
{
	change(c, slot, STATE_BUSY);
}

void connections_idle(struct connections *c, void *slot)
{
	change(c, slot, STATE_IDLE);
}

void connections_end(struct connections *c, void *slot)
{
	struct slot *s = slot;

	if (!s)
		return;
	pthread_mutex_lock(&c->lock);
	*s->peer_link = s->peer_next;
	if (s->peer_next)
		s->peer_next->peer_link = s->peer_link;
	s->state = STATE_FREE;
	s->next_free = c->free;
	c->free = s;
	c->n_used--;
	pthread_mutex_unlock(&c->lock);
}

void connections_counts(struct connections *c, struct connection_counts *ret)
{
	pthread_mutex_lock(&c->lock);
	*ret = c->counts;
	ret->open = c->n_used;
	pthread_mutex_unlock(&c->lock);
}
