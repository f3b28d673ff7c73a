/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of remote write: Content-Type, Content-Encoding; Retry-After of the answer. */

#include <string.h>
#include <strings.h>
#include "base/macro.h"
#include "route/receive/headers.h"

#define PROTOBUF "application/x-protobuf"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* [@from, @end) without blanks around. */
static void trim(const char **from, const char **end)
{
	while (*from < *end && is_blank(**from))
		++*from;
	while (*end > *from && is_blank((*end)[-1]))
		--*end;
}

static bool same(const char *from, const char *end, const char *text)
{
	return (size_t)(end - from) == strlen(text) &&
	       strncasecmp(from, text, (size_t)(end - from)) == 0;
}

/* End of the part that begins at @at: the next ';' outside of quotes. */
static const char *part_end(const char *at)
{
	bool quoted = false;

	for (; *at && (quoted || *at != ';'); at++) {
		if (*at == '\\' && quoted && at[1])
			at++;
		else if (*at == '"')
			quoted = !quoted;
	}
	return at;
}

/* A value, plain or quoted, equals @text? */
static bool value_is(const char *from, const char *end, const char *text)
{
	if (end - from < 2 || *from != '"' || end[-1] != '"')
		return (size_t)(end - from) == strlen(text) &&
		       memcmp(from, text, strlen(text)) == 0;
	for (from++, end--; from < end; from++, text++) {
		if (*from == '\\' && from + 1 < end)
			from++;
		if (*from != *text)
			return false;
	}
	return !*text;
}

static bool take_parameter(const char *from, const char *end, enum rw_version *ret)
{
	const char *equals = memchr(from, '=', (size_t)(end - from)), *name_end, *value;

	if (!equals)
		return from == end;
	name_end = equals;
	value = equals + 1;
	trim(&from, &name_end);
	trim(&value, &end);
	if (!same(from, name_end, "proto"))
		return true; /* charset and the like say nothing here */
	if (value_is(value, end, "prometheus.WriteRequest"))
		*ret = RW1;
	else if (value_is(value, end, "io.prometheus.write.v2.Request"))
		*ret = RW2;
	else
		return false;
	return true;
}

bool headers_version(const char *content_type, enum rw_version *ret)
{
	const char *from, *end;

	*ret = RW1;
	if (!content_type)
		return true;
	from = content_type;
	end = part_end(from);
	content_type = end;
	trim(&from, &end);
	if (!same(from, end, PROTOBUF))
		return false;
	while (*content_type == ';') {
		from = content_type + 1;
		end = content_type = part_end(from);
		trim(&from, &end);
		if (!take_parameter(from, end, ret))
			return false;
	}
	return true;
}

bool headers_encoding(const char *content_encoding, enum rw_encoding *ret)
{
	const char *from = content_encoding, *end;

	*ret = RW_ENCODING_SNAPPY;
	if (!content_encoding)
		return true;
	end = from + strlen(from);
	trim(&from, &end);
	if (same(from, end, "snappy"))
		return true;
	*ret = RW_ENCODING_ZSTD;
	return same(from, end, "zstd");
}

unsigned headers_retry_after(double fill)
{
	double over = CLAMP((fill - 0.5) / 0.5, 0.0, 1.0);

	return 1 + (unsigned)(29 * over);
}
