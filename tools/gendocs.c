/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes out of the tables that the programs use: docs/metrics.md, docs/configuration.md, docs/route-configuration.md,
 * packaging/config/agent.yaml and the keys of the manual pages of section 5.
 * Usage: gendocs metrics|configuration|route-configuration|example|man|route-man
 */

#include <stdio.h>
#include <string.h>
#include "agent/agent.h"
#include "agent/module.h"
#include "agent/self.h"
#include "route/config.h"
#include "route/rows.h"

static void write_metrics(struct strbuf *out)
{
	strbuf_addstr(
		out,
		"# Metrics\n\nWritten by `build/gendocs metrics` out of the rows in the source; `./dev test` compares.\n"
		"Labels with a closed set of values show it in brackets.\n");
	metrics_write_docs("agent", self_metrics, _SELF_METRIC_MAX, out);
	for (size_t i = 0; agent_modules[i]; i++)
		if (agent_modules[i]->metrics)
			metrics_write_docs(agent_modules[i]->name, agent_modules[i]->metrics,
					   agent_modules[i]->n_metrics, out);
	metrics_write_docs("telamon-route", route_metric_rows, _ROUTE_METRIC_MAX, out);
}

static void write_configuration(struct strbuf *out)
{
	strbuf_addstr(
		out,
		"# Configuration of telamon-agent\n\n"
		"Written by `build/gendocs configuration` out of the rows in the source; `./dev test` compares.\n"
		"Every key has a default; without a file the agent runs on them. Sizes carry a unit (`1MiB`), so do\n"
		"durations (`500ms`, `1h30m`). `takes effect` tells whether a reload is enough.\n");
	config_write_markdown(agent_sections(), out);
}

static void write_route_configuration(struct strbuf *out)
{
	strbuf_addstr(
		out,
		"# Configuration of telamon-route\n\n"
		"Written by `build/gendocs route-configuration` out of the rows in the source; `./dev test` compares.\n"
		"Sizes carry a unit (`1MiB`), so do durations (`500ms`). Destinations inherit from `defaults`, nodes from their destination.\n");
	config_write_markdown(route_config_sections(), out);
}

static void write_example(struct strbuf *out)
{
	strbuf_addstr(
		out,
		"# SPDX-License-Identifier: Apache-2.0\n"
		"# Configuration of telamon-agent: every key with its default. Written by `build/gendocs example`; `./dev test` compares.\n"
		"# Remove the # in front of a key to change it. Check by: telamon-agent --config.file=agent.yaml --config.check\n"
		"# Explained in telamon-agent.yaml(5).\n");
	config_write_example(agent_sections(), out);
}

int main(int argc, char **argv)
{
	struct strbuf out = STRBUF_INIT;

	if (argc == 2 && streq(argv[1], "metrics"))
		write_metrics(&out);
	else if (argc == 2 && streq(argv[1], "configuration"))
		write_configuration(&out);
	else if (argc == 2 && streq(argv[1], "example"))
		write_example(&out);
	else if (argc == 2 && streq(argv[1], "route-configuration"))
		write_route_configuration(&out);
	else if (argc == 2 && streq(argv[1], "man"))
		config_write_rst(agent_sections(), &out);
	else if (argc == 2 && streq(argv[1], "route-man"))
		config_write_rst(route_config_sections(), &out);
	else
		return 2;
	(void)fwrite(out.data, 1, out.len, stdout);
	strbuf_done(&out);
	return 0;
}
