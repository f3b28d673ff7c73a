/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios of `telamon lab oom`
 *
 * Each makes real kills, knows the truth, and holds the agent's records against it: one fact, one verdict.
 */

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include "base/parse.h"
#include "base/text.h"
#include "base/time.h"
#include "cli/lab.h"

#define RECORD_WAIT_US (8 * US_PER_SEC)
#define HOGS_MAX 64
#define P "telamon.oom."

/* --- what the agent said --- */

struct found {
	pid_t pid;
	const char *name;
	json_t *event;
	unsigned count;
};

static int match_pid(void *ctx, const json_t *event)
{
	struct found *f = ctx;
	double pid;

	if (!streq(cli_text(event, "event.name"), f->name) ||
	    !cli_number(event, "process.pid", &pid) || (pid_t)pid != f->pid)
		return 0;
	f->count++;
	json_decref(f->event);
	f->event = json_incref((json_t *)event);
	return 0;
}

/* The record of one victim; NULL when none came in time. */
static json_t *wait_for_record(struct lab *l, pid_t pid, const char *name, uint64_t wait_us)
{
	uint64_t start = time_mono_us();
	struct found f = { .pid = pid, .name = name };
	char query[96];

	(void)snprintf(query, sizeof(query), "type=%s&since=60s&pid=%d", name, (int)pid);
	do {
		if (cli_query(&l->source, query, match_pid, &f) > 0 && f.event)
			break;
		(void)usleep(2000);
	} while (time_mono_us() - start < wait_us);
	return f.event;
}

/* From the kernel's stamp of the kill to now, that is to the moment at which the record could be read over HTTP. */
static uint64_t record_delay_us(const json_t *event)
{
	uint64_t killed_ns, now_ns = time_wall_ns();

	if (parse_rfc3339(cli_text(event, "timestamp"), &killed_ns) < 0 || killed_ns > now_ns)
		return 0;
	return (now_ns - killed_ns) / NS_PER_USEC;
}

/* --- verdicts --- */

struct check {
	struct lab *lab;
	const struct scenario *scenario;
	json_t *event; /* held; NULL = no record */
	struct strbuf story; /* what happened, in one line */
	struct strbuf lines; /* one per fact */
	uint64_t delay_us; /* 0 = no record was waited for */
	unsigned wrong;
	json_t *facts;
};

static void verdict(struct check *c, const char *fact, const char *expected, const char *reported,
		    bool ok)
{
	const char *word = ok ? "ok" : *reported ? "WRONG" : "missing";

	if (!ok)
		c->wrong++;
	strbuf_addf(&c->lines, "  %-7s  %-24s ", word, fact);
	if (!ok)
		strbuf_addf(&c->lines, "expected %s%s", expected, *reported ? ", reported " : "");
	text_add_terminal(&c->lines, reported, strlen(reported));
	strbuf_addch(&c->lines, '\n');
	if (c->facts)
		(void)json_array_append_new(
			c->facts, json_pack("{s:s, s:s, s:s, s:s}", "fact", fact, "expected",
					    expected, "reported", reported, "verdict", word));
}

static void check_text(struct check *c, const char *fact, const char *key, const char *expected)
{
	const char *have = cli_text(c->event, key);

	verdict(c, fact, expected, have, streq(have, expected));
}

static void check_number(struct check *c, const char *fact, const char *key, double expected,
			 double tolerance)
{
	char want[32], have[32] = "";
	double v = 0;
	bool known = cli_number(c->event, key, &v);

	(void)snprintf(want, sizeof(want), "%.0f", expected);
	if (known)
		(void)snprintf(have, sizeof(have), "%.0f", v);
	verdict(c, fact, want, have,
		known && v >= expected - tolerance && v <= expected + tolerance);
}

static void check_true(struct check *c, const char *fact, bool ok, const char *expected)
{
	verdict(c, fact, expected, ok ? expected : "other", ok);
}

static void check_args(struct check *c, const struct lab_hog *h)
{
	const json_t *args = json_object_get(c->event, "process.command_args");
	const char *second = json_string_value(json_array_get(args, 1));
	const char *total = json_string_value(json_array_get(args, 3));

	verdict(c, "args", h->total, total ? total : "",
		second && streq(second, "__hog") && total && streq(total, h->total));
}

