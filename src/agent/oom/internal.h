/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/module.h"
#include "agent/oom/args-scan.h"
#include "agent/oom/correlate.h"
#include "agent/oom/gfp.h"
#include "agent/oom/hooks.h"
#include "agent/oom/level-counts.h"
#include "agent/oom/limit.h"
#include "agent/oom/limits.h"
#include "agent/oom/report.h"
#include "agent/oom/rows.h"
#include "agent/oom/snapshot.h"
#include "agent/oom/symbols.h"
#include "agent/oom/users.h"
#include "sys/kallsyms.h"
#include "sys/kmsg.h"

/* What the files of the running module share. */

#define DECISIONS_KEPT 256
struct last_decision { /* to tell how often a cgroup was hit lately */
	uint64_t cgroup_id, boot_ns;
};

struct oom_reprobe { /* a second set of hooks, made by a worker */
	struct work work;
	struct oom_state *state;
	bool busy;
	struct oom_hooks_options options;
	struct oom_hooks_sink sink; /* oom_on_fresh_record() */
	struct oom_hooks *fresh;
	int result;
	uint64_t from_ns; /* records of the new set count from here on */
};

struct oom_state {
	struct agent *agent;
	struct metric_set *metrics;
	struct oom_config config;
	struct hook_env env; /* a copy with the module's own tier */
	struct oom_hooks *hooks;
	struct correlator *correlator;
	struct snapshotter *snapshotter;
	struct kallsyms *kallsyms; /* NULL: stacks are not judged */
	struct symbols *symbols;
	struct users *users;
	struct args_scan *args_scan; /* NULL: exec is hooked */
	struct gfp_names gfp;
	struct report_world world;
	char hook_names[8][48];
	struct event_buf event;
	char *event_memory;
	struct loop_source *ring_source, *kmsg_source;
	bool ring_broken; /* to be opened anew */
	struct loop_timer *timer;
	int kmsg_fd;
	struct kmsg_clock kmsg_clock;
	bool psi_on;
	/* Cross-check against /proc/vmstat (OOM-119). */
	bool vmstat_known;
	uint64_t vmstat_base, unseen, unseen_since_us, unseen_least, next_check_us, check_at_us;
	uint64_t malformed_before; /* as lost_before */
	uint64_t unpublished; /* events that found their queue full and had no second try */
	struct level_counts *counts;
	struct last_decision decisions[DECISIONS_KEPT];
	size_t next_decision;
	struct oom_reprobe reprobe;
	uint64_t source_until_ns; /* records from then on are the next set's; 0 = no end */
	uint64_t lost_before[_OOM_LOST_MAX]; /* by sets of hooks that were replaced */
	bool dropped; /* capabilities that hooks need */
	unsigned victims_read; /* in this wake-up */
	uint64_t resume_us; /* when the ring is read on, 0 = it is */
	bool in_ring; /* a record is handled: nothing may be opened or allocated (OOM-612) */
	struct limits *limits; /* NULL: hits are not counted */
	uint64_t limits_since_us; /* cgroups that are older begin with what their files say */
	bool limits_by_kernel; /* the kernel program counts them */
	bool kills_by_counters; /* oom_kill has no better variant than `counters` */
	uint64_t kills_looked; /* then: /proc/vmstat at the last look */
	unsigned kills_looks; /* how often the cgroups are still to be looked at */
	uint64_t lost_told; /* already said in telemetry.lost */
	uint64_t started_us;
	uint64_t preinit_us; /* when living cgroups last kept their series of 0 */
	char kmsg_text[8192];
};

/* count.c: stage 1 and workload series */
void oom_count_victim(struct oom_state *s, const struct oom_run *run, struct oom_kill *k);
void oom_count_workload(struct oom_state *s, const struct oom_run *run, struct oom_kill *k);
void oom_count_run(struct oom_state *s, const struct oom_run *run);
/* @n kills that counters of the kernel tell without a process; @i: NULL where they do not tell the cgroup either. */
void oom_count_blind(struct oom_state *s, const struct identity *i, uint64_t n);
/* kind, namespace, workload, container, pod: the open labels of workload series */
#define WORKLOAD_LABELS 5
void oom_workload_labels(const struct oom_state *s, const struct identity *i,
			 const char *ret[WORKLOAD_LABELS]);
void oom_count_tick(struct oom_state *s, uint64_t now_us);
void oom_preinit(struct oom_state *s, const struct identity *i, uint64_t now_us);
void oom_preinit_removed(struct oom_state *s, const struct identity *i, uint64_t now_us);
void oom_preinit_tick(struct oom_state *s, uint64_t now_us);

/* world.c: what report.c asks for */
void oom_world_init(struct oom_state *s);

/* publish.c: stage 2 */
int oom_publish_run(struct oom_state *s, struct oom_run *run);
int oom_publish_aftermath(struct oom_state *s, struct oom_run *run, const char *reason);
void oom_publish_no_victim(struct oom_state *s, const struct report_no_victim *n);
void oom_publish_unseen(struct oom_state *s, uint64_t count, const struct identity *where,
			const struct identity *limit);
void oom_publish_lost(struct oom_state *s, uint64_t count);
void oom_seed_counts(struct oom_state *s);
void oom_find_limit(struct oom_state *s, struct oom_run *run);
struct cgroup_place oom_limit_place(const struct oom_state *s, const struct oom_run *run);
void oom_note_decision(struct oom_state *s, struct oom_run *run);

/* limits-source.c: limit hits, and kills where only counters tell of them */
void oom_limits_start(struct oom_state *s);
void oom_limits_stop(struct oom_state *s);
void oom_limits_replaced(struct oom_state *s); /* other hooks are live */
void oom_limits_run(struct oom_state *s,
		    const struct oom_run *run); /* what a record says of its levels */
void oom_limits_identity(struct oom_state *s, bool added, struct identity *i);
void oom_limits_hits(void *ctx, uint64_t cgroup_id,
		     const struct oom_limit_hits *hits); /* counted by the kernel program */
void oom_limits_tick(struct oom_state *s, uint64_t now_us);

/* reprobe.c: hooks after the start */
void oom_reprobe(struct oom_state *s);
void oom_drop_capabilities(struct oom_state *s); /* as configured; once */
/* oom.c: all that depends on which variants are live */
void oom_hooks_replaced(struct oom_state *s);

/* ring-source.c */
int oom_ring_start(struct oom_state *s); /* the ring of the live set of hooks, if there is one */
void oom_ring_read(struct oom_state *s);
void oom_ring_tick(struct oom_state *s); /* each second */
void oom_run_correlator(struct oom_state *s); /* and its timer */
void oom_on_timer(void *ctx, uint64_t now_us);
void oom_on_record(void *ctx, const struct record_head *head, bool spilled);
/* Of a set of hooks that replaced another one. */
void oom_on_fresh_record(void *ctx, const struct record_head *head, bool spilled);

/* kmsg-source.c */
void oom_kmsg_start(struct oom_state *s);
void oom_kmsg_stop(struct oom_state *s);
