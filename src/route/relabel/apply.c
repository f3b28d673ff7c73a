/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Prometheus's actions do, and the list of rules over a series
 *
 * Source: relabel() of Prometheus 3.5 (model/relabel). One function per action, one row per name in relabel_actions.
 */

#define LOG_MODULE "relabel"
#include <endian.h>
#include <errno.h>
#include <nettle/md5.h>
#include <xxhash.h>
#include "base/macro.h"
#include "base/text.h"
#include "route/relabel/internal.h"

#define TEXT_OF(span) ((const char *)(span).at)

bool label_name_legacy(struct rw_span name)
{
	if (!name.len || (name.at[0] >= '0' && name.at[0] <= '9'))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.at[i];

		if (c != '_' && !(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z'))
			return false;
	}
	return true;
}

struct rw_span rule_join(const struct rule *r, struct relabel_context *c)
{
	size_t len = 0;
	char *text, *at;

	if (r->n_sources == 1)
		return work_get(c, TEXT_OF(r->sources[0]), r->sources[0].len);
	if (!r->n_sources)
		return span_of("", 0);
	for (size_t i = 0; i < r->n_sources; i++)
		len += work_get(c, TEXT_OF(r->sources[i]), r->sources[i].len).len;
	len += (r->n_sources - 1) * r->separator.len;
	text = at = work_bytes(c, len);
	for (size_t i = 0; text && i < r->n_sources; i++) {
		struct rw_span v = work_get(c, TEXT_OF(r->sources[i]), r->sources[i].len);

		if (i)
			at = mempcpy(at, r->separator.at, r->separator.len);
		at = mempcpy(at, v.at, v.len);
	}
	return span_of(text, text ? len : 0);
}

/* The joined value against the expression. */
static enum regex_result match(const struct rule *r, struct relabel_context *c,
			       struct rw_span *ret_value)
{
	struct rw_span v = rule_join(r, c);

	if (!v.at)
		return REGEX_LIMIT;
	*ret_value = v;
	return regex_match(r->regex, c->regex, TEXT_OF(v), v.len);
}

static enum rule_result apply_keep(const struct rule *r, struct relabel_context *c, bool *matched)
{
	struct rw_span v;
	enum regex_result found = match(r, c, &v);

	*matched = found == REGEX_YES;
	return found == REGEX_LIMIT ? RULE_LIMIT : *matched ? RULE_GO_ON : RULE_DROP;
}

static enum rule_result apply_drop(const struct rule *r, struct relabel_context *c, bool *matched)
{
	struct rw_span v;
	enum regex_result found = match(r, c, &v);

	*matched = found == REGEX_YES;
	return found == REGEX_LIMIT ? RULE_LIMIT : *matched ? RULE_DROP : RULE_GO_ON;
}

static bool equals_target(const struct rule *r, struct relabel_context *c)
{
	struct rw_span v = rule_join(r, c);

	return v.at && span_equal(v, work_get(c, TEXT_OF(r->target), r->target.len));
}

static enum rule_result apply_keepequal(const struct rule *r, struct relabel_context *c,
					bool *matched)
{
	*matched = equals_target(r, c);
	return *matched ? RULE_GO_ON : RULE_DROP;
}

static enum rule_result apply_dropequal(const struct rule *r, struct relabel_context *c,
					bool *matched)
{
	*matched = equals_target(r, c);
	return *matched ? RULE_DROP : RULE_GO_ON;
}

static enum rule_result apply_replace(const struct rule *r, struct relabel_context *c,
				      bool *matched)
{
	struct rw_span v, name = r->target, value;
	enum regex_result found = match(r, c, &v);
	struct template_source s = { .regex = r->regex, .text = TEXT_OF(v) };

	*matched = found == REGEX_YES;
	if (found != REGEX_YES)
		return found == REGEX_LIMIT ? RULE_LIMIT : RULE_GO_ON;
	if (r->target_varies) {
		name = template_expand(&r->target_template, c, &s);
		if (!name.at)
			return RULE_LIMIT;
		if (!name.len || (r->legacy_names && !label_name_legacy(name)))
			return RULE_GO_ON;
	}
	value = template_expand(&r->replacement, c, &s);
	if (!value.at)
		return RULE_LIMIT;
	work_set(c, name, value);
	return RULE_GO_ON;
}

static enum rule_result set_number(const struct rule *r, struct relabel_context *c, uint64_t v)
{
	char *text = work_bytes(c, 20);
	int len = 0;

	if (!text)
		return RULE_LIMIT;
	do {
		text[19 - len++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	work_set(c, r->target, span_of(text + 20 - len, (size_t)len));
	return RULE_GO_ON;
}

static enum rule_result apply_hashmod(const struct rule *r, struct relabel_context *c,
				      bool *matched)
{
	struct rw_span v = rule_join(r, c);
	uint8_t digest[MD5_DIGEST_SIZE];
	struct md5_ctx md5;
	uint64_t last;

	if (!v.at)
		return RULE_LIMIT;
	*matched = true;
	md5_init(&md5);
	md5_update(&md5, v.len, v.at);
	md5_digest(&md5, sizeof(digest), digest);
	memcpy(&last, digest + 8, sizeof(last));
	return set_number(r, c, be64toh(last) % r->modulus);
}

static enum rule_result apply_hashmod_xxh64(const struct rule *r, struct relabel_context *c,
					    bool *matched)
{
	struct rw_span v = rule_join(r, c);

	if (!v.at)
		return RULE_LIMIT;
	*matched = true;
	return set_number(r, c, XXH64(v.at, v.len, 0) % r->modulus);
}

static enum rule_result apply_labelmap(const struct rule *r, struct relabel_context *c,
				       bool *matched)
{
	size_t n;
	const struct rw_label *labels = work_snapshot(c, &n);

	for (size_t i = 0; labels && i < n; i++) {
		struct template_source s = { .regex = r->regex, .text = labels[i].name };
		enum regex_result found =
			regex_match(r->regex, c->regex, labels[i].name, labels[i].name_len);
		struct rw_span name;

		if (found == REGEX_LIMIT)
			return RULE_LIMIT;
		if (found == REGEX_NO)
			continue;
		*matched = true;
		name = template_expand(&r->replacement, c, &s);
		if (!name.at)
			return RULE_LIMIT;
		if (name.len && (!r->legacy_names || label_name_legacy(name)))
			work_set(c, name, span_of(labels[i].value, labels[i].value_len));
	}
	return labels ? RULE_GO_ON : RULE_LIMIT;
}

/* Labels whose name matches (@keep: does not) go. */
static enum rule_result filter_names(const struct rule *r, struct relabel_context *c, bool keep,
				     bool *matched)
{
	size_t n;
	const struct rw_label *labels = work_snapshot(c, &n);

	for (size_t i = 0; labels && i < n; i++) {
		enum regex_result found =
			regex_match(r->regex, c->regex, labels[i].name, labels[i].name_len);

		if (found == REGEX_LIMIT)
			return RULE_LIMIT;
		*matched |= found == REGEX_YES;
		if ((found == REGEX_YES) != keep)
			work_delete(c, labels[i].name, labels[i].name_len);
	}
	return labels ? RULE_GO_ON : RULE_LIMIT;
}

static enum rule_result apply_labeldrop(const struct rule *r, struct relabel_context *c,
					bool *matched)
{
	return filter_names(r, c, false, matched);
}

static enum rule_result apply_labelkeep(const struct rule *r, struct relabel_context *c,
					bool *matched)
{
	return filter_names(r, c, true, matched);
}

static enum rule_result set_case(const struct rule *r, struct relabel_context *c, bool upper,
				 bool *matched)
{
	struct rw_span v = rule_join(r, c);

	*matched = true;
	if (v.at)
		v = case_map(c, v, upper);
	if (!v.at)
		return RULE_LIMIT;
	work_set(c, r->target, v);
	return RULE_GO_ON;
}

static enum rule_result apply_lowercase(const struct rule *r, struct relabel_context *c,
					bool *matched)
{
	return set_case(r, c, false, matched);
}

static enum rule_result apply_uppercase(const struct rule *r, struct relabel_context *c,
					bool *matched)
{
	return set_case(r, c, true, matched);
}

#define ONLY_NAMES \
	(FIELD_SOURCE | FIELD_SEPARATOR | FIELD_MODULUS | FIELD_TARGET | FIELD_REPLACEMENT)
#define ONLY_SOURCES (FIELD_REGEX | FIELD_MODULUS | FIELD_REPLACEMENT)

/* `match` and `labels` are of graphite alone. */
const struct action relabel_actions[] = {
	{ "replace", .needs = FIELD_TARGET, .templates = true, .apply = apply_replace },
	{ "keep", .drops_unless = true, .apply = apply_keep },
	{ "drop", .apply = apply_drop },
	{ "keepequal", .needs = FIELD_TARGET, .refuses = ONLY_SOURCES, .no_regex = true,
	  .apply = apply_keepequal },
	{ "dropequal", .needs = FIELD_TARGET, .refuses = ONLY_SOURCES, .no_regex = true,
	  .apply = apply_dropequal },
	{ "hashmod", .needs = FIELD_TARGET | FIELD_MODULUS, .no_regex = true,
	  .apply = apply_hashmod },
	{ "hashmod_xxh64", .needs = FIELD_TARGET | FIELD_MODULUS, .no_regex = true,
	  .apply = apply_hashmod_xxh64 },
	{ "labelmap", .templates = true, .apply = apply_labelmap },
	{ "labeldrop", .refuses = ONLY_NAMES, .apply = apply_labeldrop },
	{ "labelkeep", .refuses = ONLY_NAMES, .apply = apply_labelkeep },
	{ "lowercase", .needs = FIELD_TARGET, .refuses = FIELD_REPLACEMENT, .no_regex = true,
	  .apply = apply_lowercase },
	{ "uppercase", .needs = FIELD_TARGET, .refuses = FIELD_REPLACEMENT, .no_regex = true,
	  .apply = apply_uppercase },
	{ "replace_all", .needs = FIELD_TARGET, .min_sources = 1, .templates = true, .search = true,
	  .apply = apply_replace_all },
	{ "labelmap_all", .templates = true, .search = true, .apply = apply_labelmap_all },
	{ "keep_if_equal", .refuses = ONLY_SOURCES | FIELD_TARGET, .min_sources = 2,
	  .no_regex = true, .apply = apply_keep_if_equal },
	{ "drop_if_equal", .refuses = ONLY_SOURCES | FIELD_TARGET, .min_sources = 2,
	  .no_regex = true, .apply = apply_drop_if_equal },
	{ "keep_if_contains", .needs = FIELD_TARGET, .refuses = ONLY_SOURCES, .min_sources = 1,
	  .no_regex = true, .apply = apply_keep_if_contains },
	{ "drop_if_contains", .needs = FIELD_TARGET, .refuses = ONLY_SOURCES, .min_sources = 1,
	  .no_regex = true, .apply = apply_drop_if_contains },
	{ "keep_metrics",
	  .refuses = FIELD_SOURCE | FIELD_MODULUS | FIELD_TARGET | FIELD_REPLACEMENT,
	  .drops_unless = true, .apply = apply_keep },
	{ "drop_metrics",
	  .refuses = FIELD_SOURCE | FIELD_MODULUS | FIELD_TARGET | FIELD_REPLACEMENT,
	  .apply = apply_drop },
	{ "graphite", .needs = FIELD_MATCH | FIELD_LABELS, .refuses = ONLY_NAMES | FIELD_REGEX,
	  .no_regex = true, .apply = apply_graphite },
};
const size_t relabel_n_actions = ARRAY_SIZE(relabel_actions);

/* --- the list --- */

static bool conditions_hold(const struct rule *r, struct relabel_context *c, bool *ret_limit)
{
	const struct rw_label *labels;
	size_t n;

	if (!r->n_conditions)
		return true;
	labels = work_snapshot(c, &n);
	*ret_limit = !labels;
	for (size_t i = 0; labels && i < r->n_conditions; i++)
		if (selector_match(r->conditions[i], c, labels, n))
			return true;
	return false;
}

static enum rule_result apply_rule(const struct rule *r, struct relabel_context *c, bool *matched)
{
	enum rule_result result;
	bool limit = false;

	*matched = false;
	if (!conditions_hold(r, c, &limit))
		return limit ? RULE_LIMIT : r->action->drops_unless ? RULE_DROP : RULE_GO_ON;
	result = r->action->apply(r, c, matched);
	return c->limit ? RULE_LIMIT : result;
}

/* Told once per rule: whoever sends such a series sends it again and again. */
static void warn_limit(const struct relabel *r, size_t at)
{
	struct rule *rule = &r->rules[at];

	if (!__atomic_exchange_n(&rule->warned, true, __ATOMIC_RELAXED))
		log_warning(
			"%s[%zu]: a series met the limit of the rule '%s', dropping such series",
			r->where, at, rule->text);
}

/**
 * relabel_explain() - apply a list, telling @fn of each rule
 * @fn: may be NULL
 *
 * Return: what became of the series; see relabel.h.
 */
enum relabel_result relabel_explain(const struct relabel *r, struct relabel_context *c,
				    const struct rw_label *labels, size_t n, relabel_explain_fn fn,
				    void *ctx, const struct rw_label **ret_labels, size_t *ret_n)
{
	bool changed, matched;

	work_begin(c, labels, n);
	for (size_t i = 0; i < r->n; i++) {
		const struct rule *rule = &r->rules[i];
		enum rule_result result = apply_rule(rule, c, &matched);

		if (fn) {
			size_t left = 0;
			const struct rw_label *now = work_snapshot(c, &left);

			fn(ctx, i, rule->action->name, rule->text,
			   rule->regex ? regex_path(rule->regex) : "", matched, now, left);
		}
		if (result == RULE_DROP)
			return RELABEL_DROP;
		if (result == RULE_LIMIT) {
			warn_limit(r, i);
			return RELABEL_DROP_LIMIT;
		}
	}
	if (!work_finish(c, &changed, ret_labels, ret_n))
		return RELABEL_DROP_LIMIT;
	if (!*ret_n)
		return RELABEL_DROP_EMPTY;
	return changed ? RELABEL_CHANGED : RELABEL_UNCHANGED;
}

enum relabel_result relabel_apply(const struct relabel *r, struct relabel_context *c,
				  const struct rw_label *labels, size_t n,
				  const struct rw_label **ret_labels, size_t *ret_n)
{
	return relabel_explain(r, c, labels, n, NULL, NULL, ret_labels, ret_n);
}
