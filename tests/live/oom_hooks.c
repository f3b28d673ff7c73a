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
#include "sys/bpf.h"
#include "sys/cgroup.h"

#define RECORDS_MAX 64

/* --- what came --- */

struct seen {
	struct oom_victim victims[RECORDS_MAX];
	size_t n_victims;
	unsigned by_type[_OOM_RECORD_MAX];
	struct oom_decision decision;
	struct oom_exit exit;
	struct oom_invoke invoke;
	struct oom_attempt attempt;
	bool dump;
};
static struct seen seen;

static void dump_victim(const struct oom_victim *v)
{
	printf("# victim size %u kind %u flags %#x tgid %u tid %u vpid %u ppid %u start %llu uid %u adj %d threads %u comm %s\n",
	       v->head.size, v->kind, v->flags, v->tgid, v->tid, v->vpid, v->ppid,
	       (unsigned long long)v->start_boot_ns, v->uid, v->adj, v->threads, v->comm);
	printf("#  anon %llu file %llu shmem %llu swap %llu total %llu pgtables %llu cgroup %llu cgroup2 %llu args %u\n",
	       (unsigned long long)v->rss_anon, (unsigned long long)v->rss_file,
	       (unsigned long long)v->rss_shmem, (unsigned long long)v->swap,
	       (unsigned long long)v->total_vm, (unsigned long long)v->pgtables_bytes,
	       (unsigned long long)v->cgroup_id, (unsigned long long)v->cgroup2_id, v->args_source);
	printf("#  trigger %u/%u %s cgroup %llu decision %llu reclaim kind %u order %d gfp %#x cgroup %llu\n",
	       v->trigger_tgid, v->trigger_tid, v->trigger_comm,
	       (unsigned long long)v->trigger_cgroup_id, (unsigned long long)v->decision,
	       v->reclaim_kind, v->reclaim_order, v->reclaim_gfp,
	       (unsigned long long)v->reclaim_cgroup_id);
	for (uint32_t i = 0; i < v->n_levels; i++)
		printf("#  level %llu usage %llu max %llu swap %llu/%llu oom %llu/%llu group %u\n",
		       (unsigned long long)v->levels[i].id, (unsigned long long)v->levels[i].usage,
		       (unsigned long long)v->levels[i].max,
		       (unsigned long long)v->levels[i].swap_usage,
		       (unsigned long long)v->levels[i].swap_max,
		       (unsigned long long)v->levels[i].oom_count,
		       (unsigned long long)v->levels[i].swap_count, v->levels[i].oom_group);
	for (uint32_t i = 0; i < v->n_ancestors; i++)
		printf("#  ancestor %u %s\n", v->ancestors[i].pid, v->ancestors[i].comm);
	printf("#  path '%.*s' exe '%.*s' cwd '%.*s'\n", v->path.length, v->text + v->path.offset,
	       v->exe.length, v->text + v->exe.offset, v->cwd.length, v->text + v->cwd.offset);
	printf("#  stack %u:", v->n_stack);
	for (uint32_t i = 0; i < v->n_stack; i++)
		printf(" %llx", (unsigned long long)v->stack[i]);
	printf("\n");
}

static void on_record(void *ctx, const struct record_head *head, bool spilled)
{
	(void)ctx;
	(void)spilled;
	if (head->type < _OOM_RECORD_MAX)
		seen.by_type[head->type]++;
	switch (head->type) {
	case OOM_RECORD_VICTIM:
		if (seen.n_victims < RECORDS_MAX)
			memcpy(&seen.victims[seen.n_victims++], head, head->size);
		if (seen.dump)
			dump_victim((const void *)head);
		break;
	case OOM_RECORD_DECISION:
		memcpy(&seen.decision, head, head->size);
		break;
	case OOM_RECORD_EXIT:
		memcpy(&seen.exit, head, head->size);
		break;
	case OOM_RECORD_INVOKE:
		memcpy(&seen.invoke, head, head->size);
		break;
	case OOM_RECORD_ATTEMPT:
		memcpy(&seen.attempt, head, head->size);
		break;
	default:
		break;
	}
}

/* Reads until nothing came for a while. */
static void drain(struct oom_hooks *h)
{
	struct pollfd p = { .fd = oom_hooks_fd(h), .events = POLLIN };

	while (poll(&p, 1, 300) > 0)
		(void)oom_hooks_consume(h);
}

/* --- checks --- */

static unsigned n_failed, n_checks;

