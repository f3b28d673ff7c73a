/* SPDX-License-Identifier: Apache-2.0 */
/* Identities of files, compared at each look. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/filewatch.h"
#include "base/time.h"

static int64_t to_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * (int64_t)NS_PER_SEC + t->tv_nsec;
}

struct file_id file_id_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct file_id){};
	return (struct file_id){ (uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size,
				 to_ns(&st.st_mtim), to_ns(&st.st_ctim) };
}

bool file_id_equal(const struct file_id *a, const struct file_id *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

int file_watch_set(struct file_watch *w, const char *const *paths, size_t n)
{
	struct file_watch fresh = { .paths = calloc(n + 1, sizeof(char *)),
				    .ids = calloc(n + 1, sizeof(struct file_id)),
				    .n = n };
	bool ok = fresh.paths && fresh.ids;

	for (size_t i = 0; ok && i < n; i++) {
		fresh.paths[i] = strdup(paths[i]);
		ok = fresh.paths[i];
		if (ok)
			fresh.ids[i] = file_id_of(paths[i]);
	}
	if (!ok) {
		file_watch_done(&fresh);
		return -ENOMEM;
	}
	file_watch_done(w);
	*w = fresh;
	return 0;
}

bool file_watch_look(struct file_watch *w)
{
	bool changed = false, rested;

	for (size_t i = 0; i < w->n; i++) {
		struct file_id id = file_id_of(w->paths[i]);

		changed |= !file_id_equal(&id, &w->ids[i]);
		w->ids[i] = id;
	}
	rested = w->changed && !changed;
	w->changed = changed;
	return rested;
}

void file_watch_done(struct file_watch *w)
{
	for (size_t i = 0; w->paths && i < w->n; i++)
		free(w->paths[i]);
	free(w->paths);
	free(w->ids);
	*w = (struct file_watch){};
}
