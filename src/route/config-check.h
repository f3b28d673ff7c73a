/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/config-internal.h"

/* A configuration at work: what has been read, and where errors go. */
struct checker {
	struct route_config *c;
	const struct root_config *root;
	struct diags *diags;
};

/* config-rows.c: items of lists with their defaults. 0 or -ENOMEM */
int route_blank(struct arena *arena, struct destination_config *d, struct node_config *n,
		struct route_rule_config *r);

/* config-compat.c: destinations and routes out of router_rules. 0 or -ENOMEM */
int route_compat_convert(struct checker *k);

/* config-destination.c */
void route_inherit_node(const struct config *c, const struct destination_config *d,
			struct node_config *n);
int route_check_destinations(struct checker *k); /* 0 or -ENOMEM */

/* config-route.c */
int route_check_routes(struct checker *k); /* 0 or -ENOMEM */
/* Index of the route called @name; -1 for "" and, with an error at @member, for one that is not there. */
int route_find_route(struct checker *k, const char *name, const void *member, const char *key);
void route_check_window(struct checker *k, const struct window_config *w, const char *key,
			int *ret_route);
