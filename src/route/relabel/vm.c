/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions that VictoriaMetrics added
 *
 * Source: lib/promrelabel (relabel.go, graphite.go) and its documentation.
 */

#include <errno.h>
#include "base/macro.h"
#include "base/text.h"
#include "config/config.h"
#include "route/relabel/internal.h"

#define PARTS_MAX 64
#define TEXT_OF(span) ((const char *)(span).at)

/* --- *_if_equal, *_if_contains --- */

static struct rw_span source(const struct rule *r, const struct relabel_context *c, size_t at)
{
	return work_get(c, TEXT_OF(r->sources[at]), r->sources[at].len);
}

static bool all_equal(const struct rule *r, const struct relabel_context *c)
{
	struct rw_span first = source(r, c, 0);

	for (size_t i = 1; i < r->n_sources; i++)
		if (!span_equal(first, source(r, c, i)))
			return false;
	return true;
}

enum rule_result apply_keep_if_equal(const struct rule *r, struct relabel_context *c, bool *m)
{
	*m = all_equal(r, c);
	return *m ? RULE_GO_ON : RULE_DROP;
}

enum rule_result apply_drop_if_equal(const struct rule *r, struct relabel_context *c, bool *m)
{
	*m = all_equal(r, c);
	return *m ? RULE_DROP : RULE_GO_ON;
}

static bool contains_all(const struct rule *r, const struct relabel_context *c)
{
	struct rw_span target = work_get(c, TEXT_OF(r->target), r->target.len);

	for (size_t i = 0; i < r->n_sources; i++) {
		struct rw_span s = source(r, c, i);

		if (s.len && !memmem(target.at, target.len, s.at, s.len))
			return false;
	}
	return true;
}

enum rule_result apply_keep_if_contains(const struct rule *r, struct relabel_context *c, bool *m)
{
	*m = contains_all(r, c);
	return *m ? RULE_GO_ON : RULE_DROP;
}

enum rule_result apply_drop_if_contains(const struct rule *r, struct relabel_context *c, bool *m)
{
	*m = contains_all(r, c);
	return *m ? RULE_DROP : RULE_GO_ON;
}

/* --- every match --- */

struct output {
	struct relabel_context *c;
	char *text;
	size_t len, size;
	bool limit;
};

/* The output is the last that was taken from the scratch but for what expanding takes: so it grows by moving. */
static void put(struct output *o, const void *text, size_t len)
{
	if (o->limit)
		return;
	if (o->size - o->len < len) {
		size_t size = 2 * (o->len + len) + 64;
		char *more = work_bytes(o->c, size);

		if (!more) {
			o->limit = true;
			return;
		}
		if (o->len)
			memcpy(more, o->text, o->len);
		o->text = more;
		o->size = size;
	}
	if (len)
		memcpy(o->text + o->len, text, len);
	o->len += len;
}

/* Where the search goes on: behind the match, at least one character further. */
static size_t next_from(const char *text, size_t len, size_t from, size_t to)
{
	size_t width = 1;

	if (from < len)
		(void)unicode_get(text + from, len - from, &width);
	return MAX(from + width, to);
}

/*
 * As Go's ReplaceAllString: from left to right, without an empty match right behind another match. REGEX_NO: nothing matched.
 */
static enum regex_result replace_every(const struct rule *r, struct relabel_context *c,
				       struct rw_span in, struct rw_span *ret)
{
	struct template_source s = { .regex = r->regex, .text = TEXT_OF(in) };
	struct output o = { .c = c };
	size_t done = 0, from = 0, begin, end;
	bool any = false;

	while (from <= in.len && !o.limit) {
		enum regex_result found = regex_search(r->regex, c->regex, s.text, in.len, from);

		if (found == REGEX_LIMIT)
			return found;
		if (found == REGEX_NO)
			break;
		any = true;
		(void)regex_capture(r->regex, c->regex, 0, &begin, &end);
		put(&o, s.text + done, begin - done);
		if (end > done || begin == 0) {
			struct rw_span e = template_expand(&r->replacement, c, &s);

			if (!e.at)
				return REGEX_LIMIT;
			put(&o, e.at, e.len);
		}
		done = end;
		from = next_from(s.text, in.len, from, end);
	}
	if (!any)
		return REGEX_NO;
	put(&o, s.text + done, in.len - done);
	*ret = span_of(o.text ? o.text : "", o.len);
	return o.limit ? REGEX_LIMIT : REGEX_YES;
}

enum rule_result apply_replace_all(const struct rule *r, struct relabel_context *c, bool *matched)
{
	struct rw_span v = rule_join(r, c);
	enum regex_result found = v.at ? replace_every(r, c, v, &v) : REGEX_LIMIT;

