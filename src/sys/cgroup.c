/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroup hierarchies: where memory lives, ids, paths
 *
 * v2 with memory in cgroup.controllers; v1 memory mount; hybrid: v2 without memory beside v1. Ids are kernfs ids, unique per
 * hierarchy only. They are read from file handles, because st_ino is the same number only on 64-bit kernels.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fs.h"
#include "base/parse.h"
#include "sys/cgroup.h"

#define MOUNTINFO_MAX (4 << 20)
#define PATH_MAX_BYTES 4096
#define DEPTH_MAX 64

static const char *const mode_names[_CGROUP_MODE_MAX] = { "none", "v2", "v1", "hybrid" };

const char *cgroup_mode_name(enum cgroup_mode m)
{
	return m < _CGROUP_MODE_MAX ? mode_names[m] : "unknown";
}

static const char *prefix_of(const char *rootfs)
{
	return streq(rootfs, "/") ? "" : rootfs;
}

/* Is @word one of the fields of @text that are separated by @separators? */
static bool has_word(const char *text, size_t len, const char *word, const char *separators)
{
	size_t n = strlen(word);

	for (size_t i = 0; i < len;) {
		size_t field = 0;

		while (i + field < len && !strchr(separators, text[i + field]))
			field++;
		if (field == n && memcmp(text + i, word, n) == 0)
			return true;
		i += field + 1;
	}
	return false;
}

/* "36 35 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory": proc(5) */
static void take_mount(struct cgroup_layout *l, const char *rootfs, const char *line, size_t len)
{
	const char *point, *tail, *options;
	size_t point_len, options_len;
	char copy[4096];

	if (len >= sizeof(copy))
		return;
	memcpy(copy, line, len);
	copy[len] = '\0';
	tail = strstr(copy, " - cgroup");
	if (!tail || !parse_field(copy, 4, &point, &point_len))
		return;
	if (strncmp(tail, " - cgroup2 ", 11) == 0 && !l->unified_root[0]) {
		(void)snprintf(l->unified_root, sizeof(l->unified_root), "%s%.*s",
			       prefix_of(rootfs), (int)point_len, point);
	} else if (strncmp(tail, " - cgroup ", 10) == 0 && !l->memory_root[0] &&
		   parse_field(tail + 3, 2, &options, &options_len) &&
		   has_word(options, options_len, "memory", ",")) {
		(void)snprintf(l->memory_root, sizeof(l->memory_root), "%s%.*s", prefix_of(rootfs),
			       (int)point_len, point);
	}
}

static int read_mounts(struct cgroup_layout *l, const char *rootfs)
{
	_cleanup_(freep) char *text = NULL;
	char path[512];
	int r;

	(void)snprintf(path, sizeof(path), "%s/proc/self/mountinfo", prefix_of(rootfs));
	r = fs_read_at(AT_FDCWD, path, MOUNTINFO_MAX, &text, NULL);
	if (r < 0)
		return r;
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		take_mount(l, rootfs, line, len);
		line += len;
		line += *line == '\n';
	}
	return 0;
}

static bool unified_has_memory(const struct cgroup_layout *l)
{
	char path[512], text[512];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/cgroup.controllers", l->unified_root);
	n = fs_read_into(AT_FDCWD, path, text, sizeof(text));
	return n > 0 && has_word(text, (size_t)n, "memory", " \n");
}

/* "4:memory:/path" or "0::/path": the line of one hierarchy. */
static bool find_line(const char *text, bool v2, uint32_t *ret_id, const char **ret_path,
		      size_t *ret_len)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n"), first = strcspn(line, ":"), second;
		char id[16];

		if (first < len && first < sizeof(id)) {
			memcpy(id, line, first);
			id[first] = '\0';
			second = first + 1 + strcspn(line + first + 1, ":");
			if (second < len &&
			    (v2 ? first + 1 == second && streq(id, "0")
				: has_word(line + first + 1, second - first - 1, "memory", ",")) &&
			    parse_u32(id, ret_id) == 0) {
				*ret_path = line + second + 1;
				*ret_len = len - second - 1;
				return true;
			}
		}
		line += len;
		line += *line == '\n';
	}
	return false;
}

