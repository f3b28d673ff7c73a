/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys out of aggregation rules
 *
 * A key is what the groupings of a set of rules have in common: by and by their intersection, by and without the difference, without and without the
 * union. The set must be the same for all series of a group. So it holds the rules that match the series, and also each rule whose selectors a
 * group of these does not decide: else one half of a group would follow that rule and the other half would not. Rules follow each other so
 * until nothing is added; that is computed once (`closure`).
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "route/relabel/selector.h"
#include "route/shard/rules-match.h"

#define RULES_MAX 1024
#define NAMES_MAX 256 /* of all groupings together */

struct set {
	uint64_t words[RULES_MAX / 64];
};

struct rule {
	const char *name;
	uint64_t interval_us;
	struct shard_key *grouping;
	struct selector **selectors;
	size_t n_selectors;
	struct set closure;
};

struct shard_rules {
	struct arena *arena;
	struct shard_key *all_labels; /* of series that no rule matches */
	struct rule *rules;
	size_t n;
};

/* A key made for one series. */
struct made {
	struct shard_key key;
	struct name names[NAMES_MAX];
};

static bool set_has(const struct set *s, size_t i)
{
	return s->words[i / 64] >> i % 64 & 1;
}

static void set_add(struct set *s, size_t i)
{
	s->words[i / 64] |= 1ULL << i % 64;
}

/* True: something was new. */
static bool set_add_all(struct set *s, const struct set *more)
{
	bool changed = false;

	for (size_t w = 0; w < ARRAY_SIZE(s->words); w++) {
		changed |= more->words[w] & ~s->words[w];
		s->words[w] |= more->words[w];
	}
	return changed;
}

/* --- what rules have in common --- */

static void add_left_out(struct made *m, const struct name *name)
{
	size_t at = m->key.n_names;

	if (at == NAMES_MAX)
		return;
	for (size_t i = 0; i < at; i++)
		if (streq(m->names[i].text, name->text))
			return;
	while (at > 0 && strcmp(m->names[at - 1].text, name->text) > 0)
		at--;
	memmove(m->names + at + 1, m->names + at, (m->key.n_names - at) * sizeof(*name));
	m->names[at] = *name;
	m->key.n_names++;
}

static void narrow(struct made *m, const struct shard_key *grouping)
{
	size_t kept = 0;

	if (m->key.by) {
		for (size_t i = 0; i < m->key.n_names; i++)
			if (grouping_has(grouping, m->names[i].text, m->names[i].len))
				m->names[kept++] = m->names[i];
		m->key.n_names = kept;
	} else if (grouping->by) { /* what it has, less what was left out so far */
		struct made before = *m;

		before.key.names = before.names;
		m->key.by = true;
		for (size_t i = 0; i < grouping->n_names; i++)
			if (grouping_has(&before.key, grouping->names[i].text,
					 grouping->names[i].len))
				m->names[kept++] = grouping->names[i];
		m->key.n_names = kept;
	} else {
		for (size_t i = 0; i < grouping->n_names; i++)
			add_left_out(m, &grouping->names[i]);
	}
}

static void begin_key(const struct shard_rules *r, struct made *ret)
{
	ret->key = *r->all_labels;
	ret->key.names = ret->names;
	ret->key.n_names = 0;
	ret->key.special = NULL;
}

/* False: no rule is in @s. */
static bool common_key(const struct shard_rules *r, const struct set *s, struct made *ret)
{
	bool any = false;

	begin_key(r, ret);
	for (size_t i = 0; i < r->n; i++)
		if (set_has(s, i)) {
			narrow(ret, r->rules[i].grouping);
			any = true;
		}
	return any;
}

static bool rule_matches(const struct rule *rule, struct relabel_context *c,
			 const struct rw_label *labels, size_t n)
{
	for (size_t i = 0; i < rule->n_selectors; i++)
		if (selector_match(rule->selectors[i], c, labels, n))
			return true;
	return !rule->n_selectors;
}

static struct set followed(const struct shard_rules *r, struct relabel_context *c,
			   const struct rw_label *labels, size_t n)
{
	struct set s = {};

	for (size_t i = 0; i < r->n; i++)
		if (!set_has(&s, i) && rule_matches(&r->rules[i], c, labels, n))
			(void)set_add_all(&s, &r->rules[i].closure);
	return s;
}

