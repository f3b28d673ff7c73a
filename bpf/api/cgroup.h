/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records of bpf/cgroup.bpf.c: cgroups that come, go and are renamed
 *
 * They have a ring of their own, so that a storm of cgroups cannot push out OOM records.
 */
#pragma once
#include "bpf/api/record.h"

#define CGROUP_PATH_MAX 512

enum cgroup_record { /* append only, never renumber */
		     CGROUP_RECORD_MKDIR = 1,
		     CGROUP_RECORD_RMDIR = 2,
		     CGROUP_RECORD_RENAME = 3,
		     CGROUP_RECORD_RELEASE = 4,
};

/*
 * The path is not terminated, the record ends behind it (head.size). It begins with '/' unless it was cut from the front.
 * Length 0: the program could not read it, user space asks by id.
 */
struct cgroup_record_event {
	struct record_head head;
	__u64 id; /* kernfs id, unique in its hierarchy only */
	__u32 hierarchy; /* hierarchy id as in /proc/self/cgroup, 0 = v2 */
	__u16 level;
	__u16 path_length;
	char path[CGROUP_PATH_MAX];
};
