/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the kernel program, checked
 *
 * The program is ours, but a reader that trusts lengths is a bug that waits for its day: everything is bounded here once, so
 * that nobody behind has to.
 */

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include "agent/oom/decode.h"
#include "base/macro.h"

#define VICTIM_FIXED offsetof(struct oom_victim, text)
#define PAGES_MAX (1ULL << 52)

static const size_t min_size[_OOM_RECORD_MAX] = {
	[OOM_RECORD_VICTIM] = VICTIM_FIXED,
	[OOM_RECORD_DECISION] = offsetof(struct oom_decision, text),
	[OOM_RECORD_ATTEMPT] = sizeof(struct oom_attempt),
	[OOM_RECORD_INVOKE] = sizeof(struct oom_invoke),
	[OOM_RECORD_REAPER] = sizeof(struct oom_reaper),
	[OOM_RECORD_EXIT] = sizeof(struct oom_exit),
	[OOM_RECORD_SPILL] = sizeof(struct oom_core),
};

uint64_t oom_pages(uint64_t pages)
{
	static uint64_t page_size;

	if (!page_size)
		page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	if (pages > INT64_MAX / page_size) /* what readers of JSON can hold */
		return OOM_UNKNOWN64;
	return pages * page_size;
}

uint64_t oom_rss_pages(const struct oom_victim *v)
{
	if (v->rss_anon == OOM_UNKNOWN64 || v->rss_file == OOM_UNKNOWN64 ||
	    v->rss_shmem == OOM_UNKNOWN64)
		return OOM_UNKNOWN64;
	return v->rss_anon + v->rss_file + v->rss_shmem;
}

static bool is_kind(unsigned kind)
{
	return kind >= OOM_VICTIM_KILL && kind <= OOM_VICTIM_UNSURE;
}

int oom_decode_check(const struct record_head *head)
{
	if (head->type == 0 || head->type >= _OOM_RECORD_MAX || head->size < min_size[head->type])
		return -EBADMSG;
	if (head->type == OOM_RECORD_DECISION) {
		const struct oom_decision *d = (const void *)head;
		size_t text = head->size - offsetof(struct oom_decision, text);

		if (text > sizeof(d->text) || (size_t)d->path.offset + d->path.length > text)
			return -EBADMSG;
	}
	if (head->type == OOM_RECORD_ATTEMPT) {
		const struct oom_attempt *a = (const void *)head;

		if ((size_t)a->message.offset + a->message.length > sizeof(a->text))
			return -EBADMSG;
	}
	if (head->type == OOM_RECORD_SPILL) {
		const struct oom_core *core = (const void *)head;

		if (core->tgid == 0 || !is_kind(core->kind))
			return -EBADMSG;
	}
	return 0;
}

static void bound_text(struct oom_text *t, size_t room)
{
	if ((size_t)t->offset + t->length > room)
		*t = (struct oom_text){};
}

/* Sums of a few of them stay below 2^63. */
static void bound_pages(__u64 *pages)
{
	if (*pages > PAGES_MAX)
		*pages = OOM_UNKNOWN64;
}

/* oom_score_adj(5) */
static int32_t bound_adj(int32_t adj)
{
	return MAX(MIN(adj, 1000), -1000);
}

static void bound_memory(struct oom_victim *v)
{
	bound_pages(&v->rss_anon);
	bound_pages(&v->rss_file);
	bound_pages(&v->rss_shmem);
	bound_pages(&v->swap);
	bound_pages(&v->total_vm);
	bound_pages(&v->pgtables_bytes);
	v->adj = bound_adj(v->adj);
}

static void bound_comm(char *comm)
{
	comm[COMM_MAX - 1] = '\0';
}

int oom_decode_victim(const struct record_head *head, struct oom_victim *ret)
{
	const struct oom_victim *v = (const void *)head;
	size_t text;

	if (head->type != OOM_RECORD_VICTIM || head->size < VICTIM_FIXED ||
	    head->size > sizeof(*ret) || v->tgid == 0 || !is_kind(v->kind))
		return -EBADMSG;
	memcpy(ret, head, head->size);
	text = head->size - VICTIM_FIXED;
	bound_memory(ret);
	bound_text(&ret->path, text);
	bound_text(&ret->exe, text);
	bound_text(&ret->cwd, text);
	bound_text(&ret->args, text);
	bound_text(&ret->user_stack, text);
	bound_text(&ret->trigger_exe, text);
	ret->n_levels = MIN(ret->n_levels, (uint32_t)OOM_LEVELS_MAX);
	ret->n_stack = MIN(ret->n_stack, (uint32_t)OOM_STACK_MAX);
	ret->n_ancestors = MIN(ret->n_ancestors, (uint32_t)OOM_ANCESTORS_MAX);
	bound_comm(ret->comm);
	bound_comm(ret->trigger_comm);
	for (uint32_t i = 0; i < ret->n_ancestors; i++)
		bound_comm(ret->ancestors[i].comm);
	return 0;
}

void oom_decode_core(const struct oom_core *core, struct oom_victim *ret)
{
	memset(ret, 0, VICTIM_FIXED);
	ret->head = core->head;
	ret->head.size = VICTIM_FIXED;
	ret->tgid = core->tgid;
	ret->tid = core->tid;
	ret->vpid = core->vpid;
	ret->uid = core->uid;
	ret->start_boot_ns = core->start_boot_ns;
	ret->cgroup_id = core->cgroup_id;
	ret->rss_anon = core->rss_pages; /* the sum: the parts did not fit */
	ret->decision = core->decision;
	ret->trigger_tgid = core->trigger_tgid;
	ret->trigger_tid = core->trigger_tid;
	ret->kind = core->kind;
	ret->adj = core->adj;
	ret->role = core->role;
	ret->flags = core->flags & OOM_CORE_FLAGS;
	bound_memory(ret);
	memcpy(ret->comm, core->comm, sizeof(ret->comm));
	bound_comm(ret->comm);
}

const char *oom_text(const struct oom_victim *v, struct oom_text part, size_t *ret_len)
{
	*ret_len = part.length;
	return part.length ? v->text + part.offset : "";
}
