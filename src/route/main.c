/* SPDX-License-Identifier: Apache-2.0 */
/* telamon-route: command line, with the flags of the original gateway beside its own */

#include <curl/curl.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/parse.h"
#include "route/gateway.h"

enum { STATUS_CANNOT_START = 1, STATUS_USAGE = 2, LISTEN_MAX = 8 };
#define KEPT_BYTES (1024 * 1024)

struct flag {
	const char *name, *def,
		*help; /* def NULL: a switch; help NULL: of the original, not shown */
};

enum flag_index {
	FLAG_CONFIG_FILE,
	FLAG_CONFIG_CHECK,
	FLAG_LISTEN_ADDRESS,
	FLAG_ADMIN_ADDRESS,
	FLAG_WEB_CONFIG,
	FLAG_TELEMETRY_PATH,
	FLAG_LIFECYCLE,
	FLAG_STORAGE_PATH,
	FLAG_WORKERS,
	FLAG_SHUTDOWN_TIMEOUT,
	FLAG_SNAPPY,
	FLAG_LOG_LEVEL,
	FLAG_LOG_FORMAT,
	FLAG_VERSION,
	FLAG_HELP,
	FLAG_COMPAT_PATH,
	FLAG_COMPAT_NAME,
	FLAG_COMPAT_PORT,
	FLAG_COMPAT_SIZE,
	FLAG_COMPAT_TIMEOUT,
	FLAG_COMPAT_PPROF,
	_FLAG_MAX,
};

static const struct flag flags[_FLAG_MAX] = {
	[FLAG_CONFIG_FILE] = { "config.file", "/etc/telamon/route.yaml", "Configuration (YAML)." },
	[FLAG_CONFIG_CHECK] = { "config.check", NULL,
				"Check the configuration, print every error, exit." },
	[FLAG_LISTEN_ADDRESS] = { "web.listen-address", ":8080",
				  "Address of the HTTP server; may stand several times." },
	[FLAG_ADMIN_ADDRESS] = { "web.admin-address", "",
				 "Address for metrics, reload and status alone." },
	[FLAG_WEB_CONFIG] = { "web.config.file", "",
			      "TLS and users, in the exporter-toolkit format." },
	[FLAG_TELEMETRY_PATH] = { "web.telemetry-path", "/metrics", "Path of the metrics." },
	[FLAG_LIFECYCLE] = { "web.enable-lifecycle", NULL, "Allow POST /-/reload." },
	[FLAG_STORAGE_PATH] = { "storage.path", "/var/lib/telamon/route",
				"Directory of the queues." },
	[FLAG_WORKERS] = { "workers", "0", "Threads that receive; 0 = CPUs, at most 256." },
	[FLAG_SHUTDOWN_TIMEOUT] = { "shutdown.timeout", "30s", "Time for the stop." },
	[FLAG_SNAPPY] = { "send.snappy", "own", "Encoder of snappy bodies: own or lib." },
	[FLAG_LOG_LEVEL] = { "log.level", "info", "debug, info, warn or error." },
	[FLAG_LOG_FORMAT] = { "log.format", "logfmt", "logfmt or json." },
	[FLAG_VERSION] = { "version", NULL, "Print the version and exit." },
	[FLAG_HELP] = { "help", NULL, "Print this help and exit." },
	[FLAG_COMPAT_PATH] = { "config.path", "", NULL },
	[FLAG_COMPAT_NAME] = { "config.name", "", NULL },
	[FLAG_COMPAT_PORT] = { "listen.port", "", NULL },
	[FLAG_COMPAT_SIZE] = { "max.request.size", "", NULL },
	[FLAG_COMPAT_TIMEOUT] = { "write.timeout", "", NULL },
	[FLAG_COMPAT_PPROF] = { "pprof.enabled", NULL, NULL },
};

struct line { /* what the command line said */
	const char *values[_FLAG_MAX];
	const char *listen[LISTEN_MAX + 1];
	unsigned n_listen;
	char config[PATH_MAX], storage[PATH_MAX], port[32];
};

static void print_help(void)
{
	printf("Usage: telamon-route [flags]\n\nTakes Prometheus remote write, relabels, routes and shards it, and delivers it by "
	       "way of a queue on disk.\n\nFlags:\n");
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		char left[96];

		if (!flags[i].help)
			continue;
		(void)snprintf(left, sizeof(left), "--%s%s%s", flags[i].name,
			       flags[i].def && *flags[i].def ? "=" : "",
			       flags[i].def ? flags[i].def : "");
		printf("  %-42s %s\n", left, flags[i].help);
	}
}

static int complain(const char *flag, const char *value, const char *what)
{
	(void)fprintf(stderr, "telamon-route: --%s: '%s' is not %s\n", flag, value, what);
	return -1;
}

static int parse_flags(int argc, char **argv, struct line *l)
{
	struct option options[_FLAG_MAX + 1] = {};

	for (int i = 0; i < _FLAG_MAX; i++) {
		options[i] = (struct option){ flags[i].name,
					      flags[i].def ? required_argument : no_argument, NULL,
					      256 + i };
		l->values[i] = flags[i].def;
	}
	for (;;) {
		int c = getopt_long_only(argc, argv, "", options,
					 NULL); /* one dash, too, as Go programs take it */

		if (c == -1)
			break;
		if (c < 256)
			return -1;
		l->values[c - 256] = optarg ? optarg : "";
		if (c - 256 == FLAG_LISTEN_ADDRESS && l->n_listen == LISTEN_MAX)
			return complain("web.listen-address", optarg, "taken more than 8 times");
		if (c - 256 == FLAG_LISTEN_ADDRESS)
			l->listen[l->n_listen++] = optarg;
	}
	if (optind < argc) {
		(void)fprintf(stderr, "telamon-route: unexpected argument '%s'\n", argv[optind]);
		return -1;
	}
	return 0;
}

