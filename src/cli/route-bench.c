/* SPDX-License-Identifier: Apache-2.0 */
/* telamon route bench: realistic remote write at a receiver, and how long it took to answer */

#include <stdio.h>
#include <string.h>
#include "base/time.h"
#include "cli/route-load.h"
#include "cli/route.h"

struct texts {
	const char *url, *body, *series, *per_request, *labels, *hosts, *version, *conns, *rate,
		*duration, *requests, *format;
};

/* Splits "http://host:port/path". */
static bool take_url(const char *url, char *host, size_t host_size, struct load_options *o)
{
	const char *rest = url + 7, *slash;

	if (strncmp(url, "http://", 7) != 0) {
		(void)fprintf(stderr,
			      "telamon route bench: --url '%s' is not http://HOST:PORT/PATH\n",
			      url);
		return false;
	}
	slash = strchr(rest, '/');
	(void)snprintf(host, host_size, "%.*s", slash ? (int)(slash - rest) : (int)strlen(rest),
		       rest);
	o->host = host;
	o->path = slash ? slash : "/api/v1/write";
	return true;
}

static bool take_body(const struct texts *t, struct load_options *o)
{
	if (!streq(t->body, "a") && !streq(t->body, "b")) {
		(void)fprintf(stderr, "telamon route bench: --body '%s' is neither a nor b\n",
			      t->body);
		return false;
	}
	if (!streq(t->version, "rw1") && !streq(t->version, "rw2")) {
		(void)fprintf(stderr,
			      "telamon route bench: --version '%s' is neither rw1 nor rw2\n",
			      t->version);
		return false;
	}
	o->shape.kind = streq(t->body, "a") ? SAMPLE_BODY_MIXED : SAMPLE_BODY_EVEN;
	o->version = streq(t->version, "rw2") ? RW2 : RW1;
	return true;
}

static bool take_numbers(const struct texts *t, struct load_options *o)
{
	const char *per = t->per_request ? t->per_request : *t->body == 'a' ? "10000" : "2000";
	uint64_t series, labels, hosts, per_request, conns;

	if (!route_number("series", t->series, 1, 100000000, &series) ||
	    !route_number("per-request", per, 1, 1000000, &per_request) ||
	    !route_number("labels", t->labels, 0, SAMPLE_BODY_LABELS_MAX, &labels) ||
	    !route_number("hosts", t->hosts, 0, series, &hosts) ||
	    !route_number("conns", t->conns, 1, 10000, &conns) ||
	    !route_number("rate", t->rate, 0, UINT32_MAX, &o->rate) ||
	    !route_number("requests", t->requests, 0, UINT32_MAX, &o->requests) ||
	    !route_duration("duration", t->duration, &o->duration_us))
		return false;
	o->series = (uint32_t)series;
	o->per_request = (uint32_t)per_request;
	o->connections = (uint32_t)conns;
	o->shape.labels = (uint32_t)labels;
	o->shape.series_per_host = hosts ? (uint32_t)((series + hosts - 1) / hosts) : 0;
	return true;
}

static void print_text(const struct load_options *o, const struct load_result *r)
{
	double seconds = (double)r->elapsed_us / 1e6;
	double samples = r->samples ? (double)r->samples : 1;

	printf("sent     %llu samples in %llu requests in %.1f s: %.0f samples/s\n",
	       (unsigned long long)r->samples, (unsigned long long)r->requests, seconds,
	       (double)r->samples / seconds);
	printf("bodies   %u series, %.0f B a sample, %.1f B compressed, %s\n",
	       MIN(o->series, o->per_request), (double)r->raw_bytes / samples,
	       (double)r->bytes / samples, rw_version_names[o->version]);
	printf("answers ");
	for (unsigned i = 1; i < ARRAY_SIZE(r->by_status); i++)
		if (r->by_status[i])
			printf(" %u: %llu", i, (unsigned long long)r->by_status[i]);
	if (r->by_status[0])
		printf(" none: %llu (%s)", (unsigned long long)r->by_status[0], r->why);
	printf("\ntimes    p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", (double)r->p50_us / 1e3,
	       (double)r->p99_us / 1e3, (double)r->max_us / 1e3);
}

