/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The snapshot of a victim and of the task that triggered the decision
 *
 * @how as in lib/compat.bpf.h. A snapshot by typed loads alone has no path text; all else is there, but for counters and levels
 * on kernels that cannot cast.
 */
#pragma once
#include "oom-state.bpf.h"
#include "oom-text.bpf.h"
#include "cgroup.bpf.h"
#include "path.bpf.h"
#include "task.bpf.h"

/* Start of the running thread, 0 = cannot be read here. */
static __always_inline u64 current_start(const enum read_how how)
{
	if (how != HELPER && has_current_btf())
		return ((struct task_struct *)bpf_get_current_task_btf())->start_boottime;
	if (how == TYPED)
		return 0;
	return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), start_boottime);
}

/* --- numbers --- */

static __always_inline void add_memory(struct oom_victim *v, struct mm_struct *mm,
				       const enum read_how how)
{
	v->mm = (u64)mm;
	if (HAS_OLD_COUNTERS(mm))
		v->flags |= OOM_VICTIM_RSS_PER_THREAD;
	v->rss_anon = MM_COUNTER(how, mm, MM_ANONPAGES);
	v->rss_file = MM_COUNTER(how, mm, MM_FILEPAGES);
	v->rss_shmem = MM_COUNTER(how, mm, MM_SHMEMPAGES);
	v->swap = MM_COUNTER(how, mm, MM_SWAPENTS);
	v->total_vm = READ(how, mm, total_vm);
	v->pgtables_bytes = READ(how, mm, pgtables_bytes.counter);
}

static __always_inline u64 limit_of(u64 max)
{
	/* PAGE_COUNTER_MAX is LONG_MAX / PAGE_SIZE: the smallest page is 4 KiB, the largest 64 KiB. */
	return max >= (1ULL << 46) ? OOM_UNKNOWN64 : max;
}

/* An array of a typedef, which typed loads cannot walk: seen as the counter that each element is. */
static __always_inline u64 memcg_oom_events(struct mem_cgroup *memcg, volatile u64 *slot,
					    const enum read_how how)
{
	u64 at = bpf_core_field_offset(struct mem_cgroup, memory_events_local), n = 0;
	struct page_counter *counter;

	if (bpf_core_enum_value_exists(enum memcg_memory_event, MEMCG_OOM))
		at += bpf_core_enum_value(enum memcg_memory_event, MEMCG_OOM) *
		      sizeof(atomic_long_t);
	if (how == HELPER) {
		bpf_probe_read_kernel(&n, sizeof(n), (void *)memcg + at);
		return n;
	}
	at += plain_address(memcg, slot) - bpf_core_field_offset(struct page_counter, usage);
	counter = bpf_rdonly_cast((void *)at, bpf_core_type_id_kernel(struct page_counter));
	return counter ? READ(TYPED, counter, usage.counter) : 0;
}

static __always_inline void add_level(struct oom_level *l, struct mem_cgroup *memcg, bool v1,
				      const enum read_how how)
{
	l->oom_events = memcg_oom_events(memcg, &l->oom_events, how);
	l->id = memcg_id(memcg, how);
	l->usage = READ(how, memcg, memory.usage.counter);
	l->max = limit_of(READ(how, memcg, memory.max));
	l->oom_group = READ(how, memcg, oom_group);
	if (v1) {
		l->swap_usage = READ(how, memcg, memsw.usage.counter);
		l->swap_max = limit_of(READ(how, memcg, memsw.max));
		l->oom_count = READ(how, memcg, memory.failcnt);
		l->swap_count = READ(how, memcg, memsw.failcnt);
	} else {
		l->swap_usage = READ(how, memcg, swap.usage.counter);
		l->swap_max = limit_of(READ(how, memcg, swap.max));
		l->oom_count = l->oom_events;
	}
}

static __always_inline void add_levels(struct oom_victim *v, struct cgroup_subsys_state *css,
				       const enum read_how how)
{
	bool v1 = css_on_v1(css, how);

	if (v1)
		v->flags |= OOM_VICTIM_V1;
	for (int i = 0; i < OOM_LEVELS_MAX; i++) {
		struct mem_cgroup *memcg = css_memcg(css, how);

		if (!memcg)
			return;
		add_level(&v->levels[i], memcg, v1, how);
		v->n_levels = i + 1;
		css = READ(how, css, parent);
		if (!css)
			return;
	}
	v->flags |= OOM_VICTIM_LEVELS_CUT;
}

static __always_inline void add_ancestors(struct oom_victim *v, struct task_struct *leader,
					  const enum read_how how)
{
	struct task_struct *task = leader;

	for (int i = 0; i < OOM_ANCESTORS_MAX; i++) {
		struct oom_ancestor *a = &v->ancestors[i];

		task = task_parent(task, how);
		if (!task)
			return;
		a->pid = READ(how, task, tgid);
		if (a->pid == 0)
			return;
		a->start_boot_ns = READ(how, task, start_boottime);
		task_comm(task, a->comm, how);
		v->n_ancestors = i + 1;
	}
}

