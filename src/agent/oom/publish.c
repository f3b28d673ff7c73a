/* SPDX-License-Identifier: Apache-2.0 */
/* Stage 2: from a run to events. */
#define LOG_MODULE "oom"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/internal.h"
#include "agent/oom/limit.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/time.h"

#define REPEAT_NS (60 * NS_PER_SEC)

/* --- the limit --- */

static uint64_t last_count(void *ctx, uint64_t id, enum oom_level_count count)
{
	struct oom_state *s = ctx;
	enum identity_result result;
	const struct identity *i;
	uint64_t last;

	if (level_counts_last(s->counts, id, count, &last))
		return last;
	/* A cgroup that was made under our eyes began with zero. */
	i = identity_lookup(s->agent->identity, s->agent->cgroups->memory_hierarchy, id, NULL, 0,
			    &result);
	return i && i->added_us > s->started_us + US_PER_SEC ? 0 : UINT64_MAX;
}

static void seed_one(void *ctx, struct identity *i)
{
	struct oom_state *s = ctx;

	if (i->hierarchy == s->agent->cgroups->memory_hierarchy)
		level_counts_seed(s->counts, s->agent->cgroups, i->id, i->path);
}

void oom_seed_counts(struct oom_state *s)
{
	if (s->agent->cgroups->memory_fd >= 0)
		identity_for_each(s->agent->identity, seed_one, s);
}

/* Decisions in the same cgroup within the minute before this one. Host-wide ones share the id 0. */
void oom_note_decision(struct oom_state *s, struct oom_run *run)
{
	struct last_decision *next = &s->decisions[s->next_decision++ % DECISIONS_KEPT];

	run->repeats = 0;
	for (size_t i = 0; i < DECISIONS_KEPT; i++) {
		const struct last_decision *d = &s->decisions[i];

		if (d->boot_ns && d->cgroup_id == run->limit.id &&
		    run->first_ns - d->boot_ns <= REPEAT_NS)
			run->repeats++;
	}
	*next = (struct last_decision){ run->limit.id, run->first_ns };
}

static struct identity *lookup(struct oom_state *s, uint64_t id)
{
	enum identity_result result;

	return id ? identity_lookup(s->agent->identity, s->agent->cgroups->memory_hierarchy, id,
				    NULL, 0, &result)
		  : NULL;
}

/* Programs that may not read paths give the id alone. */
static void name_limit(struct oom_state *s, struct oom_limit_found *f)
{
	const struct identity *i = f->found && !f->path[0] ? lookup(s, f->id) : NULL;

	if (i && i->path)
		(void)snprintf(f->path, sizeof(f->path), "%s", i->path);
}

void oom_find_limit(struct oom_state *s, struct oom_run *run)
{
	const struct oom_victim *v = &run->kills->v;
	const struct identity *trigger = lookup(s, v->trigger_cgroup_id);
	const struct oom_limit_facts facts = {
		.trigger_path = trigger ? trigger->path : NULL,
		.cpus = s->world.cpus,
		.last = last_count,
		.ctx = s,
	};

	oom_limit_find(&facts, run);
	name_limit(s, &run->limit);
	level_counts_remember(s->counts, v);
}

/* Where the files of the limiting cgroup are: open already, or found by path. */
struct cgroup_place oom_limit_place(const struct oom_state *s, const struct oom_run *run)
{
	const struct oom_limit_found *f = &run->limit;
	struct cgroup_place p = { .id = f->found ? f->id : 0, .path = f->found ? f->path : "" };
	const struct identity *i = NULL;

	if (!p.id && *p.path) /* the kernel log tells paths alone */
		i = identity_by_path(s->agent->identity, s->agent->cgroups->memory_hierarchy,
				     p.path, strlen(p.path));
	if (i)
		p.id = i->id;
	p.files = limits_files(s->limits, p.id);
	if (!p.files && s->in_ring)
		p.path = ""; /* nothing is opened now */
	return p;
}

/* --- publishing --- */

static int publish(struct oom_state *s)
{
	int r = event_publish(s->agent->stream, EVENT_CLASS_OOM, &s->event);

	if (r == -EAGAIN && s->in_ring) {
		/* The slot goes to another decision, so there is no second try. */
		s->unpublished++;
		log_error("an OOM event found its queue full: %.*s", (int)s->event.json.len,
			  s->event.json.data);
	}
	return r == -EAGAIN ? r : 0;
}

