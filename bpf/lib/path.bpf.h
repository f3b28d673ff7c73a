/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Paths, built from the leaf backwards into a scratch buffer
 *
 * The leaf is what tells apart, so a path that is too long loses its front. The walk is bounded by PATH_DEPTH. The buffer has
 * room behind PATH_BYTES for one whole component, so that a masked position plus a masked length stays inside.
 */
#pragma once
#include "compat.bpf.h"

#define PATH_BYTES 512
#define PATH_DEPTH 20
#define PATH_COMPONENT 255

struct path_scratch {
	char data[PATH_BYTES + PATH_COMPONENT + 1];
};

/* Puts "/name" in front of what stands at *pos. False when there is no room. */
static __always_inline bool path_prepend(struct path_scratch *s, u32 *pos, const void *name,
					 u32 len)
{
	u32 at = *pos;

	if (len > PATH_COMPONENT || len + 1 > at)
		return false;
	at -= len;
	at &= PATH_BYTES - 1;
	len &= PATH_COMPONENT;
	if (bpf_probe_read_kernel(&s->data[at], len, name))
		return false;
	at -= 1;
	at &= PATH_BYTES - 1;
	s->data[at] = '/';
	*pos = at;
	return true;
}

/* Nothing in front of the root: it is called "/". */
static __always_inline u32 path_or_root(struct path_scratch *s, u32 pos)
{
	if (pos != PATH_BYTES - 1)
		return pos;
	s->data[PATH_BYTES - 2] = '/';
	return PATH_BYTES - 2;
}

static __always_inline struct mount *real_mount(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

/* Path of a file as its process sees it: up to @root, over mount points. Returns where it begins, PATH_BYTES - 1 = nothing. */
static __always_inline u32 path_of_file(struct path_scratch *s, const struct path *file,
					const struct path *root)
{
	struct dentry *dentry = BPF_CORE_READ(file, dentry), *root_dentry = NULL;
	struct vfsmount *mnt = BPF_CORE_READ(file, mnt), *root_mnt = NULL;
	u32 pos = PATH_BYTES - 1;

	if (!dentry || !mnt)
		return PATH_BYTES - 1;
	if (root) {
		root_dentry = BPF_CORE_READ(root, dentry);
		root_mnt = BPF_CORE_READ(root, mnt);
	}
	for (int i = 0; i < PATH_DEPTH; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

		if (dentry == root_dentry && mnt == root_mnt)
			break;
		if (dentry == BPF_CORE_READ(mnt, mnt_root) || dentry == parent) {
			struct mount *m = real_mount(mnt);
			struct mount *up = BPF_CORE_READ(m, mnt_parent);

			if (m == up || !up)
				break;
			dentry = BPF_CORE_READ(m, mnt_mountpoint);
			mnt = (void *)up + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		if (!path_prepend(s, &pos, BPF_CORE_READ(dentry, d_name.name),
				  BPF_CORE_READ(dentry, d_name.len)))
			break;
		dentry = parent;
	}
	return path_or_root(s, pos);
}
