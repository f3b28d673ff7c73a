/* SPDX-License-Identifier: Apache-2.0 */
/* Small files: read whole, read into a buffer, write at once, replace atomically. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fs.h"
#include "base/strbuf.h"

int fs_read_at(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_(closep) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	char piece[4096];
	size_t len;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if (b.len + (size_t)n > max)
			return -EFBIG;
		strbuf_add(&b, piece, (size_t)n);
		if (b.error)
			return b.error;
	}
	*ret = strbuf_steal(&b, &len);
	if (!*ret)
		return -ENOMEM;
	if (ret_len)
		*ret_len = len;
	return 0;
}

static ssize_t read_full(int fd, char *buf, size_t size, bool positioned)
{
	size_t len = 0;

	if (size == 0)
		return -ENOBUFS;
	for (;;) {
		ssize_t n = positioned ? pread(fd, buf + len, size - len, (off_t)len)
				       : read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len == size)
			return -ENOBUFS; /* no room for the NUL */
	}
	buf[len] = '\0';
	return (ssize_t)len;
}

ssize_t fs_read_into(int dir_fd, const char *path, char *buf, size_t size)
{
	_cleanup_(closep) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return read_full(fd, buf, size, false);
}

ssize_t fs_pread_into(int fd, char *buf, size_t size)
{
	return read_full(fd, buf, size, true);
}

int fs_write_at(int dir_fd, const char *path, const char *text)
{
	_cleanup_(closep) int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n < 0)
		return -errno;
	return (size_t)n == strlen(text) ? 0 : -EIO;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/**
 * fs_write_atomic() - replace a file by new contents
 *
 * Readers see the old or the new file, never a part; after a crash too (fsync before rename).
 *
 * Return: 0; -errno, the old file untouched.
 */
int fs_write_atomic(const char *path, mode_t mode, const void *data, size_t len)
{
	_cleanup_strbuf_ struct strbuf tmp = STRBUF_INIT;
	_cleanup_(closep) int fd = -EBADF;
	int r;

	strbuf_addf(&tmp, "%s.tmp", path);
	if (tmp.error)
		return tmp.error;
	(void)unlink(strbuf_str(&tmp));
	fd = open(strbuf_str(&tmp), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, len);
	if (r >= 0 && fsync(fd) < 0)
		r = -errno;
	if (r >= 0 && rename(strbuf_str(&tmp), path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(strbuf_str(&tmp));
	return r;
}

int fs_mkdir_p(const char *path, mode_t mode)
{
	size_t len = strlen(path);
	char copy[4096];
	struct stat st;

	if (len == 0 || len >= sizeof(copy))
		return -ENAMETOOLONG;
	memcpy(copy, path, len + 1);
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(copy, mode) == 0)
		return 0;
	if (errno != EEXIST || stat(copy, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}
