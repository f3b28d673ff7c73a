/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world for the correlator and the report: recorded rings, a clock, identities and files that always say the same
 *
 * Time is the records' own: a record arrives when it was made, unless a test says otherwise.
 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include "agent/oom/correlate.h"
#include "agent/oom/decode.h"
#include "agent/oom/limit.h"
#include "agent/oom/report.h"
#include "agent/oom/stack.h"
#include "base/fs.h"
#include "base/macro.h"
#include "base/strbuf.h"
#include "base/time.h"
#include "sys/kallsyms.h"

#define RINGS TESTS_DIR "/fixtures/rings/"
#define RECORDS_MAX 1024
#define WALL_OFFSET_NS (1790000000ULL * NS_PER_SEC)
#define ORIGIN_START "0000000000"

struct world {
	struct correlator *correlator;
	struct report_world report;
	struct gfp_names gfp;
	struct kallsyms *kallsyms; /* NULL: stacks are not judged */
	struct identity_cache *identities;
	struct event_origin *origin;
	struct redact *redact;
	struct event_buf event;
	char *event_memory, symbols_path[512];
	struct strbuf json; /* one event a line */
	uint64_t now_us;
	/* Knobs. */
	bool busy; /* there is something to wait for */
	bool refuse; /* the event queue is full */
	bool no_files; /* the snapshot reads nothing */
	int64_t step_ns; /* by which the wall clock was set */
	bool coded; /* stack[0] of a record is an enum coded_stack */
	unsigned spared;
	/* What was called. */
	unsigned victims, snapshots, readies, aftermaths, no_victims, exits, reaps;
	uint64_t ready_us; /* of the last one */
	char reason[16]; /* of the last aftermath */
	unsigned missing; /* of the last record */
};

/* Stacks of records that no kernel made. */
enum coded_stack { STACK_NONE, STACK_MEMCG, STACK_MEMBER, STACK_GLOBAL, STACK_SYSRQ };

/* --- records --- */

struct ring {
	struct record_head *records[RECORDS_MAX];
	bool spilled[RECORDS_MAX];
	size_t n;
};

static inline struct record_head *ring_add(struct ring *r, const void *record)
{
	const struct record_head *head = record;
	size_t size = MAX((size_t)head->size, sizeof(struct oom_victim));
	struct record_head *copy = calloc(1, size);

	assert_non_null(copy);
	assert_true(r->n < RECORDS_MAX);
	memcpy(copy, record, head->size);
	r->records[r->n++] = copy;
	return copy;
}

static inline void ring_read(struct ring *r, const char *name)
{
	_cleanup_(freep) char *data = NULL;
	char path[512];
	size_t len;

	(void)snprintf(path, sizeof(path), RINGS "%s", name);
	assert_int_equal(fs_read_at(AT_FDCWD, path, 1 << 20, &data, &len), 0);
	for (size_t at = 0; at < len;) {
		const struct record_head *head = (const void *)(data + at);

		(void)ring_add(r, head);
		at += (head->size + 7U) & ~7U;
	}
	assert_true(r->n > 0);
}

static inline void ring_drop(struct ring *r, size_t i)
{
	free(r->records[i]);
	memmove(&r->records[i], &r->records[i + 1], (--r->n - i) * sizeof(r->records[0]));
	memmove(&r->spilled[i], &r->spilled[i + 1], (r->n - i) * sizeof(r->spilled[0]));
}

static inline void ring_move(struct ring *r, size_t from, size_t to)
{
	struct record_head *head = r->records[from];
	bool spilled = r->spilled[from];
	size_t low = MIN(from, to), n = MAX(from, to) - low;

	memmove(&r->records[from < to ? from : to + 1], &r->records[from < to ? from + 1 : to],
		n * sizeof(r->records[0]));
	memmove(&r->spilled[from < to ? from : to + 1], &r->spilled[from < to ? from + 1 : to],
		n * sizeof(r->spilled[0]));
	r->records[to] = head;
	r->spilled[to] = spilled;
}

static inline void ring_free(struct ring *r)
{
	while (r->n > 0)
		free(r->records[--r->n]);
}

static inline struct oom_victim *victim_at(struct ring *r, size_t i)
{
	assert_int_equal(r->records[i]->type, OOM_RECORD_VICTIM);
	return (struct oom_victim *)r->records[i];
}

