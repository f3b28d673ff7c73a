/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

enum cgroup_mode {
	CGROUP_MODE_NONE, /* no memory controller anywhere */
	CGROUP_MODE_V2, /* memory on the unified hierarchy */
	CGROUP_MODE_V1, /* memory on v1, no unified hierarchy mounted */
	CGROUP_MODE_HYBRID, /* memory on v1, v2 mounted beside it: PSI from v2 */
	_CGROUP_MODE_MAX,
};
const char *cgroup_mode_name(enum cgroup_mode m);

/* Where memory lives. Found from mountinfo and cgroup.controllers; @rootfs "/" or a fixture tree. */
struct cgroup_layout {
	enum cgroup_mode mode;
	char memory_root[256]; /* mount point of the hierarchy that carries memory, rootfs included */
	char unified_root[256]; /* mount point of v2, "" without */
	uint32_t memory_hierarchy; /* id of the memory hierarchy as in /proc/cgroups, 0 = v2 */
	bool namespaced; /* this process sits in a cgroup namespace of its own: paths begin with /.. */
	int memory_fd, unified_fd; /* directories, negative without */
};
int cgroup_layout_init(const char *rootfs, struct cgroup_layout *ret);
void cgroup_layout_done(struct cgroup_layout *l);

/* kernfs id of a cgroup directory, by name_to_handle_at; st_ino where that is refused. @path relative to @dir_fd, "" = itself */
int cgroup_id(int dir_fd, const char *path, uint64_t *ret);
/* Opens the cgroup of @id below @mount_fd by open_by_handle_at; -errno. */
int cgroup_open_by_id(int mount_fd, uint64_t id);

/* Walks all cgroups below @root_fd, parents first; @path begins with "/". Stops when @fn returns non-zero. At most @max. */
typedef int (*cgroup_walk_fn)(void *ctx, const char *path, int dir_fd, uint64_t id);
int cgroup_walk(int root_fd, size_t max, cgroup_walk_fn fn, void *ctx);

/* Path of process @pid ("self" for 0) in the memory hierarchy, from /proc/PID/cgroup. */
int cgroup_of_process(const struct cgroup_layout *l, uint32_t pid, char *ret, size_t size);
