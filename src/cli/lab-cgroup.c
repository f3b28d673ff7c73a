/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups of the lab: made below the root of the memory hierarchy or where the caller may, removed on every way out. */

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

static bool file_has_word(const char *directory, const char *file, const char *word)
{
	char path[1200], text[1024];
	size_t len = strlen(word);

	(void)snprintf(path, sizeof(path), "%s/%s", directory, file);
	if (fs_read_into(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return false;
	for (const char *p = text; *p; p += strspn(p, " \n")) {
		size_t n = strcspn(p, " \n");

		if (n == len && strncmp(p, word, n) == 0)
			return true;
		p += n;
	}
	return false;
}

/* v2: whether the children of @directory have memory; it is enabled only where @directory itself was given it. */
static bool hands_down_memory(const char *directory)
{
	char path[1200];

	if (file_has_word(directory, "cgroup.subtree_control", "memory"))
		return true;
	if (!file_has_word(directory, "cgroup.controllers", "memory"))
		return false;
	(void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", directory);
	return fs_write_at(AT_FDCWD, path, "+memory") >= 0;
}

/* v2: memory must be handed down at every level between the base and the new cgroup. */
static void enable_memory(struct lab *l, const char *path)
{
	char parent[500], full[1100];

	for (size_t i = 0;; i++) {
		size_t len = strcspn(path + i, "/");

		(void)snprintf(parent, sizeof(parent), "%.*s", (int)(i ? i - 1 : 0), path);
		full_path(&l->layout, l->base, parent, "", full, sizeof(full));
		(void)hands_down_memory(full);
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

static void remove_dead(const char *parent)
{
	_cleanup_(closedirp) DIR *dir = opendir(parent);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char full[1300];
		uint32_t pid;

		if (strncmp(entry->d_name, "telamon-lab-", 12) != 0 ||
		    parse_u32(entry->d_name + 12, &pid) < 0 || kill((pid_t)pid, 0) == 0)
			continue;
		(void)snprintf(full, sizeof(full), "%s/%s", parent, entry->d_name);
		remove_tree(full, 0);
	}
}

/* @parent: path in the hierarchy, "" = its root. The directory may exist and still be of no use: v2 without memory. */
static int try_base(struct lab *l, const char *parent)
{
	char directory[1024], full[1100];

	full_path(&l->layout, parent, "", "", directory, sizeof(directory));
	remove_dead(directory);
	if (snprintf(l->base, sizeof(l->base), "%s/telamon-lab-%d", parent, (int)getpid()) >=
	    (int)sizeof(l->base))
		return -ENAMETOOLONG;
	(void)snprintf(full, sizeof(full), "%s%s", l->layout.memory_root, l->base);
	if (mkdir(full, 0755) < 0)
		return -errno;
	if (!lab_on_v2(l) || hands_down_memory(directory))
		return 0;
	(void)rmdir(full);
	return -ENOTSUP;
}

/*
 * Below the root, else below the caller's cgroup, else below one of those above it: a subtree is delegated from some level
 * downwards, and on v2 a cgroup with processes, as the caller's is, often cannot hand down memory.
 */
int lab_base_make(struct lab *l)
{
	char parent[600];
	int r = try_base(l, ""), own;

	if (r >= 0)
		return r;
	own = cgroup_of_process(&l->layout, 0, parent, sizeof(parent));
	while (own >= 0 && strlen(parent) > 1 && !strstr(parent, "/..")) {
		if (try_base(l, parent) >= 0)
			return 0;
		*strrchr(parent, '/') = '\0';
	}
	l->base[0] = '\0';
	return r;
}
