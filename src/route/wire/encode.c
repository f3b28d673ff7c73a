/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding of bodies: which encoder, and the memory that it needs. */

#include <errno.h>
#include <snappy-c.h>
#include <zstd.h>
#include "route/wire/encoder.h"

#define ZSTD_LEVEL 1

struct rw_encoder *rw_encoder_new(void)
{
	return calloc(1, sizeof(struct rw_encoder));
}

struct rw_encoder *rw_encoder_free(struct rw_encoder *e)
{
	if (!e)
		return NULL;
	(void)ZSTD_freeCCtx(e->zstd);
	rw_buf_done(&e->scratch);
	rw_buf_done(&e->sealed);
	free(e);
	return NULL;
}

struct rw_buf *rw_encoder_scratch(struct rw_encoder *e)
{
	return &e->scratch;
}

size_t rw_snappy_bound(size_t len)
{
	return snappy_max_compressed_length(len);
}

/**
 * rw_encode() - compress a message
 * @buf:     grows as needed, with its size; free() it
 * @ret_len: bytes of it that are the result
 *
 * Return: 0; -ENOMEM.
 */
int rw_encode(struct rw_encoder *e, enum rw_codec codec, enum rw_snappy snappy, const void *body,
	      size_t len, uint8_t **buf, size_t *buf_size, size_t *ret_len)
{
	size_t bound = codec == RW_CODEC_ZSTD ? ZSTD_compressBound(len) : rw_snappy_bound(len);

	if (!*buf || *buf_size < bound) {
		uint8_t *grown = realloc(*buf, bound);

		if (!grown)
			return -ENOMEM;
		*buf = grown;
		*buf_size = bound;
	}
	if (codec == RW_CODEC_ZSTD) {
		if (!e->zstd && !(e->zstd = ZSTD_createCCtx()))
			return -ENOMEM;
		bound = ZSTD_compressCCtx(e->zstd, *buf, bound, body, len, ZSTD_LEVEL);
		if (ZSTD_isError(bound))
			return -ENOMEM;
	} else if (snappy == RW_SNAPPY_OWN) {
		bound = rw_snappy_encode(e, body, len, *buf);
	} else if (snappy_compress(body, len, (char *)*buf, &bound) != SNAPPY_OK) {
		return -ENOMEM;
	}
	*ret_len = bound;
	return 0;
}
