/* SPDX-License-Identifier: Apache-2.0 */
/* Order of blocks over tiers, layouts of lanes and restarts; blocks that nobody takes. */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/macro.h"
#include "route/queue/queue.h"
#include "scratch.h"
#include "test.h"

#define LANES 4

static struct queue_options options(const char *directory)
{
	return (struct queue_options){
		.storage_path = directory,
		.destination = "dest",
		.node = "node-0",
		.memory = 1 << 20,
		.disk = 64 << 20,
		.segment = 1 << 20,
		.dead_letter = 1 << 20,
		.ack = QUEUE_ACK_DISK,
		.lanes = LANES,
	};
}

static struct queue *open_queue(const struct queue_options *o)
{
	struct queue *q = NULL;
	char why[256];

	if (queue_open(o, why, sizeof(why), &q) < 0)
		fail_msg("%s", why);
	return q;
}

/* @layout: lanes of which @lane is one; the number is in the payload and in enqueued_ms. */
static int append(struct queue *q, uint64_t number, uint16_t lane, unsigned layout, size_t size)
{
	_cleanup_(freep) uint8_t *payload = calloc(1, size);
	struct record r = { .enqueued_ms = (int64_t)number,
			    .samples = 1,
			    .series = 1,
			    .lane = lane,
			    .flags = (uint16_t)(layout << RECORD_LAYOUT_SHIFT),
			    .schema = RECORD_RW1,
			    .codec = RECORD_SNAPPY,
			    .payload = payload,
			    .payload_len = (uint32_t)size };

	memcpy(payload, &number, sizeof(number));
	return queue_append(q, &r);
}

static uint64_t number_of(const struct queue_block *b)
{
	uint64_t number;

	memcpy(&number, b->record.payload, sizeof(number));
	return number;
}

static uint64_t take_one(struct queue *q, uint32_t lane)
{
	struct queue_block *b = queue_take(q, lane, 0);
	uint64_t number;

	assert_non_null(b);
	number = number_of(b);
	queue_release(q, b);
	return number;
}

static char *segment(const char *directory, size_t at)
{
	char pattern[4096], *path;
	glob_t g;

	(void)snprintf(pattern, sizeof(pattern), "%s/queue/dest/node-0/*.seg", directory);
	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	assert_true(at < g.gl_pathc);
	path = strdup(g.gl_pathv[at]);
	globfree(&g);
	return path;
}

static void memory_does_not_overtake_disk(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = {};
	struct queue_options o;
	struct queue *q;
	uint64_t n = 0, next = 0;

	scratch_init(&scratch);
	o = options(scratch.path);
	o.ack = QUEUE_ACK_MEMORY;
	o.memory = 16 << 10;
	q = open_queue(&o);
	while (n < 40) /* some in memory, the rest on disk alone */
		assert_int_equal(append(q, n++, 0, 0, 1000), 0);
	while (next < 36) /* now all of the rest is loaded, and there is room in memory */
		assert_int_equal(take_one(q, 0), next++);
	while (n < 44)
		assert_int_equal(append(q, n++, 0, 0, 1000), 0);
	queue_close(q);
	q = open_queue(&o);
	while (next < n)
		assert_int_equal(take_one(q, 0), next++);
	assert_null(queue_take(q, 0, 0));
	queue_close(q);
}

static void layouts_follow_each_other(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = {};
	struct queue_options o;
	struct queue *q;
	struct queue_block *b;

	scratch_init(&scratch);
	o = options(scratch.path);
	for (int disk = 0; disk < 2; disk++) {
		o.lanes = LANES;
		o.ack = disk ? QUEUE_ACK_DISK : QUEUE_ACK_MEMORY;
		q = open_queue(&o);
		assert_int_equal(append(q, 0, 3, 4, 100), 0);
		assert_int_equal(append(q, 1, 1, 4, 100), 0);
		o.lanes = 6;
		queue_change(q, &o);
		assert_int_equal(append(q, 2, 5, 6, 100), 0);
		assert_int_equal(append(q, 3, 1, 4, 100), 0); /* a worker that was late */
		assert_int_equal(append(q, 4, 5, 6, 100), 0);
		assert_int_equal(queue_lanes(q), 4);
		b = queue_take(q, 3, 0);
		assert_non_null(b);
		assert_int_equal(take_one(q, 1), 1);
		for (uint32_t lane = 0; lane < 8;
		     lane++) /* one of the old ones is on the way still */
			assert_null(queue_take(q, lane, 0));
		queue_put_back(q, b);
		assert_null(queue_take(q, 5, 0));
		assert_int_equal(take_one(q, 3), 0);
		assert_int_equal(queue_lanes(q), 6);
		assert_null(queue_take(q, 1, 0));
		assert_int_equal(take_one(q, 5), 2);
		assert_null(queue_take(q, 5, 0));
		assert_int_equal(take_one(q, 1), 3);
		queue_close(q); /* and over a restart */
		q = open_queue(&o);
		assert_int_equal(append(q, 5, 2, 4, 100), 0);
		assert_null(queue_take(q, 2, 0));
		assert_int_equal(take_one(q, 5), 4);
		assert_int_equal(take_one(q, 2), 5);
		queue_close(q);
	}
}

