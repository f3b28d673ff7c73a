/* SPDX-License-Identifier: Apache-2.0 */
/* Table files: a first rank that was planned once and is used as it stands. */

#include <errno.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/macro.h"
#include "route/shard/shard.h"

#define VERSION 1

static inline void decrefp(json_t **j)
{
	json_decref(*j);
}

static int bad(char *why, size_t why_size, const char *text)
{
	(void)snprintf(why, why_size, "table file: %s", text);
	return -EINVAL;
}

static void hash_text(const void *data, size_t len, char ret[17])
{
	(void)snprintf(ret, 17, "%016llx", (unsigned long long)XXH3_64bits(data, len));
}

char *shard_pinned_write(const char *destination, const struct shard_node *nodes, size_t n,
			 const struct shard_table *t)
{
	_cleanup_(decrefp) json_t *file = NULL;
	_cleanup_(freep) uint8_t *bytes = malloc(2 * (size_t)t->tasks);
	json_t *names = json_array();
	gnutls_datum_t raw = { bytes, 2 * t->tasks }, text = {};
	char hash[17], *ret = NULL;

	if (!bytes || !names)
		return NULL;
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(names, json_string(nodes[i].name));
	for (uint32_t i = 0; i < t->tasks; i++) {
		bytes[2 * i] = (uint8_t)t->nodes[i];
		bytes[2 * i + 1] = (uint8_t)(t->nodes[i] >> 8);
	}
	hash_text(bytes, 2 * (size_t)t->tasks, hash);
	if (gnutls_base64_encode2(&raw, &text) < 0) {
		json_decref(names);
		return NULL;
	}
	file = json_pack("{s:i, s:s, s:i, s:o, s:s, s:s%}", "version", VERSION, "destination",
			 destination, "tasks", (int)t->tasks, "nodes", names, "xxh3", hash, "table",
			 text.data, (size_t)text.size);
	gnutls_free(text.data);
	if (file)
		ret = json_dumps(file, JSON_INDENT(1));
	return ret;
}

/* Index of the file's node in ours, SHARD_NO_NODE = not there, or drained. */
static uint16_t our_node(const json_t *names, size_t at, const struct shard_node *nodes, size_t n)
{
	const char *name = json_string_value(json_array_get(names, at));

	for (size_t i = 0; name && i < n; i++)
		if (nodes[i].weight && streq(nodes[i].name, name))
			return (uint16_t)i;
	return SHARD_NO_NODE;
}

static bool names_node(const json_t *names, const char *name)
{
	size_t i;
	json_t *item;

	json_array_foreach (names, i, item)
		if (json_is_string(item) && streq(json_string_value(item), name))
			return true;
	return false;
}

/* Decodes the indexes into @preset, in our nodes. */
static int take_indexes(const char *text, const char *hash, const json_t *names,
			const struct shard_node *nodes, size_t n, uint32_t tasks, uint16_t *preset,
			uint32_t *ret_absent, char *why, size_t why_size)
{
	gnutls_datum_t in = { (void *)text, (unsigned)strlen(text) }, raw = {};
	char found[17];
	int r = 0;

	if (gnutls_base64_decode2(&in, &raw) < 0)
		return bad(why, why_size, "'table' is not base64");
	hash_text(raw.data, raw.size, found);
	if (raw.size != 2 * tasks)
		r = bad(why, why_size, "'table' has another length than 'tasks' says");
	else if (!streq(hash, found))
		r = bad(why, why_size, "'xxh3' does not fit 'table': the file is damaged");
	for (uint32_t i = 0; r >= 0 && i < tasks; i++) {
		size_t at = (size_t)(raw.data[2 * i] | raw.data[2 * i + 1] << 8);

		if (at >= json_array_size(names) && at != SHARD_NO_NODE)
			r = bad(why, why_size, "'table' names a node that 'nodes' does not have");
		else
			preset[i] = our_node(names, at, nodes, n);
		*ret_absent += r >= 0 && preset[i] == SHARD_NO_NODE;
	}
	gnutls_free(raw.data);
	return r;
}

/* Live nodes that the file does not name get nothing: not even what absent ones leave. */
static int build_rest(const json_t *names, const struct shard_node *nodes, size_t n,
		      const struct shard_table_options *o, const uint16_t *preset, char *why,
		      size_t why_size, struct shard_table **ret, uint32_t *ret_missing)
{
	_cleanup_(freep) struct shard_node *known = malloc((n + 1) * sizeof(*known));

	if (!known)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		known[i] = nodes[i];
		if (!nodes[i].weight || names_node(names, nodes[i].name))
			continue;
		known[i].weight = 0;
		++*ret_missing;
	}
	return shard_table_build_over(known, n, o, preset, why, why_size, ret);
}

int shard_pinned_read(const char *json, size_t len, const char *destination,
		      const struct shard_node *nodes, size_t n, const struct shard_table_options *o,
		      char *why, size_t why_size, struct shard_table **ret,
		      struct shard_pinned_warnings *warnings)
{
	json_error_t error;
	_cleanup_(decrefp) json_t *file = json_loadb(json, len, JSON_REJECT_DUPLICATES, &error);
	_cleanup_(freep) uint16_t *preset = malloc(((size_t)o->tasks + 1) * sizeof(*preset));
	struct shard_pinned_warnings w = {};
	const char *name, *text, *hash;
	int version, tasks, r;
	json_t *names;

	if (!preset)
		return -ENOMEM;
	if (!file) {
		(void)snprintf(why, why_size, "table file: line %d, column %d: %s", error.line,
			       error.column, error.text);
		return -EINVAL;
	}
	if (json_unpack(file, "{s:i, s:s, s:i, s:o, s:s, s:s}", "version", &version, "destination",
			&name, "tasks", &tasks, "nodes", &names, "xxh3", &hash, "table", &text) < 0)
		return bad(why, why_size,
			   "version, destination, tasks, nodes, xxh3 and table must be there");
	if (version != VERSION)
		return bad(why, why_size, "a version that is not known here");
	if (!streq(name, destination))
		return bad(why, why_size, "made for another destination");
	if (tasks < 0 || (uint32_t)tasks != o->tasks)
		return bad(why, why_size, "made for another number of tasks");
	r = take_indexes(text, hash, names, nodes, n, o->tasks, preset, &w.absent_tasks, why,
			 why_size);
	if (r >= 0)
		r = build_rest(names, nodes, n, o, preset, why, why_size, ret, &w.missing_nodes);
	if (r >= 0)
		*warnings = w;
	return r;
}
