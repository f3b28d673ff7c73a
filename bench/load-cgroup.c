/* SPDX-License-Identifier: Apache-2.0 */
/* Memory cgroups of the load, on v1 (also hybrid) and v2. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "load.h"

#define V1_ROOT "/sys/fs/cgroup/memory"
#define V2_ROOT "/sys/fs/cgroup"

bool cgroup_is_v1(void)
{
	return access(V1_ROOT "/memory.limit_in_bytes", F_OK) == 0 ||
	       access(V1_ROOT "/memory.usage_in_bytes", F_OK) == 0;
}

void cgroup_file(const char *path, const char *file, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%s%s%s%s", cgroup_is_v1() ? V1_ROOT : V2_ROOT, path,
		       *file ? "/" : "", file);
}

int cgroup_write(const char *path, const char *file, const char *value)
{
	char name[PATH_BYTES + 128];
	int fd, r = 0;

	cgroup_file(path, file, name, sizeof(name));
	fd = open(name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

static void enable_memory_above(const char *path)
{
	char parent[PATH_BYTES];

	(void)snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = '\0';
	(void)cgroup_write(parent, "cgroup.subtree_control", "+memory");
}

int cgroup_make(const char *path, uint64_t limit)
{
	char name[PATH_BYTES + 128], number[32];
	int r;

	if (!cgroup_is_v1())
		enable_memory_above(path);
	cgroup_file(path, "", name, sizeof(name));
	if (mkdir(name, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (!limit)
		return 0;
	(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)limit);
	if (cgroup_is_v1()) {
		r = cgroup_write(path, "memory.limit_in_bytes", number);
		(void)cgroup_write(path, "memory.memsw.limit_in_bytes", number);
	} else {
		r = cgroup_write(path, "memory.max", number);
		(void)cgroup_write(path, "memory.swap.max", "0");
	}
	return r;
}

void cgroup_remove(const char *path)
{
	char name[PATH_BYTES + 128];

	cgroup_file(path, "", name, sizeof(name));
	for (int i = 0; i < 200 && rmdir(name) < 0 && errno == EBUSY; i++)
		(void)usleep(5000);
}
