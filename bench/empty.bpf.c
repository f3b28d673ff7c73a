/* SPDX-License-Identifier: GPL-2.0-only */
/* The least that a program on signal_generate can do: what the agent's filter is measured against. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

SEC("tp_btf/signal_generate")
int BPF_PROG(empty, int sig)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
