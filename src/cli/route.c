/* SPDX-License-Identifier: Apache-2.0 */
/* telamon route: the gateway's configuration, tables and queues from outside, and load for it */

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "base/diag.h"
#include "base/parse.h"
#include "cli/route.h"

static const struct cli_command commands[] = {
	{ "check", "is this configuration sound", cli_route_check, false },
	{ "plan", "what a change of nodes moves, and a table that moves less", cli_route_plan,
	  false },
	{ "explain", "the way of one series, step by step", cli_route_explain, false },
	{ "replay", "send what lies in queue, dead-letter or archive segments", cli_route_replay,
	  false },
	{ "bench", "load: realistic remote write, or the sink that counts it", cli_route_bench,
	  false },
};

static void print_help(FILE *f)
{
	(void)fprintf(f, "Usage: telamon route COMMAND [options]\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		(void)fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].help);
	(void)fprintf(f, "\n'telamon route COMMAND --help' tells the options.\n");
}

int cli_route(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return CLI_USAGE;
	}
	if (streq(argv[1], "--help") || streq(argv[1], "help")) {
		print_help(stdout);
		return CLI_OK;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (streq(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	(void)fprintf(stderr, "telamon route: there is no command '%s'\n", argv[1]);
	print_help(stderr);
	return CLI_USAGE;
}

/* --- shared --- */

int route_address(const char *text, bool passive, struct sockaddr_storage *ret, unsigned *ret_len)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
					.ai_socktype = SOCK_STREAM,
					.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0) };
	const char *colon = strrchr(text, ':');
	struct addrinfo *found = NULL;
	char host[256];
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!colon || len >= sizeof(host))
		return -EINVAL;
	if (len > 1 && text[0] == '[' && text[len - 1] == ']')
		(void)snprintf(host, sizeof(host), "%.*s", (int)len - 2, text + 1);
	else
		(void)snprintf(host, sizeof(host), "%.*s", (int)len, text);
	if (getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found) != 0 || !found)
		return -EINVAL;
	memcpy(ret, found->ai_addr, found->ai_addrlen);
	*ret_len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

bool route_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value;

	if (parse_u64(text, &value) < 0 || value < min || value > max) {
		(void)fprintf(stderr,
			      "telamon route: --%s '%s' is not a number from %llu to %llu\n",
			      option, text, (unsigned long long)min, (unsigned long long)max);
		return false;
	}
	*ret = value;
	return true;
}

bool route_format(const char *text, bool *ret_json)
{
	*ret_json = streq(text, "json");
	if (*ret_json || streq(text, "text"))
		return true;
	(void)fprintf(stderr, "telamon route: --format '%s' is neither text nor json\n", text);
	return false;
}

bool route_duration(const char *option, const char *text, uint64_t *ret_us)
{
	if (parse_duration(text, ret_us) == 0)
		return true;
	(void)fprintf(stderr, "telamon route: --%s '%s' is not a duration such as 10s or 5m\n",
		      option, text);
	return false;
}

void route_print_diags(const struct diags *d, const char *prefix)
{
	char line[768];

	for (size_t i = 0; i < d->n; i++)
		(void)fprintf(stderr, "%s%s\n", prefix,
			      diag_format(&d->items[i], line, sizeof(line)));
	if (d->total > d->n)
		(void)fprintf(stderr, "%sand %zu more\n", prefix, d->total - d->n);
}
