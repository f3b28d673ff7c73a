/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

struct identity;

/* BUS_OOM_KILL: kernel facts and cached identity, at once on the ring record. Valid during the call. */
struct bus_oom_kill {
	uint64_t boot_ns, wall_ns;
	uint32_t pid, uid;
	uint64_t start_boot_ns;
	const char *comm;
	uint64_t rss_bytes; /* UINT64_MAX when not known */
	uint64_t cgroup_id;
	uint32_t hierarchy;
	const struct identity *identity; /* NULL when not known yet */
};
