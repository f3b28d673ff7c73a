/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/rows.h"
#include "sys/kallsyms.h"

/* Kernel symbols whose presence on the stack tells what kind of decision it is (K5). NULL-terminated, for kallsyms_read(). */
extern const char *const oom_stack_symbols[];

struct oom_stack_verdict {
	enum oom_scope scope;
	bool known; /* out_of_memory() was on the stack */
	bool member; /* a member of a group kill, not the chosen one */
	bool bpf; /* declared by a BPF policy */
};
/* @match: answers the index of the symbol that holds an address, or negative. */
struct oom_stack_verdict oom_stack_judge(const unsigned long long *frames, size_t n,
					 int (*match)(void *ctx, uint64_t address), void *ctx);
