/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
#include "compat.bpf.h"

static __always_inline void task_comm(struct task_struct *task, char *to, const bool direct)
{
	if (!direct) {
		bpf_probe_read_kernel(to, COMM_MAX, __builtin_preserve_access_index(&task->comm));
		return;
	}
	/* Two words: the verifier lets integers be read out of an array of bytes. */
	((u64 *)to)[0] = ((u64 *)__builtin_preserve_access_index(&task->comm))[0];
	((u64 *)to)[1] = ((u64 *)__builtin_preserve_access_index(&task->comm))[1];
}

static __always_inline u32 task_uid(struct task_struct *task, const bool direct)
{
	const struct cred *cred = READ(direct, task, real_cred);

	return cred ? READ(direct, cred, uid.val) : ~0U;
}

static __always_inline struct task_struct *task_parent(struct task_struct *task, const bool direct)
{
	struct task_struct *parent = READ(direct, task, real_parent);

	return parent ? READ(direct, parent, group_leader) : NULL;
}

/*
 * Pid in the innermost pid namespace of the task, 0 = not known. pid.numbers is an array of unknown length at the end, which
 * typed loads cannot index: there the address becomes a plain number by way of @slot (map memory), and is cast again.
 */
static __always_inline u32 task_vpid(struct task_struct *leader, volatile u64 *slot,
				     const bool direct)
{
	struct pid *pid = READ(direct, leader, thread_pid);
	struct upid *upid;
	u32 level;
	int nr = 0;
	u64 at;

	if (!pid)
		return 0;
	level = READ(direct, pid, level) & 31; /* MAX_PID_NS_LEVEL is 32 */
	at = bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
	if (!direct) {
		bpf_probe_read_kernel(&nr, sizeof(nr),
				      (void *)pid + at + bpf_core_field_offset(struct upid, nr));
		return nr;
	}
	if (level == 0)
		return READ(true, leader, tgid);
	if (!CAN_CAST)
		return 0;
	at += plain_address(pid, slot);
	upid = bpf_rdonly_cast((void *)at, bpf_core_type_id_kernel(struct upid));
	return upid ? READ(true, upid, nr) : 0;
}
