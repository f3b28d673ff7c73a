/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/config.h"
#include "route/nodes.h"
#include "route/shard/shard.h"

/*
 * A configuration that is ready to be used: immutable, shared by all workers, replaced whole
 */
#define DESTINATION_MOVES_MAX 4
struct destination_move { /* an old table: samples up to its boundary go by it (GW-SH-14) */
	int64_t boundary_ms; /* inclusive, of samples */
	int64_t until_ms; /* of the clock: then it is dropped */
	struct shard_table *table; /* of all nodes of the destination */
	struct shard_key *key; /* NULL: tasks are the same as by the new one */
	const struct destination_config *config; /* of then */
	struct route_config *owner; /* a reference */
};

struct destination {
	const struct destination_config *config;
	struct shard_key *key; /* native */
	struct shard_table *table; /* native */
	struct node_config *node_configs; /* n_all */
	struct node *
		*nodes; /* n_all, first those of the file in its order: compat hashes to places */
	size_t n_nodes;
	size_t n_all; /* with those that left and receive by an old table */
	struct route_config **owners; /* of the configurations of those, references */
	struct destination_move moves[DESTINATION_MOVES_MAX]; /* by boundary */
	size_t n_moves;
	uint32_t lanes, replicas;
	size_t first_slot; /* of its open blocks in a worker */
	struct rw_convert_options *convert; /* per node */
	struct rw_label *add_labels; /* sorted */
	size_t n_add_labels;
	enum rw_codec codec;
};

struct snapshot {
	struct snapshot *next; /* of the retired ones */
	unsigned refs; /* under the gateway's lock */
	uint64_t generation;
	struct route_config *config;
	struct nodes *registry;
	struct destination *destinations;
	size_t n_destinations, n_routes;
	size_t slots; /* of open blocks, all destinations */
	bool use_cache; /* some route has rules or selectors */
};

/*
 * Queues are opened, tables computed. @registry NULL: tables alone, for commands that only look; nodes[] stay NULL. @warnings gets what a person should know. Takes @config on success. 0; -errno with @why.
 */
int snapshot_new(struct route_config *config, struct nodes *registry, struct diags *warnings,
		 char *why, size_t why_size, struct snapshot **ret);
/* Nodes that were there before get their new options: only when the snapshot is whole and will be used. */
int snapshot_apply(struct snapshot *s);
/* The same after @before, whose tables stay in force up to the boundaries of moves: for a reload at @now_ms. */
int snapshot_after(const struct snapshot *before, int64_t now_ms, struct route_config *config,
		   struct nodes *registry, struct diags *warnings, char *why, size_t why_size,
		   struct snapshot **ret);
/* When the next old table is dropped, ms since the epoch, 0 = none waits. snapshot_after() of the same configuration does so. */
int64_t snapshot_moves_until(const struct snapshot *s);
struct snapshot *snapshot_free(struct snapshot *s);
DEFINE_CLEANUP(struct snapshot *, snapshot_free);

/* Where a series goes: pure, shared with `telamon route explain`. */
struct placement {
	uint64_t hash;
	uint32_t task;
	uint16_t lane;
	bool reject; /* task_label.on_existing: reject met one */
};
/* @labels after relabelling; @c, for selectors of aggregation rules, does not hold them. @scratch holds key bytes. */
struct placement destination_place(const struct destination *d, struct relabel_context *c,
				   const struct rw_label *labels, size_t n, struct rw_span canon,
				   uint8_t *scratch, size_t scratch_size);
/* Where samples up to the boundary of @m go instead; the lane stays, so that they leave before later ones. Other arguments as above. */
struct placement destination_place_before(const struct destination_move *m,
					  const struct placement *p, struct relabel_context *c,
					  const struct rw_label *labels, size_t n,
					  struct rw_span canon, uint8_t *scratch,
					  size_t scratch_size);
/* Has each series the same task by both? False where that is not plain: rules of receivers may differ. */
bool destination_same_tasks(const struct destination_config *a, const struct destination_config *b);
/* Compiled shard.key of a destination of the native algorithm. 0 or -ENOMEM */
int destination_key(const struct destination_config *c, struct shard_key **ret);
/* Node of rank @rank (0..replicas-1) for that placement; SHARD_NO_NODE = none. */
uint16_t destination_node_compat(const struct destination *d, const struct placement *p,
				 const struct rw_label *labels, size_t n);
static inline uint16_t destination_node(const struct destination *d, const struct placement *p,
					uint32_t rank, const struct rw_label *labels, size_t n)
{
	return d->table ? d->table->nodes[(size_t)rank * d->table->tasks + p->task]
			: destination_node_compat(d, p, labels, n);
}
