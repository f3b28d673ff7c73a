/* SPDX-License-Identifier: Apache-2.0 */
/* Limits that change, time that goes by, and what a queue tells of itself. */

#include "base/macro.h"
#include "route/queue/internal.h"

void queue_count(struct queue *q, enum queue_event e, struct amount a)
{
	q->stats.records[e] += a.records;
	q->stats.samples[e] += a.samples;
	q->stats.series[e] += a.series;
}

void queue_change(struct queue *q, const struct queue_options *o)
{
	pthread_mutex_lock(&q->lock);
	q->o.memory = o->memory;
	q->o.disk = o->disk;
	q->o.segment = o->segment;
	q->o.min_free_disk = o->min_free_disk;
	q->o.dead_letter = o->dead_letter;
	q->o.max_age_us = o->max_age_us;
	q->o.ack = o->disk ? o->ack : QUEUE_ACK_MEMORY;
	q->o.full = o->full;
	q->o.lanes = CLAMP(o->lanes, 1U, (uint32_t)LANES_MAX);
	q->o.drain = o->drain;
	pthread_mutex_unlock(&q->lock);
}

void queue_tick(struct queue *q, int64_t now_ms)
{
	pthread_mutex_lock(&q->lock);
	if (q->o.disk)
		(void)disk_free_space(q);
	queue_expire_waiting(q, now_ms);
	cursor_write(q, true);
	pthread_mutex_unlock(&q->lock);
}

static void oldest(const struct queue *q, struct queue_stats *s)
{
	s->oldest_enqueued_ms = 0;
	s->oldest_sample_ts = INT64_MAX;
	s->waiting_samples = s->memory_blocks = 0;
	for (const struct block *b = q->oldest; b; b = b->newer) {
		s->oldest_sample_ts = MIN(s->oldest_sample_ts, b->public.record.min_ts);
		s->memory_blocks += b->bytes != NULL;
		if (!b->segment)
			s->waiting_samples += b->public.record.samples;
	}
	for (const struct segment_file *f = q->segments; f; f = f->next)
		s->waiting_samples += f->samples;
	for (const struct segment_file *f = q->load.segment; q->backlog && f; f = f->next)
		s->oldest_sample_ts = MIN(s->oldest_sample_ts, f->min_ts);
	if (q->oldest)
		s->oldest_enqueued_ms = q->oldest->public.record.enqueued_ms;
	else if (q->backlog && q->load.segment)
		s->oldest_enqueued_ms = q->load.segment->oldest_ms;
}

double queue_fill(struct queue *q)
{
	double fill;

	pthread_mutex_lock(&q->lock);
	if (q->o.disk)
		fill = q->no_space ? 1 : (double)q->disk / (double)q->o.disk;
	else
		fill = (double)q->memory / (double)q->o.memory;
	pthread_mutex_unlock(&q->lock);
	return MIN(fill, 1.0);
}

void queue_stats(struct queue *q, struct queue_stats *ret)
{
	pthread_mutex_lock(&q->lock);
	*ret = q->stats;
	ret->memory_bytes = q->memory;
	ret->disk_bytes = q->disk;
	ret->dead_bytes = q->dead;
	ret->memory_limit = q->o.memory;
	ret->disk_limit = q->o.disk;
	ret->dead_limit = q->o.dead_letter;
	ret->blocks = q->window + q->backlog;
	oldest(q, ret);
	pthread_mutex_unlock(&q->lock);
}
