/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of the HTTP server that need its timeout to be short. */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include "base/time.h"
#include "http/server.h"
#include "test.h"

static void handle(struct http_request *q, void *ctx)
{
	(void)ctx;
	http_reply_text(q, 200, "here\n");
}

static const struct http_route routes[] = { { "GET", "/", HTTP_PUBLIC, handle, NULL }, {} };

static struct http_server *start(unsigned connections)
{
	const struct http_server_options o = { .listen_address = "127.0.0.1:0",
					       .web_config_file = "",
					       .connections_max = connections,
					       .timeout_s = 1,
					       .body_max = 4096 };
	struct http_server *s;
	char why[256] = "";

	assert_int_equal(http_server_new(&o, routes, why, sizeof(why), &s), 0);
	return s;
}

static int connect_to(const struct http_server *s)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(http_server_port(s)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static bool is_closed(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&p, 1, timeout_ms) > 0 && recv(fd, &byte, 1, 0) <= 0;
}

static bool answers(const struct http_server *s)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	int fd = connect_to(s);
	char text[256] = "";
	ssize_t n;

	(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
	n = recv(fd, text, sizeof(text) - 1, MSG_WAITALL);
	(void)close(fd);
	return n > 0 && strncmp(text, "HTTP/1.1 200", 12) == 0;
}

/* A byte now and then counts as life for the library. It is not: others want in. */
static void test_slow_clients_do_not_hold_the_room(void **state)
{
	struct http_server *s = start(4); /* two of one address */
	int slow[2] = { connect_to(s), connect_to(s) };
	struct http_server_stats stats;
	uint64_t end = time_mono_us() + 30 * US_PER_SEC;
	bool served = false, closed = false;

	while (!served && time_mono_us() < end) {
		for (unsigned i = 0; i < ARRAY_SIZE(slow); i++)
			(void)send(slow[i], "G", 1, MSG_NOSIGNAL);
		(void)poll(NULL, 0, 100);
		served = answers(s);
	}
	assert_true(served);
	for (unsigned i = 0; i < ARRAY_SIZE(slow); i++)
		closed |= is_closed(slow[i], 2000);
	assert_true(closed);
	http_server_stats(s, &stats);
	assert_true(stats.refused_connections > 0);
	for (unsigned i = 0; i < ARRAY_SIZE(slow); i++)
		(void)close(slow[i]);
	http_server_free(s);
}

/* Nothing of a request at all: closed by itself. */
static void test_silent_client_is_closed(void **state)
{
	struct http_server *s = start(4);
	int fd = connect_to(s);

	assert_true(is_closed(fd, 30000));
	(void)close(fd);
	http_server_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_clients_do_not_hold_the_room),
		cmocka_unit_test(test_silent_client_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
