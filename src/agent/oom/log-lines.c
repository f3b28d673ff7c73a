/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the kernel log until the record that they belong to is there. */

#include <stdio.h>
#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/log-lines.h"
#include "base/macro.h"

/* What "invoked oom-killer" said, added to the line of the same decision. */
static void add_request(struct log_lines *l, struct log_line *to)
{
	if (!(l->request.fields & KMSG_INVOKED))
		return;
	(void)snprintf(to->trigger_comm, sizeof(to->trigger_comm), "%.15s", l->request.comm);
	(void)snprintf(to->k.gfp, sizeof(to->k.gfp), "%s", l->request.gfp);
	to->k.order = l->request.order;
	to->k.fields |= l->request.fields & (KMSG_INVOKED | KMSG_GFP);
	l->request.fields = 0;
}

const struct log_line *log_lines_read(struct log_lines *l, const struct kmsg_oom *k,
				      const char *text, size_t len, uint64_t now_us)
{
	struct log_line *line = &l->current;

	if (k->fields & KMSG_INVOKED) {
		l->request = *k;
		return NULL;
	}
	if (!(k->fields & (KMSG_TASK | KMSG_KILLED)))
		return NULL;
	*line = (struct log_line){ .used = true, .now_us = now_us, .k = *k };
	line->len = MIN(len, sizeof(line->text) - 1);
	memcpy(line->text, text, line->len);
	if (k->fields & KMSG_TASK)
		add_request(l, line);
	return line;
}

void log_lines_keep(struct log_lines *l)
{
	l->kept[l->next++ % LOG_LINES_MAX] = l->current;
}

const struct log_line *log_lines_take(struct log_lines *l, uint32_t pid, uint32_t tid,
				      uint64_t now_us, uint64_t max_us)
{
	for (size_t i = 0; i < LOG_LINES_MAX; i++) {
		struct log_line *line = &l->kept[(l->next + i) % LOG_LINES_MAX];

		if (!line->used || (line->k.pid != pid && line->k.pid != tid))
			continue;
		line->used = false;
		if (now_us - line->now_us <= max_us)
			return line;
	}
	return NULL;
}

/* --- what the kernel log says of a run --- */

static enum oom_scope scope_of_kmsg(const struct kmsg_oom *k)
{
	if (k->fields & KMSG_INVOKED && k->order == -1)
		return SCOPE_SYSRQ;
	if (streq(k->constraint, "CONSTRAINT_MEMCG"))
		return SCOPE_MEMCG;
	if (streq(k->constraint, "CONSTRAINT_CPUSET"))
		return SCOPE_CPUSET;
	if (streq(k->constraint, "CONSTRAINT_MEMORY_POLICY"))
		return SCOPE_MEMPOLICY;
	return k->fields & KMSG_GLOBAL ? SCOPE_GLOBAL : SCOPE_UNKNOWN;
}

static void copy_text(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%.*s", (int)size - 1, from); /* cut on purpose */
}

static size_t text_end(const struct oom_victim *v)
{
	const struct oom_text parts[] = { v->exe, v->cwd, v->args, v->user_stack, v->trigger_exe };
	size_t end = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		end = MAX(end, (size_t)parts[i].offset + parts[i].length);
	return end;
}

/* The victim's cgroup, where no program could read it (no BTF). */
static void name_cgroup(struct oom_victim *v, const struct kmsg_oom *k)
{
	size_t len = strlen(k->task_memcg), at = text_end(v);

	if (v->path.length)
		return;
	if (at + len > sizeof(v->text))
		return;
	memcpy(v->text + at, k->task_memcg, len);
	v->path = (struct oom_text){ (uint16_t)at, (uint16_t)len };
}

