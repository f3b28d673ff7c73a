/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/route/relabel/regex.c src/route/relabel/regex-class.c src/route/relabel/regex-emit.c src/route/relabel/regex-fast.c src/route/relabel/regex-parse.c src/route/relabel/unicode.c src/route/relabel/unicode-tables.c */
/* fuzz-libs: -lpcre2-8 -lxxhash */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "fuzz.h"
#include "route/relabel/regex.h"

/* An expression, a zero, a text: with and without groups it is accepted and matches alike, and groups lie within the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct regex_scratch *s;
	_cleanup_(regex_freep) struct regex *plain = NULL, *groups = NULL;
	const char *text = size ? memchr(data, 0, size) : NULL;
	size_t len = text ? (size_t)(text - (const char *)data) : size, left, from, to;
	char why[128] = "";
	enum regex_result a, b;

	left = text ? size - len - 1 : 0;
	text = text ? text + 1 : "";
	if ((!s && regex_scratch_new(&s) < 0) || !utf8_valid(text, left) ||
	    regex_compile((const char *)data, len, 0, why, sizeof(why), &plain) < 0)
		return 0;
	if (regex_compile((const char *)data, len, REGEX_CAPTURES, why, sizeof(why), &groups) < 0)
		return 0; /* too large for PCRE2 with its groups */
	a = regex_match(plain, s, text, left);
	b = regex_match(groups, s, text, left);
	assert(a == b || a == REGEX_LIMIT || b == REGEX_LIMIT);
	for (unsigned i = 0; b == REGEX_YES && i <= regex_n_captures(groups); i++)
		if (regex_capture(groups, s, i, &from, &to))
			assert(from <= to && to <= left);
	return 0;
}
