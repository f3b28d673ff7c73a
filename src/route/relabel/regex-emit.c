/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree as a PCRE2 pattern
 *
 * Only constructs whose meaning is the same in both are written: literals, classes as explicit ranges, \A \z \b \B, (?m:^) and (?m:$) with
 * LF, groups, repeats. Letters that have more than two cases (k and the Kelvin sign) become classes. Surrogates, which PCRE2 refuses and no
 * label can hold, are left out of classes.
 */

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include "base/macro.h"
#include "route/relabel/regex.h"

#define NOTHING "(?!)"

struct emitter {
	struct strbuf *b;
	bool captures;
	int error;
};

static void emit_char(struct emitter *e, uint32_t c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_')
		strbuf_addch(e->b, (char)c);
	else if (c > ' ' && c < 0x7f)
		strbuf_addf(e->b, "\\%c", (char)c);
	else
		strbuf_addf(e->b, "\\x{%x}", c);
}

static bool surrogate(uint32_t c)
{
	return c >= 0xd800 && c <= 0xdfff;
}

static void emit_range(struct emitter *e, uint32_t lo, uint32_t hi)
{
	if (lo < 0xd800 && hi > 0xdfff) {
		emit_range(e, lo, 0xd7ff);
		lo = 0xe000;
	}
	if (surrogate(lo))
		lo = 0xe000;
	if (surrogate(hi))
		hi = 0xd7ff;
	if (lo > hi)
		return;
	emit_char(e, lo);
	if (hi > lo + 1)
		strbuf_addch(e->b, '-');
	if (hi > lo)
		emit_char(e, hi);
}

/* --- classes --- */

/*
 * \p{Lu} without regard to case is Lu and all that equal one of it. PCRE2 knows what is in Lu; the fold table, what equals it.
 */
static void emit_property_orbits(struct emitter *e, const char *name)
{
	char pattern[80], text[4];
	pcre2_code *code;
	pcre2_match_data *data;
	PCRE2_SIZE at;
	int error;

	(void)snprintf(pattern, sizeof(pattern), "\\p{%s}", name);
	code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &at,
			     NULL);
	data = code ? pcre2_match_data_create(1, NULL) : NULL;
	for (size_t i = 0; data && i < unicode_n_fold; i++)
		for (uint32_t c = unicode_fold[i].first; c <= unicode_fold[i].last;
		     c += (uint32_t)unicode_fold[i].step) {
			uint32_t orbit[UNICODE_ORBIT_MAX];
			size_t n = unicode_orbit(c, orbit), in = 0;

			for (size_t k = 0; k < n; k++)
				in += pcre2_match(code, (PCRE2_SPTR)text,
						  unicode_put(orbit[k], text), 0,
						  PCRE2_NO_UTF_CHECK, data, NULL) > 0;
			for (size_t k = 0; in && in < n && k < n; k++)
				emit_char(e, orbit[k]);
		}
	if (!data)
		e->error = -ENOMEM;
	pcre2_match_data_free(data);
	pcre2_code_free(code);
}

static void emit_property(struct emitter *e, const struct regex_property *p)
{
	strbuf_addf(e->b, "\\%c{%s}", p->negated && !p->fold ? 'P' : 'p', p->name);
	if (p->fold)
		emit_property_orbits(e, p->name);
}

/* A negated property without regard to case cannot stand within brackets: then the class is alternatives of brackets. */
static void emit_property_class(struct emitter *e, const struct regex_class *c)
{
	const struct regex_property *p;

	strbuf_addstr(e->b, c->negated ? "(?:(?!" : "(?:");
	for (size_t i = 0; i < c->n; i++) {
		strbuf_addch(e->b, '[');
		emit_range(e, c->ranges[i].lo, c->ranges[i].hi);
		strbuf_addstr(e->b, "]|");
	}
	for (p = c->properties; p; p = p->next) {
		strbuf_addstr(e->b, p->negated && p->fold ? "[^" : "[");
		emit_property(e, p);
		strbuf_addstr(e->b, p->next ? "]|" : "]");
	}
	strbuf_addstr(e->b, c->negated ? ").)" : ")");
}

