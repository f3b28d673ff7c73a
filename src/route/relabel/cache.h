/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/cleanup.h"
#include "route/relabel/relabel.h"

/*
 * Decision cache of one worker and one route (GW-RL-17)
 *
 * Key: XXH3-128 of the canonical bytes with a random seed per process. Value: dropped (reason), unchanged, or an edit list out of which the
 * changed labels are made again without a regular expression; with task and lane. Bounded in bytes, second-chance eviction, no locks.
 */
struct decision {
	enum relabel_result result;
	uint32_t task;
	uint16_t lane;
	bool matched; /* the route's selectors took it */
};
struct decision_cache;
int decision_cache_new(size_t max_bytes, uint64_t seed, struct decision_cache **ret);
struct decision_cache *decision_cache_free(struct decision_cache *c);
DEFINE_CLEANUP(struct decision_cache *, decision_cache_free);

/* Hashing is half of a hit: one key serves the caches of all routes that were made with the same seed. */
struct decision_key {
	uint64_t low, high;
};
struct decision_key decision_cache_key(const struct decision_cache *c, struct rw_span canon);
/*
 * True: known; changed labels are in @context's scratch, their texts in the cache until the next put. @labels are those whose canonical
 * bytes the key is made of.
 */
bool decision_cache_find_key(struct decision_cache *c, struct decision_key key,
			     struct relabel_context *context, const struct rw_label *labels,
			     size_t n, struct decision *ret, const struct rw_label **ret_labels,
			     size_t *ret_n);
void decision_cache_put_key(struct decision_cache *c, struct decision_key key,
			    const struct rw_label *labels, size_t n, const struct decision *d,
			    const struct rw_label *changed, size_t n_changed);
bool decision_cache_find(struct decision_cache *c, struct rw_span canon,
			 struct relabel_context *context, const struct rw_label *labels, size_t n,
			 struct decision *ret, const struct rw_label **ret_labels, size_t *ret_n);
void decision_cache_put(struct decision_cache *c, struct rw_span canon,
			const struct rw_label *labels, size_t n, const struct decision *d,
			const struct rw_label *changed, size_t n_changed);
void decision_cache_clear(struct decision_cache *c);
struct decision_cache_stats {
	uint64_t entries, bytes, hits, misses, evictions;
};
void decision_cache_stats(const struct decision_cache *c, struct decision_cache_stats *ret);
