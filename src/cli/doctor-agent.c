/* SPDX-License-Identifier: Apache-2.0 */
/* What the running agent says of its own protection and losses: a few lines of its /metrics. */

#include <errno.h>
#include <string.h>
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/doctor.h"

#define BODY_MAX (16U << 20)
#define TIMEOUT_MS 2000

/* One sample: its name with one label at most, and where it goes in the report. */
static const struct {
	const char *series, *group, *key;
} wanted[] = {
	{ "telamon_agent_protection{what=\"locked\"}", "protection", "locked" },
	{ "telamon_agent_protection{what=\"adj\"}", "protection", "adj" },
	{ "telamon_agent_protection{what=\"ring_prefault\"}", "protection", "ring_prefault" },
	{ "process_resident_memory_bytes", "memory", "resident_bytes" },
	{ "telamon_oom_ring_size_bytes", "ring", "bytes" },
	{ "telamon_oom_spill_capacity", "ring", "spill_capacity" },
	{ "telamon_oom_records_total", "ring", "records" },
	{ "telamon_oom_lost_total{reason=\"ring_full\"}", "ring", "ring_full" },
	{ "telamon_oom_lost_total{reason=\"spill_full\"}", "ring", "spill_full" },
	{ "telamon_oom_lost_total{reason=\"decode\"}", "ring", "decode" },
	{ "telamon_oom_lost_total{reason=\"victims_full\"}", "ring", "victims_full" },
	{ "telamon_oom_unseen_kills_total", "ring", "unseen" },
	{ "telamon_identity_track_lost_total", "identity", "track_lost" },
	{ "telamon_journal_errors_total", "journal", "errors" },
};

static int add_body(void *ctx, const char *data, size_t len)
{
	struct strbuf *b = ctx;

	strbuf_add(b, data, len);
	return b->error;
}

static void take_line(json_t *agent, const char *line, size_t len)
{
	char value[64];
	double v;

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		size_t n = strlen(wanted[i].series);
		json_t *group;

		if (len <= n + 1 || strncmp(line, wanted[i].series, n) != 0 || line[n] != ' ' ||
		    len - n - 1 >= sizeof(value))
			continue;
		memcpy(value, line + n + 1, len - n - 1);
		value[len - n - 1] = '\0';
		if (parse_double(value, &v) < 0)
			return;
		group = json_object_get(agent, wanted[i].group);
		if (!group) {
			group = json_object();
			(void)json_object_set_new(agent, wanted[i].group, group);
		}
		(void)json_object_set_new(group, wanted[i].key, json_integer((json_int_t)v));
		return;
	}
}

json_t *doctor_agent_parse(const char *metrics)
{
	json_t *agent = json_object();

	for (const char *line = metrics; *line;) {
		size_t len = strcspn(line, "\n");

		if (*line != '#')
			take_line(agent, line, len);
		line += len;
		line += *line == '\n';
	}
	return agent;
}

json_t *doctor_agent(const char *url, const struct http_client_options *options)
{
	_cleanup_strbuf_ struct strbuf body = STRBUF_INIT, address = STRBUF_INIT;
	struct http_client_options o = *options;
	char why[256];

	o.timeout_ms = TIMEOUT_MS;
	o.body_max = BODY_MAX;
	strbuf_addf(&address, "%s/metrics", url);
	if (http_client_get(strbuf_str(&address), &o, NULL, add_body, &body, why, sizeof(why)) !=
	    200)
		return NULL;
	return doctor_agent_parse(strbuf_str(&body));
}
