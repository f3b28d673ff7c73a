/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task → node table (GW-SH-7, 11)
 *
 * Rendezvous hashing with a cap: all (task, node) pairs by score descending, a pair is taken if the task is free and the node below its
 * cap. Both sides rank by the same score, so deferred acceptance gives that very result without sorting tasks x nodes pairs: tasks
 * propose to their best node that has not refused them, a node keeps the best up to its cap. Scores are computed when they are
 * needed, since the matrix would be large. Integers only; no order of the configuration, no history.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/macro.h"
#include "route/shard/shard.h"

#define GOLDEN 0x9E3779B97F4A7C15ULL
#define WORK_MAX (1ULL << 28)

struct holder { /* one kept task of a node; a heap with the worst on top */
	uint64_t score;
	uint32_t task;
};

struct candidate {
	uint64_t hash; /* of the name */
	uint32_t weight, cap, kept;
	uint16_t index; /* of the caller's array */
	struct holder *heap; /* cap */
};

struct builder {
	const struct shard_node *nodes;
	size_t n;
	struct candidate *by_name; /* n, sorted by name */
	struct shard_table *table;
	struct shard_table_options o;
	uint16_t *owner; /* task → index into by_name of the rank at work, SHARD_NO_NODE = none */
	uint32_t *todo; /* stack of free tasks */
	size_t n_todo;
};

static uint64_t score(const struct candidate *c, uint32_t task)
{
	uint8_t bytes[8] = {};
	uint64_t best = 0;

	for (unsigned i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(task >> (8 * i));
	for (uint32_t k = 0; k < c->weight; k++)
		best = MAX(best, XXH3_64bits_withSeed(bytes, sizeof(bytes), c->hash + k * GOLDEN));
	return best;
}

/* --- the heap of a node: (lower score, then higher task) is worse --- */

static bool worse(const struct holder *a, const struct holder *b)
{
	return a->score != b->score ? a->score < b->score : a->task > b->task;
}

static void sift_up(struct holder *heap, size_t i)
{
	while (i > 0 && worse(&heap[i], &heap[(i - 1) / 2])) {
		struct holder swap = heap[i];

		heap[i] = heap[(i - 1) / 2];
		heap[(i - 1) / 2] = swap;
		i = (i - 1) / 2;
	}
}

static void sift_down(struct holder *heap, size_t n)
{
	for (size_t i = 0;;) {
		size_t least = i, left = 2 * i + 1;
		struct holder swap;

		if (left < n && worse(&heap[left], &heap[least]))
			least = left;
		if (left + 1 < n && worse(&heap[left + 1], &heap[least]))
			least = left + 1;
		if (least == i)
			return;
		swap = heap[i];
		heap[i] = heap[least];
		heap[least] = swap;
		i = least;
	}
}

/* --- what a task may take --- */

static bool holds(const struct builder *b, uint32_t task, uint32_t rank, uint16_t index)
{
	for (uint32_t r = 0; r < rank; r++)
		if (b->table->nodes[(size_t)r * b->o.tasks + task] == index)
			return true;
	return false;
}

static bool zone_used(const struct builder *b, uint32_t task, uint32_t rank, const char *zone)
{
	for (uint32_t r = 0; r < rank; r++) {
		uint16_t held = b->table->nodes[(size_t)r * b->o.tasks + task];

		if (held != SHARD_NO_NODE && streq(b->nodes[held].zone, zone))
			return true;
	}
	return false;
}

static bool any_unused_zone(const struct builder *b, uint32_t task, uint32_t rank)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->nodes[i].weight && !zone_used(b, task, rank, b->nodes[i].zone))
			return true;
	return false;
}

/*
 * The best node for @task after (@after, @after_i) in its order: score descending, then name. False when there is none. @first: from
 * the beginning.
 */
static bool next_choice(const struct builder *b, uint32_t task, uint32_t rank, bool zones,
			bool first, uint64_t after, size_t after_i, size_t *ret,
			uint64_t *ret_score)
{
	bool found = false;

	for (size_t i = 0; i < b->n; i++) {
		const struct candidate *c = &b->by_name[i];
		uint64_t s;

		if (!c->weight || (rank && holds(b, task, rank, c->index)) ||
		    (zones && zone_used(b, task, rank, b->nodes[c->index].zone)))
			continue;
		s = score(c, task);
		if (!first && (s > after || (s == after && i <= after_i)))
			continue;
		if (!found || s > *ret_score) {
			found = true;
			*ret = i;
			*ret_score = s;
		}
	}
	return found;
}