static void print_json(const struct load_options *o, const struct load_result *r)
{
	const char *comma = "";

	printf("{\"samples\":%llu,\"requests\":%llu,\"seconds\":%.3f,\"bytes\":%llu,"
	       "\"raw_bytes\":%llu,\"version\":\"%s\",\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
	       "\"max_ms\":%.3f,\"statuses\":{",
	       (unsigned long long)r->samples, (unsigned long long)r->requests,
	       (double)r->elapsed_us / 1e6, (unsigned long long)r->bytes,
	       (unsigned long long)r->raw_bytes, rw_version_names[o->version],
	       (double)r->p50_us / 1e3, (double)r->p99_us / 1e3, (double)r->max_us / 1e3);
	for (unsigned i = 0; i < ARRAY_SIZE(r->by_status); i++)
		if (r->by_status[i]) {
			printf("%s\"%u\":%llu", comma, i, (unsigned long long)r->by_status[i]);
			comma = ",";
		}
	printf("}}\n");
}

/* All answers 2xx, and at least one. */
static bool good(const struct load_result *r)
{
	uint64_t answers = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(r->by_status); i++)
		answers += r->by_status[i];
	return r->requests && answers == r->requests;
}

int cli_route_bench(int argc, char **argv)
{
	struct texts t = { .url = "http://127.0.0.1:8080/api/v1/write",
			   .body = "a",
			   .series = "100000",
			   .labels = "0",
			   .hosts = "0",
			   .version = "rw1",
			   .conns = "4",
			   .rate = "0",
			   .duration = "10s",
			   .requests = "0",
			   .format = "text" };
	const struct cli_option options[] = {
		{ "url", OPTION_TEXT, &t.url, "receiver (http://127.0.0.1:8080/api/v1/write)" },
		{ "body", OPTION_TEXT, &t.body,
		  "a: mixed, ten labels; b: one family on many hosts, eight labels (a)" },
		{ "series", OPTION_TEXT, &t.series, "active series (100000)" },
		{ "per-request", OPTION_TEXT, &t.per_request,
		  "series of one request, 10000 of body a and 2000 of body b" },
		{ "labels", OPTION_TEXT, &t.labels,
		  "labels of a series, 0 = those of the body (0)" },
		{ "hosts", OPTION_TEXT, &t.hosts, "hosts of the series, 0 = one per 200 (0)" },
		{ "version", OPTION_TEXT, &t.version, "rw1 or rw2 (rw1)" },
		{ "conns", OPTION_TEXT, &t.conns, "connections, one request each (4)" },
		{ "rate", OPTION_TEXT, &t.rate, "samples per second, 0 = as fast as answered (0)" },
		{ "duration", OPTION_TEXT, &t.duration, "length of the run (10s)" },
		{ "requests", OPTION_TEXT, &t.requests, "stop after so many, 0 = no limit (0)" },
		{ "format", OPTION_TEXT, &t.format, "text or json (text)" },
		{},
	};
	struct load_options o = {};
	struct load_result result;
	char host[256];
	bool json;
	int r;

	if (argc > 1 && streq(argv[1], "sink"))
		return cli_route_sink(argc - 1, argv + 1);
	r = cli_parse("telamon route bench [options] | telamon route bench sink [options]", options,
		      argc, argv);
	if (r > 0)
		(void)fprintf(stderr, "telamon route bench: '%s' is too much\n", argv[0]);
	if (r != 0)
		return r == -2 ? CLI_OK : CLI_USAGE;
	if (!route_format(t.format, &json))
		return CLI_USAGE;
	if (!take_url(t.url, host, sizeof(host), &o) || !take_body(&t, &o) || !take_numbers(&t, &o))
		return CLI_USAGE;
	if (!o.duration_us && !o.requests) {
		(void)fprintf(stderr, "telamon route bench: --duration 0 needs --requests\n");
		return CLI_USAGE;
	}
	r = load_run(&o, &result);
	if (r < 0) {
		(void)fprintf(stderr, "telamon route bench: %s\n", result.why);
		return CLI_NONE;
	}
	if (json)
		print_json(&o, &result);
	else
		print_text(&o, &result);
	return good(&result) ? CLI_OK : CLI_NONE;
}
