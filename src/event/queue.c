/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue of finished events
 *
 * A ring of bytes. The producer is the loop thread, the consumer the writer thread; they share two counters. An entry never
 * wraps: where it would, a filler (bytes, json_len = UINT32_MAX) takes the rest of the memory.
 *
 *   tail ──► [entry][entry][filler]|end   begin|[entry] ◄── head
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "event/internal.h"

#define ALIGNMENT 8
#define FILLER UINT32_MAX

int queue_init(struct queue *q, size_t size)
{
	q->memory = calloc(1, size);
	q->size = size;
	q->head = q->tail = 0;
	return q->memory ? 0 : -ENOMEM;
}

void queue_done(struct queue *q)
{
	free(q->memory);
	q->memory = NULL;
}

bool queue_empty(const struct queue *q)
{
	return atomic_load(&q->head) == atomic_load(&q->tail);
}

size_t queue_bytes(const struct queue *q, size_t position)
{
	return atomic_load(&q->head) - position;
}

static void add_string(struct queued *e, size_t *used, unsigned index, const char *s)
{
	char *strings = (char *)(e + 1);
	size_t len = s ? strnlen(s, 4096) : 0;

	e->offsets[index] = (uint16_t)*used;
	memcpy(strings + *used, s ? s : "", len);
	strings[*used + len] = '\0';
	*used += len + 1;
}

static size_t string_bytes(const char *s)
{
	return (s ? strnlen(s, 4096) : 0) + 1;
}

/* Room for @bytes in one piece: moves *@head over a filler where needed. */
static bool make_room(struct queue *q, size_t bytes, size_t *head)
{
	size_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);
	size_t at = *head % q->size, rest = q->size - at;

	if (rest < bytes) {
		if (*head + rest + bytes - tail > q->size)
			return false;
		/* Entries are aligned, so the first two words of a filler always fit. */
		((struct queued *)(q->memory + at))->bytes = (uint32_t)rest;
		((struct queued *)(q->memory + at))->json_len = FILLER;
		*head += rest;
		return true;
	}
	return *head + bytes - tail <= q->size;
}

int queue_put(struct queue *q, const struct event_buf *b, uint64_t boot_ns)
{
	const struct event_keys *k = &b->keys;
	const char *const strings[7] = { k->name, k->container_id, k->container_name, k->namespace,
					 k->pod,  k->workload,	   k->cgroup };
	size_t head = atomic_load_explicit(&q->head, memory_order_relaxed), used = 0,
	       bytes = sizeof(struct queued);
	struct queued *e;

	for (unsigned i = 0; i < ARRAY_SIZE(strings); i++)
		bytes += string_bytes(strings[i]);
	bytes += b->json.len + 1;
	bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (!make_room(q, bytes, &head))
		return -EAGAIN;

	e = (struct queued *)(q->memory + head % q->size);
	*e = (struct queued){ .bytes = (uint32_t)bytes,
			      .json_len = (uint32_t)b->json.len,
			      .wall_ns = k->wall_ns,
			      .boot_ns = boot_ns,
			      .sequence = k->sequence,
			      .severity = k->severity,
			      .pid = k->pid };
	for (unsigned i = 0; i < ARRAY_SIZE(strings); i++)
		add_string(e, &used, i, strings[i]);
	e->json_offset = (uint32_t)used;
	memcpy((char *)(e + 1) + used, b->json.data, b->json.len);
	((char *)(e + 1))[used + b->json.len] = '\0';
	atomic_store_explicit(&q->head, head + bytes, memory_order_release);
	return 0;
}

size_t queue_first(const struct queue *q)
{
	return atomic_load_explicit(&q->tail, memory_order_relaxed);
}

struct queued *queue_next(struct queue *q, size_t *position)
{
	while (*position != atomic_load_explicit(&q->head, memory_order_acquire)) {
		struct queued *e = (struct queued *)(q->memory + *position % q->size);

		*position += e->bytes;
		if (e->json_len != FILLER)
			return e;
	}
	return NULL;
}

void queue_advance(struct queue *q, size_t position)
{
	atomic_store_explicit(&q->tail, position, memory_order_release);
}

void queued_keys(const struct queued *e, struct event_keys *ret)
{
	const char *strings = (const char *)(e + 1);

	*ret = (struct event_keys){
		.name = strings + e->offsets[0],
		.severity = e->severity,
		.wall_ns = e->wall_ns,
		.sequence = e->sequence,
		.container_id = strings + e->offsets[1],
		.container_name = strings + e->offsets[2],
		.namespace = strings + e->offsets[3],
		.pod = strings + e->offsets[4],
		.workload = strings + e->offsets[5],
		.cgroup = strings + e->offsets[6],
		.pid = e->pid,
		.json = queued_json(e),
		.json_len = e->json_len,
	};
}

const char *queued_json(const struct queued *e)
{
	return (const char *)(e + 1) + e->json_offset;
}
