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
#include "agent/oom/correlate.h"
#include "agent/oom/decode.h"
#include "agent/oom/log-lines.h"
#include "base/macro.h"
#include "base/time.h"

#define RUNS_MAX 256
#define KILLS_MAX 512
#define SETTLE_US \
	(20 * US_PER_MSEC) /* members and sharers follow the first mark within microseconds */
#define WAIT_MAX_US (5 * US_PER_SEC)
#define SAME_ENTITY_NS (60 * NS_PER_SEC)
#define SAME_PID_NS NS_PER_SEC
#define GROUP_GAP_NS (20 * NS_PER_MSEC)
#define FREED_DELAY_US US_PER_SEC

/* A victim that is watched until it exits. */
struct followed {
	bool used;
	uint32_t tgid, tid;
	uint64_t start_boot_ns, mark_ns;
	struct oom_kill *kill; /* NULL once its slot went to another */
	struct oom_run *run;
};

struct correlator {
	struct correlator_options options;
	struct correlator_calls calls;
	void *ctx;
	struct oom_run *runs;
	struct oom_kill *kills;
	struct followed *followed;
	size_t next_followed;
	uint64_t seq;
	struct correlator_stats stats;
	struct oom_victim decoded;
	struct log_lines *lines;
};

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
	c->followed = calloc(o->victims, sizeof(*c->followed));
	c->lines = calloc(1, sizeof(*c->lines));
	if (!c->runs || !c->kills || !c->followed || !c->lines)
		return -ENOMEM;
	*ret = TAKE_PTR(c);
	return 0;
}

static void release_run(struct correlator *c, struct oom_run *run)
{
	for (size_t i = 0; i < c->options.victims; i++)
		if (c->followed[i].used && c->followed[i].run == run) {
			c->followed[i].run = NULL;
			c->followed[i].kill = NULL;
		}
	for (struct oom_kill *k = run->kills, *next; k; k = next) {
		next = k->next;
		k->identity = identity_unref(k->identity);
		k->used = false;
	}
	run->used = false;
}

struct correlator *correlator_free(struct correlator *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; c->runs && c->followed && c->kills && i < RUNS_MAX; i++)
		if (c->runs[i].used)
			release_run(c, &c->runs[i]);
	free(c->runs);
	free(c->kills);
	free(c->followed);
	free(c->lines);
	free(c);
	return NULL;
}

void correlator_set_times(struct correlator *c, uint64_t wait_us, uint64_t aftermath_us)
{
	c->options.wait_us = wait_us;
	c->options.aftermath_us = aftermath_us;
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
	fn(ctx, c->followed, c->options.victims * sizeof(*c->followed));
	fn(ctx, c->lines, sizeof(*c->lines));
}

/* --- slots --- */

static void close_run(struct correlator *c, struct oom_run *run, const char *reason)
{
	if (!run->emitted) {
		if (!run->snapshot_taken)
			c->calls.snapshot(c->ctx, run);
		(void)c->calls.ready(c->ctx, run);
	}
	if (!run->aftermath_done)
		(void)c->calls.aftermath(c->ctx, run, reason);
	release_run(c, run);
}

static struct oom_run *oldest_run(struct correlator *c)
{
	struct oom_run *oldest = NULL;

	for (size_t i = 0; i < RUNS_MAX; i++)
		if (c->runs[i].used && (!oldest || c->runs[i].seq < oldest->seq))
			oldest = &c->runs[i];
	return oldest;
}

static struct oom_run *new_run(struct correlator *c, uint32_t trigger_tid, uint32_t trigger_tgid,
			       uint64_t boot_ns, uint64_t now_us)
{
	struct oom_run *run = NULL;

	for (size_t i = 0; i < RUNS_MAX && !run; i++)
		if (!c->runs[i].used)
			run = &c->runs[i];
	if (!run) {
		run = oldest_run(c);
		c->stats.evicted++;
		close_run(c, run, "evicted");
	}
	*run = (struct oom_run){
		.used = true,
		.seq = ++c->seq,
		.trigger_tid = trigger_tid,
		.trigger_tgid = trigger_tgid,
		.first_ns = boot_ns,
		.last_ns = boot_ns,
		.first_us = now_us,
		.last_us = now_us,
		.scope = SCOPE_UNKNOWN,
		.points = INT64_MIN,
		.limit = { .level = -1 },
	};
	return run;
}