static void read_own_cgroup(struct cgroup_layout *l, const char *rootfs)
{
	char path[512], text[8192];
	const char *own;
	size_t len;
	uint32_t id;

	(void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", prefix_of(rootfs));
	if (fs_read_into(AT_FDCWD, path, text, sizeof(text)) < 0 ||
	    !find_line(text, l->mode == CGROUP_MODE_V2, &id, &own, &len))
		return;
	l->memory_hierarchy = id;
	l->namespaced = len >= 3 && strncmp(own, "/..", 3) == 0;
}

int cgroup_layout_init(const char *rootfs, struct cgroup_layout *ret)
{
	struct cgroup_layout l = { .memory_fd = -EBADF, .unified_fd = -EBADF };
	int r;

	*ret = l;
	r = read_mounts(&l, rootfs);
	if (r < 0)
		return r;
	if (l.unified_root[0] && unified_has_memory(&l)) {
		l.mode = CGROUP_MODE_V2;
		memcpy(l.memory_root, l.unified_root, sizeof(l.memory_root));
	} else if (l.memory_root[0]) {
		l.mode = l.unified_root[0] ? CGROUP_MODE_HYBRID : CGROUP_MODE_V1;
	} else {
		*ret = l;
		return -ENOENT;
	}
	read_own_cgroup(&l, rootfs);
	l.memory_fd = open(l.memory_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l.memory_fd < 0)
		return -errno;
	if (l.unified_root[0])
		l.unified_fd = open(l.unified_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*ret = l;
	return 0;
}

void cgroup_layout_done(struct cgroup_layout *l)
{
	if (l->memory_fd >= 0)
		(void)close(l->memory_fd);
	if (l->unified_fd >= 0)
		(void)close(l->unified_fd);
	l->memory_fd = l->unified_fd = -EBADF;
}

struct kernfs_handle {
	struct file_handle head;
	unsigned char id[8];
};

int cgroup_id(int dir_fd, const char *path, uint64_t *ret)
{
	struct kernfs_handle h = { .head = { .handle_bytes = sizeof(h.id) } };
	int mount_id;
	struct stat st;

	if (name_to_handle_at(dir_fd, path, &h.head, &mount_id, *path ? 0 : AT_EMPTY_PATH) == 0) {
		memcpy(ret, h.id, sizeof(*ret));
		return 0;
	}
	if (fstatat(dir_fd, path, &st, *path ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) < 0)
		return -errno;
	*ret = st.st_ino;
	return 0;
}

int cgroup_open_by_id(int mount_fd, uint64_t id)
{
	struct kernfs_handle h = { .head = { .handle_bytes = sizeof(h.id),
					     .handle_type = 0xfe /* FILEID_KERNFS */ } };
	int fd;

	memcpy(h.id, &id, sizeof(id));
	fd = open_by_handle_at(mount_fd, &h.head, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

struct walk {
	cgroup_walk_fn fn;
	void *ctx;
	size_t left;
	char path[PATH_MAX_BYTES];
};

static int walk_directory(struct walk *w, int parent_fd, const char *name, size_t path_len,
			  unsigned depth)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;
	uint64_t id;
	int fd, r;

	if (w->left == 0 || depth > DEPTH_MAX)
		return 0;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0; /* gone meanwhile */
	dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return -errno;
	}
	w->left--;
	if (cgroup_id(fd, "", &id) == 0) {
		r = w->fn(w->ctx, path_len ? w->path : "/", fd, id);
		if (r)
			return r;
	}
	while ((entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (entry->d_type != DT_DIR || streq(entry->d_name, ".") ||
		    streq(entry->d_name, "..") || path_len + len + 2 > sizeof(w->path))
			continue;
		w->path[path_len] = '/';
		memcpy(w->path + path_len + 1, entry->d_name, len + 1);
		r = walk_directory(w, fd, entry->d_name, path_len + 1 + len, depth + 1);
		w->path[path_len] = '\0';
		if (r)
			return r;
	}
	return 0;
}

int cgroup_walk(int root_fd, size_t max, cgroup_walk_fn fn, void *ctx)
{
	_cleanup_(freep) struct walk *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct walk){ .fn = fn, .ctx = ctx, .left = max };
	return walk_directory(w, root_fd, ".", 0, 0);
}

int cgroup_of_process(const struct cgroup_layout *l, uint32_t pid, char *ret, size_t size)
{
	char path[64], text[8192];
	const char *own;
	size_t len;
	uint32_t id;
	ssize_t n;

	if (pid)
		(void)snprintf(path, sizeof(path), "/proc/%u/cgroup", pid);
	else
		(void)snprintf(path, sizeof(path), "/proc/self/cgroup");
	n = fs_read_into(AT_FDCWD, path, text, sizeof(text));
	if (n < 0)
		return (int)n;
	if (!find_line(text, l->mode == CGROUP_MODE_V2, &id, &own, &len))
		return -ENOENT;
	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(ret, own, len);
	ret[len] = '\0';
	return 0;
}
