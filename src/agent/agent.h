/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include "base/cleanup.h"
#include "config/config.h"

struct agent_options { /* from the command line */
	const char *config_file; /* NULL: defaults */
	const char *listen_address;
	const char *telemetry_path; /* "/metrics" */
	const char *web_config_file; /* "" = plain HTTP */
};

struct module;
extern const struct module *const agent_modules[]; /* ends with NULL */
const struct config_section *
agent_sections(void); /* ends with {}; for the configuration reader and the docs */

struct paths_config {
	const char *rootfs, *run;
};

/*
 * Runs until SIGTERM or SIGINT. Returns the exit status: 0 stopped, 1 cannot start. Whatever this host refuses
 * degrades the service and is told once; only a bad configuration, a taken port and lack of memory end the start.
 */
int agent_run(const struct agent_options *o);
/* --config.check: prints all errors; 0 or 1. */
int agent_check(const struct agent_options *o);
