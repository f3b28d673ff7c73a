/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of one node
 *
 * Appends go to the window while there is room in memory and nothing waits on disk alone; else to the backlog, from which the sender's side
 * loads again. One lock; reading a block from disk happens outside of it.
 */
#define LOG_MODULE "queue"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/time.h"
#include "route/queue/internal.h"

#define EXPIRE_MAX 10000 /* blocks in a tick: appends wait for it */

static struct amount amount_of(const struct block *b)
{
	return (struct amount){ 1, b->public.record.samples, b->public.record.series };
}

uint64_t queue_lowest_unsent(const struct queue *q)
{
	struct record r;
	uint64_t offset = q->load.offset;

	if (q->oldest)
		return q->oldest->public.record.index;
	if (!q->backlog || !q->load.segment)
		return q->next_index;
	/* Rare: nothing is loaded. */
	if (q->load.segment->fd >= 0 && disk_read_header(q->load.segment, &offset, &r, NULL) > 0)
		return r.index;
	return q->load.segment->first_index;
}

/* The block is no longer of this queue. */
static void forget(struct queue *q, struct block *b)
{
	window_remove(q, b);
	if (b->segment)
		disk_release(q, b->segment, amount_of(b));
	q->cursor_behind++;
	window_free(b);
	cursor_write(q, false);
}

static void finish(struct queue *q, struct block *b, enum queue_event e)
{
	queue_count(q, e, amount_of(b));
	forget(q, b);
}

/* --- room --- */

static uint64_t block_weight(uint64_t bytes)
{
	return bytes + sizeof(struct block);
}

static bool fits_disk(const struct queue *q, uint64_t bytes)
{
	return q->o.disk && !q->no_space && q->disk + q->reserved + bytes <= q->o.disk;
}

/* What is reserved is of no matter here: the block that comes was admitted by its own reservation. */
static bool fits_memory(const struct queue *q, uint64_t bytes)
{
	return q->memory + block_weight(bytes) <= q->o.memory;
}

static bool fits(const struct queue *q, uint64_t bytes)
{
	return fits_disk(q, bytes) ||
	       (q->o.ack == QUEUE_ACK_MEMORY && !q->backlog && fits_memory(q, q->reserved + bytes));
}

/* Blocks of @s that are on the way just now. */
static struct amount count_taken(const struct queue *q, const struct segment_file *s)
{
	struct amount sum = {};

	for (const struct block *b = q->oldest; b; b = b->newer)
		if (b->segment == s && b->taken) {
			sum.records++;
			sum.samples += b->public.record.samples;
			sum.series += b->public.record.series;
		}
	return sum;
}

static void drop_window_of(struct queue *q, struct segment_file *s)
{
	for (struct block *b = q->oldest, *next; b; b = next) {
		next = b->newer;
		if (b->segment != s || b->taken)
			continue;
		window_unlink(q, b);
		queue_count(q, QUEUE_DROPPED, amount_of(b));
		window_remove(q, b);
		s->released++;
		s->samples -= MIN(b->public.record.samples, s->samples);
		s->series -= MIN(b->public.record.series, s->series);
		window_free(b);
	}
}

/* The oldest segment with something that is not on the way: its blocks of the window, then its records of the backlog. */
static bool drop_oldest_segment(struct queue *q)
{
	struct segment_file *s = q->segments;
	struct amount taken = {}, rest;

	for (; s; s = s->next) {
		taken = s->sent ? (struct amount){} : count_taken(q, s);
		if (!s->sent && s->records - s->released > taken.records)
			break;
	}
	if (!s)
		return false;
	if (s == q->last_segment)
		disk_seal(q);
	drop_window_of(q, s);
	rest = (struct amount){ s->records - s->released - taken.records,
				s->samples - MIN(taken.samples, s->samples),
				s->series - MIN(taken.series, s->series) };
	queue_count(q, QUEUE_DROPPED, rest);
	q->backlog -= MIN(rest.records, q->backlog);
	if (q->load.segment == s) {
		q->load.segment = s->next;
		q->load.offset = SEGMENT_HEADER;
	}
	disk_release(q, s, rest);
	cursor_write(q, true);
	return true;
}

static bool drop_oldest_block(struct queue *q)
{
	struct block *b = q->oldest;

	while (b && b->taken)
		b = b->newer;
	if (!b)
		return false;
	window_unlink(q, b);
	finish(q, b, QUEUE_DROPPED);
	return true;
}