static struct check begin(struct lab *l, const struct scenario *s)
{
	struct check c = { .lab = l, .scenario = s, .story = STRBUF_INIT, .lines = STRBUF_INIT };

	if (l->report)
		c.facts = json_array();
	return c;
}

static void end_json(struct check *c)
{
	json_t *o = json_pack("{s:s, s:b, s:o}", "scenario", c->scenario->name, "passed",
			      c->wrong == 0, "facts", c->facts);

	if (c->delay_us)
		(void)json_object_set_new(o, "record_delay_seconds",
					  json_real((double)c->delay_us / US_PER_SEC));
	(void)json_array_append_new(c->lab->report, o);
}

static void end(struct check *c)
{
	struct lab *l = c->lab;

	if (c->wrong)
		l->failed++;
	else
		l->passed++;
	if (l->report) {
		end_json(c);
	} else {
		if (c->delay_us) {
			strbuf_addstr(&c->story,
				      c->story.len ? ", record after " : "record after ");
			text_add_duration(&c->story, c->delay_us);
		}
		printf("%-15s %s  %s\n%s", c->scenario->name, c->wrong ? "FAILED" : "ok    ",
		       strbuf_str(&c->story), strbuf_str(&c->lines));
		(void)fflush(stdout);
	}
	json_decref(c->event);
	strbuf_done(&c->story);
	strbuf_done(&c->lines);
}

/* "10 20 30 … killed by signal 9 after 60.0 MiB (0.41 s)": the steps that it told, then its end; a line for each. */
static void tell_end(struct check *c, const struct lab_hog *h)
{
	enum { STEPS_SHOWN = 8 };
	struct strbuf *b = &c->story;
	uint64_t n = h->last_step / c->lab->step;

	if (b->len)
		strbuf_addf(b, "\n%24s", ""); /* under the one before */
	for (uint64_t i = 1; i <= MIN(n, (uint64_t)STEPS_SHOWN); i++)
		strbuf_addf(b, "%" PRIu64 " ", i * c->lab->step >> 20);
	strbuf_addstr(b, n > STEPS_SHOWN ? "… " : "");
	if (h->status == -1)
		strbuf_addstr(b, "still alive after ");
	else if (WIFSIGNALED(h->status))
		strbuf_addf(b, "killed by signal %d after ", WTERMSIG(h->status));
	else
		strbuf_addf(b, "ended with status %d after ", WEXITSTATUS(h->status));
	text_add_bytes(b, h->last_step);
	strbuf_addf(b, " (%.2f s)", (double)(h->ended_us - h->started_us) / US_PER_SEC);
}

/* Facts that hold for every victim whose memory cgroup has the limit @limit_path. */
static void check_victim(struct check *c, struct lab_hog *h, const char *limit_path,
			 const char *role)
{
	struct lab *l = c->lab;

	check_true(c, "killed", lab_hog_oom_killed(h), "by signal 9");
	if (l->no_agent)
		return;
	json_decref(c->event);
	c->event = wait_for_record(l, h->pid, "oom.kill", RECORD_WAIT_US);
	if (!c->event) {
		verdict(c, "record", "one", "", false);
		return;
	}
	c->delay_us = record_delay_us(c->event);
	if (role)
		check_text(c, "role", P "role", role);
	check_text(c, "scope", P "scope", "memcg");
	check_text(c, "cgroup", "telamon.cgroup.path", h->cgroup);
	check_text(c, "limit cgroup", P "limit.cgroup.path", limit_path);
	check_number(c, "limit", P "limit.max", (double)l->limit, 0);
	check_text(c, "exe", "process.executable.path", l->exe);
	check_args(c, h);
	check_number(c, "parent", "process.parent_pid", getpid(), 0);
	check_number(c, "adj", P "victim.adj", h->adj, 0);
	check_number(c, "uid", "process.user.id", getuid(), 0);
}

static uint64_t deadline(const struct lab *l)
{
	return time_mono_us() + l->timeout_s * US_PER_SEC;
}

static void path_of(const struct lab *l, const char *cgroup, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s/%s", l->base, cgroup);
}

