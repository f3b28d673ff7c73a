/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/report.h"

/* Groups of fields that several events share. */

#define P "telamon.oom."
#define RESERVE_BYTES 16384 /* room that arrays leave for what comes behind them */

/*
 * Container, pod, unit and workload of the limit or the trigger, as PREFIX.container.id and so on. Of the victim's own container only
 * the id, for the rest stands in the record already. @pod: whose names the pod has, @i or who knows them. @victim: may be NULL.
 */
void report_other_identity(const char *prefix, const struct identity *i, const struct identity *pod,
			   const struct identity *victim, struct event_buf *b);
void report_identity(const struct report_world *w, const struct identity *i, struct event_buf *b);
void report_keys(const struct identity *i,
		 struct event_buf *b); /* what filters look at; NULL: nothing */
uint64_t report_wall(const struct oom_kill *k, uint64_t boot_ns); /* wall time in @k's record */
void report_decision_id(const struct report_world *w, const struct oom_run *run,
			struct event_buf *b);
void report_pages(struct event_buf *b, const char *key,
		  uint64_t pages); /* as bytes; OOM_UNKNOWN64: nothing */
/* report-lists.c */
bool report_leaves_out(const struct report_world *w, struct event_buf *b, const char *array);
void report_levels(const struct report_world *w, const struct oom_victim *v, struct event_buf *b);
void report_members(const struct report_world *w, const struct oom_run *run, struct event_buf *b);
void report_stacks(const struct report_world *w, const struct oom_victim *v, struct event_buf *b);
void report_kernel_log(const struct report_world *w, const struct oom_run *run,
		       struct event_buf *b);
void report_cgroup(const struct oom_kill *k, struct event_buf *b);