/* The counters where no program could read them: no BTF and an old layout, or lockdown on kernels before v6.2. */
static void name_memory(struct oom_victim *v, const struct kmsg_oom *k)
{
	uint64_t page_kib = oom_pages(1) / 1024;

	if (!(k->fields & KMSG_MEMORY) || v->rss_anon != OOM_UNKNOWN64)
		return;
	v->rss_anon = k->anon_rss_kb / page_kib;
	v->rss_file = k->file_rss_kb / page_kib;
	v->rss_shmem = k->shmem_rss_kb / page_kib;
	if (v->flags & OOM_VICTIM_SNAPSHOT)
		return;
	v->total_vm = k->total_vm_kb / page_kib;
	v->pgtables_bytes = k->pgtables_kb * 1024;
	v->adj = (int16_t)k->adj;
	v->uid = k->uid;
	if (!v->comm[0])
		copy_text(v->comm, sizeof(v->comm), k->comm);
}

static void keep_line(struct oom_run *run, const char *line, size_t len)
{
	if (len == 0 || len >= sizeof(run->kernel_log) - run->kernel_log_len)
		return;
	memcpy(run->kernel_log + run->kernel_log_len, line, len);
	run->kernel_log[run->kernel_log_len + len] = '\0';
	run->kernel_log_len += len + 1;
}

static void take_request(struct oom_run *run, const struct log_line *l)
{
	if (!(l->k.fields & KMSG_INVOKED))
		return;
	copy_text(run->kmsg_trigger, sizeof(run->kmsg_trigger), l->trigger_comm);
	if (l->k.fields & KMSG_GFP)
		copy_text(run->kmsg_gfp, sizeof(run->kmsg_gfp), l->k.gfp);
	if (!run->order_known) {
		run->order = l->k.order;
		run->order_known = true;
	}
}

/* The stack says memcg or host; cpuset and mempolicy are kinds of host that only the log tells. */
static void take_scope(struct oom_run *run, enum oom_scope scope)
{
	if (run->scope_source == SOURCE_OC || scope == SCOPE_UNKNOWN)
		return;
	if (scope != SCOPE_CPUSET && scope != SCOPE_MEMPOLICY && run->scope_source > SOURCE_KMSG)
		return;
	run->scope = scope;
	run->scope_source = SOURCE_KMSG;
}

/* Better than what the levels let guess (OOM-116). What was read of a wrong guess is forgotten. */
static void take_limit(struct oom_run *run, const char *path)
{
	struct oom_limit_found *f = &run->limit;

	if (f->source >= LIMIT_FROM_KMSG)
		return;
	if (f->found && streq(f->path, path)) {
		f->certain = true;
		f->source = LIMIT_FROM_KMSG;
		return;
	}
	*f = (struct oom_limit_found){ .found = true,
				       .certain = true,
				       .source = LIMIT_FROM_KMSG,
				       .level = -1,
				       .counter = "memory" };
	copy_text(f->path, sizeof(f->path), path);
	run->limit_read = run->snapshot.limit_known = run->snapshot.cgroup.known = false;
	run->snapshot.stat_seen = 0;
	run->snapshot.peak = 0;
	run->snapshot.usage = OOM_UNKNOWN64;
}

void log_line_apply(const struct log_line *l, struct oom_run *run, struct oom_kill *kill)
{
	const struct kmsg_oom *k = &l->k;

	keep_line(run, l->text, l->len);
	if (k->fields & KMSG_KILLED)
		name_memory(&kill->v, k);
	if (!(k->fields & KMSG_TASK))
		return;
	run->kmsg_answered = true;
	if (k->fields & KMSG_TASK_MEMCG)
		name_cgroup(&kill->v, k);
	take_scope(run, scope_of_kmsg(k));
	take_request(run, l);
	if (k->fields & KMSG_OOM_MEMCG)
		take_limit(run, k->oom_memcg);
	if (k->fields & KMSG_NODEMASK)
		copy_text(run->nodemask, sizeof(run->nodemask), k->nodemask);
	if (k->fields & KMSG_CPUSET)
		copy_text(run->cpuset, sizeof(run->cpuset), k->cpuset);
}
