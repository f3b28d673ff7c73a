/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real OOM kills, and what the kernel side says about them
 *
 * Makes a memory cgroup of its own (v1 or v2), lets a bloating process die in it, and compares the records with what the
 * process wrote about itself. No agent: only the loader and the programs. Needs root; exits 77 with the reason where it
 * cannot run. Options choose variants, so that each of them is tried on each kernel:
 *
 *   oom_hooks [--tracepoint] [--no-btf] [--direct] [--disable CAP/VARIANT]... [--scenario NAME]... [--repeat N] [--dump]
 *
 * --direct takes the programs for lockdown=confidentiality.
 */

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "agent/oom/hooks.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"
#include "hog.h"
#include "oom_checks.h"
#include "oom_spill.h"
#include "sys/bpf.h"
#include "sys/cgroup.h"

/* --- scenarios --- */

static void run_single(struct run *r, struct oom_hooks *h)
{
	r->boot_before = time_boot_ns();
	r->pid = hog_start(r->exe, r->argument, r->place.procs);
	r->boot_after = time_boot_ns() + 2000000000ULL;
	check(r->name, "hog was killed", hog_wait(r->pid), "it was not");
	drain(h);
	if (runs_program(r, OOM_CAP_KILL))
		check_victim(r);
}

static void run_thread(struct run *r, struct oom_hooks *h)
{
	const struct oom_victim *v;

	run_single(r, h);
	v = victim_of(r->pid);
	if (v && v->flags & OOM_VICTIM_SNAPSHOT) {
		check(r->name, "trigger is a thread of the victim",
		      v->trigger_tgid == (uint32_t)r->pid && v->trigger_tid != v->trigger_tgid,
		      "%u/%u", v->trigger_tgid, v->trigger_tid);
		if (v->trigger_start_boot_ns)
			CHECK_U64(r->name, "trigger shares the mm",
				  !!(v->flags & OOM_VICTIM_SAME_MM), 1);
		CHECK_U64(r->name, "threads", v->threads, 2);
	}
}

/* Either of the pair may be chosen; both have the same memory. */
static void run_shared(struct run *r, struct oom_hooks *h)
{
	unsigned shared = 0, marked = 0;

	r->pid = hog_start(r->exe, r->argument, r->place.procs);
	check(r->name, "hog was killed", hog_wait(r->pid), "it was not");
	drain(h);
	for (size_t i = 0; i < seen.n_victims; i++) {
		shared += seen.victims[i].kind == OOM_VICTIM_SHARED_MM;
		marked += seen.victims[i].kind == OOM_VICTIM_KILL;
	}
	if (!runs_program(r, OOM_CAP_KILL) || live(r, OOM_CAP_KILL, "tracepoint") ||
	    !runs_program(r, OOM_CAP_SIGNAL) || live(r, OOM_CAP_SIGNAL, "tracepoint"))
		return;
	CHECK_U64(r->name, "shared-mm kills", shared, 1);
	CHECK_U64(r->name, "marked kills", marked, 1);
}

static void run_fork(struct run *r, struct oom_hooks *h)
{
	pid_t parent = hog_start(r->exe, r->argument, r->place.procs);
	const struct oom_victim *v;

	check(r->name, "parent lives", !hog_wait(parent), "it was killed");
	drain(h);
	if (!runs_program(r, OOM_CAP_KILL))
		return;
	CHECK_U64(r->name, "records", seen.n_victims, 1);
	v = &seen.victims[0];
	if (seen.n_victims != 1 || !(v->flags & OOM_VICTIM_SNAPSHOT) ||
	    !runs_program(r, OOM_CAP_ARGS) || is_direct(r, OOM_CAP_KILL))
		return;
	CHECK_U64(r->name, "ppid", v->ppid, parent);
	/* The trigger is the victim here, so its own memory can be read. */
	CHECK_U64(r->name, "args source", v->args_source, OOM_ARGS_SELF);
	check(r->name, "args", v->args.length > 20, "%u bytes", v->args.length);
}

