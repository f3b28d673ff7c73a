/* SPDX-License-Identifier: Apache-2.0 */
/* telamon: the command for people */

#include <stdio.h>
#include <string.h>
#include "cli/cli.h"

static const struct cli_command commands[] = {
	{ "oom", "who was killed, by whom, at which limit", cli_oom, false },
	{ "events", "everything that the agent recorded, and what it records now", cli_events,
	  false },
	{ "doctor", "what this host allows, and why not more", cli_doctor, false },
	{ "lab", "provoke a real OOM kill in a cgroup of its own, check what was said", cli_lab,
	  false },
	{ "route", "the gateway's configuration, tables and queues, and load for it", cli_route,
	  false },
	{ "__hog", "", cli_hog, true },
};

static void print_help(FILE *f)
{
	(void)fprintf(f, "Usage: telamon COMMAND [options]\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!commands[i].hidden)
			(void)fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].help);
	(void)fprintf(f, "\n'telamon COMMAND --help' tells the options.\n");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return CLI_USAGE;
	}
	if (streq(argv[1], "--help") || streq(argv[1], "help")) {
		print_help(stdout);
		return CLI_OK;
	}
	if (streq(argv[1], "--version")) {
		printf("telamon %s\n", TELAMON_VERSION);
		return CLI_OK;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (streq(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	(void)fprintf(stderr, "telamon: there is no command '%s'\n", argv[1]);
	print_help(stderr);
	return CLI_USAGE;
}
