/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "agent/oom/cgroup-files.h"
#include "base/cleanup.h"
#include "sys/cgroup.h"
#include "sys/identity.h"

/*
 * Limit hits of cgroups: what the kernel counts where a limit is met
 *
 * One table of totals for memory.events, memory.failcnt and the levels of OOM records, which hold the kernel's own count of OOMs
 * even when the cgroup goes away at once. A total that is told twice counts once.
 * Nothing here wakes the agent: what files announce (inotify, eventfd) is asked for once a second.
 */

enum limit_event { LIMIT_MAX, LIMIT_OOM, LIMIT_GROUP_KILL, LIMIT_FAILCNT, _LIMIT_EVENT_MAX };

enum limits_source {
	LIMITS_INOTIFY, /* v2: memory.events.local says when it changed */
	LIMITS_EVENTFD, /* v1: memory.oom_control signals an eventfd */
	LIMITS_POLL, /* all files, once a second */
	LIMITS_KERNEL, /* a program counts hits: files are kept open for snapshots only */
};

struct limits_calls {
	/* @n more of @event at the cgroup @i, which lives during the call. */
	void (*hit)(void *ctx, const struct identity *i, enum limit_event event, uint64_t n);
	/* An OOM was counted at @i and nobody was killed within a second. May be NULL. */
	void (*no_victim)(void *ctx, const struct identity *i);
	/*
	 * @n kills in @i, or, where the victim's own cgroup is gone, somewhere below @i; @limit: the nearest cgroup with a
	 * limit at or above it, NULL = none. Asked for only where no hook reports kills. May be NULL.
	 */
	void (*kills)(void *ctx, const struct identity *i, const struct identity *limit,
		      uint64_t n);
	void *ctx;
};

struct limits_options {
	const struct cgroup_layout *layout;
	enum limits_source source;
	uint32_t max; /* cgroups watched at a time, those that met their limit last first; the rest is counted */
	uint64_t started_us; /* cgroups that are older begin with what their files say */
};

struct limits;
int limits_new(const struct limits_options *o, const struct limits_calls *calls,
	       struct limits **ret);
struct limits *limits_free(struct limits *l);
DEFINE_CLEANUP(struct limits *, limits_free);
/* Cgroups that were added after @now_us are new. */
void limits_started(struct limits *l, uint64_t now_us);
void limits_add(struct limits *l, struct identity *i, uint64_t now_us);
void limits_remove(struct limits *l, const struct identity *i);
/* A total from elsewhere. @i is added when it is not watched yet. Allocates nothing. */
void limits_observe(struct limits *l, struct identity *i, enum limit_event event, uint64_t total,
		    uint64_t now_us);
/* Somebody was killed below the limit of @id. */
void limits_killed(struct limits *l, uint64_t id, uint64_t now_us);
void limits_tick(struct limits *l, uint64_t now_us); /* each second */
#define LIMITS_KILLS_PASSES 3
/* The host's count of OOM kills rose: where? In that second and in those after it, LIMITS_KILLS_PASSES in all. */
void limits_find_kills(struct limits *l);
bool limits_kills_waiting(
	const struct limits *l); /* a cgroup was found late, with kills that are to be told */
/* Open files of a cgroup with a limit, valid until the next call; NULL when there are none. @l may be NULL. */
const struct cgroup_files *limits_files(const struct limits *l, uint64_t id);
struct limits_stats {
	size_t watched; /* cgroups whose files are open now */
	uint64_t refused; /* cgroups that found no room, or no descriptors */
	uint64_t evicted; /* cgroups that made room for one whose limit was met */
};
void limits_stats(const struct limits *l, struct limits_stats *ret);
