/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs on classic tracepoints
 *
 * They look at nothing but the payload, at offsets that user space found in the format file, so they also run where the
 * kernel has no BTF. The mark and the signal name a thread; its thread group is for user space to find.
 */
#pragma once
#include "oom-state.bpf.h"

#define PAYLOAD_MAX 512
#define COMMON_FIELDS 8 /* bytes before the first field of any event */

static __always_inline u64 payload(const void *ctx, s32 offset, u32 size)
{
	u64 v = 0;

	if (offset < COMMON_FIELDS || offset > PAYLOAD_MAX)
		return 0;
	bpf_probe_read_kernel(&v, size, ctx + offset);
	return v;
}

SEC("tp/oom/mark_victim")
int on_mark_tracepoint(void *ctx)
{
	const volatile struct oom_mark_offsets *at = &parameters.mark;
	u32 kib = parameters.page_kib ? parameters.page_kib : 4;
	u64 ids = bpf_get_current_pid_tgid();
	struct thread_state *t = this_thread(true, 0);
	struct oom_victim *v = new_victim();
	u32 comm;

	if (!v)
		return 0;
	victim_unknown(v);
	v->tid = v->tgid = payload(ctx, at->pid, 4);
	v->trigger_tgid = ids >> 32;
	v->trigger_tid = (u32)ids;
	bpf_get_current_comm(v->trigger_comm, sizeof(v->trigger_comm));
	if (at->uid >= 0)
		v->uid = payload(ctx, at->uid, 4);
	v->adj = (s16)payload(ctx, at->adj, 2);
	if (at->anon >= 0) { /* the old layout has the pid alone */
		v->rss_anon = payload(ctx, at->anon, 8) / kib;
		v->rss_file = payload(ctx, at->file, 8) / kib;
		v->rss_shmem = payload(ctx, at->shmem, 8) / kib;
		v->total_vm = payload(ctx, at->total_vm, 8) / kib;
		v->pgtables_bytes = payload(ctx, at->pgtables, 8) * 1024;
	}
	comm = payload(ctx, at->comm, 4) & 0xffff; /* __data_loc: length << 16 | offset */
	if (at->comm >= 0 && comm < PAYLOAD_MAX)
		bpf_probe_read_kernel_str(v->comm, sizeof(v->comm), ctx + comm);
	if (!parameters.signals_seen)
		v->kind = OOM_VICTIM_UNSURE;
	else if (t && t->signal_ns && t->signal_tgid == v->tid)
		v->kind = OOM_VICTIM_KILL;
	else
		v->kind = OOM_VICTIM_RESERVE;
	v->role = role_of_mark(t, v->tgid);
	remember_mark(t, v);
	if (v->kind != OOM_VICTIM_RESERVE)
		follow(v);
	submit(ctx, v);
	return 0;
}

SEC("tp/signal/signal_generate")
int on_signal_tracepoint(void *ctx)
{
	const volatile struct oom_signal_offsets *at = &parameters.signal;
	struct thread_state *t;

	if ((int)payload(ctx, at->sig, 4) != SIGKILL || (int)payload(ctx, at->code, 4) != SI_KERNEL)
		return 0;
	t = this_thread(true, 0);
	if (!t)
		return 0;
	t->signal_tgid = payload(ctx, at->pid, 4);
	t->signal_ns = bpf_ktime_get_boot_ns();
	return 0;
}

#define REAPER_TRACEPOINT(point, what)                                           \
	SEC("tp/oom/" #point)                                                    \
	int on_##point##_tracepoint(void *ctx)                                   \
	{                                                                        \
		return report_reaper((u32)payload(ctx, COMMON_FIELDS, 4), what); \
	}

REAPER_TRACEPOINT(wake_reaper, OOM_REAPER_WAKE)
REAPER_TRACEPOINT(start_task_reaping, OOM_REAPER_START)
REAPER_TRACEPOINT(finish_task_reaping, OOM_REAPER_FINISH)
REAPER_TRACEPOINT(skip_task_reaping, OOM_REAPER_SKIP)

/* Followed under what the mark named. Older kernels do not say which thread is the last: then the one that was marked counts. */
SEC("tp/sched/sched_process_exit")
int on_exit_tracepoint(void *ctx)
{
	u64 ids = bpf_get_current_pid_tgid();
	u32 tgid = ids >> 32, tid = (u32)ids;
	u64 *start = bpf_map_lookup_elem(&followed, &tgid);

	if (!start)
		return 0;
	if (parameters.exit_group_dead >= 0 ? !payload(ctx, parameters.exit_group_dead, 1)
					    : tid != tgid)
		return 0;
	return report_exit(tgid, *start, 0);
}
