/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of one node: order, limits, restart; counts that add up. */
#include "queue_world.h"

#include <sys/mount.h>

static void order_in_memory_and_on_disk(void **state)
{
	for (int ack = 0; ack <= QUEUE_ACK_FSYNC; ack++)
		for (size_t memory = 1 << 14; memory <= 4 << 20; memory <<= 8) {
			_cleanup_(scratch_done) struct scratch scratch = new_scratch();
			const char *dir = scratch.path;
			struct queue_options o = options(dir);
			_cleanup_(queue_closep) struct queue *q = NULL;
			bool seen[500] = {};

			o.ack = (enum queue_ack)ack;
			o.memory = memory;
			o.segment = 1 << 16;
			q = open_queue(&o);
			for (uint64_t i = 0; i < 500; i++)
				assert_int_equal(append(q, i, (uint16_t)(i * 7 % 4), PAYLOAD), 0);
			check_sum(q);
			assert_int_equal(drain(q, seen, 500), 500);
			check_sum(q);
			/* What is sent is gone at once, but for the file that is written. */
			assert_true(count_files(dir, "*.seg") <= 1);
			assert_int_equal(count_files(dir, "*.sent"), 0);
		}
}

static void a_block_is_retried_before_its_lane(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	_cleanup_(queue_closep) struct queue *q = NULL;
	struct queue_block *b;

	o.memory = 1 << 16;
	q = open_queue(&o);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(append(q, i, 1, PAYLOAD), 0);
	for (int round = 0; round < 3; round++) {
		b = queue_take(q, 1, 0);
		assert_int_equal(number_of(b), 0);
		queue_put_back(q, b);
	}
	b = queue_take(q, 1, 0);
	queue_release(q, b);
	b = queue_take(q, 1, 0);
	assert_int_equal(number_of(b), 1);
	queue_put_back(q, b);
	assert_null(queue_take(q, 0, 0));
}

/* A process that dies keeps nothing in memory: what was acknowledged is there afterwards. */
static void killed(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	bool seen[300] = {};
	pid_t child;
	int status;

	o.segment = 1 << 16;
	o.memory = 1 << 16;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct queue *q = open_queue(&o);

		for (uint64_t i = 0; i < 300; i++)
			if (append(q, i, (uint16_t)(i % 4), PAYLOAD) < 0)
				_exit(1);
		for (int i = 0; i < 100; i++) /* 100 are sent, most of them known to the cursor */
			queue_release(q, queue_take(q, (uint32_t)i % 4, 0));
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	{
		_cleanup_(queue_closep) struct queue *q = open_queue(&o);
		size_t n = drain(q, seen, 300);

		assert_in_range(n, 200, 200 + 64);
		for (size_t i = 100; i < 300; i++)
			assert_true(seen[i]);
		check_sum(q);
	}
}

static void memory_goes_to_disk_at_close(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	bool seen[200] = {};

	o.ack = QUEUE_ACK_MEMORY;
	o.memory = 100 * (PAYLOAD + 256);
	{
		_cleanup_(queue_closep) struct queue *q = open_queue(&o);

		for (uint64_t i = 0; i < 200; i++)
			assert_int_equal(append(q, i, (uint16_t)(i % 4), PAYLOAD), 0);
		assert_int_equal(number_of(queue_take(q, 0, 0)),
				 0); /* in flight at the close: not sent */
	}
	{
		_cleanup_(queue_closep) struct queue *q = open_queue(&o);

		assert_int_equal(drain(q, seen, 200), 200);
	}
}

static void full_blocks(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	_cleanup_(queue_closep) struct queue *q = NULL;
	bool seen[1000] = {};
	uint64_t n = 0;

	o.disk = 100 << 10;
	o.segment = 10 << 10;
	q = open_queue(&o);
	while (queue_reserve(q, PAYLOAD + 200) == 0) {
		assert_int_equal(append(q, n++, 0, PAYLOAD), 0);
		queue_unreserve(q, PAYLOAD + 200);
		assert_true(n < 1000);
	}
	assert_in_range(n, 80, 95);
	assert_int_equal(queue_reserve(q, PAYLOAD + 200), -EAGAIN);
	assert_int_equal(drain(q, seen, n), n);
	assert_int_equal(queue_reserve(q, PAYLOAD + 200), 0);
}

