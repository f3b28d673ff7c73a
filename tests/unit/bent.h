/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "test.h"

#include <jansson.h>
#include "oom_world.h"

/* One recorded kill that a test bends before it is reported. */

struct bent {
	struct world w;
	struct oom_run run;
	struct oom_kill kill;
};

/* The recorded kill in a run of its own, as the correlator leaves it. */
static inline void bend(struct bent *t)
{
	struct ring r = {};

	memset(t, 0, sizeof(*t));
	world_init(&t->w, "single",
		   &(struct correlator_options){ .wait_us = 500 * US_PER_MSEC,
						 .aftermath_us = 60 * US_PER_SEC,
						 .victims = 64 });
	ring_read(&r, "single");
	assert_int_equal(oom_decode_victim(r.records[0], &t->kill.v), 0);
	ring_free(&r);
	t->kill.used = true;
	t->kill.attempts = 1;
	t->kill.boot_ns = t->kill.v.head.boot_ns;
	t->kill.wall_ns = world_wall(&t->w, t->kill.boot_ns);
	t->kill.role = ROLE_CHOSEN;
	t->run = (struct oom_run){ .used = true,
				   .scope = SCOPE_MEMCG,
				   .scope_source = SOURCE_STACK,
				   .kills = &t->kill,
				   .n_kills = 1,
				   .gfp_known = true,
				   .gfp = 0xcc0,
				   .order_known = true,
				   .points = INT64_MIN,
				   .limit.level = -1 };
	world_snapshot(&t->w, &t->run);
	t->run.snapshot.stat_seen = 1; /* as if the limit had been read */
	t->kill.identity = identity_from_path(t->w.identities, 1, 7, "/a", 2);
}

static inline json_t *report(struct bent *t)
{
	json_error_t e;
	json_t *j;

	assert_int_equal(report_kill(&t->w.report, &t->run, &t->kill, &t->w.event, &t->w.missing),
			 0);
	assert_true(t->w.event.json.len <= EVENT_BYTES_MAX);
	j = json_loadb(t->w.event.json.data, t->w.event.json.len, 0, &e);
	if (!j)
		fail_msg("%s at %d of %zu: %.60s", e.text, e.position, t->w.event.json.len,
			 t->w.event.json.data + MAX(e.position - 50, 0));
	return j;
}

static inline void unbend(struct bent *t)
{
	t->kill.identity = identity_unref(t->kill.identity);
	world_done(&t->w);
}

static inline bool names(const json_t *j, const char *array, const char *name)
{
	const json_t *list = json_object_get(j, array), *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (streq(json_string_value(item), name))
			return true;
	return false;
}

static inline const char *string_at(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}
