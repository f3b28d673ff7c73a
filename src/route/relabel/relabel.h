/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "route/wire/series.h"

/*
 * Relabelling as Prometheus does it, with the further actions of VictoriaMetrics
 *
 * A list of rules is compiled once and shared read-only by all workers; what matching needs (match data, scratch for changed labels) is
 * in a context per worker. Nothing is allocated per series.
 */
enum relabel_dialect { RELABEL_PROMETHEUS, RELABEL_VM };

struct relabel_source { /* one rule as configured; strings NULL = not given */
	const char *const *source_labels;
	size_t n_source_labels;
	bool source_labels_given;
	const char *separator, *regex, *target_label, *replacement, *action;
	const char *const *regexes; /* regex as a list */
	size_t n_regexes;
	bool modulus_given;
	uint64_t modulus;
	const char *const *conditions; /* if: selectors, OR */
	size_t n_conditions;
	const char *match; /* graphite */
	const struct config_pair *graphite_labels;
	size_t n_graphite_labels;
	unsigned line,
		column; /* of the rule, for diagnostics; per field below 0 = that of the rule */
	unsigned regex_line, regex_column, action_line, action_column;
};

struct relabel; /* compiled list */
/*
 * @where: dotted key for diagnostics ("routes[1].relabel_configs"). All errors go to @diags; -EINVAL when there was one.
 */
int relabel_compile(const struct relabel_source *rules, size_t n, enum relabel_dialect dialect,
		    bool legacy_names, const char *file, const char *where, struct diags *diags,
		    struct relabel **ret);
struct relabel *relabel_ref(struct relabel *r);
struct relabel *relabel_unref(struct relabel *r);
DEFINE_CLEANUP(struct relabel *, relabel_unref);
size_t relabel_count(const struct relabel *r);

struct relabel_context; /* of one worker; serves any list */
int relabel_context_new(struct relabel_context **ret);
struct relabel_context *relabel_context_free(struct relabel_context *c);
DEFINE_CLEANUP(struct relabel_context *, relabel_context_free);

enum relabel_result {
	RELABEL_UNCHANGED,
	RELABEL_CHANGED, /* @ret_labels: canonical, in the context until its next use */
	RELABEL_DROP, /* by keep, drop and their like */
	RELABEL_DROP_EMPTY, /* no label is left */
	RELABEL_DROP_LIMIT, /* a regular expression met its limit: reason regex_limit */
};
enum relabel_result relabel_apply(const struct relabel *r, struct relabel_context *c,
				  const struct rw_label *labels, size_t n,
				  const struct rw_label **ret_labels, size_t *ret_n);

/* One line per rule for `telamon route explain`: what it is, which path matches it, what it did. */
typedef void (*relabel_explain_fn)(void *ctx, size_t rule, const char *action, const char *text,
				   const char *path, bool matched, const struct rw_label *labels,
				   size_t n);
enum relabel_result relabel_explain(const struct relabel *r, struct relabel_context *c,
				    const struct rw_label *labels, size_t n, relabel_explain_fn fn,
				    void *ctx, const struct rw_label **ret_labels, size_t *ret_n);
