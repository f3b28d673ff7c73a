/* SPDX-License-Identifier: Apache-2.0 */
/* Upper and lower case by Unicode's simple mapping: one code point to one, whatever the locale. */
#include "base/macro.h"
#include "route/relabel/internal.h"
#include "route/wire/text.h"

static bool ascii_same(struct rw_span text, bool upper)
{
	char from = upper ? 'a' : 'A';

	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] >= 0x80 || (text.at[i] >= from && text.at[i] <= from + 25))
			return false;
	return true;
}

/* A mapping makes at most 3 bytes out of 2 (U+0250), and 1.5 x the text in all. at NULL: limit. */
struct rw_span case_map(struct relabel_context *c, struct rw_span text, bool upper)
{
	const struct unicode_run *runs = upper ? unicode_upper : unicode_lower;
	size_t n = upper ? unicode_n_upper : unicode_n_lower, len,
	       room = text.len + text.len / 2 + 4;
	char *out, *at;

	if (ascii_same(text, upper))
		return text;
	out = at = work_bytes(c, room);
	if (!out)
		return span_of(NULL, 0);
	for (size_t i = 0; i < text.len; i += len) {
		const char *s = (const char *)text.at + i;

		len = 1;
		if (text.at[i] >= 0x80)
			at += unicode_put(unicode_map(runs, n, unicode_get(s, text.len - i, &len)),
					  at);
		else if (upper)
			*at++ = *s >= 'a' && *s <= 'z' ? (char)(*s - 32) : *s;
		else
			*at++ = *s >= 'A' && *s <= 'Z' ? (char)(*s + 32) : *s;
	}
	work_give_back(c, room - (size_t)(at - out));
	return span_of(out, (size_t)(at - out));
}
