/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a start finds
 *
 * Headers of all segments are read, so that what is unsent is known without its payloads. Payloads are checked when they are taken. Only the
 * last file can be torn: what is behind its last whole record is cut. Damage is counted and told, never an error, and nothing is deleted
 * that was not sent.
 */
#define LOG_MODULE "queue"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>
#include "base/log.h"
#include "base/macro.h"
#include "route/queue/internal.h"

struct scan {
	struct queue *q;
	struct segment_file *s;
	uint64_t lowest;
};

static void take_record(struct scan *x, const struct record *r, uint64_t offset)
{
	struct queue *q = x->q;

	if (!x->s->records++)
		x->s->first_index = r->index; /* the head may be damaged */
	q->next_index = MAX(q->next_index, r->index + 1);
	if (r->index < x->lowest) {
		x->s->released++;
		return;
	}
	x->s->samples += r->samples;
	x->s->series += r->series;
	x->s->min_ts = MIN(x->s->min_ts, r->min_ts);
	x->s->oldest_ms = MIN(x->s->oldest_ms, r->enqueued_ms);
	if (!q->backlog) {
		q->load.segment = x->s;
		q->load.offset = offset;
	}
	q->backlog++;
	queue_count(q, QUEUE_RECOVERED, (struct amount){ 1, r->samples, r->series });
}

/* Behind the last whole record: of the last file what a crash left of a write, else a hole. */
static void take_tail(struct scan *x, uint64_t end)
{
	struct queue *q = x->q;

	if (x->s->next) {
		queue_count(q, QUEUE_CORRUPT, (struct amount){ .records = 1 });
		log_warning("%s: segment %016" PRIx64 " is damaged from offset %" PRIu64 " on",
			    q->path, x->s->sequence, end);
		return;
	}
	queue_count(q, QUEUE_TORN, (struct amount){ .records = 1 });
	log_warning("%s: the last record of segment %016" PRIx64
		    " was torn, cut at offset %" PRIu64,
		    q->path, x->s->sequence, end);
	if (ftruncate(x->s->fd, (off_t)end) < 0) {
		disk_count_error(q, -errno);
		return;
	}
	q->disk -= x->s->size - end;
	x->s->size = end;
}

static int scan_file(struct scan *x)
{
	uint64_t offset = SEGMENT_HEADER, holes = 0;
	struct record r;
	ssize_t n;
	int e = disk_open_file(x->q, x->s);

	if (e < 0)
		return e;
	while ((n = disk_read_header(x->s, &offset, &r, &holes)) > 0) {
		take_record(x, &r, offset);
		offset += (uint64_t)n;
	}
	if (holes) {
		queue_count(x->q, QUEUE_CORRUPT, (struct amount){ .records = holes });
		log_warning("%s: %" PRIu64 " holes in segment %016" PRIx64, x->q->path, holes,
			    x->s->sequence);
	}
	if (n == 0 && offset < x->s->size)
		take_tail(x, offset);
	disk_close_file(x->s);
	return n < 0 ? (int)n : 0;
}

static void check_sequence(struct queue *q)
{
	for (const struct segment_file *s = q->segments; s && s->next; s = s->next) {
		uint64_t missing = s->next->sequence - s->sequence - 1;

		if (!missing)
			continue;
		log_warning("%s: %" PRIu64 " segments are missing before %016" PRIx64, q->path,
			    missing, s->next->sequence);
		queue_count(q, QUEUE_CORRUPT, (struct amount){ .records = missing });
	}
}

/* Files whose records are all sent; the marks of files that went before them, too. */
static void drop_sent(struct queue *q)
{
	for (struct segment_file *s = q->segments, *next; s; s = next) {
		next = s->next;
		if (!s->sent && s->released == s->records)
			disk_release(q, s, (struct amount){});
	}
}

int queue_recover(struct queue *q)
{
	struct cursor cursor = {};
	int r;

	q->next_sequence = FIRST_SEQUENCE;
	r = disk_open_all(q);
	if (r < 0)
		return r;
	r = cursor_read(q, &cursor);
	if (r == -EBADMSG) {
		log_warning("%s: the cursor is damaged, sending begins at the oldest record",
			    q->path);
		queue_count(q, QUEUE_CORRUPT, (struct amount){ .records = 1 });
	} else if (r < 0 && r != -ENOENT) {
		return r;
	}
	q->cursor_generation = cursor.generation;
	q->cursor_lowest = cursor.lowest;
	q->next_index = cursor.lowest;
	check_sequence(q);
	for (struct segment_file *s = q->segments; s; s = s->next) {
		struct scan x = { q, s, cursor.lowest };

		if (s->sent)
			continue;
		r = scan_file(&x);
		if (r < 0)
			return r;
	}
	drop_sent(q);
	if (q->backlog)
		log_info("%s: %" PRIu64 " unsent blocks recovered", q->path, q->backlog);
	return 0;
}
