/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Files that are read again when they change
 *
 * Looked at every now and then instead of by inotify: stat() follows links, so that the swap of a directory behind a link (Kubernetes' `..data`), a
 * rename over the file and a write into it are one and the same thing, as is a file that is missing for a while. A change is told when it has
 * rested for one look: certificate and key, written one after the other, are one change.
 */
struct file_id { /* all zero: not there */
	uint64_t device, inode, size;
	int64_t mtime_ns, ctime_ns;
};
struct file_id file_id_of(const char *path);
bool file_id_equal(const struct file_id *a, const struct file_id *b);

struct file_watch {
	char **paths;
	struct file_id *ids;
	size_t n;
	bool changed; /* at the last look */
};
/* From now on these, as they are now. 0 or -ENOMEM, then the old ones stay. */
int file_watch_set(struct file_watch *w, const char *const *paths, size_t n);
bool file_watch_look(struct file_watch *w);
void file_watch_done(struct file_watch *w);
