/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/sys/podlist.c src/sys/quantity.c */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "sys/podlist.h"

/* In pieces of the first byte's size, each a block of its own length: the same answer as in one piece. */
static int scan(const char *data, size_t size, size_t piece, struct podlist **ret)
{
	static const char *const keys[] = { "app", "a", NULL };
	_cleanup_(podlist_scan_freep) struct podlist_scan *s = NULL;

	if (podlist_scan_new(keys, &s) < 0)
		abort();
	for (size_t at = 0; at < size; at += piece) {
		size_t n = MIN(piece, size - at);
		_cleanup_(freep) char *exact = malloc(n);

		memcpy(exact, data + at, n);
		(void)podlist_scan_feed(s, exact, n);
	}
	return podlist_scan_end(s, ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(podlist_freep) struct podlist *one = NULL, *many = NULL;
	const char *text = (const char *)data + 1;

	if (!size)
		return 0;
	assert(scan(text, size - 1, size, &one) == scan(text, size - 1, data[0] % 64 + 1, &many));
	assert(!one == !many);
	assert(!one || (podlist_count(one) == podlist_count(many) &&
			podlist_ignored(one) == podlist_ignored(many)));
	return 0;
}
