/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What selectors and relabelling of an aggregation rule mean for keys
 *
 * Selectors are read loosely: they have been parsed before. Whatever is not plain counts as the worse case, which makes keys coarser, never wrong.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "config/config.h"
#include "route/shard/rules-match.h"

static const struct name metric_name = { "__name__", 8 };

static bool same(const struct name *a, const struct name *b)
{
	return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

bool grouping_has(const struct shard_key *grouping, const char *name, size_t len)
{
	const struct name wanted = { name, (uint32_t)len };

	for (size_t i = 0; i < grouping->n_names; i++)
		if (same(&grouping->names[i], &wanted))
			return grouping->by;
	return !grouping->by;
}

/* --- selectors --- */

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == ':' || c == '.' || (c & 0x80);
}

/* Text in quotes of any kind at @p; behind it. */
static const char *quoted(const char *p, struct name *ret)
{
	char quote = *p++;
	const char *start = p;

	while (*p && *p != quote) {
		if (*p == '\\' && p[1] && quote != '`')
			p++;
		p++;
	}
	*ret = (struct name){ start, (uint32_t)(p - start) };
	return *p ? p + 1 : p;
}

static const char *word(const char *p, struct name *ret)
{
	const char *start = p;

	while (is_word(*p))
		p++;
	*ret = (struct name){ start, (uint32_t)(p - start) };
	return p;
}

static void add(struct name *list, size_t *n, bool *overflow, struct name name)
{
	for (size_t i = 0; i < *n; i++)
		if (same(&list[i], &name))
			return;
	if (*n == MATCH_LABELS_MAX)
		*overflow = true;
	else
		list[(*n)++] = name;
}

struct reading {
	struct match_facts *facts;
	bool named; /* this alternative */
	bool unnamed; /* some alternative */
};

static void end_alternative(struct reading *r)
{
	r->unnamed |= !r->named;
	r->named = false;
}

static void note_metric(struct reading *r, struct name metric)
{
	bool overflow = false;

	/* Two names in one alternative: it matches nothing, which is not looked into. */
	add(r->facts->metrics, &r->facts->n_metrics, &overflow, metric);
	r->unnamed |= overflow || memchr(metric.text, '\\', metric.len);
	r->named = true;
}

/* A name, or name, operator and value at @p; behind them. */
static const char *read_matcher(struct reading *r, const char *p)
{
	struct match_facts *f = r->facts;
	bool in_quotes = strchr("\"'`", *p);
	struct name name, value = {};
	const char *op, *start = p;

	p = in_quotes ? quoted(p, &name) : word(p, &name);
	if (p == start)
		return p + 1; /* not a character of selectors as they are known here */
	p += strspn(p, " \t\n");
	op = p;
	p += strspn(p, "=!~");
	if (p == op) {
		if (!in_quotes && name.len == 2 && strncasecmp(name.text, "or", 2) == 0) {
			end_alternative(r);
			return p;
		}
		add(f->labels, &f->n_labels, &f->anything, metric_name);
		note_metric(r, name);
		return p;
	}
	add(f->labels, &f->n_labels, &f->anything, name);
	p += strspn(p, " \t\n");
	if (*p && strchr("\"'`", *p))
		p = quoted(p, &value);
	if (same(&name, &metric_name) && *op == '=' && op[1] != '~' && value.text)
		note_metric(r, value);
	/* An escape in a label's name: which label is meant is not looked into. */
	f->anything |= memchr(name.text, '\\', name.len) != NULL;
	return p;
}

void match_facts_find(const char *const *match, size_t n, struct match_facts *ret)
{
	struct reading r = { .facts = ret };

	*ret = (struct match_facts){};
	for (size_t i = 0; i < n; i++) {
		const char *p = match[i];

		for (p += strspn(p, " \t\n{},"); *p; p += strspn(p, " \t\n{},"))
			p = read_matcher(&r, p);
		end_alternative(&r);
	}
	ret->named = n && !r.unnamed;
}

bool match_disjoint(const struct match_facts *a, const struct match_facts *b)
{
	if (!a->named || !b->named)
		return false;
	for (size_t i = 0; i < a->n_metrics; i++)
		for (size_t k = 0; k < b->n_metrics; k++)
			if (same(&a->metrics[i], &b->metrics[k]))
				return false;
	return true;
}

/* --- relabelling of a rule's input --- */

