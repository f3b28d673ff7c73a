/* SPDX-License-Identifier: Apache-2.0 */
/* telamon oom: list, show, top */

#include <errno.h>
#include <string.h>
#include "base/parse.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/oom-show.h"

#define ALL_RECORDS "10000" /* more are not given at once */
#define RECORDS_MAX 10000

struct options {
	struct cli_source source;
	const char *since, *until, *namespace, *workload, *container, *cgroup, *scope, *limit,
		*format, *by;
	bool follow;
};

static bool wants_json(const struct options *o)
{
	return o->format && streq(o->format, "json");
}

static int check_format(const struct options *o)
{
	if (!o->format || streq(o->format, "text") || streq(o->format, "json"))
		return 0;
	(void)fprintf(stderr, "telamon oom: --format: '%s' is not text or json\n", o->format);
	return -1;
}

static void add_filters(const struct options *o, struct strbuf *query, const char *type)
{
	cli_add_parameter(query, "type", type);
	cli_add_parameter(query, "since", o->since);
	cli_add_parameter(query, "until", o->until);
	cli_add_parameter(query, "namespace", o->namespace);
	cli_add_parameter(query, "workload", o->workload);
	cli_add_parameter(query, "container", o->container);
	cli_add_parameter(query, "cgroup", o->cgroup);
}

static int finish(const struct options *o, int r, const char *none)
{
	if (r > 0)
		return CLI_OK;
	if (r == 0) {
		(void)fprintf(stderr, "%s\n", none);
		return CLI_NONE;
	}
	(void)fprintf(stderr, "telamon oom: %s\n", *o->source.why ? o->source.why : strerror(-r));
	return r == -EINVAL ? CLI_USAGE : CLI_UNREACHABLE;
}

static void print_json(const json_t *event)
{
	(void)json_dumpf(event, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
}

/* The agent does not know scopes, so they are sorted out here, before the limit: then all that it gives must be asked for. */
static const char *limit_to_ask(const struct options *o, const char *otherwise)
{
	return o->scope ? ALL_RECORDS : otherwise;
}

static int read_limit(const struct options *o, uint32_t otherwise, uint32_t *ret)
{
	uint32_t v = otherwise;

	if (o->limit && (parse_u32(o->limit, &v) < 0 || v == 0 || v > RECORDS_MAX)) {
		(void)fprintf(stderr,
			      "telamon oom: --limit: '%s' is not a number of 1.." ALL_RECORDS "\n",
			      o->limit);
		return -1;
	}
	*ret = v;
	return 0;
}

static bool scope_fits(const struct options *o, const json_t *event)
{
	return !o->scope || streq(cli_text(event, "telamon.oom.scope"), o->scope);
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (streq(name, *names))
			return true;
	return false;
}

/* --- list --- */

#define LIST_TYPES "oom.kill,oom.no_victim,oom.unseen"

struct list {
	const struct options *options;
	json_t **last; /* ring of the newest, NULL: each is shown as it comes */
	uint32_t limit;
	unsigned fit; /* so many, the ring has the last of them */
};

static void list_print(const struct options *o, const json_t *event)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	if (wants_json(o)) {
		print_json(event);
		return;
	}
	oom_show_line(event, &b);
	cli_print(&b);
	(void)fflush(stdout);
}

static int list_one(void *ctx, const json_t *event)
{
	static const char *const names[] = { "oom.kill", "oom.no_victim", "oom.unseen", NULL };
	struct list *l = ctx;

	if (!is_one_of(cli_text(event, "event.name"), names) || !scope_fits(l->options, event))
		return 0;
	if (l->last) {
		json_t **place = &l->last[l->fit % l->limit];

		json_decref(*place);
		*place = json_incref((json_t *)event);
	} else {
		list_print(l->options, event);
	}
	l->fit++;
	return 0;
}

static void list_flush(struct list *l)
{
	unsigned begin = l->fit > l->limit ? l->fit - l->limit : 0;

	for (unsigned i = begin; i < l->fit; i++)
		list_print(l->options, l->last[i % l->limit]);
	for (uint32_t i = 0; i < l->limit; i++)
		json_decref(l->last[i]);
	free(l->last);
}

static void tell_cut(const struct options *o, int examined)
{
	if (o->scope && examined >= RECORDS_MAX)
		(void)fprintf(stderr, "telamon oom: only the newest " ALL_RECORDS
				      " records were looked at; --until reaches older ones\n");
}

static int run_list(struct options *o)
{
	_cleanup_strbuf_ struct strbuf query = STRBUF_INIT;
	struct list l = { .options = o };
	char limit[16];
	int r;

	if (read_limit(o, 100, &l.limit) < 0)
		return CLI_USAGE;
	add_filters(o, &query, LIST_TYPES);
	if (o->follow) {
		r = cli_follow(&o->source, strbuf_str(&query), list_one, &l);
		return finish(o, r < 0 ? r : (int)l.fit, "No OOM kill is recorded.");
	}
	l.last = calloc(l.limit, sizeof(json_t *));
	if (!l.last)
		return CLI_UNREACHABLE;
	(void)snprintf(limit, sizeof(limit), "%u", l.limit);
	cli_add_parameter(&query, "limit", limit_to_ask(o, limit));
	r = cli_query(&o->source, strbuf_str(&query), list_one, &l);
	list_flush(&l);
	tell_cut(o, r);
	return finish(o, r < 0 ? r : (int)l.fit, "No OOM kill is recorded.");
}

