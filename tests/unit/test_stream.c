/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/fs.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/time.h"
#include "event/stream.h"
#include "scratch.h"

static const struct http_route routes_of_stream[] = {
	{ "GET", "/events", 0, event_http_sse, NULL },
	{ "GET", "/api/v1/events", 0, event_http_query, NULL },
	{ "POST", "/api/v1/events/test", 0, event_http_test, NULL },
	{},
};

struct fixture {
	struct scratch dir;
	struct event_origin *origin;
	struct event_stream *stream;
	struct http_route routes[ARRAY_SIZE(routes_of_stream)];
	struct http_server *server;
	char journal[128], memory[EVENT_BYTES_MAX];
	unsigned seen; /* events of the last answer */
};

static struct fixture f;

static int setup(void **state)
{
	memset(&f, 0, sizeof(f));
	scratch_init(&f.dir);
	(void)snprintf(f.journal, sizeof(f.journal), "%s/j.db", f.dir.path);
	assert_int_equal(event_origin_new("node-1", "", &f.origin), 0);
	return 0;
}

static int teardown(void **state)
{
	http_server_free(f.server);
	event_stream_free(f.stream);
	event_origin_free(f.origin);
	scratch_done(&f.dir);
	return 0;
}

static void start(struct event_stream_options o)
{
	struct http_server_options server = { .listen_address = "127.0.0.1:0",
					      .web_config_file = "",
					      .connections_max = 16,
					      .timeout_s = 30,
					      .body_max = 4096 };
	char why[256] = "";

	if (!o.journal.path)
		o.journal.path = f.journal;
	o.clients_max = o.clients_max ? o.clients_max : 4;
	assert_int_equal(event_stream_new(&o, f.origin, &f.stream), 0);
	memcpy(f.routes, routes_of_stream, sizeof(f.routes));
	for (size_t i = 0; f.routes[i].path; i++)
		f.routes[i].ctx = f.stream;
	assert_int_equal(http_server_new(&server, f.routes, why, sizeof(why), &f.server), 0);
}

static int publish(const char *name, const char *namespace)
{
	struct event_buf b;

	event_buf_init(&b, f.memory, sizeof(f.memory));
	event_begin(&b, f.origin, name, SEVERITY_ERROR, time_wall_ns(), 1);
	event_str(&b, "k8s.namespace.name", namespace);
	b.keys.namespace = namespace;
	assert_int_equal(event_end(&b), 0);
	return event_publish(f.stream,
			     strncmp(name, "oom", 3) ? EVENT_CLASS_OTHER : EVENT_CLASS_OOM, &b);
}

static void publish_n(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		while (publish("oom.kill", "shop") == -EAGAIN)
			(void)poll(NULL, 0, 1);
	assert_int_equal(event_stream_flush(f.stream, 60000), 0);
}

/* --- a client of plain sockets --- */

static int ask(const char *method, const char *target, const char *header)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(http_server_port(f.server)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char request[512];
	int n = snprintf(
		request, sizeof(request),
		"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: 0\r\n\r\n",
		method, target, header);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(write(fd, request, (size_t)n), n);
	return fd;
}

static unsigned occurrences(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

/* Reads until @want has come @times, or the end; false at the end or after @ms. */
static bool read_until(int fd, struct strbuf *b, const char *want, unsigned times, int ms)
{
	const uint64_t until = time_mono_us() + (uint64_t)ms * US_PER_MSEC;
	unsigned n = 0;
	size_t at = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		static char piece[65536];
		const char *next;
		ssize_t got;

		while (want && (next = strstr(strbuf_str(b) + at, want))) {
			at = (size_t)(next - strbuf_str(b)) + strlen(want);
			if (++n == times)
				return true;
		}
		at = MAX(at, b->len > 64 ? b->len - 64 : 0);
		if (time_mono_us() > until || poll(&p, 1, ms) <= 0)
			return false;
		got = read(fd, piece, sizeof(piece));
		if (got <= 0)
			return false;
		strbuf_add(b, piece, (size_t)got);
	}
}

