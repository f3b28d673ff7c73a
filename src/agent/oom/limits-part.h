/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/limits.h"
#include "base/hash.h"

/* What the files of limit hits share. */

#define SPARES 64 /* of watches, for cgroups that are met first in an OOM record */

struct watch {
	struct hash_node link; /* first */
	struct identity *identity; /* held */
	bool watched; /* has a finite limit, and files are open */
	bool refused; /* counted already */
	bool seen; /* was watched before: what its files say is no beginning */
	struct cgroup_files files;
	int fd; /* v1: eventfd; v2: inotify watch; negative without */
	uint64_t heat_us; /* when its limit was met last */
	uint64_t check_us; /* when to look for a limit, 0 = never again */
	uint64_t killed_us, no_victim_us;
	uint64_t signals; /* v1: since the last kill */
	uint64_t last[_LIMIT_EVENT_MAX];
	bool known[_LIMIT_EVENT_MAX]; /* last[] was told by somebody */
	/* limits-kills.c */
	uint64_t kills; /* in this cgroup itself */
	uint64_t kills_below; /* and in those below it; followed while it is watched, v2 only */
	int64_t owed, owed_before; /* kills that no cgroup's own count told */
};

struct limits {
	struct limits_options o;
	struct limits_calls calls;
	struct hash watches; /* by cgroup id */
	int notify_fd; /* inotify (v2) or epoll (v1) */
	uint32_t n_watched;
	struct watch *spares[SPARES];
	size_t n_spares;
	uint64_t refused, evicted;
	bool kills_waiting; /* a cgroup was found that has kills */
	char text[1024];
};

/* limits.c */
bool limits_on_v2(const struct limits *l);
bool watch_is_old(const struct limits *l, const struct watch *w); /* older than the agent */
/* Text of a file of the cgroup into l->text. */
bool watch_read(struct limits *l, const struct watch *w, enum cgroup_file file);
/* "max 12\noom 3\n": value of @key in l->text. */
bool limits_find_key(const struct limits *l, const char *key, uint64_t *ret);
bool watch_is_below(const struct watch *w, const struct watch *above);

/* limits-kills.c: all do nothing where nobody asks for kills */
void kills_known(struct limits *l, struct watch *w); /* a cgroup is known from now on */
void kills_watched(struct limits *l, struct watch *w); /* its limit was found */
void kills_gone(struct limits *l, const struct watch *w);
