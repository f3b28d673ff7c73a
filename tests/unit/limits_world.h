/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "agent/oom/limits.h"
#include "base/fs.h"
#include "base/macro.h"
#include "base/time.h"
#include "test.h"

/* Limit hits over a tree of files that stands in for a hierarchy of cgroups: "/a" is there from the start. */

#define SECOND US_PER_SEC
#define TOLD_MAX 8

struct world {
	char root[64];
	struct cgroup_layout layout;
	struct identity_cache *cache;
	struct limits *limits;
	uint64_t hits[_LIMIT_EVENT_MAX], kills;
	unsigned no_victims;
	char last_path[64];
	struct {
		const char *path, *limit; /* limit NULL = none */
		uint64_t n;
	} told[TOLD_MAX]; /* kills */
	size_t n_told;
};

static inline void on_hit(void *ctx, const struct identity *i, enum limit_event event, uint64_t n)
{
	struct world *w = ctx;

	w->hits[event] += n;
	(void)snprintf(w->last_path, sizeof(w->last_path), "%s", i->path);
}

static inline void on_no_victim(void *ctx, const struct identity *i)
{
	struct world *w = ctx;

	assert_string_equal(i->path, "/a");
	w->no_victims++;
}

static inline void on_kills(void *ctx, const struct identity *i, const struct identity *limit,
			    uint64_t n)
{
	struct world *w = ctx;

	assert_true(w->n_told < TOLD_MAX);
	w->told[w->n_told].path = i->path;
	w->told[w->n_told].limit = limit ? limit->path : NULL;
	w->told[w->n_told++].n = n;
	w->kills += n;
}

static inline void put(const struct world *w, const char *path, const char *text)
{
	char full[256];
	FILE *f;

	(void)snprintf(full, sizeof(full), "%s/%s", w->root, path);
	f = fopen(full, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static inline void setup(struct world *w, enum cgroup_mode mode, enum limits_source source,
			 bool kills)
{
	const struct identity_options io = { .entries = 64, .tombstones = 8, .node_name = "n" };
	const struct limits_calls calls = { on_hit, on_no_victim, kills ? on_kills : NULL, w };
	struct limits_options o = {
		.layout = &w->layout, .source = source, .max = 4, .started_us = SECOND
	};
	char dir[96];

	memset(w, 0, sizeof(*w));
	(void)snprintf(w->root, sizeof(w->root), "/tmp/telamon-limits-XXXXXX");
	assert_non_null(mkdtemp(w->root));
	(void)snprintf(dir, sizeof(dir), "%s/a", w->root);
	assert_int_equal(mkdir(dir, 0700), 0);
	w->layout.mode = mode;
	w->layout.unified_fd = -EBADF;
	(void)snprintf(w->layout.memory_root, sizeof(w->layout.memory_root), "%s", w->root);
	w->layout.memory_fd = open(w->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(identity_cache_new(&io, &w->cache), 0);
	assert_int_equal(limits_new(&o, &calls, &w->limits), 0);
}

static inline void teardown(struct world *w)
{
	char command[128];

	limits_free(w->limits);
	identity_cache_free(w->cache);
	(void)close(w->layout.memory_fd);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", w->root);
	assert_int_equal(system(command), 0);
}

/* @id: of a cgroup that is not there; else it is what the directory says. */
static inline struct identity *cgroup(struct world *w, uint64_t id, const char *path, uint64_t now)
{
	struct identity *i;

	(void)cgroup_id(w->layout.memory_fd, path + 1, &id);
	i = identity_add(w->cache, 0, id, path, true, now);
	assert_non_null(i);
	return i;
}