/* One hog in @cgroup until it dies. The rss must lie between what it said last and the limit. */
static void run_hog(struct check *c, const char *cgroup, const char *limit_cgroup, const char *mode)
{
	struct lab *l = c->lab;
	struct lab_hog h;
	char limit_path[600];

	path_of(l, limit_cgroup, limit_path, sizeof(limit_path));
	if (lab_hog_start(l, cgroup, l->limit * 2, mode, false, 1000, &h) < 0) {
		verdict(c, "start", "a process", "", false);
		return;
	}
	lab_hog_go(&h);
	(void)lab_hog_wait(l, &h, deadline(l));
	tell_end(c, &h);
	/* Which of two processes on one memory is chosen is the kernel's toss. */
	check_victim(c, &h, limit_path, streq(mode, "sharer") ? NULL : "chosen");
	if (c->event) {
		/* Between the last step that it told and the limit; per-CPU counters may lag. */
		check_number(c, "rss", P "victim.rss.anon",
			     ((double)h.last_step + (double)l->limit) / 2,
			     ((double)l->limit - (double)h.last_step) / 2 + (4 << 20));
		check_number(c, "trigger", P "trigger.pid", h.pid, 0);
	}
	lab_hog_end(&h);
}

static void run_single(struct lab *l, const struct scenario *s)
{
	struct check c = begin(l, s);

	if (lab_cgroup_make(l, "single", l->limit) >= 0)
		run_hog(&c, "single", "single", "plain");
	else
		c.wrong++;
	end(&c);
}

static void run_nested(struct lab *l, const struct scenario *s)
{
	struct check c = begin(l, s);

	if (lab_cgroup_make(l, "nested", l->limit) >= 0 && lab_cgroup_make(l, "nested/a", 0) >= 0 &&
	    lab_cgroup_make(l, "nested/a/b", 0) >= 0)
		run_hog(&c, "nested/a/b", "nested", "plain");
	else
		c.wrong++;
	if (c.event)
		check_number(&c, "distance", P "limit.distance", 2, 0);
	end(&c);
}

static void run_thread(struct lab *l, const struct scenario *s)
{
	struct check c = begin(l, s);
	double pid = 0, thread = 0;

	if (lab_cgroup_make(l, "thread", l->limit) >= 0)
		run_hog(&c, "thread", "thread", "thread");
	else
		c.wrong++;
	if (c.event) {
		(void)cli_number(c.event, P "trigger.pid", &pid);
		(void)cli_number(c.event, P "trigger.thread", &thread);
		check_true(&c, "trigger thread", pid > 0 && thread > pid, "not the leader");
	}
	end(&c);
}

/* --- several processes --- */

static void start_all(struct lab *l, struct lab_hog *h, unsigned n, const char *cgroup,
		      uint64_t total, int adj)
{
	for (unsigned i = 0; i < n; i++) {
		(void)lab_hog_start(l, cgroup, total, "plain", true, adj, &h[i]);
		lab_hog_go(&h[i]);
	}
}

static unsigned count_records(struct lab *l, const struct lab_hog *h, unsigned n, const char *role)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < n; i++) {
		json_t *event =
			wait_for_record(l, h[i].pid, "oom.kill", i ? US_PER_SEC : RECORD_WAIT_US);

		seen += event && (!role || streq(cli_text(event, P "role"), role));
		json_decref(event);
	}
	return seen;
}

static void check_count(struct check *c, const char *fact, unsigned expected, unsigned have)
{
	char want[16], got[16];

	(void)snprintf(want, sizeof(want), "%u", expected);
	(void)snprintf(got, sizeof(got), "%u", have);
	verdict(c, fact, want, got, expected == have);
}