static bool make_room(struct queue *q, uint64_t bytes)
{
	while (!fits(q, bytes))
		if (!(q->o.disk && !q->no_space ? drop_oldest_segment(q) : drop_oldest_block(q)))
			return false;
	return true;
}

/* Room on the device itself; a queue that may keep it in memory needs none. */
static bool back(struct queue *q, uint64_t bytes)
{
	if (!q->o.ballast || !q->o.disk)
		return true;
	if (!q->no_space && ballast_reserve(q->o.ballast, bytes)) {
		q->backed += bytes;
		return true;
	}
	if (!q->no_space) {
		q->no_space = true; /* until the tick: not one try for each request */
		disk_count_error(q, -ENOSPC);
	}
	return fits(q, bytes);
}

int queue_reserve(struct queue *q, uint64_t bytes)
{
	int r = 0;

	pthread_mutex_lock(&q->lock);
	if (!fits(q, bytes))
		disk_drop_sent(q);
	if (q->o.full == QUEUE_FULL_DROP_OLDEST && !fits(q, bytes))
		(void)make_room(q, bytes);
	if (!fits(q, bytes) || !back(q, bytes))
		r = q->o.full == QUEUE_FULL_DROP_NEWEST ? 1 : -EAGAIN;
	else
		q->reserved += bytes;
	q->stats.full = r != 0;
	pthread_mutex_unlock(&q->lock);
	return r;
}

void queue_unreserve(struct queue *q, uint64_t bytes)
{
	uint64_t backed;

	pthread_mutex_lock(&q->lock);
	q->reserved -= MIN(bytes, q->reserved);
	backed = MIN(bytes, q->backed);
	q->backed -= backed;
	if (backed)
		ballast_unreserve(q->o.ballast, backed);
	pthread_mutex_unlock(&q->lock);
}

void queue_drop_newest(struct queue *q, uint32_t samples, uint32_t series)
{
	pthread_mutex_lock(&q->lock);
	q->stats.dropped_newest_samples += samples;
	q->stats.dropped_newest_series += series;
	pthread_mutex_unlock(&q->lock);
}

/* --- append --- */

static struct block *new_block(const struct record *r, bool with_bytes)
{
	struct block *b = calloc(1, sizeof(*b));
	uint8_t *bytes = NULL;

	if (!b)
		return NULL;
	b->public.record = *r;
	if (with_bytes) {
		bytes = malloc((size_t)r->extra_len + r->payload_len + 1);
		if (!bytes) {
			free(b);
			return NULL;
		}
		if (r->extra_len)
			memcpy(bytes, r->extra, r->extra_len);
		memcpy(bytes + r->extra_len, r->payload, r->payload_len);
	}
	window_set_bytes(b, bytes);
	return b;
}

/* Fresh data that may overtake the backlog: remembered, so that the load passes over it. */
static bool note_fresh(struct queue *q, uint64_t index)
{
	struct index_range *last = q->n_fresh ? &q->fresh[q->n_fresh - 1] : NULL;

	if (last && last->end == index) {
		last->end++;
		return true;
	}
	if (q->n_fresh == FRESH_RANGES_MAX)
		return false;
	q->fresh[q->n_fresh++] = (struct index_range){ index, index + 1 };
	return true;
}

static bool lane_idle(const struct queue *q, uint32_t lane)
{
	const struct lane *l = &q->lanes[lane % q->width];

	return !l->taken && !l->first && !l->fresh_first;
}

/* Where a record that was accepted waits: true = in the window. */
static bool enter_window(struct queue *q, const struct record *r, struct segment_file *s,
			 uint64_t offset, bool *ret_ready)
{
	bool fresh = q->backlog > 0;
	struct block *b;

	if (fresh && (q->o.drain != QUEUE_FRESH_FIRST || !fits_memory(q, r->payload_len)))
		return false;
	if (s && !fits_memory(q, (uint64_t)r->extra_len + r->payload_len))
		return false;
	if (fresh && !note_fresh(q, r->index))
		return false;
	b = new_block(r, true);
	if (!b)
		return false;
	b->segment = s;
	b->offset = offset;
	b->fresh = fresh;
	*ret_ready = lane_idle(q, r->lane);
	window_add(q, b);
	window_admit(q, b);
	return true;
}

/*
 * Group commit: one of those who wait syncs for all that was written before it began. What a failed sync covered is never called durable:
 * the kernel may have forgotten the pages, so that the next sync succeeds without them.
 */
