/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/receive/open.h"
#include "route/relabel/cache.h"
#include "route/wire/families.h"

/*
 * From a decoded body to rows in open blocks: validate, window, relabel, route, shard (one worker)
 */
struct pipeline;
struct pipeline_shared { /* of all workers */
	uint64_t cache_seed;
	unsigned workers;
	enum rw_snappy snappy;
	struct rw_families *families;
};
int pipeline_new(const struct pipeline_shared *shared, struct pipeline **ret);
struct pipeline *pipeline_free(struct pipeline *p);
DEFINE_CLEANUP(struct pipeline *, pipeline_free);
/* Another snapshot, alive until the next call. 0 or -ENOMEM, then the old one stays. */
int pipeline_use(struct pipeline *p, const struct snapshot *s);

struct pipeline_body {
	enum rw_version version;
	const uint8_t *body;
	size_t len, wire_len;
	const char *const *tenants; /* of the request, by destination; "" = none */
	unsigned hops;
};
struct pipeline_answer {
	int status; /* 204, 400, 413, 503; 0: when the ticket is done, then 204 or, with text, 400 */
	char text[2048]; /* for the sender, "" = none */
	unsigned retry_s; /* when it may come again; 0 = soon */
	uint64_t samples, histograms, exemplars; /* written, for RW2 (GW-RX-6) */
	uint64_t series, dropped; /* received; samples that were dropped before routing */
};
/* @t: zeroed but for done and the memory of routes. */
void pipeline_take(struct pipeline *p, const struct pipeline_body *b, struct ticket *t,
		   struct pipeline_answer *ret, uint64_t now_us);
/* All blocks of @t are safe, or failed: what its routes took is counted. Before the snapshot changes, that is: in done(). */
void pipeline_answered(struct pipeline *p, const struct ticket *t);
void pipeline_forget(struct pipeline *p, struct ticket *t); /* its connection is gone */
void pipeline_run(struct pipeline *p, uint64_t now_us);
void pipeline_flush(struct pipeline *p);
uint64_t pipeline_next(const struct pipeline *p);
const struct worker_counters *pipeline_counters(const struct pipeline *p);
/* Samples per task of a destination are added to @sums[tasks]; counts wrap. From any thread. */
void pipeline_task_totals(const struct pipeline *p, const char *destination, uint32_t tasks,
			  uint32_t *sums);
/* Sums of the route called @name are added to @sum; from any thread. */
void pipeline_route_totals(const struct pipeline *p, const char *name, struct route_counters *sum);
