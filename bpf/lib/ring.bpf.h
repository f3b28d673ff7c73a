/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define RING(name, bytes)                           \
	struct {                                    \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, bytes);         \
	} name SEC(".maps")

#define PERCPU_ARRAY(name, n, value_type)                \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); \
		__uint(max_entries, n);                  \
		__type(key, u32);                        \
		__type(value, value_type);               \
	} name SEC(".maps")

#define ARRAY(name, n, value_type)                \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(max_entries, n);           \
		__type(key, u32);                 \
		__type(value, value_type);        \
	} name SEC(".maps")

#define HASH(name, kind, n, key_type, value_type) \
	struct {                                  \
		__uint(type, kind);               \
		__uint(max_entries, n);           \
		__type(key, key_type);            \
		__type(value, value_type);        \
	} name SEC(".maps")