static int setup_log(const struct line *l)
{
	int level = log_level_from_string(l->values[FLAG_LOG_LEVEL]);
	int format = log_format_from_string(l->values[FLAG_LOG_FORMAT]);

	if (level < 0)
		return complain("log.level", l->values[FLAG_LOG_LEVEL],
				"one of debug info warn error");
	if (format < 0)
		return complain("log.format", l->values[FLAG_LOG_FORMAT], "one of logfmt json");
	log_setup((enum log_level)level, (enum log_format)format);
	return 0;
}

static void take_compat(struct line *l)
{
	const char *directory = l->values[FLAG_COMPAT_PATH], *name = l->values[FLAG_COMPAT_NAME];

	if (*directory || *name) {
		(void)snprintf(l->config, sizeof(l->config), "%s/%s", *directory ? directory : ".",
			       *name ? name : "config.yaml");
		l->values[FLAG_CONFIG_FILE] = l->config;
	}
	if (*l->values[FLAG_COMPAT_PORT] && !l->n_listen) {
		(void)snprintf(l->port, sizeof(l->port), ":%s", l->values[FLAG_COMPAT_PORT]);
		l->listen[l->n_listen++] = l->port;
	}
	if (l->values[FLAG_COMPAT_PPROF])
		log_warning("-pprof.enabled has no effect");
	if (!l->n_listen)
		l->listen[l->n_listen++] = flags[FLAG_LISTEN_ADDRESS].def;
}

/* Sizes and times of the original stand in for keys of the file. */
static int take_overrides(const struct line *l, struct gateway_options *o)
{
	const char *size = l->values[FLAG_COMPAT_SIZE], *timeout = l->values[FLAG_COMPAT_TIMEOUT];

	if (*size && parse_u64(size, &o->max_body) < 0)
		return complain("max.request.size", size, "a number of bytes");
	if (*timeout && parse_duration(timeout, &o->send_timeout_us) < 0)
		return complain("write.timeout", timeout, "a duration such as 30s");
	return 0;
}

/* Its queues are named in messages and locked by path: the path does not depend on a working directory. */
static int absolute_storage(struct line *l, struct gateway_options *o)
{
	char cwd[PATH_MAX];
	int n;

	if (!*o->storage_path)
		return complain("storage.path", o->storage_path, "a directory");
	if (o->storage_path[0] == '/')
		return 0;
	if (!getcwd(cwd, sizeof(cwd)))
		return complain("storage.path", o->storage_path,
				"an absolute path: the working directory has no name");
	n = snprintf(l->storage, sizeof(l->storage), "%s/%s", cwd, o->storage_path);
	if (n < 0 || (size_t)n >= sizeof(l->storage))
		return complain("storage.path", o->storage_path, "a shorter path");
	o->storage_path = l->storage;
	return 0;
}

static int take_options(struct line *l, struct gateway_options *o)
{
	uint32_t workers;
	const char *snappy = l->values[FLAG_SNAPPY];

	*o = (struct gateway_options){
		.config_file = l->values[FLAG_CONFIG_FILE],
		.web_config_file = l->values[FLAG_WEB_CONFIG],
		.admin_address = l->values[FLAG_ADMIN_ADDRESS],
		.telemetry_path = l->values[FLAG_TELEMETRY_PATH],
		.storage_path = l->values[FLAG_STORAGE_PATH],
		.listen_addresses = l->listen,
		.lifecycle = l->values[FLAG_LIFECYCLE],
	};
	if (parse_u32(l->values[FLAG_WORKERS], &workers) < 0 || workers > 256)
		return complain("workers", l->values[FLAG_WORKERS], "a number from 0 to 256");
	o->workers = workers;
	if (parse_duration(l->values[FLAG_SHUTDOWN_TIMEOUT], &o->shutdown_timeout_us) < 0)
		return complain("shutdown.timeout", l->values[FLAG_SHUTDOWN_TIMEOUT],
				"a duration such as 30s");
	if (!streq(snappy, "own") && !streq(snappy, "lib"))
		return complain("send.snappy", snappy, "one of own lib");
	o->snappy = streq(snappy, "lib") ? RW_SNAPPY_LIB : RW_SNAPPY_OWN;
	return absolute_storage(l, o) < 0 ? -1 : take_overrides(l, o);
}

int main(int argc, char **argv)
{
	static struct line l;
	struct gateway_options o;
	int status;

	if (parse_flags(argc, argv, &l) < 0 || (!l.values[FLAG_HELP] && setup_log(&l) < 0)) {
		(void)fprintf(stderr, "Try 'telamon-route --help'.\n");
		return STATUS_USAGE;
	}
	if (l.values[FLAG_HELP]) {
		print_help();
		return 0;
	}
	if (l.values[FLAG_VERSION]) {
		printf("telamon-route " TELAMON_VERSION "\n");
		return 0;
	}
	take_compat(&l);
	if (take_options(&l, &o) < 0)
		return STATUS_USAGE;
	/* Sealed blocks come and go by the hundred a second: their pages are kept for the next ones. */
	(void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
	(void)mallopt(M_ARENA_MAX, 2);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return STATUS_CANNOT_START;
	status = l.values[FLAG_CONFIG_CHECK] ? gateway_check(o.config_file) : gateway_run(&o);
	curl_global_cleanup();
	return status;
}
