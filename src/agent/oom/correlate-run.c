/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which run a record belongs to (OOM-201), and what the record says of it
 *
 * Where the decision is hooked, its number tells. Else the kernel stack: a mark that is not a group member's begins a new run.
 * Without stacks marks of the same trigger belong together while they follow each other closely and a level has
 * memory.oom.group. Records may come in another order than they were made (OOM-206).
 */

#include <string.h>
#include "agent/oom/correlate-part.h"
#include "agent/oom/decode.h"
#include "base/macro.h"
#include "base/time.h"

#define GROUP_GAP_NS (20 * NS_PER_MSEC)
#define SAME_RUN_NS \
	NS_PER_SEC /* between two marks of one run, and those come within microseconds */

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* Killed by a decision of the kernel's, not because it shares memory. */
static bool is_marked(const struct oom_kill *k)
{
	return k->v.kind == OOM_VICTIM_KILL || k->v.kind == OOM_VICTIM_UNSURE;
}

struct oom_run *run_find_numbered(struct correlator *c, uint32_t trigger_tid, uint64_t number)
{
	for (size_t i = 0; i < RUNS_MAX; i++)
		if (c->runs[i].used && c->runs[i].trigger_tid == trigger_tid &&
		    c->runs[i].kernel_number == number)
			return &c->runs[i];
	return NULL;
}

struct oom_run *run_find_latest(struct correlator *c, uint32_t trigger_tid)
{
	struct oom_run *latest = NULL;

	for (size_t i = 0; i < RUNS_MAX; i++)
		if (c->runs[i].used && c->runs[i].trigger_tid == trigger_tid &&
		    (!latest || c->runs[i].seq > latest->seq))
			latest = &c->runs[i];
	return latest;
}

static bool any_group_level(const struct oom_victim *v, uint32_t n)
{
	for (uint32_t i = 0; i < MIN(n, v->n_levels); i++)
		if (v->levels[i].oom_group)
			return true;
	return false;
}

/* memory.oom.group counts up to the level of the limit, or up to the root for an OOM of the host. */
bool run_has_group_level(const struct oom_run *run)
{
	uint32_t n = run->limit.found && run->limit.level >= 0 ? (uint32_t)run->limit.level + 1
							       : OOM_LEVELS_MAX;

	return run->kills && is_marked(run->kills) && any_group_level(&run->kills->v, n);
}

static bool has_chosen(const struct oom_run *run)
{
	for (const struct oom_kill *k = run->kills; k; k = k->next)
		if (is_marked(k) && !k->member)
			return true;
	return false;
}

static unsigned n_marked(const struct oom_run *run)
{
	unsigned n = 0;

	for (const struct oom_kill *k = run->kills; k; k = k->next)
		n += is_marked(k);
	return n;
}

/* A spilled record has no stack and no levels. */
static bool spilled_continues(const struct oom_run *run, const struct oom_victim *v, uint64_t gap)
{
	if (run->oc && run->chosen_tgid == v->tgid)
		return gap < SAME_RUN_NS;
	return gap < GROUP_GAP_NS && (run->group || run_has_group_level(run));
}

static bool continues(const struct oom_run *run, const struct oom_victim *v,
		      const struct oom_stack_verdict *verdict, bool spilled)
{
	uint64_t gap = apart(v->head.boot_ns, run->last_ns);

	if (run->kills && run->n_kills == 0) /* a mere reserve */
		return false;
	if (v->kind == OOM_VICTIM_SHARED_MM || verdict->member)
		return gap < SAME_RUN_NS;
	if (spilled && !verdict->known)
		return spilled_continues(run, v, gap);
	/* The chosen one, delivered after its members. */
	if (!has_chosen(run) && run->kills && v->head.boot_ns <= run->kills->boot_ns)
		return gap < SAME_RUN_NS;
	if (verdict->known)
		return false;
	return gap < GROUP_GAP_NS && any_group_level(v, OOM_LEVELS_MAX);
}

struct oom_run *run_of_victim(struct correlator *c, const struct oom_victim *v,
			      const struct oom_stack_verdict *verdict, bool spilled,
			      uint64_t now_us)
{
	bool numbered = v->flags & OOM_VICTIM_DECISION;
	struct oom_run *run = NULL;

	if (numbered)
		run = run_find_numbered(c, v->trigger_tid, v->decision);
	else if (v->kind != OOM_VICTIM_RESERVE)
		run = run_find_latest(c, v->trigger_tid);
	if (run && !numbered && !continues(run, v, verdict, spilled))
		run = NULL;
	if (run)
		return run;
	return correlator_new_run(c, &(struct oom_run){
					     .kernel_number = numbered ? v->decision : 0,
					     .trigger_tid = v->trigger_tid,
					     .trigger_tgid = v->trigger_tgid,
					     .first_ns = v->head.boot_ns,
					     .last_ns = v->head.boot_ns,
					     .first_us = now_us,
					     .last_us = now_us,
				     });
}

