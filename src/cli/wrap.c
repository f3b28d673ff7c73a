/* SPDX-License-Identifier: Apache-2.0 */
/* Text for terminals of some width */

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/parse.h"
#include "cli/cli.h"

#define INDENT 12 /* columns of a label and what stands before it */
#define WIDTH_USUAL 80

uint32_t cli_width(void)
{
	struct winsize w = {};
	const char *columns = getenv("COLUMNS");
	uint32_t n;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (columns && parse_u32(columns, &n) == 0 && n > 0)
		return MAX(n, (uint32_t)WIDTH_MIN);
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
		return WIDTH_USUAL;
	return MAX((uint32_t)w.ws_col, (uint32_t)WIDTH_MIN);
}

/* Bytes of a colour at @s, which take no column; 0: there is none. */
static size_t colour_len(const char *s, size_t len)
{
	size_t n = 2;

	if (len < 3 || s[0] != '\033' || s[1] != '[')
		return 0;
	while (n < len && s[n] != 'm')
		n++;
	return n < len ? n + 1 : 0;
}

/* Of text as text_add_terminal() writes it: valid UTF-8, one column for each character. */
static size_t columns_of(const char *s, size_t len)
{
	size_t columns = 0;

	for (size_t i = 0; i < len; i++) {
		size_t skip = colour_len(s + i, len - i);

		if (skip)
			i += skip - 1;
		else
			columns += ((unsigned char)s[i] & 0xc0) != 0x80;
	}
	return columns;
}

/* One line without its end. Words stay whole, also one that is wider than the terminal; the spaces between two stay unless a line ends there. */
static void wrap_line(struct strbuf *ret, const char *line, size_t len, uint32_t width)
{
	size_t column = 0, at = 0;
	bool first = true;

	while (at < len) {
		size_t spaces = strspn(line + at, " "), word;

		spaces = MIN(spaces, len - at);
		word = strcspn(line + at + spaces, " \n");
		word = MIN(word, len - at - spaces);
		if (!first && column > INDENT &&
		    column + spaces + columns_of(line + at + spaces, word) > width) {
			strbuf_addf(ret, "\n%*s", INDENT, "");
			column = INDENT;
			at += spaces;
			spaces = 0;
		}
		strbuf_add(ret, line + at, spaces + word);
		column += spaces + columns_of(line + at + spaces, word);
		at += spaces + word;
		first = false;
	}
}

void cli_wrap(struct strbuf *b, uint32_t width)
{
	_cleanup_strbuf_ struct strbuf wrapped = STRBUF_INIT;
	const char *line = strbuf_str(b), *end = line + b->len;

	while (width && line < end) {
		size_t len = strcspn(line, "\n");

		wrap_line(&wrapped, line, len, width);
		line += len;
		if (line < end) {
			strbuf_addch(&wrapped, '\n');
			line++;
		}
	}
	if (!width || wrapped.error)
		return;
	strbuf_clear(b);
	strbuf_add(b, wrapped.data, wrapped.len);
}
