/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * memory.stat of the limiting cgroup at the mark itself
 *
 * v7.0 has functions for this that programs may call. An object of its own: libbpf refuses a whole object for one function that
 * the kernel declares otherwise, and these are no ABI. Attached before the program that reports the mark, which takes the numbers
 * out of stat_slot.
 *
 * The function that brings the counts of all CPUs together may sleep, so it is out of reach here. The kernel has just done that
 * itself when it printed the decision to its log; when it did not (it limits how often), user space sees that the parts do not
 * make up the usage, and reads the file.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "oom-thread.bpf.h"

extern struct cgroup *bpf_cgroup_from_id(u64 id) __ksym;
extern void bpf_cgroup_release(struct cgroup *cgrp) __ksym;
extern struct mem_cgroup *bpf_get_mem_cgroup(struct cgroup_subsys_state *css) __ksym;
extern void bpf_put_mem_cgroup(struct mem_cgroup *memcg) __ksym;
extern unsigned long bpf_mem_cgroup_usage(struct mem_cgroup *memcg) __ksym;
extern unsigned long bpf_mem_cgroup_page_state(struct mem_cgroup *memcg, int item) __ksym;
extern unsigned long bpf_mem_cgroup_vm_events(struct mem_cgroup *memcg,
					      enum vm_event_item item) __ksym;

#define VALUE(read, type, item)                                      \
	(bpf_core_enum_value_exists(enum type, item)                 \
		 ? read(memcg, bpf_core_enum_value(enum type, item)) \
		 : OOM_UNKNOWN64)
#define NODE(item) VALUE(bpf_mem_cgroup_page_state, node_stat_item, item)
#define MEMCG(item) VALUE(bpf_mem_cgroup_page_state, memcg_stat_item, item)

static __always_inline void fill(struct oom_stat *s, struct mem_cgroup *memcg)
{
	s->usage = bpf_mem_cgroup_usage(memcg);
	s->values[STAT_ANON] = NODE(NR_ANON_MAPPED);
	s->values[STAT_FILE] = NODE(NR_FILE_PAGES);
	s->values[STAT_SHMEM] = NODE(NR_SHMEM);
	s->values[STAT_KERNEL] = MEMCG(MEMCG_KMEM);
	s->values[STAT_KERNEL_STACK] = NODE(NR_KERNEL_STACK_KB);
	s->values[STAT_PAGETABLES] = NODE(NR_PAGETABLE);
	s->values[STAT_SOCK] = MEMCG(MEMCG_SOCK);
	s->values[STAT_SLAB_RECLAIMABLE] = NODE(NR_SLAB_RECLAIMABLE_B);
	s->values[STAT_SLAB_UNRECLAIMABLE] = NODE(NR_SLAB_UNRECLAIMABLE_B);
	s->values[STAT_FILE_MAPPED] = NODE(NR_FILE_MAPPED);
	s->values[STAT_FILE_DIRTY] = NODE(NR_FILE_DIRTY);
	s->values[STAT_UNEVICTABLE] = NODE(NR_UNEVICTABLE);
	s->values[STAT_INACTIVE_FILE] = NODE(NR_INACTIVE_FILE);
	s->values[STAT_ACTIVE_FILE] = NODE(NR_ACTIVE_FILE);
	s->values[STAT_INACTIVE_ANON] = NODE(NR_INACTIVE_ANON);
	s->values[STAT_ACTIVE_ANON] = NODE(NR_ACTIVE_ANON);
	s->values[STAT_REFAULT_ANON] = NODE(WORKINGSET_REFAULT_ANON);
	s->values[STAT_REFAULT_FILE] = NODE(WORKINGSET_REFAULT_FILE);
	s->values[STAT_PGMAJFAULT] = VALUE(bpf_mem_cgroup_vm_events, vm_event_item, PGMAJFAULT);
}

/* The limiting cgroup where the kernel says it: the decision's, else the one that this thread reclaimed for last. */
static __always_inline u64 limiting_cgroup(void)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct thread_state *t = this_thread(false, current->start_boottime);

	if (!t)
		return 0;
	if (t->decision)
		return t->decision_cgroup;
	return bpf_ktime_get_boot_ns() - t->reclaim_ns < RECLAIM_MAX_AGE_NS ? t->reclaim_cgroup : 0;
}

SEC("tp_btf/mark_victim")
int on_stat_kfunc(u64 *ctx)
{
	u32 zero = 0;
	struct stat_slot *slot = bpf_map_lookup_elem(&stat_slot, &zero);
	u64 id = limiting_cgroup();
	struct mem_cgroup *memcg;
	struct cgroup *cgrp;

	if (!slot || !id)
		return 0;
	/* By id in the v2 hierarchy. An id of v1 finds another cgroup there, which has no memory controller then. */
	cgrp = bpf_cgroup_from_id(id);
	if (!cgrp)
		return 0;
	memcg = bpf_get_mem_cgroup(&cgrp->self);
	if (memcg) {
		fill(&slot->stat, memcg);
		slot->thread = bpf_get_current_pid_tgid();
		slot->stat.cgroup_id = id;
		bpf_put_mem_cgroup(memcg);
	}
	bpf_cgroup_release(cgrp);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
