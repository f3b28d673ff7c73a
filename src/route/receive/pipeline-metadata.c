/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata of families (GW-CV-5, GW-CV-7)
 *
 * What comes with version 1 goes into the table of families, and to nodes that get version 1 as it is. To others it goes with the series: version 2 has
 * it there. A family goes to a node once an interval; what a request that is refused would have told counts as not told.
 */
#include <xxhash.h>
#include "base/macro.h"
#include "route/receive/pipeline-part.h"

void pipeline_metadata_begin(struct pipeline *p, uint64_t now_us)
{
	p->now_us = now_us;
	p->n_told = 0;
	for (size_t i = 0; i < p->snapshot->n_destinations; i++) {
		const char *tenant = p->body->tenants[i];
		bool own = *tenant && p->snapshot->destinations[i].config->tenant.from_request;

		p->tenants[i] = own ? XXH3_64bits(tenant, strlen(tenant)) : 0;
	}
}

void pipeline_metadata_undo(struct pipeline *p)
{
	for (size_t i = 0; i < p->n_told; i++)
		rw_told_forget(p->told[i].table, p->told[i].hash);
	p->n_told = 0;
}

static uint64_t tenant_of(const struct pipeline *p, const struct destination *d)
{
	return p->tenants[d - p->snapshot->destinations];
}

/* True: the family is to go to the node now. */
static bool due(struct pipeline *p, const struct destination *d, uint16_t node,
		struct rw_span family)
{
	uint64_t hash = rw_told_hash(tenant_of(p, d), family);
	struct rw_told *told = d->nodes[node]->told;

	if (!rw_told_due(told, hash, p->now_us, 0))
		return false;
	if (!rw_array_grow(&p->told, &p->told_size, p->n_told + 1, sizeof(*p->told)))
		return true; /* it cannot be taken back, then */
	p->told[p->n_told].table = told;
	p->told[p->n_told++].hash = hash;
	return true;
}

static void tell(struct pipeline *p, struct rw_block *rows, const struct rw_metadata *m)
{
	if (rw_block_add_metadata(rows, m->type, m->family, m->help, m->unit) < 0)
		p->no_memory = true;
}

void pipeline_tell_family(struct pipeline *p, const struct destination *d, uint16_t node,
			  struct rw_block *rows, const struct rw_series *s,
			  const struct rw_label *labels, size_t n_labels)
{
	struct rw_series named = *s; /* the family has the name that leaves */
	struct rw_metadata m;

	if (labels) {
		named.labels = labels;
		named.n_labels = (uint32_t)n_labels;
	}
	if (rw_series_metadata(&named, &m) && due(p, d, node, m.family))
		tell(p, rows, &m);
}

void pipeline_know_family(struct pipeline *p, const struct destination *d, struct rw_block *rows,
			  const struct rw_label *labels, size_t n_labels)
{
	const struct rw_label *name = rw_find_label(labels, n_labels, "__name__", 8);
	struct rw_metadata m;

	if (name && rw_families_find(p->shared.families, tenant_of(p, d), name->value,
				     name->value_len, &p->family, &m))
		rw_block_next_metadata(rows, &m);
}

/* --- metadata of version 1, as it comes --- */

static void tell_node(struct pipeline *p, const struct destination *d, uint16_t node,
		      const struct rw_metadata *m)
{
	uint64_t hash = XXH3_64bits(m->family.at, m->family.len);
	struct rw_block *rows;

	if (pipeline_block_version(d, node, RW1) != RW1 || !due(p, d, node, m->family))
		return;
	rows = pipeline_rows(p, d, node, (uint16_t)shard_lane(hash, d->lanes), RW1, NULL, 0);
	if (rows)
		tell(p, rows, m);
}

/* The nodes of a family's task; where there is no table, one by its hash. */
static void tell_shard(struct pipeline *p, const struct destination *d, const struct rw_metadata *m)
{
	uint64_t hash = XXH3_64bits(m->family.at, m->family.len);

	if (!d->table) {
		tell_node(p, d, (uint16_t)(hash % d->n_nodes), m);
		return;
	}
	for (uint32_t rank = 0; rank < d->table->replicas; rank++) {
		uint16_t node = d->table->nodes[(size_t)rank * d->table->tasks +
						shard_task(hash, d->table->tasks)];

		if (node != SHARD_NO_NODE)
			tell_node(p, d, node, m);
	}
}

static void tell_all(struct pipeline *p, const struct destination *d, const struct rw_metadata *m)
{
	const struct node_config *c = d->config->nodes.items;

	for (size_t i = 0; i < d->n_nodes; i++)
		if (c[i].weight) /* others are being emptied */
			tell_node(p, d, (uint16_t)i, m);
}

/* Destinations that some route sends metadata to, each once. */
static bool wants(const struct pipeline *p, size_t destination)
{
	const struct route_config *c = p->snapshot->config;

	for (size_t i = 0; i < c->n_routes; i++)
		if (c->routes[i].destination_index == destination && c->routes[i].metadata)
			return true;
	return false;
}

/* For each tenant that the request has: mostly one for all destinations. */
static void remember(struct pipeline *p, const struct rw_metadata *m)
{
	for (size_t i = 0; i < p->snapshot->n_destinations; i++)
		if (!i || p->tenants[i] != p->tenants[i - 1])
			rw_families_put(p->shared.families, p->tenants[i], m);
}

void pipeline_metadata(struct pipeline *p)
{
	int mode = p->snapshot->config->metadata->mode;
	struct rw_metadata m;
	uint64_t n = 0;

	if (p->body->version != RW1)
		return;
	while (rw_scan_metadata(p->scan, &m) > 0) {
		n++;
		if (mode == METADATA_DROP)
			continue;
		remember(p, &m);
		for (size_t i = 0; i < p->snapshot->n_destinations; i++) {
			const struct destination *d = &p->snapshot->destinations[i];

			if (!d->n_nodes || !wants(p, i))
				continue;
			if (mode == METADATA_SHARD)
				tell_shard(p, d, &m);
			else
				tell_all(p, d, &m);
		}
	}
	COUNT(p->counters.metadata[RW1], n);
}
