/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of one test, removed with all that is in it. */
#pragma once
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "test.h"

struct scratch {
	char path[64];
};

static inline void scratch_init(struct scratch *s)
{
	(void)snprintf(s->path, sizeof(s->path), "/tmp/telamon-test-XXXXXX");
	assert_non_null(mkdtemp(s->path));
}

static inline void scratch_remove_at(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			scratch_remove_at(dirfd(d), entry->d_name);
	if (d)
		(void)closedir(d);
	(void)unlinkat(dir_fd, name, fd >= 0 ? AT_REMOVEDIR : 0);
}

static inline void scratch_done(struct scratch *s)
{
	scratch_remove_at(AT_FDCWD, s->path);
}

/* "DIR/NAME" in one of four static buffers. */
static inline const char *scratch_path(const struct scratch *s, const char *name)
{
	static char buffers[4][512];
	static unsigned next;
	char *b = buffers[next++ % 4];

	(void)snprintf(b, sizeof(buffers[0]), "%s/%s", s->path, name);
	return b;
}

static inline void scratch_write(const struct scratch *s, const char *name, const char *text)
{
	FILE *f = fopen(scratch_path(s, name), "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}