static int wait_durable(struct queue *q, uint64_t number)
{
	while (q->durable < number && q->lost < number) {
		uint64_t covers = q->written, from = time_mono_us();
		int fd, r = 0;

		if (q->syncing) {
			pthread_cond_wait(&q->synced, &q->lock);
			continue;
		}
		/* Files before the last were synced when they were sealed. */
		fd = q->last_segment && q->last_segment->fd >= 0 ? dup(q->last_segment->fd) : -1;
		q->syncing = true;
		pthread_mutex_unlock(&q->lock);
		if (fd >= 0 && fdatasync(fd) < 0)
			r = -errno;
		if (fd >= 0)
			(void)close(fd);
		pthread_mutex_lock(&q->lock);
		q->syncing = false;
		disk_note_sync(q, from);
		if (r == 0) {
			q->durable = MAX(q->durable, covers);
		} else {
			disk_count_error(q, r);
			q->lost = MAX(q->lost, covers);
		}
		pthread_cond_broadcast(&q->synced);
	}
	return q->lost >= number ? -EIO : 0;
}

/* Was the block that comes admitted by a reservation? Then no limit is asked again: other nodes may have theirs already. */
static bool admitted(const struct queue *q)
{
	return q->reserved > 0;
}

static int write_block(struct queue *q, struct record *r, struct segment_file **ret,
		       uint64_t *ret_offset)
{
	int e = disk_append(q, r, ret, ret_offset);

	if ((e == -ENOSPC || e == -EDQUOT) && q->backed &&
	    ballast_give(q->o.ballast, record_size(r)))
		e = disk_append(q, r, ret, ret_offset);
	return e;
}

static int append_locked(struct queue *q, struct record *r, bool *ret_ready)
{
	/* Never memory alone behind what is on disk: at the close it is written before that. */
	bool to_disk = q->o.ack != QUEUE_ACK_MEMORY || q->backlog ||
		       (q->newest && q->newest->segment) ||
		       !fits_memory(q, (uint64_t)r->extra_len + r->payload_len);
	struct segment_file *s = NULL;
	uint64_t offset = 0, number;
	int e = 0;

	if (!q->o.disk)
		to_disk = false;
	if (to_disk && q->no_space && !admitted(q))
		return -EAGAIN;
	if (!to_disk && !admitted(q) && q->memory + block_weight(r->payload_len) > q->o.memory &&
	    q->window)
		return -EAGAIN;
	r->index = q->next_index;
	r->epoch = q->o.epoch;
	if (to_disk) {
		e = write_block(q, r, &s, &offset);
		if (e < 0) {
			disk_count_error(q, e);
			q->no_space |= e == -ENOSPC || e == -EDQUOT || e == -EIO;
			return e;
		}
	}
	number = ++q->written;
	if (!enter_window(q, r, s, offset, ret_ready)) {
		if (!s) /* no memory for a block that is nowhere else */
			return -ENOMEM;
		if (!q->backlog) {
			q->load.segment = s;
			q->load.offset = offset;
		}
		q->backlog++;
		*ret_ready = lane_idle(q, r->lane);
	}
	q->next_index++;
	queue_count(q, QUEUE_ENQUEUED, (struct amount){ 1, r->samples, r->series });
	return to_disk && q->o.ack == QUEUE_ACK_FSYNC ? wait_durable(q, number) : 0;
}

int queue_append(struct queue *q, struct record *r)
{
	bool ready = false;
	int e;

	pthread_mutex_lock(&q->lock);
	e = append_locked(q, r, &ready);
	if (e == -EAGAIN && q->o.full == QUEUE_FULL_DROP_OLDEST &&
	    make_room(q, (uint64_t)r->extra_len + r->payload_len))
		e = append_locked(q, r, &ready);
	if (q->o.full == QUEUE_FULL_DROP_NEWEST && (e == -EAGAIN || e == -ENOSPC || e == -EDQUOT)) {
		q->stats.dropped_newest_samples += r->samples;
		q->stats.dropped_newest_series += r->series;
		e = 0;
	}
	pthread_mutex_unlock(&q->lock);
	if (ready && q->ready)
		q->ready(q->ready_ctx, r->lane % queue_lanes(q));
	return e;
}

/* --- the sender's side --- */

