/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telamon route plan: from one configuration to the next, what moves
 *
 * Per destination that both have. Native: table against table. The original's hashes have no table: there a spread of keys is asked where
 * it went and where it goes.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fs.h"
#include "cli/route.h"
#include "route/snapshot.h"

#define KEYS 65536 /* asked of hashes without a table */

struct plan {
	const struct destination *before, *after;
	struct shard_node *old_nodes, *nodes;
	struct shard_moves *moves; /* NULL: not table against table */
	struct shard_table *pinned;
	double moved_share; /* of the hash space */
	uint64_t series;
	double moved_samples; /* share by the live gateway's counts, -1 = not asked */
	double hottest; /* task by mean */
};

struct planning {
	const char *server, *out, *destination;
	uint64_t series;
	bool json;
	json_t *list;
	struct strbuf text;
	unsigned planned;
};

static struct shard_node *nodes_of(const struct destination *d)
{
	const struct node_config *c = d->config->nodes.items;
	struct shard_node *nodes = calloc(d->n_nodes + 1, sizeof(*nodes));

	for (size_t i = 0; nodes && i < d->n_nodes; i++)
		nodes[i] = (struct shard_node){ c[i].name, c[i].zone, c[i].weight };
	return nodes;
}

/* --- shares --- */

static const char *node_at(const struct destination *d, const struct shard_node *nodes,
			   uint32_t task)
{
	uint16_t node = d->table->nodes[task];

	return node == SHARD_NO_NODE ? "" : nodes[node].name;
}

/* Tables of two sizes: along the hash space, from one border to the next of either. */
static double space_moved(const struct plan *p)
{
	uint64_t old_tasks = p->before->table->tasks, tasks = p->after->table->tasks;
	uint64_t i = 0, k = 0, at = 0, moved = 0;

	while (i < old_tasks && k < tasks) {
		uint64_t old_end = (i + 1) * tasks, end = (k + 1) * old_tasks;
		uint64_t next = MIN(old_end, end);

		if (!streq(node_at(p->before, p->old_nodes, (uint32_t)i),
			   node_at(p->after, p->nodes, (uint32_t)k)))
			moved += next - at;
		at = next;
		i += next == old_end;
		k += next == end;
	}
	return (double)moved / (double)(old_tasks * tasks);
}

static const char *place_by_hash(const struct destination *d, const struct shard_node *nodes,
				 uint32_t key)
{
	uint32_t n = (uint32_t)d->n_nodes;

	if (!n)
		return "";
	return nodes[d->config->shard.algorithm == SHARD_HASHMOD ? key % n : shard_jump(key, n)]
		.name;
}

static double hash_moved(const struct plan *p)
{
	unsigned moved = 0;

	for (uint32_t i = 0; i < KEYS; i++) {
		uint32_t key = i * 0x9E3779B1U;

		moved += !streq(place_by_hash(p->before, p->old_nodes, key),
				place_by_hash(p->after, p->nodes, key));
	}
	return (double)moved / KEYS;
}

/* Samples of the tasks that move, out of a running gateway. */
static void ask_samples(struct plan *p, const char *server)
{
	_cleanup_strbuf_ struct strbuf path = STRBUF_INIT, query = STRBUF_INIT;
	json_t *answer, *counts;
	double sum = 0, moved = 0, most = 0;

	cli_add_parameter(&query, "destination", p->after->config->name);
	strbuf_addf(&path, "/api/v1/status/table?%s", strbuf_str(&query));
	answer = route_get_json(server, strbuf_str(&path));
	counts = json_object_get(answer, "samples_per_task");
	if (json_array_size(counts) == p->before->table->tasks)
		for (uint32_t i = 0; i < p->before->table->tasks; i++) {
			double n = json_number_value(json_array_get(counts, i));

			sum += n;
			most = MAX(most, n);
			if (!streq(node_at(p->before, p->old_nodes, i),
				   node_at(p->after, p->nodes, i)))
				moved += n;
		}
	else if (answer)
		(void)fprintf(stderr,
			      "telamon route plan: the gateway has another number of tasks than "
			      "the old configuration\n");
	if (sum > 0) {
		p->moved_samples = moved / sum;
		p->hottest = most / (sum / p->before->table->tasks);
	}
	json_decref(answer);
}

