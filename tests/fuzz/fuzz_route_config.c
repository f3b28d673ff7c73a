/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/config/?*.c src/route/config*.c src/route/rules-file.c src/route/relabel/[abd-z]*.c src/route/relabel/casemap.c src/route/shard/?*.c src/route/wire/?*.c */
/* fuzz-libs: -lyaml -lpcre2-8 -lxxhash -lnettle -ljansson -lsnappy -lzstd -lgnutls -lcurl */
#include <assert.h>
#include "base/macro.h"
#include "fuzz.h"
#include "route/config.h"

/* Any document: a configuration, whose routes lead somewhere, or diagnostics that say where. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(route_config_freep) struct route_config *c = NULL;
	struct diags d = {};

	if (route_config_parse((const char *)data, size, "fuzz.yaml", &d, &c) < 0) {
		assert(!c && d.total > 0 && d.n <= ARRAY_SIZE(d.items));
		return 0;
	}
	assert(d.total == 0);
	for (size_t i = 0; i < c->n_routes; i++)
		assert(c->routes[i].destination_index < c->n_destinations);
	for (size_t i = 0; i < c->n_destinations; i++)
		assert(c->destinations[i].nodes.n > 0 && *c->destinations[i].name);
	return 0;
}
