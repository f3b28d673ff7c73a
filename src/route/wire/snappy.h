/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>

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
/* Largest output for @len bytes of input. */
size_t rw_snappy_bound(size_t len);
/*
 * Own encoder of a snappy block for a RW1 or RW2 body. @series: offsets of the series messages in @body, ascending, NULL = none known.
 * Any input gives a valid block. Length of the output.
 */
struct rw_encoder; /* tables of one worker */
struct rw_encoder *rw_encoder_new(void);
struct rw_encoder *rw_encoder_free(struct rw_encoder *e);
size_t rw_snappy_encode(struct rw_encoder *e, const uint8_t *body, size_t len, uint8_t *out);
