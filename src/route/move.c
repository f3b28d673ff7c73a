/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one snapshot's table to the next one's
 *
 * An old table is kept with its key and a reference to its configuration, so that tasks, labels of the key and even the receivers' rules may change
 * along with the nodes. Its indexes are translated to the nodes of the new snapshot.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/time.h"
#include "route/move.h"

struct shard_node *destination_nodes(const struct destination *d)
{
	struct shard_node *nodes = calloc(d->n_all + 1, sizeof(*nodes));

	for (size_t i = 0; nodes && i < d->n_all; i++)
		nodes[i] = (struct shard_node){ d->node_configs[i].name, d->node_configs[i].zone,
						i < d->n_nodes ? d->node_configs[i].weight : 0 };
	return nodes;
}

/* --- is it the same --- */

static bool same_names(const struct config_strings *a, const struct config_strings *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!streq(a->items[i], b->items[i]))
			return false;
	return true;
}

static bool keeps_tasks(const struct shard_config *s)
{
	return s->task_label.enabled && s->task_label.on_existing == TASK_LABEL_KEEP;
}

bool destination_same_tasks(const struct destination_config *a, const struct destination_config *b)
{
	const struct shard_config *x = &a->shard, *y = &b->shard;

	if (a == b)
		return true;
	return !a->rules && !b->rules && x->algorithm == y->algorithm && x->tasks == y->tasks &&
	       x->seed == y->seed && x->family == y->family && keeps_tasks(x) == keeps_tasks(y) &&
	       streq(x->task_label.name, y->task_label.name) &&
	       same_names(&x->key.by, &y->key.by) && same_names(&x->key.without, &y->key.without);
}

/* The old table as it stands in @before. */
struct old {
	const struct shard_table *table;
	const struct destination_config *config;
	struct route_config *owner;
	int64_t boundary_ms, until_ms;
};

static bool same_table(const struct destination *d, const struct shard_node *nodes,
		       const struct old *old, const struct shard_node *old_nodes)
{
	return destination_same_tasks(d->config, old->config) &&
	       shard_table_same(d->table, nodes, old->table, old_nodes);
}

/* --- which old tables --- */

static void find_boundary(const struct destination *d, int64_t now_ms, struct diags *warnings,
			  struct old *ret)
{
	const struct shard_config *s = &d->config->shard;
	int64_t interval = (int64_t)(s->move_interval / US_PER_MSEC);
	uint64_t ns;

	ret->boundary_ms = shard_boundary(now_ms, interval);
	if (*s->effective_at && parse_rfc3339(s->effective_at, &ns) == 0) {
		ret->boundary_ms = (int64_t)(ns / NS_PER_MSEC);
		if (ret->boundary_ms < now_ms)
			diags_add(warnings, d->config->name, 0, 0,
				  "shard.effective_at is past: the new table takes over at once");
	}
	ret->until_ms = ret->boundary_ms + 2 * interval;
}

/* The tables of @before, those with a boundary first; the last one is in force after them. */
static size_t list_old(const struct destination *before, struct route_config *owner,
		       struct old ret[DESTINATION_MOVES_MAX + 1])
{
	size_t n = 0;

	for (; n < before->n_moves; n++) {
		const struct destination_move *m = &before->moves[n];

		ret[n] = (struct old){ m->table, m->config, m->owner, m->boundary_ms, m->until_ms };
	}
	ret[n] = (struct old){ .table = before->table, .config = before->config, .owner = owner };
	return n;
}

/* Of the @n old ones, and the last table behind them, those that @d still needs: to the front of @old; their number. */
static size_t choose(const struct destination *d, const struct shard_node *nodes,
		     const struct shard_node *old_nodes, struct old *old, size_t n, int64_t now_ms,
		     struct diags *warnings)
{
	bool same = same_table(d, nodes, &old[n], old_nodes);
	size_t kept = 0, at = 0;
	struct old last;

	if (!same && d->config->shard.move_at == MOVE_NOW)
		return 0;
	/* Another table: what has not come into force never will. */
	while (at < n && (same || old[at].boundary_ms < now_ms)) {
		if (old[at].until_ms > now_ms)
			old[kept++] = old[at];
		at++;
	}
	if (same || same_table(d, nodes, &old[at], old_nodes))
		return kept;
	last = old[at];
	find_boundary(d, now_ms, warnings, &last);
	if (last.until_ms <= now_ms)
		return 0;
	/* One that is set before those of others: what was in force then is what it follows. */
	while (kept && old[kept - 1].boundary_ms >= last.boundary_ms) {
		last.table = old[--kept].table;
		last.config = old[kept].config;
		last.owner = old[kept].owner;
	}
	old[kept] = last;
	if (++kept <= DESTINATION_MOVES_MAX)
		return kept;
	diags_add(warnings, d->config->name, 0, 0,
		  "more than %d tables wait for their end: the oldest is dropped before its time",
		  DESTINATION_MOVES_MAX);
	memmove(old, old + 1, --kept * sizeof(*old));
	return kept;
}

