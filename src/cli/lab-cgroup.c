/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups of the lab: made below the root of the memory hierarchy, removed on every way out. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fs.h"
#include "base/parse.h"
#include "cli/lab.h"

bool lab_on_v2(const struct lab *l)
{
	return l->layout.mode == CGROUP_MODE_V2;
}

static void full_path(const struct cgroup_layout *layout, const char *base, const char *path,
		      const char *file, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s%s%s%s%s%s", layout->memory_root, base, *path ? "/" : "", path,
		       *file ? "/" : "", file);
}

int lab_cgroup_write(struct lab *l, const char *path, const char *file, const char *value)
{
	char full[1024];

	full_path(&l->layout, l->base, path, file, full, sizeof(full));
	return fs_write_at(AT_FDCWD, full, value);
}

int lab_cgroup_read(struct lab *l, const char *path, const char *file, char *buf, size_t size)
{
	char full[1024];
	ssize_t n;

	full_path(&l->layout, l->base, path, file, full, sizeof(full));
	n = fs_read_into(AT_FDCWD, full, buf, size);
	if (n < 0)
		return (int)n;
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

/* Memory without swap: else the kernel swaps and nobody dies. */
static int set_limit(struct lab *l, const char *path, uint64_t limit)
{
	char text[32];
	int r;

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)limit);
	if (lab_on_v2(l)) {
		(void)lab_cgroup_write(l, path, "memory.swap.max", "0");
		return lab_cgroup_write(l, path, "memory.max", text);
	}
	r = lab_cgroup_write(l, path, "memory.limit_in_bytes", text);
	if (r >= 0 && lab_cgroup_write(l, path, "memory.memsw.limit_in_bytes", text) < 0)
		(void)lab_cgroup_write(l, path, "memory.swappiness",
				       "0"); /* no swap accounting here */
	return r;
}

/* v2: memory must be handed down at every level above the new cgroup. */
static void enable_memory(struct lab *l, const char *path)
{
	char parent[512], full[1024];

	full_path(&l->layout, "", "", "cgroup.subtree_control", full, sizeof(full));
	(void)fs_write_at(AT_FDCWD, full, "+memory");
	for (size_t i = 0;; i++) {
		size_t len = strcspn(path + i, "/");

		(void)snprintf(parent, sizeof(parent), "%.*s", (int)(i ? i - 1 : 0), path);
		(void)lab_cgroup_write(l, parent, "cgroup.subtree_control", "+memory");
		i += len;
		if (!path[i])
			return;
	}
}

int lab_cgroup_make(struct lab *l, const char *path, uint64_t limit)
{
	char full[1024];
	int r;

	full_path(&l->layout, l->base, "", "", full, sizeof(full));
	r = fs_mkdir_p(full, 0755);
	if (r >= 0 && lab_on_v2(l) && *path)
		enable_memory(l, ""); /* the base hands memory down before a child exists */
	full_path(&l->layout, l->base, path, "", full, sizeof(full));
	if (r >= 0)
		r = fs_mkdir_p(full, 0755);
	if (r >= 0 && lab_on_v2(l) && *path)
		enable_memory(l, path);
	if (r >= 0 && limit)
		r = set_limit(l, path, limit);
	if (r < 0)
		(void)fprintf(stderr, "lab: cannot make cgroup '%s': %s\n", full, strerror(-r));
	return r;
}

static void kill_members(const char *directory)
{
	char path[1100], text[65536];

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
	if (fs_read_into(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return;
	for (char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		uint32_t pid;
		bool more = line[len] != '\0';

		line[len] = '\0';
		if (parse_u32(line, &pid) == 0 && pid > 1)
			(void)kill((pid_t)pid, SIGKILL);
		line += len + more;
	}
}

static void remove_tree(const char *directory, unsigned depth)
{
	_cleanup_(closedirp) DIR *dir = opendir(directory);
	const struct dirent *entry;

	while (dir && depth < 20 && (entry = readdir(dir))) {
		char child[1024];

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    snprintf(child, sizeof(child), "%s/%s", directory, entry->d_name) >=
			    (int)sizeof(child))
			continue;
		remove_tree(child, depth + 1);
	}
	for (unsigned tries = 0; tries < 100; tries++) {
		kill_members(directory);
		if (rmdir(directory) == 0 || errno == ENOENT)
			return;
		(void)usleep(10000); /* the last member is still on its way out */
	}
}

void lab_cgroup_remove(struct lab *l, const char *path)
{
	char full[1024];

	full_path(&l->layout, l->base, path, "", full, sizeof(full));
	remove_tree(full, 0);
}

void lab_remove_dead(const struct cgroup_layout *layout)
{
	_cleanup_(closedirp) DIR *dir = opendir(layout->memory_root);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char full[1024];
		uint32_t pid;

		if (strncmp(entry->d_name, "telamon-lab-", 12) != 0 ||
		    parse_u32(entry->d_name + 12, &pid) < 0 || kill((pid_t)pid, 0) == 0)
			continue;
		(void)snprintf(full, sizeof(full), "%s/%s", layout->memory_root, entry->d_name);
		remove_tree(full, 0);
	}
}
