/* SPDX-License-Identifier: Apache-2.0 */
/* Directory of a queue: open, lock, close; directories that belong to nobody. */
#define LOG_MODULE "queue"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/fs.h"
#include "base/log.h"
#include "base/macro.h"
#include "route/queue/internal.h"

static int lock_directory(struct queue *q, char *why, size_t why_size)
{
	char text[32] = "";
	int n;

	q->lock_fd = openat(q->dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (q->lock_fd < 0)
		return -errno;
	if (flock(q->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		(void)fs_pread_into(q->lock_fd, text, sizeof(text));
		text[strcspn(text, "\n")] = '\0';
		(void)snprintf(why, why_size, "%s is in use by process %s", q->path,
			       *text ? text : "?");
		return -EBUSY;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(q->lock_fd, 0) < 0 || pwrite(q->lock_fd, text, (size_t)n, 0) != n)
		return -errno;
	return 0;
}

static int open_directory(struct queue *q)
{
	int r = fs_mkdir_p(q->path, 0700);

	if (r < 0)
		return r;
	q->dir_fd = open(q->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return q->dir_fd < 0 ? -errno : 0;
}

/* Segments of another node under this name: kept aside, the queue begins anew. */
static int set_aside_foreign(struct queue *q)
{
	char to[4200];

	if (!queue_is_foreign(q))
		return 0;
	(void)snprintf(to, sizeof(to), "%s.foreign", q->path);
	for (unsigned i = 1; access(to, F_OK) == 0 && i < 1000; i++)
		(void)snprintf(to, sizeof(to), "%s.foreign.%u", q->path, i);
	if (rename(q->path, to) < 0)
		return -errno;
	log_warning("%s holds segments of another node: set aside as %s", q->path, to);
	queue_count(q, QUEUE_CORRUPT, (struct amount){ .records = 1 });
	closep(&q->dir_fd);
	q->dir_fd = -EBADF;
	return open_directory(q);
}

static int set_up(struct queue *q, char *why, size_t why_size)
{
	int r = open_directory(q);

	if (r >= 0)
		r = set_aside_foreign(q);
	if (r >= 0)
		r = lock_directory(q, why, why_size);
	if (r >= 0)
		r = queue_recover(q);
	if (r >= 0)
		r = dead_open(q);
	if (r >= 0 && q->o.disk)
		r = disk_free_space(q);
	return r;
}

int queue_open(const struct queue_options *o, char *why, size_t why_size, struct queue **ret)
{
	struct queue *q = calloc(1, sizeof(*q));
	int r;

	*why = '\0';
	if (!q)
		return -ENOMEM;
	q->o = *o;
	q->o.lanes = q->width = CLAMP(o->lanes, 1U, (uint32_t)LANES_MAX);
	q->dir_fd = q->lock_fd = q->cursor_fd = -EBADF;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->synced, NULL);
	(void)snprintf(q->names, sizeof(q->names), "%s/%s", o->destination, o->node);
	(void)snprintf(q->path, sizeof(q->path), "%s/queue/%s", o->storage_path, q->names);
	q->o.storage_path = q->o.destination = q->o.node = NULL; /* the caller's */
	q->node_hash = XXH3_64bits(q->names, strlen(q->names));
	if (!q->o.disk)
		q->o.ack = QUEUE_ACK_MEMORY;
	r = set_up(q, why, why_size);
	if (r < 0) {
		if (!*why)
			(void)snprintf(why, why_size, "%s: %s", q->path, strerror(-r));
		queue_close(q);
		return r;
	}
	*ret = q;
	return 0;
}

/* What is in memory alone goes to disk, before all that came later. */
static void flush(struct queue *q)
{
	bool begun = false;

	for (struct block *b = q->oldest; b && q->o.disk; b = b->newer) {
		int r = 0;

		if (b->segment)
			continue;
		if (!begun)
			r = disk_begin_before(q);
		begun = true;
		if (r >= 0)
			r = disk_append(q, &b->public.record, &b->segment, &b->offset);
		if (r < 0) {
			disk_count_error(q, r);
			log_error("%s: cannot keep what is in memory: %s", q->path, strerror(-r));
			return;
		}
	}
}

struct queue *queue_close(struct queue *q)
{
	if (!q)
		return NULL;
	if (q->cursor_fd >= 0) {
		flush(q);
		cursor_write(q, true);
	}
	if (q->backed)
		ballast_unreserve(q->o.ballast, q->backed);
	disk_close_all(q);
	while (q->oldest) {
		struct block *b = q->oldest;

		q->oldest = b->newer;
		free(b->bytes);
		free(b);
	}
	closep(&q->cursor_fd);
	closep(&q->lock_fd);
	closep(&q->dir_fd);
	pthread_cond_destroy(&q->synced);
	pthread_mutex_destroy(&q->lock);
	free(q);
	return NULL;
}

/* --- directories of no configured node --- */

static uint64_t count_bytes(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *e;
	uint64_t bytes = 0;
	struct stat st;

	while (dir && (e = readdir(dir)))
		if (strlen(e->d_name) == 20 && streq(e->d_name + 16, ".seg") &&
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			bytes += (uint64_t)st.st_size;
	return bytes;
}

static bool is_known(const char *const *known, size_t n, const char *destination, const char *node)
{
	char name[600];

	(void)snprintf(name, sizeof(name), "%s/%s", destination, node);
	for (size_t i = 0; i < n; i++)
		if (streq(known[i], name))
			return true;
	return false;
}

static DIR *open_child(DIR *parent, const char *name)
{
	int fd = name[0] == '.' ? -1
				: openat(dirfd(parent), name,
					 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		(void)close(fd);
	return dir;
}

int queue_orphans(const char *storage_path, const char *const *known, size_t n_known,
		  queue_orphan_fn fn, void *ctx)
{
	_cleanup_(closedirp) DIR *root = NULL;
	const struct dirent *d, *n;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/queue", storage_path);
	root = opendir(path);
	if (!root)
		return errno == ENOENT ? 0 : -errno;
	while ((d = readdir(root))) {
		_cleanup_(closedirp) DIR *destination = open_child(root, d->d_name);

		while (destination && (n = readdir(destination))) {
			_cleanup_(closedirp) DIR *node = open_child(destination, n->d_name);

			if (node && !is_known(known, n_known, d->d_name, n->d_name))
				fn(ctx, d->d_name, n->d_name, count_bytes(dirfd(node)));
		}
	}
	return 0;
}
