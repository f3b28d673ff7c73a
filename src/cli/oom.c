/* SPDX-License-Identifier: Apache-2.0 */
/* telamon oom: list, show, top */

#include <errno.h>
#include <string.h>
#include "base/parse.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/oom-show.h"

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

/* --- list --- */

struct list {
	const struct options *options;
	int shown;
};

static int list_one(void *ctx, const json_t *event)
{
	struct list *l = ctx;
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	if (!streq(cli_text(event, "event.name"), "oom.kill"))
		return 0;
	if (l->options->scope && !streq(cli_text(event, "telamon.oom.scope"), l->options->scope))
		return 0;
	l->shown++;
	if (wants_json(l->options)) {
		print_json(event);
		return 0;
	}
	oom_show_line(event, &b);
	cli_print(&b);
	(void)fflush(stdout);
	return 0;
}

static int run_list(struct options *o)
{
	_cleanup_strbuf_ struct strbuf query = STRBUF_INIT;
	struct list l = { o, 0 };
	int r;

	add_filters(o, &query, "oom.kill");
	cli_add_parameter(&query, "limit", o->limit ? o->limit : "100");
	if (o->follow) {
		strbuf_clear(&query);
		add_filters(o, &query, "oom.kill");
		r = cli_follow(&o->source, strbuf_str(&query), list_one, &l);
	} else {
		r = cli_query(&o->source, strbuf_str(&query), list_one, &l);
	}
	return finish(o, r < 0 ? r : l.shown, "No OOM kill is recorded.");
}

/* --- show --- */

struct show {
	const char *id; /* NULL: the last */
	json_t *event, *aftermath;
	unsigned kills; /* in the same cgroup within a day before */
};

static int find_one(void *ctx, const json_t *event)
{
	struct show *s = ctx;
	const char *name = cli_text(event, "event.name");

	if (streq(name, "oom.kill") && (!s->id || streq(cli_text(event, "telamon.id"), s->id))) {
		json_decref(s->event);
		s->event = json_incref((json_t *)event);
		if (s->aftermath)
			json_decref(s->aftermath);
		s->aftermath = NULL;
	}
	if (streq(name, "oom.aftermath") && s->event &&
	    streq(cli_text(event, "telamon.oom.decision"),
		  cli_text(s->event, "telamon.oom.decision")) &&
	    !s->aftermath)
		s->aftermath = json_incref((json_t *)event);
	return 0;
}

static int run_show(struct options *o, const char *id)
{
	struct show s = { .id = streq(id, "last") ? NULL : id };
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	int r = cli_query(&o->source, s.id ? "type=oom&limit=10000" : "type=oom&limit=100",
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

struct top {
	const char *by;
	struct {
		char key[300];
		unsigned kills;
		uint64_t bytes;
		char last[40];
	} rows[256];
	size_t n;
	unsigned other;
};

static const char *key_of(const struct top *t, const json_t *event, char *buf, size_t size)
{
	static const struct {
		const char *by, *keys[3];
	} forms[] = {
		{ "workload", { "k8s.namespace.name", "telamon.workload", "telamon.unit" } },
		{ "container", { "k8s.container.name", "container.name", "container.id" } },
		{ "cgroup", { "telamon.cgroup.path", "", "" } },
		{ "exe", { "process.executable.path", "", "" } },
	};

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (!streq(forms[i].by, t->by))
			continue;
		for (size_t k = 0; k < 3; k++) {
			const char *v = cli_text(event, forms[i].keys[k]);
			size_t used = strlen(buf);

			if (*v && (i == 0 || used == 0))
				(void)snprintf(buf + used, size - used, "%s%s", used ? "/" : "", v);
		}
	}
	return *buf ? buf : "-";
}

static int count_one(void *ctx, const json_t *event)
{
	struct top *t = ctx;
	char buf[300];
	const char *key = key_of(t, event, buf, sizeof(buf));
	double rss = 0;
	size_t i = 0;

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
	const unsigned *x = (const void *)((const char *)a + offsetof(struct top, rows[0].kills) -
					   offsetof(struct top, rows[0]));
	const unsigned *y = (const void *)((const char *)b + offsetof(struct top, rows[0].kills) -
					   offsetof(struct top, rows[0]));

	return *x < *y ? 1 : *x > *y ? -1 : 0;
}

static int run_top(struct options *o)
{
	_cleanup_(freep) struct top *t = calloc(1, sizeof(*t));
	_cleanup_strbuf_ struct strbuf query = STRBUF_INIT, b = STRBUF_INIT;
	int r, status;

	if (!t)
		return CLI_UNREACHABLE;
	t->by = o->by ? o->by : "workload";
	if (!strstr(" workload container cgroup exe ", t->by) || strchr(t->by, ' ')) {
		(void)fprintf(
			stderr,
			"telamon oom top: --by: '%s' is not workload, container, cgroup or exe\n",
			t->by);
		return CLI_USAGE;
	}
	add_filters(o, &query, "oom.kill");
	cli_add_parameter(&query, "limit", "10000");
	r = cli_query(&o->source, strbuf_str(&query), count_one, t);
	status = finish(o, r, "No OOM kill is recorded.");
	if (status != CLI_OK)
		return status;
	qsort(t->rows, t->n, sizeof(t->rows[0]), compare_rows);
	strbuf_addf(&b, "%6s  %10s  %-20s  %s\n", "KILLS", "ANON", "LAST", t->by);
	for (size_t i = 0; i < t->n; i++) {
		char size[32];
		struct strbuf s;
		size_t mark;

		strbuf_init_fixed(&s, size, sizeof(size));
		text_add_bytes(&s, t->rows[i].bytes);
		strbuf_addf(&b, "%6u  %10s  ", t->rows[i].kills, size);
		mark = b.len;
		text_add_terminal(&b, t->rows[i].last, strlen(t->rows[i].last));
		while (b.len - mark < 22)
			strbuf_addch(&b, ' ');
		text_add_terminal(&b, t->rows[i].key, strlen(t->rows[i].key));
		strbuf_addch(&b, '\n');
	}
	if (t->other)
		strbuf_addf(&b, "%6u  in more than %zu others\n", t->other, ARRAY_SIZE(t->rows));
	cli_print(&b);
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
		{ "limit", OPTION_TEXT, &o.limit, "newest records at most (100)" },
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
