/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected, and who has to go
 *
 * libmicrohttpd closes what exceeds its limits without telling, and counts a byte each 29 s as life: a few clients could
 * hold every connection for ever. So connections are counted here, at most half of them for one address, and whoever has
 * not brought a whole request within the timeout is cut off when the next one knocks.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/time.h"
#include "http/internal.h"

struct slot {
	int fd; /* negative: free */
	bool busy; /* its request is complete, the answer is being made */
	bool cut;
	uint64_t since_us; /* waits for a request since then */
	struct in6_addr peer;
};

struct connections {
	pthread_mutex_t lock;
	uint64_t timeout_us;
	unsigned max, n;
	struct slot slots[];
};

int connections_new(unsigned max, unsigned timeout_s, struct connections **ret)
{
	/* Between the question and the start of a connection another may come: a few more slots than asked for. */
	unsigned n = max + 16;
	struct connections *c = calloc(1, sizeof(*c) + n * sizeof(c->slots[0]));

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	c->max = max;
	c->n = n;
	c->timeout_us = timeout_s * US_PER_SEC;
	for (unsigned i = 0; i < n; i++)
		c->slots[i].fd = -EBADF;
	*ret = c;
	return 0;
}

struct connections *connections_free(struct connections *c)
{
	if (!c)
		return NULL;
	pthread_mutex_destroy(&c->lock);
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

/* Lock held. Its thread sees the end of the stream and closes it: never close() what another thread owns. */
static void cut_stale(struct connections *c, uint64_t now_us)
{
	for (unsigned i = 0; i < c->n; i++) {
		struct slot *s = &c->slots[i];

		if (s->fd < 0 || s->busy || s->cut || now_us - s->since_us <= c->timeout_us)
			continue;
		s->cut = true;
		(void)shutdown(s->fd, SHUT_RDWR);
	}
}

bool connections_admit(struct connections *c, const struct sockaddr *address)
{
	struct in6_addr peer = peer_of(address);
	unsigned all = 0, same = 0;

	pthread_mutex_lock(&c->lock);
	cut_stale(c, time_mono_us());
	for (unsigned i = 0; i < c->n; i++) {
		if (c->slots[i].fd < 0)
			continue;
		all++;
		same += memcmp(&c->slots[i].peer, &peer, sizeof(peer)) == 0;
	}
	pthread_mutex_unlock(&c->lock);
	return all < c->max && same < MAX(c->max / 2, 1U);
}

void *connections_start(struct connections *c, int fd, const struct sockaddr *address)
{
	struct slot *s = NULL;

	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < c->n && !s; i++)
		if (c->slots[i].fd < 0)
			s = &c->slots[i];
	if (s)
		*s = (struct slot){ .fd = fd,
				    .since_us = time_mono_us(),
				    .peer = peer_of(address) };
	pthread_mutex_unlock(&c->lock);
	return s;
}

void connections_busy(struct connections *c, void *slot, bool busy)
{
	struct slot *s = slot;

	if (!s)
		return;
	pthread_mutex_lock(&c->lock);
	s->busy = busy;
	s->since_us = time_mono_us();
	pthread_mutex_unlock(&c->lock);
}

void connections_end(struct connections *c, void *slot)
{
	struct slot *s = slot;

	if (!s)
		return;
	pthread_mutex_lock(&c->lock);
	s->fd = -EBADF;
	pthread_mutex_unlock(&c->lock);
}

unsigned connections_count(struct connections *c)
{
	unsigned n = 0;

	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < c->n; i++)
		n += c->slots[i].fd >= 0;
	pthread_mutex_unlock(&c->lock);
	return n;
}