static void check(const char *scenario, const char *fact, bool good, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
static void check(const char *scenario, const char *fact, bool good, const char *fmt, ...)
{
	va_list ap;

	printf("%s %u - %s: %s", good ? "ok" : "not ok", ++n_checks, scenario, fact);
	if (!good) {
		printf(" (");
		va_start(ap, fmt);
		(void)vprintf(fmt, ap);
		va_end(ap);
		printf(")");
		n_failed++;
	}
	printf("\n");
}

#define CHECK_U64(scenario, fact, have, want)                                              \
	check(scenario, fact, (uint64_t)(have) == (uint64_t)(want), "%llu, expected %llu", \
	      (unsigned long long)(have), (unsigned long long)(want))

static bool text_is(const struct oom_victim *v, struct oom_text t, const char *want, size_t len)
{
	return t.length == len && memcmp(v->text + t.offset, want, len) == 0;
}

static const struct oom_victim *victim_of(pid_t pid)
{
	for (size_t i = 0; i < seen.n_victims; i++)
		if (seen.victims[i].tgid == (uint32_t)pid)
			return &seen.victims[i];
	return NULL;
}

struct run {
	const char *name, *argument;
	struct place place;
	const struct oom_hooks *hooks;
	char exe[512];
	pid_t pid;
	uint64_t boot_before, boot_after;
};

static bool live(const struct run *r, enum oom_capability c, const char *variant)
{
	return hook_live_is(&oom_hooks_states(r->hooks)[c], variant);
}

static bool runs_program(const struct run *r, enum oom_capability c)
{
	const struct hook_state *s = &oom_hooks_states(r->hooks)[c];

	return s->live >= 0 && s->hook->variants[s->live].programs;
}

/* "…_direct": typed loads only, no text. */
static bool is_direct(const struct run *r, enum oom_capability c)
{
	return strstr(hook_live_name(&oom_hooks_states(r->hooks)[c]), "direct");
}

static void check_memory(const struct run *r, const struct oom_victim *v)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t rss = (v->rss_anon + v->rss_file + v->rss_shmem) * page;

	if (is_direct(r, OOM_CAP_KILL) && v->rss_anon == OOM_UNKNOWN64)
		return; /* kernels before v6.2 */
	check(r->name, "rss", rss > LIMIT / 2 && rss < LIMIT * 2, "%llu bytes",
	      (unsigned long long)rss);
	check(r->name, "anon is most of it", v->rss_anon * page > LIMIT / 2, "%llu pages",
	      (unsigned long long)v->rss_anon);
	CHECK_U64(r->name, "swap", v->swap, 0);
	check(r->name, "total_vm",
	      v->total_vm * page >= LIMIT / 2 && v->total_vm * page < 1024 * MIB, "%llu pages",
	      (unsigned long long)v->total_vm);
	check(r->name, "pgtables",
	      v->pgtables_bytes >= LIMIT / 512 / 2 && v->pgtables_bytes < 16 * MIB, "%llu",
	      (unsigned long long)v->pgtables_bytes);
}

static void check_levels(const struct run *r, const struct oom_victim *v)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t margin = 64 * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	const struct oom_level *l = &v->levels[r->place.depth];

	if (is_direct(r, OOM_CAP_KILL) && v->n_levels == 0)
		return; /* kernels that cannot cast, before v6.2 */
	CHECK_U64(r->name, "cgroup v1 flag", !!(v->flags & OOM_VICTIM_V1), r->place.v1);
	CHECK_U64(r->name, "levels", v->n_levels, r->place.depth + 2);
	CHECK_U64(r->name, "leaf id", v->levels[0].id, r->place.id);
	CHECK_U64(r->name, "limit id", l->id, r->place.limit_id);
	CHECK_U64(r->name, "limit", l->max, LIMIT / page);
	/* Each CPU may hold a batch of charges. */
	check(r->name, "limit is reached",
	      l->usage + margin >= l->max && l->usage <= l->max + margin, "%llu",
	      (unsigned long long)l->usage);
	CHECK_U64(r->name, "root has no limit", v->levels[v->n_levels - 1].max, OOM_UNKNOWN64);
	check(r->name, "OOM count of the limit", l->oom_events >= 1 && l->oom_events < 1000, "%llu",
	      (unsigned long long)l->oom_events);
	if (r->place.depth)
		CHECK_U64(r->name, "OOM count of the leaf", v->levels[0].oom_events, 0);
	if (!r->place.v1)
		CHECK_U64(r->name, "swap limit", l->swap_max, 0);
}

