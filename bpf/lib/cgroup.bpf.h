/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
#include "path.bpf.h"

#define CGROUP_DEPTH 16

/* The memory cgroup of a task: its css, and by that the mem_cgroup. NULL for kernels without the controller. */
static __always_inline struct mem_cgroup *task_memcg(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *css = NULL;
	u64 id;

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return NULL;
	id = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	bpf_probe_read_kernel(&css, sizeof(css),
			      (void *)set + bpf_core_field_offset(struct css_set, subsys) + id * sizeof(void *));
	if (!css)
		return NULL;
	return (void *)css - bpf_core_field_offset(struct mem_cgroup, css);
}

static __always_inline u64 memcg_id(struct mem_cgroup *memcg)
{
	return BPF_CORE_READ(memcg, css.cgroup, kn, id);
}

static __always_inline bool memcg_on_v1(struct mem_cgroup *memcg)
{
	return BPF_CORE_READ(memcg, css.cgroup, root, hierarchy_id) != 0;
}

static __always_inline u64 task_cgroup2_id(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

/* Path below the root of its hierarchy. Returns where it begins in @s. */
static __always_inline u32 path_of_kernfs(struct path_scratch *s, struct kernfs_node *kn)
{
	u32 pos = PATH_BYTES - 1;

	for (int i = 0; i < CGROUP_DEPTH; i++) {
		struct kernfs_node *parent;
		const char *name;
		long len;

		if (!kn)
			break;
		parent = kernfs_parent(kn);
		if (!parent)
			break;
		name = BPF_CORE_READ(kn, name);
		/* Only to learn the length; the room behind PATH_BYTES is free between two components. */
		len = bpf_probe_read_kernel_str(&s->data[PATH_BYTES], PATH_COMPONENT + 1, name);
		if (len <= 1 || !path_prepend(s, &pos, name, len - 1))
			break;
		kn = parent;
	}
	if (pos == PATH_BYTES - 1) { /* the root itself */
		s->data[PATH_BYTES - 2] = '/';
		pos = PATH_BYTES - 2;
	}
	return pos;
}