	*matched = found == REGEX_YES;
	if (*matched)
		work_set(c, r->target, v);
	return found == REGEX_LIMIT ? RULE_LIMIT : RULE_GO_ON;
}

/* The label gets the new name; the old one is gone. */
enum rule_result apply_labelmap_all(const struct rule *r, struct relabel_context *c, bool *matched)
{
	size_t n;
	const struct rw_label *labels = work_snapshot(c, &n);

	for (size_t i = 0; labels && i < n; i++) {
		struct rw_span old = span_of(labels[i].name, labels[i].name_len), name;
		enum regex_result found = replace_every(r, c, old, &name);

		if (found == REGEX_LIMIT)
			return RULE_LIMIT;
		if (found == REGEX_NO || span_equal(old, name))
			continue;
		*matched = true;
		work_delete(c, labels[i].name, labels[i].name_len);
		if (name.len && (!r->legacy_names || label_name_legacy(name)))
			work_set(c, name, span_of(labels[i].value, labels[i].value_len));
	}
	return labels ? RULE_GO_ON : RULE_LIMIT;
}

/* --- graphite --- */

struct graphite {
	size_t n_texts; /* text * text * text: one more than stars */
	struct rw_span texts[PARTS_MAX + 1];
	size_t n_labels;
	struct graphite_label {
		struct rw_span name;
		struct template value;
	} labels[];
};

static int split(struct graphite *g, const char *match, char *why, size_t why_size)
{
	for (const char *at = match;; at++) {
		size_t len = strcspn(at, "*");

		if (g->n_texts > PARTS_MAX) {
			(void)snprintf(why, why_size, "more than %d parts", PARTS_MAX);
			return -EINVAL;
		}
		if (g->n_texts && !len && at[len]) {
			(void)snprintf(why, why_size, "two * in a row");
			return -EINVAL;
		}
		g->texts[g->n_texts++] = span_of(at, len);
		at += len;
		if (!*at)
			return 0;
	}
}

int graphite_compile(const struct relabel_source *s, struct arena *arena, char *why,
		     size_t why_size, struct graphite **ret)
{
	struct graphite *g =
		arena_alloc(arena, sizeof(*g) + s->n_graphite_labels * sizeof(g->labels[0]));
	const char *match = arena_strdup(arena, s->match);
	int r;

	if (!g || !match)
		return -ENOMEM;
	r = split(g, match, why, why_size);
	for (size_t i = 0; r == 0 && i < s->n_graphite_labels; i++) {
		const char *name = arena_strdup(arena, s->graphite_labels[i].key);

		if (!name)
			return -ENOMEM;
		g->labels[i].name = span_of(name, strlen(name));
		r = template_parse(s->graphite_labels[i].value, TEMPLATE_GRAPHITE, NULL, arena,
				   &g->labels[i].value);
		g->n_labels++;
	}
	if (r == 0)
		*ret = g;
	return r;
}

/* A star takes everything but dots, as little as brings the next text. Groups: 0 = all, then one per star. */
static bool graphite_match(const struct graphite *g, struct rw_span name, struct rw_span *groups)
{
	const uint8_t *at = name.at, *end = name.at + name.len;

	groups[0] = name;
	if (name.len < g->texts[0].len || memcmp(at, g->texts[0].at, g->texts[0].len) != 0)
		return false;
	at += g->texts[0].len;
	for (size_t i = 1; i < g->n_texts; i++) {
		struct rw_span text = g->texts[i];
		const uint8_t *stop = text.len ? memmem(at, (size_t)(end - at), text.at, text.len)
					       : end;

		if (!stop || memchr(at, '.', (size_t)(stop - at)))
			return false;
		groups[i] = (struct rw_span){ at, (size_t)(stop - at) };
		at = stop + text.len;
	}
	return at == end;
}

enum rule_result apply_graphite(const struct rule *r, struct relabel_context *c, bool *matched)
{
	struct rw_span groups[PARTS_MAX + 1];
	struct template_source s = { .groups = groups, .n_groups = r->graphite->n_texts };

	*matched = graphite_match(r->graphite, work_get(c, "__name__", 8), groups);
	for (size_t i = 0; *matched && i < r->graphite->n_labels; i++) {
		const struct graphite_label *l = &r->graphite->labels[i];
		struct rw_span v = template_expand(&l->value, c, &s);

		if (!v.at)
			return RULE_LIMIT;
		work_set(c, l->name, v);
	}
	return RULE_GO_ON;
}
