/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From kernel records to runs of the OOM killer
 *
 * A run is keyed by the trigger's thread and, where the decision is hooked, its number. Without that a mark that is not a group
 * member's begins a new run. Victims are entities (tgid, start): the kernel may mark and kill the same one twice (K4), that is
 * one kill with two attempts. Slots are preallocated; when all are taken the oldest run is closed early.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "agent/oom/correlate-part.h"
#include "agent/oom/decode.h"
#include "base/macro.h"
#include "base/time.h"

#define SETTLE_US \
	(20 * US_PER_MSEC) /* members and sharers follow the first mark within microseconds */
#define WAIT_MAX_US (5 * US_PER_SEC)
#define SAME_ENTITY_NS (60 * NS_PER_SEC)
#define SAME_PID_NS NS_PER_SEC
#define FREED_DELAY_US US_PER_SEC

int correlator_new(const struct correlator_options *o, const struct correlator_calls *calls,
		   void *ctx, struct correlator **ret)
{
	_cleanup_(correlator_freep) struct correlator *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->options = *o;
	c->calls = *calls;
	c->ctx = ctx;
	c->runs = calloc(RUNS_MAX, sizeof(*c->runs));
	c->kills = calloc(KILLS_MAX, sizeof(*c->kills));
	c->lines = calloc(1, sizeof(*c->lines));
	if (!c->runs || !c->kills || !c->lines || followed_init(&c->followed, o->victims) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(c);
	return 0;
}

struct correlator *correlator_free(struct correlator *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; c->runs && i < RUNS_MAX; i++)
		if (c->runs[i].used)
			correlator_release_run(c, &c->runs[i]);
	followed_done(&c->followed);
	free(c->runs);
	free(c->kills);
	free(c->lines);
	free(c);
	return NULL;
}

void correlator_set_times(struct correlator *c, uint64_t wait_us, uint64_t aftermath_us)
{
	c->options.wait_us = wait_us;
	c->options.aftermath_us = aftermath_us;
}

void correlator_set_invoke_live(struct correlator *c, bool on)
{
	c->options.invoke_live = on;
}

void correlator_set_allocating_task(struct correlator *c, bool on)
{
	c->options.allocating_task = on;
}

const struct correlator_stats *correlator_stats(const struct correlator *c)
{
	return &c->stats;
}

void correlator_pools(struct correlator *c, void (*fn)(void *ctx, void *memory, size_t size),
		      void *ctx)
{
	fn(ctx, c->runs, RUNS_MAX * sizeof(*c->runs));
	fn(ctx, c->kills, KILLS_MAX * sizeof(*c->kills));
	fn(ctx, c->followed.pool, c->followed.max * sizeof(*c->followed.pool));
	fn(ctx, c->followed.hash.buckets,
	   (c->followed.hash.mask + 1) * sizeof(*c->followed.hash.buckets));
	fn(ctx, c->lines, sizeof(*c->lines));
}

/* --- followed victims --- */

static void note_exit(struct correlator *c, struct followed *f, uint64_t boot_ns, uint64_t now_us)
{
	struct oom_run *run = followed_run(f);

	f->exited = true;
	if (run) {
		run->n_exited++;
		run->last_exit_us = now_us;
	}
	if (!f->kill)
		return;
	f->kill->exit_boot_ns = boot_ns;
	c->calls.exited(c->ctx, f->kill);
}

/* The oldest makes room. What it belonged to learns no exit of it any more (OOM-205). */
static void follow(struct correlator *c, struct oom_run *run, struct oom_kill *kill)
{
	const struct followed *old = followed_victim_of(&c->followed);
	struct oom_run *closed = old && !old->exited ? followed_run(old) : NULL;

	if (closed && !closed->evicted) {
		c->stats.evicted++;
		closed->evicted = true;
	}
	(void)followed_add(&c->followed, run, kill);
}

/* --- victims --- */

static void apply_line(struct oom_run *run, struct oom_kill *kill, const struct log_line *l)
{
	log_line_apply(l, run, kill);
	if (l->k.fields & KMSG_TASK)
		run->last_us = MAX(run->last_us, l->now_us - SETTLE_US);
}

