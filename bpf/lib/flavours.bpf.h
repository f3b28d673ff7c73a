/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Members as older kernels have them
 *
 * Apart from vmlinux.h, so that a build against a full generated header finds them too. What follows three underscores is no
 * part of the name that the kernel is asked for.
 */
#pragma once
#include "vmlinux.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Before v6.2, f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter"). */
struct mm_rss_stat___old {
	atomic_long_t count[4];
};

struct mm_struct___old {
	struct mm_rss_stat___old rss_stat;
};

/* Before v6.18, when the parent of a node became an RCU pointer called __parent. */
struct kernfs_node___old {
	struct kernfs_node *parent;
};

#pragma clang attribute pop
