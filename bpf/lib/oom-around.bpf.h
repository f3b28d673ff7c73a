/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happens around a decision: reclaim before it, limit hits, reaping and exits after it, command lines long before
 *
 * The tp_btf and fentry programs use typed loads only, so one build serves under every lockdown.
 */
#pragma once
#include "oom-victim.bpf.h"

HASH(limit_hits, BPF_MAP_TYPE_LRU_HASH, 2048, u64, struct oom_limit_hits);
ARRAY(no_args, 1, struct oom_args_value); /* never written: a source of zeros */

/* --- oom_reclaim: what this thread asked for last --- */

static __always_inline int note_reclaim(u16 kind, int order, u32 gfp, u64 memcg,
					const enum read_how how)
{
	struct thread_state *t = this_thread(true, current_start(how));

	if (!t)
		return 0;
	t->reclaim_kind = kind;
	t->reclaim_order = order;
	t->reclaim_gfp = gfp;
	t->reclaim_cgroup = memcg;
	t->reclaim_ns = bpf_ktime_get_boot_ns();
	return 0;
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(on_reclaim_memcg_tp_btf, int order, gfp_t gfp)
{
	return note_reclaim(OOM_RECLAIM_MEMCG, order, gfp, 0, TYPED);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(on_reclaim_direct_tp_btf, int order, gfp_t gfp)
{
	return note_reclaim(OOM_RECLAIM_DIRECT, order, gfp, 0, TYPED);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(on_reclaim_memcg_tp_btf_memcg, gfp_t gfp, int order, struct mem_cgroup *memcg)
{
	return note_reclaim(OOM_RECLAIM_MEMCG, order, gfp, memcg_id(memcg, TYPED), TYPED);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(on_reclaim_direct_tp_btf_memcg, gfp_t gfp, int order, struct mem_cgroup *memcg)
{
	return note_reclaim(OOM_RECLAIM_DIRECT, order, gfp, memcg_id(memcg, TYPED), TYPED);
}

static __always_inline int raw_reclaim(const u64 *args, u16 kind)
{
	if (parameters.raw_reclaim_has_memcg)
		return note_reclaim(kind, (int)args[1], (u32)args[0],
				    memcg_id((void *)args[2], HELPER), HELPER);
	return note_reclaim(kind, (int)args[0], (u32)args[1], 0, HELPER);
}

SEC("raw_tp/mm_vmscan_memcg_reclaim_begin")
int on_reclaim_memcg_raw_tp(u64 *ctx)
{
	return raw_reclaim(ctx, OOM_RECLAIM_MEMCG);
}

SEC("raw_tp/mm_vmscan_direct_reclaim_begin")
int on_reclaim_direct_raw_tp(u64 *ctx)
{
	return raw_reclaim(ctx, OOM_RECLAIM_DIRECT);
}

/* --- oom_limit --- */

#define IS_EVENT(event, name)                                         \
	(bpf_core_enum_value_exists(enum memcg_memory_event, name) && \
	 (event) == bpf_core_enum_value(enum memcg_memory_event, name))

static __always_inline int count_limit(struct mem_cgroup *memcg, int event, const enum read_how how)
{
	struct oom_limit_hits fresh = {}, *hits;
	u64 id;

	if (!IS_EVENT(event, MEMCG_MAX) && !IS_EVENT(event, MEMCG_OOM) &&
	    !IS_EVENT(event, MEMCG_OOM_GROUP_KILL))
		return 0;
	id = memcg_id(memcg, how);
	hits = bpf_map_lookup_elem(&limit_hits, &id);
	if (!hits) {
		bpf_map_update_elem(&limit_hits, &id, &fresh, BPF_NOEXIST);
		hits = bpf_map_lookup_elem(&limit_hits, &id);
		if (!hits)
			return 0;
	}
	if (IS_EVENT(event, MEMCG_MAX))
		__sync_fetch_and_add(&hits->hits[OOM_LIMIT_MAX], 1);
	else if (IS_EVENT(event, MEMCG_OOM))
		__sync_fetch_and_add(&hits->hits[OOM_LIMIT_OOM], 1);
	else
		__sync_fetch_and_add(&hits->hits[OOM_LIMIT_GROUP_KILL], 1);
	return 0;
}

SEC("fentry/__memcg_memory_event")
int BPF_PROG(on_limit_fentry, struct mem_cgroup *memcg, int event)
{
	return count_limit(memcg, event, TYPED);
}

SEC("kprobe/__memcg_memory_event")
int BPF_KPROBE(on_limit_kprobe, struct mem_cgroup *memcg, int event)
{
	return count_limit(memcg, event, HELPER);
}

/* --- oom_reaper --- */

#define REAPER(point, what)                              \
	SEC("tp_btf/" #point)                            \
	int BPF_PROG(on_##point##_tp_btf, int pid)       \
	{                                                \
		return report_reaper(pid, what);         \
	}                                                \
	SEC("raw_tp/" #point)                            \
	int on_##point##_raw_tp(u64 *ctx)                \
	{                                                \
		return report_reaper((u32)ctx[0], what); \
	}

REAPER(wake_reaper, OOM_REAPER_WAKE)
REAPER(start_task_reaping, OOM_REAPER_START)
REAPER(finish_task_reaping, OOM_REAPER_FINISH)
REAPER(skip_task_reaping, OOM_REAPER_SKIP)

/* --- oom_exit: only of victims --- */

static __always_inline int check_exit(struct task_struct *task, const enum read_how how)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u64 *start = bpf_map_lookup_elem(&followed, &tgid);
	struct signal_struct *signal;
	struct task_struct *leader;

	if (!start)
		return 0;
	signal = READ(how, task, signal);
	leader = READ(how, task, group_leader);
	/* Counted down before the tracepoint: 0 means that this was the last thread. */
	if (!signal || !leader || READ(how, signal, live.counter) != 0)
		return 0;
	if (*start && READ(how, leader, start_boottime) != *start)
		return 0;
	return report_exit(tgid, READ(how, leader, start_boottime),
			   READ(how, signal, group_exit_code));
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit_tp_btf, struct task_struct *task)
{
	return check_exit(task, TYPED);
}

SEC("raw_tp/sched_process_exit")
int on_exit_raw_tp(u64 *ctx)
{
	return check_exit((void *)ctx[0], HELPER);
}

/* --- oom_args: the command line, taken while the new program still stands at its first instruction --- */

static __always_inline int note_exec(struct task_struct *task, const enum read_how how)
{
	struct mm_struct *mm = READ(how, task, mm);
	struct task_struct *leader = READ(how, task, group_leader);
	struct oom_args_value *a;
	struct oom_args_key key = {};
	unsigned long start, end;
	u32 zero = 0, len = parameters.args_bytes;

	if (!mm || !leader)
		return 0;
	start = READ(how, mm, arg_start);
	end = READ(how, mm, arg_end);
	if (end <= start)
		return 0;
	if (len > end - start)
		len = end - start;
	if (len > OOM_ARGS_MAX)
		len = OOM_ARGS_MAX;
	if (len == 0)
		return 0;
	key.tgid = READ(how, task, tgid);
	key.start_ticks = READ(how, leader, start_boottime) / OOM_TICK_NS;
	/* Filled in place: no buffer that another exec on this CPU could write to (v7.0: tracepoints may be preempted). */
	a = bpf_map_lookup_elem(&no_args, &zero);
	if (!a || bpf_map_update_elem(&oom_args, &key, a, BPF_ANY))
		return 0;
	a = bpf_map_lookup_elem(&oom_args, &key);
	if (!a)
		return 0;
	if (bpf_probe_read_user(a->data, len, (void *)start) == 0)
		a->length = len;
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec_tp_btf, struct task_struct *task)
{
	return note_exec(task, TYPED);
}

SEC("raw_tp/sched_process_exec")
int on_exec_raw_tp(u64 *ctx)
{
	return note_exec((void *)ctx[0], HELPER);
}
