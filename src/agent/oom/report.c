/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OOM record as an event
 *
 * One function per group of fields, in the order in which a person reads them: victim, its memory, trigger, request, scope, limit,
 * cgroup, host, pressure, members, identity, quality. A fact that is not known is not written, and named in `missing` when it
 * should have been.
 */

#include <errno.h>
#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/report-part.h"
#include "base/macro.h"
#include "base/time.h"

#define ANCESTORS_RESERVE_BYTES 40960 /* for all that comes behind them */

const char *oom_scope_source_name(enum oom_scope_source s)
{
	static const char *const names[] = { "none", "kmsg", "reclaim", "stack", "oc" };

	return names[s];
}

static void add_bytes(struct event_buf *b, const char *key, uint64_t v)
{
	if (v != OOM_UNKNOWN64)
		event_u64(b, key, v);
}

void report_pages(struct event_buf *b, const char *key, uint64_t pages)
{
	add_bytes(b, key, pages == OOM_UNKNOWN64 ? pages : oom_pages(pages));
}

static const char *base_name(const char *path, size_t len, size_t *ret_len)
{
	const char *slash = memrchr(path, '/', len);
	const char *name = slash ? slash + 1 : path;

	*ret_len = len - (size_t)(name - path);
	return name;
}

static void add_exe(struct event_buf *b, const char *path_key, const char *name_key,
		    const char *path, size_t len)
{
	size_t name_len;
	const char *name = base_name(path, len, &name_len);

	event_strn(b, path_key, path, len);
	event_strn(b, name_key, name, name_len);
}

/* Links of /proc mark what was unlinked meanwhile. Source: d_path() of fs/d_path.c */
static size_t exe_of(const struct report_world *w, uint32_t pid, uint64_t start_boot_ns, char *buf,
		     size_t size, bool *ret_deleted)
{
	static const char mark[] = " (deleted)";
	size_t len = w->exe_of(w->ctx, pid, start_boot_ns, buf, size), n = sizeof(mark) - 1;

	*ret_deleted = len > n && memcmp(buf + len - n, mark, n) == 0;
	return *ret_deleted ? len - n : len;
}

static void add_arguments(const struct report_world *w, struct event_buf *b, const char *args,
			  size_t len, const char *source)
{
	char clean[OOM_ARGS_MAX + 256];
	size_t n = redact_args(w->redact, args, len, clean, sizeof(clean));

	event_array(b, "process.command_args");
	for (size_t i = 0; i < n;) {
		size_t one = strnlen(clean + i, n - i);

		event_strn(b, NULL, clean + i, one);
		i += one + 1;
	}
	event_array_end(b);
	event_str(b, P "args_source", source);
}

static bool add_command_line(const struct report_world *w, const struct oom_kill *k,
			     struct event_buf *b)
{
	static const char *const sources[] = { "", "exec", "parent", "self" };
	char text[OOM_ARGS_MAX];
	size_t len;
	const char *args = oom_text(&k->v, k->v.args, &len);

	if (len && k->v.args_source < ARRAY_SIZE(sources)) {
		add_arguments(w, b, args, len, sources[k->v.args_source]);
		return true;
	}
	len = w->args_on ? w->args_of(w->ctx, k->v.tgid, k->v.start_boot_ns, text, sizeof(text))
			 : 0;
	if (len == 0)
		return false;
	add_arguments(w, b, text, len, "proc");
	return true;
}

static void add_entity(const struct report_world *w, struct event_buf *b, const char *key,
		       uint32_t tgid, uint64_t start)
{
	char id[64];

	(void)snprintf(id, sizeof(id), "%08llx-%u-%llu",
		       (unsigned long long)(w->boot_id & 0xffffffff), tgid,
		       (unsigned long long)start);
	event_str(b, key, id);
}

static void add_ancestors(const struct report_world *w, const struct oom_victim *v,
			  struct event_buf *b)
{
	if (v->n_ancestors == 0 || report_leaves_out(w, b, "ancestors"))
		return;
	event_array(b, "telamon.process.ancestors");
	for (uint32_t i = 0; i < v->n_ancestors; i++) {
		struct event_mark mark = event_mark(b);
		char path[OOM_PATH_MAX];
		bool deleted;
		size_t n = exe_of(w, v->ancestors[i].pid, v->ancestors[i].start_boot_ns, path,
				  sizeof(path), &deleted);

		event_object(b, NULL);
		event_u64(b, "pid", v->ancestors[i].pid);
		event_strn(b, "path", path, n);
		event_str(b, "comm", v->ancestors[i].comm);
		event_object_end(b);
		if (!event_room(b, ANCESTORS_RESERVE_BYTES)) {
			event_rollback(b, mark, "ancestors");
			break;
		}
	}
	event_array_end(b);
}

