/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Parameters, maps and small helpers that all OOM programs share
 *
 * Included by both objects: oom.bpf.c (needs BTF) and oom-plain.bpf.c (does not), so nothing here looks at a kernel type.
 */
#pragma once
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "bpf/api/oom.h"
#include "oom-thread.bpf.h"
#include "ring.bpf.h"

#define SIGKILL 9
#define SI_KERNEL 0x80
#define VICTIM_FIXED __builtin_offsetof(struct oom_victim, text)
/* Flags of bpf_get_stack(), from linux/bpf.h. */
#define STACK_OF_USER (1ULL << 8)
#define STACK_BUILD_IDS (1ULL << 11)
#define USER_STACK_BYTES (OOM_USER_STACK_MAX * sizeof(struct oom_user_frame))

const volatile struct oom_parameters parameters; /* the loader sets it between open and load */

enum { NUMBER_DECISION, NUMBER_SPILL, _NUMBER_MAX };

RING(oom_ring, 1 << 20);
HASH(oom_spill, BPF_MAP_TYPE_HASH, 1024, u64, struct oom_core);
HASH(followed, BPF_MAP_TYPE_LRU_HASH, 1024, u32, u64); /* victims: tgid -> start, 0 = not known */
PERCPU_ARRAY(lost, _OOM_LOST_MAX, u64);
ARRAY(numbers, _NUMBER_MAX, u64);
/* A record is built here. oom_lock serialises decisions of the whole host, so the buffer has one user at a time. */
PERCPU_ARRAY(scratch, 1, struct oom_victim);

static __always_inline void count_lost(u32 what)
{
	u64 *n = bpf_map_lookup_elem(&lost, &what);

	if (n)
		*n += 1;
}

/* Plain, since all callers hold oom_lock; an atomic add that returns the value came with v5.12 only. */
static __always_inline u64 next_number(u32 which)
{
	u64 *n = bpf_map_lookup_elem(&numbers, &which);

	if (!n)
		return 0;
	*n += 1;
	return *n;
}

static __always_inline void head_init(struct record_head *h, u16 type, u32 size)
{
	h->type = type;
	h->cpu = bpf_get_smp_processor_id();
	h->size = size;
	h->boot_ns = bpf_ktime_get_boot_ns();
}

/* Zeroes what is not text. volatile: else the compiler makes one memset() of it, which it then refuses to inline. */
static __always_inline void clear_victim(struct oom_victim *v)
{
	volatile u64 *p = (u64 *)v;

	_Static_assert(VICTIM_FIXED % sizeof(*p) == 0, "whole words");
	for (u32 i = 0; i < VICTIM_FIXED / sizeof(*p); i++)
		p[i] = 0;
}

static __always_inline struct oom_victim *new_victim(void)
{
	u32 zero = 0;
	struct oom_victim *v = bpf_map_lookup_elem(&scratch, &zero);

	if (!v)
		return NULL;
	clear_victim(v);
	head_init(&v->head, OOM_RECORD_VICTIM, VICTIM_FIXED);
	v->variant = parameters.kill_variant;
	return v;
}

/* A mark that brings a thread id and no task: 0 would be a lie. */
static __always_inline void victim_unknown(struct oom_victim *v)
{
	v->uid = OOM_UNKNOWN32;
	v->rss_anon = v->rss_file = v->rss_shmem = v->swap = OOM_UNKNOWN64;
	v->total_vm = v->pgtables_bytes = OOM_UNKNOWN64;
}

static __always_inline void spill(const struct oom_victim *v)
{
	struct oom_core core = {};
	u64 key = next_number(NUMBER_SPILL);

	core.head = v->head;
	core.head.type = OOM_RECORD_SPILL;
	core.head.size = sizeof(core);
	core.tgid = v->tgid;
	core.tid = v->tid;
	core.vpid = v->vpid;
	core.uid = v->uid;
	core.start_boot_ns = v->start_boot_ns;
	core.cgroup_id = v->cgroup_id;
	core.rss_pages = v->rss_anon == OOM_UNKNOWN64 ? OOM_UNKNOWN64
						      : v->rss_anon + v->rss_file + v->rss_shmem;
	core.decision = v->decision;
	core.trigger_tgid = v->trigger_tgid;
	core.trigger_tid = v->trigger_tid;
	core.role = v->role;
	core.flags = v->flags & OOM_CORE_FLAGS;
	core.kind = v->kind;
	core.adj = v->adj;
	__builtin_memcpy(core.comm, v->comm, sizeof(core.comm));
	if (bpf_map_update_elem(&oom_spill, &key, &core, BPF_NOEXIST))
		count_lost(OOM_LOST_SPILL);
	else
		count_lost(OOM_LOST_RING);
}

