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

static void add_named(struct strbuf *b, const char *name, const json_t *e, const char *key)
{
	strbuf_addstr(b, name);
	cli_add_text(b, e, key);
}

static void add_short(struct strbuf *b, const json_t *e, const char *key)
{
	const char *id = cli_text(e, key);

	text_add_terminal(b, id, MIN(strlen(id), (size_t)12));
}

/* The name of a container without its pod; nothing where there is none. */
static bool add_container(struct strbuf *b, const json_t *e)
{
	static const char *const names[] = { "k8s.container.name", "container.name" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (has(e, names[i])) {
			add_named(b, "container ", e, names[i]);
			return true;
		}
	}
	if (!has(e, "container.id"))
		return false;
	strbuf_addstr(b, "container ");
	add_short(b, e, "container.id");
	return true;
}

static void add_pod(struct strbuf *b, const json_t *e)
{
	strbuf_addstr(b, "pod ");
	if (!has(e, "k8s.pod.name")) {
		cli_add_text(b, e,
			     has(e, P "limit.k8s.pod.uid") ? P "limit.k8s.pod.uid" : "k8s.pod.uid");
		return;
	}
	cli_add_text(b, e, "k8s.namespace.name");
	strbuf_addch(b, '/');
	cli_add_text(b, e, "k8s.pod.name");
}

/* The best name that there is: pod and container, container, unit, cgroup. */
static void add_place(struct strbuf *b, const json_t *e)
{
	if (has(e, "k8s.pod.name")) {
		add_pod(b, e);
		if (has(e, "k8s.container.name"))
			add_named(b, " container ", e, "k8s.container.name");
	} else if (!add_container(b, e)) {
		bool unit = has(e, "telamon.unit");

		add_named(b, unit ? "unit " : "cgroup ", e,
			  unit ? "telamon.unit" : "telamon.cgroup.path");
	}
}

/* What has a place but no victim. */
static void add_other_line(const json_t *e, struct strbuf *b)
{
	double v;

	if (cli_number(e, P "unseen", &v))
		strbuf_addf(b, "%.0f kill%s unseen", v, v == 1 ? "" : "s");
	else
		strbuf_addstr(b, streq(cli_text(e, "event.name"), "oom.unseen")
					 ? "kills unseen"
					 : "no victim found");
	if (has(e, "telamon.cgroup.path")) {
		strbuf_addstr(b, "  ");
		add_place(b, e);
	}
	if (has(e, P "scope"))
		add_named(b, "  ", e, P "scope");
	if (cli_number(e, P "trigger.pid", &v))
		strbuf_addf(b, "  asked by %.0f", v);
	if (json_is_false(json_object_get(e, P "certain")))
		strbuf_addstr(b, "  not certain");
	add_named(b, "  ", e, "telamon.id");
	strbuf_addch(b, '\n');
}

static bool has_victim(const json_t *e)
{
	const char *name = cli_text(e, "event.name");

	return !streq(name, "oom.no_victim") && !streq(name, "oom.unseen");
}

void oom_show_line(const json_t *e, struct strbuf *b)
{
	cli_add_moment(b, e);
	strbuf_addstr(b, "  ");
	if (!has_victim(e)) {
		add_other_line(e, b);
		return;
	}
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

static bool same_text(const json_t *e, const char *a, const char *b)
{
	return has(e, a) && streq(cli_text(e, a), cli_text(e, b));
}

static void add_last_component(struct strbuf *b, const json_t *e, const char *key)
{
	const char *path = cli_text(e, key), *slash = strrchr(path, '/');

	path = slash && slash[1] ? slash + 1 : path;
	text_add_terminal(b, path, strlen(path));
}

/* The place whose limit it was, which need not be the victim's. True when the name says where the victim is, too. */
static bool add_limiting_place(struct strbuf *b, const json_t *e)
{
	static const struct {
		const char *kind, *name;
		bool whole; /* the whole path, not its last component */
	} kinds[] = {
		{ "k8s_qos", "QoS class ", false },	  { "k8s_root", "all pods, ", true },
		{ "systemd_service", "service ", false }, { "systemd_scope", "scope ", false },
		{ "systemd_slice", "slice ", false },	  { "user", "user ", false },
		{ "machine", "machine ", false },	  { "job", "job ", true },
	};
	const char *kind = cli_text(e, P "limit.kind");

	if (streq(kind, "k8s_pod")) {
		add_pod(b, e);
		return true;
	}
	if (streq(kind, "container") && same_text(e, P "limit.container.id", "container.id")) {
		add_place(b, e);
		return true;
	}
	if (streq(kind, "container") && has(e, P "limit.container.id")) {
		strbuf_addstr(b, "container ");
		add_short(b, e, P "limit.container.id");
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!streq(kind, kinds[i].kind))
			continue;
		strbuf_addstr(b, kinds[i].name);
		if (kinds[i].whole)
			cli_add_text(b, e, P "limit.cgroup.path");
		else
			add_last_component(b, e, P "limit.cgroup.path");
		return false;
	}
	add_named(b, "cgroup ", e, P "limit.cgroup.path");
	return same_text(e, P "limit.cgroup.path", "telamon.cgroup.path") &&
	       !has(e, "container.id") && !has(e, "telamon.unit");
}