/* --- nodes that left --- */

static bool uses(const struct old *old, size_t n, uint16_t node)
{
	for (size_t i = 0; i < n; i++)
		for (size_t t = 0; t < (size_t)old[i].table->tasks * old[i].table->replicas; t++)
			if (old[i].table->nodes[t] == node)
				return true;
	return false;
}

static bool has_node(const struct destination *d, const char *name)
{
	for (size_t i = 0; i < d->n_all; i++)
		if (streq(d->node_configs[i].name, name))
			return true;
	return false;
}

static int take_leaving(struct destination *d, const struct destination *before,
			struct route_config *owner, const struct old *old, size_t n)
{
	size_t most = d->n_nodes + before->n_all;
	struct node_config *configs =
		realloc(d->node_configs, (most + 1) * sizeof(*d->node_configs));

	if (!configs)
		return -ENOMEM;
	d->node_configs = configs;
	d->owners = calloc(before->n_all + 1, sizeof(struct route_config *));
	if (!d->owners)
		return -ENOMEM;
	for (size_t i = 0; i < before->n_all; i++) {
		if (has_node(d, before->node_configs[i].name) || !uses(old, n, (uint16_t)i))
			continue;
		configs[d->n_all] = before->node_configs[i];
		d->owners[d->n_all - d->n_nodes] = route_config_ref(
			i < before->n_nodes ? owner : before->owners[i - before->n_nodes]);
		d->n_all++;
	}
	return 0;
}

/* --- one old table in the new destination --- */

static int add_move(struct destination *d, const struct old *old,
		    const struct shard_node *old_nodes, size_t n_old, const struct shard_node *all)
{
	struct destination_move *m = &d->moves[d->n_moves];
	int r = shard_table_renumber(old->table, old_nodes, n_old, all, d->n_all, &m->table);

	if (r < 0)
		return r;
	m->boundary_ms = old->boundary_ms;
	m->until_ms = old->until_ms;
	m->config = old->config;
	m->owner = route_config_ref(old->owner);
	d->n_moves++;
	return destination_same_tasks(d->config, old->config)
		       ? 0
		       : destination_key(old->config, &m->key);
}

static int take_all(struct destination *d, const struct destination *before,
		    struct route_config *owner, struct shard_node *nodes,
		    struct shard_node *old_nodes, int64_t now_ms, struct diags *warnings)
{
	struct old old[DESTINATION_MOVES_MAX + 1];
	size_t n = choose(d, nodes, old_nodes, old, list_old(before, owner, old), now_ms, warnings);
	struct shard_node *all;
	int r = 0;

	if (!n)
		return 0;
	r = take_leaving(d, before, owner, old, n);
	all = r < 0 ? NULL : destination_nodes(d);
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = add_move(d, &old[i], old_nodes, before->n_all, all);
	free(all);
	return r;
}

int moves_take(struct destination *d, const struct destination *before,
	       const struct snapshot *before_snapshot, int64_t now_ms, struct diags *warnings)
{
	struct shard_node *nodes, *old_nodes;
	int r = -ENOMEM;

	if (!d->table || !before->table) {
		if (d->config->shard.move_at == MOVE_BOUNDARY && !before->table)
			diags_add(warnings, d->config->name, 0, 0,
				  "there was no table before: the new one takes over at once");
		return 0;
	}
	nodes = destination_nodes(d);
	old_nodes = destination_nodes(before);
	if (nodes && old_nodes)
		r = take_all(d, before, before_snapshot->config, nodes, old_nodes, now_ms,
			     warnings);
	free(nodes);
	free(old_nodes);
	return r;
}

void moves_free(struct destination *d)
{
	for (size_t i = 0; i < d->n_moves; i++) {
		free(d->moves[i].table);
		shard_key_free(d->moves[i].key);
		route_config_free(d->moves[i].owner);
	}
	for (size_t i = d->n_nodes; d->owners && i < d->n_all; i++)
		route_config_free(d->owners[i - d->n_nodes]);
	free(d->owners);
}
