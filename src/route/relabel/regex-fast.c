/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions that need no engine
 *
 * The tree is flattened into bytes and at most one wild part (.* or .+ with newline). A literal, a literal around one wild part, an ASCII
 * literal in any case, and alternatives of literals are recognised. A place before the wild part is so many bytes from the begin, one
 * behind it so many from the end: so groups are known without an engine, too.
 */

#include <errno.h>
#include <xxhash.h>
#include "base/macro.h"
#include "route/relabel/regex.h"

struct flat {
	struct strbuf *text;
	struct regex_fast *f;
	bool captures;
	bool wild, folded,
		plain; /* seen: the wild part, letters in any case, letters that are not */
	size_t begin; /* of the word in work */
	bool ended; /* by an $ */
};

static bool flatten(struct flat *s, const struct regex_node *n);

static bool flatten_capture(struct flat *s, const struct regex_node *n)
{
	struct regex_bound from = { (uint32_t)s->text->len, s->wild };

	if (!flatten(s, n->child))
		return false;
	if (s->captures) {
		s->f->bounds[n->capture][0] = from;
		s->f->bounds[n->capture][1] =
			(struct regex_bound){ (uint32_t)s->text->len, s->wild };
	}
	return true;
}

static bool flatten_literal(struct flat *s, const struct regex_node *n)
{
	bool letter = (n->c | 32) >= 'a' && (n->c | 32) <= 'z';
	char bytes[4];
	size_t len;

	if ((n->c >= 0xd800 && n->c <= 0xdfff) || (n->fold && n->c >= 0x80) || s->ended)
		return false;
	s->folded |= n->fold && letter;
	s->plain |= !n->fold && letter;
	len = unicode_put(n->fold && letter ? n->c | 32 : n->c, bytes);
	strbuf_add(s->text, bytes, len);
	return true;
}

static bool flatten(struct flat *s, const struct regex_node *n)
{
	switch (n->op) {
	case REGEX_EMPTY:
		return true;
	case REGEX_BEGIN_TEXT:
		return s->text->len == s->begin && !s->wild;
	case REGEX_END_TEXT:
		s->ended = true;
		return true;
	case REGEX_LITERAL:
		return flatten_literal(s, n);
	case REGEX_CAPTURE:
		return flatten_capture(s, n);
	case REGEX_CONCAT:
		for (const struct regex_node *c = n->child; c; c = c->next)
			if (!flatten(s, c))
				return false;
		return true;
	case REGEX_REPEAT:
		if (s->wild || s->ended || n->child->op != REGEX_ANY || n->max >= 0 || n->min > 1)
			return false;
		s->wild = true;
		s->f->prefix = (uint32_t)s->text->len;
		s->f->wild_min = (uint32_t)n->min;
		return true;
	default:
		return false;
	}
}

static const char *wild_path(const struct regex_fast *f)
{
	if (f->prefix)
		return f->suffix ? "prefix and suffix" : "prefix";
	if (f->suffix)
		return "suffix";
	return f->wild_min ? "not empty" : "anything";
}

/* --- sets --- */

static uint32_t word_hash(const char *text, size_t len)
{
	return (uint32_t)XXH3_64bits(text, len);
}

static bool set_has(const struct regex_fast *f, const char *text, size_t len)
{
	uint32_t hash = word_hash(text, len);

	for (uint32_t i = hash & f->mask; f->words[i].at; i = (i + 1) & f->mask)
		if (f->words[i].hash == hash && f->words[i].len == len &&
		    memcmp(f->text + f->words[i].at - 1, text, len) == 0)
			return true;
	return false;
}

static void set_add(struct regex_fast *f, uint32_t at, uint32_t len)
{
	uint32_t hash = word_hash(f->text + at, len), i = hash & f->mask;

	if (set_has(f, f->text + at, len))
		return;
	while (f->words[i].at)
		i = (i + 1) & f->mask;
	f->words[i] = (struct regex_word){ hash, at + 1, len };
}

/* Words of @alternate into @text, with their ends; false: one of them is no literal. */
static bool read_words(struct flat *s, const struct regex_node *alternate, struct strbuf *ends)
{
	for (const struct regex_node *c = alternate->child; c; c = c->next) {
		uint32_t end;

		s->begin = s->text->len;
		s->ended = false;
		if (!flatten(s, c) || s->wild || s->folded)
			return false;
		end = (uint32_t)s->text->len;
		strbuf_add(ends, &end, sizeof(end));
	}
	return true;
}

