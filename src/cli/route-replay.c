/* SPDX-License-Identifier: Apache-2.0 */
/* telamon route replay: what lies in segments, to a URL or to the nodes of a destination */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/parse.h"
#include "base/time.h"
#include "cli/route.h"
#include "route/replay.h"

#define CONFIG "/etc/telamon/route.yaml"

static void on_line(void *ctx, const char *line)
{
	(void)ctx;
	printf("%s\n", line);
}

static bool take_time(const char *option, const char *text, int64_t *ret_ms)
{
	uint64_t ns;

	if (!text)
		return true;
	if (parse_time(text, time_wall_ns(), &ns) < 0) {
		(void)fprintf(stderr,
			      "telamon route replay: --%s '%s' is neither a time such as "
			      "2026-05-12T08:00:00Z nor an age such as 2h\n",
			      option, text);
		return false;
	}
	*ret_ms = (int64_t)(ns / NS_PER_MSEC);
	return true;
}

/* "5000", "5000/s" */
static bool take_rate(const char *text, uint64_t *ret)
{
	char digits[32];
	size_t len = strlen(text);

	if (len > 2 && streq(text + len - 2, "/s"))
		len -= 2;
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)MIN(len, sizeof(digits) - 1), text);
	return route_number("rate", digits, 0, UINT32_MAX, ret);
}

static const struct destination *find(const struct snapshot *s, const char *name)
{
	for (size_t i = 0; i < s->n_destinations; i++)
		if (streq(s->destinations[i].config->name, name))
			return &s->destinations[i];
	(void)fprintf(stderr, "telamon route replay: there is no destination '%s'\n", name);
	return NULL;
}

static int report(int r, const struct replay_options *o, const struct replay_result *t)
{
	printf("%" PRIu64 " segments, %" PRIu64 " blocks with %" PRIu64 " samples %s, %" PRIu64
	       " skipped, %" PRIu64 " refused, %" PRIu64 " damaged places, %" PRIu64
	       " segments done\n",
	       t->segments, t->blocks, t->samples, o->dry_run ? "to send" : "delivered", t->skipped,
	       t->refused, t->damaged, t->done);
	if (r < 0)
		(void)fprintf(stderr, "telamon route replay: %s\n",
			      *t->why ? t->why : strerror(-r));
	else if (*t->why && t->refused)
		(void)fprintf(stderr, "telamon route replay: last refusal: %s\n", t->why);
	return r < 0 || t->refused || t->damaged ? CLI_NONE : CLI_OK;
}

static int run(struct replay_options *o, const char *config, const char *destination)
{
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct replay_result result;
	int r;

	if (destination) {
		if (route_open(config, NULL, &s) < 0)
			return CLI_NONE;
		o->snapshot = s;
		o->destination = find(s, destination);
		if (!o->destination)
			return CLI_NONE;
	}
	r = replay_run(o, &result);
	return report(r, o, &result);
}

int cli_route_replay(int argc, char **argv)
{
	struct replay_options o = { .from_ms = INT64_MIN, .until_ms = INT64_MAX, .tell = on_line };
	const char *destination = NULL, *config = CONFIG, *from = NULL, *until = NULL, *rate = "0",
		   *patience = "30s";
	const struct cli_option options[] = {
		{ "to", OPTION_TEXT, &o.url, "send blocks as they are to this URL" },
		{ "destination", OPTION_TEXT, &destination,
		  "or place each series on the nodes of this destination" },
		{ "config", OPTION_TEXT, &config, "configuration of --destination (" CONFIG ")" },
		{ "from", OPTION_TEXT, &from, "blocks with samples at or after this time or age" },
		{ "until", OPTION_TEXT, &until, "blocks with samples at or before it" },
		{ "rate", OPTION_TEXT, &rate, "samples per second, as 5000/s; 0 = no limit (0)" },
		{ "patience", OPTION_TEXT, &patience,
		  "how long a receiver that fails is tried (30s)" },
		{ "dry-run", OPTION_FLAG, &o.dry_run, "only tell what would be sent" },
		{},
	};
	int r = cli_parse("telamon route replay DIR [options]", options, argc, argv);

	if (r == -2)
		return CLI_OK;
	if (r != 1) {
		(void)fprintf(stderr, "telamon route replay: one directory of segments\n");
		return CLI_USAGE;
	}
	if ((o.url != NULL) + (destination != NULL) != 1 &&
	    !(o.dry_run && !o.url && !destination)) {
		(void)fprintf(stderr, "telamon route replay: one of --to and --destination\n");
		return CLI_USAGE;
	}
	if (!take_time("from", from, &o.from_ms) || !take_time("until", until, &o.until_ms) ||
	    !take_rate(rate, &o.rate) || !route_duration("patience", patience, &o.patience_us))
		return CLI_USAGE;
	o.directory = argv[0];
	return run(&o, config, destination);
}