/* --- show --- */

struct show {
	const char *id; /* NULL: the last */
	json_t *event, *aftermath;
};

static int find_one(void *ctx, const json_t *event)
{
	struct show *s = ctx;
	const char *name = cli_text(event, "event.name");
	bool aftermath = streq(name, "oom.aftermath");

	/* Named by its id, an OOM without a victim is explained too. */
	if (s->id ? !aftermath && streq(cli_text(event, "telamon.id"), s->id)
		  : streq(name, "oom.kill")) {
		json_decref(s->event);
		json_decref(s->aftermath);
		s->event = json_incref((json_t *)event);
		s->aftermath = NULL;
	}
	if (aftermath && s->event && !s->aftermath && *cli_text(event, "telamon.oom.decision") &&
	    streq(cli_text(event, "telamon.oom.decision"),
		  cli_text(s->event, "telamon.oom.decision")))
		s->aftermath = json_incref((json_t *)event);
	return 0;
}

static int run_show(struct options *o, const char *id)
{
	struct show s = { .id = streq(id, "last") ? NULL : id };
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	int r = cli_query(&o->source,
			  s.id ? "type=oom&limit=" ALL_RECORDS
			       : "type=oom.kill,oom.aftermath&limit=1000",
			  find_one, &s);
	int status = finish(o, r < 0 ? r : s.event != NULL, "There is no such OOM kill.");

	if (status == CLI_OK && wants_json(o)) {
		print_json(s.event);
		if (s.aftermath)
			print_json(s.aftermath);
	} else if (status == CLI_OK) {
		oom_show_record(s.event, s.aftermath, &b);
		cli_print(&b);
	}
	json_decref(s.event);
	json_decref(s.aftermath);
	return status;
}

/* --- top --- */

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
	const struct options *options;
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

	if (!streq(cli_text(event, "event.name"), "oom.kill") || !scope_fits(t->options, event))
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

static int run_top(struct options *o)
{
	_cleanup_(freep) struct top *t = calloc(1, sizeof(*t));
	_cleanup_strbuf_ struct strbuf query = STRBUF_INIT;
	const char *by = o->by ? o->by : "workload";
	uint32_t limit;
	int r, status;

	if (!t)
		return CLI_UNREACHABLE;
	t->options = o;
	t->by = find_key(by);
	if (!t->by) {
		(void)fprintf(
			stderr,
			"telamon oom top: --by: '%s' is not workload, container, cgroup or exe\n",
			by);
		return CLI_USAGE;
	}
	if (read_limit(o, ARRAY_SIZE(t->rows), &limit) < 0)
		return CLI_USAGE;
	add_filters(o, &query, "oom.kill");
	cli_add_parameter(&query, "limit", ALL_RECORDS);
	r = cli_query(&o->source, strbuf_str(&query), count_one, t);
	tell_cut(o, r);
	status = finish(o, r < 0 ? r : (int)t->kills, "No OOM kill is recorded.");
	if (status != CLI_OK)
		return status;
	qsort(t->rows, t->n, sizeof(t->rows[0]), compare_rows);
	print_rows(t, limit);
	return CLI_OK;
}

int cli_oom(int argc, char **argv)
{
	struct options o = {};
	const struct cli_option options[] = {
		{ "since", OPTION_TEXT, &o.since, "RFC 3339, or back from now: 10m, 2h, 3d" },
		{ "until", OPTION_TEXT, &o.until, "likewise" },
		{ "namespace", OPTION_TEXT, &o.namespace, "Kubernetes namespace" },
		{ "workload", OPTION_TEXT, &o.workload, "workload" },
		{ "container", OPTION_TEXT, &o.container, "container id, 8 digits of it, or name" },
		{ "cgroup", OPTION_TEXT, &o.cgroup, "glob of the cgroup's path" },
		{ "scope", OPTION_TEXT, &o.scope,
		  "memcg, cpuset, mempolicy, global, sysrq, unknown" },
		{ "limit", OPTION_TEXT, &o.limit,
		  "newest records at most (100); top: rows at most" },
		{ "by", OPTION_TEXT, &o.by, "top: workload, container, cgroup or exe" },
		{ "format", OPTION_TEXT, &o.format, "text or json" },
		{ "follow", OPTION_FLAG, &o.follow, "show kills as they happen" },
		{ "url", OPTION_TEXT, &o.source.url, "agent (" CLI_URL ")" },
		{ "http.config.file", OPTION_TEXT, &o.source.http_config,
		  "TLS and user for the agent" },
		{ "journal", OPTION_TEXT, &o.source.journal,
		  "read this journal (" CLI_JOURNAL " when the agent is down)" },
		{},
	};
	int n = cli_parse("telamon oom [list | show ID|last | top] [options]", options, argc, argv);

	if (n < 0)
		return n == -2 ? CLI_OK : CLI_USAGE;
	if (check_format(&o) < 0)
		return CLI_USAGE;
	if (n == 0 || (n == 1 && streq(argv[0], "list")))
		return run_list(&o);
	if (n == 2 && streq(argv[0], "show"))
		return run_show(&o, argv[1]);
	if (n == 1 && streq(argv[0], "show"))
		return run_show(&o, "last");
	if (n == 1 && streq(argv[0], "top"))
		return run_top(&o);
	(void)fprintf(stderr, "telamon oom: unexpected '%s'; see 'telamon oom --help'\n", argv[0]);
	return CLI_USAGE;
}