/* --- text --- */

static void add_grouped(struct strbuf *b, uint64_t v)
{
	char digits[32];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, v);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			strbuf_addch(b, ',');
		strbuf_addch(b, digits[i]);
	}
}

static bool has_node(const struct shard_node *nodes, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (streq(nodes[i].name, name))
			return true;
	return false;
}

/* " (- agg-2, + agg-7)" */
static void add_changes(struct strbuf *b, const struct plan *p)
{
	const char *before = " (";

	for (size_t i = 0; i < p->before->n_nodes; i++)
		if (!has_node(p->nodes, p->after->n_nodes, p->old_nodes[i].name)) {
			strbuf_addf(b, "%s- %s", before, p->old_nodes[i].name);
			before = ", ";
		}
	for (size_t i = 0; i < p->after->n_nodes; i++)
		if (!has_node(p->old_nodes, p->before->n_nodes, p->nodes[i].name)) {
			strbuf_addf(b, "%s+ %s", before, p->nodes[i].name);
			before = ", ";
		}
	if (!streq(before, " ("))
		strbuf_addch(b, ')');
}

/* Tasks that a node should have. */
static double fair(const struct plan *p, const char *name)
{
	uint64_t weights = 0, own = 0;

	for (size_t i = 0; i < p->after->n_nodes; i++) {
		weights += p->nodes[i].weight;
		if (streq(p->nodes[i].name, name))
			own = p->nodes[i].weight;
	}
	return weights ? (double)p->after->table->tasks * (double)own / (double)weights : 0;
}

static uint32_t staying_tasks(const struct plan *p)
{
	uint32_t n = 0;

	for (size_t i = 0; i < p->moves->n; i++)
		if (!p->moves->rows[i].leaves)
			n += p->moves->rows[i].before;
	return n;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void add_rows(struct strbuf *b, const struct plan *p)
{
	int width = 8;

	for (size_t i = 0; i < p->moves->n; i++)
		width = MAX(width, (int)strlen(p->moves->rows[i].name));
	strbuf_addf(b, "  %-*s %8s %8s %8s %8s %7s\n", width, "", "before", "after", "gained",
		    "lost", "share");
	for (size_t i = 0; i < p->moves->n; i++) {
		const struct shard_move_row *r = &p->moves->rows[i];
		double share = fair(p, r->name);

		strbuf_addf(b, "  %-*s %8u %8u %8u %8u", width, r->name, r->before, r->after,
			    r->gained, r->lost);
		if (share > 0)
			strbuf_addf(b, " %7.3f\n", (double)r->after / share);
		else
			strbuf_addf(b, " %7s\n", "-");
	}
}

static void add_moved(struct strbuf *b, const struct plan *p)
{
	const struct shard_moves *m = p->moves;
	uint32_t tasks = p->after->table->tasks;

	strbuf_addf(b, "moved: %u tasks (%.2f %%), ideal %u; between staying nodes: %u (%.2f %%)",
		    m->moved, percent(m->moved, tasks), m->ideal, m->between_staying,
		    percent(m->between_staying, staying_tasks(p)));
	if (p->series) {
		strbuf_addstr(b, "; about ");
		add_grouped(b, p->series * m->moved / tasks);
		strbuf_addstr(b, " of ");
		add_grouped(b, p->series);
		strbuf_addstr(b, " series");
	}
	strbuf_addch(b, '\n');
}

static void add_text(struct strbuf *b, const struct plan *p)
{
	const struct shard_config *c = &p->after->config->shard;

	strbuf_addf(b, "destination %s: %zu -> %zu nodes", p->after->config->name,
		    p->before->n_nodes, p->after->n_nodes);
	add_changes(b, p);
	if (!p->after->table || !p->before->table) {
		strbuf_addf(b, ", %s -> %s\nmoved: about %.2f %% of the series\n",
			    shard_algorithm_names[p->before->config->shard.algorithm],
			    shard_algorithm_names[c->algorithm], 100 * p->moved_share);
		return;
	}
	strbuf_addf(b, ", %u tasks, %u replica%s%s\n", c->tasks, c->replicas,
		    c->replicas == 1 ? "" : "s", *c->table_file ? ", pinned table" : "");
	if (!p->moves) {
		strbuf_addf(b, "moved: %.2f %% of the hash space, because %u tasks became %u\n",
			    100 * p->moved_share, p->before->table->tasks, p->after->table->tasks);
		return;
	}
	add_rows(b, p);
	add_moved(b, p);
	if (p->moved_samples >= 0)
		strbuf_addf(b,
			    "by the gateway's counts %.2f %% of the samples move; the hottest task "
			    "has %.1f times the mean\n",
			    100 * p->moved_samples, p->hottest);
	if (p->moves->moved > p->moves->ideal)
		strbuf_addf(b,
			    "pinned table would move %u tasks, 0 between staying nodes: write it "
			    "with --out table.json\n",
			    p->moves->ideal);
}

/* --- JSON --- */

static json_t *json_rows(const struct plan *p)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < p->moves->n; i++) {
		const struct shard_move_row *r = &p->moves->rows[i];

		(void)json_array_append_new(
			rows,
			json_pack("{s:s, s:b, s:b, s:i, s:i, s:i, s:i}", "node", r->name, "joins",
				  r->joins, "leaves", r->leaves, "before", (int)r->before, "after",
				  (int)r->after, "gained", (int)r->gained, "lost", (int)r->lost));
	}
	return rows;
}