/* What the program puts into the spill map where the ring is full. */
static inline void ring_spill(struct ring *r, size_t i)
{
	const struct oom_victim *v = victim_at(r, i);
	struct oom_core core = {
		.head = v->head,
		.tgid = v->tgid,
		.tid = v->tid,
		.vpid = v->vpid,
		.uid = v->uid,
		.start_boot_ns = v->start_boot_ns,
		.cgroup_id = v->cgroup_id,
		.rss_pages = v->rss_anon + v->rss_file + v->rss_shmem,
		.decision = v->decision,
		.trigger_tgid = v->trigger_tgid,
		.trigger_tid = v->trigger_tid,
		.role = (uint16_t)v->role,
		.flags = (uint16_t)(v->flags & OOM_CORE_FLAGS),
		.kind = v->kind,
		.adj = (int16_t)v->adj,
	};

	core.head.type = OOM_RECORD_SPILL;
	core.head.size = sizeof(core);
	memcpy(core.comm, v->comm, sizeof(core.comm));
	memcpy(r->records[i], &core, sizeof(core));
	r->spilled[i] = true;
}

/* --- what a report asks for --- */

static inline const char *world_symbol(void *ctx, uint64_t address)
{
	static char name[64];
	const struct world *w = ctx;
	char names[1][64] = { "" };

	if (kallsyms_names(w->symbols_path, &address, 1, names) < 0)
		return NULL;
	memcpy(name, names[0], sizeof(name));
	return name;
}

static inline const char *world_user(void *ctx, uint32_t uid)
{
	(void)ctx;
	return uid == 0 ? "root" : NULL;
}

static inline size_t world_file(void *ctx, uint32_t pid, uint64_t start, char *buf, size_t size)
{
	(void)ctx, (void)pid, (void)start, (void)buf, (void)size;
	return 0; /* all are dead */
}

static inline uint64_t world_wall(void *ctx, uint64_t boot_ns)
{
	const struct world *w = ctx;

	return boot_ns + WALL_OFFSET_NS + (uint64_t)w->step_ns;
}

static inline bool world_trend(void *ctx, struct event_buf *b, const struct oom_run *run,
			       const struct oom_kill *k)
{
	(void)ctx, (void)b, (void)run, (void)k;
	return false;
}

static inline void world_largest(void *ctx, struct event_buf *b, const struct oom_run *run)
{
	(void)ctx, (void)b, (void)run;
}

/* --- calls of the correlator --- */

static inline uint64_t world_last_count(void *ctx, uint64_t id, enum oom_level_count count)
{
	(void)ctx, (void)id, (void)count;
	return 0;
}

static inline struct identity *world_identity(struct world *w, uint64_t id, const char *path,
					      size_t len)
{
	enum identity_result result;

	return identity_lookup(w->identities, 1, id, path, len, &result);
}

static inline void world_victim(void *ctx, struct oom_run *run, struct oom_kill *k)
{
	struct world *w = ctx;
	size_t len;
	const char *path = oom_text(&k->v, k->v.path, &len);

	(void)run;
	w->victims++;
	k->wall_ns = world_wall(w, k->boot_ns);
	k->identity = identity_ref(world_identity(w, k->v.cgroup_id, path, len));
	if (!k->identity && len)
		k->identity = identity_from_path(w->identities, 1, k->v.cgroup_id, path, len);
}

static inline void world_find_limit(struct world *w, struct oom_run *run)
{
	const struct oom_limit_facts facts = { .cpus = 2, .last = world_last_count, .ctx = w };

	oom_limit_find(&facts, run);
}

static inline void world_snapshot(void *ctx, struct oom_run *run)
{
	struct world *w = ctx;
	struct oom_snapshot *s = &run->snapshot;

	w->snapshots++;
	world_find_limit(w, run);
	if (w->no_files)
		return;
	s->host = (struct oom_host){ .known = true,
				     .total = 8ULL << 30,
				     .free = 1ULL << 30,
				     .available = 2ULL << 30,
				     .slab_unreclaimable = 64 << 20,
				     .shmem = 32 << 20,
				     .load1 = 0.5 };
	s->system = (struct oom_psi){ .known = true, .some_avg10 = 1.25, .some_total_us = 1500000 };
	s->psi_boot_ns = run->kills->boot_ns + 2 * NS_PER_MSEC;
	if (!run->limit.found)
		return;
	run->limit_read = true;
	s->stat_seen = 1U << STAT_ANON | 1U << STAT_FILE;
	s->stat[STAT_ANON] = 32 << 20;
	s->stat_boot_ns = run->kills->boot_ns + NS_PER_MSEC;
	s->peak = 32 << 20;
	s->cgroup = (struct oom_psi){ .known = true, .full_avg10 = 38.25, .full_total_us = 250000 };
}

