/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Head of every record that a BPF program hands to user space.
 * Read by both sides: fixed-width types, explicit padding, layout asserted, no function.
 */
#pragma once
#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

struct record_head {
	__u16 type; /* of the program's own enum, append only */
	__u16 cpu;
	__u32 size; /* bytes used, head included */
	__u64 boot_ns; /* CLOCK_BOOTTIME of the happening */
};
_Static_assert(sizeof(struct record_head) == 16, "both sides agree on the size");

#define COMM_MAX 16
