/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From rules as configured to rules that run
 *
 * Everything that can be wrong is found here, all of it in one run, with the place of the field. What Prometheus ignores in a rule (a
 * target_label beside keep) is ignored, what it refuses is refused.
 */

#include <errno.h>
#include <strings.h>
#include "base/arena.h"
#include "base/text.h"
#include "config/config.h"
#include "route/relabel/internal.h"

#define DEFAULT_REGEX "(.*)"
#define DEFAULT_REPLACEMENT "$1"
#define DEFAULT_SEPARATOR ";"
#define WHY_MAX 200

struct compiler {
	struct relabel *list;
	enum relabel_dialect dialect;
	bool legacy_names;
	const char *file, *where;
	struct diags *diags;
	size_t at; /* of the rule */
	const struct relabel_source *s;
	struct rule *rule;
	bool wrong;
	bool no_memory;
};

static void complain(struct compiler *k, const char *field, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void complain(struct compiler *k, const char *field, const char *fmt, ...)
{
	const struct relabel_source *s = k->s;
	unsigned line = s->line, column = s->column;
	char text[WHY_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (streq(field, "regex") && s->regex_line) {
		line = s->regex_line;
		column = s->regex_column;
	} else if (streq(field, "action") && s->action_line) {
		line = s->action_line;
		column = s->action_column;
	}
	diags_add(k->diags, k->file, line, column, "%s[%zu].%s: %s", k->where, k->at, field, text);
	k->wrong = true;
}

/* --- actions by name --- */

const struct action *action_find(const char *name)
{
	for (size_t i = 0; i < relabel_n_actions; i++)
		if (strcasecmp(relabel_actions[i].name, name) == 0)
			return &relabel_actions[i];
	return NULL;
}

/* Changes that make one word of the other; a swap of neighbours is one. Words longer than a row are far. */
static unsigned distance(const char *a, const char *b)
{
	enum { ROW = 32 };
	unsigned rows[3][ROW], *before = rows[0], *last = rows[1], *now = rows[2];
	size_t n = strlen(b);

	if (n >= ROW || strlen(a) >= ROW)
		return ROW;
	for (unsigned j = 0; j <= n; j++)
		last[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned *swap = before;

		now[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned change = last[j - 1] + (a[i - 1] != b[j - 1]);

			now[j] = MIN(MIN(last[j], now[j - 1]) + 1, change);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
		before = last;
		last = now;
		now = swap;
	}
	return last[n];
}

const char *action_nearest(const char *name)
{
	const char *nearest = NULL;
	unsigned least = 3; /* more changes are another word */

	for (size_t i = 0; i < relabel_n_actions; i++) {
		unsigned d = distance(relabel_actions[i].name, name);

		if (d < least) {
			least = d;
			nearest = relabel_actions[i].name;
		}
	}
	return nearest;
}

static bool compile_action(struct compiler *k)
{
	const char *name = k->s->action ? k->s->action : "replace", *nearest;
	const struct action *action = action_find(name);

	/* What VictoriaMetrics calls hashmod is another hash. */
	if (action && k->dialect == RELABEL_VM && streq(action->name, "hashmod"))
		action = action_find("hashmod_xxh64");
	k->rule->action = action;
	if (action)
		return true;
	nearest = action_nearest(name);
	if (nearest)
		complain(k, "action", "unknown action \"%s\"; did you mean \"%s\"?", name, nearest);
	else
		complain(k, "action", "unknown action \"%s\"", name);
	return false;
}

/* --- fields --- */

static bool not_default(const char *text, const char *normal)
{
	return text && !streq(text, normal);
}

static void check_fields(struct compiler *k)
{
	const struct relabel_source *s = k->s;
	const struct action *a = k->rule->action;
	const struct {
		unsigned bit;
		const char *name;
		bool given, missing;
	} fields[] = {
		{ FIELD_SOURCE, "source_labels", s->n_source_labels > 0, false },
		{ FIELD_SEPARATOR, "separator", not_default(s->separator, DEFAULT_SEPARATOR),
		  false },
		{ FIELD_REGEX, "regex", not_default(s->regex, DEFAULT_REGEX) || s->n_regexes,
		  false },
		{ FIELD_MODULUS, "modulus", s->modulus != 0, s->modulus == 0 },
		{ FIELD_TARGET, "target_label", not_default(s->target_label, ""),
		  !not_default(s->target_label, "") },
		{ FIELD_REPLACEMENT, "replacement",
		  not_default(s->replacement, DEFAULT_REPLACEMENT), false },
		{ FIELD_MATCH, "match", not_default(s->match, ""), !not_default(s->match, "") },
		{ FIELD_LABELS, "labels", s->n_graphite_labels > 0, s->n_graphite_labels == 0 },
	};
	bool graphite = a->needs & FIELD_MATCH;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		unsigned refuses = a->refuses | (graphite ? 0 : FIELD_MATCH | FIELD_LABELS);

		if (fields[i].given && (refuses & fields[i].bit))
			complain(k, fields[i].name, "does not go with the action %s", a->name);
		if (fields[i].missing && (a->needs & fields[i].bit))
			complain(k, fields[i].name,
				 fields[i].bit == FIELD_MODULUS
					 ? "the action %s needs a modulus of 1 or more"
					 : "is required by the action %s",
				 a->name);
	}
	if (s->n_source_labels < a->min_sources)
		complain(k, "source_labels", "the action %s needs %u or more", a->name,
			 a->min_sources);
	if (strstr(a->name, "_metrics") && !s->regex && !s->n_regexes && !s->n_conditions)
		complain(k, "regex", "the action %s needs a regex or an if", a->name);
}

static struct rw_span keep_text(struct compiler *k, const char *text)
{
	const char *own = arena_strdup(k->list->arena, text);

	k->no_memory |= !own;
	return span_of(own, own ? strlen(own) : 0);
}

static void compile_sources(struct compiler *k)
{
	static const char *const name_label[] = { "__name__" };
	const char *const *names = k->s->source_labels;
	struct rule *rule = k->rule;

	rule->n_sources = k->s->n_source_labels;
	if (strstr(rule->action->name, "_metrics")) {
		names = name_label;
		rule->n_sources = 1;
	}
	rule->sources = arena_alloc(k->list->arena, (rule->n_sources + 1) * sizeof(*rule->sources));
	if (!rule->sources) {
		k->no_memory = true;
		return;
	}
	for (size_t i = 0; i < rule->n_sources; i++)
		rule->sources[i] = keep_text(k, names[i]);
	rule->separator = keep_text(k, k->s->separator ? k->s->separator : DEFAULT_SEPARATOR);
}

/* Legacy names with variables: letters, digits and _ around ${word} and $word, no digit first. */
static bool legacy_template(const char *text)
{
	if (*text >= '0' && *text <= '9')
		return false;
	while (*text) {
		bool variable = *text == '$', brace = variable && text[1] == '{';
		size_t n;

		text += variable + brace;
		n = strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
		if (!n || (brace && text[n] != '}'))
			return false;
		text += n + brace;
	}
	return true;
}

static void check_names(struct compiler *k)
{
	const struct rule *rule = k->rule;
	const char *target = k->s->target_label ? k->s->target_label : "";
	const char *replacement = k->s->replacement ? k->s->replacement : DEFAULT_REPLACEMENT;
	bool good = utf8_valid(target, strlen(target));

	if (*target && rule->target_varies && k->legacy_names)
		good = good && legacy_template(target);
	else if (*target && k->legacy_names)
		good = good && label_name_legacy(rule->target);
	if ((rule->action->needs & FIELD_TARGET) && !good)
		complain(k, "target_label", "\"%s\" is no label name", target);
	if (strncmp(rule->action->name, "labelmap", 8) != 0)
		return;
	if (!*replacement || !utf8_valid(replacement, strlen(replacement)) ||
	    (k->legacy_names && !legacy_template(replacement)))
		complain(k, "replacement", "\"%s\" makes no label name", replacement);
}

/* --- regular expression and what is made out of it --- */

/* Anchors of one's own are dropped in the dialect of VictoriaMetrics. */
static void strip_anchors(char **text)
{
	size_t n;

	while (**text == '^')
		(*text)++;
	for (n = strlen(*text); n && (*text)[n - 1] == '$' && !(n > 1 && (*text)[n - 2] == '\\');
	     n--)
		(*text)[n - 1] = 0;
}

static char *regex_text(struct compiler *k)
{
	struct strbuf all _cleanup_strbuf_ = STRBUF_INIT;
	char *text;

	if (k->s->n_regexes == 0) {
		text = arena_strdup(k->list->arena, k->s->regex ? k->s->regex : DEFAULT_REGEX);
	} else {
		for (size_t i = 0; i < k->s->n_regexes; i++) {
			strbuf_addstr(&all, i ? "|" : "");
			strbuf_addstr(&all, k->s->regexes[i]);
		}
		text = arena_strdup(k->list->arena, strbuf_str(&all));
	}
	k->no_memory |= !text || all.error;
	if (text && k->dialect == RELABEL_VM && !k->rule->action->search)
		strip_anchors(&text);
	return text;
}

static void parse_template(struct compiler *k, const char *text, bool labels, struct template *ret)
{
	enum template_form form = labels && k->dialect == RELABEL_VM ? TEMPLATE_VM : TEMPLATE_GO;

	if (template_parse(text, form, k->rule->regex, k->list->arena, ret) < 0)
		k->no_memory = true;
}

static void check_groups(struct compiler *k, const struct template *t)
{
	const struct regex *regex = k->rule->regex;

	for (size_t i = 0; i < t->n; i++) {
		const struct template_part *p = &t->parts[i];
		bool named = p->kind == TEMPLATE_NAMED;

		if (p->kind != TEMPLATE_GROUP && !named)
			continue;
		for (unsigned g = p->group; g;
		     g = named ? regex_find_name(regex, p->text, p->len, g) : 0)
			if (regex_capture_unsure(regex, g)) {
				complain(
					k, "regex",
					"group %u is used, but lies in a repeat whose body can match nothing",
					g);
				return;
			}
	}
}

static struct regex *compile_regex(struct compiler *k, const char *text, unsigned flags)
{
	struct regex *regex = NULL;
	char why[WHY_MAX] = "";
	int r = regex_compile(text, strlen(text), flags, why, sizeof(why), &regex);

	if (r == -EINVAL)
		complain(k, "regex", "%s", why);
	k->no_memory |= r == -ENOMEM;
	return regex;
}

static void compile_match(struct compiler *k)
{
	struct rule *rule = k->rule;
	const char *target = k->s->target_label ? k->s->target_label : "";
	const char *replacement = k->s->replacement ? k->s->replacement : DEFAULT_REPLACEMENT;
	unsigned search = rule->action->search ? REGEX_SEARCH : 0;
	char *text = regex_text(k);
	struct regex *plain;

	if (text)
		rule->regex = compile_regex(k, text, search | REGEX_CAPTURES);
	/* Of an action that looks at none, it must be good all the same, as Prometheus has it. */
	if (rule->action->no_regex)
		rule->regex = regex_free(rule->regex);
	if (!rule->regex || k->no_memory)
		return;
	if (rule->action->templates) {
		rule->target_varies = !search && strchr(target, '$');
		parse_template(k, target, false, &rule->target_template);
		parse_template(k, replacement, true, &rule->replacement);
		check_groups(k, &rule->target_template);
		check_groups(k, &rule->replacement);
	}
	if (MAX(rule->target_template.max_group, rule->replacement.max_group))
		return;
	/* Nobody asks for groups: matching without them is faster and may fall back to a matcher that cannot explode. */
	plain = compile_regex(k, text, search);
	if (!plain)
		return;
	(void)regex_free(rule->regex);
	rule->regex = plain;
}

static void compile_conditions(struct compiler *k)
{
	struct rule *rule = k->rule;

	rule->conditions =
		arena_alloc(k->list->arena, (k->s->n_conditions + 1) * sizeof(*rule->conditions));
	if (!rule->conditions) {
		k->no_memory = true;
		return;
	}
	for (size_t i = 0; i < k->s->n_conditions; i++) {
		char why[WHY_MAX] = "";
		int r = selector_parse(k->s->conditions[i], why, sizeof(why),
				       &rule->conditions[rule->n_conditions]);

		if (r == 0)
			rule->n_conditions++;
		else if (r == -EINVAL)
			complain(k, "if", "%s", why);
		else
			k->no_memory = true;
	}
}

static void compile_graphite(struct compiler *k)
{
	char why[WHY_MAX] = "";
	int r = graphite_compile(k->s, k->list->arena, why, sizeof(why), &k->rule->graphite);

	if (r == -EINVAL)
		complain(k, "match", "%s", why);
	k->no_memory |= r == -ENOMEM;
	for (size_t i = 0; i < k->s->n_graphite_labels; i++) {
		const char *name = k->s->graphite_labels[i].key;

		if (!*name || !utf8_valid(name, strlen(name)))
			complain(k, "labels", "\"%s\" is no label name", name);
	}
}

/* "[job, instance] =~ "a|b"" for explain and warnings. */
static void describe(struct compiler *k)
{
	struct strbuf b _cleanup_strbuf_ = STRBUF_INIT;
	const struct relabel_source *s = k->s;

	for (size_t i = 0; i < k->rule->n_sources; i++)
		strbuf_addf(&b, "%s%s", i ? ", " : "[", (const char *)k->rule->sources[i].at);
	if (k->rule->n_sources)
		strbuf_addstr(&b, "] ");
	if (k->rule->regex) {
		strbuf_addstr(&b, "=~ \"");
		if (!s->n_regexes)
			strbuf_addstr(&b, s->regex ? s->regex : DEFAULT_REGEX);
		for (size_t i = 0; i < s->n_regexes; i++)
			strbuf_addf(&b, "%s%s", i ? "|" : "", s->regexes[i]);
		strbuf_addstr(&b, "\" ");
	}
	if (s->target_label)
		strbuf_addf(&b, "-> %s", s->target_label);
	if (b.len && b.data[b.len - 1] == ' ')
		strbuf_truncate(&b, b.len - 1);
	k->rule->text = arena_strdup(k->list->arena, strbuf_str(&b));
	k->no_memory |= b.error || !k->rule->text;
}

static void compile_rule(struct compiler *k)
{
	struct rule *rule = k->rule;

	rule->legacy_names = k->legacy_names;
	rule->modulus = k->s->modulus;
	if (!compile_action(k))
		return;
	check_fields(k);
	compile_sources(k);
	rule->target = keep_text(k, k->s->target_label ? k->s->target_label : "");
	compile_match(k);
	check_names(k);
	compile_conditions(k);
	if (!k->wrong && (rule->action->needs & FIELD_MATCH))
		compile_graphite(k);
	if (!k->no_memory)
		describe(k);
}

/**
 * relabel_compile() - a list of rules, ready to run
 * @rules: borrowed for the call
 * @file:  name for diagnostics, borrowed by @diags
 * @where: dotted key of the list
 *
 * Return: 0; -EINVAL when something was told in @diags; -ENOMEM.
 */
int relabel_compile(const struct relabel_source *rules, size_t n, enum relabel_dialect dialect,
		    bool legacy_names, const char *file, const char *where, struct diags *diags,
		    struct relabel **ret)
{
	_cleanup_(relabel_unrefp) struct relabel *list = calloc(1, sizeof(*list));
	struct compiler k = { .list = list,
			      .dialect = dialect,
			      .legacy_names = legacy_names,
			      .file = file,
			      .where = where,
			      .diags = diags };

	if (!list || arena_new(0, &list->arena) < 0)
		return -ENOMEM;
	list->refs = 1;
	list->where = arena_strdup(list->arena, where);
	list->rules = arena_alloc(list->arena, (n + 1) * sizeof(*list->rules));
	if (!list->where || !list->rules)
		return -ENOMEM;
	for (size_t i = 0; i < n && !k.no_memory; i++) {
		k.at = i;
		k.s = &rules[i];
		k.rule = &list->rules[i];
		list->n = i + 1;
		compile_rule(&k);
	}
	if (k.no_memory)
		return -ENOMEM;
	if (k.wrong)
		return -EINVAL;
	*ret = TAKE_PTR(list);
	return 0;
}

struct relabel *relabel_ref(struct relabel *r)
{
	if (r)
		__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

struct relabel *relabel_unref(struct relabel *r)
{
	if (!r || (r->refs && __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL)))
		return NULL;
	for (size_t i = 0; i < r->n; i++) {
		(void)regex_free(r->rules[i].regex);
		for (size_t j = 0; j < r->rules[i].n_conditions; j++)
			(void)selector_free(r->rules[i].conditions[j]);
	}
	(void)arena_free(r->arena);
	free(r);
	return NULL;
}

size_t relabel_count(const struct relabel *r)
{
	return r ? r->n : 0;
}