static json_t *json_of(const struct plan *p)
{
	json_t *o = json_object();

	(void)json_object_set_new(o, "destination", json_string(p->after->config->name));
	(void)json_object_set_new(
		o, "algorithm",
		json_string(shard_algorithm_names[p->after->config->shard.algorithm]));
	(void)json_object_set_new(o, "moved_ratio", json_real(p->moved_share));
	if (p->after->table)
		(void)json_object_set_new(o, "tasks", json_integer(p->after->table->tasks));
	if (!p->moves)
		return o;
	(void)json_object_set_new(o, "moved", json_integer(p->moves->moved));
	(void)json_object_set_new(o, "ideal", json_integer(p->moves->ideal));
	(void)json_object_set_new(o, "between_staying", json_integer(p->moves->between_staying));
	if (p->series)
		(void)json_object_set_new(o, "moved_series",
					  json_integer((json_int_t)(p->series * p->moves->moved /
								    p->after->table->tasks)));
	if (p->moved_samples >= 0) {
		(void)json_object_set_new(o, "moved_samples_ratio", json_real(p->moved_samples));
		(void)json_object_set_new(o, "hottest_task_ratio", json_real(p->hottest));
	}
	(void)json_object_set_new(o, "nodes", json_rows(p));
	return o;
}

/* --- one destination --- */

static int compute(struct plan *p, const struct planning *all)
{
	int r;

	if (!p->before->table || !p->after->table) {
		p->moved_share = p->before->table || p->after->table ? 1 : hash_moved(p);
		return 0;
	}
	p->moved_share = space_moved(p);
	if (p->before->table->tasks != p->after->table->tasks)
		return 0;
	r = shard_moves(p->before->table, p->old_nodes, p->before->n_nodes, p->after->table,
			p->nodes, p->after->n_nodes, &p->moves);
	if (r >= 0)
		r = shard_plan(p->before->table, p->old_nodes, p->before->n_nodes, p->nodes,
			       p->after->n_nodes, &p->pinned);
	if (r >= 0 && all->server)
		ask_samples(p, all->server);
	return r;
}

static int write_table(const struct plan *p, const char *path)
{
	_cleanup_(freep) char *text = NULL;
	int r;

	if (!p->pinned) {
		(void)fprintf(stderr,
			      "telamon route plan: a table of %s cannot be pinned to the old one\n",
			      p->after->config->name);
		return -EINVAL;
	}
	text = shard_pinned_write(p->after->config->name, p->nodes, p->after->n_nodes, p->pinned);
	r = text ? fs_write_atomic(path, 0644, text, strlen(text)) : -ENOMEM;
	if (r < 0)
		(void)fprintf(stderr, "telamon route plan: '%s': %s\n", path, strerror(-r));
	return r;
}

