/* SPDX-License-Identifier: Apache-2.0 */
/* Names and quoted texts of selectors and series, as PromQL writes them. */
#include <errno.h>
#include "base/macro.h"
#include "base/text.h"
#include "route/relabel/internal.h"

void lex_space(struct lex *l)
{
	l->at += strspn(l->at, " \t\r\n");
}

bool lex_take(struct lex *l, const char *token)
{
	size_t len = strlen(token);

	lex_space(l);
	if (strncmp(l->at, token, len) != 0)
		return false;
	l->at += len;
	return true;
}

bool lex_fail(struct lex *l, const char *what)
{
	if (l->why_size && !*l->why)
		(void)snprintf(l->why, l->why_size, "%s at offset %td", what, l->at - l->start);
	return false;
}

static bool name_char(char c, bool first, bool metric)
{
	return c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z') || (metric && c == ':') ||
	       (!first && c >= '0' && c <= '9');
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 32) >= 'a' && (c | 32) <= 'f')
		return (c | 32) - 'a' + 10;
	return -1;
}

/* @n digits of @base. */
static bool read_digits(struct lex *l, int n, uint32_t base, uint32_t *ret)
{
	uint32_t v = 0;

	for (int i = 0; i < n; i++, l->at++) {
		int d = hex_digit(*l->at);

		if (d < 0 || d >= (int)base)
			return false;
		v = v * base + (uint32_t)d;
	}
	*ret = v;
	return true;
}

/* Behind a backslash: bytes to @out; 0: wrong. */
static size_t read_escape(struct lex *l, char quote, char *out)
{
	static const char letters[] = "abfnrtv\\", meanings[] = "\a\b\f\n\r\t\v\\";
	const char *found;
	char c = *l->at;
	uint32_t v;

	if (c == quote || (c && (found = strchr(letters, c)))) {
		*out = c == quote ? c : meanings[found - letters];
		l->at++;
		return 1;
	}
	if (c >= '0' && c <= '7') {
		if (!read_digits(l, 3, 8, &v) || v > 255)
			return 0;
		*out = (char)v;
		return 1;
	}
	if (c != 'x' && c != 'u' && c != 'U')
		return 0;
	l->at++;
	if (!read_digits(l, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, &v))
		return 0;
	if (c == 'x') {
		*out = (char)v;
		return 1;
	}
	return v > UNICODE_MAX || (v >= 0xd800 && v <= 0xdfff) ? 0 : unicode_put(v, out);
}

bool lex_quoted(struct lex *l, struct rw_span *ret)
{
	char quote, *out, *end;

	lex_space(l);
	quote = *l->at;
	if (quote != '"' && quote != '\'' && quote != '`')
		return false;
	/* No escape makes more bytes than it has. */
	out = end = arena_alloc(l->arena, strlen(l->at) + 1);
	if (!out) {
		l->no_memory = true;
		return false;
	}
	l->at++;
	while (*l->at != quote) {
		size_t n = 1;

		if (!*l->at || (*l->at == '\n' && quote != '`'))
			return lex_fail(l, "missing closing quote");
		if (*l->at == '\\' && quote != '`') {
			l->at++;
			n = read_escape(l, quote, end);
			if (!n)
				return lex_fail(l, "unknown escape sequence");
		} else {
			*end = *l->at++;
		}
		end += n;
	}
	if (!utf8_valid(out, (size_t)(end - out)))
		return lex_fail(l, "not UTF-8");
	l->at++;
	*ret = span_of(out, (size_t)(end - out));
	return true;
}

bool lex_name(struct lex *l, bool metric, struct rw_span *ret)
{
	size_t n = 0;

	lex_space(l);
	while (name_char(l->at[n], n == 0, metric))
		n++;
	if (!n)
		return lex_quoted(l, ret);
	*ret = span_of(l->at, n);
	l->at += n;
	return true;
}
