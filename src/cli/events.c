/* SPDX-License-Identifier: Apache-2.0 */
/* telamon events: what was recorded, and what is recorded now */

#include <errno.h>
#include <string.h>
#include "base/text.h"
#include "cli/cli.h"
#include "cli/events-schema.h"

struct options {
	struct cli_source source;
	const char *type, *container, *pod, *pid, *rule, *severity, *since, *until, *limit, *format,
		*namespace, *cgroup;
	bool follow, schema;
	int shown;
};

static const char *severity_colour(double severity)
{
	return cli_colour(severity >= 17 ? "\033[31m" : severity >= 13 ? "\033[33m" : "\033[36m");
}

/* One line: time, severity, name, the place, and what tells most. */
static void add_line(struct strbuf *b, const json_t *e)
{
	static const char *const facts[] = { "process.executable.path",
					     "telamon.oom.comm",
					     "k8s.namespace.name",
					     "k8s.pod.name",
					     "container.name",
					     "telamon.unit",
					     "telamon.cgroup.path",
					     "telamon.oom.scope",
					     "telamon.oom.aftermath",
					     "telamon.rule.id",
					     "message" };
	double severity = 0, pid;

	(void)cli_number(e, "severity_number", &severity);
	cli_add_moment(b, e);
	strbuf_addf(b, "  %s", severity_colour(severity));
	cli_add_padded(b, e, "severity_text", 5);
	strbuf_addf(b, "%s  ", cli_colour("\033[0m"));
	cli_add_text(b, e, "event.name");
	if (cli_number(e, "process.pid", &pid))
		strbuf_addf(b, "  pid=%.0f", pid);
	for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
		const char *dot = strrchr(facts[i], '.');

		if (!*cli_text(e, facts[i]))
			continue;
		strbuf_addf(b, "  %s=", dot ? dot + 1 : facts[i]);
		cli_add_text(b, e, facts[i]);
	}
	strbuf_addstr(b, "  ");
	cli_add_text(b, e, "telamon.id");
	strbuf_addch(b, '\n');
}

static bool pod_matches(const struct options *o, const json_t *e)
{
	char name[600];

	if (!o->pod)
		return true;
	(void)snprintf(name, sizeof(name), "%s/%s", cli_text(e, "k8s.namespace.name"),
		       cli_text(e, "k8s.pod.name"));
	return streq(name, o->pod);
}

