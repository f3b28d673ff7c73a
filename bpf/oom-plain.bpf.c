/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * OOM kills on kernels without BTF
 *
 * The classic tracepoints of bpf/lib/oom-plain.bpf.h alone: no relocation, no type of the kernel, so that libbpf asks for no BTF.
 * Same maps and parameters as bpf/oom.bpf.c, of which the loader takes one or the other.
 */
#include "oom-plain.bpf.h"

char LICENSE[] SEC("license") = "GPL";
