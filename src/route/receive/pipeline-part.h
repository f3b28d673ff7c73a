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
	uint64_t *series_before; /* of each at the begin of the request at work */
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
	uint64_t now_us, *tenants; /* hashes by destination, 0 = none */
	struct rw_buf family; /* texts of what the table knew last */
	struct {
		struct rw_told *table;
		uint64_t hash;
	} * told; /* by this request */
	size_t n_told, told_size;
};

static inline bool pipeline_decides(const struct route_rule_config *r)
{
	return r->relabel || r->match.n;
}

/* --- pipeline-caches.c --- */
/* For a snapshot; NULL for those that _keep() then takes over from the present ones, with what of them was counted. 0 or -ENOMEM */
int pipeline_caches_new(const struct pipeline *p, const struct snapshot *s,
			struct decision_cache ***ret);
void pipeline_caches_keep(struct pipeline *p, const struct snapshot *s,
			  struct decision_cache **caches, struct decision_cache_stats *seen);
void pipeline_caches_free(struct decision_cache **caches, size_t n);

/* --- pipeline-series.c: one series of the request at work, to all of its destinations --- */
void pipeline_series(struct pipeline *p, const struct rw_series *s);
/* What @node gets for a body of version @own. */
enum rw_version pipeline_block_version(const struct destination *d, uint16_t node,
				       enum rw_version own);
/* The open block for rows with these labels; NULL: p->no_memory. */
struct rw_block *pipeline_rows(struct pipeline *p, const struct destination *d, uint16_t node,
			       uint16_t lane, enum rw_version version,
			       const struct rw_label *labels, size_t n_labels);

/* --- pipeline-metadata.c --- */
void pipeline_metadata_begin(struct pipeline *p, uint64_t now_us);
void pipeline_metadata(struct pipeline *p); /* of version 1, after the series */
void pipeline_metadata_undo(struct pipeline *p); /* the rows of the request were taken back */
/* What a series of version 2 says of its family, in a block of version 1; @labels as in rw_block_add(). */
void pipeline_tell_family(struct pipeline *p, const struct destination *d, uint16_t node,
			  struct rw_block *rows, const struct rw_series *s,
			  const struct rw_label *labels, size_t n_labels);
/* What is known of the family of a series of version 1 that comes next into a block of version 2. */
void pipeline_know_family(struct pipeline *p, const struct destination *d, struct rw_block *rows,
			  const struct rw_label *labels, size_t n_labels);