/* Lines that were read before the record of their kill. */
static void take_lines(struct correlator *c, struct oom_run *run, struct oom_kill *kill,
		       uint64_t now_us)
{
	const struct log_line *l;

	if (kill->v.kind == OOM_VICTIM_RESERVE)
		return;
	while ((l = log_lines_take(c->lines, kill->v.tgid, kill->v.tid, now_us, WAIT_MAX_US)))
		apply_line(run, kill, l);
}

/* The entry of a victim that is marked once more (OOM-113); NULL: it is another one. */
static struct followed *find_same(const struct correlator *c, const struct oom_victim *v)
{
	struct followed *f = followed_find(&c->followed, v->tgid, v->start_boot_ns);
	uint64_t now = v->head.boot_ns, gap;

	if (!f)
		return NULL;
	gap = now > f->mark_ns ? now - f->mark_ns : f->mark_ns - now;
	/* Where a start is not known, a pid is not given away again this soon. */
	return gap < (v->start_boot_ns && f->start_boot_ns ? SAME_ENTITY_NS : SAME_PID_NS) ? f
											   : NULL;
}

static void fold(struct correlator *c, struct followed *f, const struct oom_victim *v,
		 const struct oom_stack_verdict *verdict)
{
	struct oom_run *run = followed_run(f);
	struct oom_kill *kill = f->kill;

	c->stats.folded++;
	if (kill)
		kill->attempts++;
	if (v->kind != OOM_VICTIM_KILL && v->kind != OOM_VICTIM_UNSURE)
		return;
	/* First it got the signal because it shares the memory, now it is a victim in its own right. */
	if (kill && kill->v.kind == OOM_VICTIM_SHARED_MM) {
		c->stats.kills++;
		kill->v.kind = v->kind;
		kill->judged = verdict->known;
		kill->member = verdict->member;
		if (run && verdict->member)
			run_mark_group(c, run);
		if (run)
			run_set_roles(c, run);
		return;
	}
	/* The chosen one is killed again as a member: it is a group decision (K4). */
	if (run && (verdict->member || !verdict->known))
		run_mark_group(c, run);
	else
		c->stats.groups++;
}

static void add_victim(struct correlator *c, const struct oom_victim *v,
		       const struct oom_stack_verdict *verdict, bool spilled, uint64_t now_us)
{
	struct oom_kill *kill = correlator_new_kill(c);
	struct oom_run *run;
	uint64_t exit_ns;

	if (!kill)
		return;
	kill->used = true; /* before a run is looked for: that may release others */
	run = run_of_victim(c, v, verdict, spilled, now_us);
	*kill = (struct oom_kill){ .used = true,
				   .spilled = spilled,
				   .attempts = 1,
				   .boot_ns = v->head.boot_ns,
				   .judged = verdict->known,
				   .member = verdict->member };
	memcpy(&kill->v, v, v->head.size);
	run->last_us = now_us;
	run_take_victim(run, v, verdict);
	run_append(c, run, kill);
	take_lines(c, run, kill, now_us);
	if (v->kind != OOM_VICTIM_RESERVE) {
		c->stats.kills += v->kind != OOM_VICTIM_SHARED_MM;
		follow(c, run, kill);
	}
	c->calls.victim(c->ctx, run, kill);
	exit_ns = v->kind == OOM_VICTIM_RESERVE ? 0 : followed_take_exit(&c->followed, kill);
	if (exit_ns)
		note_exit(c, kill->followed, exit_ns, now_us);
}

/* The stack did not fit, but what the program made of the order of things did. */
static struct oom_stack_verdict judge_spilled(const struct oom_victim *v)
{
	return (struct oom_stack_verdict){ .scope = SCOPE_UNKNOWN,
					   .known = v->role != OOM_ROLE_UNKNOWN,
					   .member = v->role == OOM_ROLE_MEMBER };
}

static void feed_victim(struct correlator *c, const struct oom_victim *v, bool spilled,
			uint64_t now_us)
{
	struct oom_stack_verdict verdict = spilled ? judge_spilled(v) : c->calls.judge(c->ctx, v);
	struct followed *f = find_same(c, v);

	if (f)
		fold(c, f, v, &verdict);
	else
		add_victim(c, v, &verdict, spilled, now_us);
}

