/* SPDX-License-Identifier: Apache-2.0 */
/* telamon route explain: the way of a series through a file's or a running gateway's configuration */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "cli/route.h"
#include "route/explain.h"

#define GATEWAY "http://127.0.0.1:8080"
#define CONFIG "/etc/telamon/route.yaml"

struct asking {
	const char *config, *server;
	struct snapshot *snapshot;
	bool json;
};

/* NULL after a message. */
static json_t *ask_server(const struct asking *a, const char *series)
{
	_cleanup_strbuf_ struct strbuf path = STRBUF_INIT, query = STRBUF_INIT;

	cli_add_parameter(&query, "series", series);
	strbuf_addf(&path, "/api/v1/explain?%s", strbuf_str(&query));
	return route_get_json(a->server, strbuf_str(&path));
}

static json_t *ask_file(const struct asking *a, const char *series)
{
	_cleanup_(arena_freep) struct arena *arena = NULL;
	const struct rw_label *labels;
	char why[256] = "";
	json_t *ret;
	size_t n;
	int r = arena_new(0, &arena);

	if (r >= 0)
		r = series_parse(series, arena, why, sizeof(why), &labels, &n);
	if (r < 0) {
		(void)fprintf(stderr, "telamon route explain: '%s': %s\n", series,
			      *why ? why : strerror(-r));
		return NULL;
	}
	ret = explain_run(a->snapshot, labels, n);
	if (!ret)
		(void)fprintf(stderr, "telamon route explain: out of memory\n");
	return ret;
}

static int explain_one(const struct asking *a, const char *series)
{
	_cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
	json_t *result = a->server ? ask_server(a, series) : ask_file(a, series);
	char *text;

	if (!result)
		return CLI_NONE;
	if (a->json) {
		text = json_dumps(result, JSON_COMPACT);
		strbuf_addf(&out, "%s\n", text ? text : "{}");
		free(text);
	} else {
		explain_text(result, &out);
	}
	json_decref(result);
	cli_print(&out);
	return CLI_OK;
}

static int explain_lines(const struct asking *a)
{
	_cleanup_(freep) char *line = NULL;
	int status = CLI_OK, one;
	size_t room = 0;
	bool first = true;

	while (getline(&line, &room, stdin) >= 0) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!*line)
			continue;
		if (!first && !a->json)
			printf("\n");
		first = false;
		one = explain_one(a, line);
		status = one ? one : status;
	}
	return status;
}

int cli_route_explain(int argc, char **argv)
{
	struct asking a = { .config = CONFIG };
	const char *format = "text";
	const struct cli_option options[] = {
		{ "config", OPTION_TEXT, &a.config, "configuration (" CONFIG ")" },
		{ "server", OPTION_TEXT, &a.server, "ask a running gateway, as " GATEWAY },
		{ "format", OPTION_TEXT, &format, "text or json (text)" },
		{},
	};
	int r = cli_parse("telamon route explain [--config FILE | --server URL] SERIES | -",
			  options, argc, argv);

	if (r == -2)
		return CLI_OK;
	if (r != 1) {
		(void)fprintf(stderr, "telamon route explain: one series, or - to read them\n");
		return CLI_USAGE;
	}
	if (!route_format(format, &a.json))
		return CLI_USAGE;
	if (!a.server && route_open(a.config, NULL, &a.snapshot) < 0)
		return CLI_NONE;
	r = streq(argv[0], "-") ? explain_lines(&a) : explain_one(&a, argv[0]);
	snapshot_free(a.snapshot);
	return r;
}
