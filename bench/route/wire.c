/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the wire room costs per sample
 *
 * Bodies A (10,000 series, ten labels) and B (2,000 series, eight labels) of sample_body.h through libsnappy, scanner, block and encoders. CPU
 * time of the thread, median of rounds that alternate between the candidates. `bench_wire [rounds [part of a candidate's name]]`.
 */

#include <snappy-c.h>
#include <stdio.h>
#include <time.h>
#include <xxhash.h>
#include "base/macro.h"
#include "route/wire/block.h"
#include "route/wire/sample_body.h"
#include "route/wire/scan.h"

#define ROUNDS_MAX 99
#define LABELS_MAX 128
#define LANES 12
#define TS 1778573000123

struct body {
	const char *name;
	struct sample_shape shape;
	uint32_t series;
	struct rw_buf raw, packed, out;
	enum rw_version version;
	struct rw_scan *scan;
	struct rw_encoder *encoder;
	struct rw_block *block[_RW_VERSION_MAX];
	struct rw_block *lanes[LANES]; /* of three nodes with four lanes each */
	struct rw_block *growing[LANES];
	size_t bytes; /* of the last candidate's output */
};

static double now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void lib_encode(struct body *b)
{
	size_t len = b->out.size;

	if (snappy_compress((char *)b->raw.data, b->raw.len, (char *)b->out.data, &len) ==
	    SNAPPY_OK)
		b->bytes = len;
}

static void lib_decode(struct body *b)
{
	size_t len = 0;

	if (rw_decode(RW_ENCODING_SNAPPY, b->packed.data, b->packed.len, SIZE_MAX / 2, &b->out.data,
		      &b->out.size, &len) == 0)
		b->bytes = len;
}

static void scan_with(struct body *b, bool hash, bool all)
{
	const struct rw_limits limits = { .require_metric_name = true,
					  .validate_histograms = true,
					  .labels = LABELS_MAX - 1,
					  .name_bytes = 1024,
					  .value_bytes = 4096,
					  .series_bytes = 65536 };
	struct rw_series s;
	uint64_t sum = 0;

	if ((!all || b->version != RW1) &&
	    rw_scan_begin(b->scan, b->version, &limits, b->raw.data, b->raw.len) < 0)
		return;
	if (all && b->version == RW1)
		rw_scan_begin_rw1(b->scan, &limits, b->raw.data, b->raw.len);
	while (all && rw_scan_next(b->scan, &s) == 1)
		if (hash)
			sum += XXH3_64bits(s.canon.at, s.canon.len);
	b->bytes = rw_scan_totals(b->scan)->series + (sum & 1);
}

static void walk_only(struct body *b)
{
	scan_with(b, false, false);
}

static void scan_only(struct body *b)
{
	scan_with(b, false, true);
}

static void scan_hash(struct body *b)
{
	scan_with(b, true, true);
}

static void own_encode(struct body *b)
{
	b->bytes = rw_snappy_encode(b->encoder, b->raw.data, b->raw.len, b->out.data);
}

/* The same series as RW2. */
static int to_rw2(struct body *b, const struct body *from)
{
	const struct rw_convert_options o = {};
	uint64_t losses[_RW_LOSS_MAX] = {};
	uint8_t *body;
	size_t len;

	if (rw_body_convert(from->raw.data, from->raw.len, RW1, RW2, &o, &body, &len, losses) < 0)
		return -1;
	b->raw = (struct rw_buf){ body, len, len };
	return 0;
}

/* The labels of a series and one more, in its place. */
static size_t insert(const struct rw_series *s, const struct rw_label *more,
		     struct rw_label out[LABELS_MAX])
{
	uint32_t at = 0;

	while (at < s->n_labels && rw_label_compare(&s->labels[at], more) < 0)
		at++;
	memcpy(out, s->labels, at * sizeof(*out));
	out[at] = *more;
	memcpy(out + at + 1, s->labels + at, (s->n_labels - at) * sizeof(*out));
	return s->n_labels + 1;
}

static void fill_block(struct body *b, struct rw_block *block, bool change)
{
	const struct rw_label task = { "pool_task_id", "3025", 12, 4 };
	struct rw_label labels[LABELS_MAX];
	const struct rw_limits limits = { .labels = LABELS_MAX - 1,
					  .series_bytes = 65536,
					  .require_metric_name = true };
	struct rw_series s;

	rw_block_reset(block);
	if (rw_scan_begin(b->scan, b->version, &limits, b->raw.data, b->raw.len) < 0)
		return;
	while (rw_scan_next(b->scan, &s) == 1)
		if (rw_block_add(block, &s, change ? labels : NULL,
				 change ? insert(&s, &task, labels) : 0) < 0)
			return;
	b->bytes = rw_block_info(block)->raw_bytes;
}

static void block1(struct body *b)
{
	fill_block(b, b->block[RW1], false);
}

static void block1_changed(struct body *b)
{
	fill_block(b, b->block[RW1], true);
}

static void block2(struct body *b)
{
	fill_block(b, b->block[RW2], false);
}

/* Series spread over lanes by their hash: many blocks that grow side by side. */
static void spread_over(struct body *b, struct rw_block **lanes)
{
	const struct rw_limits limits = { .labels = LABELS_MAX - 1,
					  .series_bytes = 65536,
					  .require_metric_name = true };
	struct rw_series s;

	for (unsigned i = 0; i < LANES; i++)
		rw_block_reset(lanes[i]);
	if (b->version != RW1)
		return;
	rw_scan_begin_rw1(b->scan, &limits, b->raw.data, b->raw.len);
	while (rw_scan_next(b->scan, &s) == 1)
		if (rw_block_add(lanes[XXH3_64bits(s.canon.at, s.canon.len) % LANES], &s, NULL, 0) <
		    0)
			return;
}

