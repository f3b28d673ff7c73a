/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/route/wire/[a-z]*.c */
/* fuzz-libs: -lsnappy -lzstd -lxxhash */
#include "rw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_rw(RW2, data, size);
}