static bool was_fresh(struct queue *q, uint64_t index)
{
	while (q->n_fresh && q->fresh[0].end <= index) {
		memmove(q->fresh, q->fresh + 1, --q->n_fresh * sizeof(q->fresh[0]));
	}
	return q->n_fresh && index >= q->fresh[0].first;
}

static struct amount count_window(const struct queue *q, const struct segment_file *s)
{
	struct amount sum = {};

	for (const struct block *b = q->oldest; b; b = b->newer)
		if (b->segment == s) {
			sum.records++;
			sum.samples += b->public.record.samples;
			sum.series += b->public.record.series;
		}
	return sum;
}

/* Somebody removed the file under us: what is not in the window is gone. */
static void lose_file(struct queue *q, struct segment_file *s)
{
	struct amount kept = count_window(q, s);
	struct amount lost = { s->records - s->released - kept.records,
			       s->samples - MIN(kept.samples, s->samples),
			       s->series - MIN(kept.series, s->series) };

	log_warning("%s: segment %016" PRIx64 " is gone, %" PRIu64 " unsent records are missing",
		    q->path, s->sequence, lost.records);
	queue_count(q, QUEUE_CORRUPT, lost);
	q->backlog -= MIN(lost.records, q->backlog);
	q->load.segment = s->next;
	q->load.offset = SEGMENT_HEADER;
	s->sealed = true;
	disk_release(q, s, lost);
}

static int load_one(struct queue *q)
{
	struct segment_file *s = q->load.segment;
	struct record r;
	struct block *b;
	ssize_t n;
	int e = disk_open_file(q, s);

	if (e == -ENOENT) {
		lose_file(q, s);
		return 0;
	}
	if (e < 0)
		return e;
	n = disk_read_header(s, &q->load.offset, &r, NULL);
	if (n < 0)
		return (int)n;
	if (n == 0) { /* the end of this file */
		if (!s->next)
			return -ENODATA;
		if (s->sealed)
			disk_close_file(s);
		q->load.segment = s->next;
		q->load.offset = SEGMENT_HEADER;
		return 0;
	}
	if (was_fresh(q, r.index)) {
		q->load.offset += (uint64_t)n;
		return 0;
	}
	r.epoch = s->epoch;
	b = new_block(&r, false);
	if (!b)
		return -ENOMEM;
	b->segment = s;
	b->offset = q->load.offset;
	q->load.offset += (uint64_t)n;
	q->backlog--;
	window_add(q, b);
	window_admit(q, b);
	return 0;
}

/* Records that headers promised and files do not hold: holes. */
static void forget_missing(struct queue *q)
{
	if (!q->backlog)
		return;
	log_warning("%s: %" PRIu64 " records are missing in the segments", q->path, q->backlog);
	queue_count(q, QUEUE_CORRUPT, (struct amount){ .records = q->backlog });
	q->backlog = 0;
}

static void load(struct queue *q)
{
	while (q->backlog && q->load.segment && q->window < WINDOW_LOAD_MAX) {
		int e = load_one(q);

		if (e == -ENODATA)
			forget_missing(q);
		if (e < 0) {
			if (e != -ENODATA)
				disk_count_error(q, e);
			return;
		}
	}
}

static struct block *next_of(struct queue *q, struct lane *l)
{
	if (!l->first)
		load(q);
	if (l->fresh_first && (!l->first || l->fresh_turn)) {
		l->fresh_turn = false;
		return window_pop(&l->fresh_first, &l->fresh_last);
	}
	l->fresh_turn = true;
	return window_pop(&l->first, &l->last);
}

/* Its bytes from disk, outside the lock: it is taken, so its segment stays. */
static int fetch(struct queue *q, struct block *b)
{
	uint64_t sequence = b->segment->sequence, offset = b->offset;
	struct record r;
	uint8_t *bytes;
	int e;

	pthread_mutex_unlock(&q->lock);
	e = disk_read_body(q, sequence, offset, &r, &bytes);
	pthread_mutex_lock(&q->lock);
	if (e < 0)
		return e;
	q->memory -= MIN(window_weight(b), q->memory);
	window_set_bytes(b, bytes);
	q->memory += window_weight(b);
	return 0;
}

static bool too_old(const struct queue *q, const struct block *b, int64_t now_ms)
{
	return q->o.max_age_us &&
	       now_ms - b->public.record.enqueued_ms > (int64_t)(q->o.max_age_us / 1000);
}