static void run_group(struct lab *l, const struct scenario *s)
{
	enum { MEMBERS = 5 };
	struct check c = begin(l, s);
	struct lab_hog members[MEMBERS], hog;
	unsigned dead = 0;

	if (lab_cgroup_make(l, "group", l->limit) < 0 ||
	    lab_cgroup_write(l, "group", "memory.oom.group", "1") < 0) {
		verdict(&c, "memory.oom.group", "1", "", false);
		end(&c);
		return;
	}
	start_all(l, members, MEMBERS, "group", 1 << 20, 0);
	(void)usleep(200000);
	(void)lab_hog_start(l, "group", l->limit * 2, "plain", false, 1000, &hog);
	lab_hog_go(&hog);
	(void)lab_hog_wait(l, &hog, deadline(l));
	tell_end(&c, &hog);
	for (unsigned i = 0; i < MEMBERS; i++) {
		(void)lab_hog_wait(l, &members[i], time_mono_us() + US_PER_SEC);
		dead += lab_hog_oom_killed(&members[i]);
	}
	check_count(&c, "dead", MEMBERS + 1, dead + lab_hog_oom_killed(&hog));
	if (!l->no_agent) {
		unsigned chosen = count_records(l, &hog, 1, "chosen");

		check_count(&c, "victims reported", MEMBERS + 1,
			    chosen + count_records(l, members, MEMBERS, "group"));
	}
	for (unsigned i = 0; i < MEMBERS; i++)
		lab_hog_end(&members[i]);
	lab_hog_end(&hog);
	end(&c);
}

static int count_shared(void *ctx, const json_t *event)
{
	unsigned *n = ctx;

	*n += streq(cli_text(event, P "role"), "shared_mm") &&
	      streq(cli_text(event, "event.name"), "oom.kill");
	return 0;
}

static void run_shared_mm(struct lab *l, const struct scenario *s)
{
	struct check c = begin(l, s);
	_cleanup_strbuf_ struct strbuf query = STRBUF_INIT;
	char path[600];
	unsigned shared = 0;

	if (lab_cgroup_make(l, "shared", l->limit) >= 0)
		run_hog(&c, "shared", "shared", "sharer");
	else
		c.wrong++;
	if (!l->no_agent) {
		path_of(l, "shared", path, sizeof(path));
		cli_add_parameter(&query, "type", "oom.kill");
		cli_add_parameter(&query, "since", "60s");
		cli_add_parameter(&query, "cgroup", path);
		(void)cli_query(&l->source, strbuf_str(&query), count_shared, &shared);
		check_count(&c, "sharers reported", 1, shared);
	}
	end(&c);
}

static void run_parallel(struct lab *l, const struct scenario *s)
{
	struct check c = begin(l, s);
	struct lab_hog h[HOGS_MAX];
	unsigned n = MIN(l->parallel, (unsigned)HOGS_MAX), dead = 0;

	for (unsigned i = 0; i < n; i++) {
		char cgroup[32];

		(void)snprintf(cgroup, sizeof(cgroup), "parallel-%u", i);
		if (lab_cgroup_make(l, cgroup, l->limit / 2) < 0 ||
		    lab_hog_start(l, cgroup, l->limit, "plain", false, 1000, &h[i]) < 0) {
			n = i;
			c.wrong++;
			break;
		}
	}
	for (unsigned i = 0; i < n; i++)
		lab_hog_go(&h[i]);
	for (unsigned i = 0; i < n; i++) {
		(void)lab_hog_wait(l, &h[i], deadline(l));
		dead += lab_hog_oom_killed(&h[i]);
	}
	strbuf_addf(&c.story, "%u cgroups at a time", n);
	check_count(&c, "dead", n, dead);
	if (!l->no_agent)
		check_count(&c, "reported", n, count_records(l, h, n, "chosen"));
	for (unsigned i = 0; i < n; i++)
		lab_hog_end(&h[i]);
	end(&c);
}

/* A big or small victim with adj 1000 sits there, another process asks for the last page. */
static void run_victim_and_trigger(struct lab *l, const struct scenario *s, unsigned victim_share)
{
	struct check c = begin(l, s);
	struct lab_hog victim, trigger;
	char path[600];

	if (lab_cgroup_make(l, s->name, l->limit) < 0) {
		c.wrong++;
		end(&c);
		return;
	}
	path_of(l, s->name, path, sizeof(path));
	(void)lab_hog_start(l, s->name, l->limit * victim_share / 100, "plain", true, 1000,
			    &victim);
	lab_hog_go(&victim);
	(void)lab_hog_wait(l, &victim,
			   time_mono_us() + US_PER_SEC); /* grows to its size and stays */
	(void)lab_hog_start(l, s->name, l->limit * 2, "plain", false, 0, &trigger);
	lab_hog_go(&trigger);
	(void)lab_hog_wait(l, &victim, deadline(l));
	tell_end(&c, &victim);
	(void)kill(trigger.pid, SIGKILL); /* else it is the next */
	check_victim(&c, &victim, path, "chosen");
	if (c.event) {
		check_number(&c, "trigger", P "trigger.pid", trigger.pid, 0);
		check_text(&c, "trigger exe", P "trigger.executable.path", l->exe);
		check_true(&c, "trigger is not the victim",
			   json_is_false(json_object_get(c.event, P "trigger.is_victim")), "false");
	}
	lab_hog_end(&victim);
	lab_hog_end(&trigger);
	end(&c);
}

