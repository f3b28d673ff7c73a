/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/correlate.h"
#include "agent/oom/followed.h"
#include "agent/oom/log-lines.h"

/* What the files of the correlator share. */

#define RUNS_MAX 256
#define KILLS_MAX 512

struct correlator {
	struct correlator_options options;
	struct correlator_calls calls;
	void *ctx;
	struct oom_run *runs;
	struct oom_kill *kills;
	struct followed_table followed;
	uint64_t seq;
	struct correlator_stats stats;
	struct oom_victim decoded;
	struct log_lines *lines;
};

/* correlate-slot.c: slots of runs and kills */
struct oom_run *correlator_new_run(struct correlator *c, const struct oom_run *like);
struct oom_kill *correlator_new_kill(struct correlator *c);
void correlator_release_run(struct correlator *c, struct oom_run *run);

/* correlate-run.c: which run a record belongs to, and what it says of it */
struct oom_run *run_find_numbered(struct correlator *c, uint32_t trigger_tid, uint64_t number);
struct oom_run *run_find_latest(struct correlator *c, uint32_t trigger_tid);
struct oom_run *run_of_victim(struct correlator *c, const struct oom_victim *v,
			      const struct oom_stack_verdict *verdict, bool spilled,
			      uint64_t now_us);
void run_append(struct correlator *c, struct oom_run *run, struct oom_kill *kill);
void run_set_roles(const struct correlator *c, struct oom_run *run);
void run_set_scope(struct oom_run *run, enum oom_scope scope, enum oom_scope_source source);
void run_take_victim(struct oom_run *run, const struct oom_victim *v,
		     const struct oom_stack_verdict *verdict);
void run_take_decision(struct oom_run *run, const struct oom_decision *d);
/* It is a group kill: the kernel counts its chosen one twice (K4). */
void run_mark_group(struct correlator *c, struct oom_run *run);
bool run_has_group_level(const struct oom_run *run);