/* In order of time, however they came (OOM-206). One that comes after the others were told is told by itself. */
void run_append(struct correlator *c, struct oom_run *run, struct oom_kill *kill)
{
	struct oom_kill **p = &run->kills;

	while (*p && (*p)->boot_ns <= kill->boot_ns)
		p = &(*p)->next;
	kill->next = *p;
	*p = kill;
	run->n_kills += kill->v.kind != OOM_VICTIM_RESERVE;
	if (!run->told)
		run->first_ns = MIN(run->first_ns, kill->boot_ns);
	run->emitted = false;
	run->last_ns = MAX(run->last_ns, kill->boot_ns);
	if (kill->member || n_marked(run) > 1)
		run_mark_group(c, run);
	run_set_roles(c, run);
}

/* --- roles (OOM-112) --- */

static enum oom_role role_of(const struct correlator *c, const struct oom_run *run,
			     const struct oom_kill *k, const struct oom_kill *first)
{
	bool chosen;

	if (k->v.kind == OOM_VICTIM_SHARED_MM)
		return ROLE_SHARED_MM;
	if (run->oc && run->chosen_tgid)
		chosen = run->chosen_tgid == k->v.tgid;
	else
		chosen = k->judged ? !k->member : k == first;
	if (!chosen)
		return ROLE_GROUP;
	/* The sysctl is of no matter to memory cgroups, nor to sysrq. */
	if (run->allocating_task && k->v.tgid == k->v.trigger_tgid && run->scope != SCOPE_MEMCG &&
	    run->scope != SCOPE_SYSRQ)
		return ROLE_ALLOCATING_TASK;
	return ROLE_CHOSEN;
}

void run_set_roles(const struct correlator *c, struct oom_run *run)
{
	const struct oom_kill *first = run->kills;

	while (first && !is_marked(first))
		first = first->next;
	for (struct oom_kill *k = run->kills; k; k = k->next)
		if (!k->emitted)
			k->role = role_of(c, run, k, first);
}

void run_mark_group(struct correlator *c, struct oom_run *run)
{
	if (!run->group)
		c->stats.groups++;
	run->group = true;
}

/* --- scope: oc > stack > reclaim > kmsg (OOM-115) --- */

void run_set_scope(struct oom_run *run, enum oom_scope scope, enum oom_scope_source source)
{
	if (scope == SCOPE_UNKNOWN || source < run->scope_source)
		return;
	/* These are kinds of host-wide OOM that stacks do not show: the kernel log may have told meanwhile. */
	if (source < SOURCE_OC && scope == SCOPE_GLOBAL &&
	    (run->scope == SCOPE_CPUSET || run->scope == SCOPE_MEMPOLICY))
		return;
	run->scope = scope;
	run->scope_source = source;
}

void run_take_victim(struct oom_run *run, const struct oom_victim *v,
		     const struct oom_stack_verdict *verdict)
{
	run_set_scope(run, verdict->scope, SOURCE_STACK);
	if (verdict->scope == SCOPE_SYSRQ) {
		run->order = -1;
		run->order_known = true;
	}
	if (!(v->flags & OOM_VICTIM_RECLAIM))
		return;
	run_set_scope(run, v->reclaim_kind == OOM_RECLAIM_MEMCG ? SCOPE_MEMCG : SCOPE_GLOBAL,
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

void run_take_decision(struct oom_run *run, const struct oom_decision *d)
{
	size_t len = MIN((size_t)d->path.length, sizeof(run->limit.path) - 1);

	run->oc = true;
	run->chosen_tgid = d->chosen_tgid;
	run->gfp_known = run->order_known = true;
	run->gfp = d->gfp;
	run->gfp_of_memcg_reclaim = false;
	run->order = d->order;
	run->points = d->points;
	run->totalpages_bytes = oom_pages(d->totalpages);
	if (run->totalpages_bytes == OOM_UNKNOWN64)
		run->totalpages_bytes = 0;
	run_set_scope(run, scope_of_constraint(d), SOURCE_OC);
	if (!d->memcg_id)
		return;
	run->limit = (struct oom_limit_found){ .found = true,
					       .certain = true,
					       .source = LIMIT_FROM_OC,
					       .level = -1,
					       .counter = "memory",
					       .id = d->memcg_id };
	memcpy(run->limit.path, d->text + d->path.offset, len);
	run->limit.path[len] = '\0';
}
