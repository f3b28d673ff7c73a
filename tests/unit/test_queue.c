/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include "event/internal.h"
#include "test.h"

static char json_memory[EVENT_BYTES_MAX];

/* An event with @len bytes of JSON, told apart by @sequence. */
static struct event_buf event(uint64_t sequence, size_t len)
{
	struct event_buf b = { .keys = { .name = "oom.kill",
					 .severity = 17,
					 .wall_ns = 5,
					 .sequence = sequence,
					 .namespace = "shop",
					 .cgroup = "/a",
					 .pid = 42 } };

	strbuf_init_fixed(&b.json, json_memory, sizeof(json_memory));
	memset(json_memory, 'a' + (int)(sequence % 26), len);
	b.json.len = len;
	return b;
}

static void test_fields(void **state)
{
	struct queue q;
	struct event_buf b = event(7, 30);
	struct event_keys k;
	struct queued *e;
	size_t position;

	assert_int_equal(queue_init(&q, 4096), 0);
	assert_true(queue_empty(&q));
	position = queue_first(&q);
	assert_null(queue_next(&q, &position));
	assert_int_equal(queue_put(&q, &b, 99), 0);
	assert_false(queue_empty(&q));
	e = queue_next(&q, &position);
	assert_non_null(e);
	queued_keys(e, &k);
	assert_string_equal(k.name, "oom.kill");
	assert_string_equal(k.namespace, "shop");
	assert_string_equal(k.cgroup, "/a");
	assert_string_equal(k.pod, "");
	assert_string_equal(k.container_id, "");
	assert_int_equal(k.severity, 17);
	assert_int_equal(k.sequence, 7);
	assert_int_equal(k.wall_ns, 5);
	assert_int_equal(k.pid, 42);
	assert_int_equal(e->boot_ns, 99);
	assert_int_equal(e->json_len, 30);
	assert_memory_equal(queued_json(e), "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhh", 31);
	assert_null(queue_next(&q, &position));
	assert_false(queue_empty(&q)); /* until it is taken */
	queue_advance(&q, position);
	assert_true(queue_empty(&q));
	queue_done(&q);
}

/* Full, refused, drained, many times around the ring and with every alignment of the end. */
static void test_wrap(void **state)
{
	uint64_t put = 0, taken = 0;
	struct queue q;

	assert_int_equal(queue_init(&q, 2048), 0);
	for (unsigned round = 0; round < 2000; round++) {
		size_t position = queue_first(&q);
		struct queued *e;

		for (;;) {
			struct event_buf b = event(put, 1 + (put * 37) % 300);

			if (queue_put(&q, &b, 0) < 0)
				break;
			put++;
		}
		for (unsigned n = 0; n < 1 + round % 5 && (e = queue_next(&q, &position)); n++) {
			assert_int_equal(e->sequence, taken);
			assert_int_equal(e->json_len, 1 + (taken * 37) % 300);
			for (size_t i = 0; i < e->json_len; i++)
				assert_int_equal(queued_json(e)[i], 'a' + (int)(taken % 26));
			taken++;
		}
		queue_advance(&q, position);
		assert_true(put - taken < 40);
	}
	assert_true(taken > 4000);
	queue_done(&q);
}

static void test_full(void **state)
{
	struct queue q;
	struct event_buf b = event(1, 4096);

	assert_int_equal(queue_init(&q, 4096), 0);
	assert_int_equal(queue_put(&q, &b, 0), -EAGAIN); /* never fits */
	assert_true(queue_empty(&q));
	b = event(1, 1900);
	assert_int_equal(queue_put(&q, &b, 0), 0);
	assert_int_equal(queue_put(&q, &b, 0), 0);
	assert_int_equal(queue_put(&q, &b, 0), -EAGAIN);
	queue_done(&q);
}

#define STREAM_EVENTS 20000

static void *produce(void *arg)
{
	static char memory[256];
	struct event_buf b = { .keys = { .name = "n" } };

	strbuf_init_fixed(&b.json, memory, sizeof(memory));
	memset(memory, 'x', sizeof(memory));
	for (uint64_t i = 0; i < STREAM_EVENTS;) {
		b.keys.sequence = i;
		b.json.len = 1 + i % 200;
		if (queue_put(arg, &b, 0) == 0)
			i++;
		else
			sched_yield();
	}
	return NULL;
}

/* One producer, one consumer, no lock: nothing is lost, doubled or torn. */
static void test_two_threads(void **state)
{
	struct queue q;
	pthread_t thread;
	uint64_t next = 0;

	assert_int_equal(queue_init(&q, 8192), 0);
	assert_int_equal(pthread_create(&thread, NULL, produce, &q), 0);
	while (next < STREAM_EVENTS) {
		size_t position = queue_first(&q);
		struct queued *e;

		while ((e = queue_next(&q, &position))) {
			assert_int_equal(e->sequence, next);
			assert_int_equal(e->json_len, 1 + next % 200);
			next++;
		}
		queue_advance(&q, position);
		sched_yield();
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(queue_empty(&q));
	queue_done(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