#define GROUP 5

static void run_group(struct run *r, struct oom_hooks *h)
{
	pid_t calm[GROUP];
	unsigned killed = 0, found = 0;

	for (int i = 0; i < GROUP; i++)
		calm[i] = hog_start(r->exe, "hog-calm", r->place.procs);
	(void)usleep(300000);
	r->boot_before = time_boot_ns();
	r->pid = hog_start(r->exe, r->argument, r->place.procs);
	r->boot_after = time_boot_ns() + 2000000000ULL;
	check(r->name, "hog was killed", hog_wait(r->pid), "it was not");
	for (int i = 0; i < GROUP; i++)
		killed += hog_wait(calm[i]);
	CHECK_U64(r->name, "members killed", killed, GROUP);
	drain(h);
	if (!runs_program(r, OOM_CAP_KILL))
		return;
	for (int i = 0; i < GROUP; i++) {
		const struct oom_victim *v = victim_of(calm[i]);

		found += v && v->kind == (runs_program(r, OOM_CAP_SIGNAL) ? OOM_VICTIM_KILL
									  : OOM_VICTIM_UNSURE);
	}
	CHECK_U64(r->name, "members reported", found, GROUP);
	CHECK_U64(r->name, "records", seen.n_victims, GROUP + 1);
	if (victim_of(r->pid) && victim_of(r->pid)->n_levels > 0)
		CHECK_U64(r->name, "level says group", victim_of(r->pid)->levels[0].oom_group, 1);
}

/* A process that only gets an ordinary SIGKILL is no victim. */
static void run_kill(struct run *r, struct oom_hooks *h)
{
	r->pid = hog_start(r->exe, "hog-calm", r->place.procs);
	(void)usleep(200000);
	(void)kill(r->pid, SIGKILL);
	(void)hog_wait(r->pid);
	drain(h);
	CHECK_U64(r->name, "no record", seen.n_victims, 0);
}

/* --- of the whole host: only in a guest --- */

static void check_host(struct run *r, struct oom_hooks *h, bool sysrq)
{
	const struct oom_victim *v;

	check(r->name, "hog was killed", hog_wait(r->pid), "it was not");
	drain(h);
	if (!runs_program(r, OOM_CAP_KILL))
		return;
	v = victim_of(r->pid);
	check(r->name, "victim record", v, "%zu records", seen.n_victims);
	if (!v)
		return;
	CHECK_U64(r->name, "kind", v->kind,
		  runs_program(r, OOM_CAP_SIGNAL) ? OOM_VICTIM_KILL : OOM_VICTIM_UNSURE);
	if (v->flags & OOM_VICTIM_SNAPSHOT && v->trigger_start_boot_ns)
		CHECK_U64(r->name, "trigger is a kernel thread",
			  !!(v->flags & OOM_VICTIM_TRIGGER_KTHREAD), sysrq);
	if (!runs_program(r, OOM_CAP_DECISION))
		return;
	CHECK_U64(r->name, "decision cgroup", seen.decision.memcg_id, 0);
	CHECK_U64(r->name, "decision constraint", seen.decision.constraint, OOM_CONSTRAINT_NONE);
	CHECK_U64(r->name, "decision chosen", seen.decision.chosen_tgid, r->pid);
	check(r->name, "decision order",
	      sysrq ? seen.decision.order == -1 : seen.decision.order >= 0, "%d",
	      seen.decision.order);
}

static void run_sysrq(struct run *r, struct oom_hooks *h)
{
	r->pid = hog_start(r->exe, "hog-calm", r->place.procs);
	(void)usleep(300000);
	(void)fs_write_at(AT_FDCWD, "/proc/sysrq-trigger", "f");
	check_host(r, h, true);
}

static void run_host(struct run *r, struct oom_hooks *h)
{
	r->pid = hog_start(r->exe, r->argument, r->place.procs);
	check_host(r, h, false);
}