static struct block *untake(struct queue *q, struct queue_block *public)
{
	struct block *b = container_of(public, struct block, public);

	b->taken = false;
	q->lanes[b->lane].taken = false;
	return b;
}

/* A node that is away takes nothing: what is too old must go all the same, from the oldest on. */
void queue_expire_waiting(struct queue *q, int64_t now_ms)
{
	struct block *next;

	if (!q->oldest)
		load(q);
	next = q->oldest;
	for (unsigned i = 0; i < EXPIRE_MAX && next; i++) {
		struct block *b = next;

		if (!b->taken && !too_old(q, b, now_ms))
			return;
		if (!b->newer)
			load(q);
		next = b->newer;
		if (b->taken)
			continue;
		window_unlink(q, b);
		finish(q, b, QUEUE_EXPIRED);
	}
}

bool queue_expire(struct queue *q, struct queue_block *public, int64_t now_ms)
{
	struct block *b = container_of(public, struct block, public);
	bool old;

	pthread_mutex_lock(&q->lock);
	old = too_old(q, b, now_ms);
	if (old)
		finish(q, untake(q, public), QUEUE_EXPIRED);
	pthread_mutex_unlock(&q->lock);
	return old;
}

struct queue_block *queue_take(struct queue *q, uint32_t lane, int64_t now_ms)
{
	struct lane *l = &q->lanes[lane % LANES_MAX];
	struct block *b;

	pthread_mutex_lock(&q->lock);
	while ((b = next_of(q, l))) {
		int e;

		if (too_old(q, b, now_ms)) {
			finish(q, b, QUEUE_EXPIRED);
			continue;
		}
		b->taken = l->taken = true;
		e = b->bytes ? 0 : fetch(q, b);
		if (e >= 0)
			break;
		b->taken = l->taken = false;
		if (e == -EBADMSG || e == -ENOENT) {
			finish(q, b, QUEUE_CORRUPT);
			continue;
		}
		disk_count_error(q, e);
		window_put_first(q, b); /* again later */
		b = NULL;
		break;
	}
	pthread_mutex_unlock(&q->lock);
	return b ? &b->public : NULL;
}

void queue_put_back(struct queue *q, struct queue_block *public)
{
	struct block *b;

	pthread_mutex_lock(&q->lock);
	b = untake(q, public);
	window_put_first(q, b);
	/* Of a long outage the bytes need not stay: they are on disk, too. */
	if (b->segment && q->memory > q->o.memory) {
		q->memory -= MIN(window_weight(b), q->memory);
		free(b->bytes);
		window_set_bytes(b, NULL);
		q->memory += window_weight(b);
	}
	pthread_mutex_unlock(&q->lock);
}

void queue_release(struct queue *q, struct queue_block *public)
{
	pthread_mutex_lock(&q->lock);
	finish(q, untake(q, public), QUEUE_SENT);
	pthread_mutex_unlock(&q->lock);
}

void queue_release_cut(struct queue *q, struct queue_block *public, uint32_t dead_samples,
		       uint32_t dead_series)
{
	struct amount dead, all;
	struct block *b;

	pthread_mutex_lock(&q->lock);
	b = untake(q, public);
	all = amount_of(b);
	dead = (struct amount){ .samples = MIN(dead_samples, all.samples),
				.series = MIN(dead_series, all.series) };
	/* A block is dead when nothing of it was sent. */
	dead.records = dead.series == all.series;
	queue_count(q, QUEUE_DEAD, dead);
	queue_count(q, QUEUE_SENT,
		    (struct amount){ 1 - dead.records, all.samples - dead.samples,
				     all.series - dead.series });
	forget(q, b);
	pthread_mutex_unlock(&q->lock);
}

int queue_dead_letter(struct queue *q, struct queue_block *b, const struct record *what, int status,
		      const char *reason, const char *series)
{
	int r;

	pthread_mutex_lock(&q->lock);
	r = dead_write(q, what ? what : &b->record, status, reason, series);
	if (r < 0 && r != -EFBIG) {
		disk_count_error(q, r);
		log_warning_limited("%s: a dead letter cannot be written: %s", q->path,
				    strerror(-r));
	} else if (!what) {
		finish(q, untake(q, b), QUEUE_DEAD);
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}

void queue_on_ready(struct queue *q, void (*fn)(void *ctx, uint32_t lane), void *ctx)
{
	q->ready = fn;
	q->ready_ctx = ctx;
}
