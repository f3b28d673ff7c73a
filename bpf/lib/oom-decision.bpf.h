/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions of the OOM code itself: what was decided, attempted, and how long it took
 *
 * fentry or kprobe, where the kernel has them. The fentry programs of out_of_memory() use typed loads only.
 */
#pragma once
#include "oom-victim.bpf.h"

static __always_inline void decision_path(struct oom_decision *d, struct mem_cgroup *memcg)
{
	u32 pos = oom_path_of_kernfs((u64)BPF_CORE_READ(memcg, css.cgroup, kn)), len;
	struct path_scratch *s = path_buffer();

	pos &= PATH_BYTES - 1;
	len = PATH_BYTES - 1 - pos;
	if (!s || len == 0 || bpf_probe_read_kernel(d->text, len, &s->data[pos]))
		return;
	d->path.length = len;
	d->head.size += len;
}

static __always_inline int report_decision(struct oom_control *oc, const enum read_how how)
{
	struct thread_state *t = this_thread(true, current_start(how));
	struct mem_cgroup *memcg = READ(how, oc, memcg);
	struct task_struct *chosen = READ(how, oc, chosen);
	struct oom_decision *d;
	u64 ids = bpf_get_current_pid_tgid(), number = next_number(NUMBER_DECISION);

	if (t) {
		t->decision = number;
		t->decision_cgroup = memcg_id(memcg, how);
		t->chosen_tgid = chosen ? READ(how, chosen, tgid) : 0;
		t->mark_ns = 0; /* what was marked before explains no shared mm */
	}
	d = bpf_ringbuf_reserve(&oom_ring, sizeof(*d), 0);
	if (!d) {
		count_lost(OOM_LOST_OTHER);
		return 0;
	}
	__builtin_memset(d, 0, __builtin_offsetof(struct oom_decision, text));
	head_init(&d->head, OOM_RECORD_DECISION, __builtin_offsetof(struct oom_decision, text));
	d->decision = number;
	d->trigger_tgid = ids >> 32;
	d->trigger_tid = (u32)ids;
	d->chosen_tgid = chosen ? READ(how, chosen, tgid) : 0;
	d->constraint = READ(how, oc, constraint);
	d->totalpages = READ(how, oc, totalpages);
	d->gfp = READ(how, oc, gfp_mask);
	d->order = READ(how, oc, order);
	d->points = READ(how, oc, chosen_points);
	d->memcg_id = memcg_id(memcg, how);
	if (memcg && how != TYPED)
		decision_path(d, memcg);
	bpf_ringbuf_submit(d, BPF_RB_FORCE_WAKEUP);
	return 0;
}

SEC("fentry/oom_kill_process")
int BPF_PROG(on_decision_fentry, struct oom_control *oc)
{
	return report_decision(oc, HELPER);
}

SEC("fentry/oom_kill_process")
int BPF_PROG(on_decision_fentry_direct, struct oom_control *oc)
{
	return report_decision(oc, TYPED);
}

SEC("kprobe/oom_kill_process")
int BPF_KPROBE(on_decision_kprobe, struct oom_control *oc)
{
	return report_decision(oc, HELPER);
}

static __always_inline int report_attempt(struct task_struct *task, const char *message)
{
	struct thread_state *t = this_thread(false, current_start(HELPER));
	struct oom_attempt *a = bpf_ringbuf_reserve(&oom_ring, sizeof(*a), 0);
	long len;

	if (!a) {
		count_lost(OOM_LOST_OTHER);
		return 0;
	}
	__builtin_memset(a, 0, sizeof(*a));
	head_init(&a->head, OOM_RECORD_ATTEMPT, sizeof(*a));
	a->decision = t ? t->decision : 0;
	a->tgid = BPF_CORE_READ(task, tgid);
	a->trigger_tid = (u32)bpf_get_current_pid_tgid();
	len = bpf_probe_read_kernel_str(a->text, sizeof(a->text), message);
	a->message.length = len > 1 ? len - 1 : 0;
	bpf_ringbuf_submit(a, 0);
	return 0;
}

SEC("fentry/__oom_kill_process")
int BPF_PROG(on_attempt_fentry, struct task_struct *task, const char *message)
{
	return report_attempt(task, message);
}

SEC("kprobe/__oom_kill_process")
int BPF_KPROBE(on_attempt_kprobe, struct task_struct *task, const char *message)
{
	return report_attempt(task, message);
}

static __always_inline int enter_invoke(struct oom_control *oc, const enum read_how how)
{
	struct thread_state *t = this_thread(true, current_start(how));

	if (!t)
		return 0;
	t->invoke_ns = bpf_ktime_get_boot_ns();
	t->invoke_memcg = memcg_id(READ(how, oc, memcg), how);
	t->marks = 0;
	t->decision = 0;
	t->mark_ns = 0;
	return 0;
}

static __always_inline int leave_invoke(u32 result, const enum read_how how)
{
	struct thread_state *t = this_thread(false, current_start(how));
	struct oom_invoke *r;
	u64 ids = bpf_get_current_pid_tgid();

	if (!t || !t->invoke_ns)
		return 0;
	r = bpf_ringbuf_reserve(&oom_ring, sizeof(*r), 0);
	if (!r) {
		count_lost(OOM_LOST_OTHER);
		return 0;
	}
	head_init(&r->head, OOM_RECORD_INVOKE, sizeof(*r));
	r->duration_ns = r->head.boot_ns - t->invoke_ns;
	r->memcg_id = t->invoke_memcg;
	r->decision = t->decision;
	r->trigger_tgid = ids >> 32;
	r->trigger_tid = (u32)ids;
	r->result = result;
	r->marks = t->marks;
	t->invoke_ns = 0;
	bpf_ringbuf_submit(r, BPF_RB_FORCE_WAKEUP);
	return 0;
}

SEC("fentry/out_of_memory")
int BPF_PROG(on_invoke_fentry, struct oom_control *oc)
{
	return enter_invoke(oc, TYPED);
}

SEC("fexit/out_of_memory")
int BPF_PROG(on_invoke_fexit, struct oom_control *oc, bool result)
{
	return leave_invoke(result, TYPED);
}

SEC("kprobe/out_of_memory")
int BPF_KPROBE(on_invoke_kprobe, struct oom_control *oc)
{
	return enter_invoke(oc, HELPER);
}

SEC("kretprobe/out_of_memory")
int BPF_KRETPROBE(on_invoke_kretprobe, long result)
{
	return leave_invoke((u32)result & 0xff, HELPER);
}
