/* SPDX-License-Identifier: Apache-2.0 */
/* Listen addresses as Prometheus programs take them: ":9102", "127.0.0.1:9102", "[::1]:9102". */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include "base/parse.h"
#include "http/internal.h"

#define BACKLOG 128
#define SEND_BYTES \
	(256 * 1024) /* what the kernel keeps for a peer that does not read, doubled by it */

struct address {
	struct sockaddr_storage storage;
	socklen_t len;
	bool any; /* no host given: both families */
};

static int parse_address(const char *text, struct address *ret)
{
	const char *colon = strrchr(text, ':');
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->storage;
	char host[64];
	uint32_t port;
	size_t len;

	memset(ret, 0, sizeof(*ret));
	if (!colon || parse_u32(colon + 1, &port) < 0 || port > 65535)
		return -EINVAL;
	len = (size_t)(colon - text);
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	ret->any = len == 0;
	if (ret->any || inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		ret->len = sizeof(*v6);
		return 0;
	}
	if (streq(host, "localhost"))
		(void)snprintf(host, sizeof(host), "127.0.0.1");
	if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
		return -EINVAL;
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)port);
	ret->len = sizeof(*v4);
	return 0;
}

static int open_socket(const struct address *a)
{
	_cleanup_(closep) int fd =
		socket(a->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, zero = 0, bytes = SEND_BYTES;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Taken over by each connection. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	if (a->storage.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->any ? &zero : &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&a->storage, a->len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int http_listen(const char *address, char *why, size_t why_size)
{
	struct address a;
	int fd = parse_address(address, &a);

	if (fd < 0) {
		(void)snprintf(
			why, why_size,
			"listen address '%.100s' is not HOST:PORT or :PORT with a numeric host",
			address);
		return fd;
	}
	fd = open_socket(&a);
	if (a.any && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) { /* IPv6 is off */
		struct sockaddr_in v4 = { .sin_family = AF_INET,
					  .sin_port =
						  ((struct sockaddr_in6 *)&a.storage)->sin6_port };

		memset(&a.storage, 0, sizeof(a.storage));
		memcpy(&a.storage, &v4, sizeof(v4));
		a.len = sizeof(v4);
		fd = open_socket(&a);
	}
	if (fd == -EADDRINUSE)
		(void)snprintf(why, why_size, "listen address '%.100s' is taken", address);
	else if (fd < 0)
		(void)snprintf(why, why_size, "cannot listen on '%.100s': %s", address,
			       strerror(-fd));
	return fd;
}

uint16_t http_socket_port(int fd)
{
	struct sockaddr_storage s;
	socklen_t len = sizeof(s);

	if (getsockname(fd, (struct sockaddr *)&s, &len) < 0)
		return 0;
	return ntohs(s.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&s)->sin6_port
					     : ((struct sockaddr_in *)&s)->sin_port);
}
