/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/macro.h"
#include "route/queue/queue.h"
#include "scratch.h"

/* Queues in directories of their own, with blocks that carry a number. */

#define PAYLOAD 1000

static inline struct scratch new_scratch(void)
{
	struct scratch s;

	scratch_init(&s);
	return s;
}

static inline struct queue_options options(const char *directory)
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
		.lanes = 4,
		.epoch = 7,
	};
}

static inline struct queue *open_queue(const struct queue_options *o)
{
	struct queue *q = NULL;
	char why[256];
	int r = queue_open(o, why, sizeof(why), &q);

	if (r < 0)
		fail_msg("%s", why);
	return q;
}

/* A payload that says its own number. */
static inline int append(struct queue *q, uint64_t number, uint16_t lane, size_t size)
{
	_cleanup_(freep) uint8_t *payload = malloc(size);
	struct record r = { .enqueued_ms = (int64_t)number,
			    .min_ts = (int64_t)number,
			    .max_ts = (int64_t)number,
			    .series = 1,
			    .samples = 2,
			    .lane = lane,
			    .schema = RECORD_RW1,
			    .codec = RECORD_SNAPPY,
			    .extra = "\1\3\0abc",
			    .extra_len = 6,
			    .payload = payload,
			    .payload_len = (uint32_t)size };

	memset(payload, (int)number, size);
	memcpy(payload, &number, sizeof(number));
	return queue_append(q, &r);
}

static inline uint64_t number_of(const struct queue_block *b)
{
	uint64_t number;
	const void *tenant;
	size_t len;

	memcpy(&number, b->record.payload, sizeof(number));
	assert_int_equal(((const uint8_t *)b->record.payload)[b->record.payload_len - 1],
			 number & 0xff);
	assert_true(record_extra_find(&b->record, EXTRA_TENANT, &tenant, &len));
	assert_int_equal(len, 3);
	assert_memory_equal(tenant, "abc", 3);
	return number;
}

/* Everything out, lane by lane; order within a lane is checked. Number of blocks. */
static inline size_t drain(struct queue *q, bool *seen, size_t max)
{
	size_t n = 0;
	bool any = true;
	uint64_t last[4] = {};

	while (any) {
		any = false;
		for (uint32_t lane = 0; lane < 4; lane++) {
			struct queue_block *b = queue_take(q, lane, 0);
			uint64_t number;

			if (!b)
				continue;
			number = number_of(b);
			assert_true(number < max);
			assert_true(number >= last[lane]);
			last[lane] = number;
			seen[number] = true;
			queue_release(q, b);
			any = true;
			n++;
		}
	}
	return n;
}

static inline void check_sum(struct queue *q)
{
	struct queue_stats s;

	queue_stats(q, &s);
	for (unsigned i = 0; i < 2; i++) {
		const uint64_t *n = i ? s.samples : s.records;
		uint64_t left = i ? s.waiting_samples : s.blocks;

		assert_int_equal(n[QUEUE_ENQUEUED] + n[QUEUE_RECOVERED],
				 n[QUEUE_SENT] + n[QUEUE_DROPPED] + n[QUEUE_DEAD] +
					 n[QUEUE_EXPIRED] + left);
	}
}

static inline size_t count_files(const char *directory, const char *pattern)
{
	char path[4096];
	glob_t g;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/queue/dest/node-0/%s", directory, pattern);
	n = glob(path, 0, NULL, &g) == 0 ? g.gl_pathc : 0;
	globfree(&g);
	return n;
}