static bool only_surrogates(const struct regex_class *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (!surrogate(c->ranges[i].lo) || !surrogate(c->ranges[i].hi))
			return false;
	return true;
}

static void emit_class(struct emitter *e, const struct regex_class *c)
{
	const struct regex_property *p;

	for (p = c->properties; p; p = p->next)
		if (p->fold && p->negated) {
			emit_property_class(e, c);
			return;
		}
	if (!c->properties && only_surrogates(c)) {
		strbuf_addstr(e->b, NOTHING);
		return;
	}
	strbuf_addstr(e->b, c->properties && c->negated ? "[^" : "[");
	for (size_t i = 0; i < c->n; i++)
		emit_range(e, c->ranges[i].lo, c->ranges[i].hi);
	for (p = c->properties; p; p = p->next)
		emit_property(e, p);
	strbuf_addch(e->b, ']');
}

static void emit_literal(struct emitter *e, const struct regex_node *n)
{
	uint32_t orbit[UNICODE_ORBIT_MAX] = { n->c };
	size_t cases = n->fold ? unicode_orbit(n->c, orbit) : 1;

	if (surrogate(n->c)) {
		strbuf_addstr(e->b, NOTHING);
		return;
	}
	if (cases > 1)
		strbuf_addch(e->b, '[');
	for (size_t i = 0; i < cases; i++)
		emit_char(e, orbit[i]);
	if (cases > 1)
		strbuf_addch(e->b, ']');
}

/* --- the tree --- */

static void emit(struct emitter *e, const struct regex_node *n);

static void emit_repeat(struct emitter *e, const struct regex_node *n)
{
	strbuf_addstr(e->b, "(?:");
	emit(e, n->child);
	strbuf_addch(e->b, ')');
	if (n->min == 0 && n->max == 1)
		strbuf_addch(e->b, '?');
	else if (n->max < 0 && n->min < 2)
		strbuf_addch(e->b, n->min ? '+' : '*');
	else if (n->max < 0)
		strbuf_addf(e->b, "{%d,}", n->min);
	else
		strbuf_addf(e->b, "{%d,%d}", n->min, n->max);
	if (n->lazy)
		strbuf_addch(e->b, '?');
}

static void emit_group(struct emitter *e, const struct regex_node *n, const char *between)
{
	for (const struct regex_node *c = n->child; c; c = c->next) {
		emit(e, c);
		if (c->next)
			strbuf_addstr(e->b, between);
	}
	strbuf_addch(e->b, ')');
}

static void emit(struct emitter *e, const struct regex_node *n)
{
	static const char *const plain[] = {
		[REGEX_EMPTY] = "(?:)",	       [REGEX_ANY] = ".",
		[REGEX_ANY_NOT_NL] = "[^\\n]", [REGEX_BEGIN_LINE] = "(?m:^)",
		[REGEX_END_LINE] = "(?m:$)",   [REGEX_BEGIN_TEXT] = "\\A",
		[REGEX_END_TEXT] = "\\z",      [REGEX_WORD] = "\\b",
		[REGEX_NO_WORD] = "\\B",
	};

	switch (n->op) {
	case REGEX_LITERAL:
		emit_literal(e, n);
		return;
	case REGEX_CLASS:
		emit_class(e, n->class);
		return;
	case REGEX_CAPTURE:
		strbuf_addstr(e->b, e->captures ? "(" : "(?:");
		emit_group(e, n, "");
		return;
	case REGEX_CONCAT:
		strbuf_addstr(e->b, "(?:");
		emit_group(e, n, "");
		return;
	case REGEX_ALTERNATE:
		strbuf_addstr(e->b, "(?:");
		emit_group(e, n, "|");
		return;
	case REGEX_REPEAT:
		emit_repeat(e, n);
		return;
	default:
		strbuf_addstr(e->b, plain[n->op]);
	}
}

/**
 * regex_emit() - PCRE2 text of a tree
 * @captures: with capturing groups, in the order of their numbers
 *
 * Return: 0, -ENOMEM.
 */
int regex_emit(const struct regex_tree *t, bool captures, struct strbuf *ret)
{
	struct emitter e = { .b = ret, .captures = captures };

	emit(&e, t->root);
	return e.error ? e.error : ret->error;
}
