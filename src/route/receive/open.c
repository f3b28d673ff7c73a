/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open blocks
 *
 * A slot per (node, lane, version); a chain in the slot tells tenants and split values apart, mostly of one. Blocks and their memory are kept in
 * a list of free ones. Blocks that are open stand in a list by their deadline: all of a destination linger equally long, so a new one
 * nearly always belongs at the end.
 */
#define LOG_MODULE "route"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/time.h"
#include "route/receive/open.h"

#define FREE_MAX 64
#define FREE_BYTES_MAX (4U << 20) /* a block that grew larger gives its memory back */

struct open_block {
	struct open_block *chain; /* of the slot, or of the free list */
	struct open_block *due_before, *due_after;
	struct open_block *touched_next; /* of the request at work */
	struct ticket *touched_by;
	struct rw_block *rows;
	enum rw_version version;
	const struct destination *d;
	uint16_t node, lane, flags, extra_len;
	uint8_t extra[EXTRA_MAX];
	size_t slot;
	bool full, listed; /* put aside during a request; stands in the list of deadlines */
	uint64_t deadline_us, reserved;
	struct rw_block_mark mark; /* before the request at work */
	size_t mark_bytes;
	struct ticket **waiters;
	size_t n_waiters, waiters_room;
};

struct open_blocks {
	struct rw_encoder *encoder;
	enum rw_snappy snappy;
	struct worker_counters *counters;
	const struct snapshot *snapshot;
	struct open_block **slots;
	size_t n_slots;
	struct open_block *due_first, *due_last;
	struct open_block *free;
	unsigned n_free;
};

int open_blocks_new(struct rw_encoder *encoder, enum rw_snappy snappy,
		    struct worker_counters *counters, struct open_blocks **ret)
{
	struct open_blocks *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->encoder = encoder;
	o->snappy = snappy;
	o->counters = counters;
	*ret = o;
	return 0;
}

/* --- lists --- */

static void due_add(struct open_blocks *o, struct open_block *b)
{
	struct open_block *after = o->due_last;

	while (after && after->deadline_us > b->deadline_us)
		after = after->due_before;
	b->due_before = after;
	b->due_after = after ? after->due_after : o->due_first;
	if (b->due_after)
		b->due_after->due_before = b;
	else
		o->due_last = b;
	if (after)
		after->due_after = b;
	else
		o->due_first = b;
	b->listed = true;
}

static void due_remove(struct open_blocks *o, struct open_block *b)
{
	if (!b->listed)
		return;
	if (b->due_before)
		b->due_before->due_after = b->due_after;
	else
		o->due_first = b->due_after;
	if (b->due_after)
		b->due_after->due_before = b->due_before;
	else
		o->due_last = b->due_before;
	b->listed = false;
}

static void slot_remove(struct open_blocks *o, struct open_block *b)
{
	struct open_block **p = &o->slots[b->slot];

	while (*p && *p != b)
		p = &(*p)->chain;
	if (*p)
		*p = b->chain;
	b->chain = NULL;
}

static void destroy(struct open_block *b)
{
	rw_block_free(b->rows);
	free(b->waiters);
	free(b);
}

static void give_back(struct open_blocks *o, struct open_block *b)
{
	bool large = rw_block_memory(b->rows) > FREE_BYTES_MAX;

	due_remove(o, b);
	if (!b->full)
		slot_remove(o, b);
	if (large || o->n_free >= FREE_MAX) {
		destroy(b);
		return;
	}
	rw_block_reset(b->rows);
	b->n_waiters = 0;
	b->full = false;
	b->reserved = 0;
	b->touched_by = NULL;
	b->chain = o->free;
	o->free = b;
	o->n_free++;
}

/* --- a block for a row --- */

static int new_rows(const struct open_blocks *o, const struct block_key *k, struct rw_block **ret)
{
	const struct rw_convert_options *convert = &k->d->convert[k->node];

	if (k->version == RW1 && k->d->codec == RW_CODEC_SNAPPY && o->snappy == RW_SNAPPY_OWN)
		return rw_block_new_packed(convert, ret);
	return rw_block_new(k->version, convert, ret);
}

static struct open_block *take_free(struct open_blocks *o, const struct block_key *k)
{
	struct open_block **p = &o->free, *b;

	/* Options of conversion belong to the node: a block is used again for a node of the same ones only by its version. */
	while (*p && ((*p)->version != k->version || (*p)->d != k->d || (*p)->node != k->node))
		p = &(*p)->chain;
	b = *p;
	if (b) {
		*p = b->chain;
		o->n_free--;
		b->chain = NULL;
		return b;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	if (new_rows(o, k, &b->rows) < 0) {
		free(b);
		return NULL;
	}
	return b;
}

static size_t slot_of(const struct block_key *k)
{
	return k->d->first_slot + ((size_t)k->node * k->d->lanes + k->lane) * _RW_VERSION_MAX +
	       (size_t)k->version;
}

static struct open_block *new_block(struct open_blocks *o, const struct block_key *k)
{
	struct open_block *b = take_free(o, k);

