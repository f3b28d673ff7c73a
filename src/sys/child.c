/* SPDX-License-Identifier: Apache-2.0 */
/* One datagram comes back over a socket pair: the result, the data, and the descriptors as ancillary data. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "base/cleanup.h"
#include "sys/child.h"

#define WAIT_MS 120000

struct reply {
	int result;
	unsigned n_fds;
	char data[CHILD_DATA_MAX];
};

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * CHILD_FDS_MAX)];
};

static int send_reply(int socket, int result, const struct child_result *r)
{
	struct reply reply = { .result = result, .n_fds = (unsigned)r->n_fds };
	union control control = {};
	struct iovec vec = { &reply, offsetof(struct reply, data) + r->size };
	struct msghdr message = { .msg_iov = &vec, .msg_iovlen = 1 };

	memcpy(reply.data, r->data, r->size);
	if (r->n_fds > 0) {
		struct cmsghdr *c;

		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * r->n_fds);
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * r->n_fds);
		memcpy(CMSG_DATA(c), r->fds, sizeof(int) * r->n_fds);
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *message, struct child_result *r)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(message);

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return;
	r->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(r->fds, CMSG_DATA(c), sizeof(int) * r->n_fds);
}

static int receive_reply(int socket, struct child_result *r)
{
	struct reply reply;
	union control control = {};
	struct iovec vec = { &reply, sizeof(reply) };
	struct msghdr message = { .msg_iov = &vec,
				  .msg_iovlen = 1,
				  .msg_control = control.space,
				  .msg_controllen = sizeof(control.space) };
	struct pollfd p = { .fd = socket, .events = POLLIN };
	ssize_t n;
	int ready;

	do
		ready = poll(&p, 1, WAIT_MS);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return ready < 0 ? -errno : -ETIMEDOUT;
	n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	take_fds(&message, r);
	if ((size_t)n != offsetof(struct reply, data) + r->size || r->n_fds != reply.n_fds) {
		while (r->n_fds > 0)
			(void)close(r->fds[--r->n_fds]);
		return -EPIPE;
	}
	memcpy(r->data, reply.data, r->size);
	return reply.result;
}

int child_run(int (*fn)(void *ctx, struct child_result *r), void *ctx, struct child_result *r)
{
	int sockets[2], result;
	pid_t pid;

	r->n_fds = 0;
	if (r->size > CHILD_DATA_MAX)
		return -EINVAL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return fn(ctx, r);
	pid = fork();
	if (pid < 0) {
		(void)close(sockets[0]);
		(void)close(sockets[1]);
		return fn(ctx, r);
	}
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(sockets[0]);
		result = fn(ctx, r);
		_exit(send_reply(sockets[1], result, r) < 0);
	}
	(void)close(sockets[1]);
	result = receive_reply(sockets[0], r);
	(void)close(sockets[0]);
	(void)kill(pid, SIGKILL); /* it has said all, or will not */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return result;
}
