/* SPDX-License-Identifier: Apache-2.0 */
/* What a crash or a bad disk leaves of a queue: holes are counted, all else is sent. */
#include "queue_world.h"

static char *last_segment(const char *directory, size_t which)
{
	char path[4096];
	char *found = NULL;
	glob_t g;

	(void)snprintf(path, sizeof(path), "%s/queue/dest/node-0/*.seg", directory);
	if (glob(path, 0, NULL, &g) == 0 && g.gl_pathc > which)
		found = strdup(g.gl_pathv[which]);
	globfree(&g);
	assert_non_null(found);
	return found;
}

/* @n blocks that nobody sent, in a directory of a process that died. */
static void fill(const struct queue_options *o, uint64_t n, size_t size)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct queue *q = open_queue(o);

		for (uint64_t i = 0; i < n; i++)
			if (append(q, i, (uint16_t)(i % 4), size) < 0)
				_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void torn_at_every_byte(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	_cleanup_(freep) char *path = NULL;
	_cleanup_(freep) uint8_t *bytes = NULL;
	struct stat st;
	size_t one;
	int fd;

	fill(&o, 3, 40);
	path = last_segment(dir, 0);
	assert_int_equal(stat(path, &st), 0);
	one = ((size_t)st.st_size - SEGMENT_HEADER) / 3;
	bytes = malloc((size_t)st.st_size);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	for (size_t cut = SEGMENT_HEADER + 2 * one; cut < (size_t)st.st_size; cut++) {
		bool seen[3] = {};
		struct queue_stats s;
		_cleanup_(queue_closep) struct queue *q = NULL;
		int again = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		assert_int_equal(pwrite(again, bytes, (size_t)st.st_size, 0), st.st_size);
		assert_int_equal(ftruncate(again, (off_t)cut), 0);
		(void)close(again);
		{
			char cursor[4096];

			(void)snprintf(cursor, sizeof(cursor), "%s/queue/dest/node-0/cursor", dir);
			(void)unlink(cursor);
		}
		q = open_queue(&o);
		assert_int_equal(drain(q, seen, 3), 2);
		queue_stats(q, &s);
		assert_int_equal(s.records[QUEUE_TORN], cut > SEGMENT_HEADER + 2 * one);
	}
	(void)close(fd);
}

static void flipped_bits(void **state)
{
	unsigned seed = 99;

	for (int round = 0; round < 100; round++) {
		_cleanup_(scratch_done) struct scratch scratch = new_scratch();
		const char *dir = scratch.path;
		struct queue_options o = options(dir);
		_cleanup_(freep) char *path = NULL;
		_cleanup_(queue_closep) struct queue *q = NULL;
		struct queue_stats s;
		bool seen[40] = {};
		struct stat st;
		uint8_t byte;
		size_t n;
		off_t at;
		int fd;

		o.segment = 1 << 20;
		fill(&o, 40, 100);
		path = last_segment(dir, 0);
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_int_equal(fstat(fd, &st), 0);
		seed = seed * 1103515245 + 12345;
		at = SEGMENT_HEADER +
		     (off_t)((seed >> 8) % (unsigned)(st.st_size - SEGMENT_HEADER));
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= (uint8_t)(1 << (round % 8));
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		(void)close(fd);
		q = open_queue(&o);
		n = drain(q, seen, 40);
		queue_stats(q, &s);
		/* One record at most, and then it is counted; padding is of no matter. */
		assert_in_range(n, 39, 40);
		if (n == 39)
			assert_int_equal(s.records[QUEUE_CORRUPT] + s.records[QUEUE_TORN], 1);
	}
}

static void missing_segment_and_cursor(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = new_scratch();
	const char *dir = scratch.path;
	struct queue_options o = options(dir);
	_cleanup_(freep) char *path = NULL;
	_cleanup_(queue_closep) struct queue *q = NULL;
	struct queue_stats s;
	bool seen[100] = {};
	uint8_t zeros[128] = {};
	char cursor[4096];
	size_t n;
	int fd;

	o.segment = 10 << 10;
	fill(&o, 100, PAYLOAD);
	path = last_segment(dir, 3);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(cursor, sizeof(cursor), "%s/queue/dest/node-0/cursor", dir);
	fd = open(cursor, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	(void)close(fd);
	q = open_queue(&o);
	n = drain(q, seen, 100);
	assert_in_range(n, 88, 92);
	queue_stats(q, &s);
	assert_int_equal(s.records[QUEUE_CORRUPT], 2); /* the file and the cursor */
	assert_true(seen[0] && seen[99]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(torn_at_every_byte),
		cmocka_unit_test(flipped_bits),
		cmocka_unit_test(missing_segment_and_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