	if (!b)
		return NULL;
	b->version = k->version;
	b->d = k->d;
	b->node = k->node;
	b->lane = k->lane;
	b->flags = k->flags;
	b->extra_len = MIN(k->extra_len, (uint16_t)EXTRA_MAX);
	if (b->extra_len)
		memcpy(b->extra, k->extra, b->extra_len);
	b->slot = slot_of(k);
	b->chain = o->slots[b->slot];
	o->slots[b->slot] = b;
	return b;
}

static bool fits_key(const struct open_block *b, const struct block_key *k)
{
	return b->extra_len == k->extra_len && b->flags == k->flags &&
	       (!k->extra_len || memcmp(b->extra, k->extra, k->extra_len) == 0);
}

static bool is_full(const struct open_block *b)
{
	const struct rw_block_info *i = rw_block_info(b->rows);

	return i->samples >= b->d->config->batch.max_samples ||
	       i->raw_bytes >= b->d->config->batch.max_bytes;
}

static bool touch(struct open_block *b, struct ticket *t)
{
	if (b->touched_by == t)
		return true;
	if (rw_block_mark(b->rows, &b->mark) < 0)
		return false;
	b->touched_by = t;
	b->mark_bytes = rw_block_info(b->rows)->raw_bytes;
	b->touched_next = t->touched;
	t->touched = b;
	return true;
}

struct rw_block *open_blocks_get(struct open_blocks *o, struct ticket *t, const struct block_key *k)
{
	struct open_block *b = o->slots[slot_of(k)];

