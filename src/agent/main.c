/* SPDX-License-Identifier: Apache-2.0 */
/* telamon-agent: command line */

#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/agent.h"
#include "base/log.h"
#include "base/macro.h"

enum { STATUS_USAGE = 2 };

struct flag {
	const char *name, *def, *help; /* def NULL: a switch */
};

enum flag_index {
	FLAG_CONFIG_FILE,
	FLAG_CONFIG_CHECK,
	FLAG_LISTEN_ADDRESS,
	FLAG_TELEMETRY_PATH,
	FLAG_WEB_CONFIG,
	FLAG_LOG_LEVEL,
	FLAG_LOG_FORMAT,
	FLAG_VERSION,
	FLAG_HELP,
	_FLAG_MAX,
};

static const struct flag flags[_FLAG_MAX] = {
	[FLAG_CONFIG_FILE] = { "config.file", "",
			       "Configuration (YAML). Without it, defaults are used." },
	[FLAG_CONFIG_CHECK] = { "config.check", NULL,
				"Check the configuration files, print every error, exit." },
	[FLAG_LISTEN_ADDRESS] = { "web.listen-address", ":9102", "Address of the HTTP server." },
	[FLAG_TELEMETRY_PATH] = { "web.telemetry-path", "/metrics", "Path of the metrics." },
	[FLAG_WEB_CONFIG] = { "web.config.file", "",
			      "TLS and users, in the exporter-toolkit format." },
	[FLAG_LOG_LEVEL] = { "log.level", "info", "debug, info, warn or error." },
	[FLAG_LOG_FORMAT] = { "log.format", "logfmt", "logfmt or json." },
	[FLAG_VERSION] = { "version", NULL, "Print the version and exit." },
	[FLAG_HELP] = { "help", NULL, "Print this help and exit." },
};

static void print_help(void)
{
	printf("Usage: telamon-agent [flags]\n\nWatches this node: OOM kills from the kernel hook to the metric, "
	       "with journal and events.\n\nFlags:\n");
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		char left[64];

		(void)snprintf(left, sizeof(left), "--%s%s%s", flags[i].name,
			       flags[i].def && *flags[i].def ? "=" : "",
			       flags[i].def ? flags[i].def : "");
		printf("  %-34s %s\n", left, flags[i].help);
	}
}

static int parse_flags(int argc, char **argv, const char *values[_FLAG_MAX])
{
	struct option options[_FLAG_MAX + 1] = {};

	for (int i = 0; i < _FLAG_MAX; i++) {
		options[i] = (struct option){ flags[i].name,
					      flags[i].def ? required_argument : no_argument, NULL,
					      256 + i };
		values[i] = flags[i].def;
	}
	for (;;) {
		int c = getopt_long(argc, argv, "", options, NULL);

		if (c == -1)
			break;
		if (c < 256)
			return -1; /* getopt_long() said why */
		values[c - 256] = optarg ? optarg : "";
	}
	if (optind < argc) {
		(void)fprintf(stderr, "telamon-agent: unexpected argument '%s'\n", argv[optind]);
		return -1;
	}
	return 0;
}

static int setup_log(const char *const values[_FLAG_MAX])
{
	int level = log_level_from_string(values[FLAG_LOG_LEVEL]);
	int format = log_format_from_string(values[FLAG_LOG_FORMAT]);

	if (level < 0) {
		(void)fprintf(
			stderr,
			"telamon-agent: --log.level: '%s' is not one of debug info warn error\n",
			values[FLAG_LOG_LEVEL]);
		return -1;
	}
	if (format < 0) {
		(void)fprintf(stderr,
			      "telamon-agent: --log.format: '%s' is not one of logfmt json\n",
			      values[FLAG_LOG_FORMAT]);
		return -1;
	}
	log_setup(level, format);
	return 0;
}

/*
 * Locked memory must stay small. Big blocks (the kernel's BTF at start) go back to the kernel when they are freed: glibc would
 * otherwise raise its threshold after the first and keep the next ones in the heap. Few arenas, because the threads are idle.
 */
static void tune_malloc(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 256 * 1024);
	(void)mallopt(M_ARENA_MAX, 2);
}

/* Else the first files that are opened would stand where logs and sinks write. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 2);
	if (fd > 2)
		(void)close(fd);
}

int main(int argc, char **argv)
{
	const char *values[_FLAG_MAX];
	struct agent_options o;

	fill_standard_descriptors();
	tune_malloc();

	if (parse_flags(argc, argv, values) < 0) {
		(void)fprintf(stderr, "Try 'telamon-agent --help'.\n");
		return STATUS_USAGE;
	}
	if (values[FLAG_HELP]) {
		print_help();
		return 0;
	}
	if (values[FLAG_VERSION]) {
		printf("telamon-agent %s\n", TELAMON_VERSION);
		return 0;
	}
	if (setup_log(values) < 0)
		return STATUS_USAGE;

	o = (struct agent_options){
		.config_file = *values[FLAG_CONFIG_FILE] ? values[FLAG_CONFIG_FILE] : NULL,
		.listen_address = values[FLAG_LISTEN_ADDRESS],
		.telemetry_path = values[FLAG_TELEMETRY_PATH],
		.web_config_file = values[FLAG_WEB_CONFIG],
	};
	if (values[FLAG_CONFIG_CHECK])
		return agent_check(&o);
	return agent_run(&o);
}
