/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the second's tick share: counts of workers, queues and senders on their way into the registry. */
#pragma once
#include "base/durations.h"
#include "route/internal.h"
#include "route/rows.h"

#define LAG_SECONDS 10
#define ORPHANS_MAX 256

/* What was carried over of a route, by its name, across reloads. */
struct route_seen {
	struct route_seen *next;
	char name[65];
	struct route_counters c;
};

struct orphan {
	char destination[256], node[256];
	uint64_t bytes;
};

struct figures { /* main thread */
	struct route_seen *seen;
	struct route_seen **routes; /* of the snapshot `generation` */
	uint64_t generation;
	uint64_t losses[_RW_LOSS_MAX]; /* of senders, those that are gone, too */
	uint64_t lag_us[LAG_SECONDS], ticks;
	struct orphan *orphans;
	size_t n_orphans;
	uint64_t orphans_us; /* when they were looked for */
};

struct destination_sum { /* over its nodes; counts since the last tick */
	const char *route; /* the first that has it, NULL = none */
	uint64_t blocks, enqueued, lost, errors[4];
	enum breaker_state worst;
};

struct tick {
	struct gateway *g;
	struct snapshot *s;
	struct destination_sum *sums; /* per destination */
	uint64_t now;
	int64_t now_ms;
};

#define L(...) ((const char *const[]){ __VA_ARGS__ })
/* A counter as it stands where it is kept; or what came since the last tick. */
void tick_total(const struct tick *t, uint16_t metric, const char *const *labels, uint64_t value);
void tick_add(const struct tick *t, uint16_t metric, const char *const *labels, uint64_t n);
void tick_gauge(const struct tick *t, uint16_t metric, const char *const *labels, double value);
void tick_took(const struct tick *t, uint16_t metric, const char *const *labels,
	       const struct durations *now, const struct durations *before);

/* tick-nodes.c: queues and senders */
void tick_nodes(const struct tick *t);
void tick_routes_of_nodes(const struct tick *t, const struct route_rule_config *r); /* after it */
void tick_orphans(const struct tick *t);
/* tick-tables.c */
void tick_tables(const struct tick *t);