static int plan_one(struct planning *all, const struct destination *before,
		    const struct destination *after)
{
	struct plan p = { .before = before,
			  .after = after,
			  .old_nodes = nodes_of(before),
			  .nodes = nodes_of(after),
			  .series = all->series,
			  .moved_samples = -1 };
	int r = p.old_nodes && p.nodes ? compute(&p, all) : -ENOMEM;

	if (r < 0) {
		(void)fprintf(stderr, "telamon route plan: %s: %s\n", after->config->name,
			      strerror(-r));
	} else {
		if (all->json)
			(void)json_array_append_new(all->list, json_of(&p));
		else
			add_text(&all->text, &p);
		all->planned++;
		if (all->out)
			r = write_table(&p, all->out);
	}
	free(p.old_nodes);
	free(p.nodes);
	free(p.moves);
	free(p.pinned);
	return r;
}

static const struct destination *find(const struct snapshot *s, const char *name)
{
	for (size_t i = 0; i < s->n_destinations; i++)
		if (streq(s->destinations[i].config->name, name))
			return &s->destinations[i];
	return NULL;
}

static bool wanted(const struct planning *all, const struct destination *d)
{
	return !all->destination || streq(all->destination, d->config->name);
}

static int plan_all(struct planning *all, const struct snapshot *before,
		    const struct snapshot *after)
{
	size_t candidates = 0;
	int r = 0;

	for (size_t i = 0; i < after->n_destinations; i++)
		candidates += wanted(all, &after->destinations[i]) &&
			      find(before, after->destinations[i].config->name);
	if (all->out && candidates != 1) {
		(void)fprintf(stderr,
			      "telamon route plan: --out writes one table: name one --destination "
			      "that both files have\n");
		return -EINVAL;
	}
	for (size_t i = 0; r >= 0 && i < after->n_destinations; i++) {
		const struct destination *d = &after->destinations[i];
		const struct destination *old = find(before, d->config->name);

		if (!wanted(all, d))
			continue;
		if (old)
			r = plan_one(all, old, d);
		else if (!all->json)
			strbuf_addf(&all->text, "destination %s: new\n", d->config->name);
	}
	for (size_t i = 0; r >= 0 && i < before->n_destinations; i++) {
		const char *name = before->destinations[i].config->name;

		if (wanted(all, &before->destinations[i]) && !find(after, name) && !all->json)
			strbuf_addf(&all->text, "destination %s: gone\n", name);
	}
	if (r >= 0 && all->destination && !all->planned) {
		(void)fprintf(stderr, "telamon route plan: there is no destination '%s' in both\n",
			      all->destination);
		r = -ENOENT;
	}
	return r;
}

static int run(struct planning *all, const char *old_path, const char *new_path)
{
	_cleanup_(snapshot_freep) struct snapshot *before = NULL, *after = NULL;
	char *text;
	int r = route_open(old_path, NULL, &before);

	if (r >= 0)
		r = route_open(new_path, NULL, &after);
	if (r >= 0)
		r = plan_all(all, before, after);
	if (r < 0)
		return CLI_NONE;
	if (all->json) {
		text = json_dumps(all->list, JSON_INDENT(1));
		printf("%s\n", text ? text : "[]");
		free(text);
	} else {
		cli_print(&all->text);
	}
	return CLI_OK;
}

int cli_route_plan(int argc, char **argv)
{
	struct planning all = { .list = json_array() };
	const char *series = "0", *format = "text";
	const struct cli_option options[] = {
		{ "series", OPTION_TEXT, &series, "number of series, to tell how many move (0)" },
		{ "server", OPTION_TEXT, &all.server,
		  "gateway that is asked for its samples per task" },
		{ "destination", OPTION_TEXT, &all.destination, "only this one" },
		{ "out", OPTION_TEXT, &all.out,
		  "write a pinned table of the new nodes to this file" },
		{ "format", OPTION_TEXT, &format, "text or json (text)" },
		{},
	};
	int r = cli_parse("telamon route plan OLD NEW [options]", options, argc, argv);

	if (r == 2 && route_number("series", series, 0, UINT32_MAX, &all.series) &&
	    route_format(format, &all.json)) {
		r = run(&all, argv[0], argv[1]);
	} else {
		if (r >= 0 && r != 2)
			(void)fprintf(stderr,
				      "telamon route plan: two files, the old and the new\n");
		r = r == -2 ? CLI_OK : CLI_USAGE;
	}
	strbuf_done(&all.text);
	json_decref(all.list);
	return r;
}
