/* SPDX-License-Identifier: Apache-2.0 */
/* From a checked configuration to queues, keys and tables. */
#define LOG_MODULE "route"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/fs.h"
#include "base/macro.h"
#include "base/parse.h"
#include "route/config-internal.h"
#include "route/move.h"

#define TABLE_FILE_MAX (4 << 20)

/* --- sharding of a destination --- */

int destination_key(const struct destination_config *c, struct shard_key **ret)
{
	const struct shard_config *s = &c->shard;
	const struct shard_key_options o = {
		.by = s->key.by.n > 0,
		.names = s->key.by.n ? s->key.by.items : s->key.without.items,
		.n_names = s->key.by.n ? s->key.by.n : s->key.without.n,
		.family = s->family,
		.task_label = s->task_label.name,
		.seed = s->seed,
	};

	return shard_key_new(&o, ret);
}

static int read_pinned(struct destination *d, const struct shard_node *nodes,
		       const struct shard_table_options *o, struct diags *warnings, char *why,
		       size_t why_size)
{
	const char *path = d->config->shard.table_file;
	_cleanup_(freep) char *text = NULL;
	struct shard_pinned_warnings w = {};
	size_t len;
	int r = fs_read_at(AT_FDCWD, path, TABLE_FILE_MAX, &text, &len);

	if (r < 0) {
		(void)snprintf(why, why_size, "%s: %s", path, strerror(-r));
		return r;
	}
	r = shard_pinned_read(text, len, d->config->name, nodes, d->n_nodes, o, why, why_size,
			      &d->table, &w);
	if (r >= 0 && w.missing_nodes)
		diags_add(warnings, path, 0, 0, "%u nodes are not in the table and get nothing",
			  w.missing_nodes);
	if (r >= 0 && w.absent_tasks)
		diags_add(warnings, path, 0, 0, "%u tasks belong to nodes that are not there",
			  w.absent_tasks);
	return r;
}

/* @before: of the same name in the snapshot before, or NULL. Where only the time went on, a table file is not read again. */
static int make_table(struct destination *d, const struct destination *before,
		      struct diags *warnings, char *why, size_t why_size)
{
	const struct shard_config *s = &d->config->shard;
	const struct shard_table_options o = { s->tasks, s->overload, s->replicas, s->zone_aware };
	_cleanup_(freep) struct shard_node *nodes = destination_nodes(d);

	if (!nodes)
		return -ENOMEM;
	if (before && before->config == d->config)
		return shard_table_renumber(before->table, nodes, d->n_nodes, nodes, d->n_nodes,
					    &d->table);
	if (*s->table_file)
		return read_pinned(d, nodes, &o, warnings, why, why_size);
	return shard_table_build(nodes, d->n_nodes, &o, why, why_size, &d->table);
}

/* --- one destination --- */

static int compare_labels(const void *a, const void *b)
{
	return rw_label_compare(a, b);
}

static int take_labels(struct destination *d)
{
	const struct config_pairs *pairs = &d->config->add_labels;

	d->add_labels = calloc(pairs->n + 1, sizeof(*d->add_labels));
	if (!d->add_labels)
		return -ENOMEM;
	for (size_t i = 0; i < pairs->n; i++)
		d->add_labels[i] = (struct rw_label){ pairs->items[i].key, pairs->items[i].value,
						      (uint32_t)strlen(pairs->items[i].key),
						      (uint32_t)strlen(pairs->items[i].value) };
	d->n_add_labels = pairs->n;
	qsort(d->add_labels, d->n_add_labels, sizeof(*d->add_labels), compare_labels);
	return 0;
}

static int take_configs(struct destination *d)
{
	const struct config_list *list = &d->config->nodes;

	d->node_configs = calloc(list->n + 1, sizeof(*d->node_configs));
	if (!d->node_configs)
		return -ENOMEM;
	if (list->n)
		memcpy(d->node_configs, list->items, list->n * sizeof(*d->node_configs));
	d->n_nodes = d->n_all = list->n;
	return 0;
}

