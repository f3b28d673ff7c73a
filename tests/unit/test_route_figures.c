/* SPDX-License-Identifier: Apache-2.0 */
/* What a queue tells of itself: blocks that were cut up, epochs of blocks that were recovered, blocks by tier, syncs. */
#include <stdlib.h>
#include "base/macro.h"
#include "route/queue/queue.h"
#include "scratch.h"
#include "test.h"

static struct queue_options options(const struct scratch *s, uint64_t epoch)
{
	return (struct queue_options){
		.storage_path = s->path,
		.destination = "dest",
		.node = "node-0",
		.memory = 1 << 20,
		.disk = 64 << 20,
		.segment = 1 << 20,
		.dead_letter = 1 << 20,
		.ack = QUEUE_ACK_DISK,
		.lanes = 1,
		.epoch = epoch,
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

static void append(struct queue *q, size_t size)
{
	_cleanup_(freep) uint8_t *payload = calloc(1, size);
	struct record r = { .enqueued_ms = 1000,
			    .series = 3,
			    .samples = 7,
			    .schema = RECORD_RW1,
			    .codec = RECORD_SNAPPY,
			    .payload = payload,
			    .payload_len = (uint32_t)size };

	assert_int_equal(queue_append(q, &r), 0);
}

static void expect(struct queue *q, enum queue_event e, uint64_t records, uint64_t samples,
		   uint64_t series)
{
	struct queue_stats s;

	queue_stats(q, &s);
	assert_int_equal(s.records[e], records);
	assert_int_equal(s.samples[e], samples);
	assert_int_equal(s.series[e], series);
}

static void blocks_that_are_cut_up(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = {};
	_cleanup_(queue_closep) struct queue *q = NULL;
	struct queue_options o;
	struct queue_stats s;

	scratch_init(&scratch);
	o = options(&scratch, 1);
	q = open_queue(&o);
	for (unsigned i = 0; i < 4; i++)
		append(q, 100);
	queue_release_cut(q, queue_take(q, 0, 0), 2, 1); /* one series of three was refused */
	expect(q, QUEUE_SENT, 1, 5, 2);
	expect(q, QUEUE_DEAD, 0, 2, 1);
	queue_release_cut(q, queue_take(q, 0, 0), 7, 3); /* all were */
	expect(q, QUEUE_SENT, 1, 5, 2);
	expect(q, QUEUE_DEAD, 1, 9, 4);
	queue_release(q, queue_take(q, 0, 0));
	expect(q, QUEUE_SENT, 2, 12, 5);
	expect(q, QUEUE_ENQUEUED, 4, 28, 12);
	queue_stats(q, &s);
	assert_int_equal(s.waiting_samples, 7);
}

/* A block is known by the start that wrote it: a receiver that has it already must know it again. */
static void epochs(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = {};
	struct queue_options o;
	struct queue_block *b;

	scratch_init(&scratch);
	for (unsigned memory = 0; memory < 2; memory++) {
		struct queue *q;

		o = options(&scratch, 0xabc);
		o.node = memory ? "node-1" : "node-0";
		o.ack = memory ? QUEUE_ACK_MEMORY : QUEUE_ACK_DISK;
		q = open_queue(&o);
		append(q, 100);
		append(q, 100);
		b = queue_take(q, 0, 0);
		assert_int_equal(b->record.epoch, 0xabc);
		queue_put_back(q, b);
		q = queue_close(q);
		o.epoch = 0xdef;
		q = open_queue(&o);
		append(q, 100);
		for (unsigned i = 0; i < 3; i++) {
			b = queue_take(q, 0, 0);
			assert_int_equal(b->record.index, i);
			assert_int_equal(b->record.epoch, i < 2 ? 0xabc : 0xdef);
			queue_release(q, b);
		}
		queue_close(q);
	}
}

static void tiers_and_syncs(void **state)
{
	_cleanup_(scratch_done) struct scratch scratch = {};
	_cleanup_(queue_closep) struct queue *q = NULL;
	struct queue_options o;
	struct queue_stats s;
	uint64_t syncs = 0;

	scratch_init(&scratch);
	o = options(&scratch, 1);
	o.memory = 64 << 10;
	o.ack = QUEUE_ACK_FSYNC;
	q = open_queue(&o);
	for (unsigned i = 0; i < 10; i++)
		append(q, 20000);
	queue_stats(q, &s);
	assert_int_equal(s.blocks, 10);
	assert_int_equal(s.memory_blocks, 3);
	assert_int_equal(s.memory_limit, 64 << 10);
	assert_int_equal(s.disk_limit, 64 << 20);
	assert_int_equal(s.dead_limit, 1 << 20);
	for (size_t i = 0; i <= DURATION_BUCKETS; i++)
		syncs += s.syncs.n[i];
	assert_true(syncs >= 10);
}

static void histograms_of_a_record(void **state)
{
	uint8_t extra[32];
	struct record r = { .extra = extra };

	assert_int_equal(record_histograms(&r), 0);
	r.extra_len = (uint16_t)record_extra_put(extra, sizeof(extra), EXTRA_TENANT, "t", 1);
	r.extra_len += (uint16_t)record_extra_put(extra + r.extra_len, sizeof(extra) - r.extra_len,
						  EXTRA_HISTOGRAMS, "\1\2\0\0", 4);
	assert_int_equal(record_histograms(&r), 513);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_that_are_cut_up),
		cmocka_unit_test(epochs),
		cmocka_unit_test(tiers_and_syncs),
		cmocka_unit_test(histograms_of_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
