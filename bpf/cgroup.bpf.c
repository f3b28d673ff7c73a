/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cgroups that come and go
 *
 * The tracepoints of kernel/cgroup run with the path at hand, before the first process is in: so identity is known before
 * anything can happen in there. A ring of their own keeps a storm of cgroups away from OOM records.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf/api/cgroup.h"
#include "cgroup.bpf.h"
#include "ring.bpf.h"

RING(cgroup_ring, 1 << 18);
PERCPU_ARRAY(cgroup_lost, 1, u64);

static __always_inline int report(u16 type, struct cgroup *cgrp, const char *path)
{
	struct cgroup_record_event *e = bpf_ringbuf_reserve(&cgroup_ring, sizeof(*e), 0);
	u32 zero = 0;
	long len;

	if (!e) {
		u64 *n = bpf_map_lookup_elem(&cgroup_lost, &zero);

		if (n)
			*n += 1;
		return 0;
	}
	e->head.type = type;
	e->head.cpu = bpf_get_smp_processor_id();
	e->head.size = sizeof(*e);
	e->head.boot_ns = bpf_ktime_get_boot_ns();
	e->id = BPF_CORE_READ(cgrp, kn, id);
	e->hierarchy = BPF_CORE_READ(cgrp, root, hierarchy_id);
	e->level = BPF_CORE_READ(cgrp, level);
	len = bpf_probe_read_kernel_str(e->path, sizeof(e->path), path);
	e->path_length = len > 1 ? len - 1 : 0;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

#define TRACK(point, type)                                                       \
	SEC("tp_btf/" #point)                                                    \
	int BPF_PROG(on_##point##_tp_btf, struct cgroup *cgrp, const char *path) \
	{                                                                        \
		return report(type, cgrp, path);                                 \
	}                                                                        \
	SEC("raw_tp/" #point)                                                    \
	int on_##point##_raw_tp(u64 *ctx)                                        \
	{                                                                        \
		return report(type, (void *)ctx[0], (void *)ctx[1]);             \
	}

TRACK(cgroup_mkdir, CGROUP_RECORD_MKDIR)
TRACK(cgroup_rmdir, CGROUP_RECORD_RMDIR)
TRACK(cgroup_rename, CGROUP_RECORD_RENAME)
TRACK(cgroup_release, CGROUP_RECORD_RELEASE)

char LICENSE[] SEC("license") = "GPL";
