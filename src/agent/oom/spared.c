/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a group kill left alone
 *
 * No hook sees them: oom_kill_memcg_member() skips tasks with oom_score_adj -1000 before it does anything. What is left in the
 * cgroup after the kill and has that value was spared.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/limit.h"
#include "agent/oom/spared.h"
#include "base/fs.h"
#include "base/macro.h"

#define PROCESSES_MAX 256
#define DEPTH_MAX 8
#define ADJ_MIN "-1000"

struct count {
	int proc_fd;
	unsigned processes, spared;
};

/* The kernel takes the uppermost level with oom_group below or at the limit (mem_cgroup_get_oom_group()). */
bool spared_group_path(const struct oom_run *run, char *ret, size_t size)
{
	const struct oom_victim *v = run->kills ? &run->kills->v : NULL;
	uint32_t n = v ? v->n_levels : 0;
	size_t len;
	const char *path;

	if (run->limit.found && run->limit.level >= 0)
		n = MIN(n, (uint32_t)run->limit.level + 1);
	while (n > 0 && !v->levels[n - 1].oom_group)
		n--;
	if (n == 0)
		return false;
	path = oom_text(v, v->path, &len);
	if (len == 0)
		return false;
	oom_limit_path(path, len, n - 1, ret, size);
	return true;
}

static int count_process(struct count *c, const char *pid, size_t len)
{
	char path[64], adj[16];
	ssize_t n;

	if (++c->processes > PROCESSES_MAX)
		return -E2BIG;
	(void)snprintf(path, sizeof(path), "%.*s/oom_score_adj", (int)len, pid);
	n = fs_read_into(c->proc_fd, path, adj, sizeof(adj));
	if (n > 0 && strncmp(adj, ADJ_MIN, strlen(ADJ_MIN)) == 0)
		c->spared++;
	return 0;
}

static int count_processes(struct count *c, int dir_fd)
{
	char pids[8192];
	int r = 0;

	/* Of a threaded cgroup this cannot be read; its processes stand in the cgroup above. */
	if (fs_read_into(dir_fd, "cgroup.procs", pids, sizeof(pids)) < 0)
		return 0;
	for (const char *line = pids; *line && r == 0;) {
		size_t len = strcspn(line, "\n");

		if (len > 0 && len < 16)
			r = count_process(c, line, len);
		line += len;
		line += *line == '\n';
	}
	return r;
}

static int count_below(struct count *c, int parent_fd, const char *name, unsigned depth)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(closedirp) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	int r;

	if (!d) {
		if (fd >= 0)
			(void)close(fd);
		return depth == 0 ? -ENOENT : 0; /* removed meanwhile: nobody is in it */
	}
	r = count_processes(c, fd);
	while (r == 0 && (entry = readdir(d))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		r = depth < DEPTH_MAX ? count_below(c, fd, entry->d_name, depth + 1) : -E2BIG;
	}
	return r;
}

int spared_count(int hierarchy_fd, int proc_fd, const char *cgroup, unsigned *ret)
{
	struct count c = { .proc_fd = proc_fd };
	char path[OOM_PATH_MAX + 2];
	int r;

	if (hierarchy_fd < 0)
		return -ENOENT;
	(void)snprintf(path, sizeof(path), ".%s", cgroup);
	r = count_below(&c, hierarchy_fd, path, 0);
	if (r == 0)
		*ret = c.spared;
	return r;
}
