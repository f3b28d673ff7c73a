/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window: blocks that are known one by one, by index and by lane
 *
 * Lanes are a function of a series' hash and their number. When that number changes, blocks of the new layout wait in the window until the
 * last one of the old layout is gone (GW-TX-6): else a series could overtake itself in another lane.
 */

#include <stdlib.h>
#include "base/macro.h"
#include "route/queue/internal.h"

size_t window_weight(const struct block *b)
{
	return sizeof(*b) +
	       (b->bytes ? b->public.record.extra_len + b->public.record.payload_len : 0);
}

void window_set_bytes(struct block *b, uint8_t *bytes)
{
	b->bytes = bytes;
	b->public.record.extra = bytes;
	b->public.record.payload = bytes ? bytes + b->public.record.extra_len : NULL;
}

void window_free(struct block *b)
{
	free(b->bytes);
	free(b);
}

/* --- lanes --- */

static void push(struct block **first, struct block **last, struct block *b)
{
	b->lane_next = NULL;
	if (*last)
		(*last)->lane_next = b;
	else
		*first = b;
	*last = b;
}

static void push_lane(struct queue *q, struct block *b)
{
	struct lane *l;

	b->lane = b->public.record.lane % q->width;
	l = &q->lanes[b->lane];
	if (b->fresh)
		push(&l->fresh_first, &l->fresh_last, b);
	else
		push(&l->first, &l->last, b);
}

void window_put_first(struct queue *q, struct block *b)
{
	struct lane *l = &q->lanes[b->lane];

	b->lane_next = l->first;
	l->first = b;
	if (!l->last)
		l->last = b;
}

static void unlink_lane(struct block **first, struct block **last, struct block *b)
{
	struct block *before = NULL;

	for (struct block *x = *first; x; before = x, x = x->lane_next) {
		if (x != b)
			continue;
		if (before)
			before->lane_next = b->lane_next;
		else
			*first = b->lane_next;
		if (*last == b)
			*last = before;
		return;
	}
}

void window_unlink(struct queue *q, struct block *b)
{
	struct lane *l = &q->lanes[b->lane];

	unlink_lane(&l->first, &l->last, b);
	unlink_lane(&l->fresh_first, &l->fresh_last, b);
}

struct block *window_pop(struct block **first, struct block **last)
{
	struct block *b = *first;

	if (b)
		unlink_lane(first, last, b);
	return b;
}

/* --- layouts --- */

static void take_layout(struct queue *q, const struct block *b)
{
	q->layout = record_layout(&b->public.record);
	__atomic_store_n(&q->width, q->o.lanes, __ATOMIC_RELAXED);
}

/* Without order (fresh_first) the number of lanes alone matters, which changes when the window is empty. */
static bool must_wait(const struct queue *q, const struct block *b)
{
	return q->waiting ||
	       (q->o.drain == QUEUE_FIFO &&
		(record_layout(&b->public.record) != q->layout || q->width != q->o.lanes));
}

void window_admit(struct queue *q, struct block *b)
{
	if (q->window == 1)
		take_layout(q, b);
	if (!must_wait(q, b))
		push_lane(q, b);
	else if (!q->waiting)
		q->waiting = b;
}

/* All blocks of the old layout are gone. */
static void go_on(struct queue *q)
{
	struct block *b = q->waiting;

	q->waiting = NULL;
	take_layout(q, b);
	for (; b && !must_wait(q, b); b = b->newer)
		push_lane(q, b);
	q->waiting = b;
}

/* --- by index --- */

void window_add(struct queue *q, struct block *b)
{
	/* Nearly always at the end. */
	struct block *after = q->newest;

	while (after && after->public.record.index > b->public.record.index)
		after = after->older;
	b->older = after;
	b->newer = after ? after->newer : q->oldest;
	if (b->newer)
		b->newer->older = b;
	else
		q->newest = b;
	if (after)
		after->newer = b;
	else
		q->oldest = b;
	q->window++;
	q->memory += window_weight(b);
}

void window_remove(struct queue *q, struct block *b)
{
	if (q->waiting == b)
		q->waiting = b->newer;
	if (b->older)
		b->older->newer = b->newer;
	else
		q->oldest = b->newer;
	if (b->newer)
		b->newer->older = b->older;
	else
		q->newest = b->older;
	q->window--;
	q->memory -= MIN(window_weight(b), q->memory);
	if (q->waiting && q->waiting == q->oldest)
		go_on(q);
}

uint32_t queue_lanes(const struct queue *q)
{
	return __atomic_load_n(&q->width, __ATOMIC_RELAXED);
}
