/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/diag.h"
#include "route/shard/internal.h"
#include "route/shard/rules.h"

/* What can be said of a rule without a series: between rules.c and rules-match.c. */
#define MATCH_LABELS_MAX 64
struct match_facts { /* texts point into the selectors */
	bool anything; /* more labels than are noted here */
	struct name labels[MATCH_LABELS_MAX]; /* that it looks at */
	size_t n_labels;
	bool named; /* each alternative has one metric name, and these are all */
	struct name metrics[MATCH_LABELS_MAX];
	size_t n_metrics;
};
/* @match: sound selectors. */
void match_facts_find(const char *const *match, size_t n, struct match_facts *ret);
/* Can no series match both? False where that is not plain. */
bool match_disjoint(const struct match_facts *a, const struct match_facts *b);

/* Does the grouping keep the label? */
bool grouping_has(const struct shard_key *grouping, const char *name, size_t len);
/* Does a rule's input_relabel_configs write or remove a label that it groups by? All are told in @errors. -ENOMEM, or 0. */
int match_check_writes(const struct shard_rule_source *rule, const struct shard_key *grouping,
		       const char *file, struct diags *errors);
