/* SPDX-License-Identifier: Apache-2.0 */
/* A file that is nothing but room. */
#define LOG_MODULE "queue"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/log.h"
#include "base/macro.h"
#include "route/queue/ballast.h"

#define PAGE_BYTES 4096ULL
#define STEP_BYTES (1ULL << 20)
#define SLACK_BYTES (64ULL << 10) /* headers, ends of files that are rounded up, new segments */
#define LOOK_TICKS 60U

struct ballast {
	pthread_mutex_t lock;
	int fd;
	bool off; /* the file system cannot promise */
	uint64_t promised, size;
	uint64_t peak; /* of what was promised, since the look before */
	unsigned ticks;
};

static int open_nameless(const char *directory)
{
	char path[4200];
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	/* Not every file system has files without a name. */
	(void)snprintf(path, sizeof(path), "%s/.ballast.%d", directory, (int)getpid());
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	return fd;
}

int ballast_new(const char *directory, struct ballast **ret)
{
	struct ballast *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	r = fs_mkdir_p(directory, 0700);
	b->fd = r < 0 ? r : open_nameless(directory);
	if (b->fd < 0) {
		r = b->fd;
		pthread_mutex_destroy(&b->lock);
		free(b);
		return r;
	}
	*ret = b;
	return 0;
}

struct ballast *ballast_free(struct ballast *b)
{
	if (!b)
		return NULL;
	closep(&b->fd);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return NULL;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* Blocks are promised as they are before compression; what does not compress becomes a little longer. */
static uint64_t need_of(uint64_t promised)
{
	return promised ? round_up(promised + promised / 8 + SLACK_BYTES, PAGE_BYTES) : 0;
}

static int allocate(struct ballast *b, uint64_t size)
{
	int r;

	do
		r = fallocate(b->fd, 0, 0, (off_t)size);
	while (r < 0 && errno == EINTR);
	r = r < 0 ? -errno : 0;
	if (r == 0)
		b->size = size;
	else if (ftruncate(b->fd, (off_t)b->size) < 0) /* some may have been found */
		log_warning_limited("cannot give back room on the device: %s", strerror(errno));
	return r;
}

static bool grow(struct ballast *b, uint64_t need)
{
	int r = allocate(b, round_up(need + need / 4, STEP_BYTES));

	if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG)
		r = allocate(b, need);
	if (r == -EOPNOTSUPP || r == -ENOSYS) {
		b->off = true;
		log_warning(
			"the file system of the queues has no fallocate: when it is full, nodes may get samples twice");
		return true;
	}
	return r == 0;
}

bool ballast_reserve(struct ballast *b, uint64_t bytes)
{
	bool ok = true;

	pthread_mutex_lock(&b->lock);
	b->promised += bytes;
	if (!b->off && need_of(b->promised) > b->size)
		ok = grow(b, need_of(b->promised));
	if (!ok)
		b->promised -= bytes;
	b->peak = MAX(b->peak, b->promised);
	pthread_mutex_unlock(&b->lock);
	return ok;
}

void ballast_unreserve(struct ballast *b, uint64_t bytes)
{
	pthread_mutex_lock(&b->lock);
	b->promised -= MIN(bytes, b->promised);
	pthread_mutex_unlock(&b->lock);
}

static bool shrink(struct ballast *b, uint64_t size)
{
	if (ftruncate(b->fd, (off_t)size) < 0)
		return false;
	b->size = size;
	return true;
}

bool ballast_give(struct ballast *b, uint64_t bytes)
{
	uint64_t cut =
		round_up(bytes, PAGE_BYTES) + 2 * PAGE_BYTES; /* a header, an end of a file */
	bool ok;

	pthread_mutex_lock(&b->lock);
	ok = b->size >= cut && shrink(b, b->size - cut);
	pthread_mutex_unlock(&b->lock);
	return ok;
}

void ballast_tick(struct ballast *b)
{
	uint64_t need;

	pthread_mutex_lock(&b->lock);
	if (++b->ticks >= LOOK_TICKS) {
		need = round_up(need_of(b->peak), STEP_BYTES);
		if (b->size > 2 * need)
			(void)shrink(b, need);
		b->peak = b->promised;
		b->ticks = 0;
	}
	pthread_mutex_unlock(&b->lock);
}

uint64_t ballast_size(struct ballast *b)
{
	uint64_t size;

	pthread_mutex_lock(&b->lock);
	size = b->size;
	pthread_mutex_unlock(&b->lock);
	return size;
}
