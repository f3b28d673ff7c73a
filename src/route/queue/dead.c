/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead letters: blocks that a node refused for good (GW-TX-11)
 *
 * Segments of the same format in dead/, and a JSON line each in dead/index.jsonl. Bounded: the oldest segment makes room.
 */
#define LOG_MODULE "queue"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "base/time.h"
#include "route/queue/internal.h"

#define INDEX_MAX (4 << 20)
#define SEGMENT_MAX (1 << 20)
#define SEGMENT_MIN 4096
#define DROP_READ_MAX (1ULL << 30)

struct found {
	uint64_t oldest, newest, bytes;
	uint64_t newest_size;
	unsigned n;
};

static int open_dead(const struct queue *q)
{
	if (mkdirat(q->dir_fd, "dead", 0700) < 0 && errno != EEXIST)
		return -errno;
	return openat(q->dir_fd, "dead", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void look(int dead_fd, struct found *ret)
{
	int fd = openat(dead_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	*ret = (struct found){};
	while (dir && (e = readdir(dir))) {
		uint64_t sequence;
		struct stat st;

		if (strlen(e->d_name) != 20 || !streq(e->d_name + 16, ".seg") ||
		    parse_hex64(e->d_name, 16, &sequence) < 0 ||
		    fstatat(dead_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!ret->n || sequence < ret->oldest)
			ret->oldest = sequence;
		if (!ret->n || sequence >= ret->newest) {
			ret->newest = sequence;
			ret->newest_size = (uint64_t)st.st_size;
		}
		ret->bytes += (uint64_t)st.st_size;
		ret->n++;
	}
}

int dead_open(struct queue *q)
{
	_cleanup_(closep) int fd = open_dead(q);
	struct found f;

	if (fd < 0)
		return fd;
	look(fd, &f);
	q->dead = f.bytes;
	return 0;
}

static int add_record(void *ctx, const struct record *r, uint64_t offset)
{
	struct amount *sum = ctx;

	(void)offset;
	sum->records++;
	sum->samples += r->samples;
	sum->series += r->series;
	return 0;
}

static void drop_oldest(struct queue *q, int fd, uint64_t sequence)
{
	_cleanup_(freep) char *text = NULL;
	struct segment_walk walk;
	struct amount sum = {};
	char name[32];
	struct stat st;
	size_t len;

	(void)snprintf(name, sizeof(name), "%016" PRIx64 ".seg", sequence);
	if (fs_read_at(fd, name, DROP_READ_MAX, &text, &len) >= 0)
		(void)segment_walk(text, len, add_record, &sum, &walk);
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || unlinkat(fd, name, 0) < 0)
		return;
	q->dead -= MIN((uint64_t)st.st_size, q->dead);
	queue_count(q, QUEUE_DEAD_DROPPED, sum);
	log_warning_limited("%s: dead letters are full, the oldest %" PRIu64 " were dropped",
			    q->path, sum.records);
}

/* Several at any limit, so that room is made in small steps. */
static uint64_t segment_max(const struct queue *q)
{
	return CLAMP(q->o.dead_letter / 8, (uint64_t)SEGMENT_MIN, (uint64_t)SEGMENT_MAX);
}

static int open_segment(struct queue *q, int fd, const struct found *f, const struct record *r,
			uint64_t *ret_size)
{
	const struct segment_info info = { .sequence = f->n ? f->newest + 1 : FIRST_SEQUENCE,
					   .first_index = r->index,
					   .created_ms = (int64_t)(time_wall_ns() / NS_PER_MSEC),
					   .node_hash = q->node_hash,
					   .epoch = q->o.epoch };
	uint8_t header[SEGMENT_HEADER];
	char name[32];
	int file;

	if (f->n && f->newest_size >= SEGMENT_HEADER && f->newest_size % 8 == 0 &&
	    f->newest_size + record_size(r) <= segment_max(q)) {
		(void)snprintf(name, sizeof(name), "%016" PRIx64 ".seg", f->newest);
		*ret_size = f->newest_size;
		file = openat(fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
		return file < 0 ? -errno : file;
	}
	(void)snprintf(name, sizeof(name), "%016" PRIx64 ".seg", info.sequence);
	file = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file < 0)
		return -errno;
	segment_header_encode(&info, header);
	*ret_size = SEGMENT_HEADER;
	if (pwrite(file, header, sizeof(header), 0) == (ssize_t)sizeof(header)) {
		q->dead += SEGMENT_HEADER;
		return file;
	}
	(void)close(file);
	(void)unlinkat(fd, name, 0); /* a file without its head takes no record */
	return -ENOSPC;
}

static int write_body(int file, const struct record *r, uint64_t offset)
{
	static const uint8_t zeros[8];
	uint8_t header[RECORD_HEADER];
	size_t size = record_size(r);
	struct iovec v[4] = { { header, sizeof(header) },
			      { (void *)(uintptr_t)r->extra, r->extra_len },
			      { (void *)(uintptr_t)r->payload, r->payload_len },
			      { (void *)(uintptr_t)zeros,
				size - sizeof(header) - r->extra_len - r->payload_len } };

	record_header_encode(r, header);
	return pwritev(file, v, 4, (off_t)offset) == (ssize_t)size ? 0 : -ENOSPC;
}

static int write_line(int fd, const struct record *r, int status, const char *reason,
		      const char *series)
{
	_cleanup_strbuf_ struct strbuf line = STRBUF_INIT;
	_cleanup_(closep) int file = -EBADF;
	struct stat st;

	strbuf_addstr(&line, "{\"time\":\"");
	time_add_rfc3339(&line, time_wall_ns(), 3);
	strbuf_addf(&line,
		    "\",\"status\":%d,\"index\":%" PRIu64 ",\"samples\":%u,\"reason\":", status,
		    r->index, r->samples);
	strbuf_addch(&line, '"');
	(void)text_add_json(&line, reason, strlen(reason));
	strbuf_addstr(&line, "\",\"series\":\"");
	(void)text_add_json(&line, series ? series : "", series ? strlen(series) : 0);
	strbuf_addstr(&line, "\"}\n");
	if (line.error)
		return line.error;
	file = openat(fd, "index.jsonl", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
		      0600);
	if (file < 0 || fstat(file, &st) < 0)
		return -errno;
	/* One generation back is kept. */
	if (st.st_size > INDEX_MAX)
		(void)renameat(fd, "index.jsonl", fd, "index.jsonl.1");
	return write(file, line.data, line.len) == (ssize_t)line.len ? 0 : -EIO;
}

int dead_write(struct queue *q, const struct record *r, int status, const char *reason,
	       const char *series)
{
	_cleanup_(closep) int fd = open_dead(q), file = -EBADF;
	uint64_t size = 0;
	struct found f;
	int e;

	if (fd < 0)
		return fd;
	look(fd, &f);
	while (f.n && f.bytes + record_size(r) + SEGMENT_HEADER > q->o.dead_letter) {
		drop_oldest(q, fd, f.oldest);
		look(fd, &f);
	}
	if (record_size(r) + SEGMENT_HEADER > q->o.dead_letter) {
		queue_count(q, QUEUE_DEAD_DROPPED, (struct amount){ 1, r->samples, r->series });
		return -EFBIG;
	}
	file = open_segment(q, fd, &f, r, &size);
	if (file < 0)
		return file;
	e = write_body(file, r, size);
	if (e < 0) {
		(void)!ftruncate(file, (off_t)size);
		disk_count_error(q, e);
		return e;
	}
	q->dead += record_size(r);
	e = write_line(fd, r, status, reason, series);
	if (e < 0) /* the letter itself is there */
		disk_count_error(q, e);
	return 0;
}
