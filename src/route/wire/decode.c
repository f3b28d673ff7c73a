/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of bodies: what a sender claims is checked before memory is given for it. */

#include <errno.h>
#include <snappy-c.h>
#include <zstd.h>
#include "base/cleanup.h"
#include "route/wire/snappy.h"

#define RATIO_MAX 64 /* snappy cannot do better than 21 */
#define ZSTD_WINDOW_LOG_MAX 23 /* 8 MiB */
#define ZSTD_START (64 * 1024)

int rw_decoded_size(enum rw_encoding e, const void *body, size_t len, size_t max, size_t *ret)
{
	size_t claim;

	if (e == RW_ENCODING_ZSTD) {
		unsigned long long size = ZSTD_getFrameContentSize(body, len);

		if (size == ZSTD_CONTENTSIZE_ERROR)
			return -EBADMSG;
		if (size == ZSTD_CONTENTSIZE_UNKNOWN)
			size = 0;
		if (size > max)
			return -E2BIG;
		*ret = (size_t)size;
		return 0;
	}
	if (snappy_uncompressed_length(body, len, &claim) != SNAPPY_OK)
		return -EBADMSG;
	if (claim > max)
		return -E2BIG;
	if (claim > len * RATIO_MAX)
		return -EBADMSG;
	*ret = claim;
	return 0;
}

static int grow(uint8_t **buf, size_t *buf_size, size_t size)
{
	uint8_t *grown;

	if (*buf && size <= *buf_size)
		return 0;
	grown = realloc(*buf, size ? size : 1);
	if (!grown)
		return -ENOMEM;
	*buf = grown;
	*buf_size = size;
	return 0;
}

static int decode_snappy(const void *body, size_t len, size_t claim, uint8_t **buf,
			 size_t *buf_size, size_t *ret_len)
{
	size_t out = claim;
	int r = grow(buf, buf_size, claim);

	if (r < 0)
		return r;
	if (snappy_uncompress(body, len, (char *)*buf, &out) != SNAPPY_OK)
		return -EBADMSG;
	*ret_len = out;
	return 0;
}

static void free_dctx(ZSTD_DCtx **c)
{
	(void)ZSTD_freeDCtx(*c);
}

/* Frame after frame into a buffer that doubles, whatever the frames claim. */
static int decode_zstd(const void *body, size_t len, size_t max, uint8_t **buf, size_t *buf_size,
		       size_t *ret_len)
{
	_cleanup_(free_dctx) ZSTD_DCtx *c = ZSTD_createDCtx();
	ZSTD_inBuffer in = { body, len, 0 };
	size_t used = 0, left = 1;

	if (!c || ZSTD_isError(ZSTD_DCtx_setParameter(c, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
		return -ENOMEM;
	while (in.pos < len || left) {
		ZSTD_outBuffer out;
		size_t read = in.pos;
		int r = 0;

		/* One byte more than the limit shows that there is more. */
		if (!*buf || used == *buf_size)
			r = grow(buf, buf_size,
				 MIN(MAX(*buf_size * 2, (size_t)ZSTD_START), max + 1));
		if (r < 0)
			return r;
		out = (ZSTD_outBuffer){ *buf, MIN(*buf_size, max + 1), used };
		left = ZSTD_decompressStream(c, &out, &in);
		if (ZSTD_isError(left))
			return -EBADMSG;
		if (out.pos > max)
			return -E2BIG;
		if (out.pos == used && in.pos == read && in.pos == len)
			return left ? -EBADMSG : 0; /* cut short */
		used = out.pos;
		*ret_len = used;
	}
	return 0;
}

/**
 * rw_decode() - decode a whole body
 * @max:      most bytes of output, below SIZE_MAX
 * @buf:      kept by the caller from call to call, with its size; free() it
 * @ret_len:  bytes of @buf that are the message
 *
 * A framed snappy stream is not a block: -EBADMSG. zstd frames may follow each other; a window over 8 MiB is -EBADMSG.
 *
 * Return: 0; -EBADMSG; -E2BIG over @max; -ENOMEM. @buf may have grown in any case.
 */
int rw_decode(enum rw_encoding e, const void *body, size_t len, size_t max, uint8_t **buf,
	      size_t *buf_size, size_t *ret_len)
{
	size_t size, out = 0;
	int r;

	if (!len)
		return -EBADMSG;
	r = rw_decoded_size(e, body, len, max, &size);
	if (r < 0)
		return r;
	if (e == RW_ENCODING_SNAPPY)
		r = decode_snappy(body, len, size, buf, buf_size, &out);
	else
		r = decode_zstd(body, len, max, buf, buf_size, &out);
	if (r == 0)
		*ret_len = out;
	return r;
}
