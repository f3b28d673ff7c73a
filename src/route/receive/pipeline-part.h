/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the pipeline share. */
#pragma once
#include "route/receive/pipeline.h"
#include "route/receive/tasks.h"

#define LABELS_MAX 1152 /* of a series with what rules and destinations add */

struct pipeline {
	struct pipeline_shared shared;
	const struct snapshot *snapshot;
	struct rw_scan *scan;
	struct rw_encoder *encoder;
	struct open_blocks *open;
	struct relabel_context *global,
		*context, /* of global rules and of a route's: both results live at once */
		*keys; /* of selectors that decide about keys */
	struct decision_cache_stats *cache_seen;
	struct decision_cache **caches; /* per route, NULL = nothing to remember */
	struct worker_counters counters;
	struct named_counters *named; /* atomic head */
	struct route_counters **routes; /* per route of the snapshot */
	size_t n_routes;
	struct task_counts *tasks; /* atomic head */
	uint32_t **task_samples; /* per destination of the snapshot */
	struct rw_limits limits;
	struct rw_buf canon, key, window[2], moved[3];
	struct rw_series inside[2], outside[2]; /* of a window, by its depth */
	struct rw_label labels[LABELS_MAX];
	char task_text[16];
	uint8_t extra[EXTRA_MAX];
	/* The request at work. */
	const struct pipeline_body *body;
	struct ticket *ticket;
	int64_t now_ms;
	bool no_memory;
	uint64_t rejected; /* series with a task label of their own */
};

static inline bool pipeline_decides(const struct route_rule_config *r)
{
	return r->relabel || r->match.n;
}

/* --- pipeline-series.c: one series of the request at work, to all of its destinations --- */
void pipeline_series(struct pipeline *p, const struct rw_series *s);
