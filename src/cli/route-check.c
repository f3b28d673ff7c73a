/* SPDX-License-Identifier: Apache-2.0 */
/* telamon route check: everything that can be said of a gateway's file without running it */

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include "base/text.h"
#include "cli/route.h"
#include "route/queue/queue.h"
#include "route/rules-file.h"
#include "route/snapshot.h"

#define STORAGE "/var/lib/telamon/route"

struct checking {
	const char *file;
	const struct snapshot *s;
	struct diags *errors, *warnings;
};

static void warn(struct checking *c, const void *member, const char *key, const char *text)
{
	config_complain(c->s->config->config, c->warnings, member, key, "%s", text);
}

/* --- routes that no series reaches --- */

static bool takes_all(const struct route_rule_config *r)
{
	return !r->match.n && !r->relabel && !r->time_window.max_age && !r->time_window.max_ahead;
}

static void check_routes(struct checking *c)
{
	const struct route_config *config = c->s->config;
	const struct route_rule_config *last = NULL;
	char key[64], text[256];

	for (size_t i = 0; i < config->n_routes; i++) {
		const struct route_rule_config *r = &config->routes[i];
		bool is_default = (int)i == config->default_route;

		(void)snprintf(key, sizeof(key), "%s[%zu]",
			       config->compat ? "router_rules" : "routes", i);
		if (last && !is_default) {
			(void)snprintf(text, sizeof(text),
				       "route %.80s is never reached: %.80s takes every series and "
				       "is the last",
				       r->name, last->name);
			warn(c, &r->name, key, text);
		}
		if (!last && !is_default && takes_all(r) &&
		    (r->stop || config->routing_mode == ROUTING_FIRST_MATCH))
			last = r;
	}
	for (size_t i = 0; i < config->n_routes && config->default_route >= 0; i++)
		if ((int)i != config->default_route && takes_all(&config->routes[i])) {
			warn(c, NULL, "routing.default_route",
			     "is never used: another route takes every series");
			break;
		}
}

static void check_use(struct checking *c)
{
	const struct route_config *config = c->s->config;
	char key[64];

	for (size_t i = 0; i < config->n_destinations; i++) {
		bool used = false;

		for (size_t k = 0; k < config->n_routes; k++)
			used |= config->routes[k].destination_index == i;
		(void)snprintf(key, sizeof(key), "destinations[%zu]", i);
		if (!used)
			warn(c, &config->destinations[i].name, key, "no route leads there");
	}
}

/* --- acknowledgement and disk --- */

static void check_node_queue(struct checking *c, const struct destination_config *d,
			     const struct node_config *n)
{
	char key[160], text[160];

	(void)snprintf(key, sizeof(key), "%.64s: %.64s: queue", d->name, n->name);
	if (n->queue.memory < d->batch.max_bytes && (!n->queue.disk || !n->queue.ack)) {
		(void)snprintf(text, sizeof(text),
			       "memory is below batch.max_bytes: a full block may not fit");
		warn(c, &n->queue.memory, key, text);
	}
	if (n->queue.full != QUEUE_FULL_BLOCK && n->queue.ack == QUEUE_ACK_FSYNC)
		warn(c, &n->queue.full, key,
		     "full: drop_* loses what ack: fsync promised to keep when it runs full");
}

static void check_storage(struct checking *c, const char *storage)
{
	const struct route_config *config = c->s->config;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	uint64_t disk = 0, room;
	bool on_disk = false;
	struct statfs fs;

	for (size_t i = 0; i < config->n_destinations; i++) {
		const struct destination_config *d = &config->destinations[i];
		const struct node_config *nodes = d->nodes.items;

		for (size_t k = 0; k < d->nodes.n; k++) {
			check_node_queue(c, d, &nodes[k]);
			disk += nodes[k].queue.disk;
			on_disk |= nodes[k].queue.disk && nodes[k].queue.ack != QUEUE_ACK_MEMORY;
		}
	}
	if (statfs(storage, &fs) < 0)
		return; /* it is made at the first start, maybe on another machine */
	room = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
	if (on_disk && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
		warn(c, NULL, storage,
		     "lies in memory: ack: disk and fsync do not outlive a reboot");
	if (disk <= room)
		return;
	strbuf_addstr(&text, "queues may take ");
	text_add_bytes(&text, disk);
	strbuf_addstr(&text, " together, the device has ");
	text_add_bytes(&text, room);
	warn(c, NULL, storage, strbuf_str(&text));
}

/* --- keys beside the receivers' rules --- */

static int check_rules(struct checking *c, const char *rules_file)
{
	_cleanup_(shard_rules_freep) struct shard_rules *rules = NULL;
	const struct shard_key_options o = { .family = true };
	int r = rules_file_load(rules_file, &o, c->errors, c->warnings, &rules);

	for (size_t i = 0; r >= 0 && i < c->s->n_destinations; i++) {
		const struct destination_config *d = c->s->destinations[i].config;
		bool by = d->shard.key.by.n > 0;
		const struct config_strings *names = by ? &d->shard.key.by : &d->shard.key.without;
		char where[256];

		if (!c->s->destinations[i].key || d->rules || d->nodes.n < 2)
			continue;
		(void)snprintf(where, sizeof(where), "%.100s: destination %.64s: shard.key",
			       c->file, d->name);
		(void)shard_rules_check_key(rules, by, names->items, names->n, where, c->errors);
	}
	return r;
}

/* --- command --- */

static int run(const char *file, const char *rules, const char *storage, bool strict)
{
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	_cleanup_(freep) struct diags *errors = calloc(1, sizeof(*errors));
	_cleanup_(freep) struct diags *warnings = calloc(1, sizeof(*warnings));
	struct checking c = { file, NULL, errors, warnings };

	if (!errors || !warnings || route_open(file, warnings, &s) < 0)
		return CLI_NONE;
	c.s = s;
	check_routes(&c);
	check_use(&c);
	check_storage(&c, storage);
	if (rules)
		(void)check_rules(&c, rules);
	route_print_diags(errors, "");
	route_print_diags(warnings, strict ? "" : "warning: ");
	if (errors->total || (strict && warnings->total))
		return CLI_NONE;
	printf("%s: %zu routes, %zu destinations: good", file, s->n_routes, s->n_destinations);
	printf(warnings->total ? ", %zu warnings\n" : "\n", warnings->total);
	return CLI_OK;
}

int cli_route_check(int argc, char **argv)
{
	const char *rules = NULL, *storage = STORAGE;
	bool strict = false;
	const struct cli_option options[] = {
		{ "strict", OPTION_FLAG, &strict, "warnings are errors" },
		{ "rules", OPTION_TEXT, &rules,
		  "aggregation rules of the receivers, to check shard keys against" },
		{ "storage", OPTION_TEXT, &storage, "directory of the queues (" STORAGE ")" },
		{},
	};
	int r = cli_parse("telamon route check FILE [options]", options, argc, argv);

	if (r == -2)
		return CLI_OK;
	if (r != 1) {
		(void)fprintf(stderr, "telamon route check: one file\n");
		return CLI_USAGE;
	}
	return run(argv[0], rules, storage, strict);
}
