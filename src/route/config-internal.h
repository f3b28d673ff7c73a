/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/config.h"

/* What the files of the configuration share: structs that are gone once the file was read. */
struct routing_config {
	int mode;
	const char *default_route;
};
struct defaults_config {
	struct shard_config shard;
	struct batch_config batch;
	struct queue_config queue;
	struct send_config send;
};
struct compat_upstreams {
	const char *type;
	struct config_strings urls;
	bool kafka;
};
struct compat_hash {
	const char *mode; /* number of tasks */
	struct config_strings labels;
	int algorithm; /* enum shard_algorithm */
};
struct compat_rule {
	const char *name;
	struct compat_upstreams upstreams;
	struct compat_hash hash;
	struct config_list relabel_configs;
};
struct root_config {
	struct config_list relabel_configs, destinations, routes, router_rules;
	int name_validation, relabel_dialect;
};

extern const struct config_row route_rule_rows[], route_relabel_rows[], route_window_rows[],
	route_shard_rows[], route_batch_rows[], route_queue_rows[], route_send_rows[];

/* config-route.c: a rule as it was written, for the compiler. */
struct relabel_source route_relabel_source(const struct config *c,
					   const struct relabel_rule_config *r);
