/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value of a row: text to member and back
 *
 * A table of types: each parses, formats and compares with the bounds, which are written in the row's own notation.
 */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/parse.h"
#include "base/text.h"
#include "base/time.h"
#include "config/internal.h"

static int store_string(struct arena *arena, const char *text, void *value)
{
	char *copy = arena_strdup(arena, text);

	if (!copy)
		return -ENOMEM;
	*(const char **)value = copy;
	return 0;
}

/* "15" where "15s" is wanted is the most frequent mistake, so it gets its own words. */
static void explain_unit(const char *text, const char *example, char *why, size_t why_size,
			 const char *what)
{
	uint64_t number;

	if (parse_u64(text, &number) == 0)
		(void)snprintf(why, why_size, "'%s' has no unit, write %s%s", text, text, example);
	else
		(void)snprintf(why, why_size, "'%s' is not a %s such as 10%s", text, what, example);
}

static void explain_names(const struct config_row *row, const char *text, char *why,
			  size_t why_size)
{
	struct strbuf b;

	strbuf_init_fixed(&b, why, why_size);
	strbuf_addf(&b, "'%s' is not one of", text);
	for (size_t i = 0; row->names[i]; i++)
		strbuf_addf(&b, " %s", row->names[i]);
}

static int parse_enum(const struct config_row *row, const char *text, void *value)
{
	for (int i = 0; row->names[i]; i++)
		if (streq(row->names[i], text)) {
			*(int *)value = i;
			return 0;
		}
	return -EINVAL;
}

/* "2%"; "off" = 0, which itself is no percentage. */
static int parse_percent(const char *text, uint32_t *ret)
{
	char digits[16];
	size_t len = strlen(text);

	if (streq(text, "off")) {
		*ret = 0;
		return 0;
	}
	if (len < 2 || len > sizeof(digits) || text[len - 1] != '%')
		return -EINVAL;
	memcpy(digits, text, len - 1);
	digits[len - 1] = '\0';
	return parse_u32(digits, ret) < 0 || !*ret ? -EINVAL : 0;
}

static int parse_text(const struct config_row *row, const char *text, struct arena *arena,
		      void *value, char *why, size_t why_size)
{
	int r;

	switch (row->type) {
	case CONFIG_BOOL:
		r = parse_bool(text, value);
		if (r < 0)
			(void)snprintf(why, why_size, "'%s' is not true or false", text);
		return r;
	case CONFIG_UINT:
		r = parse_u32(text, value);
		if (r < 0)
			(void)snprintf(why, why_size, "'%s' is not a whole number", text);
		return r;
	case CONFIG_U64:
		r = parse_u64(text, value);
		if (r < 0)
			(void)snprintf(why, why_size, "'%s' is not a whole number", text);
		return r;
	case CONFIG_PERCENT:
		r = parse_percent(text, value);
		if (r < 0)
			(void)snprintf(why, why_size,
				       "'%s' is not a percentage such as 2%%, or off", text);
		return r;
	case CONFIG_SIZE:
		r = parse_size(text, value);
		if (r < 0)
			explain_unit(text, "MiB", why, why_size, "size");
		return r;
	case CONFIG_DURATION:
		r = parse_duration(text, value);
		if (r < 0)
			explain_unit(text, "s", why, why_size, "duration");
		return r;
	case CONFIG_ENUM:
		r = parse_enum(row, text, value);
		if (r < 0)
			explain_names(row, text, why, why_size);
		return r;
	case CONFIG_PATH:
		if (text[0] != '/') {
			(void)snprintf(why, why_size, "'%s' is not an absolute path", text);
			return -EINVAL;
		}
		return store_string(arena, text, value);
	case CONFIG_STRING:
		return store_string(arena, text, value);
	default:
		(void)snprintf(why, why_size,
			       "a single value stands where a list or a map belongs");
		return -EINVAL;
	}
}

static uint64_t as_number(const struct config_row *row, const void *value)
{
	return row->type == CONFIG_UINT || row->type == CONFIG_PERCENT ? *(const uint32_t *)value
								       : *(const uint64_t *)value;
}

static uint64_t bound(const struct config_row *row, const char *text)
{
	uint64_t v = 0;
	uint32_t small = 0;
	char why[64];
	int r;

	if (row->type == CONFIG_UINT || row->type == CONFIG_PERCENT) {
		r = parse_text(row, text, NULL, &small, why, sizeof(why));
		v = small;
	} else {
		r = parse_text(row, text, NULL, &v, why, sizeof(why));
	}
	assert(r == 0); /* bounds are written by us */
	(void)r;
	return v;
}

