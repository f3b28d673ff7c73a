/* SPDX-License-Identifier: Apache-2.0 */
/* From one table to the next at a boundary of time: which boundary, and is anything moved at all (GW-SH-14). */

#include <errno.h>
#include <stdlib.h>
#include "base/macro.h"
#include "base/time.h"
#include "route/shard/shard.h"

#define COMMON_MAX (3600 * US_PER_SEC)

/**
 * shard_boundary() - when a new table takes over
 * @now_ms:      wall clock at the load, milliseconds since the epoch, not negative
 * @interval_ms: above 0
 *
 * Windows of receivers end at multiples of their interval, counted from the epoch; one whole interval is left, so that the
 * window that has begun and the next one are not torn.
 *
 * Return: the first multiple of the interval that is at least one interval after @now_ms.
 */
int64_t shard_boundary(int64_t now_ms, int64_t interval_ms)
{
	return (now_ms + 2 * interval_ms - 1) / interval_ms * interval_ms;
}

static uint64_t divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

uint64_t shard_common_interval(const uint64_t *us, size_t n, bool *ret_longest)
{
	uint64_t common = n ? us[0] : 0, longest = 0;

	*ret_longest = false;
	for (size_t i = 0; i < n; i++) {
		longest = MAX(longest, us[i]);
		/* Neither factor is above an hour while this goes on, but for the last: no overflow. */
		if (common <= COMMON_MAX && us[i] <= COMMON_MAX)
			common = common / divisor(common, us[i]) * us[i];
		else
			common = COMMON_MAX + 1;
	}
	if (common <= COMMON_MAX)
		return common;
	for (size_t i = 0; i < n; i++)
		*ret_longest |= longest % us[i] != 0;
	return longest;
}

bool shard_table_same(const struct shard_table *a, const struct shard_node *nodes_a,
		      const struct shard_table *b, const struct shard_node *nodes_b)
{
	if (a->tasks != b->tasks || a->replicas != b->replicas)
		return false;
	for (size_t i = 0; i < (size_t)a->tasks * a->replicas; i++) {
		uint16_t one = a->nodes[i], two = b->nodes[i];

		if ((one == SHARD_NO_NODE) != (two == SHARD_NO_NODE))
			return false;
		if (one != SHARD_NO_NODE && !streq(nodes_a[one].name, nodes_b[two].name))
			return false;
	}
	return true;
}

static uint16_t place_of(const struct shard_node *nodes, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (streq(nodes[i].name, name))
			return (uint16_t)i;
	return SHARD_NO_NODE;
}

int shard_table_renumber(const struct shard_table *t, const struct shard_node *from, size_t n_from,
			 const struct shard_node *to, size_t n_to, struct shard_table **ret)
{
	_cleanup_(freep) uint16_t *places = malloc((n_from + 1) * sizeof(*places));
	struct shard_table *copy = shard_table_alloc(t->tasks, t->replicas, n_to);

	if (!copy || !places) {
		free(copy);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n_from; i++)
		places[i] = place_of(to, n_to, from[i].name);
	for (size_t i = 0; i < (size_t)t->tasks * t->replicas; i++)
		copy->nodes[i] = t->nodes[i] == SHARD_NO_NODE ? SHARD_NO_NODE : places[t->nodes[i]];
	copy->hash = t->hash; /* by name: the same table */
	copy->over_cap = t->over_cap;
	*ret = copy;
	return 0;
}
