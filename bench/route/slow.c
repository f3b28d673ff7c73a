/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that never finish
 *
 * Opens connections, begins a POST on each and goes on with one byte of its header a second each, reconnecting those that are closed, until it is
 * killed. `bench_slow ADDRESS PORT CONNECTIONS`. Prints "open" when all are.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PARTS 20U /* of a second */

static int open_client(const struct sockaddr_in *to)
{
	static const char begin[] = "POST /api/v1/write HTTP/1.1\r\nHost: slow\r\nX-Slow: ";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
	    send(fd, begin, sizeof(begin) - 1, MSG_NOSIGNAL) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static void step(int *fd, const struct sockaddr_in *to)
{
	if (*fd >= 0 && send(*fd, "x", 1, MSG_NOSIGNAL) == 1)
		return;
	if (*fd >= 0 && errno == EAGAIN)
		return;
	if (*fd >= 0)
		(void)close(*fd);
	*fd = open_client(to);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	const struct timespec pause = { 0, 1000000000 / PARTS };
	unsigned n;
	int *fds;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		(void)fprintf(stderr, "Usage: bench_slow ADDRESS PORT CONNECTIONS\n");
		return 2;
	}
	to.sin_port = htons((unsigned short)strtoul(argv[2], NULL, 10));
	n = (unsigned)strtoul(argv[3], NULL, 10);
	fds = calloc(n + 1, sizeof(*fds));
	if (!fds)
		return 1;
	for (unsigned i = 0; i < n; i++)
		fds[i] = open_client(&to);
	puts("open");
	(void)fflush(stdout);
	for (unsigned part = 0;; part = (part + 1) % PARTS) {
		for (unsigned i = part; i < n; i += PARTS)
			step(&fds[i], &to);
		(void)nanosleep(&pause, NULL);
	}
}
