/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OOM record on the terminal
 *
 * Order of the lines is the order of the questions at 3 am: who died, who asked, whose limit, what grew, what pressed, what happened
 * after. All text of others is escaped.
 */

#include <string.h>
#include "base/parse.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/symbolise.h"
#include "cli/oom-show.h"

#define P "telamon.oom."

static bool has(const json_t *e, const char *key)
{
	return json_object_get(e, key) != NULL;
}

static bool is_true(const json_t *e, const char *key)
{
	return json_is_true(json_object_get(e, key));
}

static void add_process(struct strbuf *b, const json_t *e, const char *comm, const char *pid)
{
	double v = 0;

	cli_add_text(b, e, comm);
	if (cli_number(e, pid, &v))
		strbuf_addf(b, "[%.0f]", v);
}

/* The best name that there is: pod and container, container, unit, cgroup. */
static void add_place(struct strbuf *b, const json_t *e)
{
	if (has(e, "k8s.pod.name")) {
		strbuf_addstr(b, "pod ");
		cli_add_text(b, e, "k8s.namespace.name");
		strbuf_addch(b, '/');
		cli_add_text(b, e, "k8s.pod.name");
		if (has(e, "k8s.container.name")) {
			strbuf_addstr(b, " container ");
			cli_add_text(b, e, "k8s.container.name");
		}
	} else if (has(e, "container.name")) {
		strbuf_addstr(b, "container ");
		cli_add_text(b, e, "container.name");
	} else if (has(e, "container.id")) {
		const char *id = cli_text(e, "container.id");

		strbuf_addstr(b, "container ");
		text_add_terminal(b, id, MIN(strlen(id), (size_t)12));
	} else if (has(e, "telamon.unit")) {
		strbuf_addstr(b, "unit ");
		cli_add_text(b, e, "telamon.unit");
	} else {
		strbuf_addstr(b, "cgroup ");
		cli_add_text(b, e, "telamon.cgroup.path");
	}
}

static void add_named(struct strbuf *b, const char *name, const json_t *e, const char *key)
{
	strbuf_addstr(b, name);
	cli_add_text(b, e, key);
}

void oom_show_line(const json_t *e, struct strbuf *b)
{
	cli_add_moment(b, e);
	strbuf_addstr(b, "  ");
	add_process(b, e, P "comm", "process.pid");
	strbuf_addstr(b, "  ");
	add_place(b, e);
	add_named(b, "  ", e, P "scope");
	if (has(e, P "limit.max")) {
		strbuf_addstr(b, " limit ");
		cli_add_size(b, e, P "limit.max");
	}
	strbuf_addstr(b, "  rss ");
	cli_add_size(b, e, has(e, P "victim.rss") ? P "victim.rss" : P "victim.rss.anon");
	if (!streq(cli_text(e, P "role"), "chosen"))
		add_named(b, "  ", e, P "role");
	add_named(b, "  ", e, "telamon.id");
	strbuf_addch(b, '\n');
}

static void add_title(struct strbuf *b, const json_t *e)
{
	cli_add_moment(b, e);
	strbuf_addf(b, "  %sOOM kill%s  ", cli_colour("\033[1;31m"), cli_colour("\033[0m"));
	if (streq(cli_text(e, P "scope"), "memcg")) {
		strbuf_addstr(b, "memcg limit of ");
	} else {
		cli_add_text(b, e, P "scope");
		strbuf_addstr(b, ", victim in ");
	}
	add_place(b, e);
	if (has(e, "telamon.workload")) {
		strbuf_addstr(b, " (workload ");
		cli_add_text(b, e, "telamon.workload");
		strbuf_addch(b, ')');
	}
	strbuf_addch(b, '\n');
}

static void add_lifetime(struct strbuf *b, const json_t *e)
{
	uint64_t start, end;

	if (parse_rfc3339(cli_text(e, "process.creation.time"), &start) < 0 ||
	    parse_rfc3339(cli_text(e, "timestamp"), &end) < 0 || end < start)
		return;
	strbuf_addstr(b, "  ran ");
	text_add_duration(b, (end - start) / NS_PER_USEC);
}

