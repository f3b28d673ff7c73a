/* SPDX-License-Identifier: Apache-2.0 */
/* telamon oom top: kills by workload, container, cgroup or program */

#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "cli/oom-part.h"

struct top_row {
	char key[300];
	unsigned kills;
	uint64_t bytes;
	char last[40];
};

static const struct top_key {
	const char *by, *keys[3];
	bool all; /* joined by "/", else the first that is there */
} top_keys[] = {
	{ "workload", { "k8s.namespace.name", "telamon.workload", "telamon.unit" }, true },
	{ "container", { "k8s.container.name", "container.name", "container.id" }, false },
	{ "cgroup", { "telamon.cgroup.path", "", "" }, false },
	{ "exe", { "process.executable.path", "", "" }, false },
};

struct top {
	const struct top_key *by;
	struct top_row rows[256];
	size_t n;
	unsigned kills, other;
};

static const struct top_key *find_key(const char *by)
{
	for (size_t i = 0; i < ARRAY_SIZE(top_keys); i++)
		if (streq(top_keys[i].by, by))
			return &top_keys[i];
	return NULL;
}

static const char *key_of(const struct top_key *by, const json_t *event, char *buf, size_t size)
{
	buf[0] = '\0';
	for (size_t k = 0; k < ARRAY_SIZE(by->keys); k++) {
		const char *v = cli_text(event, by->keys[k]);
		size_t used = strlen(buf);

		if (*v && (by->all || used == 0))
			(void)snprintf(buf + used, size - used, "%s%s", used ? "/" : "", v);
	}
	return *buf ? buf : "-";
}

static int count_one(void *ctx, const json_t *event)
{
	struct top *t = ctx;
	char buf[300];
	const char *key;
	double rss = 0;
	size_t i = 0;

	if (!streq(cli_text(event, "event.name"), "oom.kill"))
		return 0;
	t->kills++;
	key = key_of(t->by, event, buf, sizeof(buf));
	while (i < t->n && !streq(t->rows[i].key, key))
		i++;
	if (i == ARRAY_SIZE(t->rows)) {
		t->other++;
		return 0;
	}
	if (i == t->n) {
		t->n++;
		(void)snprintf(t->rows[i].key, sizeof(t->rows[i].key), "%s", key);
	}
	if (!cli_number(event, "telamon.oom.victim.rss", &rss)) /* the sum, of a spilled record */
		(void)cli_number(event, "telamon.oom.victim.rss.anon", &rss);
	t->rows[i].kills++;
	t->rows[i].bytes += (uint64_t)rss;
	(void)snprintf(t->rows[i].last, sizeof(t->rows[i].last), "%.19s",
		       cli_text(event, "timestamp"));
	return 0;
}

static int compare_rows(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;

	if (x->kills != y->kills)
		return x->kills < y->kills ? 1 : -1;
	return strcmp(y->last, x->last); /* the latest first */
}

static void add_row(struct strbuf *b, const struct top_row *row)
{
	char size[32];
	struct strbuf s;
	size_t mark;

	strbuf_init_fixed(&s, size, sizeof(size));
	text_add_bytes(&s, row->bytes);
	strbuf_addf(b, "%6u  %10s  ", row->kills, size);
	mark = b->len;
	text_add_terminal(b, row->last, strlen(row->last));
	while (b->len - mark < 22)
		strbuf_addch(b, ' ');
	text_add_terminal(b, row->key, strlen(row->key));
	strbuf_addch(b, '\n');
}

/* A long key may have been cut within a character. */
static json_t *text_of(const char *key)
{
	json_t *j = NULL;

	for (size_t len = strlen(key); !j && len > 0; len--)
		j = json_stringn(key, len);
	return j ? j : json_string("");
}

static void print_json(const struct top *t, size_t limit)
{
	json_t *rows = json_array(), *j;
	unsigned left = t->other;

	for (size_t i = 0; i < t->n; i++) {
		const struct top_row *row = &t->rows[i];

		if (i < limit)
			json_array_append_new(rows, json_pack("{s:o, s:I, s:I, s:o}", "key",
							      text_of(row->key), "kills",
							      (json_int_t)row->kills, "anon_bytes",
							      (json_int_t)row->bytes, "last",
							      text_of(row->last)));
		else
			left += row->kills;
	}
	j = json_pack("{s:s, s:I, s:I, s:o}", "by", t->by->by, "kills", (json_int_t)t->kills,
		      "others", (json_int_t)left, "rows", rows);
	(void)json_dumpf(j, stdout, JSON_COMPACT);
	(void)fputc('\n', stdout);
	json_decref(j);
}

static void tell_cut(int examined)
{
	if (examined >= RECORDS_MAX)
		(void)fprintf(stderr, "telamon oom: only the newest " ALL_RECORDS
				      " records were looked at; --until reaches older ones\n");
}

static void print_rows(const struct top *t, size_t limit)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	unsigned left = t->other;

	strbuf_addf(&b, "%6s  %10s  %-20s  %s\n", "KILLS", "ANON", "LAST", t->by->by);
	for (size_t i = 0; i < t->n; i++) {
		if (i < limit)
			add_row(&b, &t->rows[i]);
		else
			left += t->rows[i].kills;
	}
	if (left)
		strbuf_addf(&b, "%6u  in others\n", left);
	cli_print(&b);
}

int oom_top(struct oom_options *o)
{
	_cleanup_(freep) struct top *t = calloc(1, sizeof(*t));
	_cleanup_strbuf_ struct strbuf query = STRBUF_INIT;
	const char *by = o->by ? o->by : "workload";
	uint32_t limit;
	int r, status;

	if (!t)
		return CLI_UNREACHABLE;
	t->by = find_key(by);
	if (!t->by) {
		(void)fprintf(
			stderr,
			"telamon oom top: --by: '%s' is not workload, container, cgroup or exe\n",
			by);
		return CLI_USAGE;
	}
	if (oom_read_limit(o, ARRAY_SIZE(t->rows), &limit) < 0)
		return CLI_USAGE;
	oom_add_filters(o, &query, "oom.kill");
	cli_add_parameter(&query, "limit", ALL_RECORDS);
	r = cli_query(&o->source, strbuf_str(&query), count_one, t);
	tell_cut(r);
	status = oom_finish(o, r < 0 ? r : (int)t->kills, "No OOM kill is recorded.");
	if (status != CLI_OK)
		return status;
	qsort(t->rows, t->n, sizeof(t->rows[0]), compare_rows);
	if (oom_wants_json(o))
		print_json(t, limit);
	else
		print_rows(t, limit);
	return CLI_OK;
}
