/* SPDX-License-Identifier: Apache-2.0 */
/* Writes docs/metrics.md and docs/configuration.md out of the tables that the programs use. Usage: gendocs metrics|configuration */

#include <stdio.h>
#include <string.h>
#include "agent/agent.h"
#include "agent/module.h"
#include "agent/self.h"

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

int main(int argc, char **argv)
{
	struct strbuf out = STRBUF_INIT;

	if (argc == 2 && streq(argv[1], "metrics"))
		write_metrics(&out);
	else if (argc == 2 && streq(argv[1], "configuration"))
		write_configuration(&out);
	else
		return 2;
	(void)fwrite(out.data, 1, out.len, stdout);
	strbuf_done(&out);
	return 0;
}
