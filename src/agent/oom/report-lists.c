/* SPDX-License-Identifier: Apache-2.0 */
/* The arrays of a record. They are cut where the record would grow too long (OOM-309). */

#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/report-part.h"
#include "base/macro.h"

/* Nothing is written, but said to be cut. */
bool report_leaves_out(const struct report_world *w, struct event_buf *b, const char *array)
{
	if (w->lean)
		event_rollback(b, event_mark(b), array);
	return w->lean;
}

void report_levels(const struct report_world *w, const struct oom_victim *v, struct event_buf *b)
{
	if (v->n_levels == 0 || report_leaves_out(w, b, "levels"))
		return;
	event_array(b, P "levels");
	for (uint32_t i = 0; i < v->n_levels; i++) {
		const struct oom_level *l = &v->levels[i];
		struct event_mark mark = event_mark(b);

		event_object(b, NULL);
		event_u64_str(b, "id", l->id);
		report_pages(b, "usage", l->usage);
		report_pages(b, "max", l->max);
		report_pages(b, v->flags & OOM_VICTIM_V1 ? "memsw.usage" : "swap.usage",
			     l->swap_usage);
		report_pages(b, v->flags & OOM_VICTIM_V1 ? "memsw.max" : "swap.max", l->swap_max);
		event_u64(b, v->flags & OOM_VICTIM_V1 ? "failcnt" : "oom", l->oom_count);
		if (l->oom_group)
			event_bool(b, "oom_group", true);
		event_object_end(b);
		if (!event_room(b, RESERVE_BYTES)) {
			event_rollback(b, mark, "levels");
			break;
		}
	}
	event_array_end(b);
	if (v->flags & OOM_VICTIM_LEVELS_CUT)
		event_bool(b, P "levels_truncated", true);
}

static void add_member(const struct oom_kill *m, struct event_buf *b)
{
	size_t len;
	const char *exe = oom_text(&m->v, m->v.exe, &len);

	event_object(b, NULL);
	event_u64(b, "pid", m->v.tgid);
	event_str(b, "comm", m->v.comm);
	event_strn(b, "executable", exe, len);
	event_str(b, "role", oom_role_names[m->role]);
	report_pages(b, "rss", oom_rss_pages(&m->v));
	if (m->exit_boot_ns)
		event_time(b, "exit.time", report_wall(m, m->exit_boot_ns));
	event_object_end(b);
}

void report_members(const struct report_world *w, const struct oom_run *run, struct event_buf *b)
{
	uint32_t listed = 0;

	if (run->n_kills == 0)
		return;
	event_u64(b, P "members.count", run->n_kills);
	if (run->spared_known)
		event_u64(b, P "members.spared", run->spared);
	if (run->n_kills < 2 || w->members_max == 0 || report_leaves_out(w, b, "members"))
		return;
	event_array(b, P "members");
	for (const struct oom_kill *m = run->kills; m && listed < w->members_max;
	     m = m->next, listed++) {
		struct event_mark mark = event_mark(b);

		add_member(m, b);
		if (!event_room(b, RESERVE_BYTES)) {
			event_rollback(b, mark, "members");
			break;
		}
	}
	event_array_end(b);
}

#define FILE_OFFSET_MAX (1ULL << 47)

/* "build id+offset into the file", which `telamon oom show` turns into names; an address where there is no build id. */
static void add_user_stack(const struct oom_victim *v, struct event_buf *b)
{
	size_t len;
	const char *text = oom_text(v, v->user_stack, &len);

	if (len < sizeof(struct oom_user_frame))
		return;
	event_array(b, P "stack.user");
	for (; len >= sizeof(struct oom_user_frame);
	     text += sizeof(struct oom_user_frame), len -= sizeof(struct oom_user_frame)) {
		struct oom_user_frame f;
		char name[80];
		size_t n = 0;

		memcpy(&f, text, sizeof(f));
		/* Code without frame pointers ends in an address that no file has. */
		if (f.status == OOM_FRAME_EMPTY || f.offset >= FILE_OFFSET_MAX)
			continue;
		for (size_t i = 0; f.status == OOM_FRAME_BUILD_ID && i < sizeof(f.build_id); i++)
			n += (size_t)snprintf(name + n, sizeof(name) - n, "%02x", f.build_id[i]);
		(void)snprintf(name + n, sizeof(name) - n, "%s0x%llx", n ? "+" : "",
			       (unsigned long long)f.offset);
		event_str(b, NULL, name);
	}
	event_array_end(b);
}

static void add_stack(const struct report_world *w, const struct oom_victim *v, struct event_buf *b)
{
	bool any = false;

	for (uint32_t i = 0; i < v->n_stack; i++) {
		const char *name = v->stack[i] ? w->symbol(w->ctx, v->stack[i]) : NULL;

		if (!name || !*name)
			continue;
		if (!any)
			event_array(b, P "stack.kernel");
		any = true;
		event_str(b, NULL, name);
	}
	if (any)
		event_array_end(b);
}

void report_stacks(const struct report_world *w, const struct oom_victim *v, struct event_buf *b)
{
	if (report_leaves_out(w, b, "stack"))
		return;
	add_stack(w, v, b);
	add_user_stack(v, b);
}

void report_kernel_log(const struct report_world *w, const struct oom_run *run, struct event_buf *b)
{
	if (!run->kernel_log_len || report_leaves_out(w, b, "kernel_log"))
		return;
	event_array(b, P "kernel_log");
	for (size_t i = 0; i < run->kernel_log_len;) {
		size_t len = strnlen(run->kernel_log + i, run->kernel_log_len - i);

		event_strn(b, NULL, run->kernel_log + i, len);
		i += len + 1;
	}
	event_array_end(b);
}