/* By the clock as it stood when the record came: it may have been set since (OOM-303). */
uint64_t report_wall(const struct oom_kill *k, uint64_t boot_ns)
{
	return k->wall_ns + (boot_ns - k->boot_ns);
}

static void add_victim(const struct report_world *w, const struct oom_kill *k, struct event_buf *b,
		       unsigned *missing)
{
	const struct oom_victim *v = &k->v;
	bool deleted = v->flags & OOM_VICTIM_EXE_DELETED;
	char exe[OOM_PATH_MAX];
	size_t len;
	const char *text;

	event_u64(b, "process.pid", v->tgid);
	if (v->vpid)
		event_u64(b, "process.vpid", v->vpid);
	if (v->ppid)
		event_u64(b, "process.parent_pid", v->ppid);
	if (v->start_boot_ns) {
		event_time(b, "process.creation.time", report_wall(k, v->start_boot_ns));
		add_entity(w, b, "telamon.process.id", v->tgid, v->start_boot_ns);
	}
	text = oom_text(v, v->exe, &len);
	if (len == 0) {
		text = exe;
		len = exe_of(w, v->tgid, v->start_boot_ns, exe, sizeof(exe), &deleted);
	}
	if (len)
		add_exe(b, "process.executable.path", "process.executable.name", text, len);
	else
		*missing |= 1U << FIELD_EXE;
	if (deleted)
		event_bool(b, "telamon.exe.deleted", true);
	if (!add_command_line(w, k, b) && w->args_on)
		*missing |= 1U << FIELD_ARGS;
	text = oom_text(v, v->cwd, &len);
	event_strn(b, "process.working_directory", text, len);
	if (v->uid != OOM_UNKNOWN32) {
		event_u64(b, "process.user.id", v->uid);
		event_str(b, "process.user.name", w->user_name(w->ctx, v->uid));
	}
	add_ancestors(w, v, b);
	event_u64(b, P "thread", v->tid);
	event_str(b, P "comm", v->comm);
	if (v->threads)
		event_u64(b, P "threads", v->threads);
	if (v->kind == OOM_VICTIM_RESERVE)
		return;
	event_str(b, P "role", oom_role_names[k->role]);
	event_u64(b, P "attempts", k->attempts);
}

/* Size of what the killer looked at, as mem_cgroup_get_max() and constrained_alloc() see it; 0 = not known. */
static uint64_t scope_bytes(const struct oom_run *run)
{
	const struct oom_host *h = &run->snapshot.host;
	const struct oom_victim *v = run->kills ? &run->kills->v : NULL;
	const struct oom_limit_found *f = &run->limit;
	const struct oom_level *l;
	uint64_t max, swap;

	if (run->totalpages_bytes || !h->known || !v)
		return run->totalpages_bytes;
	if (run->scope == SCOPE_GLOBAL || run->scope == SCOPE_SYSRQ)
		return h->total + h->swap_total;
	if (run->scope != SCOPE_MEMCG || !f->found || f->level < 0 ||
	    (uint32_t)f->level >= v->n_levels)
		return 0;
	l = &v->levels[f->level];
	if (l->max == OOM_UNKNOWN64)
		return 0;
	max = oom_pages(l->max);
	swap = l->swap_max == OOM_UNKNOWN64 ? UINT64_MAX : oom_pages(l->swap_max);
	if (v->flags & OOM_VICTIM_V1 && swap != UINT64_MAX)
		swap = swap > max ? swap - max : 0; /* memsw counts memory, too */
	return max + MIN(swap, h->swap_total);
}

/* The kernel's badness (oom_badness()): pages of the victim plus its adjustment's share of the scope. */
static bool points_of(const struct oom_run *run, const struct oom_kill *k, int64_t *ret)
{
	const struct oom_victim *v = &k->v;
	uint64_t page = oom_pages(1), rss = oom_rss_pages(v), scope, swap;

	if (run->points != INT64_MIN && run->chosen_tgid == v->tgid) {
		*ret = run->points;
		return true;
	}
	scope = scope_bytes(run);
	if (!scope || k->spilled || !(v->flags & OOM_VICTIM_SNAPSHOT) || rss == OOM_UNKNOWN64 ||
	    v->pgtables_bytes == OOM_UNKNOWN64)
		return false;
	swap = v->swap == OOM_UNKNOWN64 ? 0 : v->swap;
	*ret = (int64_t)(rss + swap + v->pgtables_bytes / page) +
	       (int64_t)v->adj * (int64_t)(scope / page / 1000);
	return true;
}

