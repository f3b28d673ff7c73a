/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/cleanup.h"
#include "route/wire/series.h"

/*
 * Series → task → node, pure (GW-SH)
 *
 * Native: group key → XXH3_64 with the fleet's seed → task of D → node by a table that is a function of the node names alone. Compat: the
 * bit-exact hashmod and jump of the original gateway.
 */
enum shard_algorithm { SHARD_NATIVE, SHARD_JUMP, SHARD_HASHMOD };
extern const char *const shard_algorithm_names[]; /* native jump hashmod NULL */

/* --- compat --- */
#define SHARD_COMPAT_LABELS_MAX 1024 /* the most that limits.labels_per_series takes */
uint32_t shard_fnv(const struct rw_label *labels, size_t n); /* GW-SH-1 key of all labels */
uint32_t shard_fnv_of(const struct rw_label *labels, size_t n, const char *const *names,
		      size_t n_names); /* of the listed ones that exist */
uint32_t shard_jump(uint64_t key, uint32_t buckets); /* 0 for buckets ≤ 1 */

/* --- native --- */
struct shard_key_options {
	bool by; /* else without */
	const char *const *names;
	size_t n_names;
	bool family; /* GW-SH-3 */
	const char *task_label; /* never part of the key */
	uint64_t seed;
};
struct shard_key; /* compiled, shared read-only */
int shard_key_new(const struct shard_key_options *o, struct shard_key **ret);
struct shard_key *shard_key_free(struct shard_key *k);
DEFINE_CLEANUP(struct shard_key *, shard_key_free);
/* @canon: canonical bytes of @labels where they lie together, at NULL = not made. @scratch holds made key bytes (≥ series_bytes). */
uint64_t shard_hash(const struct shard_key *k, const struct rw_label *labels, size_t n,
		    struct rw_span canon, uint8_t *scratch, size_t scratch_size);
/* The key bytes themselves, for explain and tests. Length. */
size_t shard_key_bytes(const struct shard_key *k, const struct rw_label *labels, size_t n,
		       uint8_t *buf, size_t size);
static inline uint32_t shard_task(uint64_t hash, uint32_t tasks)
{
	return (uint32_t)(((unsigned __int128)hash * tasks) >> 64);
}
static inline uint32_t shard_lane(uint64_t hash, uint32_t lanes)
{
	return (uint32_t)((uint32_t)hash % lanes);
}

/* --- table --- */
#define SHARD_REPLICAS_MAX 5
#define SHARD_OVERLOAD_OFF 0
struct shard_node {
	const char *name, *zone; /* zone "" = none */
	uint32_t weight; /* 0 = drain */
};
struct shard_table_options {
	uint32_t tasks; /* D */
	uint32_t overload_percent; /* 2; SHARD_OVERLOAD_OFF = no cap */
	uint32_t replicas; /* ≥ 1 */
	bool zone_aware;
};
struct shard_table { /* one allocation; nodes[rank * tasks + task] = index into the nodes given */
	uint32_t tasks, replicas, n_nodes;
	uint64_t hash; /* XXH3_64 of the first rank's indexes by name order as bytes (u8 for ≤ 256 nodes, else u16 LE) */
	uint64_t over_cap; /* tasks that took a node over its cap (GW-SH-11) */
	uint16_t nodes[];
};
#define SHARD_NO_NODE 0xffff /* no live node */
/* 0; -EINVAL with @why (replicas > nodes, equal names, all weights 0, sum of weights x tasks > 2^28); -ENOMEM. free() it. */
int shard_table_build(const struct shard_node *nodes, size_t n, const struct shard_table_options *o,
		      char *why, size_t why_size, struct shard_table **ret);

/* An empty table, and its hash after nodes[] was filled: for tables that are not computed. */
struct shard_table *shard_table_alloc(uint32_t tasks, uint32_t replicas, size_t n);
int shard_table_hash(struct shard_table *t, const struct shard_node *nodes, size_t n);

/* The same with a first rank that is given where @preset (D entries) is not SHARD_NO_NODE. */
int shard_table_build_over(const struct shard_node *nodes, size_t n,
			   const struct shard_table_options *o, const uint16_t *preset, char *why,
			   size_t why_size, struct shard_table **ret);

/* --- pinned tables and plans (GW-SH-10) --- */
struct shard_pinned_warnings {
	uint32_t missing_nodes; /* live nodes that the file does not name: they get nothing */
	uint32_t absent_tasks; /* tasks of nodes that are not there: they go by the computed table */
};
/*
 * JSON text of a table file: version, destination, tasks, nodes, base64 of u16 LE indexes, their XXH3_64. -EINVAL with @why for a file
 * that is damaged or made for another destination or D.
 */
int shard_pinned_read(const char *json, size_t len, const char *destination,
		      const struct shard_node *nodes, size_t n, const struct shard_table_options *o,
		      char *why, size_t why_size, struct shard_table **ret,
		      struct shard_pinned_warnings *warnings);
/* malloc'd JSON text, NULL without memory. First rank alone. */
char *shard_pinned_write(const char *destination, const struct shard_node *nodes, size_t n,
			 const struct shard_table *t);
/* Ideal movement: quotas by largest remainder, only tasks of leaving or over-quota nodes move. First rank alone. */
int shard_plan(const struct shard_table *before, const struct shard_node *old_nodes, size_t n_old,
	       const struct shard_node *nodes, size_t n, struct shard_table **ret);

struct shard_move_row {
	const char *name; /* borrowed from the nodes */
	bool joins, leaves;
	uint32_t before, after, gained, lost;
};
struct shard_moves {
	uint32_t moved, between_staying;
	uint32_t ideal; /* what a plan would move */
	size_t n;
	struct shard_move_row rows[]; /* per node of both, in name order */
};
/* free() it. */
int shard_moves(const struct shard_table *before, const struct shard_node *old_nodes, size_t n_old,
		const struct shard_table *after, const struct shard_node *nodes, size_t n,
		struct shard_moves **ret);

/* --- moves at a boundary of time (GW-SH-14) --- */
/* First multiple of the interval at least one interval after @now_ms (since the epoch). */
int64_t shard_boundary(int64_t now_ms, int64_t interval_ms);
/*
 * An interval whose multiples are ends of windows of all: the least common multiple if it is at most 1 h, else the longest, and @ret_longest says if
 * that does not fit the others. 0 for none. Intervals in µs, above 0.
 */
uint64_t shard_common_interval(const uint64_t *us, size_t n, bool *ret_longest);
/* Does each task go to nodes of the same names, rank by rank? */
bool shard_table_same(const struct shard_table *a, const struct shard_node *nodes_a,
		      const struct shard_table *b, const struct shard_node *nodes_b);
/* The same table with places in @to; nodes that are not there become SHARD_NO_NODE. 0 or -ENOMEM; free() it. */
int shard_table_renumber(const struct shard_table *t, const struct shard_node *from, size_t n_from,
			 const struct shard_node *to, size_t n_to, struct shard_table **ret);
