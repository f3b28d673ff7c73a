/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration for people: differences at a reload, effective values, tables of the documentation. */

#include <string.h>
#include "config/internal.h"

/* Tokens may stand in a query. */
static void format_url(const struct config_row *row, const char *url, struct strbuf *out)
{
	_cleanup_strbuf_ struct strbuf shown = STRBUF_INIT;
	size_t len = strcspn(url, "?#");
	const char *text;

	strbuf_add(&shown, url, len);
	if (url[len])
		strbuf_addf(&shown, "%c<secret>", url[len]);
	text = strbuf_str(&shown);
	config_value_format(row, &text, out);
}

static void format(const struct config_row *row, const void *member, struct strbuf *out)
{
	if (row->flags & CONFIG_SECRET)
		strbuf_addstr(out, "<secret>");
	else if (row->flags & CONFIG_URL)
		format_url(row, *(const char *const *)member, out);
	else
		config_value_format(row, member, out);
}

struct diff {
	config_diff_fn fn;
	void *ctx;
};

static bool same_item(const struct config_row *rows, const char *a, const char *b);

static bool same(const struct config_row *row, const void *a, const void *b)
{
	_cleanup_strbuf_ struct strbuf x = STRBUF_INIT, y = STRBUF_INIT;
	const struct config_list *la = a, *lb = b;

	if (row->type == CONFIG_LIST) {
		if (la->n != lb->n)
			return false;
		for (size_t i = 0; i < la->n; i++)
			if (!same_item(row->rows, (const char *)la->items + i * row->item_size,
				       (const char *)lb->items + i * row->item_size))
				return false;
		return true;
	}
	config_value_format(row, a, &x);
	config_value_format(row, b, &y);
	return streq(strbuf_str(&x), strbuf_str(&y));
}

static bool same_item(const struct config_row *rows, const char *a, const char *b)
{
	for (const struct config_row *row = rows; row->key; row++) {
		if (row->type == CONFIG_GONE)
			continue;
		if (row->type == CONFIG_MAP) {
			if (!same_item(row->rows, a + row->offset, b + row->offset))
				return false;
		} else if (!same(row, a + row->offset, b + row->offset)) {
			return false;
		}
	}
	return true;
}

static void diff_rows(const struct diff *d, const struct config_row *rows, const char *path,
		      const char *a, const char *b)
{
	for (const struct config_row *row = rows; row->key; row++) {
		_cleanup_strbuf_ struct strbuf key = STRBUF_INIT, before = STRBUF_INIT,
					       after = STRBUF_INIT;

		if (row->type == CONFIG_GONE)
			continue;
		strbuf_addf(&key, "%s%s%s", path, *path ? "." : "", row->key);
		if (row->type == CONFIG_MAP) {
			diff_rows(d, row->rows, strbuf_str(&key), a + row->offset, b + row->offset);
			continue;
		}
		if (same(row, a + row->offset, b + row->offset))
			continue;
		format(row, a + row->offset, &before);
		format(row, b + row->offset, &after);
		d->fn(d->ctx, strbuf_str(&key), strbuf_str(&before), strbuf_str(&after),
		      row->flags & CONFIG_RELOAD);
	}
}

void config_diff(const struct config *before, const struct config *after, config_diff_fn fn,
		 void *ctx)
{
	const struct diff d = { fn, ctx };

	for (size_t i = 0; before->sections[i].name; i++)
		diff_rows(&d, before->sections[i].rows, before->sections[i].name, before->values[i],
			  after->values[i]);
}