/*
 * Pages that a counter may be off by. Source: compute_batch_value() of lib/percpu_counter.c; before v6.2
 * TASK_RSS_EVENTS_THRESH of mm/memory.c.
 */
static uint64_t rss_error(const struct report_world *w, const struct oom_victim *v)
{
	if (v->flags & OOM_VICTIM_RSS_PER_THREAD)
		return (uint64_t)MAX(v->threads, 1U) * 64;
	return (uint64_t)w->cpus * MAX(32U, 2 * w->cpus);
}

static void add_victim_memory(const struct report_world *w, const struct oom_run *run,
			      const struct oom_kill *k, struct event_buf *b)
{
	const struct oom_victim *v = &k->v;
	int64_t points;

	if (k->spilled) { /* only the sum fits into a spilled record */
		report_pages(b, P "victim.rss", oom_rss_pages(v));
	} else {
		report_pages(b, P "victim.rss.anon", v->rss_anon);
		report_pages(b, P "victim.rss.file", v->rss_file);
		report_pages(b, P "victim.rss.shmem", v->rss_shmem);
		report_pages(b, P "victim.swap", v->swap);
		add_bytes(b, P "victim.pgtables", v->pgtables_bytes);
		report_pages(b, P "victim.total_vm", v->total_vm);
	}
	/* Without a snapshot it comes with the counters. */
	if (v->flags & OOM_VICTIM_SNAPSHOT || v->rss_anon != OOM_UNKNOWN64)
		event_i64(b, P "victim.adj", v->adj);
	if (points_of(run, k, &points))
		event_i64(b, P "victim.points", points);
	if (v->flags & OOM_VICTIM_SNAPSHOT && v->rss_anon != OOM_UNKNOWN64)
		event_u64(b, P "rss_error", oom_pages(rss_error(w, v)));
}

static void add_trigger(const struct report_world *w, const struct oom_run *run,
			const struct oom_kill *k, struct event_buf *b)
{
	const struct oom_victim *v = &k->v;
	char path[OOM_PATH_MAX];
	bool deleted;
	size_t n, len;
	const char *exe = oom_text(v, v->trigger_tgid == v->tgid ? v->exe : v->trigger_exe, &len);

	if (!v->trigger_tgid) {
		event_str(b, P "trigger.comm", run->kmsg_trigger);
		return;
	}
	event_u64(b, P "trigger.pid", v->trigger_tgid);
	event_u64(b, P "trigger.thread", v->trigger_tid);
	event_str(b, P "trigger.comm", v->trigger_comm);
	if (len) {
		event_strn(b, P "trigger.executable.path", exe, len);
	} else if (!(v->flags & OOM_VICTIM_TRIGGER_KTHREAD)) {
		n = exe_of(w, v->trigger_tgid, v->trigger_start_boot_ns, path, sizeof(path),
			   &deleted);
		event_strn(b, P "trigger.executable.path", path, n);
	}
	if (v->flags & OOM_VICTIM_TRIGGER_KTHREAD)
		event_bool(b, P "trigger.kernel_thread", true);
	event_bool(b, P "trigger.is_victim", v->trigger_tgid == v->tgid);
	if (w->trigger_identity) {
		event_str(b, P "trigger.cgroup.path", w->trigger_identity->path);
		report_other_identity(P "trigger", w->trigger_identity, w->trigger_identity,
				      k->identity, b);
	}
}

static void add_request(const struct report_world *w, const struct oom_run *run,
			struct event_buf *b, unsigned *missing)
{
	char text[256];

	/* The log tells the whole request, reclaim only what it made of it. */
	if ((!run->oc || !w->gfp->n) && run->kmsg_gfp[0]) {
		event_str(b, P "gfp_mask", run->kmsg_gfp);
	} else if (run->gfp_known) {
		gfp_format(w->gfp,
			   run->gfp_of_memcg_reclaim ? gfp_before_memcg_reclaim(w->gfp, run->gfp)
						     : run->gfp,
			   text, sizeof(text));
		event_str(b, P "gfp_mask", text);
	} else if (run->scope != SCOPE_SYSRQ) {
		*missing |= 1U << FIELD_GFP;
	}
	if (!run->order_known)
		return;
	event_i64(b, P "order", run->order);
	if (run->order >= 0 && run->order < 32)
		event_u64(b, P "pages_requested", 1ULL << run->order);
}