static const char *action_of(const struct relabel_source *s)
{
	return s->action ? s->action : "replace";
}

static bool is_one_of(const char *text, const char *const *names)
{
	for (; *names; names++)
		if (strcasecmp(text, *names) == 0)
			return true;
	return false;
}

static const char *const writers[] = { "replace",   "replace_all", "hashmod", "hashmod_xxh64",
				       "lowercase", "uppercase",   NULL };
static const char *const mappers[] = { "labelmap", "labelmap_all", NULL };
static const char *const removers[] = { "labeldrop", "labelkeep", NULL };

/* The label that the rule removes out of those that a `by` keeps, NULL = none. */
static int removed_of(const struct relabel_source *s, const struct shard_key *grouping,
		      const char *file, const char **ret)
{
	_cleanup_(relabel_context_freep) struct relabel_context *context = NULL;
	_cleanup_(relabel_unrefp) struct relabel *compiled = NULL;
	struct diags ignored = {};
	int r = relabel_compile(s, 1, RELABEL_VM, false, file, "", &ignored, &compiled);

	*ret = NULL;
	if (r >= 0)
		r = relabel_context_new(&context);
	for (size_t i = 0; r >= 0 && i < grouping->n_names; i++) {
		const struct rw_label label = { grouping->names[i].text, "x",
						grouping->names[i].len, 1 };
		const struct rw_label *labels;
		size_t n;

		if (relabel_apply(compiled, context, &label, 1, &labels, &n) != RELABEL_UNCHANGED) {
			*ret = grouping->names[i].text;
			return 0;
		}
	}
	return r == -EINVAL ? 0 : r; /* its errors have been told before */
}

/* Are all names that the alternatives "a|b|c" spell out left out by the grouping? */
static bool removes_only_left_out(const struct relabel_source *s, const struct shard_key *grouping)
{
	const char *p = s->regex;

	if (!p || strcasecmp(action_of(s), "labeldrop") != 0)
		return false;
	for (;;) {
		struct name name;

		p = word(p, &name);
		if (!name.len || memchr(name.text, '.', name.len) ||
		    grouping_has(grouping, name.text, name.len))
			return false;
		if (!*p)
			return true;
		if (*p++ != '|')
			return false;
	}
}

static void complain(const struct shard_rule_source *rule, const struct relabel_source *s,
		     const char *file, struct diags *errors, const char *what)
{
	diags_add(errors, file, s->line ? s->line : rule->line, s->line ? s->column : rule->column,
		  "%s: input_relabel_configs: %s, by which the rule groups: no key can follow it",
		  rule->name, what);
}

static int check_one(const struct shard_rule_source *rule, const struct relabel_source *s,
		     const struct shard_key *grouping, const char *file, struct diags *errors)
{
	bool writes = is_one_of(action_of(s), writers), maps = is_one_of(action_of(s), mappers);
	const char *target = writes ? s->target_label : maps ? s->replacement : NULL;
	const char *removed = NULL;
	char what[160];
	int r;

	if ((writes || maps) && (!target || strchr(target, '$'))) {
		complain(rule, s, file, errors, "may write any label, so also one");
	} else if (target && grouping_has(grouping, target, strlen(target))) {
		(void)snprintf(what, sizeof(what), "writes '%.100s'", target);
		complain(rule, s, file, errors, what);
	}
	for (size_t i = 0; i < s->n_graphite_labels; i++) {
		const char *name = s->graphite_labels[i].key;

		if (!grouping_has(grouping, name, strlen(name)))
			continue;
		(void)snprintf(what, sizeof(what), "writes '%.100s'", name);
		complain(rule, s, file, errors, what);
	}
	if (!is_one_of(action_of(s), removers))
		return 0;
	if (!grouping->by) {
		if (!removes_only_left_out(s, grouping))
			complain(rule, s, file, errors, "may remove any label, so also one");
		return 0;
	}
	r = removed_of(s, grouping, file, &removed);
	if (removed) {
		(void)snprintf(what, sizeof(what), "removes '%.100s'", removed);
		complain(rule, s, file, errors, what);
	}
	return r;
}

int match_check_writes(const struct shard_rule_source *rule, const struct shard_key *grouping,
		       const char *file, struct diags *errors)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < rule->n_input; i++)
		r = check_one(rule, &rule->input[i], grouping, file, errors);
	return r;
}