static const char *answer(const char *method, const char *target, struct strbuf *b)
{
	int fd = ask(method, target, "");

	strbuf_clear(b);
	(void)read_until(fd, b, NULL, 0, 20000);
	(void)close(fd);
	f.seen = occurrences(strbuf_str(b), "\"telamon.id\"");
	return strbuf_str(b);
}

static struct event_stream_stats stats(void)
{
	struct event_stream_stats s;

	event_stream_stats(f.stream, &s);
	return s;
}

/* --- tests --- */

static void test_query(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	start((struct event_stream_options){});
	assert_int_equal(publish("oom.kill", "shop"), 0);
	assert_int_equal(publish("runtime.alert", "shop"), 0);
	assert_int_equal(publish("oom.kill", "bank"), 0);
	assert_int_equal(event_stream_flush(f.stream, 60000), 0);
	assert_non_null(strstr(answer("GET", "/api/v1/events", &b), "application/x-ndjson"));
	assert_int_equal(f.seen, 3);
	(void)answer("GET", "/api/v1/events?type=oom&namespace=shop", &b);
	assert_int_equal(f.seen, 1);
	(void)answer("GET", "/api/v1/events?type=alert&since=1h&limit=5", &b);
	assert_int_equal(f.seen, 1);
	assert_non_null(strstr(answer("GET", "/api/v1/events?typo=1", &b), " 400 "));
	assert_non_null(strstr(strbuf_str(&b), "unknown parameter 'typo'"));
	assert_non_null(strstr(answer("GET", "/api/v1/events?limit=0", &b), " 400 "));
	assert_non_null(strstr(answer("GET", "/events?severity=x", &b), " 400 "));
	assert_non_null(strstr(answer("DELETE", "/api/v1/events", &b), " 405 "));
	assert_int_equal(stats().journaled, 3);
	assert_int_equal(stats().published, 3);
}

static void test_without_a_journal(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	start((struct event_stream_options){ .journal.path = "" });
	assert_int_equal(publish("oom.kill", "shop"), 0);
	assert_int_equal(event_stream_flush(f.stream, 60000), 0);
	assert_non_null(strstr(answer("GET", "/api/v1/events", &b), " 503 "));
	assert_int_equal(stats().journaled, 0);
}

static void test_live(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	int fd;

	start((struct event_stream_options){});
	publish_n(2);
	fd = ask("GET", "/events?namespace=shop", "");
	assert_true(read_until(fd, &b, ":\n\n", 1, 20000));
	assert_int_equal(publish("oom.kill", "bank"), 0);
	assert_int_equal(publish("oom.kill", "shop"), 0);
	assert_true(read_until(fd, &b, "data: {", 1, 20000));
	assert_non_null(strstr(strbuf_str(&b), "text/event-stream"));
	assert_non_null(strstr(strbuf_str(&b), "event: oom.kill\n"));
	assert_non_null(
		strstr(strbuf_str(&b), "-000004\n")); /* not what was before, not the bank's */
	assert_int_equal(stats().clients, 1);
	(void)close(fd);
}

/* From an id on, over the journal into live: each event once, in order. */
static void test_replay_goes_live(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	char header[64];
	int fd;

	start((struct event_stream_options){});
	publish_n(600);
	(void)snprintf(header, sizeof(header), "Last-Event-ID: %s-000100\r\n",
		       event_origin_start(f.origin));
	fd = ask("GET", "/events", header);
	assert_true(read_until(fd, &b, "data: {", 50, 20000));
	publish_n(200); /* less than what is held for a client */
	assert_true(read_until(fd, &b, "data: {", 700, 20000));
	(void)close(fd);
	for (unsigned n = 101; n <= 800; n++) {
		char id[40];

		(void)snprintf(id, sizeof(id), "\nid: %s-%06u\n", event_origin_start(f.origin), n);
		assert_int_equal(occurrences(strbuf_str(&b), id), 1);
	}
	assert_null(strstr(strbuf_str(&b), "telemetry.lost"));
	assert_null(strstr(strbuf_str(&b), "-000100\n"));
}