static int take_nodes(struct snapshot *s, struct destination *d, char *why, size_t why_size)
{
	const struct node_config *c = d->node_configs;

	d->nodes = calloc(d->n_all + 1, sizeof(*d->nodes));
	d->convert = calloc(d->n_all + 1, sizeof(*d->convert));
	if (!d->nodes || !d->convert)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_all; i++) {
		/* Mostly all have the files of their destination. */
		bool check = s->registry && (!i || memcmp(&c[i].tls_config, &c[i - 1].tls_config,
							  sizeof(c->tls_config)) != 0);
		int r = check ? nodes_check(s->registry, d->config, &c[i], why, why_size) : 0;

		if (r >= 0 && s->registry)
			r = nodes_get(s->registry, d->config, &c[i], why, why_size, &d->nodes[i]);
		if (r < 0)
			return r;
		/* Lanes are those of the nodes that stay: a series must not change its lane when a move ends. */
		if (i < d->n_nodes)
			d->lanes = MAX(d->lanes, c[i].send.lanes);
		d->convert[i].send_custom_buckets = c[i].send.rw1_custom_buckets;
		d->convert[i].start = (enum rw_start_timestamp)c[i].send.rw2_start_timestamp;
	}
	return 0;
}

static const struct destination *find_destination(const struct snapshot *s, const char *name)
{
	for (size_t i = 0; s && i < s->n_destinations; i++)
		if (streq(s->destinations[i].config->name, name))
			return &s->destinations[i];
	return NULL;
}

static int make_native(struct destination *d, const struct snapshot *before, int64_t now_ms,
		       struct diags *warnings, char *why, size_t why_size)
{
	const struct destination *old = find_destination(before, d->config->name);
	int r = destination_key(d->config, &d->key);

	if (r >= 0)
		r = make_table(d, old, warnings, why, why_size);
	if (r >= 0 && old)
		r = moves_take(d, old, before, now_ms, warnings);
	return r;
}

static int make_destination(struct snapshot *s, size_t at, const struct snapshot *before,
			    int64_t now_ms, struct diags *warnings, char *why, size_t why_size)
{
	struct destination *d = &s->destinations[at];
	int r;

	d->config = &s->config->destinations[at];
	d->replicas = d->config->shard.replicas;
	d->codec = d->config->send.protocol == SEND_VM ? RW_CODEC_ZSTD : RW_CODEC_SNAPPY;
	r = take_configs(d);
	if (r >= 0)
		r = take_labels(d);
	if (r >= 0 && d->config->shard.algorithm == SHARD_NATIVE)
		r = make_native(d, before, now_ms, warnings, why, why_size);
	if (r >= 0)
		r = take_nodes(s, d, why, why_size);
	if (r == -ENOMEM)
		(void)snprintf(why, why_size, "out of memory");
	d->first_slot = s->slots;
	s->slots += d->n_all * d->lanes * _RW_VERSION_MAX;
	return r;
}

int snapshot_after(const struct snapshot *before, int64_t now_ms, struct route_config *config,
		   struct nodes *registry, struct diags *warnings, char *why, size_t why_size,
		   struct snapshot **ret)
{
	_cleanup_(snapshot_freep) struct snapshot *s = calloc(1, sizeof(*s));
	int r = 0;

	*why = '\0';
	if (!s)
		return -ENOMEM;
	s->refs = 1;
	s->registry = registry;
	s->config = config;
	s->n_routes = config->n_routes;
	s->destinations = calloc(config->n_destinations + 1, sizeof(*s->destinations));
	if (!s->destinations)
		r = -ENOMEM;
	for (size_t i = 0; r >= 0 && i < config->n_destinations; i++) {
		s->n_destinations = i + 1;
		r = make_destination(s, i, before, now_ms, warnings, why, why_size);
	}
	if (r < 0) {
		s->config = NULL; /* the caller's */
		return r;
	}
	for (size_t i = 0; i < config->n_routes; i++)
		s->use_cache |= config->routes[i].relabel || config->routes[i].match.n;
	*ret = TAKE_PTR(s);
	return 0;
}

int snapshot_apply(struct snapshot *s)
{
	int r = 0;

	for (size_t i = 0; i < s->n_destinations; i++) {
		struct destination *d = &s->destinations[i];
		const struct node_config *c = d->config->nodes.items;

		for (size_t n = 0; n < d->n_nodes; n++) {
			int e = nodes_change(s->registry, d->nodes[n], d->config, &c[n]);

			rw_told_interval(d->nodes[n]->told, s->config->metadata->interval);
			r = r < 0 ? r : e;
		}
	}
	return r;
}

int snapshot_new(struct route_config *config, struct nodes *registry, struct diags *warnings,
		 char *why, size_t why_size, struct snapshot **ret)
{
	return snapshot_after(NULL, 0, config, registry, warnings, why, why_size, ret);
}

