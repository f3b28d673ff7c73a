/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration for people: an example file and the entries of the manual page
 *
 * In the example every key stands behind a `#` with its default, so that the file as it is changes nothing; text has a
 * blank after the `#`, a key has none.
 */

#include <string.h>
#include "config/internal.h"

#define EXAMPLE_WIDTH 100

/* What a key takes, as people write it: "duration 0s..5s", "any | tracepoint". */
static void add_values(const struct config_row *row, struct strbuf *out)
{
	strbuf_addstr(out, config_type_name(row));
	for (size_t i = 0; row->type == CONFIG_ENUM && row->names[i]; i++)
		strbuf_addf(out, "%s%s", i ? " | " : "", row->names[i]);
	if (row->min || row->max) {
		const char *least = row->min ? row->min : "0";

		strbuf_addf(out, " %s..%s", least, row->max ? row->max : "");
	}
	if (row->max_items)
		strbuf_addf(out, ", at most %zu", row->max_items);
}

/* The default as YAML; "off" and "on" are booleans to readers of YAML 1.1, though not to ours. */
static void add_default(const struct config_row *row, struct strbuf *out)
{
	const char *def = row->def ? row->def : "";
	bool list = row->type == CONFIG_STRINGS || row->type == CONFIG_LIST;

	if (!*def)
		strbuf_addstr(out, list ? "[]" : "\"\"");
	else if (streq(def, "off") || streq(def, "on"))
		strbuf_addf(out, "\"%s\"", def);
	else
		strbuf_addstr(out, def);
}

/* Words of @text, broken at EXAMPLE_WIDTH, each line behind @prefix and a blank. */
static void add_folded(const char *prefix, const char *text, struct strbuf *out)
{
	size_t at = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (!at || at + 1 + word > EXAMPLE_WIDTH) {
			strbuf_addf(out, "%s%s", at ? "\n" : "", prefix);
			at = strlen(prefix);
		}
		strbuf_addf(out, " %.*s", (int)word, text);
		at += 1 + word;
		text += word + (text[word] == ' ');
	}
	strbuf_addch(out, '\n');
}

/* Keys of a list's items: text only, because an empty list has none that could be switched on. */
static void add_items(const struct config_row *rows, unsigned depth, struct strbuf *out)
{
	_cleanup_strbuf_ struct strbuf prefix = STRBUF_INIT;

	strbuf_addf(&prefix, "%*s#  ", (int)depth * 2, "");
	for (const struct config_row *row = rows; row->key; row++) {
		_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

		if (row->type == CONFIG_GONE)
			continue;
		strbuf_addf(&text, "%s: %s (", row->key, row->help);
		add_values(row, &text);
		strbuf_addf(&text, "%s)", row->flags & CONFIG_REQUIRED ? "; required" : "");
		add_folded(strbuf_str(&prefix), strbuf_str(&text), out);
	}
}

static void add_example(const struct config_row *rows, unsigned depth, struct strbuf *out)
{
	_cleanup_strbuf_ struct strbuf prefix = STRBUF_INIT;

	strbuf_addf(&prefix, "%*s#", (int)depth * 2, "");
	for (const struct config_row *row = rows; row->key; row++) {
		_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

		if (row->type == CONFIG_GONE)
			continue;
		if (row->type == CONFIG_MAP) {
			strbuf_addf(out, "%*s%s:\n", (int)depth * 2, "", row->key);
			add_example(row->rows, depth + 1, out);
			continue;
		}
		strbuf_addf(&text, "%s (", row->help);
		add_values(row, &text);
		strbuf_addf(&text, "%s)", row->flags & CONFIG_RELOAD ? "; a reload is enough" : "");
		add_folded(strbuf_str(&prefix), strbuf_str(&text), out);
		if (row->type == CONFIG_LIST)
			add_items(row->rows, depth, out);
		strbuf_addf(out, "%s%s: ", strbuf_str(&prefix), row->key);
		add_default(row, out);
		strbuf_addch(out, '\n');
	}
}

void config_write_example(const struct config_section *sections, struct strbuf *out)
{
	for (; sections->name; sections++) {
		if (*sections->name)
			strbuf_addf(out, "\n%s:\n", sections->name);
		else
			strbuf_addch(out, '\n');
		add_example(sections->rows, *sections->name != '\0', out);
	}
}

/* Literals that hold a backtick or end in a backslash cannot be written in rst; no default does. */
static void add_entries(const struct config_row *rows, const char *path, struct strbuf *out)
{
	for (const struct config_row *row = rows; row->key; row++) {
		_cleanup_strbuf_ struct strbuf key = STRBUF_INIT;

		if (row->type == CONFIG_GONE)
			continue;
		strbuf_addf(&key, "%s%s%s", path, *path ? "." : "", row->key);
		if (row->type == CONFIG_MAP) {
			add_entries(row->rows, strbuf_str(&key), out);
			continue;
		}
		strbuf_addf(out, "\n``%s``\n    %s\n    Value: ", strbuf_str(&key), row->help);
		add_values(row, out);
		if (row->def && *row->def)
			strbuf_addf(out, "; default ``%s``", row->def);
		if (row->flags & CONFIG_REQUIRED)
			strbuf_addstr(out, "; required");
		strbuf_addf(out, ". Takes effect %s.\n",
			    row->flags & CONFIG_RELOAD ? "on reload" : "after a restart");
		if (row->type == CONFIG_LIST) {
			strbuf_addstr(&key, "[]");
			add_entries(row->rows, strbuf_str(&key), out);
		}
	}
}

void config_write_rst(const struct config_section *sections, struct strbuf *out)
{
	for (; sections->name; sections++) {
		const char *title = *sections->name ? sections->name : "Keys of the file itself";
		size_t len = strlen(title);

		strbuf_addf(out, "\n%s\n", title);
		for (size_t i = 0; i < len; i++)
			strbuf_addch(out, '-');
		strbuf_addch(out, '\n');
		add_entries(sections->rows, "", out);
	}
}