static inline void world_add_line(struct world *w)
{
	char *id;

	strbuf_add(&w->json, w->event.json.data, w->event.json.len);
	strbuf_addch(&w->json, '\n');
	while ((id = strstr(w->json.data, event_origin_start(w->origin))))
		memcpy(id, ORIGIN_START, strlen(ORIGIN_START));
}

static inline int world_ready(void *ctx, struct oom_run *run)
{
	struct world *w = ctx;

	if (w->refuse)
		return -EAGAIN;
	w->readies++;
	w->ready_us = w->now_us;
	if (run->limit.found && run->limit.level < 0)
		world_find_limit(w, run);
	run->spared_known = run->group;
	run->spared = w->spared;
	w->report.limit_identity = world_identity(w, run->limit.id, NULL, 0);
	w->report.trigger_identity = world_identity(w, run->kills->v.trigger_cgroup_id, NULL, 0);
	for (struct oom_kill *k = run->kills; k; k = k->next) {
		if (k->emitted)
			continue;
		assert_int_equal(report_kill(&w->report, run, k, &w->event, &w->missing), 0);
		world_add_line(w);
		k->emitted = true;
	}
	return 0;
}

static inline int world_aftermath(void *ctx, struct oom_run *run, const char *reason)
{
	struct world *w = ctx;

	if (w->refuse)
		return -EAGAIN;
	w->aftermaths++;
	(void)snprintf(w->reason, sizeof(w->reason), "%s", reason);
	run->freed_known = true;
	run->freed_bytes = 31 << 20;
	assert_int_equal(
		report_aftermath(&w->report, run, reason, w->now_us * NS_PER_USEC, &w->event), 0);
	world_add_line(w);
	return 0;
}

static inline void world_no_victim(void *ctx, const struct oom_invoke *r)
{
	struct world *w = ctx;
	const struct report_no_victim n = { .boot_ns = r->head.boot_ns,
					    .duration_ns = r->duration_ns,
					    .trigger_pid = r->trigger_tgid,
					    .scope = r->memcg_id ? SCOPE_MEMCG : SCOPE_GLOBAL,
					    .certain = true,
					    .source = "oc" };

	w->no_victims++;
	assert_int_equal(report_no_victim(&w->report, &n, &w->event), 0);
	world_add_line(w);
}

static inline void world_exited(void *ctx, const struct oom_kill *k)
{
	(void)k;
	((struct world *)ctx)->exits++;
}

static inline void world_reaped(void *ctx, const struct oom_kill *k)
{
	(void)k;
	((struct world *)ctx)->reaps++;
}

static inline bool world_pending(void *ctx, const struct oom_run *run)
{
	(void)run;
	return ((struct world *)ctx)->busy;
}

static inline int world_match(void *ctx, uint64_t address)
{
	return kallsyms_match(ctx, address);
}

static inline struct oom_stack_verdict world_judge(void *ctx, const struct oom_victim *v)
{
	struct world *w = ctx;
	const struct oom_stack_verdict unknown = { .scope = SCOPE_UNKNOWN };

	static const struct oom_stack_verdict verdicts[] = {
		[STACK_NONE] = { .scope = SCOPE_UNKNOWN },
		[STACK_MEMCG] = { .scope = SCOPE_MEMCG, .known = true },
		[STACK_MEMBER] = { .scope = SCOPE_MEMCG, .known = true, .member = true },
		[STACK_GLOBAL] = { .scope = SCOPE_GLOBAL, .known = true },
		[STACK_SYSRQ] = { .scope = SCOPE_SYSRQ, .known = true },
	};

	if (w->coded)
		return verdicts[v->stack[0]];
	if (!w->kallsyms || !(v->flags & OOM_VICTIM_STACK))
		return unknown;
	return oom_stack_judge(v->stack, v->n_stack, world_match, w->kallsyms);
}

/* --- life --- */