static void check_identity(const struct run *r, const struct oom_victim *v)
{
	char cwd[512] = "", args[600];
	int n;

	CHECK_U64(r->name, "vpid", v->vpid, r->pid);
	CHECK_U64(r->name, "ppid", v->ppid, getpid());
	CHECK_U64(r->name, "uid", v->uid, 0);
	CHECK_U64(r->name, "adj", v->adj, HOG_ADJ);
	check(r->name, "start time",
	      v->start_boot_ns >= r->boot_before - 10000000 && v->start_boot_ns <= r->boot_after,
	      "%llu", (unsigned long long)v->start_boot_ns);
	check(r->name, "comm", streq(v->comm, "oom_hooks"), "%s", v->comm);
	CHECK_U64(r->name, "cgroup id", v->cgroup_id, r->place.id);
	check(r->name, "first ancestor",
	      v->n_ancestors >= 1 && v->ancestors[0].pid == (uint32_t)getpid(), "%u",
	      v->ancestors[0].pid);
	if (!is_direct(r, OOM_CAP_KILL)) {
		check(r->name, "cgroup path",
		      text_is(v, v->path, r->place.path, strlen(r->place.path)), "%.*s",
		      v->path.length, v->text + v->path.offset);
		check(r->name, "exe", text_is(v, v->exe, r->exe, strlen(r->exe)), "%.*s",
		      v->exe.length, v->text + v->exe.offset);
		if (getcwd(cwd, sizeof(cwd)))
			check(r->name, "cwd", text_is(v, v->cwd, cwd, strlen(cwd)), "%.*s",
			      v->cwd.length, v->text + v->cwd.offset);
	}
	if (!runs_program(r, OOM_CAP_ARGS) || is_direct(r, OOM_CAP_KILL))
		return;
	n = snprintf(args, sizeof(args), "%s%c%s%c%s%c%s", r->exe, 0, r->argument, 0,
		     r->place.procs, 0, HOG_ARGUMENT);
	CHECK_U64(r->name, "args source", v->args_source, OOM_ARGS_EXEC);
	check(r->name, "args", text_is(v, v->args, args, (size_t)n + 1), "%.*s…, %u bytes",
	      v->args.length, v->text + v->args.offset, v->args.length);
}

static void check_trigger(const struct run *r, const struct oom_victim *v)
{
	check(r->name, "trigger comm", streq(v->trigger_comm, "oom_hooks"), "%s", v->trigger_comm);
	/* Typed loads cannot see the running task before v5.11. */
	if (!is_direct(r, OOM_CAP_KILL) || v->trigger_start_boot_ns)
		CHECK_U64(r->name, "trigger cgroup", v->trigger_cgroup_id, r->place.id);
	CHECK_U64(r->name, "trigger is no kernel thread", !!(v->flags & OOM_VICTIM_TRIGGER_KTHREAD),
		  0);
	if (runs_program(r, OOM_CAP_RECLAIM)) {
		CHECK_U64(r->name, "reclaim kind", v->reclaim_kind, OOM_RECLAIM_MEMCG);
		check(r->name, "reclaim gfp", v->reclaim_gfp & 0x400, "%#x",
		      v->reclaim_gfp); /* __GFP_DIRECT_RECLAIM */
		if (live(r, OOM_CAP_RECLAIM, "tp_btf_memcg"))
			CHECK_U64(r->name, "reclaim cgroup", v->reclaim_cgroup_id,
				  r->place.limit_id);
	}
	check(r->name, "kernel stack", v->n_stack >= 8, "%u frames", v->n_stack);
}

static void check_decision(const struct run *r, const struct oom_victim *v)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (runs_program(r, OOM_CAP_DECISION)) {
		check(r->name, "decision record", seen.by_type[OOM_RECORD_DECISION] >= 1, "none");
		CHECK_U64(r->name, "decision number", v->decision, seen.decision.decision);
		CHECK_U64(r->name, "decision cgroup", seen.decision.memcg_id, r->place.limit_id);
		CHECK_U64(r->name, "decision constraint", seen.decision.constraint,
			  OOM_CONSTRAINT_MEMCG);
		CHECK_U64(r->name, "decision chosen", seen.decision.chosen_tgid, r->pid);
		CHECK_U64(r->name, "decision total pages", seen.decision.totalpages, LIMIT / page);
		if (!is_direct(r, OOM_CAP_DECISION))
			check(r->name, "decision path",
			      strncmp(seen.decision.text + seen.decision.path.offset, r->place.path,
				      seen.decision.path.length) == 0 &&
				      seen.decision.path.length ==
					      strlen(r->place.path) - 6 * r->place.depth,
			      "%.*s", seen.decision.path.length,
			      seen.decision.text + seen.decision.path.offset);
	}
	if (runs_program(r, OOM_CAP_INVOKE)) {
		check(r->name, "invoke record", seen.by_type[OOM_RECORD_INVOKE] >= 1, "none");
		CHECK_U64(r->name, "invoke cgroup", seen.invoke.memcg_id, r->place.limit_id);
		CHECK_U64(r->name, "invoke result", seen.invoke.result, 1);
	}
	if (runs_program(r, OOM_CAP_ATTEMPT)) {
		check(r->name, "attempt record", seen.by_type[OOM_RECORD_ATTEMPT] >= 1, "none");
		check(r->name, "attempt message",
		      strstr(seen.attempt.text, "emory cgroup out of memory"), "%s",
		      seen.attempt.text);
	}
}

