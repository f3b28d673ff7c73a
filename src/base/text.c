/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign text on its way out
 *
 * comm, cgroup names and arguments may hold any byte. Each destination has its own rules: JSON and labels must be UTF-8,
 * terminals must not be steered.
 */

#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "base/time.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

size_t utf8_sequence(const char *s, size_t len)
{
	static const struct {
		unsigned char lead_min, lead_max, second_min, second_max;
		unsigned char bytes;
	} forms[] = {
		/* Unicode, table 3-7 */
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *p = (const unsigned char *)s;

	if (len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (p[0] < forms[i].lead_min || p[0] > forms[i].lead_max)
			continue;
		if (len < forms[i].bytes || p[1] < forms[i].second_min ||
		    p[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].bytes; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return forms[i].bytes;
	}
	return 0;
}

bool utf8_valid(const char *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_sequence(s + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}

static const char hex_digits[] = "0123456789abcdef";

static void add_json_byte(struct strbuf *b, char c)
{
	char unicode[6] = { '\\', 'u', '0', '0' };

	switch (c) {
	case '"':
	case '\\':
		strbuf_addch(b, '\\');
		strbuf_addch(b, c);
		return;
	case '\n':
		strbuf_addstr(b, "\\n");
		return;
	case '\t':
		strbuf_addstr(b, "\\t");
		return;
	case '\r':
		strbuf_addstr(b, "\\r");
		return;
	default:
		unicode[4] = hex_digits[(unsigned char)c >> 4];
		unicode[5] = hex_digits[c & 15];
		strbuf_add(b, unicode, sizeof(unicode));
	}
}

bool text_add_json(struct strbuf *b, const char *s, size_t len)
{
	bool replaced = false;
	size_t plain = 0; /* start of the run that needs no change */

	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		size_t n = c < 0x80 ? 1 : utf8_sequence(s + i, len - i);

		if (n && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
			i += n;
			continue;
		}
		strbuf_add(b, s + plain, i - plain);
		if (n) {
			add_json_byte(b, s[i]);
		} else {
			strbuf_addstr(b, REPLACEMENT);
			replaced = true;
		}
		plain = ++i;
	}
	strbuf_add(b, s + plain, len - plain);
	return replaced;
}

/* C1 controls, bidirectional marks, overrides and isolates, line and paragraph separators: they change what a reader sees. */
static bool steers_terminal(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	if (n == 2)
		return (p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c);
	if (n == 3 && p[0] == 0xe2 && p[1] == 0x80)
		return p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae);
	if (n == 3 && p[0] == 0xe2 && p[1] == 0x81)
		return p[2] >= 0xa6 && p[2] <= 0xa9;
	return false;
}

static void add_hex(struct strbuf *b, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char escape[4] = { '\\', 'x', hex_digits[(unsigned char)s[i] >> 4],
				   hex_digits[s[i] & 15] };

		strbuf_add(b, escape, sizeof(escape));
	}
}

void text_add_terminal(struct strbuf *b, const char *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		unsigned char c = (unsigned char)s[i];

		n = utf8_sequence(s + i, len - i);
		if (n == 0) {
			n = 1;
			add_hex(b, s + i, 1);
		} else if (c == '\n') {
			strbuf_addstr(b, "\\n");
		} else if (c == '\t') {
			strbuf_addstr(b, "\\t");
		} else if (c == 0x1b) {
			strbuf_addstr(b, "\\e");
		} else if (c < 0x20 || c == 0x7f || steers_terminal(s + i, n)) {
			add_hex(b, s + i, n);
		} else {
			strbuf_add(b, s + i, n);
		}
	}
}

void text_add_label(struct strbuf *b, const char *s, size_t len, size_t max)
{
	size_t used = 0;

	for (size_t i = 0, n; i < len; i += n) {
		const char *add = s + i;
		size_t add_len, value_len;

		n = utf8_sequence(s + i, len - i);
		add_len = value_len = n;
		if (n == 0) {
			n = 1;
			add = REPLACEMENT;
			add_len = value_len = 3;
		} else if (s[i] == '\\' || s[i] == '"' || s[i] == '\n') {
			add = s[i] == '\n' ? "\\n" : s[i] == '"' ? "\\\"" : "\\\\";
			add_len = 2;
		}
		if (used + value_len > max)
			return;
		used += value_len;
		strbuf_add(b, add, add_len);
	}
}

void text_add_bytes(struct strbuf *b, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	size_t u = 0;

	if (bytes < 1024) {
		strbuf_addu64(b, bytes);
		strbuf_addstr(b, " B");
		return;
	}
	for (v /= 1024; v >= 1023.5 && u + 1 < ARRAY_SIZE(units); v /= 1024)
		u++;
	strbuf_addf(b,
		    v < 10 && u > 0    ? "%.2f %s"
		    : v < 100 && u > 0 ? "%.1f %s"
				       : "%.0f %s",
		    v, units[u]);
}

void text_add_duration(struct strbuf *b, uint64_t us)
{
	uint64_t s = us / US_PER_SEC;

	if (us < 10 * US_PER_MSEC)
		strbuf_addf(b, "%.1f ms", (double)us / 1e3);
	else if (us < US_PER_SEC)
		strbuf_addf(b, "%llu ms", (unsigned long long)(us / US_PER_MSEC));
	else if (s < 10)
		strbuf_addf(b, "%.1f s", (double)us / 1e6);
	else if (s < 60)
		strbuf_addf(b, "%llu s", (unsigned long long)s);
	else if (s < 3600)
		strbuf_addf(b, "%llum%02llus", (unsigned long long)(s / 60),
			    (unsigned long long)(s % 60));
	else if (s < 86400)
		strbuf_addf(b, "%lluh%02llum", (unsigned long long)(s / 3600),
			    (unsigned long long)(s / 60 % 60));
	else
		strbuf_addf(b, "%llud%02lluh", (unsigned long long)(s / 86400),
			    (unsigned long long)(s / 3600 % 24));
}
