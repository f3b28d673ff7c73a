/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/log.h"
#include "route/relabel/regex.h"
#include "route/relabel/relabel.h"
#include "route/relabel/selector.h"

/* --- scratch of a worker (work.c) --- */

/*
 * A series in work: the labels as they came, which of them are gone, and what was added, in the order of adding (labelmap sees the
 * untouched ones first, then the added: so does Prometheus). Texts are in chunks that stay where they are until the next series.
 */
struct work_added {
	struct rw_label label;
	int32_t replaces; /* base label of that name, -1 = none */
};

struct work_chunk;
struct relabel_context {
	const struct rw_label *base;
	uint32_t n_base, n_dead;
	uint8_t *dead; /* per base label; valid only when n_dead */
	size_t dead_size;
	struct work_added *added;
	size_t added_size;
	uint32_t n_added;
	struct rw_label *out, *snapshot;
	size_t out_size, snapshot_size;
	struct work_chunk *first, *chunk;
	size_t used, total; /* of the chunk; of all for this series */
	struct regex_scratch *regex;
	bool limit; /* memory of the series or of the host is at its end */
};

#define WORK_BYTES_MAX (1 << 20) /* text that the rules may make of one series */

void work_begin(struct relabel_context *c, const struct rw_label *labels, size_t n);
char *work_bytes(struct relabel_context *c, size_t n); /* NULL: limit, which is noted */
void work_give_back(struct relabel_context *c,
		    size_t n); /* the last bytes of the last work_bytes() */
struct rw_span work_get(const struct relabel_context *c, const char *name, size_t len);
void work_set(struct relabel_context *c, struct rw_span name, struct rw_span value);
void work_delete(struct relabel_context *c, const char *name, size_t len);
/* All labels as they are now; *ret_n of them, in the scratch. NULL: limit. */
const struct rw_label *work_snapshot(struct relabel_context *c, size_t *ret_n);
/* Sorted, unique, not empty. False: limit. */
bool work_finish(struct relabel_context *c, bool *ret_changed, const struct rw_label **ret,
		 size_t *ret_n);

static inline struct rw_span span_of(const char *text, size_t len)
{
	return (struct rw_span){ (const uint8_t *)text, len };
}

static inline bool span_equal(struct rw_span a, struct rw_span b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

/* --- replacement texts (template.c) --- */

enum template_part_kind { TEMPLATE_TEXT, TEMPLATE_GROUP, TEMPLATE_LABEL };

struct template_part {
	enum template_part_kind kind;
	unsigned group;
	const char *text; /* TEXT; LABEL: name */
	uint32_t len;
};

struct template
{
	struct template_part *parts;
	size_t n;
	unsigned max_group;
};

enum template_form {
	TEMPLATE_GO, /* $1 ${1} $name ${name} $$ */
	TEMPLATE_VM, /* and {{label}} */
	TEMPLATE_GRAPHITE, /* $1 ${1} with digits alone */
};

/* Names are looked up in @regex, which may be NULL. -ENOMEM is the only error. */
int template_parse(const char *text, enum template_form form, const struct regex *regex,
		   struct arena *arena, struct template *ret);

struct template_source {
	const struct regex *regex; /* the groups of its last match in @text, or */
	const char *text;
	const struct rw_span *groups; /* … these */
	size_t n_groups;
};
/* at NULL: limit. A group alone is not copied. */
struct rw_span template_expand(const struct template *t, struct relabel_context *c,
			       const struct template_source *s);

/* --- rules --- */

enum rule_result { RULE_GO_ON, RULE_DROP, RULE_LIMIT };

enum rule_field {
	FIELD_SOURCE = 1 << 0,
	FIELD_SEPARATOR = 1 << 1,
	FIELD_REGEX = 1 << 2,
	FIELD_MODULUS = 1 << 3,
	FIELD_TARGET = 1 << 4,
	FIELD_REPLACEMENT = 1 << 5,
	FIELD_MATCH = 1 << 6,
	FIELD_LABELS = 1 << 7,
};

struct rule;
struct action {
	const char *name;
	unsigned needs, refuses; /* enum rule_field */
	unsigned min_sources;
	bool templates; /* target and replacement are expanded */
	bool search; /* regex anywhere */
	bool no_regex; /* it has none, not even the default */
	bool drops_unless; /* where `if` does not match, the series is dropped */
	enum rule_result (*apply)(const struct rule *r, struct relabel_context *c, bool *matched);
};
extern const struct action relabel_actions[];
extern const size_t relabel_n_actions;
const struct action *action_find(const char *name);
const char *action_nearest(const char *name); /* NULL: nothing is near */

struct rule {
	const struct action *action;
	struct rw_span *sources;
	size_t n_sources;
	struct rw_span separator;
	struct regex *regex;
	struct rw_span target; /* where it has no variable */
	bool target_varies;
	struct template target_template, replacement;
	uint64_t modulus;
	struct selector **conditions;
	size_t n_conditions;
	bool legacy_names;
	struct graphite *graphite;
	const char *text; /* for explain */
	bool warned; /* atomic: a limit was met and told */
};

struct relabel {
	struct arena *arena;
	unsigned refs; /* atomic */
	size_t n;
	struct rule *rules;
	const char *where;
};

bool label_name_legacy(struct rw_span name);
/* Values of the source labels, joined; at NULL: limit. */
struct rw_span rule_join(const struct rule *r, struct relabel_context *c);
struct rw_span case_map(struct relabel_context *c, struct rw_span text, bool upper);

/* --- what VictoriaMetrics adds (vm.c) --- */

int graphite_compile(const struct relabel_source *s, struct arena *arena, char *why,
		     size_t why_size, struct graphite **ret);
enum rule_result apply_graphite(const struct rule *r, struct relabel_context *c, bool *matched);
enum rule_result apply_keep_if_equal(const struct rule *r, struct relabel_context *c, bool *m);
enum rule_result apply_drop_if_equal(const struct rule *r, struct relabel_context *c, bool *m);
enum rule_result apply_keep_if_contains(const struct rule *r, struct relabel_context *c, bool *m);
enum rule_result apply_drop_if_contains(const struct rule *r, struct relabel_context *c, bool *m);
enum rule_result apply_replace_all(const struct rule *r, struct relabel_context *c, bool *matched);
enum rule_result apply_labelmap_all(const struct rule *r, struct relabel_context *c, bool *matched);

/* --- text of selectors and series (lex.c) --- */

struct lex {
	const char *start, *at;
	struct arena *arena;
	char *why;
	size_t why_size;
	bool no_memory;
};
void lex_space(struct lex *l);
bool lex_take(struct lex *l, const char *token); /* after space */
bool lex_fail(struct lex *l, const char *what); /* false, and the reason is noted once */
/* A bare name (with ':' where @metric) or a quoted one; false: it is none. */
bool lex_name(struct lex *l, bool metric, struct rw_span *ret);
bool lex_quoted(struct lex *l, struct rw_span *ret);
