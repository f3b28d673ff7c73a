/* SPDX-License-Identifier: Apache-2.0 */
/* The sending thread before a node in a process of its own, which says 204 to whatever comes. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/time.h"
#include "route/send/send.h"
#include "scratch.h"
#include "test.h"

#define BLOCKS 300
#define PATIENCE_MS 60000 /* far more than it takes, far less than a block a second */

static struct {
	struct scratch scratch;
	pid_t node;
	char url[64];
} f;

/* One request; false: the connection is closed. */
static bool answer(int fd)
{
	static const char good[] = "HTTP/1.1 204 No Content\r\n\r\n";
	static char request[65536];
	size_t len = 0, need = 0;

	while (!need || len < need) {
		ssize_t n = read(fd, request + len, sizeof(request) - 1 - len);
		const char *body, *field;

		if (n <= 0)
			return false;
		len += (size_t)n;
		request[len] = '\0';
		body = strstr(request, "\r\n\r\n");
		field = strstr(request, "Content-Length: ");
		if (!need && body && field)
			need = (size_t)(body + 4 - request) + strtoul(field + 16, NULL, 10);
	}
	return write(fd, good, sizeof(good) - 1) == (ssize_t)sizeof(good) - 1;
}

static void start_node(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)snprintf(f.url, sizeof(f.url), "http://127.0.0.1:%u/write", ntohs(a.sin_port));
	f.node = fork();
	if (f.node == 0) {
		for (;;) {
			int c = accept(fd, NULL, NULL);

			while (c >= 0 && answer(c))
				;
			(void)close(c);
		}
	}
	(void)close(fd);
}

static int set_up(void **state)
{
	(void)state;
	scratch_init(&f.scratch);
	start_node();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)kill(f.node, SIGKILL);
	(void)waitpid(f.node, NULL, 0);
	scratch_done(&f.scratch);
	return 0;
}

static struct queue *new_queue(void)
{
	const struct queue_options o = { .storage_path = f.scratch.path,
					 .destination = "d",
					 .node = "n",
					 .memory = 16 << 20,
					 .ack = QUEUE_ACK_MEMORY,
					 .lanes = 1,
					 .epoch = 7 };
	struct queue *q = NULL;
	char why[256];

	assert_int_equal(queue_open(&o, why, sizeof(why), &q), 0);
	return q;
}

/* GW-TX: a lane with blocks behind the one on the way goes on as soon as that one is stored; nothing comes that would wake it. */
static void a_full_lane_is_sent_without_pause(void **state)
{
	const struct send_options o = { .destination = "d",
					.node = "n",
					.url = f.url,
					.lanes = 1,
					.timeout_us = 30 * US_PER_SEC,
					.connect_timeout_us = 5 * US_PER_SEC,
					.retry_min_us = US_PER_MSEC,
					.retry_max_us = US_PER_SEC,
					.breaker_failures = 5,
					.breaker_successes = 1 };
	struct queue *q = new_queue();
	struct queue_stats waiting;
	struct sender_stats stats;
	struct senders *all;
	struct sender *node;

	(void)state;
	for (unsigned i = 0; i < BLOCKS; i++) {
		struct record r = { .samples = 2,
				    .series = 1,
				    .schema = RECORD_RW1,
				    .codec = RECORD_SNAPPY,
				    .extra = "",
				    .payload = (const uint8_t *)"bytes",
				    .payload_len = 5 };

		assert_int_equal(queue_append(q, &r), 0);
	}
	assert_int_equal(senders_new("gateway", 7, &all), 0);
	assert_int_equal(sender_add(all, &o, q, &node), 0);
	for (unsigned ms = 0; ms < PATIENCE_MS; ms += 10) {
		queue_stats(q, &waiting);
		if (!waiting.blocks)
			break;
		(void)usleep(10 * 1000);
	}
	assert_int_equal(waiting.blocks, 0);
	sender_stats(node, &stats);
	assert_int_equal(stats.successes, BLOCKS);
	assert_int_equal(stats.samples[SEND_FLOAT][SEND_SENT], 2 * BLOCKS);
	sender_remove(node);
	senders_free(all);
	queue_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_full_lane_is_sent_without_pause, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
