/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <assert.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "route/wire/block.h"
#include "route/wire/scan.h"
#include "route/wire/snappy.h"

/* Every valid series of a message into @b. */
static inline void fuzz_fill(struct rw_scan *scan, enum rw_version version, const uint8_t *at,
			     size_t size, struct rw_block *b)
{
	const struct rw_limits l = { .labels = 64,
				     .series_bytes = 4096,
				     .require_metric_name = true,
				     .validate_histograms = true };
	struct rw_series s;
	struct rw_metadata m;

	if (rw_scan_begin(scan, version, &l, at, size) < 0)
		return;
	while (rw_scan_next(scan, &s) == 1) {
		assert(s.n_labels && s.n_labels <= 64);
		for (uint32_t i = 0; i < s.n_labels; i++)
			assert(s.labels[i].value_len &&
			       (!i || rw_label_compare(&s.labels[i - 1], &s.labels[i]) < 0));
		assert(rw_block_add(b, &s, NULL, 0) == 0);
	}
	while (rw_scan_metadata(scan, &m) == 1)
		(void)rw_block_add_metadata(b, m.type, m.family, m.help, m.unit);
}

/* What is compressed row by row, with rows taken back in between, is for libsnappy the body that was never compressed (GW-TX-5). */
static inline void fuzz_packed(struct rw_scan *scan, enum rw_version version, const uint8_t *at,
			       size_t size, struct rw_span body)
{
	struct rw_encoder *e = rw_encoder_new();
	struct rw_block *packed = NULL;
	struct rw_block_mark mark;
	struct rw_span sealed;
	size_t len = body.len;
	uint8_t *back = malloc(len + 1);

	assert(e && back && rw_block_new_packed(&(struct rw_convert_options){}, &packed) == 0);
	fuzz_fill(scan, version, at, size, packed);
	assert(rw_block_mark(packed, &mark) == 0);
	fuzz_fill(scan, version, at, size, packed);
	rw_block_rollback(packed, &mark);
	assert(rw_block_info(packed)->raw_bytes == body.len);
	if (body.len) {
		assert(rw_block_seal(packed, e, RW_CODEC_SNAPPY, RW_SNAPPY_OWN, &sealed) == 0);
		assert(snappy_uncompress((const char *)sealed.at, sealed.len, (char *)back, &len) ==
		       SNAPPY_OK);
		assert(len == body.len && memcmp(back, body.at, len) == 0);
	}
	rw_block_free(packed);
	rw_encoder_free(e);
	free(back);
}

/* Any bytes: no step too far, canonical series only, and what a block made of them is valid in both versions. */
static inline int fuzz_rw(enum rw_version version, const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);
	struct rw_scan *scan = NULL;

	assert(exact && rw_scan_new(&scan) == 0);
	memcpy(exact, data, size);
	for (enum rw_version to = RW1; to <= RW2; to++) {
		struct rw_block *b = NULL, *again = NULL;
		const struct rw_convert_options o = {};
		struct rw_buf scratch = {};
		struct rw_span body;

		assert(rw_block_new(to, &o, &b) == 0 && rw_block_new(to, &o, &again) == 0);
		fuzz_fill(scan, version, exact, size, b);
		assert(rw_block_body(b, &scratch, &body));
		if (to == RW1)
			fuzz_packed(scan, version, exact, size, body);
		fuzz_fill(scan, to, body.at, body.len, again);
		assert(rw_scan_totals(scan)->invalid_series == 0);
		assert(rw_scan_totals(scan)->series == rw_block_info(b)->series);
		assert(rw_block_info(again)->raw_bytes <= rw_block_info(b)->raw_bytes);
		rw_buf_done(&scratch);
		rw_block_free(b);
		rw_block_free(again);
	}
	rw_scan_free(scan);
	free(exact);
	return 0;
}