static void feed_decision(struct correlator *c, const struct oom_decision *d, uint64_t now_us)
{
	struct oom_run *run = run_find_numbered(c, d->trigger_tid, d->decision);

	if (!run)
		run = correlator_new_run(c, &(struct oom_run){
						    .kernel_number = d->decision,
						    .trigger_tid = d->trigger_tid,
						    .trigger_tgid = d->trigger_tgid,
						    .first_ns = d->head.boot_ns,
						    .last_ns = d->head.boot_ns,
						    .first_us = now_us,
					    });
	run->last_us = now_us;
	run_take_decision(run, d);
	run_set_roles(c, run);
}

static void feed_attempt(struct correlator *c, const struct oom_attempt *a)
{
	struct oom_run *run = a->decision ? run_find_numbered(c, a->trigger_tid, a->decision)
					  : run_find_latest(c, a->trigger_tid);

	if (run && !run->message[0])
		(void)snprintf(run->message, sizeof(run->message), "%.*s", a->message.length,
			       a->text + a->message.offset);
}

static void feed_invoke(struct correlator *c, const struct oom_invoke *r, uint64_t now_us)
{
	struct oom_run *run = r->decision ? run_find_numbered(c, r->trigger_tid, r->decision)
					  : run_find_latest(c, r->trigger_tid);

	/* Marked without a decision: a dying task was given the reserve. Nobody marked and false: nobody was found. */
	if (!r->decision && r->marks == 0) {
		if (!r->result)
			c->calls.no_victim(c->ctx, r);
		return;
	}
	if (!run)
		return;
	run->invoke_ns = r->duration_ns;
	run->complete = true;
	run->last_us = now_us;
}

static void feed_exit(struct correlator *c, const struct oom_exit *e, uint64_t now_us)
{
	struct followed *f = followed_find(&c->followed, e->tgid, e->start_boot_ns);

	if (!f)
		followed_keep_exit(&c->followed, e);
	else if (!f->exited)
		note_exit(c, f, e->head.boot_ns, now_us);
}

static void feed_reaper(struct correlator *c, const struct oom_reaper *r)
{
	struct oom_kill *kill = NULL;

	for (size_t i = 0; i < KILLS_MAX; i++) {
		struct oom_kill *k = &c->kills[i];

		if (k->used && k->v.tid == r->tid && k->v.kind != OOM_VICTIM_RESERVE &&
		    (!kill || k->boot_ns > kill->boot_ns))
			kill = k;
	}
	if (!kill)
		return;
	if (r->what == OOM_REAPER_START)
		kill->reap_start_ns = r->head.boot_ns;
	if (r->what == OOM_REAPER_FINISH)
		kill->reap_end_ns = r->head.boot_ns;
	kill->reaper_skipped |= r->what == OOM_REAPER_SKIP;
	if (r->what == OOM_REAPER_FINISH || r->what == OOM_REAPER_SKIP)
		c->calls.reaped(c->ctx, kill);
}

void correlator_feed(struct correlator *c, const struct record_head *head, bool spilled,
		     uint64_t now_us)
{
	if (oom_decode_check(head) < 0) {
		c->stats.decode_errors++;
		return;
	}
	c->stats.records++;
	switch (head->type) {
	case OOM_RECORD_VICTIM:
		if (oom_decode_victim(head, &c->decoded) < 0)
			c->stats.decode_errors++;
		else
			feed_victim(c, &c->decoded, spilled, now_us);
		return;
	case OOM_RECORD_SPILL:
		oom_decode_core((const void *)head, &c->decoded);
		feed_victim(c, &c->decoded, true, now_us);
		return;
	case OOM_RECORD_DECISION:
		feed_decision(c, (const void *)head, now_us);
		return;
	case OOM_RECORD_ATTEMPT:
		feed_attempt(c, (const void *)head);
		return;
	case OOM_RECORD_INVOKE:
		feed_invoke(c, (const void *)head, now_us);
		return;
	case OOM_RECORD_EXIT:
		feed_exit(c, (const void *)head, now_us);
		return;
	default:
		feed_reaper(c, (const void *)head);
	}
}

/* --- the kernel log, read after the record --- */

