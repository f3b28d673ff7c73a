/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
#include "compat.bpf.h"

/* Pid in the innermost pid namespace of the task. */
static __always_inline u32 task_vpid(struct task_struct *leader)
{
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	int nr = 0;

	level &= 31; /* MAX_PID_NS_LEVEL is 32 */
	bpf_probe_read_kernel(&nr, sizeof(nr),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid) +
				      bpf_core_field_offset(struct upid, nr));
	return nr;
}