static void add_scope(const struct oom_run *run, struct event_buf *b, unsigned *missing)
{
	uint64_t bytes = scope_bytes(run);

	event_str(b, P "scope", oom_scope_names[run->scope]);
	event_str(b, P "scope.source", oom_scope_source_name(run->scope_source));
	if (run->scope == SCOPE_UNKNOWN)
		*missing |= 1U << FIELD_SCOPE;
	if (bytes)
		event_u64(b, P "scope.bytes", bytes);
	if (!streq(run->nodemask, "(null)"))
		event_str(b, P "nodemask", run->nodemask);
	event_str(b, P "cpuset", run->cpuset);
}

/* Levels between two paths, where the victim's levels were not read. */
static void add_distance(const struct oom_limit_found *f, const struct oom_victim *v,
			 struct event_buf *b)
{
	size_t len, limit_len = streq(f->path, "/") ? 0 : strlen(f->path);
	const char *own = oom_text(v, v->path, &len);
	int64_t distance = 0;

	if (!f->path[0] || len < limit_len || memcmp(own, f->path, limit_len) != 0 ||
	    (len > limit_len && own[limit_len] != '/'))
		return;
	for (size_t i = limit_len; i < len; i++)
		distance += own[i] == '/';
	event_i64(b, P "limit.distance", distance);
}

/* What the limiting level held at that instant: from the kernel's snapshot, else from the files. */
static void add_limit_numbers(const struct oom_run *run, const struct oom_kill *chosen,
			      struct event_buf *b)
{
	const struct oom_limit_found *f = &run->limit;
	bool swap = streq(f->counter, "memsw"), v1 = chosen->v.flags & OOM_VICTIM_V1;

	if (f->level >= 0 && (uint32_t)f->level < chosen->v.n_levels) {
		const struct oom_level *l = &chosen->v.levels[f->level];

		report_pages(b, P "limit.max", swap ? l->swap_max : l->max);
		report_pages(b, P "limit.usage", swap ? l->swap_usage : l->usage);
		report_pages(b, v1 ? P "limit.memsw.max" : P "limit.swap.max", l->swap_max);
		report_pages(b, v1 ? P "limit.memsw.usage" : P "limit.swap.usage", l->swap_usage);
		event_bool(b, P "limit.oom_group", l->oom_group);
		event_i64(b, P "limit.distance", f->level);
	} else {
		if (run->snapshot.limit_known && run->snapshot.max != UINT64_MAX)
			event_u64(b, P "limit.max", run->snapshot.max);
		if (run->snapshot.limit_known)
			add_bytes(b, P "limit.usage", run->snapshot.usage);
		add_distance(f, &chosen->v, b);
	}
	if (run->snapshot.peak)
		event_u64(b, P "limit.peak", run->snapshot.peak);
}

static void add_limit(const struct report_world *w, const struct oom_run *run,
		      const struct oom_kill *k, struct event_buf *b, unsigned *missing)
{
	const struct oom_limit_found *f = &run->limit;

	if (run->scope != SCOPE_MEMCG && run->scope != SCOPE_UNKNOWN)
		return;
	if (!f->found) {
		*missing |= 1U << FIELD_LIMIT;
		return;
	}
	event_str(b, P "limit.cgroup.path", f->path);
	if (f->id)
		event_u64_str(b, P "limit.cgroup.id", f->id);
	event_str(b, P "limit.counter", f->counter);
	add_limit_numbers(run, run->kills, b);
	event_bool(b, P "limit.certain", f->certain);
	if (w->limit_identity) {
		event_str(b, P "limit.kind", cgname_level_name(w->limit_identity->level));
		report_other_identity(P "limit", w->limit_identity,
				      report_knows_pod(w->limit_identity, run)
					      ? run->kills->identity
					      : w->limit_identity,
				      k->identity, b);
	}
	if (k == run->kills)
		report_levels(w, &k->v, b);
}

