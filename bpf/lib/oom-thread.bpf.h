/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What threads did in the OOM code, and memory.stat on its way into a record
 *
 * Apart from the other maps, because bpf/oom-stat.bpf.c shares these and no more.
 */
#pragma once
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "bpf/api/oom.h"
#include "ring.bpf.h"

#define RECLAIM_MAX_AGE_NS (120 * 1000000000ULL)

/* What this thread did last in the OOM code. */
struct thread_state {
	u64 start_ns; /* boot time at which the thread began: a thread id may have been given again; 0 = not known */
	u64 signal_ns; /* last OOM SIGKILL */
	u64 mark_ns;
	u64 mm; /* of the last marked victim */
	u64 decision;
	u64 decision_cgroup; /* limiting cgroup of that decision, 0 = none */
	u64 invoke_ns; /* entry of out_of_memory() */
	u64 invoke_memcg;
	u32 signal_tgid; /* thread group that got the last OOM SIGKILL; plain programs: the thread */
	u32 mark_tgid;
	u32 marks;
	u32 reclaim_gfp;
	u64 reclaim_cgroup;
	u64 reclaim_ns;
	s16 reclaim_order;
	u16 reclaim_kind;
	u32 chosen_tgid; /* of that decision */
};

/* memory.stat for the mark that is being handled. oom_lock serialises decisions of the whole host, so one is enough. */
struct stat_slot {
	u64 thread; /* as bpf_get_current_pid_tgid() tells it */
	struct oom_stat stat;
};

HASH(threads, BPF_MAP_TYPE_LRU_HASH, 4096, u64, struct thread_state);
ARRAY(stat_slot, 1, struct stat_slot);

/* State of the running thread. @start 0: the program cannot tell, so an old entry is believed. NULL: @create is false, or full. */
static __always_inline struct thread_state *this_thread(bool create, u64 start)
{
	u64 key = bpf_get_current_pid_tgid();
	struct thread_state *t = bpf_map_lookup_elem(&threads, &key);
	struct thread_state fresh = { .start_ns = start };

	if (t && start && t->start_ns && t->start_ns != start) {
		if (!create)
			return NULL;
		bpf_map_update_elem(&threads, &key, &fresh, BPF_ANY);
		return bpf_map_lookup_elem(&threads, &key);
	}
	if (t || !create)
		return t;
	bpf_map_update_elem(&threads, &key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads, &key);
}
