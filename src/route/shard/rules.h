/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/diag.h"
#include "base/strbuf.h"
#include "route/relabel/relabel.h"
#include "route/shard/shard.h"

/*
 * Keys that follow from the aggregation rules of the receivers (GW-SH-5)
 *
 * A series goes where each rule that matches it finds its whole group: its key is what all their groupings have in common. Series that no rule
 * matches use all labels.
 */
struct shard_rule_source { /* borrowed, copied */
	const char *name; /* unique, for messages */
	bool by; /* else without; neither list = without nothing */
	const char *const *labels; /* of by (__name__ is added) or without */
	size_t n_labels;
	const char *const *drop_input_labels;
	size_t n_drop;
	const char *const *match; /* selectors, OR; none = all series */
	size_t n_match;
	const struct relabel_source
		*input; /* input_relabel_configs, compiled before without errors */
	size_t n_input;
	uint64_t interval_us; /* of its windows, above 0 */
	unsigned line, column; /* of the rule */
};

struct shard_rules; /* compiled, shared read-only */
/*
 * @o: family, task_label and seed; the rest is not looked at. @errors: bad selectors, rules that write a label of the key. @warnings: rules that have
 * only __name__ or nothing in common. 0; -EINVAL with @errors; -ENOMEM.
 */
int shard_rules_new(const struct shard_rule_source *rules, size_t n,
		    const struct shard_key_options *o, const char *file, struct diags *errors,
		    struct diags *warnings, struct shard_rules **ret);
struct shard_rules *shard_rules_free(struct shard_rules *r);
DEFINE_CLEANUP(struct shard_rules *, shard_rules_free);
/* shard_common_interval() of all rules. */
uint64_t shard_rules_interval(const struct shard_rules *r, bool *ret_longest);
size_t shard_rules_count(const struct shard_rules *r);

/* Hash of the series' key: a function of its labels. @c is used for the rules' selectors. Others as in shard_hash(). */
uint64_t shard_rules_hash(const struct shard_rules *r, struct relabel_context *c,
			  const struct rw_label *labels, size_t n, struct rw_span canon,
			  uint8_t *scratch, size_t scratch_size);
/* "by(__name__, job)" or "without(instance)"; names of the rules, separated by ", ", "" = none matches. */
void shard_rules_explain(const struct shard_rules *r, struct relabel_context *c,
			 const struct rw_label *labels, size_t n, struct strbuf *ret_key,
			 struct strbuf *ret_rules);

/*
 * Is a configured key, which all series have, valid beside these rules (GW-SH-6)? An error per rule that groups by less, with its grouping and the
 * nearest valid key; le and vmrange in the key are errors, too. @where: dotted key of the destination's shard.key.
 */
bool shard_rules_check_key(const struct shard_rules *r, bool by, const char *const *names,
			   size_t n_names, const char *where, struct diags *errors);