static void a_full_queue_of_sent_blocks_is_emptied(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = {};
	struct queue_options o;
	_cleanup_(queue_closep) struct queue *q = NULL;

	scratch_init(&scratch);
	o = options(scratch.path);
	o.disk = o.segment = 1 << 20;
	q = open_queue(&o);
	for (uint64_t i = 0; i < 300; i++) {
		assert_int_equal(queue_reserve(q, 10000), 0);
		assert_int_equal(append(q, i, 0, 0, 10000), 0);
		queue_unreserve(q, 10000);
		assert_int_equal(take_one(q, 0), i);
	}
}

static void old_blocks_go_without_a_sender(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = {};
	struct queue_options o;
	_cleanup_(queue_closep) struct queue *q = NULL;
	struct queue_block *held;
	struct queue_stats s;

	scratch_init(&scratch);
	o = options(scratch.path);
	o.memory = 8 << 10; /* most of them on disk alone */
	o.max_age_us = 1000 * 1000;
	q = open_queue(&o);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(append(q, i * 100, (uint16_t)(i % LANES), 0, 1000), 0);
	held = queue_take(q, 0, 0);
	assert_non_null(held);
	assert_false(queue_expire(q, held, 900));
	queue_tick(q, 5050); /* what is from before 4050, but for the one on the way */
	queue_stats(q, &s);
	assert_int_equal(s.records[QUEUE_EXPIRED], 40);
	assert_int_equal(s.blocks, 60);
	assert_true(queue_expire(q, held, 5050));
	queue_stats(q, &s);
	assert_int_equal(s.records[QUEUE_EXPIRED], 41);
	assert_int_equal(take_one(q, 1), 4100);
	queue_tick(q, 1 << 20);
	queue_stats(q, &s);
	assert_int_equal(s.blocks, 0);
	assert_int_equal(s.records[QUEUE_EXPIRED] + s.records[QUEUE_SENT], 100);
}

static void a_damaged_head_keeps_its_records(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = {};
	struct queue_options o;
	_cleanup_(freep) char *path = NULL;
	struct queue_stats s;
	struct queue *q;
	int fd;

	scratch_init(&scratch);
	o = options(scratch.path);
	q = open_queue(&o);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(append(q, i, 0, 0, 100), 0);
	queue_close(q);
	path = segment(scratch.path, 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "damage", 6, 30), 6);
	(void)close(fd);
	q = open_queue(&o);
	queue_stats(q, &s);
	assert_int_equal(s.records[QUEUE_CORRUPT], 1);
	assert_int_equal(s.blocks, 5);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(take_one(q, 0), i);
	queue_close(q);
}

static void a_file_that_goes_is_counted(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = {};
	struct queue_options o;
	_cleanup_(freep) char *path = NULL;
	_cleanup_(queue_closep) struct queue *q = NULL;
	struct queue_block *b;
	struct queue_stats s;
	uint64_t last = 0, n = 0;

	scratch_init(&scratch);
	o = options(scratch.path);
	o.memory = 4 << 10;
	q = open_queue(&o);
	for (uint64_t i = 1; i <= 4000; i++)
		assert_int_equal(append(q, i, 0, 0, 1000), 0);
	path = segment(scratch.path, 2); /* behind what is loaded ahead */
	assert_int_equal(unlink(path), 0);
	while ((b = queue_take(q, 0, 0))) {
		assert_true(number_of(b) > last);
		last = number_of(b);
		queue_release(q, b);
		n++;
	}
	queue_stats(q, &s);
	assert_int_equal(last, 4000);
	assert_int_equal(s.blocks, 0);
	assert_in_range(n, 2000, 3999);
	assert_int_equal(s.records[QUEUE_CORRUPT] + n, 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_does_not_overtake_disk),
		cmocka_unit_test(layouts_follow_each_other),
		cmocka_unit_test(a_full_queue_of_sent_blocks_is_emptied),
		cmocka_unit_test(old_blocks_go_without_a_sender),
		cmocka_unit_test(a_damaged_head_keeps_its_records),
		cmocka_unit_test(a_file_that_goes_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