/* @task goes down its list until a node keeps it; who falls out there is free again. */
static void settle(struct builder *b, uint32_t task, uint32_t rank, uint64_t *refused_score,
		   uint16_t *refused_by)
{
	bool zones = b->o.zone_aware && rank && any_unused_zone(b, task, rank);
	bool first = refused_by[task] == SHARD_NO_NODE;
	size_t i;
	uint64_t s;

	while (next_choice(b, task, rank, zones, first, refused_score[task], refused_by[task], &i,
			   &s)) {
		struct candidate *c = &b->by_name[i];
		struct holder h = { s, task };

		first = false;
		refused_score[task] = s;
		refused_by[task] = (uint16_t)i;
		if (c->kept < c->cap) {
			c->heap[c->kept] = h;
			sift_up(c->heap, c->kept++);
			b->owner[task] = (uint16_t)i;
			return;
		}
		if (c->cap && worse(&c->heap[0], &h)) {
			uint32_t out = c->heap[0].task;

			c->heap[0] = h;
			sift_down(c->heap, c->kept);
			b->owner[task] = (uint16_t)i;
			b->owner[out] = SHARD_NO_NODE;
			b->todo[b->n_todo++] = out;
			return;
		}
	}
	/* Nobody may take it below the cap: its best node does, and that is counted (GW-SH-11). */
	if (next_choice(b, task, rank, zones, true, 0, 0, &i, &s)) {
		b->owner[task] = (uint16_t)i;
		b->table->over_cap++;
	}
}

static int build_rank(struct builder *b, uint32_t rank)
{
	_cleanup_(freep) uint64_t *refused_score = calloc(b->o.tasks, sizeof(uint64_t));
	_cleanup_(freep) uint16_t *refused_by = malloc(b->o.tasks * sizeof(uint16_t));

	if (!refused_score || !refused_by)
		return -ENOMEM;
	for (size_t i = 0; i < b->n; i++)
		b->by_name[i].kept = 0;
	b->n_todo = 0;
	for (uint32_t t = b->o.tasks; t-- > 0;) {
		refused_by[t] = b->owner[t] = SHARD_NO_NODE;
		b->todo[b->n_todo++] = t;
	}
	while (b->n_todo)
		settle(b, b->todo[--b->n_todo], rank, refused_score, refused_by);
	for (uint32_t t = 0; t < b->o.tasks; t++)
		b->table->nodes[(size_t)rank * b->o.tasks + t] =
			b->owner[t] == SHARD_NO_NODE ? SHARD_NO_NODE
						     : b->by_name[b->owner[t]].index;
	return 0;
}

/* --- set-up --- */

static int compare_candidates(const void *a, const void *b, void *nodes)
{
	const struct shard_node *n = nodes;

	return strcmp(n[((const struct candidate *)a)->index].name,
		      n[((const struct candidate *)b)->index].name);
}

static uint64_t total_weight(const struct shard_node *nodes, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += nodes[i].weight;
	return sum;
}

static uint32_t cap_of(const struct shard_table_options *o, uint32_t weight, uint64_t sum)
{
	uint64_t share = (uint64_t)o->tasks * weight, fair = (share + sum - 1) / sum;

	if (o->overload_percent == SHARD_OVERLOAD_OFF)
		return o->tasks;
	return (uint32_t)MIN(MAX(fair, share * (100 + o->overload_percent) / (100 * sum)),
			     (uint64_t)o->tasks);
}

static int check(const struct shard_node *nodes, size_t n, const struct shard_table_options *o,
		 char *why, size_t why_size)
{
	size_t live = 0;

	for (size_t i = 0; i < n; i++)
		live += nodes[i].weight > 0;
	if (n >= SHARD_NO_NODE || !o->tasks || !o->replicas || o->replicas > SHARD_REPLICAS_MAX)
		(void)snprintf(why, why_size, "the table has no shape");
	else if (n == 0 || live == 0)
		(void)snprintf(why, why_size, "no node has a weight above 0");
	else if (o->replicas > live)
		(void)snprintf(why, why_size, "%u replicas, but only %zu nodes", o->replicas, live);
	else if (total_weight(nodes, n) * o->tasks > WORK_MAX)
		(void)snprintf(why, why_size,
			       "sum of weights x tasks is %llu, at most %llu are taken",
			       (unsigned long long)total_weight(nodes, n) * o->tasks, WORK_MAX);
	else
		return 0;
	return -EINVAL;
}