enum scenario_flags {
	NEEDS_V2 = 1 << 0,
	WHOLE_HOST = 1 << 1, /* only when asked for by name */
	NO_LIMIT = 1 << 2,
};

static const struct scenario {
	const char *name, *argument;
	void (*run)(struct run *r, struct oom_hooks *h);
	unsigned flags, depth;
} scenarios[] = {
	{ "single", "hog", run_single, 0, 0 },
	{ "nested", "hog", run_single, 0, 2 },
	{ "thread", "hog-thread", run_thread, 0, 0 },
	{ "shared_mm", "hog-shared", run_shared, 0, 0 },
	{ "fork", "hog-fork", run_fork, 0, 0 },
	{ "group", "hog", run_group, NEEDS_V2, 0 },
	{ "kill", "hog-calm", run_kill, 0, 0 },
	{ "sysrq", "hog-calm", run_sysrq, WHOLE_HOST | NO_LIMIT, 0 },
	{ "host", "hog-host", run_host, WHOLE_HOST | NO_LIMIT, 0 },
};

static int run_scenario(const struct scenario *s, struct oom_hooks *h, const char *exe)
{
	struct run r = { .name = s->name, .argument = s->argument, .hooks = h };
	bool dump = seen.dump;
	int e;

	(void)snprintf(r.exe, sizeof(r.exe), "%s", exe);
	e = cgroup_layout_init("/", &r.place.layout);
	if (e < 0)
		return e;
	if (s->flags & NEEDS_V2 && r.place.layout.mode != CGROUP_MODE_V2) {
		cgroup_layout_done(&r.place.layout);
		return 0;
	}
	e = place_make(&r.place, s->flags & NO_LIMIT ? 0 : LIMIT, s->run == run_group, s->depth);
	if (e >= 0) {
		memset(&seen, 0, sizeof(seen));
		seen.dump = dump;
		s->run(&r, h);
		place_remove(&r.place);
	}
	cgroup_layout_done(&r.place.layout);
	return e;
}

static void print_states(const struct oom_hooks *h)
{
	const struct hook_state *states = oom_hooks_states(h);

	for (int c = 0; c < _OOM_CAP_MAX; c++) {
		const struct hook_state *s = &states[c];

		printf("# %-13s %-18s", s->hook->capability, hook_live_name(s));
		for (int v = 0; s->hook->variants[v].name; v++)
			if (s->reasons[v] != HOOK_NOT_NEEDED && v != s->live)
				printf(" %s=%s(%d)", s->hook->variants[v].name,
				       hook_reason_name(s->reasons[v]), s->errors[v]);
		printf("\n");
	}
}

static void on_limit(void *ctx, uint64_t id, const struct oom_limit_hits *hits)
{
	(void)ctx;
	printf("# limit hits of cgroup %llu: max %llu oom %llu group %llu\n",
	       (unsigned long long)id, (unsigned long long)hits->hits[OOM_LIMIT_MAX],
	       (unsigned long long)hits->hits[OOM_LIMIT_OOM],
	       (unsigned long long)hits->hits[OOM_LIMIT_GROUP_KILL]);
}

/* Whole verifier logs, which the log of the agent cuts at the first line. */
static int print_all(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_DEBUG ? 0 : vprintf(fmt, ap);
}

