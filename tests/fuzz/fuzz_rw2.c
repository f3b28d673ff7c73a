/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/route/wire/block.c src/route/wire/body.c src/route/wire/buf.c src/route/wire/convert.c src/route/wire/decode.c src/route/wire/encode.c src/route/wire/field.c src/route/wire/histogram.c src/route/wire/intern.c src/route/wire/labels.c src/route/wire/scan.c src/route/wire/series.c src/route/wire/snappy.c src/route/wire/walk.c */
/* fuzz-libs: -lsnappy -lzstd -lxxhash */
#include "rw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_rw(RW2, data, size);
}