uint64_t shard_rules_hash(const struct shard_rules *r, struct relabel_context *c,
			  const struct rw_label *labels, size_t n, struct rw_span canon,
			  uint8_t *scratch, size_t scratch_size)
{
	const struct set s = followed(r, c, labels, n);
	struct made m;

	return shard_hash(common_key(r, &s, &m) ? &m.key : r->all_labels, labels, n, canon, scratch,
			  scratch_size);
}

/* --- text --- */

static void add_key(struct strbuf *b, const struct shard_key *k)
{
	strbuf_addstr(b, k->by ? "by(" : "without(");
	for (size_t i = 0; i < k->n_names; i++)
		strbuf_addf(b, "%s%s", i ? ", " : "", k->names[i].text);
	strbuf_addstr(b, ")");
}

/* As it stands in a configuration. */
static void add_yaml(struct strbuf *b, const struct shard_key *k)
{
	strbuf_addstr(b, k->by ? "by: [" : "without: [");
	for (size_t i = 0; i < k->n_names; i++)
		strbuf_addf(b, "%s%s", i ? ", " : "", k->names[i].text);
	strbuf_addstr(b, "]");
}

void shard_rules_explain(const struct shard_rules *r, struct relabel_context *c,
			 const struct rw_label *labels, size_t n, struct strbuf *ret_key,
			 struct strbuf *ret_rules)
{
	const struct set s = followed(r, c, labels, n);
	const char *comma = "";
	struct made m;

	(void)common_key(r, &s, &m);
	add_key(ret_key, &m.key);
	for (size_t i = 0; i < r->n; i++)
		if (set_has(&s, i)) {
			strbuf_addf(ret_rules, "%s%s", comma, r->rules[i].name);
			comma = ", ";
		}
}

/* --- a configured key beside the rules --- */

static void complain_key(const struct rule *rule, const char *label, const struct made *nearest,
			 const char *where, struct diags *errors)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	add_key(&text, rule->grouping);
	strbuf_addstr(&text, "; the nearest valid key is ");
	add_yaml(&text, &nearest->key);
	diags_add(errors, where, 0, 0, "%s is in the key, but rule %s groups %s", label, rule->name,
		  strbuf_str(&text));
}

/* Text of a label of the key that the grouping does not have, NULL = there is none. */
static const char *beyond(const struct shard_key *key, const struct shard_key *grouping)
{
	if (key->by) {
		for (size_t i = 0; i < key->n_names; i++)
			if (!grouping_has(grouping, key->names[i].text, key->names[i].len))
				return key->names[i].text;
		return NULL;
	}
	if (grouping->by)
		return "any label";
	for (size_t i = 0; i < grouping->n_names; i++)
		if (grouping_has(key, grouping->names[i].text, grouping->names[i].len))
			return grouping->names[i].text;
	return NULL;
}

static void check_family(bool by, const char *const *names, size_t n, const char *where,
			 struct diags *errors)
{
	for (size_t i = 0; by && i < n; i++)
		if (streq(names[i], "le") || streq(names[i], "vmrange"))
			diags_add(errors, where, 0, 0,
				  "%s is in the key: the buckets of a histogram would part",
				  names[i]);
}

bool shard_rules_check_key(const struct shard_rules *r, bool by, const char *const *names,
			   size_t n_names, const char *where, struct diags *errors)
{
	const struct shard_key_options o = { .by = by, .names = names, .n_names = n_names };
	size_t before = errors->total;
	struct shard_key *key;
	struct made nearest;

	check_family(by, names, n_names, where, errors);
	if (shard_key_new(&o, &key) < 0)
		return false;
	if (key->n_names <= NAMES_MAX / 2) {
		nearest.key = *key;
		nearest.key.names = nearest.names;
		memcpy(nearest.names, key->names, key->n_names * sizeof(*key->names));
		for (size_t i = 0; i < r->n; i++)
			narrow(&nearest, r->rules[i].grouping);
		for (size_t i = 0; i < r->n; i++) {
			const char *label = beyond(key, r->rules[i].grouping);

			if (label)
				complain_key(&r->rules[i], label, &nearest, where, errors);
		}
	}
	shard_key_free(key);
	return errors->total == before;
}

