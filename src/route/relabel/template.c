/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replacement texts
 *
 * Parsed once into text, groups and labels; what names no group of the expression is left out, as Go does it. Source: Regexp.Expand of
 * Go's regexp (the longest name of letters, digits and _ after the $).
 */

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include "base/macro.h"
#include "route/relabel/internal.h"

struct reader {
	const char *at;
	enum template_form form;
	const struct regex *regex;
	struct template t;
	size_t size;
	struct arena *arena;
	pcre2_code *letter; /* made when first needed */
	bool no_memory;
};

static void add(struct reader *r, struct template_part part)
{
	struct template_part *last = r->t.n ? &r->t.parts[r->t.n - 1] : NULL;

	if (part.kind == TEMPLATE_TEXT && part.len == 0)
		return;
	if (part.kind == TEMPLATE_TEXT && last && last->kind == TEMPLATE_TEXT &&
	    last->text + last->len == part.text) {
		last->len += part.len;
		return;
	}
	if (r->t.n == r->size) {
		size_t size = r->size ? 2 * r->size : 4;
		struct template_part *more = arena_alloc(r->arena, size * sizeof(*more));

		if (!more) {
			r->no_memory = true;
			return;
		}
		if (r->t.n)
			memcpy(more, r->t.parts, r->t.n * sizeof(*more));
		r->t.parts = more;
		r->size = size;
	}
	r->t.parts[r->t.n++] = part;
	if (part.kind == TEMPLATE_GROUP)
		r->t.max_group = MAX(r->t.max_group, part.group);
}

static void add_text(struct reader *r, const char *text, size_t len)
{
	add(r, (struct template_part){ .kind = TEMPLATE_TEXT, .text = text, .len = (uint32_t)len });
}

static bool ascii_word(char c)
{
	return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

/* Bytes of the letter or digit at @at, 0 when it is none. What is a letter outside of ASCII, PCRE2 knows. */
static size_t word_char(struct reader *r, const char *at)
{
	pcre2_match_data *data;
	size_t len, left = strlen(at);
	PCRE2_SIZE where;
	int error, found;

	if ((uint8_t)*at < 0x80 || r->form == TEMPLATE_GRAPHITE)
		return r->form == TEMPLATE_GRAPHITE ? *at >= '0' && *at <= '9' : ascii_word(*at);
	(void)unicode_get(at, left, &len);
	if (!r->letter)
		r->letter = pcre2_compile((PCRE2_SPTR) "[\\p{L}\\p{Nd}]", PCRE2_ZERO_TERMINATED,
					  PCRE2_UTF, &error, &where, NULL);
	data = r->letter ? pcre2_match_data_create(1, NULL) : NULL;
	if (!data) {
		r->no_memory = true;
		return 0;
	}
	found = pcre2_match(r->letter, (PCRE2_SPTR)at, len, 0, PCRE2_ANCHORED, data, NULL);
	pcre2_match_data_free(data);
	return found > 0 ? len : 0;
}

/* Number of a group written in digits; -1: it is a name. */
static long number_of(const char *name, size_t len)
{
	long v = 0;

	if (len > 8 || (len > 1 && name[0] == '0'))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		v = v * 10 + (name[i] - '0');
	}
	return v;
}

static void add_group(struct reader *r, const char *name, size_t len)
{
	struct template_part part = { .kind = TEMPLATE_GROUP };
	long number = number_of(name, len);
	unsigned n = r->regex ? regex_n_captures(r->regex) : 0;

	if (number >= 0) {
		part.group = (unsigned)number;
		if (r->form != TEMPLATE_GRAPHITE && part.group > n)
			return;
	} else {
		part.group = r->regex ? regex_find_name(r->regex, name, len) : 0;
		if (!part.group)
			return;
	}
	add(r, part);
}

/* Behind a $: true where a group was read, else the $ means itself. */
static bool read_group(struct reader *r)
{
	bool brace = *r->at == '{';
	const char *name = r->at + brace, *end = name;
	size_t len;

	while (*end && (len = word_char(r, end)) > 0)
		end += len;
	if (end == name || (brace && *end != '}'))
		return false;
	add_group(r, name, (size_t)(end - name));
	r->at = end + brace;
	return true;
}

static bool read_label(struct reader *r)
{
	const char *end = strstr(r->at + 2, "}}");

	if (!end)
		return false;
	add(r, (struct template_part){ .kind = TEMPLATE_LABEL,
				       .text = r->at + 2,
				       .len = (uint32_t)(end - r->at - 2) });
	r->at = end + 2;
	return true;
}

int template_parse(const char *text, enum template_form form, const struct regex *regex,
		   struct arena *arena, struct template *ret)
{
	const char *own = arena_strdup(arena, text);
	struct reader r = { .at = own, .form = form, .regex = regex, .arena = arena };

	if (!own)
		return -ENOMEM;
	while (*r.at && !r.no_memory) {
		size_t plain = strcspn(r.at, form == TEMPLATE_VM ? "${" : "$");

		add_text(&r, r.at, plain);
		r.at += plain;
		if (*r.at == '{') {
			if (r.at[1] != '{' || !read_label(&r))
				add_text(&r, r.at++, 1);
		} else if (*r.at == '$') {
			r.at++;
			if (*r.at == '$' && form != TEMPLATE_GRAPHITE)
				add_text(&r, r.at++, 1);
			else if (!read_group(&r))
				add_text(&r, r.at - 1, 1);
		}
	}
	pcre2_code_free(r.letter);
	if (r.no_memory)
		return -ENOMEM;
	*ret = r.t;
	return 0;
}

/* --- expand --- */

static struct rw_span group_of(const struct relabel_context *c, const struct template_source *s,
			       unsigned group)
{
	size_t from, to;

	if (!s->regex)
		return group < s->n_groups ? s->groups[group] : span_of("", 0);
	if (!regex_capture(s->regex, c->regex, group, &from, &to))
		return span_of("", 0);
	return span_of(s->text + from, to - from);
}

static struct rw_span part_of(const struct template_part *p, const struct relabel_context *c,
			      const struct template_source *s)
{
	switch (p->kind) {
	case TEMPLATE_GROUP:
		return group_of(c, s, p->group);
	case TEMPLATE_LABEL:
		return work_get(c, p->text, p->len);
	default:
		return span_of(p->text, p->len);
	}
}

struct rw_span template_expand(const struct template *t, struct relabel_context *c,
			       const struct template_source *s)
{
	size_t len = 0;
	char *text, *at;

	if (!t->n)
		return span_of("", 0);
	if (t->n == 1)
		return part_of(&t->parts[0], c, s);
	for (size_t i = 0; i < t->n; i++)
		len += part_of(&t->parts[i], c, s).len;
	text = at = work_bytes(c, len);
	for (size_t i = 0; text && i < t->n; i++) {
		struct rw_span p = part_of(&t->parts[i], c, s);

		memcpy(at, p.at, p.len);
		at += p.len;
	}
	return span_of(text, text ? len : 0);
}