static int find_set(const struct regex_node *alternate, struct flat *s)
{
	struct strbuf ends _cleanup_strbuf_ = STRBUF_INIT;
	struct regex_fast *f = s->f;
	uint32_t from = 0, size = 8, end;
	size_t n;

	if (!read_words(s, alternate, &ends))
		return 0;
	if (ends.error || s->text->error)
		return -ENOMEM;
	n = ends.len / sizeof(end);
	while (size < 2 * n)
		size *= 2;
	f->words = calloc(size, sizeof(*f->words));
	(void)strbuf_str(s->text);
	f->text = strbuf_steal(s->text, NULL);
	if (!f->words || !f->text)
		return -ENOMEM;
	f->mask = size - 1;
	for (size_t i = 0; i < n; i++, from = end) {
		memcpy(&end, ends.data + i * sizeof(end), sizeof(end));
		set_add(f, from, end - from);
	}
	f->kind = REGEX_KIND_SET;
	f->path = "literal set";
	return 0;
}

static bool has_capture(const struct regex_node *n)
{
	for (const struct regex_node *c = n->child; c; c = c->next)
		if (has_capture(c))
			return true;
	return n->op == REGEX_CAPTURE;
}

/* (a|b|c), in groups that hold it whole. */
static int find_alternatives(const struct regex_tree *t, struct flat *s)
{
	const struct regex_node *n = t->root;

	for (; n->op == REGEX_CAPTURE; n = n->child)
		if (s->captures) {
			/* As if behind a wild part that is everything: from the begin to the end. */
			s->f->bounds[n->capture][0] = (struct regex_bound){};
			s->f->bounds[n->capture][1] = (struct regex_bound){ .behind = true };
		}
	if (n->op != REGEX_ALTERNATE || (s->captures && has_capture(n)))
		return 0;
	return find_set(n, s);
}

static int find_flat(const struct regex_tree *t, struct flat *s)
{
	struct regex_fast *f = s->f;
	size_t len;

	strbuf_clear(s->text);
	s->wild = s->folded = s->plain = s->ended = false;
	s->begin = 0;
	if (!flatten(s, t->root) || (s->folded && (s->plain || s->wild || f->n_captures)))
		return 0;
	(void)strbuf_str(s->text);
	f->text = strbuf_steal(s->text, &len);
	if (!f->text)
		return -ENOMEM;
	if (s->wild) {
		f->kind = REGEX_KIND_WILD;
		f->suffix = (uint32_t)len - f->prefix;
		f->path = wild_path(f);
		return 0;
	}
	f->kind = s->folded ? REGEX_KIND_FOLDED : REGEX_KIND_LITERAL;
	f->path = s->folded ? "literal in any case" : "literal";
	f->prefix = (uint32_t)len;
	return 0;
}

int regex_fast_find(const struct regex_tree *t, bool captures, struct regex_fast *ret)
{
	struct strbuf text _cleanup_strbuf_ = STRBUF_INIT;
	struct regex_fast f = { .path = "PCRE2", .n_captures = captures ? t->n_captures : 0 };
	struct flat s = { .text = &text, .f = &f, .captures = captures };
	int r;

	f.bounds = calloc(f.n_captures + 1, sizeof(*f.bounds));
	if (!f.bounds)
		return -ENOMEM;
	r = find_alternatives(t, &s);
	if (r == 0 && f.kind == REGEX_KIND_PCRE2)
		r = find_flat(t, &s);
	if (r < 0)
		regex_fast_done(&f);
	else
		*ret = f;
	return r;
}

void regex_fast_done(struct regex_fast *f)
{
	free(f->text);
	free(f->words);
	free(f->bounds);
	*f = (struct regex_fast){};
}

/* --- matching --- */

/* k and s have a third case outside of ASCII: the Kelvin sign and the long s. */
static bool match_folded(const struct regex_fast *f, const char *text, size_t len)
{
	const char *at = text, *end = text + len;

	for (uint32_t i = 0; i < f->prefix; i++) {
		uint8_t want = (uint8_t)f->text[i], c;

		if (at == end)
			return false;
		c = (uint8_t)*at;
		if (c == want || (want >= 'a' && want <= 'z' && (c | 32) == want && c < 0x80)) {
			at++;
		} else if (want == 'k' && end - at >= 3 && memcmp(at, "\xe2\x84\xaa", 3) == 0) {
			at += 3;
		} else if (want == 's' && end - at >= 2 && memcmp(at, "\xc5\xbf", 2) == 0) {
			at += 2;
		} else {
			return false;
		}
	}
	return at == end;
}

bool regex_fast_match(const struct regex_fast *f, const char *text, size_t len)
{
	switch (f->kind) {
	case REGEX_KIND_LITERAL:
		return len == f->prefix && memcmp(text, f->text, len) == 0;
	case REGEX_KIND_SET:
		return set_has(f, text, len);
	case REGEX_KIND_WILD:
		return len >= (size_t)f->prefix + f->wild_min + f->suffix &&
		       memcmp(text, f->text, f->prefix) == 0 &&
		       memcmp(text + len - f->suffix, f->text + f->prefix, f->suffix) == 0;
	case REGEX_KIND_FOLDED:
		return match_folded(f, text, len);
	default:
		return false;
	}
}
