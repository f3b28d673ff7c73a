/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/event/redact.c */
/* fuzz-libs: -lpcre2-8 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "event/redact.h"
#include "fuzz.h"

/* Any command line, into rooms of three sizes: the output has an end, and the secret of a known option is gone. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const patterns[] = {
		"(?i)^(--?(?:password|passwd|token|secret|api-?key)[= ]).+",
		"(?i)^(\\w*(?:TOKEN|PASSWORD|SECRET)=).+"
	};
	static struct redact *r;
	char why[128], *exact = malloc(size + 1);

	if (!r)
		assert(redact_new(patterns, 2, why, sizeof(why), &r) == 0);
	memcpy(exact, data, size);
	for (size_t room = 1; room <= 8192; room *= 64) {
		char *out = malloc(room);
		size_t n = redact_args(r, exact, size, out, room);

		assert(n <= room);
		if (size > 6 && memcmp(exact, "TOKEN=", 6) == 0 && exact[6] && exact[6] != '\n' &&
		    n > 16)
			assert(memcmp(out, "TOKEN=<redacted>", 16) == 0);
		free(out);
	}
	free(exact);
	return 0;
}