enum {
	OPT_TRACEPOINT = 256,
	OPT_NO_BTF,
	OPT_DISABLE,
	OPT_SCENARIO,
	OPT_REPEAT,
	OPT_DUMP,
	OPT_DEBUG,
	OPT_LOAD,
	OPT_DIRECT
};

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "tracepoint", no_argument, NULL, OPT_TRACEPOINT },
		{ "no-btf", no_argument, NULL, OPT_NO_BTF },
		{ "disable", required_argument, NULL, OPT_DISABLE },
		{ "scenario", required_argument, NULL, OPT_SCENARIO },
		{ "repeat", required_argument, NULL, OPT_REPEAT },
		{ "dump", no_argument, NULL, OPT_DUMP },
		{ "debug", no_argument, NULL, OPT_DEBUG },
		{ "load", no_argument, NULL, OPT_LOAD },
		{ "direct", no_argument, NULL, OPT_DIRECT },
		{},
	};
	const char *disabled[64] = {}, *only[8] = {};
	size_t n_disabled = 0, n_only = 0;
	struct oom_hooks_options o = { .ring_bytes = MIB,
				       .spill_entries = 1024,
				       .args_entries = 8192,
				       .victims = 1024,
				       .args_bytes = 256,
				       .disabled = disabled };
	struct oom_hooks_sink sink = { .record = on_record };
	_cleanup_(hook_env_freep) struct hook_env *env = NULL;
	_cleanup_(oom_hooks_freep) struct oom_hooks *h = NULL;
	bool tracepoint = false, no_btf = false, debug = false, load = false, direct = false;
	int c, r, repeat = 1;
	uint64_t start, lost[_OOM_LOST_MAX];
	struct rusage usage;
	struct cgroup_layout layout;
	char exe[512] = "";

	if (argc >= 3 && strncmp(argv[1], "hog", 3) == 0)
		return hog(argv[1], argv[2]);
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case OPT_TRACEPOINT:
			tracepoint = true;
			break;
		case OPT_NO_BTF:
			no_btf = true;
			break;
		case OPT_DISABLE:
			disabled[n_disabled++ % 63] = optarg;
			break;
		case OPT_SCENARIO:
			only[n_only++ % 8] = optarg;
			break;
		case OPT_REPEAT:
			repeat = (int)strtol(optarg, NULL, 10);
			break;
		case OPT_DUMP:
			seen.dump = true;
			break;
		case OPT_DEBUG:
			debug = true;
			break;
		case OPT_LOAD:
			load = true;
			break;
		case OPT_DIRECT:
			direct = true;
			break;
		default:
			return 2;
		}
	}
	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 77;
	}
	if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0)
		return 3;
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_setup(debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
	if (debug)
		(void)libbpf_set_print(print_all);
	else
		bpf_log_to_debug();
	(void)bpf_memlock_raise();
	if (hook_env_new(no_btf ? "/nonexistent" : NULL, &env) < 0)
		return 3;
	env->tracepoint_tier = tracepoint;
	if (direct)
		env->lockdown = LOCKDOWN_CONFIDENTIALITY;
	if (cgroup_layout_init("/", &layout) >= 0) {
		env->cgroup_v2_memory = layout.mode == CGROUP_MODE_V2;
		cgroup_layout_done(&layout);
	}
	start = time_mono_us();
	r = oom_hooks_new(&o, env, &sink, &h);
	if (r < 0)
		return 3;
	(void)getrusage(RUSAGE_SELF, &usage);
	printf("# loaded in %llu ms, peak %ld KiB\n",
	       (unsigned long long)(time_mono_us() - start) / 1000, usage.ru_maxrss);
	print_states(h);
	printf("# seeded %d command lines\n", oom_hooks_seed_args(h));
	for (int n = 0; n < repeat && !load; n++)
		for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
			bool wanted = n_only == 0 && !(scenarios[i].flags & WHOLE_HOST);

			for (size_t k = 0; k < n_only; k++)
				wanted |= streq(only[k], scenarios[i].name);
			if (!wanted)
				continue;
			r = run_scenario(&scenarios[i], h, exe);
			if (r < 0) {
				printf("1..0 # SKIP no memory cgroup: %s\n", strerror(-r));
				return 77;
			}
		}
	oom_hooks_lost(h, lost);
	CHECK_U64("loss", "nothing lost",
		  lost[OOM_LOST_RING] + lost[OOM_LOST_SPILL] + lost[OOM_LOST_OTHER], 0);
	(void)oom_hooks_limits(h, on_limit, NULL);
	h = oom_hooks_free(h);
	if (n_only == 0 && !load)
		run_spill(env, exe);
	printf("1..%u\n# %u failed\n", n_checks, n_failed);
	return n_failed ? 1 : 0;
}