static void test_too_many_clients(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT, second = STRBUF_INIT;
	int fd;

	start((struct event_stream_options){ .clients_max = 1 });
	fd = ask("GET", "/events", "");
	assert_true(read_until(fd, &b, ":\n\n", 1, 20000));
	assert_non_null(strstr(answer("GET", "/events", &second), " 503 "));
	assert_int_equal(stats().clients_refused, 1);
	(void)close(fd);
}

/* A client that does not read loses events, is told how many, and holds up nobody. */
static void test_slow_client(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	char big[30000];
	int fd;
	uint64_t lost;
	const char *told;

	start((struct event_stream_options){});
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	fd = ask("GET", "/events", "");
	assert_true(read_until(fd, &b, ":\n\n", 1, 20000));
	for (unsigned i = 0; i < 1200; i++)
		while (publish("oom.kill", big) == -EAGAIN)
			(void)poll(NULL, 0, 1);
	assert_int_equal(event_stream_flush(f.stream, 60000), 0);
	lost = stats().client_overflows;
	assert_true(lost > 0);
	assert_int_equal(stats().journaled, 1200);
	assert_true(read_until(fd, &b, "telamon.lost.count", 1, 20000));
	assert_true(read_until(fd, &b, "data: {", (unsigned)(1200 - lost + 1), 20000));
	told = strstr(strbuf_str(&b), "telamon.lost.count\":");
	assert_int_equal(strtoull(told + strlen("telamon.lost.count\":"), NULL, 10), lost);
	(void)close(fd);
}

/* The file is refused growth: events wait, clients get them all the same, and all are journalled in the end. */
static void test_full_disk(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	struct rlimit before, small;
	struct event_stream_stats during;
	int fd, quiet, flushed, err = dup(STDERR_FILENO);
	bool live;

	(void)signal(SIGXFSZ, SIG_IGN);
	start((struct event_stream_options){});
	publish_n(10);
	fd = ask("GET", "/events", "");
	assert_true(read_until(fd, &b, ":\n\n", 1, 20000));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){ 4096, before.rlim_max };
	quiet = open(scratch_path(&f.dir, "stderr"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
		     0600);
	assert_true(quiet >= 0 && dup2(quiet, STDERR_FILENO) >= 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(publish("oom.kill", "full"), 0);
	live = read_until(fd, &b, "data: {", 20, 20000);
	during = stats();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	flushed = event_stream_flush(f.stream, 60000);
	assert_true(dup2(err, STDERR_FILENO) >= 0);
	(void)close(quiet);
	(void)close(err);
	assert_true(live);
	assert_int_equal(flushed, 0);
	assert_int_equal(during.journaled, 10);
	assert_true(during.journal_retries > 0 && during.journal_errors > 0);
	assert_int_equal(stats().journaled, 30);
	(void)answer("GET", "/api/v1/events", &b);
	assert_int_equal(f.seen, 30);
	(void)close(fd);
}

/* Kept as far as half of the queue goes, handed to everybody, counted when it goes: the queue never fills, nothing waits. */
static void test_journal_that_never_opens(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	int fd;

	start((struct event_stream_options){ .journal.path = "/dev/null/j.db" });
	fd = ask("GET", "/events", "");
	assert_true(read_until(fd, &b, ":\n\n", 1, 20000));
	for (unsigned i = 0; i < 8000; i++) {
		while (publish("guard.x", "shop") == -EAGAIN)
			(void)poll(NULL, 0, 1);
		if (i % 100 == 99)
			assert_true(read_until(fd, &b, "data: {", i + 1, 20000));
	}
	assert_int_equal(stats().published, 8000);
	assert_int_equal(stats().refused[EVENT_CLASS_OTHER], 0);
	assert_int_equal(stats().journaled, 0);
	assert_true(stats().journal_missed[EVENT_CLASS_OTHER] > 0 &&
		    stats().journal_missed[EVENT_CLASS_OTHER] < 8000);
	assert_int_equal(stats().journal_missed[EVENT_CLASS_OOM], 0);
	(void)close(fd);
}

/* OOM records that the journal never had are told on stderr, and counted as theirs. */
static void test_oom_on_stderr_alone(void **state)
{
	struct event_stream_stats end;
	int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC), err = dup(STDERR_FILENO);

	assert_true(quiet >= 0 && err >= 0);
	start((struct event_stream_options){ .journal.path = "/dev/null/j.db",
					     .queue_bytes = 65536 });
	assert_true(dup2(quiet, STDERR_FILENO) >= 0);
	for (unsigned i = 0; i < 1000; i++)
		while (publish("oom.kill", "shop") == -EAGAIN)
			(void)poll(NULL, 0, 1);
	for (unsigned i = 0; i < 5000 && !stats().journal_missed[EVENT_CLASS_OOM]; i++)
		(void)poll(NULL, 0, 1);
	end = stats();
	http_server_free(f.server);
	f.server = NULL;
	f.stream = event_stream_free(f.stream); /* tells the rest */
	assert_true(dup2(err, STDERR_FILENO) >= 0);
	(void)close(err);
	(void)close(quiet);
	assert_true(end.journal_missed[EVENT_CLASS_OOM] > 0);
	assert_int_equal(end.journal_missed[EVENT_CLASS_OTHER], 0);
}

