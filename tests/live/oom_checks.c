/* SPDX-License-Identifier: Apache-2.0 */
/* Records of one kill, compared with what the process that died wrote about itself. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/time.h"
#include "oom_checks.h"

/* --- what came --- */

struct seen seen;

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

void on_record(void *ctx, const struct record_head *head, bool spilled)
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
	case OOM_RECORD_SPILL:
		memcpy(&seen.core, head, MIN((size_t)head->size, sizeof(seen.core)));
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
void drain(struct oom_hooks *h)
{
	struct pollfd p = { .fd = oom_hooks_fd(h), .events = POLLIN };

	while (poll(&p, 1, 300) > 0)
		(void)oom_hooks_consume(h);
}

/* --- checks --- */

unsigned n_failed, n_checks;

void check(const char *scenario, const char *fact, bool good, const char *fmt, ...)
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

static bool text_is(const struct oom_victim *v, struct oom_text t, const char *want, size_t len)
{
	return t.length == len && memcmp(v->text + t.offset, want, len) == 0;
}

const struct oom_victim *victim_of(pid_t pid)
{
	for (size_t i = 0; i < seen.n_victims; i++)
		if (seen.victims[i].tgid == (uint32_t)pid)
			return &seen.victims[i];
	return NULL;
}

bool live(const struct run *r, enum oom_capability c, const char *variant)
{
	return hook_live_is(&oom_hooks_states(r->hooks)[c], variant);
}

bool runs_program(const struct run *r, enum oom_capability c)
{
	const struct hook_state *s = &oom_hooks_states(r->hooks)[c];

	return s->live >= 0 && s->hook->variants[s->live].programs;
}

/* "…_direct": typed loads only, no text. */
bool is_direct(const struct run *r, enum oom_capability c)
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

void check_victim(const struct run *r)
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
