/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segment files of one queue
 *
 * Appends go to the last file until it has its size. A file whose records are all sent is unlinked at once, so what a healthy node gets
 * seldom reaches the device. A write that fails is cut away again: nothing half written stays before a whole record.
 */
#define LOG_MODULE "queue"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/parse.h"
#include "base/time.h"
#include "route/queue/internal.h"

#define NAME_LEN 20 /* 16 hex digits and .seg */
#define SCAN_BYTES (1 << 16)

static void file_name(uint64_t sequence, char ret[NAME_LEN + 1])
{
	(void)snprintf(ret, NAME_LEN + 1, "%016" PRIx64 ".seg", sequence);
}

static bool parse_name(const char *name, uint64_t *ret)
{
	return strlen(name) == NAME_LEN && streq(name + 16, ".seg") &&
	       parse_hex64(name, 16, ret) == 0;
}

static bool parse_mark(const char *name, uint64_t *ret)
{
	return strlen(name) == NAME_LEN + 1 && streq(name + 16, ".sent") &&
	       parse_hex64(name, 16, ret) == 0;
}

void disk_count_error(struct queue *q, int error)
{
	switch (error) {
	case -ENOSPC:
		q->stats.errors[QUEUE_NOSPACE]++;
		break;
	case -EDQUOT:
		q->stats.errors[QUEUE_QUOTA]++;
		break;
	case -EIO:
		q->stats.errors[QUEUE_IO]++;
		break;
	default:
		q->stats.errors[QUEUE_OTHER]++;
	}
}

void disk_note_sync(struct queue *q, uint64_t from_us)
{
	durations_note(&q->stats.syncs, time_mono_us() - from_us);
}

int disk_free_space(struct queue *q)
{
	struct statvfs v;

	if (fstatvfs(q->dir_fd, &v) < 0)
		return -errno;
	q->no_space = (uint64_t)v.f_bavail * v.f_frsize < q->o.min_free_disk;
	return 0;
}

/* --- files --- */

static struct segment_file *new_file(uint64_t sequence, uint64_t first_index)
{
	struct segment_file *s = calloc(1, sizeof(*s));

	if (s)
		*s = (struct segment_file){ .sequence = sequence,
					    .first_index = first_index,
					    .min_ts = INT64_MAX,
					    .oldest_ms = INT64_MAX,
					    .fd = -EBADF };
	return s;
}

static void insert_file(struct queue *q, struct segment_file *s)
{
	struct segment_file **p = &q->segments;

	while (*p && (*p)->sequence < s->sequence)
		p = &(*p)->next;
	s->next = *p;
	*p = s;
	if (!s->next)
		q->last_segment = s;
	q->disk += s->size;
}

static void remove_file(struct queue *q, struct segment_file *s)
{
	struct segment_file **p = &q->segments, *before = NULL;
	char name[NAME_LEN + 2];

	while (*p != s) {
		before = *p;
		p = &(*p)->next;
	}
	*p = s->next;
	if (q->last_segment == s)
		q->last_segment = before;
	if (q->load.segment == s) {
		q->load.segment = s->next;
		q->load.offset = SEGMENT_HEADER;
	}
	q->disk -= MIN(s->size, q->disk);
	file_name(s->sequence, name);
	if (s->sent)
		(void)snprintf(name, sizeof(name), "%016" PRIx64 ".sent", s->sequence);
	if (unlinkat(q->dir_fd, name, 0) < 0 && errno != ENOENT)
		log_warning_limited("cannot remove %s/%s: %s", q->path, name, strerror(errno));
	closep(&s->fd);
	free(s);
}

static int create_file(struct queue *q, uint64_t sequence, uint64_t first_index,
		       struct segment_file **ret)
{
	const struct segment_info info = { .sequence = sequence,
					   .first_index = first_index,
					   .created_ms = (int64_t)(time_wall_ns() / NS_PER_MSEC),
					   .node_hash = q->node_hash,
					   .epoch = q->o.epoch };
	struct segment_file *s = new_file(sequence, first_index);
	uint8_t header[SEGMENT_HEADER];
	char name[NAME_LEN + 1];
	int r = 0;

