/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <sys/types.h>
#include "base/cleanup.h"

/* Reads a whole small file. -EFBIG beyond @max bytes; NUL-terminated heap text, owned by the caller. */
int fs_read_at(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_len);
/* Into the caller's buffer, NUL-terminated; returns the length, -ENOBUFS when the file is longer. No allocation. */
ssize_t fs_read_into(int dir_fd, const char *path, char *buf, size_t size);
/* pread from the start of an open procfs, sysfs or cgroup file; same rules. */
ssize_t fs_pread_into(int fd, char *buf, size_t size);
int fs_write_at(int dir_fd, const char *path, const char *text); /* open, one write, close */
int fs_write_atomic(const char *path, mode_t mode, const void *data,
		    size_t len); /* temporary file, fsync, rename */
int fs_mkdir_p(const char *path, mode_t mode);