static struct oom_kill *new_kill(struct correlator *c)
{
	for (unsigned tries = 0; tries < RUNS_MAX; tries++) {
		struct oom_run *run;

		for (size_t i = 0; i < KILLS_MAX; i++)
			if (!c->kills[i].used)
				return &c->kills[i];
		run = oldest_run(c);
		if (!run)
			break;
		c->stats.evicted++;
		close_run(c, run, "evicted");
	}
	return NULL;
}

/* --- followed victims --- */

static struct followed *find_followed(struct correlator *c, uint32_t tgid, uint64_t start_boot_ns,
				      uint64_t now_ns)
{
	for (size_t i = 0; i < c->options.victims; i++) {
		struct followed *f = &c->followed[i];

		if (f->used && f->tgid == tgid && f->start_boot_ns == start_boot_ns &&
		    now_ns - f->mark_ns < SAME_ENTITY_NS)
			return f;
	}
	return NULL;
}

static void follow(struct correlator *c, struct oom_run *run, struct oom_kill *kill)
{
	struct followed *f = &c->followed[c->next_followed];

	/* A ring: the oldest makes room. What it belonged to learns no exit any more. */
	c->next_followed = (c->next_followed + 1) % c->options.victims;
	if (f->used && f->run && !f->run->aftermath_done && f->kill && !f->kill->exit_boot_ns) {
		c->stats.evicted++;
		if (f->run->emitted && c->calls.aftermath(c->ctx, f->run, "evicted") >= 0)
			f->run->aftermath_done = true;
	}
	*f = (struct followed){
		.used = true,
		.tgid = kill->v.tgid,
		.tid = kill->v.tid,
		.start_boot_ns = kill->v.start_boot_ns,
		.mark_ns = kill->boot_ns,
		.kill = kill,
		.run = run,
	};
}

/* --- which run does a mark belong to --- */

static struct oom_run *find_numbered(struct correlator *c, uint32_t trigger_tid, uint64_t number)
{
	for (size_t i = 0; i < RUNS_MAX; i++)
		if (c->runs[i].used && c->runs[i].trigger_tid == trigger_tid &&
		    c->runs[i].kernel_number == number)
			return &c->runs[i];
	return NULL;
}

static struct oom_run *find_latest(struct correlator *c, uint32_t trigger_tid)
{
	struct oom_run *latest = NULL;

	for (size_t i = 0; i < RUNS_MAX; i++)
		if (c->runs[i].used && c->runs[i].trigger_tid == trigger_tid &&
		    (!latest || c->runs[i].seq > latest->seq))
			latest = &c->runs[i];
	return latest;
}

static bool any_group_level(const struct oom_victim *v)
{
	for (uint32_t i = 0; i < v->n_levels; i++)
		if (v->levels[i].oom_group)
			return true;
	return false;
}

static struct oom_run *run_of(struct correlator *c, const struct oom_victim *v,
			      const struct oom_stack_verdict *verdict, uint64_t now_us)
{
	struct oom_run *run = NULL;
	bool belongs;

	if (v->flags & OOM_VICTIM_DECISION) {
		run = find_numbered(c, v->trigger_tid, v->decision);
	} else {
		struct oom_run *latest = find_latest(c, v->trigger_tid);

		if (verdict->known)
			belongs = verdict->member || v->kind == OOM_VICTIM_SHARED_MM;
		else
			belongs = v->kind == OOM_VICTIM_SHARED_MM ||
				  (latest && v->head.boot_ns - latest->last_ns < GROUP_GAP_NS &&
				   any_group_level(v));
		if (belongs && latest && !latest->aftermath_done)
			run = latest;
	}
	if (run)
		return run;
	run = new_run(c, v->trigger_tid, v->trigger_tgid, v->head.boot_ns, now_us);
	run->kernel_number = v->flags & OOM_VICTIM_DECISION ? v->decision : 0;
	return run;
}

/* --- scope: oc > stack > reclaim > kmsg (OOM-115) --- */

static void set_scope(struct oom_run *run, enum oom_scope scope, enum oom_scope_source source)
{
	if (scope == SCOPE_UNKNOWN || source < run->scope_source)
		return;
	run->scope = scope;
	run->scope_source = source;
}

static void scope_of_mark(struct oom_run *run, const struct oom_victim *v,
			  const struct oom_stack_verdict *verdict)
{
	set_scope(run, verdict->scope, SOURCE_STACK);
	if (verdict->scope == SCOPE_SYSRQ) {
		run->order = -1;
		run->order_known = true;
	}
	if (!(v->flags & OOM_VICTIM_RECLAIM))
		return;
	set_scope(run, v->reclaim_kind == OOM_RECLAIM_MEMCG ? SCOPE_MEMCG : SCOPE_GLOBAL,
		  SOURCE_RECLAIM);
	/* The reclaim before this kill was for the same request, unless the stack says that nothing was requested. */
	if (!run->gfp_known && run->scope != SCOPE_SYSRQ) {
		run->gfp_known = true;
		run->gfp = v->reclaim_gfp;
		run->gfp_of_memcg_reclaim = v->reclaim_kind == OOM_RECLAIM_MEMCG;
		run->order = v->reclaim_order;
		run->order_known = true;
	}
}

