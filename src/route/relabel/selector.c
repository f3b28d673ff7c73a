/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selectors
 *
 * A name in front of the braces holds for every group of matchers. A matcher with a regular expression takes the same paths as a rule does.
 */

#include <errno.h>
#include "base/macro.h"
#include "route/relabel/internal.h"

#define MATCHERS_MAX 256

struct matcher {
	struct rw_span name, value;
	bool negated;
	bool next_group; /* a new group begins here */
	struct regex *regex; /* NULL: equality */
};

struct selector {
	struct arena *arena;
	struct matcher *matchers;
	size_t n;
	struct rw_span metric; /* at NULL: none */
};

struct selector *selector_free(struct selector *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->n; i++)
		(void)regex_free(s->matchers[i].regex);
	(void)arena_free(s->arena);
	free(s);
	return NULL;
}

static bool read_operator(struct lex *l, bool *ret_negated, bool *ret_regex)
{
	static const struct {
		const char *token;
		bool negated, regex;
	} operators[] = { { "=~", false, true },
			  { "!~", true, true },
			  { "!=", true, false },
			  { "=", false, false } };

	for (size_t i = 0; i < ARRAY_SIZE(operators); i++)
		if (lex_take(l, operators[i].token)) {
			*ret_negated = operators[i].negated;
			*ret_regex = operators[i].regex;
			return true;
		}
	return false;
}

static bool compile_value(struct lex *l, struct matcher *m)
{
	char why[160] = "";
	int r = regex_compile((const char *)m->value.at, m->value.len, 0, why, sizeof(why),
			      &m->regex);

	l->no_memory |= r == -ENOMEM;
	if (r == -EINVAL && l->why_size && !*l->why)
		(void)snprintf(l->why, l->why_size, "regular expression before offset %td: %s",
			       l->at - l->start, why);
	return r == 0;
}

/* name="value", or a quoted name alone, which is that of the metric. */
static bool read_matcher(struct selector *s, struct lex *l, bool next_group)
{
	struct matcher *m = &s->matchers[s->n];
	bool regex = false, quoted;

	if (s->n == MATCHERS_MAX)
		return lex_fail(l, "more than 256 matchers");
	lex_space(l);
	quoted = *l->at == '"' || *l->at == '\'' || *l->at == '`';
	if (!lex_name(l, false, &m->name))
		return lex_fail(l, "a label name is missing");
	m->next_group = next_group;
	if (!read_operator(l, &m->negated, &regex)) {
		if (!quoted)
			return lex_fail(l, "=, !=, =~ or !~ is missing");
		m->value = m->name;
		m->name = span_of("__name__", 8);
	} else if (!lex_quoted(l, &m->value)) {
		return lex_fail(l, "a quoted value is missing");
	}
	s->n++;
	return !regex || compile_value(l, m);
}

/* `or` is a word of its own: a label may be called order. */
static bool take_or(struct lex *l)
{
	lex_space(l);
	if (strncmp(l->at, "or", 2) != 0 || !strchr(" \t\r\n\"'`", l->at[2]) || !l->at[2])
		return false;
	for (const char *at = l->at + 2;; at++)
		if (!strchr(" \t\r\n", *at)) {
			/* `or ="v"` is a label called or. */
			if (*at == '=' || *at == '!' || !*at)
				return false;
			break;
		}
	l->at += 2;
	return true;
}

static bool read_matchers(struct selector *s, struct lex *l)
{
	bool alternative = false;

	while (!lex_take(l, "}")) {
		if (!read_matcher(s, l, alternative))
			return false;
		alternative = take_or(l);
		if (alternative || lex_take(l, ","))
			continue;
		if (lex_take(l, "}"))
			return true;
		return lex_fail(l, "}, comma or `or` is missing");
	}
	return !alternative || lex_fail(l, "a matcher is missing behind `or`");
}

static bool read_selector(struct selector *s, struct lex *l)
{
	lex_space(l);
	if (!*l->at)
		return lex_fail(l, "empty selector");
	if (*l->at != '{' && !lex_name(l, true, &s->metric))
		return lex_fail(l, "a metric name or { is missing");
	if (lex_take(l, "{") && !read_matchers(s, l))
		return false;
	lex_space(l);
	return !*l->at || lex_fail(l, "text behind the selector");
}

/**
 * selector_parse() - from its text
 * @why: with -EINVAL what is wrong and the offset
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int selector_parse(const char *text, char *why, size_t why_size, struct selector **ret)
{
	_cleanup_(selector_freep) struct selector *s = calloc(1, sizeof(*s));
	struct lex l = { .why = why, .why_size = why_size };

	if (why_size)
		*why = 0;
	if (!s || arena_new(0, &s->arena) < 0)
		return -ENOMEM;
	l.arena = s->arena;
	l.start = l.at = arena_strdup(s->arena, text);
	s->matchers = arena_alloc(s->arena, MATCHERS_MAX * sizeof(*s->matchers));
	if (!l.at || !s->matchers)
		return -ENOMEM;
	if (!read_selector(s, &l))
		return l.no_memory ? -ENOMEM : -EINVAL;
	*ret = TAKE_PTR(s);
	return 0;
}

static bool matcher_holds(const struct matcher *m, struct relabel_context *c,
			  const struct rw_label *labels, size_t n)
{
	const struct rw_label *l = rw_find_label(labels, n, (const char *)m->name.at, m->name.len);
	struct rw_span v = l ? span_of(l->value, l->value_len) : span_of("", 0);
	bool found;

	if (!m->regex)
		return span_equal(v, m->value) != m->negated;
	/* At a limit the series is not known to match, and not known not to: neither kind of matcher takes it. */
	switch (regex_match(m->regex, c->regex, (const char *)v.at, v.len)) {
	case REGEX_LIMIT:
		return false;
	case REGEX_YES:
		found = true;
		break;
	default:
		found = false;
	}
	return found != m->negated;
}

bool selector_match(const struct selector *s, struct relabel_context *c,
		    const struct rw_label *labels, size_t n)
{
	bool good = true;

	if (s->metric.at) {
		const struct rw_label *l = rw_find_label(labels, n, "__name__", 8);

		if (!l || !span_equal(span_of(l->value, l->value_len), s->metric))
			return false;
	}
	for (size_t i = 0; i < s->n; i++) {
		if (s->matchers[i].next_group) {
			if (good)
				return true;
			good = true;
		}
		good = good && matcher_holds(&s->matchers[i], c, labels, n);
	}
	return good;
}