static void run_foreign_trigger(struct lab *l, const struct scenario *s)
{
	run_victim_and_trigger(l, s, 60);
}

static void run_adj(struct lab *l, const struct scenario *s)
{
	run_victim_and_trigger(l, s, 12);
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID "7c2f1d1e-5b1e-4a51-9d2c-3f0a6b7c8d9e"
#define UID_ "7c2f1d1e_5b1e_4a51_9d2c_3f0a6b7c8d9e"
#define SLICE "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/"

/* As runtimes name the cgroups of their containers. No runtime vouches for these, so they must not pass for containers. */
static const struct container_name {
	const char *name, *path, *top; /* top: what is removed afterwards */
	bool pod;
} container_names[] = {
	{ "kubepods cgroupfs", "kubepods/burstable/pod" UID "/" ID, "kubepods", true },
	{ "kubepods CRI-O", "kubepods/besteffort/pod" UID "/crio-" ID, "kubepods", true },
	{ "kubepods systemd", SLICE "cri-containerd-" ID ".scope", "kubepods.slice", true },
	{ "kubepods systemd CRI-O", SLICE "crio-" ID ".scope", "kubepods.slice", true },
	{ "docker cgroupfs", "docker/" ID, "docker", false },
	{ "docker systemd", "docker-" ID ".scope", "docker-" ID ".scope", false },
	{ "podman cgroupfs", "libpod_parent/libpod-" ID, "libpod_parent", false },
	{ "podman systemd", "libpod-" ID ".scope", "libpod-" ID ".scope", false },
	{ "nerdctl", "nerdctl-" ID ".scope", "nerdctl-" ID ".scope", false },
};

static void run_one_name(struct check *c, const struct container_name *n)
{
	char fact[64];

	if (lab_cgroup_make(c->lab, n->path, c->lab->limit) < 0) {
		verdict(c, n->name, "a cgroup", "", false);
		return;
	}
	json_decref(c->event);
	c->event = NULL;
	run_hog(c, n->path, n->path, "plain");
	lab_cgroup_remove(c->lab, n->top);
	if (!c->event)
		return;
	(void)snprintf(fact, sizeof(fact), "%s id", n->name);
	check_text(c, fact, "container.id", ID);
	if (n->pod)
		check_text(c, "pod uid", "k8s.pod.uid", UID);
	check_true(c, "not confirmed",
		   json_is_false(json_object_get(c->event, "telamon.container.confirmed")),
		   "false");
	check_text(c, "kind", "telamon.cgroup.kind", "other");
}

static void run_container_name(struct lab *l, const struct scenario *s)
{
	struct check c = begin(l, s);

	for (size_t i = 0; i < ARRAY_SIZE(container_names); i++)
		run_one_name(&c, &container_names[i]);
	end(&c);
}

static void run_repeat(struct lab *l, const struct scenario *s)
{
	struct check c = begin(l, s);

	if (lab_cgroup_make(l, "repeat", l->limit) < 0)
		c.wrong++;
	else
		for (unsigned i = 0; i < 3; i++)
			run_hog(&c, "repeat", "repeat", "plain");
	end(&c);
}

#define RESERVE_TRIES 10

/* Both on one CPU, so that the one which is killed cannot run while the other grows. */
static void share_cpu(pid_t victim, pid_t trigger)
{
	const struct sched_param none = {};
	cpu_set_t all, one;
	int cpu = 0;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return;
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &all))
		cpu++;
	CPU_SET(cpu, &one);
	(void)sched_setaffinity(victim, sizeof(one), &one);
	(void)sched_setaffinity(trigger, sizeof(one), &one);
	(void)sched_setscheduler(victim, SCHED_IDLE, &none);
}