static enum oom_role role_of(const struct correlator *c, const struct oom_run *run,
			     const struct oom_victim *v, const struct oom_stack_verdict *verdict)
{
	if (v->kind == OOM_VICTIM_SHARED_MM)
		return ROLE_SHARED_MM;
	if (verdict->member || (run->n_kills > 0 && !verdict->known) ||
	    (run->oc && run->chosen_tgid && run->chosen_tgid != v->tgid))
		return ROLE_GROUP;
	/* The sysctl is of no matter to memory cgroups. */
	if (c->options.allocating_task && v->tgid == v->trigger_tgid &&
	    (run->oc ? run->scope : verdict->scope) != SCOPE_MEMCG)
		return ROLE_ALLOCATING_TASK;
	return ROLE_CHOSEN;
}

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

/* --- records --- */

static void append(struct oom_run *run, struct oom_kill *kill)
{
	struct oom_kill **p = &run->kills;

	/* Marks of one run come in order of time even when CPUs deliver them out of order (OOM-206). */
	while (*p && (*p)->boot_ns <= kill->boot_ns)
		p = &(*p)->next;
	kill->next = *p;
	*p = kill;
	run->n_kills++;
}

static bool fold(struct correlator *c, const struct oom_victim *v)
{
	struct followed *f = find_followed(c, v->tgid, v->start_boot_ns, v->head.boot_ns);

	/* Where the start is not known, a pid is not given away again this soon. */
	if (!f || (!v->start_boot_ns && v->head.boot_ns - f->mark_ns > SAME_PID_NS))
		return false;
	c->stats.folded++;
	if (f->kill)
		f->kill->attempts++;
	return true;
}

static void feed_victim(struct correlator *c, const struct oom_victim *v, bool spilled,
			uint64_t now_us)
{
	struct oom_stack_verdict verdict = c->calls.judge(c->ctx, v);
	struct oom_run *run;
	struct oom_kill *kill;

	if (v->kind != OOM_VICTIM_RESERVE && fold(c, v)) {
		/* The chosen one is killed again as a member: it is a group decision (K4). */
		run = find_latest(c, v->trigger_tid);
		if (run && (verdict.member || !verdict.known) && !run->group) {
			run->group = true;
			c->stats.groups++;
		}
		return;
	}
	kill = new_kill(c);
	if (!kill)
		return;
	run = run_of(c, v, &verdict, now_us);
	*kill = (struct oom_kill){
		.used = true, .spilled = spilled, .attempts = 1, .boot_ns = v->head.boot_ns
	};
	memcpy(&kill->v, v, v->head.size);
	kill->role = role_of(c, run, v, &verdict);
	run->last_ns = MAX(run->last_ns, kill->boot_ns);
	run->last_us = now_us;
	scope_of_mark(run, v, &verdict);
	if (kill->role == ROLE_GROUP) {
		run->n_members++;
		if (!run->group)
			c->stats.groups++;
		run->group = true;
	}
	append(run, kill);
	if (v->kind != OOM_VICTIM_RESERVE) {
		c->stats.kills += kill->role != ROLE_SHARED_MM;
		follow(c, run, kill);
	}
	take_lines(c, run, kill, now_us);
	c->calls.victim(c->ctx, run, kill);
}

static enum oom_scope scope_of_constraint(const struct oom_decision *d)
{
	if (d->order == -1)
		return SCOPE_SYSRQ;
	switch (d->constraint) {
	case OOM_CONSTRAINT_CPUSET:
		return SCOPE_CPUSET;
	case OOM_CONSTRAINT_MEMORY_POLICY:
		return SCOPE_MEMPOLICY;
	case OOM_CONSTRAINT_MEMCG:
		return SCOPE_MEMCG;
	default:
		return d->memcg_id ? SCOPE_MEMCG : SCOPE_GLOBAL;
	}
}

