/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/snapshot.h"

/*
 * Old tables of a destination that samples up to a boundary still go by (GW-SH-14)
 *
 * A destination holds them in order of their boundaries, at most DESTINATION_MOVES_MAX. A table that never came into force, because the next one was loaded
 * before its boundary, is forgotten: the boundary of the next one stands in its place.
 */
/*
 * Takes from @before, of the same name, what is still needed at @now_ms, and the table of then itself, if @d has another and moves at a boundary.
 * Nodes that left and still receive join the end of d->node_configs. To be called with table, key, and n_nodes of @d set. 0 or -ENOMEM.
 */
int moves_take(struct destination *d, const struct destination *before,
	       const struct snapshot *before_snapshot, int64_t now_ms, struct diags *warnings);
void moves_free(struct destination *d);

/* Names, zones and weights of all nodes of @d, those that left with weight 0. calloc()ed; NULL without memory. */
struct shard_node *destination_nodes(const struct destination *d);