int64_t snapshot_moves_until(const struct snapshot *s)
{
	int64_t first = 0;

	for (size_t i = 0; i < s->n_destinations; i++)
		for (size_t k = 0; k < s->destinations[i].n_moves; k++) {
			int64_t until = s->destinations[i].moves[k].until_ms;

			first = first ? MIN(first, until) : until;
		}
	return first;
}

struct snapshot *snapshot_free(struct snapshot *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->n_destinations; i++) {
		struct destination *d = &s->destinations[i];

		for (size_t n = 0; d->nodes && n < d->n_all && s->registry; n++)
			if (d->nodes[n])
				nodes_put(s->registry, d->nodes[n]);
		moves_free(d);
		shard_key_free(d->key);
		free(d->table);
		free(d->nodes);
		free(d->node_configs);
		free(d->convert);
		free(d->add_labels);
	}
	free(s->destinations);
	route_config_free(s->config);
	free(s);
	return NULL;
}

/* --- where a series goes --- */

static bool existing_task(const struct shard_config *s, const struct rw_label *labels, size_t n,
			  uint32_t *ret)
{
	const struct rw_label *l =
		rw_find_label(labels, n, s->task_label.name, strlen(s->task_label.name));
	char text[16];

	if (!l || l->value_len >= sizeof(text))
		return false;
	memcpy(text, l->value, l->value_len);
	text[l->value_len] = '\0';
	return parse_u32(text, ret) == 0 && *ret < s->tasks;
}

static struct placement place_compat(const struct destination *d, const struct rw_label *labels,
				     size_t n)
{
	const struct shard_config *s = &d->config->shard;
	struct placement p = {};

	if (d->n_nodes < 2)
		return p;
	/* The original hashed an earlier task label, too; ours is not there yet. */
	p.hash = shard_fnv(labels, n);
	p.task = s->algorithm == SHARD_HASHMOD ? (uint32_t)(p.hash % s->tasks)
					       : shard_jump(p.hash, s->tasks);
	p.lane = (uint16_t)shard_lane(p.hash * 0x9E3779B97F4A7C15ULL >> 32, d->lanes);
	return p;
}

static struct placement place_native(const struct destination_config *config,
				     const struct shard_key *key, struct relabel_context *c,
				     const struct rw_label *labels, size_t n, struct rw_span canon,
				     uint8_t *scratch, size_t scratch_size)
{
	const struct shard_config *s = &config->shard;
	struct placement p = {};
	uint32_t task;

	p.hash = config->rules ? shard_rules_hash(config->rules, c, labels, n, canon, scratch,
						  scratch_size)
			       : shard_hash(key, labels, n, canon, scratch, scratch_size);
	p.task = shard_task(p.hash, s->tasks);
	if (!s->task_label.enabled || s->task_label.on_existing == TASK_LABEL_REPLACE)
		return p;
	if (s->task_label.on_existing == TASK_LABEL_KEEP && existing_task(s, labels, n, &task))
		p.task = task;
	if (s->task_label.on_existing == TASK_LABEL_REJECT)
		p.reject = rw_find_label(labels, n, s->task_label.name, strlen(s->task_label.name));
	return p;
}

struct placement destination_place(const struct destination *d, struct relabel_context *c,
				   const struct rw_label *labels, size_t n, struct rw_span canon,
				   uint8_t *scratch, size_t scratch_size)
{
	struct placement p;

	if (!d->key)
		return place_compat(d, labels, n);
	p = place_native(d->config, d->key, c, labels, n, canon, scratch, scratch_size);
	p.lane = (uint16_t)shard_lane(p.hash, d->lanes);
	return p;
}

struct placement destination_place_before(const struct destination_move *m,
					  const struct placement *p, struct relabel_context *c,
					  const struct rw_label *labels, size_t n,
					  struct rw_span canon, uint8_t *scratch,
					  size_t scratch_size)
{
	struct placement before = *p;

	if (m->key)
		before =
			place_native(m->config, m->key, c, labels, n, canon, scratch, scratch_size);
	before.lane = p->lane;
	before.reject = p->reject;
	return before;
}

uint16_t destination_node_compat(const struct destination *d, const struct placement *p,
				 const struct rw_label *labels, size_t n)
{
	const struct config_strings *names = &d->config->compat_labels;
	uint32_t h = (uint32_t)p->hash, nodes = (uint32_t)d->n_nodes;

	if (nodes < 2)
		return 0;
	if (names->n)
		h = shard_fnv_of(labels, n, names->items, names->n);
	return (uint16_t)(d->config->shard.algorithm == SHARD_HASHMOD ? h % nodes
								      : shard_jump(h, nodes));
}
