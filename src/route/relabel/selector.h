/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/cleanup.h"
#include "route/relabel/relabel.h"

/* Selectors `name{l="v",l!="v",l=~"re",l!~"re"}`, `{"utf8.name"}`, `or` between groups of matchers (GW-RL-11). */
struct selector;
/* @why: one sentence with the offset into @text. 0, -EINVAL, -ENOMEM. */
int selector_parse(const char *text, char *why, size_t why_size, struct selector **ret);
struct selector *selector_free(struct selector *s);
DEFINE_CLEANUP(struct selector *, selector_free);
bool selector_match(const struct selector *s, struct relabel_context *c,
		    const struct rw_label *labels, size_t n);

/*
 * A series as people write it: `name{l="v",…}` or `{l="v"}`. Labels come out canonical, text in the arena.
 */
int series_parse(const char *text, struct arena *arena, char *why, size_t why_size,
		 const struct rw_label **ret_labels, size_t *ret_n);
