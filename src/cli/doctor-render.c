/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's report as text. */

#include <string.h>
#include "cli/cli.h"
#include "cli/doctor.h"

static void add_runtimes(struct strbuf *b, const json_t *f)
{
	const json_t *files = json_object_get(f, "runtime_files"), *v;
	const char *name;

	if (!json_object_size(files))
		return;
	strbuf_addstr(b, "runtimes ");
	json_object_foreach ((json_t *)files, name, v)
		strbuf_addf(b, " %s %s", name, json_string_value(v));
	strbuf_addch(b, '\n');
}

/* Which security modules may refuse, and how far stamps of the kernel are from the wall clock. */
static void add_modules(struct strbuf *b, const json_t *f)
{
	double offset;

	if (*cli_text(f, "lsm")) {
		strbuf_addstr(b, "lsm       ");
		cli_add_text(b, f, "lsm");
		strbuf_addch(b, '\n');
	}
	if (cli_number(f, "clock_wall_minus_boot_seconds", &offset))
		strbuf_addf(b, "clock     boot + %.6f s\n", offset);
}

static const char *tracefs_text(const json_t *f)
{
	if (json_is_true(json_object_get(f, "tracefs_detached")))
		return "not mounted, read by a detached mount";
	return json_is_true(json_object_get(f, "tracefs")) ? "yes" : "no";
}

static void add_facts(struct strbuf *b, const json_t *f)
{
	const json_t *sysctl = json_object_get(f, "sysctl"), *v;
	const char *name;
	size_t i;

	if (!json_object_size(f))
		return;
	strbuf_addf(
		b,
		"kernel    %s %s  page %lld KiB  BTF %s  tracefs %s  lockdown %s  cgroup %s  PSI %s\n",
		cli_text(f, "kernel"), cli_text(f, "arch"),
		(long long)json_integer_value(json_object_get(f, "page_size")) / 1024,
		json_is_true(json_object_get(f, "btf")) ? "yes" : "no", tracefs_text(f),
		cli_text(f, "lockdown"), *cli_text(f, "cgroup") ? cli_text(f, "cgroup") : "none",
		json_is_true(json_object_get(f, "psi")) ? "yes" : "no");
	strbuf_addf(b, "memory    controller at %s%s\n", cli_text(f, "memory_root"),
		    json_is_true(json_object_get(f, "cgroup_namespaced"))
			    ? ", seen from a cgroup namespace"
			    : "");
	strbuf_addstr(b, "sysctl   ");
	json_object_foreach ((json_t *)sysctl, name, v)
		strbuf_addf(b, " %s=%s", name, json_string_value(v));
	strbuf_addstr(b, "\nrights    held");
	json_array_foreach (json_object_get(f, "capabilities_held"), i, v)
		strbuf_addf(b, " %s", json_string_value(v));
	json_array_foreach (json_object_get(f, "capabilities_missing"), i, v)
		strbuf_addf(b, "%s %s (%s)", i ? "," : "  missing", cli_text(v, "name"),
			    cli_text(v, "effect"));
	strbuf_addch(b, '\n');
	add_modules(b, f);
	add_runtimes(b, f);
	json_array_foreach (json_object_get(f, "other_oom_daemons"), i, v)
		strbuf_addf(b, "beside    %s runs too and kills by its own rules\n",
			    json_string_value(v));
}

static long long number(const json_t *agent, const char *group, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(agent, group), key));
}

static void add_agent(struct strbuf *b, const json_t *a)
{
	if (!json_object_size(a))
		return;
	strbuf_addf(b,
		    "protect   memory %slocked, event path %stouched, oom_score_adj %s  resident "
		    "%.1f MiB\n",
		    number(a, "protection", "locked") ? "" : "not ",
		    number(a, "protection", "ring_prefault") ? "" : "not ",
		    number(a, "protection", "adj") ? "set" : "not set",
		    (double)number(a, "memory", "resident_bytes") / (1 << 20));
	strbuf_addf(b,
		    "ring      %lld KiB, spill %lld records; read %lld, spilled %lld, lost %lld, ",
		    number(a, "ring", "bytes") / 1024, number(a, "ring", "spill_capacity"),
		    number(a, "ring", "records"), number(a, "ring", "ring_full"),
		    number(a, "ring", "spill_full") + number(a, "ring", "decode") +
			    number(a, "ring", "victims_full"));
	strbuf_addf(b, "unseen %lld, journal errors %lld\n", number(a, "ring", "unseen"),
		    number(a, "journal", "errors"));
}

static void add_reasons(struct strbuf *b, const json_t *state)
{
	const json_t *v;
	bool first = true;
	size_t i;

	json_array_foreach (json_object_get(state, "variants"), i, v) {
		const char *reason = cli_text(v, "reason");

		if (json_is_true(json_object_get(v, "live")))
			break; /* what stands below is worse */
		if (streq(reason, "ok") || streq(reason, "not_needed"))
			continue;
		strbuf_addstr(b, first ? "" : "; ");
		cli_add_text(b, v, "name");
		strbuf_addch(b, ' ');
		cli_add_text(b, v, "reason");
		first = false;
	}
}

void doctor_render(const json_t *facts, const json_t *agent, const json_t *capabilities, int status,
		   struct strbuf *b)
{
	static const char *const results[] = { "every capability has a variant", "degraded", "",
					       "blind: OOM kills are not seen by process" };
	const json_t *state;
	unsigned none = 0;
	size_t i;

	add_facts(b, facts);
	add_agent(b, agent);
	strbuf_addf(b, "\n%-14s %-14s %s\n", "CAPABILITY", "LIVE", "NOT LIVE BECAUSE");
	json_array_foreach (capabilities, i, state) {
		const char *live = cli_text(state, "live");
		size_t mark;

		cli_add_padded(b, state, "capability", 14);
		strbuf_addf(b, " %s", cli_colour(streq(live, "none") ? "\033[31m" : "\033[32m"));
		cli_add_padded(b, state, "live", 14);
		strbuf_addf(b, "%s ", cli_colour("\033[0m"));
		mark = b->len;
		add_reasons(b, state);
		if (streq(live, "none")) {
			none++;
			strbuf_addstr(b, "   ");
			cli_add_text(b, state, "without");
		} else if (b->len == mark) {
			while (b->len && b->data[b->len - 1] == ' ')
				strbuf_truncate(b, b->len - 1);
		}
		strbuf_addch(b, '\n');
	}
	strbuf_addf(b, "\nresult    %s", results[status]);
	if (none)
		strbuf_addf(b, ": %u capabilit%s without variant", none, none == 1 ? "y" : "ies");
	strbuf_addch(b, '\n');
}
