/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills by the counters of cgroups, where nothing better tells of them
 *
 * Each cgroup counts the kills among its own processes (v2 memory.events.local, v1 memory.oom_control), also one that has no limit
 * and dies by that of another. On v2 memory.events counts those of the cgroups below, too: what no own count explains happened in
 * a cgroup that is gone, and is told of the nearest one with a limit above it. v1 has no such sum.
 *
 * Files are read one after the other while the kernel goes on. So what is left over counts only when it is still there at the next
 * look.
 */

#include <string.h>
#include "agent/oom/limits-part.h"
#include "base/macro.h"

static struct watch *next_of(const struct watch *w)
{
	return (struct watch *)w->link.newer;
}

static struct watch *first_of(const struct limits *l)
{
	return (struct watch *)l->watches.oldest;
}

static bool own_kills(struct limits *l, const struct watch *w, uint64_t *ret)
{
	return watch_read(l, w, CGROUP_FILE_EVENTS) && limits_find_key(l, "oom_kill", ret);
}

/* By path: it is not among the files that are kept open. */
static bool kills_below(struct limits *l, const struct watch *w, uint64_t *ret)
{
	const struct cgroup_place p = { w->identity->id, w->identity->path, NULL };

	return cgroup_file_read(l->o.layout, &p, CGROUP_FILE_EVENTS_BELOW, l->text,
				sizeof(l->text)) > 0 &&
	       limits_find_key(l, "oom_kill", ret);
}

/* A young one that has kills already was found late. */
void kills_known(struct limits *l, struct watch *w)
{
	uint64_t n;

	if (!l->calls.kills || !own_kills(l, w, &n))
		return;
	if (watch_is_old(l, w))
		w->kills = n;
	else if (n > 0)
		l->kills_waiting = true;
}

bool limits_kills_waiting(const struct limits *l)
{
	return l && l->kills_waiting;
}

void kills_watched(struct limits *l, struct watch *w)
{
	w->owed = w->owed_before = 0;
	if (l->calls.kills && limits_on_v2(l))
		(void)kills_below(l, w, &w->kills_below);
}

/* The nearest one with a limit above @w, or @w itself where it has one and is not left out. NULL: none. */
static struct watch *nearest(const struct limits *l, struct watch *w, bool above)
{
	struct watch *found = NULL;

	if (w->watched && !above)
		return w;
	for (struct watch *x = first_of(l); x; x = next_of(x))
		if (x->watched && watch_is_below(w, x) &&
		    (!found || strlen(x->identity->path) > strlen(found->identity->path)))
			found = x;
	return found;
}

/* How much a count of the kernel's rose since it was read last. A cgroup that is gone tells nothing. */
static uint64_t rise(bool read, const uint64_t *now, uint64_t *last)
{
	uint64_t before = *last;

	if (!read)
		return 0;
	*last = *now;
	return *now > before ? *now - before : 0;
}

static void take_own(struct limits *l, struct watch *w)
{
	uint64_t now, n = rise(own_kills(l, w, &now), &now, &w->kills);
	struct watch *limit = n ? nearest(l, w, false) : NULL;

	if (!n)
		return;
	if (limit)
		limit->owed -= (int64_t)n;
	l->calls.kills(l->calls.ctx, w->identity, limit ? limit->identity : NULL, n);
}

static void take_below(struct limits *l, struct watch *w)
{
	uint64_t now, n = rise(kills_below(l, w, &now), &now, &w->kills_below);
	struct watch *above = n ? nearest(l, w, true) : NULL;

	w->owed += (int64_t)n;
	if (above)
		above->owed -= (int64_t)n;
}

static void settle(struct limits *l, struct watch *w)
{
	int64_t n = MIN(w->owed, w->owed_before);

	if (n > 0) {
		w->owed -= n;
		l->calls.kills(l->calls.ctx, w->identity, w->identity, (uint64_t)n);
	} else if (w->owed < 0 && w->owed_before < 0) {
		w->owed = 0; /* memory.events is local here: mount option memory_localevents */
	}
	w->owed_before = w->owed;
}

void kills_gone(struct limits *l, const struct watch *w)
{
	struct watch *above = w->owed > 0 ? nearest(l, (struct watch *)w, true) : NULL;

	if (above)
		above->owed += w->owed;
}

void limits_find_kills(struct limits *l)
{
	if (!l || !l->calls.kills)
		return;
	l->kills_waiting = false;
	for (struct watch *w = first_of(l); w; w = next_of(w))
		take_own(l, w);
	for (struct watch *w = first_of(l); limits_on_v2(l) && w; w = next_of(w))
		if (w->watched)
			take_below(l, w);
	for (struct watch *w = first_of(l); limits_on_v2(l) && w; w = next_of(w))
		settle(l, w);
}
