/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cgroups that come and go
 *
 * The tracepoints of kernel/cgroup run with the path at hand, before the first process is in: so identity is known before
 * anything can happen in there. A ring of their own keeps a storm of cgroups away from OOM records.
 *
 * The kernel holds trace_cgroup_path_lock around each of these tracepoints, because the path stands in one buffer of the whole
 * host: that is why one buffer is enough here too.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf/api/cgroup.h"
#include "cgroup.bpf.h"
#include "ring.bpf.h"

#define FULL_PATH_MAX 1024 /* as much as the kernel gives: TRACE_CGROUP_PATH_LEN */

struct buffer {
	struct cgroup_record_event event;
	char full[FULL_PATH_MAX +
		  CGROUP_PATH_MAX]; /* room behind: a masked start plus a length stays inside */
};

RING(cgroup_ring, 1 << 18);
PERCPU_ARRAY(cgroup_lost, 1, u64);
ARRAY(cgroup_buffer, 1, struct buffer);

/* The leaf is what tells apart, so a path that is too long loses its front. */
static __always_inline void add_path(struct buffer *b, const char *path)
{
	long read = bpf_probe_read_kernel_str(b->full, FULL_PATH_MAX, path);
	u64 len = read - 1, start = 0;

	if (read <= 1)
		return;
	if (len > CGROUP_PATH_MAX) {
		start = len - CGROUP_PATH_MAX;
		len = CGROUP_PATH_MAX;
	}
	/* Said again in a form that old verifiers follow. */
	barrier_var(start);
	barrier_var(len);
	start &= FULL_PATH_MAX - 1;
	if (len > CGROUP_PATH_MAX || bpf_probe_read_kernel(b->event.path, len, &b->full[start]))
		return;
	b->event.path_length = len;
}

static __always_inline int report(u16 type, struct cgroup *cgrp, const char *path,
				  const enum read_how how)
{
	u32 zero = 0, size = __builtin_offsetof(struct cgroup_record_event, path);
	struct buffer *b = bpf_map_lookup_elem(&cgroup_buffer, &zero);
	struct cgroup_root *root = READ(how, cgrp, root);
	struct cgroup_record_event *e;
	u64 *lost;

	if (!b || !root)
		return 0;
	e = &b->event;
	e->head.type = type;
	e->head.cpu = bpf_get_smp_processor_id();
	e->head.boot_ns = bpf_ktime_get_boot_ns();
	e->id = cgroup_id_of(cgrp, how);
	e->hierarchy = READ(how, root, hierarchy_id);
	e->level = READ(how, cgrp, level);
	e->path_length = 0;
	if (how != TYPED)
		add_path(b, path);
	size += e->path_length;
	if (size > sizeof(*e))
		size = sizeof(*e);
	e->head.size = size;
	if (bpf_ringbuf_output(&cgroup_ring, e, size, 0) == 0)
		return 0;
	lost = bpf_map_lookup_elem(&cgroup_lost, &zero);
	if (lost)
		*lost += 1;
	return 0;
}

#define TRACK(point, type)                                                              \
	SEC("tp_btf/" #point)                                                           \
	int BPF_PROG(on_##point##_tp_btf, struct cgroup *cgrp, const char *path)        \
	{                                                                               \
		return report(type, cgrp, path, MIXED);                                 \
	}                                                                               \
	SEC("tp_btf/" #point)                                                           \
	int BPF_PROG(on_##point##_tp_btf_direct, struct cgroup *cgrp, const char *path) \
	{                                                                               \
		return report(type, cgrp, path, TYPED);                                 \
	}                                                                               \
	SEC("raw_tp/" #point)                                                           \
	int on_##point##_raw_tp(u64 *ctx)                                               \
	{                                                                               \
		return report(type, (void *)ctx[0], (void *)ctx[1], HELPER);            \
	}

TRACK(cgroup_mkdir, CGROUP_RECORD_MKDIR)
TRACK(cgroup_rmdir, CGROUP_RECORD_RMDIR)
TRACK(cgroup_rename, CGROUP_RECORD_RENAME)
TRACK(cgroup_release, CGROUP_RECORD_RELEASE)

char LICENSE[] SEC("license") = "GPL";
