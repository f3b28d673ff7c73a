/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/config.h"
#include "route/queue/queue.h"
#include "route/send/send.h"
#include "route/wire/families.h"

/*
 * Nodes that live: a queue and a sender each, known by "destination/node" across reloads
 *
 * A snapshot of the configuration holds references. A node that no snapshot names any more is retired: its queue is still sent until it is
 * empty or `retire_timeout` is over, then it is an orphan on disk. Main thread only, but for the queue and the sender themselves.
 */
struct node_figures { /* of the main thread: what of the node stands in the metrics already */
	struct sender_stats sender;
	struct queue_stats queue;
	char url[136]; /* as it is shown */
	const char *route; /* the first that sends here, NULL = none; during a tick */
	size_t destination; /* of the snapshot, if in_use */
	bool in_use, closed;
};
struct node {
	struct node *next;
	unsigned refs; /* of snapshots */
	char destination[65], name[65];
	struct queue *queue;
	struct sender *sender;
	struct rw_told *told; /* families that it was told of */
	uint64_t hash; /* of what the sender was told */
	uint64_t retire_timeout_us, retired_us; /* 0 = in use */
	struct node_figures figures;
};

struct nodes;
int nodes_new(const char *storage_path, const char *gateway, uint64_t epoch, enum rw_snappy snappy,
	      struct nodes **ret);
/* Senders stop, queues are closed: what is in memory alone goes to disk. */
struct nodes *nodes_free(struct nodes *n);
/* Found, as it is, or made, with the options of @c. One reference more. @why: one sentence. */
int nodes_get(struct nodes *n, const struct destination_config *d, const struct node_config *c,
	      char *why, size_t why_size, struct node **ret);
/* Certificates of @c: can they be read, are they sound? 0; -errno with @why. */
int nodes_check(struct nodes *n, const struct destination_config *d, const struct node_config *c,
		char *why, size_t why_size);
/* What a configuration says that is in force from now on. */
int nodes_change(struct nodes *n, struct node *x, const struct destination_config *d,
		 const struct node_config *c);
void nodes_put(struct nodes *n, struct node *x);
void nodes_tick(struct nodes *n, uint64_t now_us); /* each second: queues, retirement */
typedef void (*node_fn)(void *ctx, struct node *x);
void nodes_for_each(struct nodes *n, node_fn fn, void *ctx);