static int check_bounds(const struct config_row *row, const char *text, const void *value,
			char *why, size_t why_size)
{
	switch (row->type) {
	case CONFIG_UINT:
	case CONFIG_U64:
	case CONFIG_PERCENT:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		break;
	default:
		return 0;
	}
	if (row->min && as_number(row, value) < bound(row, row->min)) {
		(void)snprintf(why, why_size, "%s is below %s", text, row->min);
		return -EINVAL;
	}
	if (row->max && as_number(row, value) > bound(row, row->max)) {
		(void)snprintf(why, why_size, "%s is above %s", text, row->max);
		return -EINVAL;
	}
	return 0;
}

int config_value_parse(const struct config_row *row, const char *text, struct arena *arena,
		       void *value, char *why, size_t why_size)
{
	int r = parse_text(row, text, arena, value, why, why_size);

	if (r >= 0)
		r = check_bounds(row, text, value, why, why_size);
	if (r >= 0 && row->check)
		r = row->check(value, why, why_size);
	return r;
}

/* The largest unit that divides without rest, so that 60s comes back as 1m and 90s stays. */
static void format_scaled(uint64_t v, const char *const *names, const uint64_t *values, size_t n,
			  struct strbuf *out)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		if (v && v % values[i] == 0)
			best = i;
	strbuf_addu64(out, v / values[best]);
	if (v)
		strbuf_addstr(out, names[best]);
}

static bool is_plain(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

static uint32_t code_point(const char *s, size_t len)
{
	uint32_t v = (unsigned char)*s & (len == 1 ? 0x7f : 0x7f >> len);

	for (size_t i = 1; i < len; i++)
		v = v << 6 | ((unsigned char)s[i] & 0x3f);
	return v;
}

/* Double quotes; what a reader of YAML might refuse or take for something else is escaped. */
static void format_text(const char *s, struct strbuf *out)
{
	size_t len = strlen(s);

	strbuf_addch(out, '"');
	for (size_t i = 0, n; i < len; i += n) {
		n = MAX(utf8_sequence(s + i, len - i), (size_t)1);
		if (s[i] == '"' || s[i] == '\\')
			strbuf_addf(out, "\\%c", s[i]);
		else if (s[i] >= ' ' && s[i] <= '~')
			strbuf_addch(out, s[i]);
		else
			strbuf_addf(out, "\\U%08X", code_point(s + i, n));
	}
	strbuf_addch(out, '"');
}

/* Patterns hold many backslashes, so single quotes where they can say it. */
static void format_strings(const struct config_strings *list, struct strbuf *out)
{
	strbuf_addch(out, '[');
	for (size_t i = 0; i < list->n; i++) {
		strbuf_addstr(out, i ? ", " : "");
		if (!is_plain(list->items[i])) {
			format_text(list->items[i], out);
			continue;
		}
		strbuf_addch(out, '\'');
		for (const char *p = list->items[i]; *p; p++) {
			strbuf_addch(out, *p);
			if (*p == '\'')
				strbuf_addch(out, '\'');
		}
		strbuf_addch(out, '\'');
	}
	strbuf_addch(out, ']');
}

void config_value_format(const struct config_row *row, const void *value, struct strbuf *out)
{
	static const char *const size_names[] = { "B", "KiB", "MiB", "GiB" };
	static const uint64_t size_values[] = { 1, 1 << 10, 1 << 20, 1 << 30 };
	static const char *const time_names[] = { "us", "ms", "s", "m", "h", "d" };
	static const uint64_t time_values[] = {
		1, 1000, US_PER_SEC, 60 * US_PER_SEC, 3600 * US_PER_SEC, 86400 * US_PER_SEC
	};

	switch (row->type) {
	case CONFIG_BOOL:
	case CONFIG_ANY:
		strbuf_addstr(out, *(const bool *)value ? "true" : "false");
		return;
	case CONFIG_UINT:
		strbuf_addu64(out, *(const uint32_t *)value);
		return;
	case CONFIG_U64:
		strbuf_addu64(out, *(const uint64_t *)value);
		return;
	case CONFIG_PERCENT:
		if (*(const uint32_t *)value)
			strbuf_addf(out, "%u%%", *(const uint32_t *)value);
		else
			strbuf_addstr(out, "off");
		return;
	case CONFIG_SIZE:
		format_scaled(*(const uint64_t *)value, size_names, size_values,
			      ARRAY_SIZE(size_names), out);
		return;
	case CONFIG_DURATION:
		format_scaled(*(const uint64_t *)value, time_names, time_values,
			      ARRAY_SIZE(time_names), out);
		return;
	case CONFIG_ENUM:
		strbuf_addstr(out, row->names[*(const int *)value]);
		return;
	case CONFIG_STRINGS:
		format_strings(value, out);
		return;
	case CONFIG_LIST:
		strbuf_addf(out, "%zu items", ((const struct config_list *)value)->n);
		return;
	case CONFIG_PAIRS:
		strbuf_addf(out, "%zu pairs", ((const struct config_pairs *)value)->n);
		return;
	default:
		format_text(*(const char *const *)value, out);
	}
}