static void add_scope(struct strbuf *b, const json_t *e)
{
	static const struct {
		const char *scope, *text;
	} scopes[] = {
		{ "global", "memory of the host" },
		{ "cpuset", "memory of a cpuset of the host" },
		{ "mempolicy", "memory policy, nodes of the host" },
		{ "sysrq", "asked for by sysrq, on the host" },
		{ "memcg", "memcg limit" }, /* of a cgroup that is not known */
	};
	const char *scope = cli_text(e, P "scope");

	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		if (streq(scope, scopes[i].scope)) {
			strbuf_addstr(b, scopes[i].text);
			return;
		}
	}
	strbuf_addstr(b, "scope ");
	cli_add_text(b, e, P "scope");
}

static const char *title_of(const json_t *e)
{
	static const struct {
		const char *name, *title;
	} titles[] = {
		{ "oom.reserve", "OOM reserve for a dying process" },
		{ "oom.no_victim", "OOM without a victim" },
		{ "oom.unseen", "OOM kills unseen" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(titles); i++)
		if (streq(cli_text(e, "event.name"), titles[i].name))
			return titles[i].title;
	return "OOM kill";
}

static void add_title(struct strbuf *b, const json_t *e)
{
	bool placed = false, scoped = has(e, P "scope") || has_victim(e);
	double unseen;

	cli_add_moment(b, e);
	strbuf_addf(b, "  %s%s%s  ", cli_colour("\033[1;31m"), title_of(e), cli_colour("\033[0m"));
	if (streq(cli_text(e, P "scope"), "memcg") && has(e, P "limit.cgroup.path")) {
		strbuf_addstr(b, "memcg limit of ");
		placed = add_limiting_place(b, e);
	} else if (scoped) {
		add_scope(b, e);
	} else if (cli_number(e, P "unseen", &unseen)) {
		strbuf_addf(b, "%.0f ", unseen);
	}
	if (!placed && (has_victim(e) || has(e, "telamon.cgroup.path"))) {
		strbuf_addstr(b, has_victim(e) ? ", victim in " : scoped ? ", in " : "in ");
		add_place(b, e);
	}
	if (has(e, "telamon.workload")) {
		add_named(b, " (workload ", e, "telamon.workload");
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

static void add_command(struct strbuf *b, const json_t *e)
{
	const json_t *args = json_object_get(e, "process.command_args"), *arg;
	size_t i;

	cli_add_text(b, e, "process.executable.path");
	if (is_true(e, "telamon.exe.deleted"))
		strbuf_addstr(b, " (deleted)");
	json_array_foreach (args, i, arg) {
		if (i == 0 || !json_is_string(arg))
			continue;
		strbuf_addch(b, ' ');
		text_add_terminal(b, json_string_value(arg), json_string_length(arg));
	}
}

static void add_size_named(struct strbuf *b, const char *name, const json_t *e, const char *key)
{
	strbuf_addstr(b, name);
	cli_add_size(b, e, key);
}

static void add_memory(struct strbuf *b, const json_t *e)
{
	double anon, file, shmem, sum;

	strbuf_addstr(b, "            rss ");
	if (has(e, P "victim.rss")) { /* a spilled record knows the sum alone */
		cli_add_size(b, e, P "victim.rss");
		add_lifetime(b, e);
		strbuf_addch(b, '\n');
		return;
	}
	if (cli_number(e, P "victim.rss.anon", &anon) &&
	    cli_number(e, P "victim.rss.file", &file) &&
	    cli_number(e, P "victim.rss.shmem", &shmem)) {
		sum = anon + file + shmem;
		if (sum >= 0 && sum < 0x1p63)
			text_add_bytes(b, (uint64_t)sum);
		else
			strbuf_addch(b, '?');
	} else {
		strbuf_addch(b, '?');
	}
	add_size_named(b, " (anon ", e, P "victim.rss.anon");
	add_size_named(b, ", file ", e, P "victim.rss.file");
	add_size_named(b, ", shmem ", e, P "victim.rss.shmem");
	add_size_named(b, ")  swap ", e, P "victim.swap");
	add_size_named(b, "  page tables ", e, P "victim.pgtables");
	add_lifetime(b, e);
	strbuf_addch(b, '\n');
}

static void add_role(struct strbuf *b, const json_t *e)
{
	double members, chosen;

	if (cli_number(e, P "members.count", &members) && members > 1)
		strbuf_addf(b, " and %.0f more of its group", members - 1);
	if (!has(e, P "role") || streq(cli_text(e, P "role"), "chosen"))
		return;
	add_named(b, " as ", e, P "role");
	if (cli_number(e, P "chosen_pid", &chosen))
		strbuf_addf(b, " of %.0f, which was chosen", chosen);
}

static void add_killed(struct strbuf *b, const json_t *e)
{
	bool reserve = streq(cli_text(e, "event.name"), "oom.reserve");
	double v = 0, vpid = 0;

	strbuf_addstr(b, reserve ? "  dying     " : "  killed    ");
	add_process(b, e, P "comm", "process.pid");
	if (cli_number(e, "process.vpid", &vpid) && cli_number(e, "process.pid", &v) && vpid != v)
		strbuf_addf(b, " (%.0f in %s)", vpid,
			    has(e, "container.id") ? "container" : "its namespace");
	add_role(b, e);
	strbuf_addstr(b, "  ");
	if (add_container(b, e))
		strbuf_addstr(b, "  ");
	add_command(b, e);
	if (has(e, "process.user.name"))
		add_named(b, "  user ", e, "process.user.name");
	else if (cli_number(e, "process.user.id", &v))
		strbuf_addf(b, "  user %.0f", v);
	if (cli_number(e, P "victim.adj", &v))
		strbuf_addf(b, "  adj %.0f", v);
	strbuf_addch(b, '\n');
	add_memory(b, e);
}

static bool add_trigger_container(struct strbuf *b, const json_t *e)
{
	static const char *const names[] = { P "trigger.k8s.container.name",
					     P "trigger.container.name" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (has(e, names[i])) {
			add_named(b, " in container ", e, names[i]);
			return true;
		}
	}
	if (!has(e, P "trigger.container.id"))
		return false;
	strbuf_addstr(b, " in container ");
	add_short(b, e, P "trigger.container.id");
	return true;
}

/* Whose allocation it was, when it is not that of the victim's container. */
static const char *relation(const json_t *e)
{
	if (is_true(e, P "trigger.is_victim") || !has(e, P "trigger.container.id") ||
	    !has(e, "container.id") || same_text(e, P "trigger.container.id", "container.id"))
		return "";
	/* What is charged to a pod's limit runs in that pod. */
	if (streq(cli_text(e, P "scope"), "memcg") && streq(cli_text(e, P "limit.kind"), "k8s_pod"))
		return ": another container of the pod";
	return ": another container";
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
	else if (is_true(e, P "trigger.kernel_thread"))
		strbuf_addstr(b, ", a kernel thread,");
	else
		(void)add_trigger_container(b, e);
	if (cli_number(e, P "pages_requested", &pages) && cli_number(e, P "order", &order)) {
		strbuf_addf(b, " asked for %.0f page%s (order %.0f", pages, pages == 1 ? "" : "s",
			    order);
		if (has(e, P "gfp_mask"))
			add_named(b, ", ", e, P "gfp_mask");
		strbuf_addch(b, ')');
	} else if (has(e, P "gfp_mask")) {
		add_named(b, " (", e, P "gfp_mask");
		strbuf_addch(b, ')');
	}
	strbuf_addstr(b, relation(e));
	strbuf_addch(b, '\n');
}

static void add_limit(struct strbuf *b, const json_t *e)
{
	double distance = 0;

	if (!has(e, P "limit.cgroup.path") && !has(e, P "limit.max"))
		return;
	strbuf_addstr(b, "  limit     ");
	cli_add_text(b, e, P "limit.cgroup.path");
	if (has(e, P "limit.usage") || has(e, P "limit.max")) {
		strbuf_addstr(b, "  ");
		cli_add_size(b, e, P "limit.usage");
		strbuf_addstr(b, " used of ");
		cli_add_size(b, e, P "limit.max");
	}
	if (cli_number(e, P "limit.distance", &distance) && distance > 0)
		strbuf_addf(b, ", %.0f level%s above the victim's cgroup", distance,
			    distance == 1 ? "" : "s");
	if (has(e, P "limit.oom_group"))
		strbuf_addf(b, "; oom.group %s", is_true(e, P "limit.oom_group") ? "on" : "off");
	if (!is_true(e, P "limit.certain"))
		strbuf_addstr(b, "; not certain");
	strbuf_addch(b, '\n');
}

static void add_seconds(struct strbuf *b, double seconds)
{
	text_add_duration(b, seconds > 0 && seconds < 1e12 ? (uint64_t)(seconds * 1e6) : 0);
}

static void add_size_of(struct strbuf *b, double v)
{
	text_add_bytes(b, v > 0 && v < 0x1p63 ? (uint64_t)v : 0);
}

/* The process that grew most, the rate of the cgroup, and whether it was foreseen: each may be known alone. */
static void add_grew(struct strbuf *b, const json_t *e)
{
	double bytes, rate, age, pid, step;
	bool grower = cli_number(e, P "grower.bytes", &bytes),
	     trend = cli_number(e, P "trend.rate", &rate),
	     forecast = cli_number(e, P "trend.forecast_age", &age);

	if (!grower && !trend && !forecast)
		return;
	strbuf_addstr(b, "  grew      ");
	if (grower) {
		const json_t *points = json_object_get(e, P "trend.hard");

		add_last_component(b, e, P "grower.process.executable.path");
		if (cli_number(e, P "grower.process.pid", &pid))
			strbuf_addf(b, "[%.0f]", pid);
		strbuf_addstr(b, " +");
		add_size_of(b, bytes);
		if (cli_number(e, P "trend.step", &step) && json_array_size(points) > 1) {
			strbuf_addstr(b, " in ");
			add_seconds(b, step * (double)(json_array_size(points) - 1));
		}
	} else {
		strbuf_addstr(b, "the cgroup");
	}
	if (trend) {
		strbuf_addstr(b, " (");
		add_size_of(b, rate);
		strbuf_addstr(b, "/s)");
	}
	if (forecast) {
		strbuf_addstr(b, "; forecast ");
		add_seconds(b, age);
		strbuf_addstr(b, " before the kill");
	} else {
		strbuf_addstr(b, "; not forecast");
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
	if (is_true(e, P "spilled"))
		strbuf_addstr(b, ", spilled: the ring was full, some facts did not fit");
	if (json_is_false(json_object_get(e, P "certain")))
		strbuf_addstr(b,
			      ", not certain: a kill, or the mark of one that was dying already");
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
	if (has_victim(e)) {
		add_killed(b, e);
		oom_show_members(e, b);
	}
	add_trigger(b, e);
	add_limit(b, e);
	add_grew(b, e);
	add_pressure(b, e);
	add_stat(b, e);
	add_host(b, e);
	oom_show_stacks(e, b);
	add_after(b, e, aftermath);
	oom_show_kernel_text(e, b);
	if (has_victim(e))
		add_source(b, e);
	else if (json_is_false(json_object_get(e, P "certain")))
		strbuf_addstr(
			b,
			"  source    not certain: nothing was killed, as far as the hooks saw\n");
}