static void fill_up(const char *directory)
{
	char path[600], page[4096] = "";
	int fd;

	(void)snprintf(path, sizeof(path), "%s/others", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, page, sizeof(page)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	(void)close(fd);
}

/* What was reserved is written, though others took all of the device meanwhile (GW-RX-5). */
static void reservations_are_real(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	_cleanup_(ballast_freep) struct ballast *ballast = NULL;
	struct queue_options o[2] = { options(dir), options(dir) };
	struct queue *q[2];
	struct queue_stats s;
	const uint64_t bytes = 200 << 10;

	if (mount("tmpfs", dir, "tmpfs", 0, "size=2m") < 0)
		skip(); /* only root may */
	assert_int_equal(ballast_new(dir, &ballast), 0);
	o[1].node = "node-1";
	for (unsigned i = 0; i < 2; i++) {
		o[i].ballast = ballast;
		o[i].memory = 64 << 10;
		q[i] = open_queue(&o[i]);
		assert_int_equal(queue_reserve(q[i], bytes), 0);
	}
	fill_up(dir);
	for (unsigned i = 0; i < 2; i++) {
		/* More than was promised does not fit: told now, not when it is written. */
		assert_int_equal(queue_reserve(q[i], 1 << 20), -EAGAIN);
		for (uint64_t n = 0; n < 20; n++)
			assert_int_equal(append(q[i], n, (uint16_t)(n % 4), 10 << 10), 0);
		queue_unreserve(q[i], bytes);
		queue_stats(q[i], &s);
		assert_int_equal(s.records[QUEUE_ENQUEUED], 20);
		assert_int_equal(s.errors[QUEUE_NOSPACE], 1);
	}
	for (unsigned i = 0; i < 2; i++)
		queue_close(q[i]);
	ballast = ballast_free(ballast);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

/* It holds what is promised at a time, not what has passed; after a while it gives back. */
static void ballast_follows_the_need(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	_cleanup_(ballast_freep) struct ballast *b = NULL;

	(void)state;
	assert_int_equal(ballast_new(scratch.path, &b), 0);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(ballast_reserve(b, 1 << 20));
		ballast_unreserve(b, 1 << 20);
	}
	assert_in_range(ballast_size(b), 1 << 20, 4 << 20);
	assert_true(ballast_reserve(b, 64 << 20));
	assert_true(ballast_size(b) >= 64 << 20);
	ballast_unreserve(b, 64 << 20);
	for (unsigned i = 0; i < 200; i++)
		ballast_tick(b);
	assert_true(ballast_size(b) <= 1 << 20);
}

static void full_drops_oldest(void **state)
{
	for (int disk = 0; disk < 2; disk++) {
		_cleanup_(scratch_done) struct scratch scratch = new_scratch();
		const char *dir = scratch.path;
		struct queue_options o = options(dir);
		_cleanup_(queue_closep) struct queue *q = NULL;
		struct queue_block *flying;
		struct queue_stats s;
		bool seen[500] = {};
		size_t left;

		o.full = QUEUE_FULL_DROP_OLDEST;
		o.disk = disk ? 100 << 10 : 0;
		o.memory = disk ? 20 << 10 : 100 << 10;
		o.segment = 10 << 10;
		q = open_queue(&o);
		assert_int_equal(append(q, 0, 0, PAYLOAD), 0);
		flying = queue_take(q, 0, 0);
		for (uint64_t i = 1; i < 500; i++) {
			assert_int_equal(queue_reserve(q, PAYLOAD + 200), 0);
			assert_int_equal(append(q, i, (uint16_t)(i % 4), PAYLOAD), 0);
			queue_unreserve(q, PAYLOAD + 200);
		}
		check_sum(q);
		queue_release(q, flying); /* what is on the way is not dropped */
		left = drain(q, seen, 500);
		queue_stats(q, &s);
		assert_int_equal(s.records[QUEUE_DROPPED] + left + 1, 500);
		assert_int_equal(s.samples[QUEUE_DROPPED], 2 * s.records[QUEUE_DROPPED]);
		for (size_t i = 500 - left; i < 500; i++)
			assert_true(seen[i]); /* the newest are there */
		check_sum(q);
	}
}

static void full_drops_newest(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	struct queue_options o = options(scratch.path);
	_cleanup_(queue_closep) struct queue *q = NULL;

	o.full = QUEUE_FULL_DROP_NEWEST;
	o.disk = 10 << 10;
	q = open_queue(&o);
	assert_int_equal(queue_reserve(q, 9 << 10), 0);
	assert_int_equal(queue_reserve(q, 9 << 10), 1);
	queue_unreserve(q, 9 << 10);
	assert_int_equal(queue_reserve(q, 9 << 10), 0);
}

static void old_blocks_expire(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	struct queue_options o = options(scratch.path);
	_cleanup_(queue_closep) struct queue *q = NULL;
	struct queue_stats s;
	struct queue_block *b;

	o.max_age_us = 50000; /* 50 ms */
	q = open_queue(&o);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(append(q, i, 0, PAYLOAD), 0);
	b = queue_take(q, 0, 100);
	assert_int_equal(number_of(b), 50);
	queue_put_back(q, b);
	queue_stats(q, &s);
	assert_int_equal(s.samples[QUEUE_EXPIRED], 100);
	check_sum(q);
}

static void dead_letters(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	_cleanup_(queue_closep) struct queue *q = NULL;
	struct queue_stats s;
	char line[512] = "", path[4096];
	FILE *f;

	q = open_queue(&o);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(append(q, i, 0, PAYLOAD), 0);
	assert_int_equal(queue_dead_letter(q, queue_take(q, 0, 0), NULL, 400, "bad \"sample\"",
					   "up{job=\"x\"}"),
			 0);
	(void)snprintf(path, sizeof(path), "%s/queue/dest/node-0/dead/index.jsonl", dir);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	(void)fclose(f);
	assert_non_null(strstr(line, "\"status\":400"));
	assert_non_null(strstr(
		line, "\"reason\":\"bad \\\"sample\\\"\",\"series\":\"up{job=\\\"x\\\"}\"}"));
	queue_stats(q, &s);
	assert_int_equal(s.records[QUEUE_DEAD], 1);
	assert_true(s.dead_bytes > PAYLOAD);
	check_sum(q);
}

static void dead_letters_are_bounded(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	struct queue_options o = options(scratch.path);
	_cleanup_(queue_closep) struct queue *q = NULL;
	struct queue_stats s;

	o.dead_letter = 3 << 20;
	q = open_queue(&o);
	for (uint64_t i = 0; i < 60; i++) {
		assert_int_equal(append(q, i, 0, 100000), 0);
		assert_int_equal(queue_dead_letter(q, queue_take(q, 0, 0), NULL, 400, "no", ""), 0);
	}
	queue_stats(q, &s);
	assert_true(s.dead_bytes <= o.dead_letter);
	assert_true(s.records[QUEUE_DEAD_DROPPED] > 0);
	assert_int_equal(s.records[QUEUE_DEAD], 60);
}

static void one_process_at_a_time(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	_cleanup_(queue_closep) struct queue *q = open_queue(&o);
	struct queue *other = NULL;
	char why[256], pid[32];

	assert_int_equal(queue_open(&o, why, sizeof(why), &other), -EBUSY);
	(void)snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_non_null(strstr(why, pid));
	assert_null(other);
}

static void count_orphan(void *ctx, const char *destination, const char *node, uint64_t bytes)
{
	assert_string_equal(destination, "dest");
	assert_string_equal(node, "node-0");
	assert_true(bytes > PAYLOAD);
	++*(int *)ctx;
}

static void orphans(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	const char *known[] = { "dest/node-0" }, *others[] = { "dest/node-1" };
	int n = 0;

	{
		_cleanup_(queue_closep) struct queue *q = open_queue(&o);

		assert_int_equal(append(q, 1, 0, PAYLOAD), 0);
	}
	assert_int_equal(queue_orphans(dir, known, 1, count_orphan, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(queue_orphans(dir, others, 1, count_orphan, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(queue_orphans("/nonexistent", known, 1, count_orphan, &n), 0);
}

static void foreign_directory(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	char from[4096], to[4096];
	struct queue_stats s;

	{
		_cleanup_(queue_closep) struct queue *q = open_queue(&o);

		assert_int_equal(append(q, 1, 0, PAYLOAD), 0);
	}
	(void)snprintf(from, sizeof(from), "%s/queue/dest/node-0", dir);
	(void)snprintf(to, sizeof(to), "%s/queue/dest/node-1", dir);
	assert_int_equal(rename(from, to), 0);
	o.node = "node-1";
	{
		_cleanup_(queue_closep) struct queue *q = open_queue(&o);

		queue_stats(q, &s);
		assert_int_equal(s.blocks, 0);
		assert_int_equal(s.records[QUEUE_CORRUPT], 1);
	}
	(void)snprintf(to, sizeof(to), "%s/queue/dest/node-1.foreign", dir);
	assert_int_equal(access(to, F_OK), 0);
}

static void stuck_lane_frees_the_rest(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	struct queue *q;
	struct queue_block *stuck;
	bool seen[200] = {};
	struct queue_stats s;

	o.segment = 10 << 10;
	q = open_queue(&o);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(append(q, i, (uint16_t)(i == 0 ? 3 : i % 3), PAYLOAD), 0);
	stuck = queue_take(q, 3, 0);
	assert_int_equal(drain(q, seen, 200), 199);
	queue_stats(q, &s);
	assert_true(s.disk_bytes < 3 * o.segment);
	queue_put_back(q, stuck);
	queue_close(q);
	q = open_queue(&o);
	queue_stats(q, &s);
	assert_int_equal(s.records[QUEUE_CORRUPT], 0); /* marks: nothing seems to be missing */
	assert_true(drain(q, seen, 200) >= 1);
	queue_close(q);
}

static void fresh_first(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	_cleanup_(queue_closep) struct queue *q = NULL;
	bool seen[400] = {};
	size_t n = 0, fresh_in_first_20 = 0;
	struct queue_block *b;

	o.drain = QUEUE_FRESH_FIRST;
	o.memory = 100 << 10;
	o.lanes = 1;
	q = open_queue(&o);
	for (uint64_t i = 0; i < 300; i++)
		assert_int_equal(append(q, i, 0, PAYLOAD), 0);
	for (int i = 0; i < 60; i++) /* room for what comes */
		queue_release(q, queue_take(q, 0, 0));
	for (uint64_t i = 300; i < 330; i++)
		assert_int_equal(append(q, i, 0, PAYLOAD), 0);
	while ((b = queue_take(q, 0, 0))) {
		uint64_t number = number_of(b);

		assert_false(seen[number]);
		seen[number] = true;
		fresh_in_first_20 += n < 20 && number >= 300;
		queue_release(q, b);
		n++;
	}
	assert_int_equal(n, 330 - 60);
	assert_int_equal(fresh_in_first_20, 10);
	check_sum(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_in_memory_and_on_disk),
		cmocka_unit_test(a_block_is_retried_before_its_lane),
		cmocka_unit_test(killed),
		cmocka_unit_test(memory_goes_to_disk_at_close),
		cmocka_unit_test(full_blocks),
		cmocka_unit_test(reservations_are_real),
		cmocka_unit_test(ballast_follows_the_need),
		cmocka_unit_test(full_drops_oldest),
		cmocka_unit_test(full_drops_newest),
		cmocka_unit_test(old_blocks_expire),
		cmocka_unit_test(dead_letters),
		cmocka_unit_test(dead_letters_are_bounded),
		cmocka_unit_test(one_process_at_a_time),
		cmocka_unit_test(orphans),
		cmocka_unit_test(foreign_directory),
		cmocka_unit_test(stuck_lane_frees_the_rest),
		cmocka_unit_test(fresh_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
