/* SPDX-License-Identifier: Apache-2.0 */
/* Replay: queues as the gateway leaves them, sent to real sinks in processes of their own, which record each sample. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/time.h"
#include "cli/route.h"
#include "route/queue/queue.h"
#include "route/replay.h"
#include "route/wire/block.h"
#include "route/wire/sample_body.h"
#include "scratch.h"
#include "test.h"

#define SERIES 40
#define TS 1778573000000

struct fixture {
	struct scratch scratch;
	char queue[128], dead[128];
	pid_t sinks[2];
	uint16_t ports[2];
	char url[2][64], records[2][128];
};
static struct fixture f;
static char storage[64]; /* of f.scratch */

/* --- sinks --- */

static uint16_t free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	(void)close(fd);
	return ntohs(a.sin_port);
}

static bool answers(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr = { htonl(INADDR_LOOPBACK) },
				 .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	(void)close(fd);
	return good;
}

static void start_sink(unsigned i, const char *status)
{
	char listen[64];

	(void)snprintf(f.records[i], sizeof(f.records[i]), "%s/record-%u", storage, i);
	f.ports[i] = free_port();
	(void)snprintf(f.url[i], sizeof(f.url[i]), "http://127.0.0.1:%u/api/v1/write", f.ports[i]);
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", f.ports[i]);
	f.sinks[i] = fork();
	if (f.sinks[i] == 0) {
		char *argv[] = { (char *)"sink", (char *)"--listen",
				 listen,	 (char *)"--record",
				 f.records[i],	 (char *)"--status",
				 (char *)status, NULL };
		int null = open("/dev/null", O_WRONLY);

		(void)dup2(null, 1);
		(void)dup2(null, 2);
		_exit(cli_route_sink(7, argv));
	}
	for (int n = 0; n < 2000 && !answers(f.ports[i]); n++)
		(void)usleep(5000);
	assert_true(answers(f.ports[i]));
}

static void stop_sinks(void)
{
	for (unsigned i = 0; i < 2; i++)
		if (f.sinks[i]) {
			(void)kill(f.sinks[i], SIGTERM);
			(void)waitpid(f.sinks[i], NULL, 0);
			f.sinks[i] = 0;
		}
}

struct sample {
	uint64_t hash;
	int64_t ts;
	double value;
};

static size_t read_record(unsigned i, struct sample *ret, size_t max)
{
	_cleanup_(fclosep) FILE *file = fopen(f.records[i], "re");

	return file ? fread(ret, sizeof(*ret), max, file) : 0;
}

/* --- queues --- */

static struct queue *open_queue(void)
{
	const struct queue_options o = { .storage_path = f.scratch.path,
					 .destination = "d",
					 .node = "gone",
					 .memory = 1 << 20,
					 .disk = 64 << 20,
					 .segment = 1 << 20,
					 .dead_letter = 1 << 20,
					 .ack = QUEUE_ACK_DISK,
					 .lanes = 1,
					 .epoch = 7 };
	struct queue *q = NULL;
	char why[256];

	assert_int_equal(queue_open(&o, why, sizeof(why), &q), 0);
	return q;
}

static const struct sample_shape shape = { SAMPLE_BODY_MIXED, 0, 0 };

static void append(struct queue *q, unsigned number, enum rw_version version, enum rw_codec codec)
{
	_cleanup_(rw_encoder_freep) struct rw_encoder *encoder = rw_encoder_new();
	const struct rw_convert_options convert = {};
	uint64_t losses[_RW_LOSS_MAX] = {};
	struct rw_buf body = {};
	uint8_t *packed = NULL, *converted = NULL;
	size_t size = 0, len, raw_len;
	struct record r = { .enqueued_ms = TS,
			    .min_ts = TS + number * 1000,
			    .max_ts = TS + number * 1000,
			    .series = SERIES,
			    .samples = SERIES,
			    .schema = version == RW2 ? RECORD_RW2 : RECORD_RW1,
			    .codec = (uint8_t)codec };

	assert_true(sample_body_rw1(&shape, (uint64_t)number * SERIES, SERIES, r.min_ts, &body));
	raw_len = body.len;
	if (version == RW2)
		assert_int_equal(rw_body_convert(body.data, body.len, RW1, RW2, &convert,
						 &converted, &raw_len, losses),
				 0);
	assert_int_equal(rw_encode(encoder, codec, RW_SNAPPY_LIB, converted ? converted : body.data,
				   raw_len, &packed, &size, &len),
			 0);
	r.payload = packed;
	r.payload_len = (uint32_t)len;
	assert_int_equal(queue_append(q, &r), 0);
	free(packed);
	free(converted);
	rw_buf_done(&body);
}

/* Blocks 0, 1 and 2 in both versions and encodings. */
static void fill(void)
{
	struct queue *q = open_queue();

	append(q, 0, RW1, RW_CODEC_SNAPPY);
	append(q, 1, RW2, RW_CODEC_SNAPPY);
	append(q, 2, RW1, RW_CODEC_ZSTD);
	queue_close(q);
}

