/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/route/queue/?*.c */
/* fuzz-libs: -lxxhash */
#include <assert.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/log.h"
#include "base/macro.h"
#include "fuzz.h"
#include "route/queue/queue.h"

#define LANES 3

struct walk {
	const uint8_t *end;
	uint64_t last, records;
};

static int on_record(void *ctx, const struct record *r, uint64_t offset)
{
	struct walk *w = ctx;
	const void *value;
	size_t len;

	assert(offset >= SEGMENT_HEADER && offset % 8 == 0 && (!w->records || offset > w->last));
	assert((const uint8_t *)r->payload + r->payload_len <= w->end);
	for (int type = 0; type < 4; type++)
		if (record_extra_find(r, (enum record_extra)type, &value, &len))
			assert((const uint8_t *)value + len <=
			       (const uint8_t *)r->extra + r->extra_len);
	w->last = offset;
	w->records++;
	return 0;
}

static void sign(uint8_t header[RECORD_HEADER])
{
	uint32_t sum = htole32(segment_checksum(header, 60));

	memcpy(header + 60, &sum, sizeof(sum));
}

/* Checksums would stop all that is not valid already: they are made right where a header lies, bodies where asked for. */
static void repair(uint8_t *at, size_t size, bool bodies)
{
	uint64_t hash = htole64(XXH3_64bits("d/n", 3)), sequence = htole64(1);
	uint32_t header = htole32(SEGMENT_HEADER);

	if (size < SEGMENT_HEADER)
		return;
	memcpy(at, "TLMQ0001", 8);
	memcpy(at + 8, &header, sizeof(header));
	memcpy(at + 16, &sequence, sizeof(sequence));
	memcpy(at + 40, &hash, sizeof(hash));
	sign(at);
	for (size_t i = SEGMENT_HEADER; i + RECORD_HEADER <= size; i += 8) {
		uint32_t payload, sum;
		uint16_t extra;

		if (memcmp(at + i, "BLK1", 4) != 0)
			continue;
		memcpy(&payload, at + i + 4, sizeof(payload));
		memcpy(&extra, at + i + 52, sizeof(extra));
		if (bodies &&
		    (uint64_t)le16toh(extra) + le32toh(payload) <= size - i - RECORD_HEADER) {
			sum = htole32(segment_checksum(at + i + RECORD_HEADER,
						       (size_t)le16toh(extra) + le32toh(payload)));
			memcpy(at + i + 56, &sum, sizeof(sum));
		}
		sign(at + i);
	}
}

static void put(const char *directory, const char *name, const void *data, size_t size)
{
	char path[300];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/queue/d/n/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)close(fd);
}

static void clean(const char *directory)
{
	char path[300];
	const struct dirent *e;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/queue/d/n", directory);
	d = opendir(path);
	while (d && (e = readdir(d)))
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		(void)closedir(d);
}

static const char *make_directory(void)
{
	static char directory[64];
	static const char *const below[] = { "", "/queue", "/queue/d", "/queue/d/n" };
	char path[128];

	(void)snprintf(directory, sizeof(directory), "%s/telamon-fuzz-segment-%d",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", directory, below[i]);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			abort();
	}
	return directory;
}

/* A queue opens whatever lies there; what it gives out adds up, and it takes new blocks. */
static void recover(const char *directory, uint32_t append)
{
	const struct queue_options o = { .storage_path = directory,
					 .destination = "d",
					 .node = "n",
					 .memory = 1 << 16,
					 .disk = 1 << 22,
					 .segment = 1 << 20,
					 .dead_letter = 1 << 20,
					 .ack = QUEUE_ACK_DISK,
					 .lanes = LANES };
	struct record r = {
		.samples = 1, .lane = 1, .schema = RECORD_RW1, .payload = "x", .payload_len = 1
	};
	struct queue_block *b;
	struct queue_stats s;
	struct queue *q;
	char why[256];
	bool any = true;

	assert(queue_open(&o, why, sizeof(why), &q) == 0);
	for (uint32_t i = 0; i < append; i++)
		assert(queue_append(q, &r) == 0);
	while (any) {
		any = false;
		for (uint32_t lane = 0; lane < LANES; lane++)
			while ((b = queue_take(q, lane, 0))) {
				const uint8_t *p = b->record.payload;

				for (uint32_t i = 0; i < b->record.payload_len; i++)
					append += p[i]; /* all of it can be read */
				queue_release(q, b);
				any = true;
			}
	}
	queue_stats(q, &s);
	assert(s.blocks == 0);
	assert(s.records[QUEUE_ENQUEUED] + s.records[QUEUE_RECOVERED] <=
	       s.records[QUEUE_SENT] + s.records[QUEUE_CORRUPT] + s.records[QUEUE_DROPPED]);
	queue_close(q);
}

/* The first byte says what is made right; then a segment file, a cursor behind the last 0xff. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *directory;
	uint8_t how = size ? data[0] : 0;
	const uint8_t *cursor = size > 1 ? memrchr(data + 1, 0xff, size - 1) : NULL;
	size_t n = cursor ? (size_t)(cursor - data) - 1 : size ? size - 1 : 0;
	uint8_t *file = malloc(n ? n : 1);
	struct segment_walk ret;
	struct walk w;

	assert(file);
	memcpy(file, data + 1, n);
	if (!directory) {
		log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
		directory = make_directory();
	}
	if (how & 1)
		repair(file, n, how & 2);
	w = (struct walk){ .end = file + n };
	if (segment_walk(file, n, on_record, &w, &ret) == 0)
		assert(ret.records == w.records && ret.torn_at <= n);
	put(directory, "0000000000000001.seg", file, n);
	if (cursor && (how & 4))
		put(directory, "cursor", cursor + 1, size - n - 2);
	recover(directory, how >> 4);
	clean(directory);
	free(file);
	return 0;
}
