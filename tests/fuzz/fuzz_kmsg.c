/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/sys/kmsg.c */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "sys/kmsg.h"

/* Any record: no read beyond the end, terminated texts, and nothing written without an answer of 1. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kmsg_oom k, untouched;
	char *exact = malloc(size ? size : 1);
	int r;

	if (!exact)
		return 0;
	memcpy(exact, data, size);
	memset(&k, 0x5a, sizeof(k));
	untouched = k;
	r = kmsg_parse(exact, size, &k);
	if (r != 1)
		assert(memcmp(&k, &untouched, sizeof(k)) == 0);
	else
		assert(memchr(k.comm, 0, sizeof(k.comm)) &&
		       memchr(k.oom_memcg, 0, sizeof(k.oom_memcg)) &&
		       memchr(k.task_memcg, 0, sizeof(k.task_memcg)) &&
		       memchr(k.gfp, 0, sizeof(k.gfp)));
	free(exact);
	return 0;
}
