/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the kernel's own OOM lines say. Fields absent in a line stay unset (see the bits). */
enum kmsg_oom_fields {
	KMSG_CONSTRAINT = 1 << 0,
	KMSG_OOM_MEMCG = 1 << 1,
	KMSG_GLOBAL = 1 << 2,
	KMSG_TASK_MEMCG = 1 << 3,
	KMSG_TASK = 1 << 4, /* comm, pid, uid */
	KMSG_NODEMASK = 1 << 5,
	KMSG_CPUSET = 1 << 6,
	KMSG_KILLED = 1 << 7, /* "Killed process" line: pid, comm, rss */
	KMSG_INVOKED = 1 << 8, /* "invoked oom-killer": trigger comm, gfp, order */
	KMSG_NO_KILLABLE = 1 << 9, /* "no killable processes" */
	KMSG_GFP = 1 << 10,
	KMSG_MEMORY = 1 << 11, /* rss, pgtables, adj of a Killed line */
};
struct kmsg_oom {
	unsigned fields;
	uint64_t stamp_us; /* of the line, see struct kmsg_clock */
	char constraint[32]; /* "CONSTRAINT_MEMCG" */
	char oom_memcg[512], task_memcg[512], nodemask[64], cpuset[128];
	char comm[32];
	uint32_t pid, uid;
	char gfp[160]; /* "0xcc0(GFP_KERNEL)" */
	int order, adj;
	uint64_t total_vm_kb, anon_rss_kb, file_rss_kb, shmem_rss_kb, pgtables_kb;
};
/*
 * One record of /dev/kmsg ("prio,seq,usec,flags;text\n…"). Returns 1 and fills @ret when it is an OOM line of facility kern,
 * 0 for anything else, -EBADMSG for a malformed record. Never reads beyond @len.
 */
int kmsg_parse(const char *record, size_t len, struct kmsg_oom *ret);
/* The log has a clock of the kernel's own: near CLOCK_MONOTONIC, but it drifts away from it. */
struct kmsg_clock {
	bool known;
	int64_t offset_us; /* CLOCK_MONOTONIC less it, when a line was read in time */
	uint64_t until_us; /* so long that is believed */
};
/* When the line of @stamp_us was written, as CLOCK_MONOTONIC tells it; it is read at @mono_us. */
uint64_t kmsg_clock_mono(struct kmsg_clock *c, uint64_t stamp_us, uint64_t mono_us);
int kmsg_open(const char *path); /* non-blocking, from the end; fd or -errno */