/* --- load --- */

static int compile_grouping(struct shard_rules *r, const struct shard_rule_source *source,
			    const struct shard_key_options *o, struct shard_key **ret)
{
	size_t n = 0, room = source->n_labels + source->n_drop + 1;
	const char **names = arena_alloc(r->arena, room * sizeof(*names));
	struct shard_key_options own = {
		.by = source->by, .family = o->family, .task_label = o->task_label, .seed = o->seed
	};

	if (!names)
		return -ENOMEM;
	if (source->by)
		names[n++] = "__name__";
	for (size_t i = 0; i < source->n_labels; i++)
		names[n++] = source->labels[i];
	for (size_t i = 0; i < source->n_drop; i++) {
		size_t kept = 0;

		if (!source->by) {
			names[n++] = source->drop_input_labels[i];
			continue;
		}
		for (size_t k = 0; k < n; k++)
			if (!streq(names[k], source->drop_input_labels[i]))
				names[kept++] = names[k];
		n = kept;
	}
	own.names = names;
	own.n_names = n;
	return shard_key_new(&own, ret);
}

static int compile_selectors(struct shard_rules *r, struct rule *rule,
			     const struct shard_rule_source *source, const char *file,
			     struct diags *errors)
{
	rule->selectors = arena_alloc(r->arena, (source->n_match + 1) * sizeof(struct selector *));
	if (!rule->selectors)
		return -ENOMEM;
	for (size_t i = 0; i < source->n_match; i++) {
		char why[200] = "";
		struct selector *s;
		int e = selector_parse(source->match[i], why, sizeof(why), &s);

		if (e == -ENOMEM)
			return e;
		if (e < 0)
			diags_add(errors, file, source->line, source->column, "%s: match: %s",
				  source->name, why);
		else
			rule->selectors[rule->n_selectors++] = s;
	}
	return 0;
}

/* Two series of one group of @a: may @b match the one and not the other? */
static bool parts(const struct rule *a, const struct match_facts *of_a,
		  const struct match_facts *of_b)
{
	if (match_disjoint(of_a, of_b))
		return false;
	if (of_b->anything)
		return true;
	for (size_t i = 0; i < of_b->n_labels; i++)
		if (!grouping_has(a->grouping, of_b->labels[i].text, of_b->labels[i].len))
			return true;
	return false;
}

static void close_sets(struct shard_rules *r, const struct match_facts *facts)
{
	bool changed = true;

	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < r->n; k++)
			if (i == k || parts(&r->rules[i], &facts[i], &facts[k]))
				set_add(&r->rules[i].closure, k);
	while (changed) {
		changed = false;
		for (size_t i = 0; i < r->n; i++)
			for (size_t k = 0; k < r->n; k++)
				if (set_has(&r->rules[i].closure, k))
					changed |= set_add_all(&r->rules[i].closure,
							       &r->rules[k].closure);
	}
}

static bool is_nothing(const struct shard_key *k)
{
	return k->by && (!k->n_names || (k->n_names == 1 && streq(k->names[0].text, "__name__")));
}

/* Pairs that may match one series and have next to nothing in common; a rule by itself is its own pair. */
static void warn_narrow(const struct shard_rules *r, const struct match_facts *facts,
			const struct shard_rule_source *sources, const char *file,
			struct diags *warnings)
{
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = i; k < r->n; k++) {
			const struct rule *a = &r->rules[i], *b = &r->rules[k];
			struct made m;

			if (i != k && (is_nothing(a->grouping) || is_nothing(b->grouping) ||
				       match_disjoint(&facts[i], &facts[k])))
				continue;
			begin_key(r, &m);
			narrow(&m, a->grouping);
			narrow(&m, b->grouping);
			if (!is_nothing(&m.key))
				continue;
			diags_add(
				warnings, file, sources[k].line, sources[k].column,
				i == k ? "%s%s groups by no label but the name: all its series go "
					 "to one node"
				       : "%s and %s have no label in common but the name: series "
					 "that both match go to one node",
				a->name, i == k ? "" : b->name);
		}
}

