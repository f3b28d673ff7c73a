/* SPDX-License-Identifier: Apache-2.0 */
/* Events beside the kill: its aftermath, OOMs without a victim, kills that nobody saw, records that were lost. */

#include "agent/oom/report-part.h"

int report_aftermath(const struct report_world *w, const struct oom_run *run, const char *reason,
		     uint64_t boot_ns, struct event_buf *b)
{
	const struct oom_kill *first = run->kills;

	event_begin(b, w->origin, "oom.aftermath", SEVERITY_INFO, w->wall(w->ctx, boot_ns),
		    boot_ns);
	report_decision_id(w, run, b);
	event_u64(b, "process.pid", first->v.tgid);
	event_str(b, P "comm", first->v.comm);
	event_str(b, P "aftermath", reason);
	event_array(b, P "members");
	for (const struct oom_kill *k = first; k; k = k->next) {
		struct event_mark mark = event_mark(b);

		event_object(b, NULL);
		event_u64(b, "pid", k->v.tgid);
		if (k->exit_boot_ns > k->boot_ns)
			event_f64(b, "time.to_exit", (double)(k->exit_boot_ns - k->boot_ns) / 1e9,
				  6);
		if (k->reap_end_ns)
			event_str(b, "reaper", "reaped");
		else if (k->reaper_skipped)
			event_str(b, "reaper", "skipped");
		event_object_end(b);
		if (!event_room(b, RESERVE_BYTES)) {
			event_rollback(b, mark, "members");
			break;
		}
	}
	event_array_end(b);
	if (run->freed_known)
		event_u64(b, P "freed", run->freed_bytes);
	event_u64(b, P "repeats", run->repeats);
	report_cgroup(first, b);
	if (first->identity)
		report_identity(w, first->identity, b);
	b->keys.pid = first->v.tgid;
	report_keys(first->identity, b);
	return event_end(b);
}

static void add_place(const struct report_world *w, const struct identity *i, struct event_buf *b)
{
	if (!i)
		return;
	event_str(b, "telamon.cgroup.path", i->path);
	event_u64_str(b, "telamon.cgroup.id", i->id);
	report_identity(w, i, b);
	report_keys(i, b);
}

int report_no_victim(const struct report_world *w, const struct report_no_victim *n,
		     struct event_buf *b)
{
	event_begin(b, w->origin, "oom.no_victim", SEVERITY_FATAL, w->wall(w->ctx, n->boot_ns),
		    n->boot_ns);
	if (n->trigger_pid)
		event_u64(b, P "trigger.pid", n->trigger_pid);
	event_str(b, P "scope", oom_scope_names[n->scope]);
	event_str(b, P "scope.source", n->source);
	if (n->duration_ns)
		event_f64(b, P "time.decision", (double)n->duration_ns / 1e9, 6);
	event_bool(b, P "certain", n->certain);
	add_place(w, n->identity, b);
	return event_end(b);
}

int report_unseen(const struct report_world *w, uint64_t count, uint64_t boot_ns,
		  const struct identity *where, const struct identity *limit, struct event_buf *b)
{
	event_begin(b, w->origin, "oom.unseen", SEVERITY_WARN, w->wall(w->ctx, boot_ns), boot_ns);
	event_u64(b, P "unseen", count);
	event_str(b, "message", "The kernel counted OOM kills that no hook reported.");
	add_place(w, where, b);
	if (limit) { /* whether it was that limit, or memory of the host, no counter tells */
		event_str(b, P "limit.cgroup.path", limit->path);
		event_u64_str(b, P "limit.cgroup.id", limit->id);
		event_str(b, P "limit.kind", cgname_level_name(limit->level));
		event_bool(b, P "limit.certain", false);
	}
	return event_end(b);
}

int report_lost(const struct report_world *w, uint64_t count, uint64_t boot_ns, struct event_buf *b)
{
	event_begin(b, w->origin, "telemetry.lost", SEVERITY_ERROR, w->wall(w->ctx, boot_ns),
		    boot_ns);
	event_str(b, "telamon.lost.class", "oom");
	event_u64(b, "telamon.lost.count", count);
	return event_end(b);
}