	if (!s)
		return -ENOMEM;
	file_name(sequence, name);
	segment_header_encode(&info, header);
	s->fd = openat(q->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->fd < 0)
		r = -errno;
	else if (pwrite(s->fd, header, sizeof(header), 0) != (ssize_t)sizeof(header))
		r = errno ? -errno : -EIO;
	if (r >= 0 && q->o.ack == QUEUE_ACK_FSYNC && fsync(q->dir_fd) < 0)
		r = -errno;
	if (r < 0) {
		if (s->fd >= 0)
			(void)unlinkat(q->dir_fd, name, 0);
		closep(&s->fd);
		free(s);
		return r;
	}
	s->size = SEGMENT_HEADER;
	s->epoch = info.epoch;
	insert_file(q, s);
	*ret = s;
	return 0;
}

void disk_close_file(struct segment_file *s)
{
	closep(&s->fd);
	s->fd = -EBADF;
}

int disk_open_file(const struct queue *q, struct segment_file *s)
{
	char name[NAME_LEN + 1];

	if (s->fd >= 0)
		return 0;
	file_name(s->sequence, name);
	s->fd = openat(q->dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	return s->fd < 0 ? -errno : 0;
}

void disk_seal(struct queue *q)
{
	struct segment_file *s = q->last_segment;

	if (!s || s->sealed)
		return;
	s->sealed = true;
	if (q->o.ack == QUEUE_ACK_FSYNC && s->fd >= 0) {
		uint64_t from = time_mono_us();

		if (fdatasync(s->fd) < 0) {
			disk_count_error(q, -errno);
			q->lost = q->written;
		}
		disk_note_sync(q, from);
	}
	if (q->load.segment != s)
		disk_close_file(s);
	disk_release(q, s, (struct amount){});
}

void disk_drop_sent(struct queue *q)
{
	struct segment_file *s = q->last_segment;

	if (s && !s->sealed && s->records && s->released == s->records)
		disk_seal(q);
}

int disk_begin_before(struct queue *q)
{
	struct segment_file *s;
	uint64_t sequence = q->segments ? q->segments->sequence - 1 : q->next_sequence++;
	int r;

	disk_seal(q);
	r = create_file(q, sequence, queue_lowest_unsent(q), &s);
	if (r >= 0)
		q->last_segment = s; /* for the appends of the close alone */
	return r;
}

/* Older files are still at work: the file goes, its name stays as a mark. */
static void mark_sent(struct queue *q, struct segment_file *s)
{
	char name[NAME_LEN + 1], mark[NAME_LEN + 2];
	int fd;

	file_name(s->sequence, name);
	(void)snprintf(mark, sizeof(mark), "%.16s.sent", name);
	fd = openat(q->dir_fd, mark, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	closep(&fd);
	if (unlinkat(q->dir_fd, name, 0) < 0 && errno != ENOENT)
		log_warning_limited("cannot remove %s/%s: %s", q->path, name, strerror(errno));
	disk_close_file(s);
	q->disk -= MIN(s->size, q->disk);
	s->size = 0;
	s->sent = true;
}

void disk_release(struct queue *q, struct segment_file *s, struct amount a)
{
	s->released += a.records;
	s->samples -= MIN(a.samples, s->samples);
	s->series -= MIN(a.series, s->series);
	if (!s->sealed || s->released < s->records || s->sent)
		return;
	if (q->load.segment == s) {
		q->load.segment = s->next;
		q->load.offset = SEGMENT_HEADER;
	}
	if (s != q->segments) {
		mark_sent(q, s);
		return;
	}
	remove_file(q, s);
	while (q->segments && q->segments->sent)
		remove_file(q, q->segments);
}

/* --- writing --- */

static int write_record(int fd, const struct record *r, uint64_t offset)
{
	static const uint8_t zeros[8];
	uint8_t header[RECORD_HEADER];
	size_t size = record_size(r);
	struct iovec v[4] = { { header, sizeof(header) },
			      { (void *)(uintptr_t)r->extra, r->extra_len },
			      { (void *)(uintptr_t)r->payload, r->payload_len },
			      { (void *)(uintptr_t)zeros,
				size - sizeof(header) - r->extra_len - r->payload_len } };
	ssize_t n;

	record_header_encode(r, header);
	n = pwritev(fd, v, 4, (off_t)offset);
	if (n < 0)
		return -errno;
	return (size_t)n == size
		       ? 0
		       : -ENOSPC; /* a short write of a file: there is no room for the rest */
}

int disk_append(struct queue *q, const struct record *r, struct segment_file **ret,
		uint64_t *ret_offset)
{
	struct segment_file *s = q->last_segment;
	uint64_t size = record_size(r);
	int e;

	if (s && !s->sealed && s->size > SEGMENT_HEADER && s->size + size > q->o.segment) {
		disk_seal(q);
		s = q->last_segment;
	}
	if (!s || s->sealed) {
		e = create_file(q, q->next_sequence, r->index, &s);
		if (e < 0)
			return e;
		q->next_sequence++;
	}
	e = write_record(s->fd, r, s->size);
	if (e < 0) {
		if (ftruncate(s->fd, (off_t)s->size) < 0)
			disk_seal(q); /* never append behind what may be torn */
		return e;
	}
	*ret = s;
	*ret_offset = s->size;
	s->size += size;
	q->disk += size;
	s->records++;
	s->samples += r->samples;
	s->series += r->series;
	s->min_ts = MIN(s->min_ts, r->min_ts);
	s->oldest_ms = MIN(s->oldest_ms, r->enqueued_ms);
	return 0;
}

/* --- reading --- */

int disk_read_body(const struct queue *q, uint64_t sequence, uint64_t offset, struct record *ret,
		   uint8_t **ret_bytes)
{
	_cleanup_(freep) uint8_t *bytes = NULL;
	_cleanup_(closep) int fd = -EBADF;
	uint8_t header[RECORD_HEADER];
	char name[NAME_LEN + 1];
	struct record r;
	size_t len;

	file_name(sequence, name);
	fd = openat(q->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pread(fd, header, sizeof(header), (off_t)offset) != (ssize_t)sizeof(header))
		return -EIO;
	if (record_header_decode(header, &r) < 0)
		return -EBADMSG;
	len = (size_t)r.extra_len + r.payload_len;
	bytes = malloc(len + 1);
	if (!bytes)
		return -ENOMEM;
	if (pread(fd, bytes, len, (off_t)offset + RECORD_HEADER) != (ssize_t)len)
		return -EBADMSG; /* cut short */
	r.extra = bytes;
	r.payload = bytes + r.extra_len;
	if (record_body_check(header, &r) < 0)
		return -EBADMSG;
	*ret = r;
	*ret_bytes = TAKE_PTR(bytes);
	return 0;
}

/* The next header that holds, 8 bytes by 8 bytes; 0 = there is none. */
static uint64_t search(const struct segment_file *s, uint64_t from)
{
	_cleanup_(freep) uint8_t *buf = malloc(SCAN_BYTES);

	for (uint64_t at = from; buf && at + RECORD_HEADER <= s->size;) {
		ssize_t n = pread(s->fd, buf, SCAN_BYTES, (off_t)at), found;

		if (n < RECORD_HEADER)
			return 0;
		found = record_search(buf, (size_t)n, 0);
		if (found >= 0)
			return at + (uint64_t)found;
		at += (uint64_t)n - RECORD_HEADER + 8;
		at &= ~7ULL;
	}
	return 0;
}

ssize_t disk_read_header(struct segment_file *s, uint64_t *offset, struct record *ret,
			 uint64_t *holes)
{
	uint8_t header[RECORD_HEADER];

	while (*offset + RECORD_HEADER <= s->size) {
		uint64_t next;

		if (pread(s->fd, header, sizeof(header), (off_t)*offset) != (ssize_t)sizeof(header))
			return -EIO;
		if (record_header_decode(header, ret) == 0 && *offset + record_size(ret) <= s->size)
			return (ssize_t)record_size(ret);
		next = search(s, *offset + 8);
		if (!next)
			return 0;
		if (holes)
			++*holes;
		*offset = next;
	}
	return 0;
}

/* --- start and end --- */

/* What is not ours, or no segment at all, is kept for a person to look at. */
static void set_aside(struct queue *q, const char *name, const char *why)
{
	char to[300];

	(void)snprintf(to, sizeof(to), "%s.bad", name);
	if (renameat(q->dir_fd, name, q->dir_fd, to) == 0)
		log_warning("%s/%s %s: set aside as %s", q->path, name, why, to);
	queue_count(q, QUEUE_CORRUPT, (struct amount){ .records = 1 });
}

/* A file whose head is damaged may hold whole records: they are ours by the name of the file. */
static bool has_record(int fd, uint64_t size)
{
	const struct segment_file s = { .fd = fd, .size = size };

	return search(&s, SEGMENT_HEADER) != 0;
}

/* 1: its records are to be read; 0: it was set aside. */
static int check_head(struct queue *q, const char *name, uint64_t sequence, int fd,
		      uint64_t *ret_size, uint64_t *ret_epoch)
{
	struct segment_info info;
	uint8_t header[SEGMENT_HEADER];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_size = (uint64_t)st.st_size;
	*ret_epoch = 0; /* of a head that is damaged */
	if (S_ISREG(st.st_mode) &&
	    pread(fd, header, sizeof(header), 0) == (ssize_t)sizeof(header)) {
		if (segment_header_decode(header, &info) == 0) {
			if (info.node_hash == q->node_hash && info.sequence == sequence) {
				*ret_epoch = info.epoch;
				return 1;
			}
			set_aside(q, name, "belongs to another node");
			return 0;
		}
		if (has_record(fd, *ret_size)) {
			log_warning("%s/%s has a damaged head, its records are taken", q->path,
				    name);
			queue_count(q, QUEUE_CORRUPT, (struct amount){ .records = 1 });
			return 1;
		}
	}
	set_aside(q, name, "is no segment");
	return 0;
}

static int open_file(struct queue *q, const char *name, uint64_t sequence)
{
	_cleanup_(closep) int fd =
		openat(q->dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct segment_file *s;
	uint64_t size, epoch;
	int r;

	if (fd < 0 && (errno == EISDIR || errno == ELOOP || errno == ENXIO)) {
		set_aside(q, name, "is no segment");
		return 0;
	}
	if (fd < 0)
		return -errno;
	r = check_head(q, name, sequence, fd, &size, &epoch);
	if (r <= 0)
		return r;
	s = new_file(sequence, 0);
	if (!s)
		return -ENOMEM;
	s->size = size;
	s->epoch = epoch;
	s->sealed = true;
	insert_file(q, s);
	q->next_sequence = MAX(q->next_sequence, sequence + 1);
	return 0;
}

static int open_mark(struct queue *q, uint64_t sequence)
{
	struct segment_file *s = new_file(sequence, 0);

	if (!s)
		return -ENOMEM;
	s->sealed = s->sent = true;
	insert_file(q, s);
	q->next_sequence = MAX(q->next_sequence, sequence + 1);
	return 0;
}

int disk_open_all(struct queue *q)
{
	int fd = openat(q->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	uint64_t sequence;
	int r = 0;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	while (r >= 0 && (e = readdir(dir))) {
		if (parse_name(e->d_name, &sequence))
			r = open_file(q, e->d_name, sequence);
		else if (parse_mark(e->d_name, &sequence))
			r = open_mark(q, sequence);
	}
	return r;
}

bool queue_is_foreign(const struct queue *q)
{
	int fd = openat(q->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	uint64_t sequence;

	while (dir && (e = readdir(dir))) {
		_cleanup_(closep) int file = -EBADF;
		uint8_t header[SEGMENT_HEADER];
		struct segment_info info;

		if (!parse_name(e->d_name, &sequence))
			continue;
		file = openat(q->dir_fd, e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
		if (file >= 0 &&
		    pread(file, header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
		    segment_header_decode(header, &info) == 0 && info.node_hash != q->node_hash)
			return true;
	}
	return false;
}

void disk_close_all(struct queue *q)
{
	while (q->segments) {
		struct segment_file *s = q->segments;

		q->segments = s->next;
		closep(&s->fd);
		free(s);
	}
	q->last_segment = NULL;
}
