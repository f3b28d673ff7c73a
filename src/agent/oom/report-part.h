/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/report.h"

/* Groups of fields that several events share. */

#define P "telamon.oom."
#define RESERVE_BYTES 8192 /* room that arrays leave for what comes behind them */

void report_identity(const struct identity *i, struct event_buf *b);
void report_keys(const struct identity *i,
		 struct event_buf *b); /* what filters look at; NULL: nothing */
void report_decision_id(const struct report_world *w, const struct oom_run *run,
			struct event_buf *b);
void report_pages(struct event_buf *b, const char *key,
		  uint64_t pages); /* as bytes; OOM_UNKNOWN64: nothing */
/* report-lists.c */
void report_levels(const struct oom_victim *v, struct event_buf *b);
void report_members(const struct report_world *w, const struct oom_run *run, struct event_buf *b);
void report_stacks(const struct report_world *w, const struct oom_victim *v, struct event_buf *b);
void report_kernel_log(const struct oom_run *run, struct event_buf *b);
void report_cgroup(const struct oom_kill *k, struct event_buf *b);
