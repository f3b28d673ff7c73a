/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
#include "compat.bpf.h"

static __always_inline void task_comm(struct task_struct *task, char *to, const enum read_how how)
{
	if (how == HELPER) {
		bpf_probe_read_kernel(to, COMM_MAX, __builtin_preserve_access_index(&task->comm));
		return;
	}
	/* Two words: the verifier lets integers be read out of an array of bytes. */
	((u64 *)to)[0] = ((u64 *)__builtin_preserve_access_index(&task->comm))[0];
	((u64 *)to)[1] = ((u64 *)__builtin_preserve_access_index(&task->comm))[1];
}

static __always_inline u32 task_uid(struct task_struct *task, const enum read_how how)
{
	const struct cred *cred = READ(how, task, real_cred);

	return cred ? READ(how, cred, uid.val) : ~0U;
}

static __always_inline struct task_struct *task_parent(struct task_struct *task,
						       const enum read_how how)
{
	struct task_struct *parent = READ(how, task, real_parent);

	return parent ? READ(how, parent, group_leader) : NULL;
}

/*
 * Pid in the innermost pid namespace of the task, 0 = not known. pid.numbers is an array of unknown length at the end, which
 * typed loads cannot index: there the address becomes a plain number by way of @slot (map memory), and is cast again.
 */
static __always_inline u32 task_vpid(struct task_struct *leader, volatile u64 *slot,
				     const enum read_how how)
{
	struct pid *pid = READ(how, leader, thread_pid);
	struct upid *upid;
	u32 level;
	int nr = 0;
	u64 at;

	if (!pid)
		return 0;
	level = READ(how, pid, level) & 31; /* MAX_PID_NS_LEVEL is 32 */
	if (level == 0)
		return READ(how, leader, tgid);
	at = how == HELPER ? (u64)pid : plain_address(pid, slot);
	at += bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
	if (how != TYPED) {
		bpf_probe_read_kernel(&nr, sizeof(nr),
				      (void *)at + bpf_core_field_offset(struct upid, nr));
		return nr;
	}
	if (!CAN_CAST)
		return 0;
	upid = bpf_rdonly_cast((void *)at, bpf_core_type_id_kernel(struct upid));
	return upid ? READ(TYPED, upid, nr) : 0;
}