/* Damage behind the writer's back: the file is set aside, row numbers go on, a live client misses nothing. */
static void test_damaged_journal(void **state)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	struct stat st;
	char noise[4096];
	int fd, file;

	start((struct event_stream_options){});
	publish_n(600);
	fd = ask("GET", "/events?since=1h", "");
	assert_true(read_until(fd, &b, "data: {", 600, 20000));
	http_server_free(f.server);
	f.server = NULL;
	(void)close(fd);
	f.stream = event_stream_free(f.stream); /* checkpoints */

	memset(noise, 0xa5, sizeof(noise));
	file = open(f.journal, O_WRONLY | O_CLOEXEC);
	assert_int_equal(fstat(file, &st), 0);
	for (off_t at = st.st_size / 4096 / 2 * 4096; at < st.st_size; at += 4096)
		assert_int_equal(pwrite(file, noise, sizeof(noise), at), sizeof(noise));
	(void)close(file);

	start((struct event_stream_options){});
	strbuf_clear(&b);
	publish_n(200);
	assert_int_equal(stats().journaled, 200);
	assert_int_equal(access(scratch_path(&f.dir, "j.db.corrupt-1"), F_OK), 0);
	(void)answer("GET", "/api/v1/events?limit=10000", &b);
	assert_int_equal(f.seen, 200);
}