static void add_killed(struct strbuf *b, const json_t *e)
{
	const json_t *args = json_object_get(e, "process.command_args"), *arg;
	double v;
	size_t i;

	strbuf_addstr(b, "  killed    ");
	add_process(b, e, P "comm", "process.pid");
	if (cli_number(e, P "members.count", &v) && v > 1)
		strbuf_addf(b, " and %.0f more of its group", v - 1);
	if (!streq(cli_text(e, P "role"), "chosen"))
		add_named(b, " as ", e, P "role");
	strbuf_addstr(b, "  ");
	cli_add_text(b, e, "process.executable.path");
	if (is_true(e, "telamon.exe.deleted"))
		strbuf_addstr(b, " (deleted)");
	json_array_foreach (args, i, arg) {
		if (i == 0 || !json_is_string(arg))
			continue;
		strbuf_addch(b, ' ');
		text_add_terminal(b, json_string_value(arg), json_string_length(arg));
	}
	if (has(e, "process.user.name")) {
		strbuf_addstr(b, "  user ");
		cli_add_text(b, e, "process.user.name");
	} else if (cli_number(e, "process.user.id", &v)) {
		strbuf_addf(b, "  user %.0f", v);
	}
	if (cli_number(e, P "victim.adj", &v))
		strbuf_addf(b, "  adj %.0f", v);
	if (has(e, P "victim.rss")) { /* a spilled record knows the sum alone */
		strbuf_addstr(b, "\n            rss ");
		cli_add_size(b, e, P "victim.rss");
		add_lifetime(b, e);
		strbuf_addch(b, '\n');
		return;
	}
	strbuf_addstr(b, "\n            rss anon ");
	cli_add_size(b, e, P "victim.rss.anon");
	strbuf_addstr(b, ", file ");
	cli_add_size(b, e, P "victim.rss.file");
	strbuf_addstr(b, ", shmem ");
	cli_add_size(b, e, P "victim.rss.shmem");
	strbuf_addstr(b, "  swap ");
	cli_add_size(b, e, P "victim.swap");
	strbuf_addstr(b, "  page tables ");
	cli_add_size(b, e, P "victim.pgtables");
	add_lifetime(b, e);
	strbuf_addch(b, '\n');
}

static void add_trigger(struct strbuf *b, const json_t *e)
{
	double pages, order;

	if (!has(e, P "trigger.pid"))
		return;
	strbuf_addstr(b, "  trigger   ");
	add_process(b, e, P "trigger.comm", P "trigger.pid");
	if (is_true(e, P "trigger.is_victim"))
		strbuf_addstr(b, ", the victim itself,");
	else if (has(e, P "trigger.k8s.container.name"))
		add_named(b, " in container ", e, P "trigger.k8s.container.name");
	else if (is_true(e, P "trigger.kernel_thread"))
		strbuf_addstr(b, ", a kernel thread,");
	if (cli_number(e, P "pages_requested", &pages) && cli_number(e, P "order", &order))
		strbuf_addf(b, " asked for %.0f page%s (order %.0f, ", pages, pages == 1 ? "" : "s",
			    order);
	else
		strbuf_addstr(b, " (");
	cli_add_text(b, e, P "gfp_mask");
	strbuf_addstr(b, ")\n");
}

static void add_limit(struct strbuf *b, const json_t *e)
{
	double distance = 0;

	if (!has(e, P "limit.cgroup.path") && !has(e, P "limit.max"))
		return;
	strbuf_addstr(b, "  limit     ");
	cli_add_text(b, e, P "limit.cgroup.path");
	strbuf_addstr(b, "  ");
	cli_add_size(b, e, P "limit.usage");
	strbuf_addstr(b, " used of ");
	cli_add_size(b, e, P "limit.max");
	if (cli_number(e, P "limit.distance", &distance) && distance > 0)
		strbuf_addf(b, ", %.0f level%s above the victim's cgroup", distance,
			    distance == 1 ? "" : "s");
	if (has(e, P "limit.oom_group"))
		strbuf_addf(b, "; oom.group %s", is_true(e, P "limit.oom_group") ? "on" : "off");
	if (!is_true(e, P "limit.certain"))
		strbuf_addstr(b, "; not certain");
	strbuf_addch(b, '\n');
}

static void add_grew(struct strbuf *b, const json_t *e)
{
	double bytes, rate;

	if (!cli_number(e, P "grower.bytes", &bytes))
		return;
	strbuf_addstr(b, "  grew      ");
	cli_add_text(b, e, P "grower.process.executable.path");
	strbuf_addstr(b, " +");
	text_add_bytes(b, (uint64_t)MAX(bytes, 0));
	if (cli_number(e, P "trend.rate", &rate)) {
		strbuf_addstr(b, " (");
		text_add_bytes(b, (uint64_t)MAX(rate, 0));
		strbuf_addstr(b, "/s)");
	}
	strbuf_addch(b, '\n');
}

static void add_pressure(struct strbuf *b, const json_t *e)
{
	double cgroup, system;
	bool has_cgroup = cli_number(e, P "psi.cgroup.full.avg10", &cgroup);

	if (!cli_number(e, P "psi.system.some.avg10", &system))
		return;
	strbuf_addstr(b, "  pressure  ");
	if (has_cgroup)
		strbuf_addf(b, "cgroup full %.1f %% (10 s), ", cgroup);
	strbuf_addf(b, "system some %.1f %%\n", system);
}

