/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One watch per directory, found again by its number and by its path
 *
 * A directory is watched before it is listed, so whatever is made in it is told by an event or found by the list, or both: the
 * second time it is known already. The kernel never drops a watch on a directory of a cgroup that went away (its inode keeps
 * a link count), so each is taken back when the parent tells the removal.
 */
#define LOG_MODULE "identity"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>
#include "base/hash.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/time.h"
#include "sys/cgwatch.h"

#define MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW)
#define READS_MAX 64 /* per wake-up: a storm leaves the loop time for others */
#define READ_BYTES 16384

struct entry {
	struct hash_node by_path, by_wd;
	uint64_t id;
	int wd;
	size_t len;
	char path[]; /* below the mount point; "" = the root */
};

struct cgwatch {
	const struct cgroup_layout *cgroups;
	cgtrack_fn fn;
	void *ctx;
	int fd;
	struct hash by_path, by_wd;
	uint64_t refused, lost;
	bool quiet; /* nobody is told: the owner walks by itself */
	int refused_errno;
};

static bool same_path(const struct hash_node *n, const void *key)
{
	return streq(container_of(n, struct entry, by_path)->path, key);
}

static bool same_wd(const struct hash_node *n, const void *key)
{
	return container_of(n, struct entry, by_wd)->wd == *(const int *)key;
}

static struct entry *find_path(const struct cgwatch *w, const char *path)
{
	struct hash_node *n =
		hash_find(&w->by_path, hash_bytes(path, strlen(path)), same_path, path);

	return n ? container_of(n, struct entry, by_path) : NULL;
}

static struct entry *find_wd(const struct cgwatch *w, int wd)
{
	struct hash_node *n = hash_find(&w->by_wd, hash_u64((uint64_t)wd), same_wd, &wd);

	return n ? container_of(n, struct entry, by_wd) : NULL;
}

static void tell(const struct cgwatch *w, enum cgroup_record type, uint64_t id, const char *path)
{
	struct cgroup_record_event e = { .id = id, .hierarchy = w->cgroups->memory_hierarchy };
	size_t len = strlen(path);

	if (w->quiet)
		return;
	for (const char *p = path; *p; p++)
		e.level += *p == '/';
	/* Too long for a record: the owner asks by the id. */
	if (len <= sizeof(e.path)) {
		memcpy(e.path, path, len);
		e.path_length = (uint16_t)len;
	}
	e.head.type = type;
	e.head.size = (uint32_t)(offsetof(struct cgroup_record_event, path) + e.path_length);
	e.head.boot_ns = time_boot_ns();
	w->fn(w->ctx, &e);
}

/* --- entries --- */

static void drop(struct cgwatch *w, struct entry *e)
{
	(void)inotify_rm_watch(w->fd, e->wd);
	hash_remove(&w->by_path, &e->by_path);
	hash_remove(&w->by_wd, &e->by_wd);
	free(e);
}

static int refuse(struct cgwatch *w, int error)
{
	w->refused++;
	w->refused_errno = error;
	return error;
}

/* 1: is new; 0: was known; -errno: refused, and counted unless the cgroup has just gone. */
static int watch(struct cgwatch *w, const char *path, uint64_t id)
{
	struct entry *e = find_path(w, path);
	size_t len = strlen(path);
	char full[PATH_MAX];

	if (e && e->id == id)
		return 0;
	if (e) /* removed and made again before we came to read */
		drop(w, e);
	if (hash_full(&w->by_path) || snprintf(full, sizeof(full), "%s%s", w->cgroups->memory_root,
					       path) >= (int)sizeof(full))
		return refuse(w, -ENOSPC);
	e = calloc(1, sizeof(*e) + len + 1);
	if (!e)
		return refuse(w, -ENOMEM);
	e->id = id;
	e->len = len;
	memcpy(e->path, path, len);
	e->wd = inotify_add_watch(w->fd, full, MASK);
	if (e->wd < 0) {
		int r = -errno;

		free(e);
		return r == -ENOENT ? r : refuse(w, r);
	}
	if (find_wd(w,
		    e->wd)) { /* the same directory by another path: a rename whose event is still to come */
		free(e);
		return -EEXIST;
	}
	(void)hash_insert(&w->by_path, &e->by_path, hash_bytes(path, len));
	(void)hash_insert(&w->by_wd, &e->by_wd, hash_u64((uint64_t)e->wd));
	return 1;
}

/* --- directories --- */

struct visit {
	struct cgwatch *watch;
	const char *prefix; /* path of the directory where the walk began */
	enum cgroup_record type; /* of that directory itself; what lies below is new */
};

static int on_directory(void *ctx, const char *path, int dir_fd, uint64_t id)
{
	struct visit *v = ctx;
	bool top = streq(path, "/");
	char full[PATH_MAX];

	(void)dir_fd;
	if (snprintf(full, sizeof(full), "%s%s", v->prefix, top ? "" : path) >= (int)sizeof(full))
		return 0;
	/* Also what could not be watched is there. */
	if (watch(v->watch, full, id) != 0)
		tell(v->watch, top ? v->type : CGROUP_RECORD_MKDIR, id, full);
	return 0;
}