void report_cgroup(const struct oom_kill *k, struct event_buf *b)
{
	const struct oom_victim *v = &k->v;
	size_t len;
	const char *walked = oom_text(v, v->path, &len);

	if (len)
		event_strn(b, "telamon.cgroup.path", walked, len);
	else if (k->identity)
		event_str(b, "telamon.cgroup.path", k->identity->path);
	if (v->cgroup_id)
		event_u64_str(b, "telamon.cgroup.id", v->cgroup_id);
	if (v->n_levels)
		event_str(b, "telamon.cgroup.hierarchy", v->flags & OOM_VICTIM_V1 ? "v1" : "v2");
}

/* Seconds after the mark. */
static double age(const struct oom_run *run, uint64_t boot_ns)
{
	/* The decision's own record may be older by what the kernel wrote to its console. */
	uint64_t mark = run->kills->boot_ns;

	return boot_ns > mark ? (double)(boot_ns - mark) / 1e9 : 0;
}

static void add_stat(const struct oom_run *run, struct event_buf *b, unsigned *missing)
{
	const struct oom_snapshot *s = &run->snapshot;

	if (s->stat_seen == 0) {
		if (run->scope == SCOPE_MEMCG)
			*missing |= 1U << FIELD_STAT;
		return;
	}
	for (unsigned i = 0; i < _STAT_MAX; i++) {
		char key[64];

		if (!(s->stat_seen & 1U << i))
			continue;
		(void)snprintf(key, sizeof(key), P "stat.%s", oom_stat_names[i]);
		event_u64(b, key, s->stat[i]);
	}
	event_f64(b, P "stat.age", age(run, s->stat_boot_ns), 6);
}

static void add_host(const struct oom_host *h, struct event_buf *b)
{
	if (!h->known)
		return;
	event_u64(b, P "host.total", h->total);
	event_u64(b, P "host.free", h->free);
	event_u64(b, P "host.available", h->available);
	event_u64(b, P "host.swap.total", h->swap_total);
	event_u64(b, P "host.swap.free", h->swap_free);
	event_u64(b, P "host.slab_unreclaimable", h->slab_unreclaimable);
	event_u64(b, P "host.shmem", h->shmem);
	event_f64(b, P "host.load1", h->load1, 2);
}

static void add_psi(struct event_buf *b, const char *prefix, const struct oom_psi *p)
{
	const struct {
		const char *suffix;
		double value;
	} values[] = {
		{ "some.avg10", p->some_avg10 },
		{ "some.avg60", p->some_avg60 },
		{ "full.avg10", p->full_avg10 },
		{ "full.avg60", p->full_avg60 },
		{ "some.total", (double)p->some_total_us / 1e6 },
		{ "full.total", (double)p->full_total_us / 1e6 },
	};

	for (size_t i = 0; p->known && i < ARRAY_SIZE(values); i++) {
		char key[64];

		(void)snprintf(key, sizeof(key), P "psi.%s.%s", prefix, values[i].suffix);
		event_f64(b, key, values[i].value, 6);
	}
}

static void add_pressure(const struct report_world *w, const struct oom_run *run,
			 struct event_buf *b, unsigned *missing)
{
	add_psi(b, "system", &run->snapshot.system);
	add_psi(b, "cgroup", &run->snapshot.cgroup);
	if (run->snapshot.system.known)
		event_f64(b, P "psi.age", age(run, run->snapshot.psi_boot_ns), 6);
	else if (w->psi_on)
		*missing |= 1U << FIELD_PSI;
}

static void add_times(const struct oom_run *run, const struct oom_kill *k, struct event_buf *b)
{
	if (k->exit_boot_ns > k->boot_ns)
		event_f64(b, P "time.to_exit", (double)(k->exit_boot_ns - k->boot_ns) / 1e9, 6);
	if (k->reap_end_ns > k->reap_start_ns && k->reap_start_ns)
		event_f64(b, P "time.reap", (double)(k->reap_end_ns - k->reap_start_ns) / 1e9, 6);
	if (run->invoke_ns)
		event_f64(b, P "time.decision", (double)run->invoke_ns / 1e9, 6);
}

/* 0: its record was lost, and the decision is not hooked. */
static uint32_t chosen_pid(const struct oom_run *run)
{
	if (run->chosen_tgid)
		return run->chosen_tgid;
	for (const struct oom_kill *k = run->kills; k; k = k->next)
		if (k->v.kind != OOM_VICTIM_RESERVE &&
		    (k->role == ROLE_CHOSEN || k->role == ROLE_ALLOCATING_TASK))
			return k->v.tgid;
	return 0;
}