static uint64_t hash_of(uint64_t i, struct rw_label *labels, uint32_t *ret_n)
{
	static char text[SAMPLE_BODY_TEXT_MAX];
	static uint8_t canon[65536];

	*ret_n = sample_body_labels(&shape, i, labels, text);
	return XXH3_64bits(canon, rw_canon(labels, *ret_n, canon, sizeof(canon)));
}

/* The first segment of the queue: its path, or with @ending another name. */
static void segment_path(char *ret, size_t size, const char *ending)
{
	(void)snprintf(ret, size, "%s/%016llx.seg%s", f.queue, 1ULL << 32, ending);
}

static bool is_done(void)
{
	char done[4300], open_one[4300];
	struct stat st;

	segment_path(done, sizeof(done), ".done");
	segment_path(open_one, sizeof(open_one), "");
	return stat(done, &st) == 0 && stat(open_one, &st) < 0;
}

/* Each sample of the blocks [first, end) once, in the record of one of the sinks. */
static void assert_recorded(unsigned first, unsigned end)
{
	static struct sample samples[2048];
	size_t n = read_record(0, samples, 1024);
	struct rw_label labels[SAMPLE_BODY_LABELS_MAX];
	uint32_t n_labels;

	n += read_record(1, samples + n, 1024);
	assert_int_equal(n, (end - first) * SERIES);
	for (uint64_t i = (uint64_t)first * SERIES; i < (uint64_t)end * SERIES; i++) {
		uint64_t hash = hash_of(i, labels, &n_labels);
		int64_t ts = TS + (int64_t)(i / SERIES) * 1000;
		unsigned found = 0;

		for (size_t k = 0; k < n; k++)
			found += samples[k].hash == hash && samples[k].ts == ts &&
				 samples[k].value == sample_body_value(&shape, i, ts);
		assert_int_equal(found, 1);
	}
}

static int set_up(void **state)
{
	(void)state;
	f = (struct fixture){};
	scratch_init(&f.scratch);
	memcpy(storage, f.scratch.path, sizeof(storage));
	(void)snprintf(f.queue, sizeof(f.queue), "%s/queue/d/gone", storage);
	(void)snprintf(f.dead, sizeof(f.dead), "%s/queue/d/gone/dead", storage);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stop_sinks();
	scratch_done(&f.scratch);
	return 0;
}

static struct replay_options to_url(void)
{
	return (struct replay_options){ .directory = f.queue,
					.url = f.url[0],
					.from_ms = INT64_MIN,
					.until_ms = INT64_MAX,
					.patience_us = 300000 };
}

/* --- to a URL --- */

static void each_sample_arrives_once(void **state)
{
	struct replay_options o = to_url();
	struct replay_result r;

	(void)state;
	fill();
	start_sink(0, "204");
	o.url = f.url[0];
	assert_int_equal(replay_run(&o, &r), 0);
	assert_int_equal(r.blocks, 3);
	assert_int_equal(r.samples, 3 * SERIES);
	assert_int_equal(r.refused + r.damaged + r.skipped, 0);
	assert_int_equal(r.done, 1);
	assert_true(is_done());
	/* Nothing is sent twice. */
	assert_int_equal(replay_run(&o, &r), 0);
	assert_int_equal(r.segments, 0);
	stop_sinks();
	assert_recorded(0, 3);
}

static void dry_run_changes_nothing(void **state)
{
	struct replay_options o = to_url();
	struct replay_result r;

	(void)state;
	fill();
	o.url = NULL;
	o.dry_run = true;
	assert_int_equal(replay_run(&o, &r), 0);
	assert_int_equal(r.samples, 3 * SERIES);
	assert_int_equal(r.done, 0);
	assert_false(is_done());
}

static void times_select_blocks(void **state)
{
	struct replay_options o = to_url();
	struct replay_result r;

	(void)state;
	fill();
	start_sink(0, "204");
	o.url = f.url[0];
	o.from_ms = TS + 500;
	o.until_ms = TS + 1000;
	assert_int_equal(replay_run(&o, &r), 0);
	assert_int_equal(r.blocks, 1);
	assert_int_equal(r.skipped, 2);
	assert_false(is_done()); /* two blocks wait */
	stop_sinks();
	assert_recorded(1, 2);
}

static void refused_is_not_done(void **state)
{
	struct replay_options o = to_url();
	struct replay_result r;

	(void)state;
	fill();
	start_sink(0, "403");
	o.url = f.url[0];
	assert_int_equal(replay_run(&o, &r), 0);
	assert_int_equal(r.refused, 3);
	assert_int_equal(r.done, 0);
	assert_non_null(strstr(r.why, "403"));
	assert_false(is_done());
}

static void unreachable_ends_it(void **state)
{
	struct replay_options o = to_url();
	struct replay_result r;

	(void)state;
	fill();
	(void)snprintf(f.url[0], sizeof(f.url[0]), "http://127.0.0.1:%u/", free_port());
	assert_int_equal(replay_run(&o, &r), -ETIMEDOUT);
	assert_int_equal(r.blocks, 0);
	assert_true(*r.why);
	assert_false(is_done());
}