static inline void world_init(struct world *w, const char *symbols,
			      const struct correlator_options *o)
{
	static const struct correlator_calls calls = {
		world_victim, world_snapshot, world_ready,   world_aftermath, world_no_victim,
		world_exited, world_reaped,   world_pending, world_judge,
	};
	const struct identity_options ids = { 64, 16, NS_PER_SEC, "node" };

	*w = (struct world){};
	(void)snprintf(w->symbols_path, sizeof(w->symbols_path), RINGS "%s.symbols", symbols);
	assert_int_equal(kallsyms_read(w->symbols_path, oom_stack_symbols, &w->kallsyms), 0);
	assert_int_equal(event_origin_new("node", "0123456789abcdef", &w->origin), 0);
	assert_int_equal(redact_new(NULL, 0, NULL, 0, &w->redact), 0);
	assert_int_equal(identity_cache_new(&ids, &w->identities), 0);
	w->event_memory = malloc(EVENT_BYTES_MAX);
	assert_non_null(w->event_memory);
	event_buf_init(&w->event, w->event_memory, EVENT_BYTES_MAX);
	gfp_names_parse_format("__print_flags(REC->gfp_flags, \"|\", "
			       "{(unsigned long)0x100ccau, \"GFP_HIGHUSER_MOVABLE\"}, "
			       "{(unsigned long)0xcc0u, \"GFP_KERNEL\"})",
			       &w->gfp);
	w->report = (struct report_world){
		.origin = w->origin,
		.redact = w->redact,
		.gfp = &w->gfp,
		.hooks = { "oom_kill/tp_btf_task", "oom_signal/tp_btf" },
		.psi_on = true,
		.args_on = true,
		.members_max = 64,
		.boot_id = 0xc0ffee01,
		.cpus = 2,
		.ctx = w,
		.symbol = world_symbol,
		.user_name = world_user,
		.exe_of = world_file,
		.args_of = world_file,
		.wall = world_wall,
		.add_trend = world_trend,
		.add_largest = world_largest,
	};
	assert_int_equal(correlator_new(o, &calls, w, &w->correlator), 0);
}

static inline void world_done(struct world *w)
{
	w->correlator = correlator_free(w->correlator);
	kallsyms_free(w->kallsyms);
	identity_cache_free(w->identities);
	event_origin_free(w->origin);
	redact_free(w->redact);
	free(w->event_memory);
	strbuf_done(&w->json);
}

static inline void world_feed(struct world *w, const void *record, bool spilled)
{
	const struct record_head *head = record;

	w->now_us = MAX(w->now_us, head->boot_ns / 1000);
	correlator_feed(w->correlator, head, spilled, w->now_us);
	correlator_run(w->correlator, w->now_us);
}

/* All timers that a time brings, until then or until nothing is due. */
static inline void world_wait(struct world *w, uint64_t until_us)
{
	uint64_t next;

	while ((next = correlator_next(w->correlator)) && next <= until_us) {
		w->now_us = next > w->now_us ? next : w->now_us + 50 * US_PER_MSEC;
		if (w->now_us > until_us)
			break;
		correlator_run(w->correlator, w->now_us);
	}
	w->now_us = until_us == UINT64_MAX ? w->now_us : MAX(w->now_us, until_us);
}

/* The cgroups of the victims and those above them, known before they die. */
static inline void world_know(struct world *w, const struct ring *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct oom_victim *v = (const void *)r->records[i];
		char path[OOM_PATH_MAX];
		size_t len;
		const char *text;

		if (v->head.type != OOM_RECORD_VICTIM)
			continue;
		text = oom_text(v, v->path, &len);
		for (uint32_t l = 0; len && l < v->n_levels; l++) {
			oom_limit_path(text, len, l, path, sizeof(path));
			(void)identity_add(w->identities, 1, v->levels[l].id, path, true, 1);
		}
	}
}

/* All at once, as after a time in which the reader stood still. */
static inline void world_play_batch(struct world *w, const struct ring *r)
{
	for (size_t i = 0; i < r->n; i++)
		w->now_us = MAX(w->now_us, r->records[i]->boot_ns / 1000);
	for (size_t i = 0; i < r->n; i++)
		correlator_feed(w->correlator, r->records[i], r->spilled[i], w->now_us);
	correlator_run(w->correlator, w->now_us);
	world_wait(w, UINT64_MAX);
}

static inline void world_play(struct world *w, const struct ring *r)
{
	for (size_t i = 0; i < r->n; i++) {
		world_wait(w, r->records[i]->boot_ns / 1000);
		world_feed(w, r->records[i], r->spilled[i]);
	}
	world_wait(w, UINT64_MAX);
}