static int check_names(const struct shard_rules *r, const char *file, struct diags *errors)
{
	struct made *all = calloc(1, sizeof(*all));
	int e = 0;

	if (!all)
		return -ENOMEM;
	all->key.names = all->names;
	for (size_t i = 0; i < r->n && e >= 0; i++) {
		const struct shard_key *g = r->rules[i].grouping;

		if (all->key.n_names + g->n_names > NAMES_MAX) {
			diags_add(errors, file, 0, 0, "the rules name more than %d labels together",
				  NAMES_MAX);
			e = -EINVAL;
		}
		for (size_t k = 0; e >= 0 && k < g->n_names; k++)
			add_left_out(all, &g->names[k]);
	}
	free(all);
	return e == -EINVAL ? 0 : e;
}

static int compile_rule(struct shard_rules *r, const struct shard_rule_source *source,
			const struct shard_key_options *o, const char *file, struct diags *errors)
{
	struct rule *rule = &r->rules[r->n++];
	int e;

	rule->name = arena_strdup(r->arena, source->name);
	rule->interval_us = source->interval_us;
	e = rule->name ? compile_grouping(r, source, o, &rule->grouping) : -ENOMEM;
	if (e >= 0)
		e = compile_selectors(r, rule, source, file, errors);
	if (e >= 0)
		e = match_check_writes(source, rule->grouping, file, errors);
	return e;
}

static int finish(struct shard_rules *r, const struct shard_rule_source *sources, const char *file,
		  struct diags *warnings)
{
	struct match_facts *facts = calloc(r->n + 1, sizeof(*facts));

	if (!facts)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++)
		match_facts_find(sources[i].match, sources[i].n_match, &facts[i]);
	close_sets(r, facts);
	warn_narrow(r, facts, sources, file, warnings);
	free(facts);
	return 0;
}

int shard_rules_new(const struct shard_rule_source *rules, size_t n,
		    const struct shard_key_options *o, const char *file, struct diags *errors,
		    struct diags *warnings, struct shard_rules **ret)
{
	_cleanup_(shard_rules_freep) struct shard_rules *r = calloc(1, sizeof(*r));
	const struct shard_key_options all = { .family = o->family,
					       .task_label = o->task_label,
					       .seed = o->seed };
	size_t before = errors->total;
	int e;

	if (!r)
		return -ENOMEM;
	if (n > RULES_MAX) {
		diags_add(errors, file, 0, 0, "more than %d rules", RULES_MAX);
		return -EINVAL;
	}
	e = arena_new(0, &r->arena);
	if (e >= 0)
		e = shard_key_new(&all, &r->all_labels);
	if (e < 0)
		return e;
	r->rules = arena_alloc(r->arena, (n + 1) * sizeof(*r->rules));
	if (!r->rules)
		return -ENOMEM;
	for (size_t i = 0; i < n && e >= 0; i++)
		e = compile_rule(r, &rules[i], o, file, errors);
	if (e >= 0)
		e = check_names(r, file, errors);
	if (e >= 0 && errors->total != before)
		e = -EINVAL;
	if (e >= 0)
		e = finish(r, rules, file, warnings);
	if (e < 0)
		return e;
	*ret = TAKE_PTR(r);
	return 0;
}

struct shard_rules *shard_rules_free(struct shard_rules *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < r->n; i++) {
		if (r->rules[i].grouping)
			shard_key_free(r->rules[i].grouping);
		for (size_t k = 0; k < r->rules[i].n_selectors; k++)
			selector_free(r->rules[i].selectors[k]);
	}
	if (r->all_labels)
		shard_key_free(r->all_labels);
	if (r->arena)
		arena_free(r->arena);
	free(r);
	return NULL;
}

uint64_t shard_rules_interval(const struct shard_rules *r, bool *ret_longest)
{
	uint64_t us[RULES_MAX];

	for (size_t i = 0; i < r->n; i++)
		us[i] = r->rules[i].interval_us;
	return shard_common_interval(us, r->n, ret_longest);
}

size_t shard_rules_count(const struct shard_rules *r)
{
	return r->n;
}
