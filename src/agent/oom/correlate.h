/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/record.h"
#include "agent/oom/stack.h"
#include "sys/kmsg.h"

/*
 * From kernel records to runs of the OOM killer
 *
 * Pure: no files, no clock of its own, no allocation after correlator_new(). Time comes in as an argument, facts of the world by
 * the calls below.
 */

struct correlator_calls {
	/* Stage 1, at once: a new victim (kill, reserve or shared mm). The run may still lack everything. */
	void (*victim)(void *ctx, struct oom_run *run, struct oom_kill *kill);
	/* All records of this wake-up are in: read what the run needs from files. Once per run. */
	void (*snapshot)(void *ctx, struct oom_run *run);
	/* Stage 2: the run is complete or its wait is over. May refuse (-EAGAIN): asked again at the next tick. */
	int (*ready)(void *ctx, struct oom_run *run);
	/* All victims are gone, or the aftermath's time is over. @reason: "exited", "timeout", "evicted". May refuse. */
	int (*aftermath)(void *ctx, struct oom_run *run, const char *reason);
	/* out_of_memory() found nobody. */
	void (*no_victim)(void *ctx, const struct oom_invoke *r);
	void (*exited)(void *ctx, const struct oom_kill *kill);
	void (*reaped)(void *ctx, const struct oom_kill *kill);
	/* Is there something that is still to answer for this run (symbols, kernel log)? */
	bool (*pending)(void *ctx, const struct oom_run *run);
	struct oom_stack_verdict (*judge)(void *ctx, const struct oom_victim *v);
};

struct correlator_options {
	uint64_t wait_us, aftermath_us;
	uint32_t victims; /* followed at a time */
	bool invoke_live; /* out_of_memory() is hooked: its return ends the wait */
	bool allocating_task; /* vm.oom_kill_allocating_task, at the start */
};

struct correlator_stats {
	uint64_t records, decode_errors, evicted, folded;
	/* For the cross-check: processes killed (but shared-mm ones), and what the kernel counts beside them: once more for the
	 * chosen one of a group (K4) or one that is killed again. */
	uint64_t kills, groups;
};

struct correlator;
int correlator_new(const struct correlator_options *o, const struct correlator_calls *calls,
		   void *ctx, struct correlator **ret);
struct correlator *correlator_free(struct correlator *c);
DEFINE_CLEANUP(struct correlator *, correlator_free);
void correlator_set_times(struct correlator *c, uint64_t wait_us, uint64_t aftermath_us);
void correlator_set_invoke_live(struct correlator *c, bool on);
void correlator_set_allocating_task(struct correlator *c, bool on);
void correlator_feed(struct correlator *c, const struct record_head *head, bool spilled,
		     uint64_t now_us);
/* @line: the text that @k was read from, without its prefix; kept for the record. */
void correlator_kmsg(struct correlator *c, const struct kmsg_oom *k, const char *line, size_t len,
		     uint64_t now_us);
/* After a batch of records and whenever correlator_next() is due. */
void correlator_run(struct correlator *c, uint64_t now_us);
uint64_t correlator_next(const struct correlator *c); /* monotonic µs, 0 = nothing is due */
const struct correlator_stats *correlator_stats(const struct correlator *c);
/* The pools, so that they can be touched and locked (OOM-611). */
void correlator_pools(struct correlator *c, void (*fn)(void *ctx, void *memory, size_t size),
		      void *ctx);
