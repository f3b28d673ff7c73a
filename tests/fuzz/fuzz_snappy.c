/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/route/wire/buf.c src/route/wire/decode.c src/route/wire/encode.c src/route/wire/field.c src/route/wire/snappy.c */
/* fuzz-libs: -lsnappy -lzstd -lxxhash */
#include <assert.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "route/wire/snappy.h"

#define DECODED_MAX (1 << 20)

/* Anything is encoded such that libsnappy gives it back; anything is decoded within the limit or refused. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t bound = rw_snappy_bound(size), back_len = size, buf_size = 0, len = 0, n;
	uint8_t *in = malloc(size + 1), *out = malloc(bound), *back = malloc(size + 1), *buf = NULL;
	struct rw_encoder *e = rw_encoder_new();

	assert(in && out && back && e);
	in = realloc(in, size ? size : 1);
	memcpy(in, data, size);
	n = rw_snappy_encode(e, in, size, out);
	assert(n && n <= bound);
	assert(snappy_uncompress((char *)out, n, (char *)back, &back_len) == SNAPPY_OK);
	assert(back_len == size && memcmp(back, data, size) == 0);
	for (enum rw_encoding i = RW_ENCODING_SNAPPY; i <= RW_ENCODING_ZSTD; i++)
		if (rw_decode(i, in, size, DECODED_MAX, &buf, &buf_size, &len) == 0)
			assert(len <= DECODED_MAX && len <= buf_size);
	rw_encoder_free(e);
	free(in);
	free(out);
	free(back);
	free(buf);
	return 0;
}
