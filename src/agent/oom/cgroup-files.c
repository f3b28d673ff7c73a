/* SPDX-License-Identifier: Apache-2.0 */
/* Files of memory cgroups: names by hierarchy, kept open or found by path. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "agent/oom/cgroup-files.h"
#include "base/fs.h"
#include "base/macro.h"
#include "base/parse.h"

#define PATH_BYTES 600
#define UNLIMITED_V1 (1ULL << 60) /* v1 prints the largest page-aligned number for "no limit" */

static const struct {
	const char *v2, *v1; /* NULL: this hierarchy has none */
} names[_CGROUP_FILE_MAX] = {
	[CGROUP_FILE_STAT] = { "memory.stat", "memory.stat" },
	[CGROUP_FILE_USAGE] = { "memory.current", "memory.usage_in_bytes" },
	[CGROUP_FILE_MAX] = { "memory.max", "memory.limit_in_bytes" },
	[CGROUP_FILE_PEAK] = { "memory.peak", "memory.max_usage_in_bytes" },
	[CGROUP_FILE_EVENTS] = { "memory.events.local", "memory.oom_control" },
	[CGROUP_FILE_FAILCNT] = { NULL, "memory.failcnt" },
	[CGROUP_FILE_SWAP_FAILCNT] = { NULL, "memory.memsw.failcnt" },
	[CGROUP_FILE_EVENTS_BELOW] = { "memory.events", NULL },
	[CGROUP_FILE_PRESSURE] = { "memory.pressure", "memory.pressure" },
};

static bool on_v2(const struct cgroup_layout *l)
{
	return l->mode == CGROUP_MODE_V2;
}

static const char *name_of(const struct cgroup_layout *l, unsigned file)
{
	return on_v2(l) ? names[file].v2 : names[file].v1;
}

static int root_of(const struct cgroup_layout *l, unsigned file)
{
	return file == CGROUP_FILE_PRESSURE ? l->unified_fd : l->memory_fd;
}

static bool is_kept(const struct cgroup_layout *l, unsigned file)
{
	return file != CGROUP_FILE_EVENTS_BELOW && name_of(l, file) && root_of(l, file) >= 0;
}

unsigned cgroup_files_count(const struct cgroup_layout *l)
{
	unsigned n = 0;

	for (unsigned i = 0; i < _CGROUP_FILE_MAX; i++)
		n += is_kept(l, i);
	return n;
}

/* Relative to the root of the hierarchy. False when it does not fit. */
static bool path_of(const char *cgroup, const char *file, char ret[PATH_BYTES])
{
	return snprintf(ret, PATH_BYTES, ".%s/%s", streq(cgroup, "/") ? "" : cgroup, file) <
	       PATH_BYTES;
}

static bool is_at(const struct cgroup_layout *l, const char *path, uint64_t id)
{
	uint64_t now;

	return cgroup_id(l->memory_fd, path[1] ? path + 1 : ".", &now) == 0 && now == id;
}

void cgroup_files_close(struct cgroup_files *f)
{
	for (unsigned i = 0; i < _CGROUP_FILE_MAX; i++)
		closep(&f->fd[i]);
	*f = (struct cgroup_files)CGROUP_FILES_CLOSED;
}

/* The kernel makes a buffer at the first read of a file and keeps it: better now than in need. */
static void warm(int fd)
{
	char text[16];

	(void)fs_pread_into(fd, text, sizeof(text));
}

int cgroup_files_open(const struct cgroup_layout *l, const char *path, uint64_t id,
		      struct cgroup_files *ret)
{
	struct cgroup_files f = CGROUP_FILES_CLOSED;
	char file[PATH_BYTES];

	for (unsigned i = 0; i < _CGROUP_FILE_MAX; i++) {
		if (!is_kept(l, i) || !path_of(path, name_of(l, i), file))
			continue;
		f.fd[i] = openat(root_of(l, i), file, O_RDONLY | O_CLOEXEC);
		if (f.fd[i] < 0 && (errno == EMFILE || errno == ENFILE)) {
			int r = -errno;

			cgroup_files_close(&f);
			return r;
		}
		if (f.fd[i] >= 0)
			warm(f.fd[i]);
	}
	/* Afterwards: else the cgroup might be made anew between the look and the opening. */
	if (!is_at(l, path, id)) {
		cgroup_files_close(&f);
		return -ESTALE;
	}
	*ret = f;
	return 0;
}

ssize_t cgroup_file_read(const struct cgroup_layout *l, const struct cgroup_place *p,
			 enum cgroup_file file, char *buf, size_t size)
{
	const char *name = name_of(l, file);
	char path[PATH_BYTES];
	ssize_t n;

	if (p->files)
		return p->files->fd[file] < 0 ? -ENOENT
					      : fs_pread_into(p->files->fd[file], buf, size);
	if (!name || root_of(l, file) < 0 || !*p->path || !path_of(p->path, name, path))
		return -ENOENT;
	n = fs_read_into(root_of(l, file), path, buf, size);
	return n >= 0 && p->id && !is_at(l, p->path, p->id) ? -ESTALE : n;
}

int cgroup_file_number(const struct cgroup_layout *l, const struct cgroup_place *p,
		       enum cgroup_file file, uint64_t *ret)
{
	char text[64];
	ssize_t n = cgroup_file_read(l, p, file, text, sizeof(text));
	uint64_t v;
	int r;

	if (n < 0)
		return (int)n;
	text[strcspn(text, "\n")] = '\0';
	if (streq(text, "max")) {
		*ret = UINT64_MAX;
		return 0;
	}
	r = parse_u64(text, &v);
	if (r < 0)
		return r;
	*ret = !on_v2(l) && v >= UNLIMITED_V1 ? UINT64_MAX : v;
	return 0;
}