void report_decision_id(const struct report_world *w, const struct oom_run *run,
			struct event_buf *b)
{
	uint32_t chosen = chosen_pid(run);
	char id[48];

	(void)snprintf(id, sizeof(id), "%08llx-%llu", (unsigned long long)(w->boot_id & 0xffffffff),
		       (unsigned long long)run->first_ns);
	event_str(b, P "decision", id);
	event_u64(b, P "decision.seq", run->seq);
	if (chosen)
		event_u64(b, P "chosen_pid", chosen);
}

/* Facts that no source of this host can give do not make a record incomplete; they are named all the same. */
static void add_quality(const struct report_world *w, const struct oom_run *run,
			const struct oom_kill *k, struct event_buf *b, unsigned missing)
{
	event_bool(b, P "complete", !run->early && (missing & ~(1U << FIELD_TREND)) == 0);
	if (missing) {
		event_array(b, P "missing");
		for (unsigned f = 0; f < _FIELD_MAX; f++)
			if (missing & 1U << f)
				event_str(b, NULL, oom_field_names[f]);
		event_array_end(b);
	}
	if (k->v.kind == OOM_VICTIM_UNSURE)
		event_bool(b, P "certain", false);
	if (k->spilled)
		event_bool(b, P "spilled", true);
	event_array(b, "telamon.hook");
	for (size_t i = 0; i < ARRAY_SIZE(w->hooks) && w->hooks[i]; i++)
		event_str(b, NULL, w->hooks[i]);
	event_array_end(b);
}

static int severity_of(const struct oom_run *run, const struct oom_kill *k)
{
	if (k->v.kind == OOM_VICTIM_RESERVE)
		return SEVERITY_INFO;
	return run->scope == SCOPE_MEMCG || run->scope == SCOPE_UNKNOWN ? SEVERITY_ERROR
									: SEVERITY_FATAL;
}

static int write_kill(const struct report_world *w, const struct oom_run *run,
		      const struct oom_kill *k, struct event_buf *b, unsigned *ret_missing)
{
	bool first = k == run->kills;
	unsigned missing = 0;

	event_begin(b, w->origin, k->v.kind == OOM_VICTIM_RESERVE ? "oom.reserve" : "oom.kill",
		    severity_of(run, k), k->wall_ns, k->boot_ns);
	add_victim(w, k, b, &missing);
	add_victim_memory(w, run, k, b);
	add_trigger(w, run, k, b);
	add_request(w, run, b, &missing);
	add_scope(run, b, &missing);
	add_limit(w, run, k, b, &missing);
	report_cgroup(k, b);
	if (k->v.n_levels) {
		report_pages(b, "telamon.cgroup.usage", k->v.levels[0].usage);
		report_pages(b, "telamon.cgroup.max", k->v.levels[0].max);
	}
	if (k->identity)
		report_identity(w, k->identity, b);
	else
		missing |= 1U << FIELD_IDENTITY;
	if (first) {
		add_stat(run, b, &missing);
		add_host(&run->snapshot.host, b);
		add_pressure(w, run, b, &missing);
		if (!w->add_trend(w->ctx, b, run, k))
			missing |= 1U << FIELD_TREND;
		w->add_largest(w->ctx, b, run);
		report_members(w, run, b);
		report_stacks(w, &k->v, b);
		event_str(b, P "message", run->message);
		report_kernel_log(w, run, b);
	}
	add_times(run, k, b);
	report_decision_id(w, run, b);
	add_quality(w, run, k, b, missing);
	b->keys.pid = k->v.tgid;
	report_keys(k->identity, b);
	*ret_missing = missing;
	return event_end(b);
}

/**
 * report_kill() - the event of one victim
 * @w: facts beside the records
 * @k: one of @run's
 * @b: is overwritten
 * @ret_missing: bit per enum oom_field that no source gave
 *
 * Texts come from outside and may be of any length in JSON; an event that would not fit is written without its arrays.
 *
 * Return: 0; -ENOSPC when not even that fits.
 */
int report_kill(const struct report_world *w, const struct oom_run *run, const struct oom_kill *k,
		struct event_buf *b, unsigned *ret_missing)
{
	struct report_world lean = *w;
	int r = write_kill(w, run, k, b, ret_missing);

	if (r != -ENOSPC)
		return r;
	lean.lean = true;
	return write_kill(&lean, run, k, b, ret_missing);
}