static void write_rows(const struct config_row *rows, unsigned depth, const char *object,
		       struct strbuf *out)
{
	for (const struct config_row *row = rows; row->key; row++) {
		const char *member = object + row->offset;
		const struct config_list *list = (const void *)member;

		if (row->type == CONFIG_GONE)
			continue;
		if (row->type == CONFIG_PATH && !**(const char *const *)member)
			continue; /* not set: an empty path would be refused when it is read again */
		strbuf_addf(out, "%*s%s:", (int)depth * 2, "", row->key);
		if (row->type == CONFIG_MAP) {
			strbuf_addch(out, '\n');
			write_rows(row->rows, depth + 1, member, out);
		} else if (row->type == CONFIG_LIST) {
			strbuf_addstr(out, list->n ? "\n" : " []\n");
			for (size_t i = 0; i < list->n; i++) {
				strbuf_addf(out, "%*s-\n", (int)(depth + 1) * 2, "");
				write_rows(row->rows, depth + 2,
					   (const char *)list->items + i * row->item_size, out);
			}
		} else {
			strbuf_addch(out, ' ');
			format(row, member, out);
			strbuf_addch(out, '\n');
		}
	}
}

void config_write_object(const struct config_row *rows, const void *object, struct strbuf *out)
{
	write_rows(rows, 0, object, out);
}

void config_write_yaml(const struct config *c, struct strbuf *out)
{
	for (size_t i = 0; c->sections[i].name; i++) {
		bool section = *c->sections[i].name;

		if (section)
			strbuf_addf(out, "%s:\n", c->sections[i].name);
		write_rows(c->sections[i].rows, section, c->values[i], out);
	}
}

const char *config_type_name(const struct config_row *row)
{
	static const char *const names[_CONFIG_TYPE_MAX] = {
		[CONFIG_BOOL] = "true or false",
		[CONFIG_UINT] = "number",
		[CONFIG_U64] = "number",
		[CONFIG_PERCENT] = "percentage or off",
		[CONFIG_SIZE] = "size",
		[CONFIG_DURATION] = "duration",
		[CONFIG_STRING] = "text",
		[CONFIG_PATH] = "absolute path",
		[CONFIG_ENUM] = "",
		[CONFIG_STRINGS] = "list of text",
		[CONFIG_MAP] = "map",
		[CONFIG_LIST] = "list of maps",
		[CONFIG_PAIRS] = "text",
		[CONFIG_ANY] = "anything",
	};

	return names[row->type];
}

static void add_cell(struct strbuf *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '|')
			strbuf_addch(out, '\\');
		strbuf_addch(out, *s);
	}
}

static void write_table(const struct config_row *rows, const char *path, struct strbuf *out)
{
	for (const struct config_row *row = rows; row->key; row++) {
		_cleanup_strbuf_ struct strbuf key = STRBUF_INIT;

		if (row->type == CONFIG_GONE)
			continue;
		strbuf_addf(&key, "%s%s%s", path, *path ? "." : "", row->key);
		if (row->type == CONFIG_MAP) {
			write_table(row->rows, strbuf_str(&key), out);
			continue;
		}
		strbuf_addf(out, "| `%s` | %s", strbuf_str(&key), config_type_name(row));
		for (size_t i = 0; row->type == CONFIG_ENUM && row->names[i]; i++)
			strbuf_addf(out, "%s`%s`", i ? ", " : "", row->names[i]);
		if (row->min || row->max)
			strbuf_addf(out, " %s..%s", row->min ? row->min : "",
				    row->max ? row->max : "");
		if (row->max_items)
			strbuf_addf(out, ", at most %zu", row->max_items);
		strbuf_addstr(out, " | ");
		if (row->def && *row->def) {
			strbuf_addstr(out, "`` ");
			add_cell(out, row->def);
			strbuf_addstr(out, " ``");
		}
		strbuf_addf(out, " | %s | ", row->flags & CONFIG_RELOAD ? "reload" : "restart");
		add_cell(out, row->help);
		strbuf_addstr(out, " |\n");
		if (row->type == CONFIG_LIST) {
			strbuf_addstr(&key, "[]");
			write_table(row->rows, strbuf_str(&key), out);
		}
	}
}

void config_write_markdown(const struct config_section *sections, struct strbuf *out)
{
	for (; sections->name; sections++) {
		strbuf_addf(
			out,
			"\n## %s\n\n| key | value | default | takes effect | meaning |\n|---|---|---|---|---|\n",
			*sections->name ? sections->name : "Keys of the file itself");
		write_table(sections->rows, "", out);
	}
}