static struct oom_run *run_of_pid(struct correlator *c, uint32_t pid, struct oom_kill **ret)
{
	struct oom_run *found = NULL;

	for (size_t i = 0; i < RUNS_MAX; i++) {
		if (!c->runs[i].used || c->runs[i].emitted)
			continue;
		for (struct oom_kill *k = c->runs[i].kills; k; k = k->next)
			if ((k->v.tgid == pid || k->v.tid == pid) &&
			    (!found || c->runs[i].seq > found->seq)) {
				found = &c->runs[i];
				*ret = k;
			}
	}
	return found;
}

void correlator_kmsg(struct correlator *c, const struct kmsg_oom *k, const char *line, size_t len,
		     uint64_t now_us)
{
	const struct log_line *l = log_lines_read(c->lines, k, line, len, now_us);
	struct oom_kill *kill = NULL;
	struct oom_run *run = l ? run_of_pid(c, k->pid, &kill) : NULL;

	if (run)
		apply_line(run, kill, l);
	else if (l)
		log_lines_keep(c->lines);
}

/* --- time --- */

static uint64_t ready_at(const struct correlator *c, const struct oom_run *run)
{
	uint64_t end = MIN(run->last_us + c->options.wait_us, run->first_us + WAIT_MAX_US);

	if (!run->kills)
		return end; /* a decision whose mark is still to come */
	/* The kernel may go on: it says that it is through (complete), or, with memory.oom.group, each member may take its time. */
	if (!c->calls.pending(c->ctx, run) &&
	    (run->complete || (!c->options.invoke_live && !run_has_group_level(run))))
		end = MIN(end, run->last_us + SETTLE_US);
	return end;
}

static bool all_exited(const struct oom_run *run)
{
	return run->n_exited >= run->n_kills;
}

static uint64_t aftermath_at(const struct correlator *c, const struct oom_run *run)
{
	uint64_t end = run->first_us + c->options.aftermath_us;

	if (run->evicted)
		return run->first_us;
	if (all_exited(run))
		end = MIN(end, run->last_exit_us + FREED_DELAY_US);
	return end;
}

static void take_snapshot(struct correlator *c, struct oom_run *run)
{
	if (run->snapshot_taken || !run->kills)
		return;
	run->snapshot_taken = true;
	c->calls.snapshot(c->ctx, run);
	/* A group of one: no member is marked, and yet the kernel counts two. */
	if (run_has_group_level(run))
		run_mark_group(c, run);
}

/* Stage 2. True when the run is told; a run without a kill is dropped: its victim was gone already. */
static bool tell(struct correlator *c, struct oom_run *run, uint64_t now_us)
{
	if (now_us < ready_at(c, run))
		return false;
	if (!run->kills) {
		correlator_release_run(c, run);
		return false;
	}
	run_set_roles(c, run); /* the scope may be known only now */
	if (c->calls.ready(c->ctx, run) < 0)
		return false;
	run->emitted = run->told = true;
	return true;
}

static void step(struct correlator *c, struct oom_run *run, uint64_t now_us)
{
	const char *reason = run->evicted ? "evicted" : all_exited(run) ? "exited" : "timeout";

	take_snapshot(c, run);
	if (!run->emitted && !tell(c, run, now_us))
		return;
	if (run->n_kills > 0) { /* nothing follows a mere reserve */
		if (now_us < aftermath_at(c, run))
			return;
		if (c->calls.aftermath(c->ctx, run, reason) < 0)
			return;
	}
	correlator_release_run(c, run);
}

void correlator_run(struct correlator *c, uint64_t now_us)
{
	for (size_t i = 0; i < RUNS_MAX; i++)
		if (c->runs[i].used)
			step(c, &c->runs[i], now_us);
}

/* What is due next: monotonic µs, 0 = nothing. */
uint64_t correlator_next(const struct correlator *c)
{
	uint64_t earliest = 0;

	for (size_t i = 0; i < RUNS_MAX; i++) {
		const struct oom_run *run = &c->runs[i];
		uint64_t at;

		if (!run->used)
			continue;
		at = run->emitted ? aftermath_at(c, run) : ready_at(c, run);
		if (!earliest || at < earliest)
			earliest = at;
	}
	return earliest;
}
