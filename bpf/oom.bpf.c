/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * OOM kills, seen from the kernel's own OOM code
 *
 * mark_oom_victim() fires the tracepoint oom:mark_victim once per marked thread, for every kind of victim, with `current` the
 * task whose allocation failed. The SIGKILL comes before the mark, by signal:signal_generate with SEND_SIG_PRIV; it tells
 * kills from mere marks and shows processes that die because they share the mm.
 *
 * Several programs serve one purpose; the loader switches on one per capability (src/agent/oom/capabilities.c).
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "oom-around.bpf.h"
#include "oom-decision.bpf.h"
#include "oom-plain.bpf.h"
#include "oom-state.bpf.h"
#include "oom-victim.bpf.h"

#define SEND_SIG_PRIV 1
#define SHARED_MM_WINDOW_NS \
	1000000000ULL /* SIGKILLs to sharers of the mm follow the mark at once */

/*
 * Snapshots taken at the SIGKILL, for a mark that brings only a thread id. LRU: the kernel also sends such signals when a
 * pid namespace ends, and no mark ever fetches those.
 */
HASH(stash, BPF_MAP_TYPE_LRU_HASH, 128, u64, struct oom_victim);

/* --- oom_kill --- */

static __always_inline int report_mark(void *ctx, struct task_struct *task, const enum read_how how)
{
	struct thread_state *t = this_thread(true, current_start(how));
	struct oom_victim *v = new_victim();

	if (!v)
		return 0;
	add_victim(v, task, how);
	add_trigger(v, t, how);
	add_trigger_text(v, how);
	if (!parameters.signals_seen)
		v->kind = OOM_VICTIM_UNSURE;
	else if (t && t->signal_ns && t->signal_tgid == v->tgid)
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

/* The tracepoint brings a thread id only: the rest was stashed at the SIGKILL to the same thread. */
static __always_inline int report_mark_tid(void *ctx, u32 tid, const enum read_how how)
{
	struct thread_state *t = this_thread(true, current_start(how));
	u64 key = bpf_get_current_pid_tgid();
	struct oom_victim *v = bpf_map_lookup_elem(&stash, &key);
	bool stashed = v && v->tid == tid;

	if (stashed) {
		head_init(&v->head, OOM_RECORD_VICTIM, v->head.size);
	} else {
		v = new_victim();
		if (!v)
			return 0;
		victim_unknown(v);
		v->tgid = v->tid = tid; /* nothing better is known: user space looks it up */
	}
	add_trigger(v, t, how);
	if (!parameters.signals_seen)
		v->kind = OOM_VICTIM_UNSURE;
	else
		v->kind = stashed ? OOM_VICTIM_KILL : OOM_VICTIM_RESERVE;
	v->role = role_of_mark(t, v->tgid);
	remember_mark(t, v);
	if (v->kind != OOM_VICTIM_RESERVE)
		follow(v);
	submit(ctx, v);
	if (stashed)
		bpf_map_delete_elem(&stash, &key);
	return 0;
}

SEC("tp_btf/mark_victim")
int BPF_PROG(on_mark_tp_btf_task, struct task_struct *task)
{
	return report_mark(ctx, task, MIXED);
}

SEC("tp_btf/mark_victim")
int BPF_PROG(on_mark_tp_btf_task_direct, struct task_struct *task)
{
	return report_mark(ctx, task, TYPED);
}

SEC("tp_btf/mark_victim")
int BPF_PROG(on_mark_tp_btf_pid, int pid)
{
	return report_mark_tid(ctx, pid, MIXED);
}

SEC("tp_btf/mark_victim")
int BPF_PROG(on_mark_tp_btf_pid_direct, int pid)
{
	return report_mark_tid(ctx, pid, TYPED);
}

SEC("raw_tp/mark_victim")
int on_mark_raw_tp(u64 *ctx)
{
	if (parameters.raw_mark_is_task)
		return report_mark(ctx, (void *)ctx[0], HELPER);
	return report_mark_tid(ctx, (u32)ctx[0], HELPER);
}

/* --- oom_signal --- */

static __always_inline bool shares_marked_mm(const struct thread_state *t, u32 tgid,
					     const struct mm_struct *mm, u64 now)
{
	return t->mark_ns && t->mark_tgid != tgid && mm && (u64)mm == t->mm &&
	       now - t->mark_ns < SHARED_MM_WINDOW_NS;
}

static __always_inline int report_signal(void *ctx, struct task_struct *task,
					 const enum read_how how)
{
	struct thread_state *t = this_thread(true, current_start(how));
	struct mm_struct *mm = READ(how, task, mm);
	u32 tgid = READ(how, task, tgid);
	u64 key = bpf_get_current_pid_tgid(), now = bpf_ktime_get_boot_ns();
	struct oom_victim *v;
	bool shared;

	if (!t)
		return 0;
	shared = shares_marked_mm(t, tgid, mm, now);
	t->signal_tgid = tgid; /* also of a sharer: as a group member it may be marked next */
	t->signal_ns = now;
	if (!shared && !parameters.stash_victims)
		return 0;
	v = new_victim();
	if (!v)
		return 0;
	add_victim(v, task, how);
	add_trigger_text(v, how);
	if (!shared) {
		bpf_map_update_elem(&stash, &key, v, BPF_ANY);
		return 0;
	}
	add_trigger(v, t, how);
	v->kind = OOM_VICTIM_SHARED_MM;
	follow(v);
	submit(ctx, v);
	return 0;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal_tp_btf, int sig, struct kernel_siginfo *info, struct task_struct *task)
{
	if (sig != SIGKILL || (u64)info != SEND_SIG_PRIV)
		return 0;
	return report_signal(ctx, task, MIXED);
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal_tp_btf_direct, int sig, struct kernel_siginfo *info,
	     struct task_struct *task)
{
	if (sig != SIGKILL || (u64)info != SEND_SIG_PRIV)
		return 0;
	return report_signal(ctx, task, TYPED);
}

SEC("raw_tp/signal_generate")
int on_signal_raw_tp(u64 *ctx)
{
	if ((int)ctx[0] != SIGKILL || ctx[1] != SEND_SIG_PRIV)
		return 0;
	return report_signal(ctx, (void *)ctx[2], HELPER);
}

char LICENSE[] SEC("license") = "GPL";