static int show(void *ctx, const json_t *e)
{
	struct options *o = ctx;
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	if (!pod_matches(o, e))
		return 0;
	o->shown++;
	if (o->format && streq(o->format, "json")) {
		(void)json_dumpf(e, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
		(void)fputc('\n', stdout);
	} else {
		add_line(&b, e);
		cli_print(&b);
	}
	(void)fflush(stdout);
	return 0;
}

static int print_piece(void *ctx, const char *data, size_t len)
{
	(void)ctx;
	return fwrite(data, 1, len, stdout) == len ? 0 : -1;
}

/* A marked alert through journal and every sink; the agent says how each took it. */
static int run_test(struct options *o)
{
	struct http_client_options c = { .timeout_ms = 10000 };
	_cleanup_(http_client_config_freep) struct http_client_config *config = NULL;
	_cleanup_strbuf_ struct strbuf url = STRBUF_INIT;
	int r = 0;

	if (o->source.http_config)
		r = http_client_config_load(o->source.http_config, o->source.why,
					    sizeof(o->source.why), &config, &c);
	strbuf_addf(&url, "%s/api/v1/events/test", o->source.url ? o->source.url : CLI_URL);
	if (r >= 0)
		r = http_client_post(strbuf_str(&url), &c, "", print_piece, NULL, o->source.why,
				     sizeof(o->source.why));
	if (r == 200)
		return CLI_OK;
	(void)fprintf(stderr, "telamon events test: %s\n",
		      r > 0 ? "the agent refuses" : o->source.why);
	return CLI_UNREACHABLE;
}

static int run(struct options *o)
{
	_cleanup_strbuf_ struct strbuf query = STRBUF_INIT;
	int r;

	cli_add_parameter(&query, "type", o->type);
	cli_add_parameter(&query, "container", o->container);
	cli_add_parameter(&query, "namespace", o->namespace);
	cli_add_parameter(&query, "cgroup", o->cgroup);
	cli_add_parameter(&query, "pid", o->pid);
	cli_add_parameter(&query, "severity", o->severity);
	cli_add_parameter(&query, "since", o->since);
	if (o->follow) {
		r = cli_follow(&o->source, strbuf_str(&query), show, o);
	} else {
		cli_add_parameter(&query, "until", o->until);
		cli_add_parameter(&query, "limit", o->limit);
		r = cli_query(&o->source, strbuf_str(&query), show, o);
	}
	if (r < 0) {
		(void)fprintf(stderr, "telamon events: %s\n",
			      *o->source.why ? o->source.why : strerror(-r));
		return r == -EINVAL ? CLI_USAGE : CLI_UNREACHABLE;
	}
	if (o->shown)
		return CLI_OK;
	(void)fprintf(stderr, "No event is recorded.\n");
	return CLI_NONE;
}

int cli_events(int argc, char **argv)
{
	struct options o = {};
	const struct cli_option options[] = {
		{ "follow", OPTION_FLAG, &o.follow, "show events as they happen" },
		{ "type", OPTION_TEXT, &o.type, "names or prefixes: oom, oom.kill, alert" },
		{ "container", OPTION_TEXT, &o.container, "container id, 8 digits of it, or name" },
		{ "pod", OPTION_TEXT, &o.pod, "NAMESPACE/NAME" },
		{ "namespace", OPTION_TEXT, &o.namespace, "Kubernetes namespace" },
		{ "cgroup", OPTION_TEXT, &o.cgroup, "glob of the cgroup's path" },
		{ "pid", OPTION_TEXT, &o.pid, "process" },
		{ "rule", OPTION_TEXT, &o.rule, "list of rules (this version has none)" },
		{ "severity", OPTION_TEXT, &o.severity,
		  "at least: info notice warning high critical" },
		{ "since", OPTION_TEXT, &o.since, "RFC 3339, or back from now: 10m, 2h, 3d" },
		{ "until", OPTION_TEXT, &o.until, "likewise" },
		{ "limit", OPTION_TEXT, &o.limit, "newest events at most (1000)" },
		{ "format", OPTION_TEXT, &o.format, "text or json" },
		{ "url", OPTION_TEXT, &o.source.url, "agent (" CLI_URL ")" },
		{ "http.config.file", OPTION_TEXT, &o.source.http_config,
		  "TLS and user for the agent" },
		{ "journal", OPTION_TEXT, &o.source.journal, "read this journal" },
		{ "schema", OPTION_FLAG, &o.schema, "print the JSON Schema of events" },
		{},
	};
	int n = cli_parse("telamon events [test] [options]", options, argc, argv);

	if (n < 0)
		return n == -2 ? CLI_OK : CLI_USAGE;
	if (o.format && !streq(o.format, "text") && !streq(o.format, "json")) {
		(void)fprintf(stderr, "telamon events: --format: '%s' is not text or json\n",
			      o.format);
		return CLI_USAGE;
	}
	if (o.schema) {
		(void)fputs(events_schema, stdout);
		return CLI_OK;
	}
	if (o.rule || (n > 0 && (streq(argv[0], "rules") || streq(argv[0], "tree")))) {
		(void)fprintf(stderr, "telamon events: this version has no %s\n",
			      o.rule || streq(argv[0], "rules") ? "rules" : "process tree");
		return CLI_USAGE;
	}
	if (o.follow && (o.until || o.limit)) {
		(void)fprintf(stderr, "telamon events: --%s has no meaning with --follow\n",
			      o.until ? "until" : "limit");
		return CLI_USAGE;
	}
	if (n == 1 && streq(argv[0], "test"))
		return run_test(&o);
	if (n != 0) {
		(void)fprintf(stderr,
			      "telamon events: unexpected '%s'; see 'telamon events --help'\n",
			      argv[0]);
		return CLI_USAGE;
	}
	return run(&o);
}
