/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config/config.h"
#include "event/stream.h"

/* Section `events:` of the agent's file. */
struct events_config {
	struct {
		const char *path;
		uint64_t retention_us, max_bytes;
	} journal;
	struct config_list sinks; /* struct events_sink_config */
	struct config_strings redact;
	uint32_t max_clients;
};
extern const struct config_row events_config_rows[];

#define EVENTS_SINKS_MAX 8
/* @sinks: room for EVENTS_SINKS_MAX, borrowed by @ret. */
void events_config_options(const struct events_config *c, struct event_sink_config *sinks,
			   struct event_stream_options *ret);
