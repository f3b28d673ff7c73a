/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one table to the next: what moves, and a table that moves as little as possible
 *
 * The plan gives each node its quota by largest remainder and moves only tasks of nodes that leave or hold more than theirs.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "route/shard/shard.h"

struct share {
	uint32_t held, quota;
	uint64_t remainder;
	uint16_t index;
};

static uint16_t find_node(const struct shard_node *nodes, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (streq(nodes[i].name, name))
			return (uint16_t)i;
	return SHARD_NO_NODE;
}

/* Old index → new index, SHARD_NO_NODE = leaves or is drained. */
static uint16_t *map_nodes(const struct shard_node *old_nodes, size_t n_old,
			   const struct shard_node *nodes, size_t n, bool drained_too)
{
	uint16_t *map = malloc((n_old + 1) * sizeof(*map));

	for (size_t i = 0; map && i < n_old; i++) {
		map[i] = find_node(nodes, n, old_nodes[i].name);
		if (map[i] != SHARD_NO_NODE && !drained_too && !nodes[map[i]].weight)
			map[i] = SHARD_NO_NODE;
	}
	return map;
}

/* Larger remainder first; then who holds more than it has to give away, so that fewer tasks move; then name. */
static int compare_remainders(const void *a, const void *b, void *nodes)
{
	const struct share *x = a, *y = b;
	const struct shard_node *names = nodes;
	bool keeps_x = x->held > x->quota, keeps_y = y->held > y->quota;

	if (x->remainder != y->remainder)
		return x->remainder > y->remainder ? -1 : 1;
	if (keeps_x != keeps_y)
		return keeps_x ? -1 : 1;
	return strcmp(names[x->index].name, names[y->index].name);
}

static int compare_index(const void *a, const void *b)
{
	return ((const struct share *)a)->index - ((const struct share *)b)->index;
}

static int set_quotas(struct share *shares, const struct shard_node *nodes, size_t n,
		      uint32_t tasks)
{
	uint64_t sum = 0;
	uint32_t left = tasks;

	for (size_t i = 0; i < n; i++)
		sum += nodes[i].weight;
	if (!sum)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		uint64_t product = (uint64_t)tasks * nodes[i].weight;

		shares[i].index = (uint16_t)i;
		shares[i].quota = (uint32_t)(product / sum);
		shares[i].remainder = product % sum;
		left -= shares[i].quota;
	}
	qsort_r(shares, n, sizeof(*shares), compare_remainders, (void *)nodes);
	for (size_t i = 0; left; i++, left--)
		shares[i].quota++;
	qsort(shares, n, sizeof(*shares), compare_index);
	return 0;
}

/* Nodes in name order take what is free up to their quota. */
static void give(struct shard_table *t, struct share *shares, const struct shard_node *nodes,
		 size_t n)
{
	uint32_t task = 0;

	for (;;) {
		uint16_t next = SHARD_NO_NODE;

		for (size_t i = 0; i < n; i++)
			if (shares[i].held < shares[i].quota &&
			    (next == SHARD_NO_NODE || strcmp(nodes[i].name, nodes[next].name) < 0))
				next = (uint16_t)i;
		if (next == SHARD_NO_NODE)
			return;
		while (shares[next].held < shares[next].quota) {
			while (t->nodes[task] != SHARD_NO_NODE)
				task++;
			t->nodes[task] = next;
			shares[next].held++;
		}
	}
}

