/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decision caches of a worker, one per route that decides something
 *
 * After a reload, routes that decide as before — same selectors, rules and place of series — keep theirs (GW-RL-17): what a cache remembers holds no
 * pointer into a configuration.
 */
#include <errno.h>
#include <stdlib.h>
#include "base/macro.h"
#include "route/receive/pipeline-part.h"

static size_t bytes_each(const struct pipeline *p, const struct snapshot *s)
{
	size_t deciding = 0;

	for (size_t i = 0; i < s->n_routes; i++)
		deciding += pipeline_decides(&s->config->routes[i]);
	return deciding ? s->config->relabel_cache_bytes / p->shared.workers / deciding : 0;
}

static bool same_decisions(const struct snapshot *a, size_t i, const struct snapshot *b, size_t k)
{
	const struct route_rule_config *x = &a->config->routes[i], *y = &b->config->routes[k];
	const struct destination *d = &a->destinations[x->destination_index],
				 *e = &b->destinations[y->destination_index];

	return streq(x->name, y->name) && x->decisions == y->decisions && d->lanes == e->lanes &&
	       destination_same_tasks(d->config, e->config);
}

/* The present cache that goes on for route @at of @s; SIZE_MAX: none. */
static size_t find_kept(const struct pipeline *p, const struct snapshot *s, size_t at)
{
	if (!p->caches || !pipeline_decides(&s->config->routes[at]) ||
	    bytes_each(p, p->snapshot) != bytes_each(p, s))
		return SIZE_MAX;
	for (size_t i = 0; i < p->n_routes; i++)
		if (p->caches[i] && same_decisions(p->snapshot, i, s, at))
			return i;
	return SIZE_MAX;
}

int pipeline_caches_new(const struct pipeline *p, const struct snapshot *s,
			struct decision_cache ***ret)
{
	struct decision_cache **caches = calloc(s->n_routes + 1, sizeof(struct decision_cache *));
	size_t each = bytes_each(p, s);

	if (!caches)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_routes && each; i++)
		if (pipeline_decides(&s->config->routes[i]) && find_kept(p, s, i) == SIZE_MAX &&
		    decision_cache_new(each, p->shared.cache_seed, &caches[i]) < 0)
			caches[i] = NULL; /* without it the rules are applied each time */
	*ret = caches;
	return 0;
}

void pipeline_caches_keep(struct pipeline *p, const struct snapshot *s,
			  struct decision_cache **caches, struct decision_cache_stats *seen)
{
	for (size_t i = 0; i < s->n_routes; i++) {
		size_t kept = find_kept(p, s, i);

		if (kept == SIZE_MAX)
			continue;
		caches[i] = p->caches[kept];
		seen[i] = p->cache_seen[kept];
		p->caches[kept] = NULL;
	}
}

void pipeline_caches_free(struct decision_cache **caches, size_t n)
{
	for (size_t i = 0; caches && i < n; i++)
		if (caches[i])
			decision_cache_free(caches[i]);
	free(caches);
}