static int prepare(struct builder *b, struct holder **ret_heaps, char *why, size_t why_size)
{
	uint64_t sum = total_weight(b->nodes, b->n), places = 0;
	struct holder *heap;

	for (size_t i = 0; i < b->n; i++) {
		b->by_name[i] = (struct candidate){
			.hash = XXH3_64bits(b->nodes[i].name, strlen(b->nodes[i].name)),
			.weight = b->nodes[i].weight,
			.cap = cap_of(&b->o, b->nodes[i].weight, sum),
			.index = (uint16_t)i,
		};
		places += b->by_name[i].cap;
	}
	qsort_r(b->by_name, b->n, sizeof(*b->by_name), compare_candidates, (void *)b->nodes);
	for (size_t i = 1; i < b->n; i++)
		if (streq(b->nodes[b->by_name[i - 1].index].name,
			  b->nodes[b->by_name[i].index].name)) {
			(void)snprintf(why, why_size, "two nodes are called '%s'",
				       b->nodes[b->by_name[i].index].name);
			return -EINVAL;
		}
	heap = malloc((places + 1) * sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	*ret_heaps = heap;
	for (size_t i = 0; i < b->n; heap += b->by_name[i++].cap)
		b->by_name[i].heap = heap;
	return 0;
}

int shard_table_hash(struct shard_table *t, const struct shard_node *nodes, size_t n)
{
	_cleanup_(freep) uint16_t *rank = malloc((n + 1) * sizeof(*rank));
	_cleanup_(freep) uint8_t *bytes = malloc(2 * (size_t)t->tasks);
	size_t width = n > 256 ? 2 : 1;

	if (!rank || !bytes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		rank[i] = 0;
		for (size_t k = 0; k < n; k++)
			rank[i] += strcmp(nodes[k].name, nodes[i].name) < 0;
	}
	for (uint32_t task = 0; task < t->tasks; task++) {
		uint16_t at = t->nodes[task] == SHARD_NO_NODE ? SHARD_NO_NODE
							      : rank[t->nodes[task]];

		bytes[task * width] = (uint8_t)at;
		if (width == 2)
			bytes[task * width + 1] = (uint8_t)(at >> 8);
	}
	t->hash = XXH3_64bits(bytes, t->tasks * width);
	return 0;
}

struct shard_table *shard_table_alloc(uint32_t tasks, uint32_t replicas, size_t n)
{
	struct shard_table *t =
		calloc(1, sizeof(*t) + (size_t)tasks * replicas * sizeof(t->nodes[0]));

	if (!t)
		return NULL;
	t->tasks = tasks;
	t->replicas = replicas;
	t->n_nodes = (uint32_t)n;
	return t;
}

static int build(struct builder *b, const uint16_t *preset, struct holder **heaps, char *why,
		 size_t why_size)
{
	int r = prepare(b, heaps, why, why_size);

	for (uint32_t rank = 0; r >= 0 && rank < b->o.replicas; rank++) {
		r = build_rank(b, rank);
		for (uint32_t t = 0; rank == 0 && preset && t < b->o.tasks; t++)
			if (preset[t] != SHARD_NO_NODE)
				b->table->nodes[t] = preset[t];
	}
	return r < 0 ? r : shard_table_hash(b->table, b->nodes, b->n);
}

int shard_table_build_over(const struct shard_node *nodes, size_t n,
			   const struct shard_table_options *o, const uint16_t *preset, char *why,
			   size_t why_size, struct shard_table **ret)
{
	_cleanup_(freep) struct candidate *candidates = calloc(n + 1, sizeof(*candidates));
	_cleanup_(freep) uint16_t *owner = malloc(((size_t)o->tasks + 1) * sizeof(*owner));
	_cleanup_(freep) uint32_t *todo = malloc(((size_t)o->tasks + 1) * sizeof(*todo));
	_cleanup_(freep) struct holder *heaps = NULL;
	_cleanup_(freep) struct shard_table *table = NULL;
	struct builder b = { .nodes = nodes, .n = n, .o = *o };
	int r = check(nodes, n, o, why, why_size);

	if (r < 0)
		return r;
	table = shard_table_alloc(o->tasks, o->replicas, n);
	if (!candidates || !owner || !todo || !table)
		return -ENOMEM;
	b.by_name = candidates;
	b.owner = owner;
	b.todo = todo;
	b.table = table;
	r = build(&b, preset, &heaps, why, why_size);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(table);
	return 0;
}

int shard_table_build(const struct shard_node *nodes, size_t n, const struct shard_table_options *o,
		      char *why, size_t why_size, struct shard_table **ret)
{
	return shard_table_build_over(nodes, n, o, NULL, why, why_size, ret);
}
