/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of tables: who has how many tasks, what reloads moved, and the hottest task. */

#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "base/time.h"
#include "route/tick.h"

/* --- tables --- */

static void tick_table(const struct tick *t, const struct destination *d)
{
	_cleanup_(freep) uint32_t *tasks = calloc(d->n_nodes + 1, sizeof(*tasks));
	const struct node_config *c = d->config->nodes.items;
	const char *name = d->config->name;
	uint64_t weights = 0;
	double worst = 0;
	char hash[20];

	if (!tasks)
		return;
	for (uint32_t i = 0; i < d->table->tasks; i++)
		if (d->table->nodes[i] < d->n_nodes)
			tasks[d->table->nodes[i]]++;
	for (size_t i = 0; i < d->n_nodes; i++)
		weights += c[i].weight;
	for (size_t i = 0; i < d->n_nodes; i++) {
		double share = weights ? (double)d->table->tasks * c[i].weight / (double)weights
				       : 0;

		tick_gauge(t, TABLE_TASKS, L(name, d->nodes[i]->name), tasks[i]);
		if (share > 0)
			worst = MAX(worst, tasks[i] / share);
	}
	tick_gauge(t, TABLE_IMBALANCE, L(name), worst);
	(void)snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)d->table->hash);
	tick_gauge(t, TABLE_INFO,
		   L(name, hash, *d->config->shard.table_file ? "pinned" : "computed"), 1);
	tick_add(t, TABLE_MOVED, L(name), 0);
}

static void tick_move(const struct tick *t, const struct destination *d)
{
	const struct destination_move *last = d->n_moves ? &d->moves[d->n_moves - 1] : NULL;
	const char *const *name = L(d->config->name);

	tick_gauge(t, TABLE_BOUNDARY, name, last ? (double)last->boundary_ms / 1e3 : 0);
	tick_gauge(t, TABLE_UNTIL, name, last ? (double)last->until_ms / 1e3 : 0);
}

static const char *owner(const struct destination *d, uint32_t task)
{
	uint16_t node = d->table->nodes[task];

	return node < d->n_nodes ? d->nodes[node]->name : "";
}

/* Tasks that have another node than before; tables of different sizes cannot be compared. */
static uint64_t count_moved(const struct destination *a, const struct destination *b)
{
	uint64_t n = 0;

	if (!a->table || !b->table || a->table->tasks != b->table->tasks || a->table->hash == 0)
		return 0;
	for (uint32_t i = 0; i < a->table->tasks; i++)
		n += !streq(owner(a, i), owner(b, i));
	return n;
}

void route_metrics_moved(struct gateway *g, const struct snapshot *old,
			 const struct snapshot *fresh)
{
	uint64_t now = time_mono_us();

	for (size_t i = 0; g->set && i < old->n_destinations; i++)
		for (size_t k = 0; k < fresh->n_destinations; k++) {
			const struct destination *a = &old->destinations[i],
						 *b = &fresh->destinations[k];

			if (streq(a->config->name, b->config->name))
				metric_series_add(metric_series(g->set, TABLE_MOVED,
								L(b->config->name), now),
						  count_moved(a, b), now);
		}
}

static void tick_hottest(const struct tick *t, const struct destination *d)
{
	const struct task_load *load = gateway_task_load(t->g, d);
	double ratio = load ? task_load_ratio(load) : 0;

	if (ratio > 0)
		tick_gauge(t, TASK_RATIO, L(d->config->name), ratio);
}

void tick_tables(const struct tick *t)
{
	for (size_t i = 0; i < t->s->n_destinations; i++) {
		const struct destination *d = &t->s->destinations[i];

		if (d->table) {
			tick_table(t, d);
			tick_move(t, d);
		}
		tick_hottest(t, d);
	}
}