/* The directory at @path and all below it. */
static void visit_tree(struct cgwatch *w, const char *path, enum cgroup_record type)
{
	struct visit v = { w, path, type };
	_cleanup_(closep) int fd = openat(w->cgroups->memory_fd, *path ? path + 1 : ".",
					  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0) /* else gone again */
		(void)cgroup_walk(fd, w->by_path.max, on_directory, &v);
}

static void drop_tree(struct cgwatch *w, const char *path)
{
	size_t len = strlen(path);

	for (struct hash_node *n = w->by_path.oldest, *next; n; n = next) {
		struct entry *e = container_of(n, struct entry, by_path);

		next = n->newer;
		if (strncmp(e->path, path, len) == 0 && (e->path[len] == '/' || !e->path[len]))
			drop(w, e);
	}
}

/* Events were lost: what is gone, then what is new. */
static void compare_all(struct cgwatch *w)
{
	for (struct hash_node *n = w->by_path.oldest, *next; n; n = next) {
		struct entry *e = container_of(n, struct entry, by_path);
		uint64_t id;

		next = n->newer;
		if (cgroup_id(w->cgroups->memory_fd, *e->path ? e->path + 1 : ".", &id) == 0 &&
		    id == e->id)
			continue;
		tell(w, CGROUP_RECORD_RMDIR, e->id, e->path);
		drop(w, e);
	}
	visit_tree(w, "", CGROUP_RECORD_MKDIR);
}

/* --- events --- */

static void on_removed(struct cgwatch *w, const char *path)
{
	struct entry *e = find_path(w, path);
	uint64_t id;

	if (!e)
		return;
	/* Made again meanwhile, under the same name: its own event is still to come, this is the old one. */
	if (cgroup_id(w->cgroups->memory_fd, path + 1, &id) == 0 && id == e->id)
		return;
	tell(w, CGROUP_RECORD_RMDIR, e->id, e->path);
	drop(w, e);
}

static void on_event(struct cgwatch *w, const struct inotify_event *event)
{
	const struct entry *parent;
	char path[PATH_MAX];

	if (event->mask & IN_Q_OVERFLOW) {
		w->lost++;
		compare_all(w);
		return;
	}
	parent = find_wd(w, event->wd);
	if (!parent || !(event->mask & IN_ISDIR) || event->len == 0 ||
	    snprintf(path, sizeof(path), "%s/%s", parent->path, event->name) >= (int)sizeof(path))
		return;
	if (event->mask & IN_CREATE)
		visit_tree(w, path, CGROUP_RECORD_MKDIR);
	else if (event->mask & IN_DELETE)
		on_removed(w, path);
	else if (event->mask & IN_MOVED_FROM) /* cgroup v1 */
		drop_tree(w, path);
	else if (event->mask & IN_MOVED_TO)
		visit_tree(w, path, CGROUP_RECORD_RENAME);
}

int cgwatch_consume(struct cgwatch *w)
{
	_Alignas(struct inotify_event) char buf[READ_BYTES];
	int events = 0;

	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = read(w->fd, buf, sizeof(buf));

		if (n <= 0)
			return n == 0 || errno == EAGAIN || errno == EINTR ? events : -errno;
		for (ssize_t at = 0; at < n; events++) {
			const struct inotify_event *e = (const void *)(buf + at);

			at += (ssize_t)(sizeof(*e) + e->len);
			on_event(w, e);
		}
	}
	return events;
}

int cgwatch_new(const struct cgroup_layout *cgroups, size_t watches_max, cgtrack_fn fn, void *ctx,
		struct cgwatch **ret)
{
	_cleanup_(cgwatch_freep) struct cgwatch *w = NULL;
	int r;

	if (cgroups->memory_fd < 0)
		return -ENOENT;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct cgwatch){ .cgroups = cgroups, .fn = fn, .ctx = ctx };
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0)
		return -errno;
	r = hash_init(&w->by_path, watches_max);
	if (r >= 0)
		r = hash_init(&w->by_wd, watches_max);
	if (r < 0)
		return r;
	w->quiet = true;
	visit_tree(w, "", CGROUP_RECORD_MKDIR);
	w->quiet = false;
	if (w->by_path.count == 0)
		return w->refused_errno ? w->refused_errno : -ENOENT;
	if (w->refused)
		log_warning(
			"%llu cgroups cannot be watched (%s), a scan finds what is made in them",
			(unsigned long long)w->refused, strerror(-w->refused_errno));
	*ret = TAKE_PTR(w);
	return 0;
}

struct cgwatch *cgwatch_free(struct cgwatch *w)
{
	if (!w)
		return NULL;
	while (w->by_path.oldest)
		drop(w, container_of(w->by_path.oldest, struct entry, by_path));
	hash_done(&w->by_path);
	hash_done(&w->by_wd);
	closep(&w->fd);
	free(w);
	return NULL;
}

int cgwatch_fd(const struct cgwatch *w)
{
	return w->fd;
}

size_t cgwatch_count(const struct cgwatch *w)
{
	return w->by_path.count;
}

uint64_t cgwatch_refused(const struct cgwatch *w)
{
	return w->refused;
}

uint64_t cgwatch_lost(const struct cgwatch *w)
{
	return w->lost;
}