static void spread(struct body *b)
{
	spread_over(b, b->lanes);
}

static void seal_all(struct body *b, struct rw_block **lanes, enum rw_snappy how)
{
	b->bytes = 0;
	for (unsigned i = 0; i < LANES; i++) {
		struct rw_span sealed;

		if (rw_block_seal(lanes[i], b->encoder, RW_CODEC_SNAPPY, how, &sealed) < 0)
			return;
		b->bytes += sealed.len;
	}
}

static void seal(struct body *b)
{
	seal_all(b, b->lanes, RW_SNAPPY_OWN);
}

static void seal_by_library(struct body *b)
{
	seal_all(b, b->lanes, RW_SNAPPY_LIB);
}

/* As they leave: compressed row by row. */
static void spread_packed(struct body *b)
{
	spread_over(b, b->growing);
	seal_all(b, b->growing, RW_SNAPPY_OWN);
}

static const struct {
	const char *name;
	void (*run)(struct body *b);
} candidates[] = {
	{ "libsnappy in", lib_decode },
	{ "libsnappy out", lib_encode },
	{ "scan: structure", walk_only },
	{ "scan: series", scan_only },
	{ "scan + xxh3", scan_hash },
	{ "scan + block RW1", block1 },
	{ "scan + label + block RW1", block1_changed },
	{ "scan + block RW2", block2 },
	{ "own snappy out", own_encode },
	{ "scan + xxh3 + 12 blocks", spread },
	{ "12 blocks sealed", seal },
	{ "12 blocks by libsnappy", seal_by_library },
	{ "scan + xxh3 + 12 packed", spread_packed },
};

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int prepare(struct body *b, const struct body *of)
{
	const struct rw_convert_options o = {};
	size_t bound;

	b->encoder = rw_encoder_new();
	if (!b->encoder || rw_block_new(RW1, &o, &b->block[RW1]) < 0 ||
	    rw_block_new(RW2, &o, &b->block[RW2]) < 0)
		return -1;
	for (unsigned i = 0; i < LANES; i++)
		if (rw_block_new(b->version, &o, &b->lanes[i]) < 0 ||
		    rw_block_new_packed(&o, &b->growing[i]) < 0)
			return -1;
	if (b->version == RW2 ? to_rw2(b, of) < 0
			      : !sample_body_rw1(&b->shape, 0, b->series, TS, &b->raw))
		return -1;
	bound = snappy_max_compressed_length(b->raw.len);
	if (!rw_buf_room(&b->packed, bound) || !rw_buf_room(&b->out, bound) ||
	    rw_scan_new(&b->scan) < 0)
		return -1;
	b->packed.len = bound;
	if (snappy_compress((char *)b->raw.data, b->raw.len, (char *)b->packed.data,
			    &b->packed.len) != SNAPPY_OK)
		return -1;
	printf("body %s: %u series, %.0f B a series, %.1f B by libsnappy, ratio %.1f\n", b->name,
	       b->series, (double)b->raw.len / b->series, (double)b->packed.len / b->series,
	       (double)b->raw.len / (double)b->packed.len);
	return 0;
}

static void measure(struct body *b, unsigned rounds, const char *only)
{
	static double ns[ARRAY_SIZE(candidates)][ROUNDS_MAX];
	size_t bytes[ARRAY_SIZE(candidates)];

	for (unsigned round = 0; round < rounds; round++)
		for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
			double start = now_ns();

			if (strstr(candidates[i].name, only))
				candidates[i].run(b);
			ns[i][round] = (now_ns() - start) / b->series;
			bytes[i] = b->bytes;
		}
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
		if (!strstr(candidates[i].name, only))
			continue;
		qsort(ns[i], rounds, sizeof(double), by_value);
		printf("  %-26s %7.1f ns a sample (min %.1f)  %8.1f B a sample\n",
		       candidates[i].name, ns[i][rounds / 2], ns[i][0],
		       (double)bytes[i] / b->series);
	}
}

int main(int argc, char **argv)
{
	struct body bodies[] = {
		{ .name = "A", .shape = { .kind = SAMPLE_BODY_MIXED }, .series = 10000 },
		{ .name = "A as RW2", .version = RW2, .series = 10000 },
		{ .name = "B", .shape = { .kind = SAMPLE_BODY_EVEN }, .series = 2000 },
		{ .name = "B as RW2", .version = RW2, .series = 2000 },
	};
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 31;

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		if (prepare(&bodies[i], &bodies[i - i % 2]) < 0)
			return 1;
		measure(&bodies[i], CLAMP(rounds, 1u, (unsigned)ROUNDS_MAX),
			argc > 2 ? argv[2] : "");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		bodies[i].scan = rw_scan_free(bodies[i].scan);
		bodies[i].encoder = rw_encoder_free(bodies[i].encoder);
		for (size_t v = 0; v < _RW_VERSION_MAX; v++)
			bodies[i].block[v] = rw_block_free(bodies[i].block[v]);
		for (unsigned v = 0; v < LANES; v++) {
			rw_block_free(bodies[i].lanes[v]);
			rw_block_free(bodies[i].growing[v]);
		}
		rw_buf_done(&bodies[i].raw);
		rw_buf_done(&bodies[i].packed);
		rw_buf_done(&bodies[i].out);
	}
	return 0;
}
