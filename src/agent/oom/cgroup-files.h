/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include "base/cleanup.h"
#include "sys/cgroup.h"

/*
 * Files of one memory cgroup, kept open so that nothing has to be opened while memory is short (OOM-613)
 *
 * A descriptor belongs to the cgroup and not to its path: when the cgroup is gone, reading gives -ENODEV, also when another one
 * stands at the same path by then.
 */
enum cgroup_file {
	CGROUP_FILE_STAT,
	CGROUP_FILE_USAGE,
	CGROUP_FILE_MAX,
	CGROUP_FILE_PEAK,
	CGROUP_FILE_EVENTS, /* memory.events.local; v1 memory.oom_control */
	CGROUP_FILE_FAILCNT, /* v1 */
	CGROUP_FILE_SWAP_FAILCNT, /* v1: memory and swap together */
	CGROUP_FILE_EVENTS_BELOW, /* v2: memory.events, with what happened below; not kept open */
	CGROUP_FILE_PRESSURE, /* of the unified hierarchy, which in hybrid mode may have the same path */
	_CGROUP_FILE_MAX,
};

struct cgroup_files {
	int fd[_CGROUP_FILE_MAX]; /* negative: not there, or not open */
};
#define CGROUP_FILES_CLOSED                                  \
	{                                                    \
		.fd = { -1, -1, -1, -1, -1, -1, -1, -1, -1 } \
	}

/* A cgroup whose files are wanted. */
struct cgroup_place {
	uint64_t id; /* in the memory hierarchy, 0 = not known */
	const char *path; /* begins with "/", "" = none */
	const struct cgroup_files
		*files; /* NULL: by path, for which it must still be the same cgroup */
};

/* How many files one cgroup has in this hierarchy at most. */
unsigned cgroup_files_count(const struct cgroup_layout *l);
/* Opens what exists and reads each file once. 0; -ESTALE when @id is not at @path any more; -EMFILE, -ENFILE. */
int cgroup_files_open(const struct cgroup_layout *l, const char *path, uint64_t id,
		      struct cgroup_files *ret);
void cgroup_files_close(struct cgroup_files *f);
/* Text with its NUL into @buf, like fs_pread_into(). -ENODEV, -ESTALE: the cgroup is gone; -ENOENT. Allocates nothing. */
ssize_t cgroup_file_read(const struct cgroup_layout *l, const struct cgroup_place *p,
			 enum cgroup_file file, char *buf, size_t size);
/* One number; "max" is UINT64_MAX, and so is what v1 prints for no limit. */
int cgroup_file_number(const struct cgroup_layout *l, const struct cgroup_place *p,
		       enum cgroup_file file, uint64_t *ret);