static void add_stat(struct strbuf *b, const json_t *e)
{
	static const struct {
		const char *key, *name;
	} keys[] = {
		{ P "stat.anon", "anon" }, { P "stat.shmem", "shmem" },
		{ P "stat.file", "file" }, { P "stat.slab_unreclaimable", "slab" },
		{ P "stat.sock", "sock" }, { P "stat.kernel_stack", "stacks" },
	};
	double age;

	if (!has(e, P "stat.anon"))
		return;
	strbuf_addstr(b, "  cgroup  ");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!has(e, keys[i].key))
			continue;
		strbuf_addf(b, "  %s ", keys[i].name);
		cli_add_size(b, e, keys[i].key);
	}
	if (cli_number(e, P "stat.age", &age)) {
		strbuf_addstr(b, "   (");
		text_add_duration(b, (uint64_t)(age * 1e6));
		strbuf_addstr(b, " after the kill)");
	}
	strbuf_addch(b, '\n');
}

static void add_host(struct strbuf *b, const json_t *e)
{
	if (streq(cli_text(e, P "scope"), "memcg") || !has(e, P "host.total"))
		return;
	strbuf_addstr(b, "  host      ");
	cli_add_size(b, e, P "host.available");
	strbuf_addstr(b, " available of ");
	cli_add_size(b, e, P "host.total");
	strbuf_addstr(b, ", swap ");
	cli_add_size(b, e, P "host.swap.free");
	strbuf_addstr(b, " free of ");
	cli_add_size(b, e, P "host.swap.total");
	strbuf_addch(b, '\n');
}

static void add_repeats(struct strbuf *b, const json_t *aftermath)
{
	const json_t *first = json_array_get(json_object_get(aftermath, P "members"), 0);
	double repeats;

	if (!aftermath)
		return;
	strbuf_addf(b, ", reaper %s",
		    *cli_text(first, "reaper") ? cli_text(first, "reaper") : "not needed");
	if (cli_number(aftermath, P "repeats", &repeats) && repeats > 0)
		strbuf_addf(b, ", %.0f other OOM%s in this cgroup in the minute before", repeats,
			    repeats == 1 ? "" : "s");
}

static void add_after(struct strbuf *b, const json_t *e, const json_t *aftermath)
{
	double v;

	if (!cli_number(e, P "time.to_exit", &v) && !aftermath)
		return;
	strbuf_addstr(b, "  after     ");
	if (cli_number(e, P "time.to_exit", &v)) {
		strbuf_addstr(b, "exited in ");
		text_add_duration(b, (uint64_t)(v * 1e6));
	} else {
		cli_add_text(b, aftermath, P "aftermath");
	}
	if (aftermath && has(aftermath, P "freed")) {
		strbuf_addstr(b, ", ");
		cli_add_size(b, aftermath, P "freed");
		strbuf_addstr(b, " freed");
	}
	add_repeats(b, aftermath);
	strbuf_addch(b, '\n');
}

static void add_stack(struct strbuf *b, const json_t *e)
{
	const json_t *stack = json_object_get(e, P "stack.user"), *v;
	size_t i;

	json_array_foreach (stack, i, v) {
		strbuf_addstr(b, i ? " < " : "  in        ");
		symbolise_frame(b, json_string_value(v) ? json_string_value(v) : "",
				cli_text(e, "process.executable.path"));
	}
	if (json_array_size(stack))
		strbuf_addch(b, '\n');
}

static void add_largest(struct strbuf *b, const json_t *e)
{
	const json_t *largest = json_object_get(e, P "largest"), *v;
	size_t i;

	json_array_foreach (largest, i, v) {
		strbuf_addstr(b, i ? ", " : "  others    ");
		cli_add_text(b, v, "comm");
		strbuf_addch(b, ' ');
		cli_add_size(b, v, "rss");
	}
	if (json_array_size(largest))
		strbuf_addch(b, '\n');
}

static void add_source(struct strbuf *b, const json_t *e)
{
	const json_t *hooks = json_object_get(e, "telamon.hook"),
		     *missing = json_object_get(e, P "missing"), *v;
	size_t i;

	strbuf_addstr(b, "  source   ");
	json_array_foreach (hooks, i, v) {
		const char *s = json_string_value(v), *slash = s ? strchr(s, '/') : NULL;

		if (!slash)
			continue;
		strbuf_addch(b, ' ');
		text_add_terminal(b, s, (size_t)(slash - s));
		strbuf_addch(b, '=');
		text_add_terminal(b, slash + 1, strlen(slash + 1));
	}
	strbuf_addstr(b, is_true(e, P "complete") ? "   complete" : "   incomplete");
	json_array_foreach (missing, i, v) {
		strbuf_addstr(b, i ? ", " : "; not known: ");
		if (json_is_string(v))
			text_add_terminal(b, json_string_value(v), json_string_length(v));
	}
	strbuf_addch(b, '\n');
}

void oom_show_record(const json_t *e, const json_t *aftermath, struct strbuf *b)
{
	add_title(b, e);
	add_killed(b, e);
	add_trigger(b, e);
	add_limit(b, e);
	add_grew(b, e);
	add_pressure(b, e);
	add_stat(b, e);
	add_host(b, e);
	add_largest(b, e);
	add_stack(b, e);
	add_after(b, e, aftermath);
	add_source(b, e);
}
