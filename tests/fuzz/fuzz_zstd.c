/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/route/wire/buf.c src/route/wire/decode.c src/route/wire/encode.c src/route/wire/field.c src/route/wire/snappy.c */
/* fuzz-libs: -lsnappy -lzstd -lxxhash */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include "fuzz.h"
#include "route/wire/snappy.h"

#define DECODED_MAX (1 << 20)

static void decode(const uint8_t *at, size_t size, size_t max)
{
	size_t buf_size = 0, len = 0, claim = 0;
	uint8_t *buf = NULL;

	(void)rw_decoded_size(RW_ENCODING_ZSTD, at, size, max, &claim);
	if (rw_decode(RW_ENCODING_ZSTD, at, size, max, &buf, &buf_size, &len) == 0)
		assert(len <= max && len <= buf_size);
	free(buf);
}

/* Any bytes are decoded within the limit or refused; what zstd packed comes back, and not one byte under its size. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t bound = ZSTD_compressBound(size), buf_size = 0, len = 0, n;
	uint8_t *in = malloc(size ? size : 1), *packed = malloc(bound), *buf = NULL;

	assert(in && packed);
	memcpy(in, data, size);
	decode(in, size, DECODED_MAX);
	n = ZSTD_compress(packed, bound, in, size, size ? 1 + in[0] % 5 : 1);
	assert(!ZSTD_isError(n));
	packed = realloc(packed, n); /* a step too far is seen */
	assert(packed);
	/* More than 64 times its compressed size is refused as a claim. */
	if (rw_decode(RW_ENCODING_ZSTD, packed, n, DECODED_MAX, &buf, &buf_size, &len) == 0)
		assert(len == size && (!size || memcmp(buf, in, size) == 0));
	else
		assert(size > 64 * n);
	if (size > 1)
		assert(rw_decode(RW_ENCODING_ZSTD, packed, n, size - 1, &buf, &buf_size, &len) < 0);
	/* Damage in the middle of a frame that is whole else. */
	packed[n / 2] ^= (uint8_t)(1U << (size % 8));
	decode(packed, n, DECODED_MAX);
	decode(packed, n / 2, DECODED_MAX);
	free(in);
	free(packed);
	free(buf);
	return 0;
}