static double delay(uint64_t boot_ns)
{
	uint64_t now = time_boot_ns();

	return now > boot_ns ? (double)(now - boot_ns) / 1e9 : 0;
}

/* A cgroup that nobody knew is named by the path that the kernel walked. */
static void identify_late(struct oom_state *s, struct oom_kill *k)
{
	enum identity_result result;
	uint32_t hierarchy = s->agent->cgroups->memory_hierarchy;
	size_t len;
	const char *path = oom_text(&k->v, k->v.path, &len);

	if (k->identity)
		return;
	if (!k->v.cgroup_id && len)
		k->identity =
			identity_ref(identity_by_path(s->agent->identity, hierarchy, path, len));
	if (k->identity)
		return;
	k->identity = identity_ref(
		identity_lookup(s->agent->identity, hierarchy, k->v.cgroup_id, path, len, &result));
	if (!k->identity && len && !s->in_ring)
		k->identity = identity_from_path(s->agent->identity, hierarchy, k->v.cgroup_id,
						 path, len);
}

static void prepare_world(struct oom_state *s, const struct oom_run *run)
{
	struct report_world *w = &s->world;

	w->redact = s->agent->redact;
	w->limit_identity = lookup(s, run->limit.id);
	if (!w->limit_identity && run->limit.path[0])
		w->limit_identity = identity_by_path(s->agent->identity,
						     s->agent->cgroups->memory_hierarchy,
						     run->limit.path, strlen(run->limit.path));
	w->trigger_identity = lookup(s, run->kills->v.trigger_cgroup_id);
}

static void count_missing(struct oom_state *s, unsigned missing)
{
	for (uint8_t f = 0; f < _FIELD_MAX; f++)
		if (missing & 1U << f)
			metric_add(s->metrics, METRIC(OOM_FIELDS_MISSING, f), 1);
}

int oom_publish_run(struct oom_state *s, struct oom_run *run)
{
	bool fresh = !run->kills->emitted;

	prepare_world(s, run);
	for (struct oom_kill *k = run->kills; k; k = k->next) {
		unsigned missing;

		if (k->emitted)
			continue;
		identify_late(s, k);
		if (report_kill(&s->world, run, k, &s->event, &missing) < 0)
			log_error("an OOM record does not fit into %d bytes", EVENT_BYTES_MAX);
		else if (publish(s) < 0)
			return -EAGAIN;
		k->emitted = true;
		if (k->v.kind != OOM_VICTIM_RESERVE)
			oom_count_workload(s, run, k);
		count_missing(s, missing);
		metric_observe(s->metrics, METRIC(OOM_EVENT_DELAY, STAGE_RECORD),
			       delay(k->boot_ns));
		log_debug("oom kill of %s[%u] published", k->v.comm, k->v.tgid);
	}
	if (fresh)
		oom_count_run(s, run);
	return 0;
}

int oom_publish_aftermath(struct oom_state *s, struct oom_run *run, const char *reason)
{
	uint64_t usage, before = OOM_UNKNOWN64;
	const struct oom_limit_found *f = &run->limit;
	struct cgroup_place limit;

	if (!run->kills || run->kills->v.kind == OOM_VICTIM_RESERVE)
		return 0;
	prepare_world(s, run);
	if (f->level >= 0 && (uint32_t)f->level < run->kills->v.n_levels)
		before = oom_pages(run->kills->v.levels[f->level].usage);
	limit = oom_limit_place(s, run);
	if (before != OOM_UNKNOWN64 && snapshot_usage(s->snapshotter, &limit, &usage) == 0) {
		run->freed_known = true;
		run->freed_bytes = before > usage ? before - usage : 0;
	}
	if (report_aftermath(&s->world, run, reason, time_boot_ns(), &s->event) < 0)
		return 0;
	return publish(s);
}

void oom_publish_no_victim(struct oom_state *s, const struct report_no_victim *n)
{
	metric_add(s->metrics, METRIC(OOM_DECISIONS, n->scope, OUTCOME_NO_VICTIM), 1);
	if (report_no_victim(&s->world, n, &s->event) >= 0)
		(void)publish(s);
}

void oom_publish_unseen(struct oom_state *s, uint64_t count, const struct identity *where,
			const struct identity *limit)
{
	if (report_unseen(&s->world, count, time_boot_ns(), where, limit, &s->event) >= 0)
		(void)publish(s);
}

void oom_publish_lost(struct oom_state *s, uint64_t count)
{
	if (report_lost(&s->world, count, time_boot_ns(), &s->event) >= 0)
		(void)publish(s);
}
