/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
#include "path.bpf.h"

#define CGROUP_DEPTH 16

/* The memory controller's state of a task; NULL for kernels without the controller. */
static __always_inline struct cgroup_subsys_state *task_memory_css(struct task_struct *task,
								   const enum read_how how)
{
	struct css_set *set = READ(how, task, cgroups);
	struct cgroup_subsys_state *css = NULL;
	u64 at;

	if (!set || !bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return NULL;
	at = bpf_core_field_offset(struct css_set, subsys) +
	     bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) * sizeof(void *);
	if (how != HELPER)
		return *(struct cgroup_subsys_state **)((void *)set + at);
	bpf_probe_read_kernel(&css, sizeof(css), (void *)set + at);
	return css;
}

/* From the controller's state to what it is part of. Typed: only where the kernel can cast. */
static __always_inline struct mem_cgroup *css_memcg(struct cgroup_subsys_state *css,
						    const enum read_how how)
{
	if (!css)
		return NULL;
	if (how != HELPER) {
		if (!CAN_CAST || bpf_core_field_offset(struct mem_cgroup, css) != 0)
			return NULL;
		return bpf_rdonly_cast(css, bpf_core_type_id_kernel(struct mem_cgroup));
	}
	return (void *)css - bpf_core_field_offset(struct mem_cgroup, css);
}

static __always_inline u64 cgroup_id_of(struct cgroup *cgrp, const enum read_how how)
{
	struct kernfs_node *kn = cgrp ? READ(how, cgrp, kn) : NULL;

	return kn ? READ(how, kn, id) : 0;
}

static __always_inline u64 css_id(struct cgroup_subsys_state *css, const enum read_how how)
{
	return css ? cgroup_id_of(READ(how, css, cgroup), how) : 0;
}

static __always_inline u64 memcg_id(struct mem_cgroup *memcg, const enum read_how how)
{
	return memcg ? cgroup_id_of(READ(how, memcg, css.cgroup), how) : 0;
}

static __always_inline bool css_on_v1(struct cgroup_subsys_state *css, const enum read_how how)
{
	struct cgroup *cgrp = READ(how, css, cgroup);
	struct cgroup_root *root = cgrp ? READ(how, cgrp, root) : NULL;

	return root && READ(how, root, hierarchy_id) != 0;
}

static __always_inline u64 task_cgroup2_id(struct task_struct *task, const enum read_how how)
{
	struct css_set *set = READ(how, task, cgroups);

	return set ? cgroup_id_of(READ(how, set, dfl_cgrp), how) : 0;
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
	return path_or_root(s, pos);
}