/* --- the state of the queue --- */

static void a_queue_in_use_is_left_alone(void **state)
{
	struct replay_options o = to_url();
	struct replay_result r;
	struct queue *q;

	(void)state;
	fill();
	q = open_queue();
	assert_int_equal(replay_run(&o, &r), -EBUSY);
	assert_non_null(strstr(r.why, "in use by process"));
	queue_close(q);
	assert_false(is_done());
}

static void what_was_sent_is_skipped(void **state)
{
	struct replay_options o = to_url();
	struct replay_result r;
	struct queue *q;

	(void)state;
	fill();
	q = open_queue();
	queue_release(q, queue_take(q, 0, TS));
	queue_close(q);
	start_sink(0, "204");
	o.url = f.url[0];
	assert_int_equal(replay_run(&o, &r), 0);
	assert_int_equal(r.blocks, 2);
	assert_int_equal(r.skipped, 1);
	assert_true(is_done());
	stop_sinks();
	assert_recorded(1, 3);
}

static void damage_is_counted(void **state)
{
	struct replay_options o = to_url();
	struct replay_result r;
	char path[4300];
	uint8_t byte;
	int fd;

	(void)state;
	fill();
	segment_path(path, sizeof(path), "");
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, SEGMENT_HEADER + RECORD_HEADER + 20), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, SEGMENT_HEADER + RECORD_HEADER + 20), 1);
	(void)close(fd);
	start_sink(0, "204");
	o.url = f.url[0];
	assert_int_equal(replay_run(&o, &r), 0);
	assert_int_equal(r.damaged, 1);
	assert_int_equal(r.blocks, 2);
	stop_sinks();
	assert_recorded(1, 3);
}

static void dead_letters(void **state)
{
	struct replay_options o = to_url();
	struct replay_result r;
	struct queue_block *b;
	struct queue *q;

	(void)state;
	fill();
	start_sink(0, "204"); /* before the queue is open: a fork would hold its lock, too */
	q = open_queue();
	b = queue_take(q, 0, TS);
	assert_int_equal(queue_dead_letter(q, b, NULL, 400, "refused", "up{}"), 0);
	o.url = f.url[0];
	o.directory = f.dead;
	assert_int_equal(replay_run(&o, &r), -EBUSY); /* they are the queue's, too */
	queue_close(q);
	assert_int_equal(replay_run(&o, &r), 0);
	assert_int_equal(r.blocks, 1);
	assert_int_equal(r.done, 1);
	stop_sinks();
	assert_recorded(0, 1);
}

/* --- to a destination --- */

static void each_series_goes_to_its_node(void **state)
{
	struct rw_label labels[SAMPLE_BODY_LABELS_MAX];
	static struct sample samples[1024];
	static struct diags errors, warnings;
	static uint8_t scratch[65536];
	struct route_config *config = NULL;
	struct snapshot *s = NULL;
	struct replay_options o = to_url();
	struct replay_result r;
	char text[1024], why[256];
	uint32_t n_labels;

	(void)state;
	fill();
	start_sink(0, "204");
	start_sink(1, "204");
	(void)snprintf(
		text, sizeof(text),
		"destinations:\n- {name: d, nodes: [{name: a, url: '%s'}, {name: b, url: '%s'}]}\n"
		"routes:\n- {name: r, destination: d}\n",
		f.url[0], f.url[1]);
	assert_int_equal(route_config_parse(text, strlen(text), "t", &errors, &config), 0);
	assert_int_equal(snapshot_new(config, NULL, &warnings, why, sizeof(why), &s), 0);
	o.url = NULL;
	o.snapshot = s;
	o.destination = &s->destinations[0];
	assert_int_equal(replay_run(&o, &r), 0);
	assert_string_equal(r.refused ? r.why : "", "");
	assert_int_equal(r.samples, 3 * SERIES);
	assert_true(is_done());
	stop_sinks();
	assert_recorded(0, 3);
	for (unsigned node = 0; node < 2; node++) {
		size_t n = read_record(node, samples, 1024);

		assert_true(n > SERIES); /* about half of them */
		for (uint64_t i = 0; i < (uint64_t)3 * SERIES; i++) {
			uint64_t hash = hash_of(i, labels, &n_labels);
			struct placement p = destination_place(o.destination, NULL, labels,
							       n_labels, (struct rw_span){},
							       scratch, sizeof(scratch));
			bool here = false;

			for (size_t k = 0; k < n; k++)
				here |= samples[k].hash == hash;
			assert_int_equal(here, destination_node(o.destination, &p, 0, labels,
								n_labels) == node);
		}
	}
	snapshot_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_sample_arrives_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dry_run_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(times_select_blocks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refused_is_not_done, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unreachable_ends_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_queue_in_use_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_sent_is_skipped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(damage_is_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dead_letters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_series_goes_to_its_node, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
