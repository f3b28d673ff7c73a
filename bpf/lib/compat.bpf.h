/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading the kernel: by helper, by typed loads, or both, and one accessor per member that moved
 *
 * Each function takes @how, a constant at compile time. Typed pointers that the kernel marks __rcu may be NULL to the verifier:
 * they are tested at each step.
 */
#pragma once
#include "vmlinux.h"
#include "bpf/api/oom.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "flavours.bpf.h"

#define PF_KTHREAD 0x00200000

/* An anonymous enum of the kernel (v4.5: eca56ff906bd), which cannot be relocated. */
#define MM_FILEPAGES 0
#define MM_ANONPAGES 1
#define MM_SWAPENTS 2
#define MM_SHMEMPAGES 3

enum read_how {
	HELPER, /* the helper that reads kernel memory: on any pointer */
	TYPED, /* loads that the verifier checks, for lockdown=confidentiality, which refuses that helper */
	MIXED, /* typed, which is faster, and the helper for what it cannot do */
};

#define READ(how, src, ...) \
	((how) == HELPER ? BPF_CORE_READ(src, __VA_ARGS__) : ___arrow(src, __VA_ARGS__))

/* v6.2: a35b8d6941 ("bpf: Add kfunc bpf_rdonly_cast"): types any address, reads stay checked. */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;
#define CAN_CAST ((void *)bpf_rdonly_cast != NULL)

/* v5.11: 3ca1032ab7ab ("bpf: Implement get_current_task_btf and RET_PTR_TO_BTF_ID"); drop when the baseline is >= 5.11. */
static __always_inline bool has_current_btf(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf);
}

/*
 * v6.2: f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter"); drop when the baseline is >= 6.2. Before, the counters
 * are an array of a typedef, which the verifier cannot walk: OOM_UNKNOWN64 to typed loads alone. Asked by member, not by the
 * type that went away: libbpf looks for a missing type in all modules, for which it needs CAP_SYS_ADMIN.
 */
#define HAS_OLD_COUNTERS(mm) bpf_core_field_exists(((struct mm_struct___old *)(mm))->rss_stat.count)
#define MM_COUNTER(how, mm, member)                                                                \
	({                                                                                         \
		s64 v_ = 0;                                                                        \
		if (HAS_OLD_COUNTERS(mm)) {                                                        \
			struct mm_struct___old *old_ = (void *)(mm);                               \
			if ((how) != TYPED)                                                        \
				v_ = BPF_CORE_READ(old_, rss_stat.count[member].counter);          \
		} else {                                                                           \
			v_ = READ(how, mm, rss_stat[member].count);                                \
		}                                                                                  \
		/* Per-CPU parts are not folded in yet, so it may be below zero. */                \
		(how) == TYPED &&HAS_OLD_COUNTERS(mm) ? OOM_UNKNOWN64 : (v_ < 0 ? 0ULL : (u64)v_); \
	})

/* The address as a plain number, by way of @slot in map memory: arithmetic on it is free, and bpf_rdonly_cast() types it again. */
static __always_inline u64 plain_address(const void *p, volatile u64 *slot)
{
	u64 address;

	*slot = (u64)p;
	address = *slot;
	*slot = 0;
	return address;
}

/* v6.18: kernfs_node.parent became __parent; drop when the baseline has it. */
static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *kn)
{
	struct kernfs_node___old *old = (void *)kn;

	if (bpf_core_field_exists(kn->__parent))
		return BPF_CORE_READ(kn, __parent);
	return BPF_CORE_READ(old, parent);
}