/* Subprograms like those of oom-text.bpf.h. */
__noinline int oom_add_levels(u64 css)
{
	struct oom_victim *v = record_in_work();

	if (v && css)
		add_levels(v, (void *)css, HELPER);
	return 0;
}

__noinline int oom_add_ancestors(u64 leader)
{
	struct oom_victim *v = record_in_work();

	if (v)
		add_ancestors(v, (void *)leader, HELPER);
	return 0;
}

/* An address as subprograms take it. There is no text yet, so its place serves to make a number of a typed pointer. */
static __always_inline u64 number_of(struct oom_victim *v, const void *p, const enum read_how how)
{
	return how == MIXED ? plain_address(p, (u64 *)v->text) : (u64)p;
}

static __always_inline void add_texts(struct oom_victim *v, struct task_struct *leader,
				      struct cgroup_subsys_state *css, struct mm_struct *mm,
				      const enum read_how how)
{
	u64 leader_at = number_of(v, leader, how), mm_at = number_of(v, mm, how);
	u64 css_at = number_of(v, css, how);

	if (css_at)
		oom_add_cgroup_path(
			(u64)BPF_CORE_READ((struct cgroup_subsys_state *)css_at, cgroup, kn));
	oom_add_exe(leader_at, mm_at);
	oom_add_args(leader_at, mm_at);
	oom_add_cwd(leader_at);
}

static __always_inline void add_victim(struct oom_victim *v, struct task_struct *task,
				       const enum read_how how)
{
	struct task_struct *leader = READ(how, task, group_leader), *parent;
	struct signal_struct *signal = READ(how, task, signal);
	struct cgroup_subsys_state *css = task_memory_css(task, how);
	struct mm_struct *mm = READ(how, task, mm);

	if (!leader || !signal)
		return;
	v->tgid = READ(how, task, tgid);
	v->tid = READ(how, task, pid);
	v->vpid = task_vpid(leader, &v->mm, how);
	parent = task_parent(leader, how);
	v->ppid = parent ? READ(how, parent, tgid) : 0;
	v->start_boot_ns = READ(how, leader, start_boottime);
	v->uid = task_uid(task, how);
	v->adj = READ(how, signal, oom_score_adj);
	v->threads = READ(how, signal, nr_threads);
	task_comm(leader, v->comm, how);
	v->flags |= OOM_VICTIM_SNAPSHOT;
	if (mm)
		add_memory(v, mm, how);
	if (css)
		v->cgroup_id = css_id(css, how);
	v->cgroup2_id = task_cgroup2_id(task, how);
	if (how != HELPER)
		add_ancestors(v, leader, TYPED);
	else
		oom_add_ancestors((u64)leader);
	if (css && how != HELPER && (how == TYPED || CAN_CAST))
		add_levels(v, css, TYPED);
	else if (css)
		oom_add_levels(number_of(v, css, how));
	if (how == TYPED)
		add_args_direct(v, leader);
	else
		add_texts(v, leader, css, mm, how);
}

/* --- the trigger --- */

static __always_inline void add_trigger_task(struct oom_victim *v, struct task_struct *current,
					     const enum read_how how)
{
	struct task_struct *leader = READ(how, current, group_leader);
	struct mm_struct *mm = READ(how, current, mm);

	v->trigger_start_boot_ns = leader ? READ(how, leader, start_boottime) : 0;
	v->trigger_cgroup_id = css_id(task_memory_css(current, how), how);
	if (READ(how, current, flags) & PF_KTHREAD)
		v->flags |= OOM_VICTIM_TRIGGER_KTHREAD;
	if (mm && (u64)mm == v->mm)
		v->flags |= OOM_VICTIM_SAME_MM;
}

static __always_inline void add_trigger(struct oom_victim *v, const struct thread_state *t,
					const enum read_how how)
{
	u64 ids = bpf_get_current_pid_tgid();

	v->trigger_tgid = ids >> 32;
	v->trigger_tid = (u32)ids;
	bpf_get_current_comm(v->trigger_comm, sizeof(v->trigger_comm));
	if (how != HELPER && has_current_btf())
		add_trigger_task(v, bpf_get_current_task_btf(), TYPED);
	else if (how != TYPED)
		add_trigger_task(v, (void *)bpf_get_current_task(), HELPER);
	if (!t)
		return;
	v->decision = t->decision;
	if (t->decision)
		v->flags |= OOM_VICTIM_DECISION;
	if (t->reclaim_kind && v->head.boot_ns - t->reclaim_ns < RECLAIM_MAX_AGE_NS) {
		v->flags |= OOM_VICTIM_RECLAIM;
		v->reclaim_kind = t->reclaim_kind;
		v->reclaim_gfp = t->reclaim_gfp;
		v->reclaim_order = t->reclaim_order;
		v->reclaim_cgroup_id = t->reclaim_cgroup;
	}
}

/* While @v still lies in the buffer of the record in work. */
static __always_inline void add_trigger_text(const struct oom_victim *v, const enum read_how how)
{
	if (how != TYPED && bpf_get_current_pid_tgid() >> 32 != v->tgid)
		oom_add_trigger_exe(bpf_get_current_task());
}
