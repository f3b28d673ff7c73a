/* SPDX-License-Identifier: Apache-2.0 */
/* A series as people write it, for `explain` and tests. */
#include <errno.h>
#include "base/macro.h"
#include "route/relabel/internal.h"
#include "route/wire/buf.h"

#define LABELS_MAX 1024

struct reader {
	struct lex l;
	struct rw_label *labels;
	size_t n;
};

static bool add(struct reader *r, struct rw_span name, struct rw_span value)
{
	if (!name.len)
		return lex_fail(&r->l, "an empty name");
	if (!value.len)
		return true;
	if (r->n == LABELS_MAX)
		return lex_fail(&r->l, "more than 1024 labels");
	r->labels[r->n++] = (struct rw_label){ (const char *)name.at, (const char *)value.at,
					       (uint32_t)name.len, (uint32_t)value.len };
	return true;
}

static bool read_label(struct reader *r)
{
	struct rw_span name, value;
	bool quoted;

	lex_space(&r->l);
	quoted = *r->l.at == '"' || *r->l.at == '\'' || *r->l.at == '`';
	if (!lex_name(&r->l, false, &name))
		return lex_fail(&r->l, "a label name is missing");
	if (lex_take(&r->l, "=")) {
		if (!lex_quoted(&r->l, &value))
			return lex_fail(&r->l, "a quoted value is missing");
		return add(r, name, value);
	}
	return quoted ? add(r, span_of("__name__", 8), name) : lex_fail(&r->l, "= is missing");
}

static bool read_series(struct reader *r)
{
	struct rw_span metric;

	lex_space(&r->l);
	if (*r->l.at != '{') {
		if (!lex_name(&r->l, true, &metric))
			return lex_fail(&r->l, "a metric name or { is missing");
		if (!add(r, span_of("__name__", 8), metric))
			return false;
	}
	if (lex_take(&r->l, "{"))
		while (!lex_take(&r->l, "}")) {
			if (!read_label(r))
				return false;
			if (!lex_take(&r->l, ",") && *r->l.at != '}')
				return lex_fail(&r->l, "} or comma is missing");
		}
	lex_space(&r->l);
	return !*r->l.at || lex_fail(&r->l, "text behind the series");
}

static int compare(const void *a, const void *b)
{
	return rw_label_compare(a, b);
}

int series_parse(const char *text, struct arena *arena, char *why, size_t why_size,
		 const struct rw_label **ret_labels, size_t *ret_n)
{
	const char *own = arena_strdup(arena, text);
	struct reader r = {
		.l = { .start = own, .at = own, .arena = arena, .why = why, .why_size = why_size }
	};
	bool good;

	if (why_size)
		*why = 0;
	r.labels = arena_alloc(arena, LABELS_MAX * sizeof(*r.labels));
	if (!own || !r.labels)
		return -ENOMEM;
	good = read_series(&r);
	if (r.l.no_memory)
		return -ENOMEM;
	qsort(r.labels, r.n, sizeof(*r.labels), compare);
	for (size_t i = 1; good && i < r.n; i++)
		if (rw_label_compare(&r.labels[i - 1], &r.labels[i]) == 0)
			good = lex_fail(&r.l, "a label is given twice");
	if (!good)
		return -EINVAL;
	*ret_labels = r.labels;
	*ret_n = r.n;
	return 0;
}