int shard_plan(const struct shard_table *before, const struct shard_node *old_nodes, size_t n_old,
	       const struct shard_node *nodes, size_t n, struct shard_table **ret)
{
	_cleanup_(freep) struct shard_table *t = shard_table_alloc(before->tasks, 1, n);
	_cleanup_(freep) struct share *shares = calloc(n + 1, sizeof(*shares));
	_cleanup_(freep) uint16_t *map = map_nodes(old_nodes, n_old, nodes, n, false);
	int r;

	if (!t || !shares || !map)
		return -ENOMEM;
	for (uint32_t i = 0; i < before->tasks; i++) {
		uint16_t held = before->nodes[i] == SHARD_NO_NODE ? SHARD_NO_NODE
								  : map[before->nodes[i]];

		if (held != SHARD_NO_NODE)
			shares[held].held++;
	}
	r = set_quotas(shares, nodes, n, before->tasks);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		shares[i].held = 0;
	for (uint32_t i = 0; i < before->tasks; i++) {
		uint16_t held = before->nodes[i] == SHARD_NO_NODE ? SHARD_NO_NODE
								  : map[before->nodes[i]];

		t->nodes[i] = SHARD_NO_NODE;
		if (held != SHARD_NO_NODE && shares[held].held < shares[held].quota) {
			shares[held].held++;
			t->nodes[i] = held;
		}
	}
	give(t, shares, nodes, n);
	r = shard_table_hash(t, nodes, n);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(t);
	return 0;
}

/* --- what moves --- */

static int compare_rows(const void *a, const void *b)
{
	return strcmp(((const struct shard_move_row *)a)->name,
		      ((const struct shard_move_row *)b)->name);
}

static size_t list_rows(struct shard_move_row *rows, const struct shard_node *old_nodes,
			size_t n_old, const struct shard_node *nodes, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n_old; i++)
		rows[count++] = (struct shard_move_row){
			.name = old_nodes[i].name,
			.leaves = find_node(nodes, n, old_nodes[i].name) == SHARD_NO_NODE,
		};
	for (size_t i = 0; i < n; i++)
		if (find_node(old_nodes, n_old, nodes[i].name) == SHARD_NO_NODE)
			rows[count++] =
				(struct shard_move_row){ .name = nodes[i].name, .joins = true };
	qsort(rows, count, sizeof(*rows), compare_rows);
	return count;
}

static struct shard_move_row *row_of(struct shard_moves *m, const char *name)
{
	const struct shard_move_row key = { .name = name };

	return bsearch(&key, m->rows, m->n, sizeof(key), compare_rows);
}

static uint32_t count_ideal(const struct shard_table *before, const struct shard_node *old_nodes,
			    const struct shard_table *plan, const struct shard_node *nodes)
{
	uint32_t moved = 0;

	for (uint32_t i = 0; i < before->tasks; i++)
		moved += before->nodes[i] == SHARD_NO_NODE ||
			 !streq(old_nodes[before->nodes[i]].name, nodes[plan->nodes[i]].name);
	return moved;
}

int shard_moves(const struct shard_table *before, const struct shard_node *old_nodes, size_t n_old,
		const struct shard_table *after, const struct shard_node *nodes, size_t n,
		struct shard_moves **ret)
{
	_cleanup_(freep) struct shard_moves *m =
		calloc(1, sizeof(*m) + (n_old + n) * sizeof(m->rows[0]));
	_cleanup_(freep) struct shard_table *plan = NULL;
	int r;

	if (!m)
		return -ENOMEM;
	if (before->tasks != after->tasks)
		return -EINVAL;
	r = shard_plan(before, old_nodes, n_old, nodes, n, &plan);
	if (r < 0)
		return r;
	m->n = list_rows(m->rows, old_nodes, n_old, nodes, n);
	m->ideal = count_ideal(before, old_nodes, plan, nodes);
	for (uint32_t i = 0; i < before->tasks; i++) {
		struct shard_move_row *from = before->nodes[i] == SHARD_NO_NODE
						      ? NULL
						      : row_of(m, old_nodes[before->nodes[i]].name);
		struct shard_move_row *to = after->nodes[i] == SHARD_NO_NODE
						    ? NULL
						    : row_of(m, nodes[after->nodes[i]].name);

		if (from)
			from->before++;
		if (to)
			to->after++;
		if (from == to)
			continue;
		m->moved++;
		if (from)
			from->lost++;
		if (to)
			to->gained++;
		m->between_staying += from && to && !from->leaves && !to->joins;
	}
	*ret = TAKE_PTR(m);
	return 0;
}