/* One victim of our SIGKILL, and one that meets the limit while it dies. True: the agent saw the mark. */
static bool try_reserve(struct check *c, bool tell)
{
	struct lab *l = c->lab;
	struct lab_hog victim, trigger;
	char mode[16];
	json_t *kill_record, *mark = NULL;

	if (lab_hog_start(l, "reserve", l->limit * 6 / 10, "plain", true, 1000, &victim) < 0)
		return false;
	lab_hog_go(&victim);
	(void)lab_hog_wait(l, &victim, time_mono_us() + US_PER_SEC);
	(void)snprintf(mode, sizeof(mode), "kill:%d", (int)victim.pid);
	if (lab_hog_start(l, "reserve", l->limit * 6 / 10, mode, false, 0, &trigger) < 0) {
		lab_hog_end(&victim);
		return false;
	}
	share_cpu(victim.pid, trigger.pid);
	lab_hog_go(&trigger);
	(void)lab_hog_wait(l, &victim, deadline(l));
	(void)lab_hog_wait(l, &trigger, deadline(l));
	if (tell)
		tell_end(c, &victim);
	if (!lab_hog_oom_killed(&victim))
		check_true(c, "killed", false, "by us");
	if (!l->no_agent) {
		mark = wait_for_record(l, victim.pid, "oom.reserve", US_PER_SEC);
		kill_record = wait_for_record(l, victim.pid, "oom.kill", 1);
		if (kill_record)
			check_true(c, "not reported as OOM kill", false, "no record");
		json_decref(kill_record);
	}
	lab_hog_end(&victim);
	lab_hog_end(&trigger);
	if (mark) {
		json_decref(c->event);
		c->event = mark;
	}
	return mark != NULL;
}

/* Killed by us, not by the kernel: it must not pass for an OOM kill, but for what it is, memory given to a dying process. */
static void run_reserve(struct lab *l, const struct scenario *s)
{
	struct check c = begin(l, s);
	unsigned tries = 1;
	bool seen;

	if (lab_cgroup_make(l, "reserve", l->limit) < 0) {
		c.wrong++;
		end(&c);
		return;
	}
	seen = try_reserve(&c, true);
	while (!seen && !l->no_agent && tries < RESERVE_TRIES) {
		seen = try_reserve(&c, false);
		tries++;
	}
	if (!c.wrong)
		check_true(&c, l->no_agent ? "killed" : "not reported as OOM kill", true,
			   l->no_agent ? "by us" : "no record");
	if (seen) {
		strbuf_addf(&c.story, ", reserve mark seen in try %u", tries);
		check_text(&c, "scope", P "scope", "memcg");
		if (json_object_get(c.event, P
				    "victim.adj")) /* marks of old kernels bring a thread id alone */
			check_number(&c, "adj", P "victim.adj", 1000, 0);
	} else if (!l->no_agent) {
		/* Whether it died before the other met the limit is not for us to say: no verdict. */
		strbuf_addf(&c.story, ", no reserve mark seen in %u tries", tries);
	}
	end(&c);
}

const struct scenario lab_scenarios[] = {
	{ "single", "one process, one limit", false, run_single },
	{ "nested", "the limit two levels above", false, run_nested },
	{ "group", "memory.oom.group with five others", true, run_group },
	{ "shared_mm", "a second process on the same memory", false, run_shared_mm },
	{ "parallel", "many cgroups at a time", false, run_parallel },
	{ "foreign_trigger", "one asks, another dies", false, run_foreign_trigger },
	{ "adj", "a small process with oom_score_adj 1000 dies", false, run_adj },
	{ "thread", "a thread that is not the leader allocates", false, run_thread },
	{ "container_name", "cgroups named like containers of several runtimes", false,
	  run_container_name },
	{ "repeat", "three kills in a row", false, run_repeat },
	{ "reserve", "killed by us while the limit is met, not by the kernel", false, run_reserve },
	{},
};
