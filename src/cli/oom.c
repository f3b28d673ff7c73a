/* SPDX-License-Identifier: Apache-2.0 */
/* telamon oom: list, show, top */

#include <errno.h>
#include <string.h>
#include "base/parse.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/oom-part.h"
#include "cli/oom-show.h"

bool oom_wants_json(const struct oom_options *o)
{
	return o->format && streq(o->format, "json");
}

static int check_format(const struct oom_options *o)
{
	if (!o->format || streq(o->format, "text") || streq(o->format, "json"))
		return 0;
	(void)fprintf(stderr, "telamon oom: --format: '%s' is not text or json\n", o->format);
	return -1;
}

void oom_add_filters(const struct oom_options *o, struct strbuf *query, const char *type)
{
	cli_add_parameter(query, "type", type);
	cli_add_parameter(query, "since", o->since);
	cli_add_parameter(query, "until", o->until);
	cli_add_parameter(query, "namespace", o->namespace);
	cli_add_parameter(query, "workload", o->workload);
	cli_add_parameter(query, "container", o->container);
	cli_add_parameter(query, "cgroup", o->cgroup);
	cli_add_parameter(query, "scope", o->scope);
}

int oom_finish(const struct oom_options *o, int r, const char *none)
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

int oom_read_limit(const struct oom_options *o, uint32_t otherwise, uint32_t *ret)
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
	const struct oom_options *options;
	json_t **last; /* ring of the newest, NULL: each is shown as it comes */
	uint32_t limit;
	unsigned fit; /* so many, the ring has the last of them */
};

static void list_print(const struct oom_options *o, const json_t *event)
{
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	if (oom_wants_json(o)) {
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

	if (!is_one_of(cli_text(event, "event.name"), names))
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

static int run_list(struct oom_options *o)
{
	_cleanup_strbuf_ struct strbuf query = STRBUF_INIT;
	struct list l = { .options = o };
	char limit[16];
	int r;

	if (oom_read_limit(o, 100, &l.limit) < 0)
		return CLI_USAGE;
	oom_add_filters(o, &query, LIST_TYPES);
	if (o->follow) {
		r = cli_follow(&o->source, strbuf_str(&query), list_one, &l);
		return oom_finish(o, r < 0 ? r : (int)l.fit, "No OOM kill is recorded.");
	}
	l.last = calloc(l.limit, sizeof(json_t *));
	if (!l.last)
		return CLI_UNREACHABLE;
	(void)snprintf(limit, sizeof(limit), "%u", l.limit);
	cli_add_parameter(&query, "limit", limit);
	r = cli_query(&o->source, strbuf_str(&query), list_one, &l);
	list_flush(&l);
	return oom_finish(o, r < 0 ? r : (int)l.fit, "No OOM kill is recorded.");
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

static int run_show(struct oom_options *o, const char *id)
{
	struct show s = { .id = streq(id, "last") ? NULL : id };
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	uint32_t width = cli_width();
	int r, status;

	if (o->width && (parse_u32(o->width, &width) < 0 || (width && width < WIDTH_MIN))) {
		(void)fprintf(stderr, "telamon oom show: --width: '%s' is not 0, %d or more\n",
			      o->width, WIDTH_MIN);
		return CLI_USAGE;
	}
	r = cli_query(&o->source,
		      s.id ? "type=oom&limit=" ALL_RECORDS
			   : "type=oom.kill,oom.aftermath&limit=1000",
		      find_one, &s);
	status = oom_finish(o, r < 0 ? r : s.event != NULL, "There is no such OOM kill.");

	if (status == CLI_OK && oom_wants_json(o)) {
		print_json(s.event);
		if (s.aftermath)
			print_json(s.aftermath);
	} else if (status == CLI_OK) {
		oom_show_record(s.event, s.aftermath, &b);
		cli_wrap(&b, width);
		cli_print(&b);
	}
	json_decref(s.event);
	json_decref(s.aftermath);
	return status;
}

int cli_oom(int argc, char **argv)
{
	struct oom_options o = {};
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
		{ "width", OPTION_TEXT, &o.width,
		  "show: break lines there (terminal's width); 0 never does" },
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
		return oom_top(&o);
	(void)fprintf(stderr, "telamon oom: unexpected '%s'; see 'telamon oom --help'\n", argv[0]);
	return CLI_USAGE;
}
