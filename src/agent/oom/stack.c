/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel stack at the mark says about the decision (K5)
 *
 * memcg:   … out_of_memory ← mem_cgroup_out_of_memory ← try_charge…
 * member:  … oom_kill_memcg_member ← mem_cgroup_scan_tasks ← oom_kill_process …
 * sysrq:   … out_of_memory ← moom_callback
 * host:    … out_of_memory ← __alloc_pages_slowpath, pagefault_out_of_memory
 */

#include <errno.h>
#include <stddef.h>
#include "agent/oom/stack.h"

enum symbol {
	SYMBOL_OUT_OF_MEMORY,
	SYMBOL_MEMCG,
	SYMBOL_MEMCG_MEMBER,
	SYMBOL_SYSRQ,
	SYMBOL_SLOWPATH,
	SYMBOL_MAY_OOM,
	SYMBOL_PAGEFAULT,
	SYMBOL_SYNCHRONIZE,
	SYMBOL_BPF,
	SYMBOL_OOM_KILL_PROCESS,
};

const char *const oom_stack_symbols[] = {
	[SYMBOL_OUT_OF_MEMORY] = "out_of_memory",
	[SYMBOL_MEMCG] = "mem_cgroup_out_of_memory",
	[SYMBOL_MEMCG_MEMBER] = "oom_kill_memcg_member",
	[SYMBOL_SYSRQ] = "moom_callback",
	[SYMBOL_SLOWPATH] = "__alloc_pages_slowpath",
	[SYMBOL_MAY_OOM] = "__alloc_pages_may_oom",
	[SYMBOL_PAGEFAULT] = "pagefault_out_of_memory",
	[SYMBOL_SYNCHRONIZE] = "mem_cgroup_oom_synchronize",
	[SYMBOL_BPF] = "bpf_out_of_memory",
	[SYMBOL_OOM_KILL_PROCESS] = "oom_kill_process",
	NULL,
};

struct oom_stack_verdict oom_stack_judge(const unsigned long long *frames, size_t n,
					 int (*match)(void *ctx, uint64_t address), void *ctx)
{
	struct oom_stack_verdict v = { .scope = SCOPE_UNKNOWN };
	unsigned seen = 0;

	for (size_t i = 0; i < n; i++) {
		int symbol = frames[i] ? match(ctx, frames[i]) : -ENOENT;

		if (symbol >= 0)
			seen |= 1U << symbol;
	}
	v.known = seen &
		  (1U << SYMBOL_OUT_OF_MEMORY | 1U << SYMBOL_MEMCG | 1U << SYMBOL_OOM_KILL_PROCESS |
		   1U << SYMBOL_MAY_OOM | 1U << SYMBOL_SYSRQ);
	v.member = seen & 1U << SYMBOL_MEMCG_MEMBER;
	v.bpf = seen & 1U << SYMBOL_BPF;
	if (seen & (1U << SYMBOL_MEMCG | 1U << SYMBOL_SYNCHRONIZE))
		v.scope = SCOPE_MEMCG;
	else if (seen & 1U << SYMBOL_SYSRQ)
		v.scope = SCOPE_SYSRQ;
	else if (seen & (1U << SYMBOL_SLOWPATH | 1U << SYMBOL_MAY_OOM | 1U << SYMBOL_PAGEFAULT))
		v.scope = SCOPE_GLOBAL;
	return v;
}
