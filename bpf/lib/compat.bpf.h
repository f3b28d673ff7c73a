/* SPDX-License-Identifier: GPL-2.0-only */
/* One accessor per member that moved. Each says which kernel changed it and when it may go. */
#pragma once
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* v6.2: f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter"); drop when the baseline is >= 6.2. */
static __always_inline u64 mm_counter(struct mm_struct *mm, int member)
{
	s64 v = 0;

	if (bpf_core_type_exists(struct mm_rss_stat)) {
		struct mm_struct___old *old = (void *)mm;

		bpf_core_read(&v, sizeof(v), &old->rss_stat.count[member]);
	} else {
		/* By hand: the size of the element is not the one of our local struct. */
		bpf_probe_read_kernel(&v, sizeof(v),
				      (void *)mm + bpf_core_field_offset(struct mm_struct, rss_stat) +
					      member * bpf_core_type_size(struct percpu_counter) +
					      bpf_core_field_offset(struct percpu_counter, count));
	}
	return v < 0 ? 0 : v; /* per-CPU parts are not folded in yet */
}

/* v6.18: kernfs_node.parent became __parent; drop when the baseline has it. */
static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *kn)
{
	struct kernfs_node___old *old = (void *)kn;

	if (bpf_core_field_exists(kn->__parent))
		return BPF_CORE_READ(kn, __parent);
	return BPF_CORE_READ(old, parent);
}
