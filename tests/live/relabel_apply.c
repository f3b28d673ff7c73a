/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relabelling for a differential test: one JSON object a line in, one out
 *
 * In: {"dialect": "prometheus" | "vm", "rules": [...], "series": [{"name": "value"}, ...]}, rules with the keys of the configuration.
 * Out: {"error": "..."} or {"series": [{...} | "drop" | "empty" | "limit", ...]}.
 */

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "base/cleanup.h"
#include "config/config.h"
#include "route/relabel/relabel.h"

#define RULES_MAX 64
#define LIST_MAX 16
#define LABELS_MAX 64

struct storage { /* what one rule points to */
	const char *sources[LIST_MAX], *regexes[LIST_MAX], *conditions[LIST_MAX];
	struct config_pair labels[LIST_MAX];
};

static size_t strings(const json_t *v, const char **ret)
{
	size_t n = 0;

	if (json_is_string(v)) {
		ret[n++] = json_string_value(v);
		return n;
	}
	for (; n < json_array_size(v) && n < LIST_MAX; n++)
		ret[n] = json_string_value(json_array_get(v, n));
	return n;
}

static const char *text(const json_t *rule, const char *key)
{
	return json_string_value(json_object_get(rule, key));
}

static struct relabel_source source_of(const json_t *rule, struct storage *s)
{
	json_t *labels = json_object_get(rule, "labels"), *value;
	struct relabel_source r = {
		.source_labels = s->sources,
		.source_labels_given = json_object_get(rule, "source_labels"),
		.n_source_labels = strings(json_object_get(rule, "source_labels"), s->sources),
		.separator = text(rule, "separator"),
		.regex = text(rule, "regex"),
		.target_label = text(rule, "target_label"),
		.replacement = text(rule, "replacement"),
		.action = text(rule, "action"),
		.modulus = (uint64_t)json_integer_value(json_object_get(rule, "modulus")),
		.modulus_given = json_object_get(rule, "modulus"),
		.conditions = s->conditions,
		.n_conditions = strings(json_object_get(rule, "if"), s->conditions),
		.match = text(rule, "match"),
		.graphite_labels = s->labels,
		.line = 1,
		.column = 1,
	};
	const char *key;

	if (json_is_array(json_object_get(rule, "regex"))) {
		r.regexes = s->regexes;
		r.n_regexes = strings(json_object_get(rule, "regex"), s->regexes);
	}
	json_object_foreach (labels, key, value)
		s->labels[r.n_graphite_labels++] =
			(struct config_pair){ .key = key, .value = json_string_value(value) };
	return r;
}

static int compare(const void *a, const void *b)
{
	return rw_label_compare(a, b);
}

static json_t *labels_json(const struct rw_label *labels, size_t n)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++)
		(void)json_object_setn_new(o, labels[i].name, labels[i].name_len,
					   json_stringn(labels[i].value, labels[i].value_len));
	return o;
}

static json_t *apply(const struct relabel *r, struct relabel_context *c, json_t *series)
{
	struct rw_label labels[LABELS_MAX];
	const struct rw_label *out = NULL;
	size_t n = 0, n_out = 0;
	const char *name;
	json_t *value;

	json_object_foreach (series, name, value)
		if (json_string_length(value) && n < LABELS_MAX)
			labels[n++] = (struct rw_label){ name, json_string_value(value),
							 (uint32_t)strlen(name),
							 (uint32_t)json_string_length(value) };
	qsort(labels, n, sizeof(*labels), compare);
	switch (relabel_apply(r, c, labels, n, &out, &n_out)) {
	case RELABEL_DROP:
		return json_string("drop");
	case RELABEL_DROP_EMPTY:
		return json_string("empty");
	case RELABEL_DROP_LIMIT:
		return json_string("limit");
	default:
		return labels_json(out, n_out);
	}
}

static json_t *answer(json_t *in, struct relabel_context *c)
{
	static struct relabel_source sources[RULES_MAX];
	static struct storage storage[RULES_MAX];
	_cleanup_(relabel_unrefp) struct relabel *r = NULL;
	struct diags *diags = calloc(1, sizeof(*diags));
	const char *dialect = text(in, "dialect");
	const json_t *rules = json_object_get(in, "rules");
	json_t *out, *all, *series = json_object_get(in, "series");
	size_t n = json_array_size(rules);
	char line[400];

	if (!diags || n > RULES_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++)
		sources[i] = source_of(json_array_get(rules, i), &storage[i]);
	if (relabel_compile(sources, n,
			    dialect && streq(dialect, "vm") ? RELABEL_VM : RELABEL_PROMETHEUS,
			    json_is_true(json_object_get(in, "legacy")), "rules", "relabel_configs",
			    diags, &r) < 0) {
		out = json_pack("{s:s}", "error",
				diags->n ? diag_format(&diags->items[0], line, sizeof(line)) : "");
		free(diags);
		return out;
	}
	free(diags);
	all = json_array();
	for (size_t i = 0; i < json_array_size(series); i++)
		(void)json_array_append_new(all, apply(r, c, json_array_get(series, i)));
	return json_pack("{s:o}", "series", all);
}

int main(void)
{
	_cleanup_(relabel_context_freep) struct relabel_context *c = NULL;
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;

	if (relabel_context_new(&c) < 0)
		return 1;
	while (getline(&line, &size, stdin) > 0) {
		json_t *in = json_loads(line, JSON_ALLOW_NUL, NULL),
		       *out = in ? answer(in, c) : NULL;

		if (!out)
			return 1;
		(void)json_dumpf(out, stdout, JSON_COMPACT);
		(void)putchar('\n');
		(void)fflush(stdout);
		json_decref(out);
		json_decref(in);
	}
	return 0;
}