static void test_sinks(void **state)
{
	static const char *const oom_only[] = { "oom", NULL };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[128], socket_path[100], text[8192];
	struct event_sink_config sinks[] = {
		{ .type = EVENT_SINK_FILE, .path = path, .types = oom_only, .n_types = 1 },
		{ .type = EVENT_SINK_JOURNALD, .path = socket_path },
		{ .type = EVENT_SINK_FILE, .path = "/proc/nowhere/file" },
	};
	_cleanup_(closep) int peer = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/events.jsonl", f.dir.path);
	(void)snprintf(socket_path, sizeof(socket_path), "%s/journald", f.dir.path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	assert_int_equal(bind(peer, (struct sockaddr *)&address, sizeof(address)), 0);
	start((struct event_stream_options){ .sinks = sinks, .n_sinks = ARRAY_SIZE(sinks) });
	publish_n(2);
	assert_int_equal(publish("runtime.alert", ""), 0);
	assert_int_equal(event_stream_flush(f.stream, 60000), 0);
	assert_true(fs_read_into(AT_FDCWD, path, text, sizeof(text)) > 0);
	assert_int_equal(occurrences(text, "\n"), 2);
	assert_int_equal(occurrences(text, "\"event.name\":\"oom.kill\""), 2);
	n = recv(peer, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(
		strstr(text, "SYSLOG_IDENTIFIER=telamon\nPRIORITY=3\nTELAMON_EVENT=oom.kill\n"));
	assert_non_null(strstr(text, "\nTELAMON_JSON={\"timestamp\""));
	assert_int_equal(stats().sink_written[EVENT_SINK_JOURNALD], 3);
	assert_int_equal(stats().sink_errors[EVENT_SINK_FILE], 3);

	/* Rotated away: a new file, nothing lost. */
	assert_int_equal(rename(path, scratch_path(&f.dir, "events.jsonl.1")), 0);
	publish_n(1);
	assert_true(fs_read_into(AT_FDCWD, path, text, sizeof(text)) > 0);
	assert_int_equal(occurrences(text, "\n"), 1);

	(void)answer("POST", "/api/v1/events/test", &b);
	assert_non_null(strstr(strbuf_str(&b), "{\"destination\":\"journal\""));
	assert_int_equal(occurrences(strbuf_str(&b), "\"result\":\"delivered\""), 2);
	assert_int_equal(occurrences(strbuf_str(&b), "\"result\":\"filtered\""), 1);
	assert_int_equal(occurrences(strbuf_str(&b), "\"result\":\"failed\""), 1);
}

static void test_journald_fields_cannot_be_forged(void **state)
{
	char socket_path[100], text[8192];
	struct event_sink_config sink = { .type = EVENT_SINK_JOURNALD, .path = socket_path };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_(closep) int peer = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct event_buf b;
	ssize_t n;

	(void)snprintf(socket_path, sizeof(socket_path), "%s/journald", f.dir.path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	assert_int_equal(bind(peer, (struct sockaddr *)&address, sizeof(address)), 0);
	start((struct event_stream_options){ .sinks = &sink, .n_sinks = 1 });
	event_buf_init(&b, f.memory, sizeof(f.memory));
	event_begin(&b, f.origin, "oom.kill", SEVERITY_INFO, time_wall_ns(), 1);
	b.keys.workload = "web\nPRIORITY=0\nMESSAGE=all is well";
	assert_int_equal(event_end(&b), 0);
	assert_int_equal(event_publish(f.stream, EVENT_CLASS_OOM, &b), 0);
	assert_int_equal(event_stream_flush(f.stream, 60000), 0);
	n = recv(peer, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	text[n] = '\0';
	assert_int_equal(occurrences(text, "\nPRIORITY="), 1);
	assert_non_null(strstr(text, "\nMESSAGE=oom.kill in web\\nPRIORITY=0\\n"));
}

/* The queue refuses, the caller keeps: nothing that was accepted is lost, what was not is counted. */
static void test_full_queue(void **state)
{
	uint64_t refused = 0;
	char big[20000];

	start((struct event_stream_options){ .queue_bytes = 1 << 17 });
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (unsigned i = 0; i < 300; i++)
		refused += publish("runtime.alert", big) == -EAGAIN;
	assert_int_equal(event_stream_flush(f.stream, 60000), 0);
	assert_int_equal(stats().refused[EVENT_CLASS_OTHER], refused);
	assert_int_equal(stats().journaled, 300 - refused);
	assert_int_equal(stats().refused[EVENT_CLASS_OOM], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_query),
		TEST(test_without_a_journal),
		TEST(test_live),
		TEST(test_replay_goes_live),
		TEST(test_too_many_clients),
		TEST(test_slow_client),
		TEST(test_full_disk),
		TEST(test_journal_that_never_opens),
		TEST(test_oom_on_stderr_alone),
		TEST(test_damaged_journal),
		TEST(test_sinks),
		TEST(test_journald_fields_cannot_be_forged),
		TEST(test_full_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
