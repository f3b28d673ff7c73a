/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cursor: where sending begins after a start
 *
 * Two slots of 64 bytes, written in turn, so that a torn write leaves the other. It may be behind: then blocks are sent twice. It is never
 * ahead: nothing is skipped.
 */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/macro.h"
#include "route/queue/internal.h"

#define SLOT 64
#define CHECKED 60

static const uint8_t magic[8] = { 'T', 'L', 'M', 'C', '0', '0', '0', '1' };

static void encode(const struct cursor *c, uint8_t out[SLOT])
{
	const uint64_t words[] = { htole64(c->generation), htole64(c->lowest), htole64(c->sequence),
				   htole64(c->offset) };
	uint32_t sum;

	memset(out, 0, SLOT);
	memcpy(out, magic, sizeof(magic));
	memcpy(out + 8, words, sizeof(words));
	sum = htole32(segment_checksum(out, CHECKED));
	memcpy(out + CHECKED, &sum, sizeof(sum));
}

static bool decode(const uint8_t in[SLOT], struct cursor *ret)
{
	uint64_t words[4];
	uint32_t sum;

	memcpy(&sum, in + CHECKED, sizeof(sum));
	if (memcmp(in, magic, sizeof(magic)) != 0 || le32toh(sum) != segment_checksum(in, CHECKED))
		return false;
	memcpy(words, in + 8, sizeof(words));
	*ret = (struct cursor){ le64toh(words[0]), le64toh(words[1]), le64toh(words[2]),
				le64toh(words[3]) };
	return true;
}

static int read_slots(int fd, struct cursor *ret)
{
	uint8_t slots[2][SLOT] = {};
	struct cursor a, b;
	bool has_a, has_b;
	ssize_t n = pread(fd, slots, sizeof(slots), 0);

	if (n < 0)
		return -errno;
	if (n == 0)
		return -ENOENT;
	has_a = decode(slots[0], &a);
	has_b = decode(slots[1], &b);
	if (!has_a && !has_b)
		return -EBADMSG;
	*ret = !has_b || (has_a && a.generation > b.generation) ? a : b;
	return 0;
}

int queue_cursor_lowest(int dir_fd, uint64_t *ret)
{
	_cleanup_(closep) int fd = openat(dir_fd, "cursor", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct cursor c = {};
	int r = fd < 0 ? -errno : read_slots(fd, &c);

	if (r >= 0)
		*ret = c.lowest;
	return r;
}

int cursor_read(struct queue *q, struct cursor *ret)
{
	q->cursor_fd = openat(q->dir_fd, "cursor", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (q->cursor_fd < 0)
		return -errno;
	return read_slots(q->cursor_fd, ret);
}

void cursor_write(struct queue *q, bool now)
{
	uint64_t lowest = queue_lowest_unsent(q);
	const struct block *b = q->oldest;
	struct cursor c = { .lowest = lowest };
	uint8_t slot[SLOT];

	if (q->cursor_fd < 0 || lowest == q->cursor_lowest ||
	    (!now && q->cursor_behind < CURSOR_BEHIND_MAX))
		return;
	if (b && b->segment) {
		c.sequence = b->segment->sequence;
		c.offset = b->offset;
	} else if (q->load.segment) {
		c.sequence = q->load.segment->sequence;
		c.offset = q->load.offset;
	}
	c.generation = ++q->cursor_generation;
	encode(&c, slot);
	if (pwrite(q->cursor_fd, slot, sizeof(slot), (off_t)(c.generation % 2 * SLOT)) != SLOT) {
		disk_count_error(q, errno ? -errno : -EIO);
		return;
	}
	q->cursor_lowest = lowest;
	q->cursor_behind = 0;
}
