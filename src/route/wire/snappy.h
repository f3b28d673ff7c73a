/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

/*
 * Compressed bodies: snappy block format and zstd, with bounds checked before anything is allocated (GW-RX-3)
 *
 * Decoding is libsnappy's and libzstd's. Encoding is libsnappy's or our own, which copies whole labels.
 */
enum rw_encoding { RW_ENCODING_SNAPPY, RW_ENCODING_ZSTD };

/*
 * Size that the body claims. 0; -E2BIG over @max; -EBADMSG not a block, or a claim of more than 64 x its compressed size. zstd:
 * @ret 0 when the frame does not tell.
 */
int rw_decoded_size(enum rw_encoding e, const void *body, size_t len, size_t max, size_t *ret);
/*
 * Into @buf, which grows up to @max and is kept by the caller. 0 with the length; -EBADMSG; -E2BIG; -ENOMEM.
 */
int rw_decode(enum rw_encoding e, const void *body, size_t len, size_t max, uint8_t **buf,
	      size_t *buf_size, size_t *ret_len);
/* --- out --- */
enum rw_snappy { RW_SNAPPY_OWN, RW_SNAPPY_LIB };
enum rw_codec { RW_CODEC_SNAPPY = 1, RW_CODEC_ZSTD = 2 }; /* as in queue records */

struct rw_encoder; /* tables, zstd context and scratch of one worker */
struct rw_encoder *rw_encoder_new(void);
struct rw_encoder *rw_encoder_free(struct rw_encoder *e);
DEFINE_CLEANUP(struct rw_encoder *, rw_encoder_free);
struct rw_buf;
struct rw_buf *rw_encoder_scratch(struct rw_encoder *e); /* for the caller, between two calls */

/* Any message. @buf grows as needed (malloc), @ret_len is what is used of it. 0, -ENOMEM. */
int rw_encode(struct rw_encoder *e, enum rw_codec codec, enum rw_snappy snappy, const void *body,
	      size_t len, uint8_t **buf, size_t *buf_size, size_t *ret_len);
/* Largest output for @len bytes of input. */
size_t rw_snappy_bound(size_t len);
/*
 * Own encoder of a snappy block, made for RW1 bodies: it finds series and labels itself. Any input gives a valid block. Length of the output.
 */
size_t rw_snappy_encode(struct rw_encoder *e, const uint8_t *body, size_t len, uint8_t *out);
