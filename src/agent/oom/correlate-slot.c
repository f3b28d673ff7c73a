/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots of runs and kills
 *
 * All are there from the start. When they are taken, what only waits for its aftermath goes first; else the oldest run is told
 * at once, before its wait is over (OOM-602).
 */

#include "agent/oom/correlate-part.h"

static void release_kill(struct oom_kill *k)
{
	if (k->followed)
		k->followed->kill = NULL;
	k->followed = NULL;
	k->identity = identity_unref(k->identity);
	k->used = false;
}

void correlator_release_run(struct correlator *c, struct oom_run *run)
{
	(void)c;
	for (struct oom_kill *k = run->kills, *next; k; k = next) {
		next = k->next;
		release_kill(k);
	}
	run->kills = NULL;
	run->used = false;
}

static void tell(struct correlator *c, struct oom_run *run)
{
	if (run->emitted)
		return;
	run->early = true;
	if (run->kills && !run->snapshot_taken)
		c->calls.snapshot(c->ctx, run);
	run->snapshot_taken = true;
	if (run->kills)
		(void)c->calls.ready(c->ctx, run);
	run->emitted = run->told = true;
}

static void close_run(struct correlator *c, struct oom_run *run)
{
	c->stats.evicted++;
	tell(c, run);
	if (run->n_kills > 0)
		(void)c->calls.aftermath(c->ctx, run, "evicted");
	correlator_release_run(c, run);
}

static struct oom_run *oldest_run(const struct correlator *c)
{
	struct oom_run *oldest = NULL;

	for (size_t i = 0; i < RUNS_MAX; i++) {
		struct oom_run *run = &c->runs[i];

		if (!run->used)
			continue;
		if (!oldest || run->emitted > oldest->emitted ||
		    (run->emitted == oldest->emitted && run->seq < oldest->seq))
			oldest = run;
	}
	return oldest;
}

/* A new run with what @like says of its key and times. */
struct oom_run *correlator_new_run(struct correlator *c, const struct oom_run *like)
{
	struct oom_run *run = NULL;

	for (size_t i = 0; i < RUNS_MAX && !run; i++)
		if (!c->runs[i].used)
			run = &c->runs[i];
	if (!run) {
		run = oldest_run(c);
		close_run(c, run);
	}
	*run = *like;
	run->used = true;
	run->seq = ++c->seq;
	run->scope = SCOPE_UNKNOWN;
	run->allocating_task = c->options.allocating_task;
	run->points = INT64_MIN;
	run->limit.level = -1;
	return run;
}

/* A group may be larger than the pool: its run stays, the members that were told make room for others. */
static void shrink_run(struct correlator *c, struct oom_run *run)
{
	c->stats.evicted++;
	tell(c, run);
	for (struct oom_kill *k = run->kills->next, *next; k; k = next) {
		next = k->next;
		release_kill(k);
	}
	run->kills->next = NULL;
}

struct oom_kill *correlator_new_kill(struct correlator *c)
{
	for (unsigned tries = 0; tries <= RUNS_MAX; tries++) {
		struct oom_run *run;

		for (size_t i = 0; i < KILLS_MAX; i++)
			if (!c->kills[i].used)
				return &c->kills[i];
		run = oldest_run(c);
		if (run->kills && run->kills->next)
			shrink_run(c, run);
		else
			close_run(c, run);
	}
	return NULL;
}