/* Only the running process can be unwound: the victim that is its own trigger, or a task that shares its memory. */
static __always_inline void add_user_stack(void *ctx, struct oom_victim *v)
{
	u64 at = v->head.size - VICTIM_FIXED;
	long size;

	barrier_var(
		at); /* else the compiler checks one copy and uses another, which the verifier does not follow */
	if (!parameters.user_stack ||
	    (!(v->flags & OOM_VICTIM_SAME_MM) && v->trigger_tgid != v->tgid) ||
	    at > OOM_TEXT_MAX - USER_STACK_BYTES)
		return;
	size = bpf_get_stack(ctx, &v->text[at], USER_STACK_BYTES, STACK_OF_USER | STACK_BUILD_IDS);
	if (size <= 0 || size > USER_STACK_BYTES)
		return;
	v->user_stack.offset = at;
	v->user_stack.length = size;
	v->head.size += size;
}

/* What oom-stat.bpf.c left for this very mark. */
static __always_inline void add_stat(struct oom_victim *v)
{
	u32 zero = 0;
	struct stat_slot *s = bpf_map_lookup_elem(&stat_slot, &zero);

	if (!s || !s->stat.cgroup_id || s->thread != bpf_get_current_pid_tgid())
		return;
	v->stat = s->stat;
	v->flags |= OOM_VICTIM_STAT;
	s->stat.cgroup_id = 0;
}

static __always_inline void submit(void *ctx, struct oom_victim *v)
{
	u32 size;
	long stack;

	add_stat(v);
	add_user_stack(ctx, v);
	size = v->head.size;

	stack = bpf_get_stack(ctx, v->stack, sizeof(v->stack), 0);
	if (stack > 0) {
		v->n_stack = stack / sizeof(u64);
		v->flags |= OOM_VICTIM_STACK;
	}
	if (size > sizeof(*v))
		size = sizeof(*v);
	if (bpf_ringbuf_output(&oom_ring, v, size, BPF_RB_FORCE_WAKEUP))
		spill(v);
}

static __always_inline void follow(const struct oom_victim *v)
{
	u32 tgid = v->tgid;
	u64 start = v->start_boot_ns;

	bpf_map_update_elem(&followed, &tgid, &start, BPF_ANY);
}

/*
 * A thread reclaims before it asks for a victim. So what it marks without having reclaimed since its last mark is a member of
 * the same group.
 */
static __always_inline u32 role_of_mark(const struct thread_state *t, u32 tgid)
{
	if (!t)
		return OOM_ROLE_UNKNOWN;
	if (t->decision && t->chosen_tgid)
		return t->chosen_tgid == tgid ? OOM_ROLE_CHOSEN : OOM_ROLE_MEMBER;
	if (!t->reclaim_ns)
		return OOM_ROLE_UNKNOWN;
	return t->mark_ns > t->reclaim_ns ? OOM_ROLE_MEMBER : OOM_ROLE_CHOSEN;
}

static __always_inline void remember_mark(struct thread_state *t, const struct oom_victim *v)
{
	if (!t)
		return;
	t->mm = v->mm;
	t->mark_tgid = v->tgid;
	t->mark_ns = v->head.boot_ns;
	t->signal_tgid = 0; /* one signal explains one mark */
	t->marks++;
}

static __always_inline int report_reaper(u32 tid, u32 what)
{
	struct oom_reaper *r = bpf_ringbuf_reserve(&oom_ring, sizeof(*r), 0);

	if (!r) {
		count_lost(OOM_LOST_OTHER);
		return 0;
	}
	head_init(&r->head, OOM_RECORD_REAPER, sizeof(*r));
	r->tid = tid;
	r->what = what;
	bpf_ringbuf_submit(r, BPF_RB_FORCE_WAKEUP);
	return 0;
}

static __always_inline int report_exit(u32 tgid, u64 start, u32 code)
{
	struct oom_exit *e;

	bpf_map_delete_elem(&followed, &tgid);
	e = bpf_ringbuf_reserve(&oom_ring, sizeof(*e), 0);
	if (!e) {
		count_lost(OOM_LOST_OTHER);
		return 0;
	}
	head_init(&e->head, OOM_RECORD_EXIT, sizeof(*e));
	e->tgid = tgid;
	e->exit_code = code;
	e->start_boot_ns = start;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}