static void check_exit(const struct run *r)
{
	if (!runs_program(r, OOM_CAP_EXIT) || live(r, OOM_CAP_KILL, "kmsg") ||
	    live(r, OOM_CAP_KILL, "counters"))
		return;
	check(r->name, "exit record", seen.by_type[OOM_RECORD_EXIT] >= 1, "none");
	CHECK_U64(r->name, "exit of the victim", seen.exit.tgid, r->pid);
}

static void check_victim(const struct run *r)
{
	const struct oom_victim *v = victim_of(r->pid);

	check(r->name, "victim record", v, "%zu records, none of %d", seen.n_victims, (int)r->pid);
	if (!v)
		return;
	CHECK_U64(r->name, "kind", v->kind,
		  runs_program(r, OOM_CAP_SIGNAL) ? OOM_VICTIM_KILL : OOM_VICTIM_UNSURE);
	check(r->name, "record within 2.2 KiB", v->head.size <= 2253, "%u", v->head.size);
	if (v->flags & OOM_VICTIM_SNAPSHOT) {
		check_identity(r, v);
		check_memory(r, v);
		check_levels(r, v);
		check_trigger(r, v);
	} else {
		check(r->name, "only the classic tracepoint lacks a snapshot",
		      live(r, OOM_CAP_KILL, "tracepoint") || !runs_program(r, OOM_CAP_SIGNAL),
		      "variant %s", hook_live_name(&oom_hooks_states(r->hooks)[OOM_CAP_KILL]));
	}
	check_decision(r, v);
	check_exit(r);
}

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

/*
 * A reader that stands still: the ring holds two records, the spill map four, and each kill is one of record, spilled, lost.
 */
static void run_spill(const struct hook_env *env, const char *exe)
{
	static const char *const others[] = {
		"oom_decision/fentry",	 "oom_decision/fentry_direct",
		"oom_decision/kprobe",	 "oom_attempt/fentry",
		"oom_attempt/kprobe",	 "oom_invoke/fentry",
		"oom_invoke/kprobe",	 "oom_exit/tp_btf",
		"oom_exit/raw_tp",	 "oom_exit/tracepoint",
		"oom_reaper/tp_btf",	 "oom_reaper/raw_tp",
		"oom_reaper/tracepoint", NULL,
	};
	const struct oom_hooks_options o = { .ring_bytes = 4096,
					     .spill_entries = 4,
					     .args_entries = 64,
					     .victims = 64,
					     .args_bytes = 256,
					     .disabled = others };
	const struct oom_hooks_sink sink = { .record = on_record };
	_cleanup_(oom_hooks_freep) struct oom_hooks *h = NULL;
	struct run r = { .name = "spill", .argument = "hog" };
	uint64_t lost[_OOM_LOST_MAX];

	(void)snprintf(r.exe, sizeof(r.exe), "%s", exe);
	if (oom_hooks_new(&o, env, &sink, &h) < 0 || cgroup_layout_init("/", &r.place.layout) < 0)
		return;
	r.hooks = h;
	if (!runs_program(&r, OOM_CAP_KILL) || place_make(&r.place, 16 * MIB, false, 0) < 0) {
		cgroup_layout_done(&r.place.layout);
		return;
	}
	memset(&seen, 0, sizeof(seen));
	for (int i = 0; i < 8; i++)
		(void)hog_wait(hog_start(r.exe, "hog", r.place.procs));
	(void)oom_hooks_consume(h);
	oom_hooks_lost(h, lost);
	check(r.name, "some in the ring", seen.n_victims >= 1 && seen.n_victims <= 3, "%zu",
	      seen.n_victims);
	CHECK_U64(r.name, "spilled", seen.by_type[OOM_RECORD_SPILL], 4);
	CHECK_U64(r.name, "spilled are counted", lost[OOM_LOST_RING], 4);
	CHECK_U64(r.name, "records + spilled + lost", seen.n_victims + 4 + lost[OOM_LOST_SPILL], 8);
	place_remove(&r.place);
	cgroup_layout_done(&r.place.layout);
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