	while (b && !fits_key(b, k))
		b = b->chain;
	if (b && is_full(b)) {
		/* Put aside: until the commit its rows of this request may have to go again. */
		if (!touch(b, t))
			return NULL;
		slot_remove(o, b);
		due_remove(o, b);
		b->full = true;
		b = NULL;
	}
	if (!b)
		b = new_block(o, k);
	return b && touch(b, t) ? b->rows : NULL;
}

/* --- sealing --- */

static void answer(struct open_block *b, bool failed)
{
	double fill = failed ? queue_fill(b->d->nodes[b->node]->queue) : 0;

	for (size_t i = 0; i < b->n_waiters; i++) {
		struct ticket *t = b->waiters[i];

		if (!t)
			continue;
		t->failed |= failed;
		t->fill = MAX(t->fill, fill);
		if (--t->pending == 0 && t->committed)
			t->done(t);
	}
	b->n_waiters = 0;
}

static void count_losses(struct open_blocks *o, const struct open_block *b)
{
	const uint64_t *losses = rw_block_losses(b->rows);

	for (unsigned i = 0; i < _RW_LOSS_MAX; i++)
		if (losses[i])
			COUNT(o->counters->losses[i], losses[i]);
}

static int append(struct open_blocks *o, const struct open_block *b)
{
	struct rw_block_info info = *rw_block_info(b->rows);
	struct rw_span payload;
	uint8_t extra[EXTRA_MAX + 8];
	struct record r = {
		.enqueued_ms = (int64_t)(time_wall_ns() / NS_PER_MSEC),
		.min_ts = info.min_ts,
		.max_ts = info.max_ts,
		.series = info.series,
		.samples = info.samples,
		.lane = b->lane,
		.flags = (uint16_t)(b->flags | b->d->lanes << RECORD_LAYOUT_SHIFT),
		.schema = b->version == RW2 ? RECORD_RW2 : RECORD_RW1,
		.codec = (uint8_t)b->d->codec,
		.extra = b->extra,
		.extra_len = b->extra_len,
	};
	int e = rw_block_seal(b->rows, o->encoder, b->d->codec, o->snappy, &payload);

	if (e < 0)
		return e;
	r.payload = payload.at;
	r.payload_len = (uint32_t)payload.len;
	if (info.histograms) {
		uint32_t n = htole32(info.histograms);

		memcpy(extra, b->extra, b->extra_len);
		r.extra = extra;
		r.extra_len += (uint16_t)record_extra_put(extra + b->extra_len,
							  sizeof(extra) - b->extra_len,
							  EXTRA_HISTOGRAMS, &n, sizeof(n));
	}
	return queue_append(b->d->nodes[b->node]->queue, &r);
}

static void seal(struct open_blocks *o, struct open_block *b)
{
	struct queue *q = b->d->nodes[b->node]->queue;
	int r = 0;

	if (rw_block_info(b->rows)->raw_bytes)
		r = append(o, b);
	queue_unreserve(q, b->reserved);
	b->reserved = 0;
	count_losses(o, b);
	if (r < 0) {
		COUNT(o->counters->append_errors, 1);
		log_warning_limited("a block for %s/%s was not taken: %s",
				    b->d->nodes[b->node]->destination, b->d->nodes[b->node]->name,
				    strerror(-r));
	}
	answer(b, r < 0);
	give_back(o, b);
}

/* --- commit --- */

static int wait_for(struct open_block *b, struct ticket *t)
{
	if (b->n_waiters == b->waiters_room) {
		size_t room = b->waiters_room ? 2 * b->waiters_room : 8;
		struct ticket **more = realloc(b->waiters, room * sizeof(struct ticket *));

		if (!more)
			return -ENOMEM;
		b->waiters = more;
		b->waiters_room = room;
	}
	b->waiters[b->n_waiters++] = t;
	t->pending++;
	return 0;
}

static uint64_t added_bytes(const struct open_block *b)
{
	return rw_block_info(b->rows)->raw_bytes - b->mark_bytes;
}

static void drop_rows(struct open_block *b)
{
	uint32_t samples = rw_block_info(b->rows)->samples - b->mark.samples;

	queue_drop_newest(b->d->nodes[b->node]->queue, samples,
			  rw_block_info(b->rows)->series - b->mark.series);
	rw_block_rollback(b->rows, &b->mark);
}

/* Space in every queue, or -EAGAIN with the first @ret of the list reserved. */
static int reserve(struct ticket *t, struct open_block **ret_stop)
{
	for (struct open_block *b = t->touched; b; b = b->touched_next) {
		uint64_t bytes = added_bytes(b);
		int r = bytes ? queue_reserve(b->d->nodes[b->node]->queue, bytes) : 0;

		if (r < 0) {
			*ret_stop = b;
			return r;
		}
		if (r > 0)
			drop_rows(b);
		else
			b->reserved += bytes;
	}
	*ret_stop = NULL;
	return 0;
}

static void unreserve(struct ticket *t, const struct open_block *stop)
{
	for (struct open_block *b = t->touched; b && b != stop; b = b->touched_next) {
		uint64_t bytes = added_bytes(b);

		queue_unreserve(b->d->nodes[b->node]->queue, bytes);
		b->reserved -= MIN(bytes, b->reserved);
	}
}

static void note_fill(struct ticket *t)
{
	for (const struct open_block *b = t->touched; b; b = b->touched_next)
		t->fill = MAX(t->fill, queue_fill(b->d->nodes[b->node]->queue));
}

void open_blocks_rollback(struct open_blocks *o, struct ticket *t)
{
	struct open_block *next;

	for (struct open_block *b = t->touched; b; b = next) {
		next = b->touched_next;
		rw_block_rollback(b->rows, &b->mark);
		b->touched_by = NULL;
		if (b->full)
			seal(o, b); /* what others put in, if anything */
		else if (!rw_block_info(b->rows)->raw_bytes && !b->n_waiters)
			give_back(o, b);
	}
	t->touched = NULL;
}

int open_blocks_commit(struct open_blocks *o, struct ticket *t, uint64_t now_us)
{
	struct open_block *stop, *next;
	int r = reserve(t, &stop);

	if (r < 0) {
		note_fill(t);
		unreserve(t, stop);
		open_blocks_rollback(o, t);
		return r;
	}
	for (struct open_block *b = t->touched; b && r >= 0; b = b->touched_next)
		r = wait_for(b, t);
	for (struct open_block *b = t->touched; b; b = next) {
		next = b->touched_next;
		b->touched_by = NULL;
		if (b->full || is_full(b) || !b->d->config->batch.linger) {
			seal(o, b);
		} else if (!b->listed) {
			b->deadline_us = now_us + b->d->config->batch.linger;
			due_add(o, b);
		}
	}
	t->touched = NULL;
	t->committed = true;
	t->failed |= r < 0;
	return 0;
}

void open_blocks_forget(struct open_blocks *o, struct ticket *t)
{
	for (struct open_block *b = o->due_first; b; b = b->due_after)
		for (size_t i = 0; i < b->n_waiters; i++)
			if (b->waiters[i] == t)
				b->waiters[i] = NULL;
}

/* --- time --- */

void open_blocks_run(struct open_blocks *o, uint64_t now_us)
{
	while (o->due_first && o->due_first->deadline_us <= now_us)
		seal(o, o->due_first);
}

void open_blocks_flush(struct open_blocks *o)
{
	while (o->due_first)
		seal(o, o->due_first);
}

uint64_t open_blocks_next(const struct open_blocks *o)
{
	return o->due_first ? o->due_first->deadline_us : 0;
}

/* --- snapshots --- */

static void forget_free(struct open_blocks *o)
{
	while (o->free) {
		struct open_block *b = o->free;

		o->free = b->chain;
		destroy(b);
	}
	o->n_free = 0;
}

int open_blocks_use(struct open_blocks *o, const struct snapshot *s)
{
	struct open_block **slots = calloc(s->slots + 1, sizeof(struct open_block *));

	if (!slots)
		return -ENOMEM;
	open_blocks_flush(o);
	forget_free(o); /* they name destinations of the old one */
	free(o->slots);
	o->slots = slots;
	o->n_slots = s->slots;
	o->snapshot = s;
	return 0;
}

struct open_blocks *open_blocks_free(struct open_blocks *o)
{
	if (!o)
		return NULL;
	while (o->due_first)
		give_back(o, o->due_first);
	forget_free(o);
	free(o->slots);
	free(o);
	return NULL;
}
