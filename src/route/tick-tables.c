/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of tables: who has how many tasks, what reloads moved, and the hottest task. */

#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "base/time.h"
#include "route/tick.h"

#define MINUTE_US (60 * US_PER_SEC)

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

/* --- the hottest task --- */

static struct task_minute *minute_of(struct figures *f, const char *name, uint32_t tasks,
				     uint64_t now)
{
	struct task_minute *m;

	for (m = f->minutes; m; m = m->next)
		if (m->tasks == tasks && streq(m->name, name))
			return m;
	m = calloc(1, sizeof(*m) + 2 * tasks * sizeof(m->counts[0]));
	if (!m)
		return NULL;
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
	m->tasks = tasks;
	m->began_us = now;
	m->next = f->minutes;
	f->minutes = m;
	return m;
}

static void add_counts(const struct tick *t, struct task_minute *m, uint32_t *counts)
{
	memset(counts, 0, m->tasks * sizeof(*counts));
	for (unsigned w = 0; w < t->g->n_workers; w++) {
		const struct task_counters *c =
			t->g->workers[w].pipeline
				? pipeline_tasks(t->g->workers[w].pipeline, m->name, m->tasks)
				: NULL;

		for (uint32_t i = 0; c && i < m->tasks; i++)
			counts[i] += COUNTED(c->counts[i]);
	}
}

/* Hottest by mean; 0 where nothing came. */
static double hottest(const uint32_t *now, const uint32_t *before, uint32_t tasks)
{
	uint64_t sum = 0;
	uint32_t most = 0;

	for (uint32_t i = 0; i < tasks; i++) {
		sum += now[i] - before[i];
		most = MAX(most, now[i] - before[i]);
	}
	return sum ? (double)most * tasks / (double)sum : 0;
}

static void tick_hottest(const struct tick *t, const struct destination *d)
{
	uint32_t tasks = d->config->shard.tasks;
	struct task_minute *m = minute_of(t->g->figures, d->config->name, tasks, t->now);
	bool over;
	double ratio;

	if (!m)
		return;
	over = t->now - m->began_us >= MINUTE_US;
	if (!over && m->ratio > 0) {
		tick_gauge(t, TASK_RATIO, L(m->name), m->ratio);
		return;
	}
	/* In the first minute, what has come so far. */
	add_counts(t, m, m->counts + tasks);
	ratio = hottest(m->counts + tasks, m->counts, tasks);
	if (over) {
		m->ratio = ratio;
		m->began_us = t->now;
		memcpy(m->counts, m->counts + tasks, tasks * sizeof(m->counts[0]));
	}
	if (ratio > 0)
		tick_gauge(t, TASK_RATIO, L(m->name), ratio);
}

void tick_tables(const struct tick *t)
{
	for (size_t i = 0; i < t->s->n_destinations; i++) {
		const struct destination *d = &t->s->destinations[i];

		if (d->table)
			tick_table(t, d);
		if (d->n_nodes > 1 && d->config->shard.tasks > 1)
			tick_hottest(t, d);
	}
}
