/* SPDX-License-Identifier: Apache-2.0 */
/* Section `events:` of the agent's file: journal, sinks, redaction. */

#include <errno.h>
#include <string.h>
#include "agent/events-config.h"
#include "event/redact.h"

struct events_sink_config {
	int type; /* enum event_sink_type */
	const char *path;
	struct config_strings types;
};

static const char *const sink_types[] = { "stdout", "file", "journald", NULL };

/* The item of a list of text is the text itself. */
static int check_pattern(const void *value, char *why, size_t why_size)
{
	const char *pattern = value;
	struct redact *r = NULL;
	int error = redact_new(&pattern, 1, why, why_size, &r);

	redact_free(r);
	return error;
}

static int check_sink_path(const void *value, char *why, size_t why_size)
{
	const char *path = *(const char *const *)value;

	if (strlen(path) < 4000)
		return 0;
	(void)snprintf(why, why_size, "is too long");
	return -EINVAL;
}

static const struct config_row journal_rows[] = {
	{ .key = "path",
	  .type = CONFIG_PATH,
	  .offset = 0,
	  .size = sizeof(char *),
	  .def = "/var/lib/telamon/journal.db",
	  .help = "File of the event journal." },
	{ .key = "retention",
	  .type = CONFIG_DURATION,
	  .offset = 8,
	  .size = 8,
	  .def = "30d",
	  .min = "1h",
	  .max = "365d",
	  .help = "Age at which events leave the journal." },
	{ .key = "max_bytes",
	  .type = CONFIG_SIZE,
	  .offset = 16,
	  .size = 8,
	  .def = "256MiB",
	  .min = "8MiB",
	  .max = "64GiB",
	  .help = "Size at which the oldest events leave the journal." },
	{},
};
_Static_assert(offsetof(struct events_config, journal.retention_us) -
				       offsetof(struct events_config, journal) ==
			       8 &&
		       offsetof(struct events_config, journal.max_bytes) -
				       offsetof(struct events_config, journal) ==
			       16,
	       "offsets of the rows above");

static const struct config_row sink_rows[] = {
	CONFIG_ROW("type", struct events_sink_config, type, CONFIG_ENUM, .names = sink_types,
		   .flags = CONFIG_REQUIRED, .help = "Where events go."),
	CONFIG_ROW("path", struct events_sink_config, path, CONFIG_PATH, .check = check_sink_path,
		   .help = "File of a file sink; socket of journald where it is not the usual one."),
	CONFIG_ROW("types", struct events_sink_config, types, CONFIG_STRINGS, .def = "[]",
		   .max_items = 32, .help = "Names or prefixes of events; without it all."),
	{},
};

const struct config_row events_config_rows[] = {
	CONFIG_ROW("journal", struct events_config, journal, CONFIG_MAP, .rows = journal_rows,
		   .help = "The event journal."),
	CONFIG_ROW("sinks", struct events_config, sinks, CONFIG_LIST, .rows = sink_rows,
		   .item_size = sizeof(struct events_sink_config), .max_items = EVENTS_SINKS_MAX,
		   .help = "Where events go besides the journal."),
	CONFIG_ROW(
		"redact", struct events_config, redact, CONFIG_STRINGS,
		.def = "['(?i)^(--?(?:password|passwd|token|secret|api-?key)[= ]).+', "
		       "'(?i)^(\\w*(?:TOKEN|PASSWORD|SECRET)=).+']",
		.max_items = 64, .flags = CONFIG_RELOAD, .check = check_pattern,
		.help = "Regular expressions; what they match of an argument is hidden but for the group."),
	CONFIG_ROW("max_clients", struct events_config, max_clients, CONFIG_UINT, .def = "16",
		   .max = "256", .help = "Clients that may follow /events at a time."),
	{},
};

void events_config_options(const struct events_config *c, struct event_sink_config *sinks,
			   struct event_stream_options *ret)
{
	const struct events_sink_config *items = c->sinks.items;

	for (size_t i = 0; i < c->sinks.n && i < EVENTS_SINKS_MAX; i++)
		sinks[i] = (struct event_sink_config){
			.type = items[i].type,
			.path = items[i].path,
			.types = items[i].types.items,
			.n_types = items[i].types.n,
		};
	*ret = (struct event_stream_options){
		.journal = { c->journal.path, c->journal.retention_us, c->journal.max_bytes },
		.sinks = sinks,
		.n_sinks = MIN(c->sinks.n, (size_t)EVENTS_SINKS_MAX),
		.clients_max = c->max_clients,
	};
}