static void feed_decision(struct correlator *c, const struct oom_decision *d, uint64_t now_us)
{
	struct oom_run *run = find_numbered(c, d->trigger_tid, d->decision);

	if (!run) {
		run = new_run(c, d->trigger_tid, d->trigger_tgid, d->head.boot_ns, now_us);
		run->kernel_number = d->decision;
	}
	run->oc = true;
	run->chosen_tgid = d->chosen_tgid;
	run->gfp_known = run->order_known = true;
	run->gfp = d->gfp;
	run->gfp_of_memcg_reclaim = false;
	run->order = d->order;
	run->points = d->points;
	run->totalpages_bytes = oom_pages(d->totalpages);
	set_scope(run, scope_of_constraint(d), SOURCE_OC);
	if (d->memcg_id) {
		size_t len = MIN((size_t)d->path.length, sizeof(run->limit.path) - 1);

		run->limit = (struct oom_limit_found){ .found = true,
						       .certain = true,
						       .level = -1,
						       .counter = "memory",
						       .id = d->memcg_id };
		memcpy(run->limit.path, d->text + d->path.offset, len);
		run->limit.path[len] = '\0';
	}
	run->last_us = now_us;
}

static void feed_attempt(struct correlator *c, const struct oom_attempt *a)
{
	struct oom_run *run = a->decision ? find_numbered(c, a->trigger_tid, a->decision)
					  : find_latest(c, a->trigger_tid);

	if (run && !run->message[0])
		(void)snprintf(run->message, sizeof(run->message), "%.*s", a->message.length,
			       a->text + a->message.offset);
}

static void feed_invoke(struct correlator *c, const struct oom_invoke *r, uint64_t now_us)
{
	struct oom_run *run = r->decision ? find_numbered(c, r->trigger_tid, r->decision)
					  : find_latest(c, r->trigger_tid);

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
	struct followed *f = find_followed(c, e->tgid, e->start_boot_ns, e->head.boot_ns);

	if (!f || !f->kill || f->kill->exit_boot_ns)
		return;
	f->kill->exit_boot_ns = e->head.boot_ns;
	f->run->n_exited++;
	f->run->last_exit_us = now_us;
	c->calls.exited(c->ctx, f->kill);
}

static void feed_reaper(struct correlator *c, const struct oom_reaper *r)
{
	for (size_t i = 0; i < c->options.victims; i++) {
		struct followed *f = &c->followed[i];

		if (!f->used || !f->kill || f->tid != r->tid)
			continue;
		if (r->what == OOM_REAPER_START)
			f->kill->reap_start_ns = r->head.boot_ns;
		if (r->what == OOM_REAPER_FINISH)
			f->kill->reap_end_ns = r->head.boot_ns;
		f->kill->reaper_skipped |= r->what == OOM_REAPER_SKIP;
		if (r->what == OOM_REAPER_FINISH || r->what == OOM_REAPER_SKIP)
			c->calls.reaped(c->ctx, f->kill);
		return;
	}
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

	if (run->n_kills == 0)
		return end; /* a decision whose mark is still to come */
	if (!c->calls.pending(c->ctx, run) && (run->complete || !c->options.invoke_live))
		end = MIN(end, run->last_us + SETTLE_US);
	return end;
}

static uint64_t aftermath_at(const struct correlator *c, const struct oom_run *run)
{
	uint64_t end = run->first_us + c->options.aftermath_us;

	if (run->n_exited >= run->n_kills)
		end = MIN(end, run->last_exit_us + FREED_DELAY_US);
	return end;
}

static bool only_reserve(const struct oom_run *run)
{
	for (const struct oom_kill *k = run->kills; k; k = k->next)
		if (k->v.kind != OOM_VICTIM_RESERVE)
			return false;
	return true;
}

static void step(struct correlator *c, struct oom_run *run, uint64_t now_us)
{
	if (!run->snapshot_taken && run->n_kills) {
		run->snapshot_taken = true;
		c->calls.snapshot(c->ctx, run);
	}
	if (!run->emitted) {
		if (now_us < ready_at(c, run))
			return;
		if (run->n_kills == 0) { /* oom_kill_process() whose victim was gone */
			release_run(c, run);
			return;
		}
		if (c->calls.ready(c->ctx, run) < 0)
			return;
		run->emitted = true;
		if (only_reserve(run)) {
			release_run(c, run);
			return;
		}
	}
	if (now_us < aftermath_at(c, run))
		return;
	if (!run->aftermath_done &&
	    c->calls.aftermath(c->ctx, run, run->n_exited >= run->n_kills ? "exited" : "timeout") <
		    0)
		return;
	release_run(c, run);
}

void correlator_run(struct correlator *c, uint64_t now_us)
{
	for (size_t i = 0; i < RUNS_MAX; i++)
		if (c->runs[i].used)
			step(c, &c->runs[i], now_us);
}

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
