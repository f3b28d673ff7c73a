/* SPDX-License-Identifier: Apache-2.0 */
/* The least that a program on signal_generate can do: what the agent's filter is measured against. It calls nothing, so it needs no GPL. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tp_btf/signal_generate")
int empty(unsigned long long *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Apache-2.0";
