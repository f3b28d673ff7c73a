/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/sample_body.h"
#include "route/wire/snappy.h"

/*
 * Compressed bodies that get new timestamps without being compressed again
 *
 * All samples of a body have one timestamp. Where a snappy block holds its bytes as literals is found once; the other places copy from
 * there. So a new timestamp is a few bytes written into the block.
 */
struct load_body {
	uint8_t *data; /* compressed */
	size_t len, raw_len;
	uint32_t series, samples;
	uint32_t *patches; /* offset << 3 | which byte of the timestamp's varint */
	size_t n_patches;
};

#define LOAD_STAMP_BYTES 6 /* of a timestamp of these years in ms */

/* Series [first, first + n). 0; -ENOMEM; -EPROTO: some literal serves two purposes, so this body cannot be stamped. */
int load_body_make(const struct sample_shape *shape, enum rw_version version, uint64_t first,
		   uint32_t n, int64_t ts, struct rw_encoder *encoder, struct load_body *ret);
void load_body_done(struct load_body *b);
void load_body_stamp(struct load_body *b, int64_t ts);
