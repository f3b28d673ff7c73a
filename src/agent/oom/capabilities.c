/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities of OOM tracing and their variants, best first
 *
 * Rows of programs name the functions of bpf/oom.bpf.c. Rows with HOOK_USER need no program: correlate.c, kmsg and
 * counters do their work in user space.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/oom/hooks.h"
#include "base/parse.h"
#include "sys/kmsg.h"
#include "sys/probe.h"

#define PROGRAMS(...) ((const char *const[]){ __VA_ARGS__, NULL })

#define SHAPE_SIGNAL "int, struct kernel_siginfo *, struct task_struct *, int, int"
#define SHAPE_RECLAIM "int, gfp_t"
#define SHAPE_RECLAIM_MEMCG "gfp_t, int, struct mem_cgroup *"
#define SHAPE_EXIT "struct task_struct *|struct task_struct *, bool"
#define SHAPE_EXEC "struct task_struct *, pid_t, struct linux_binprm *"
#define SHAPE_LIMIT \
	"struct mem_cgroup *, enum memcg_memory_event|struct mem_cgroup *, enum memcg_memory_event, bool"
#define SHAPE_DECISION "struct oom_control *, const char *"

#define NO_VARIANT                                 \
	{                                          \
		.name = "none", .flags = HOOK_NONE \
	}

static enum hook_reason probe_always(const struct hook_env *e, const struct hook_variant *v)
{
	(void)e;
	(void)v;
	return HOOK_OK;
}

/* Stacks are of use only where symbols have addresses: kptr_restrict, CAP_SYSLOG. */
static enum hook_reason probe_stack(const struct hook_env *e, const struct hook_variant *v)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/kallsyms", "re");
	char line[256];
	uint64_t address;

	(void)e;
	(void)v;
	if (!f)
		return HOOK_NO_FILE;
	for (unsigned i = 0; i < 64 && fgets(line, sizeof(line), f); i++)
		if (parse_hex64(line, strcspn(line, " "), &address) == 0 && address)
			return HOOK_OK;
	return HOOK_NO_CAPABILITY;
}

/* Its mode says nothing: dmesg_restrict asks for CAP_SYSLOG when it is opened. */
static enum hook_reason probe_kmsg(const struct hook_env *e, const struct hook_variant *v)
{
	_cleanup_(closep) int fd = kmsg_open(v->target);

	(void)e;
	if (fd >= 0)
		return HOOK_OK;
	return fd == -EACCES || fd == -EPERM ? HOOK_NO_CAPABILITY : HOOK_NO_FILE;
}

static enum hook_reason probe_memory_events(const struct hook_env *e, const struct hook_variant *v)
{
	(void)v;
	return e->cgroup_v2_memory ? HOOK_OK : HOOK_NO_FILE;
}

static enum hook_reason probe_eventfd_v1(const struct hook_env *e, const struct hook_variant *v)
{
	(void)v;
	return e->cgroup_v2_memory ? HOOK_NOT_APPLICABLE : HOOK_OK;
}

/* The functions find cgroups in the v2 hierarchy. Most kernels lack them, which shows without reading BTF once more. */
static enum hook_reason probe_stat_kfunc(const struct hook_env *e, const struct hook_variant *v)
{
	if (e->no_btf)
		return HOOK_NO_BTF;
	if (!hook_env_has_symbol(e, v->target))
		return HOOK_NO_KFUNC;
	return e->cgroup_v2_memory ? probe_kfunc(e, v) : HOOK_CGROUP_V1;
}

static const struct hook oom_kill = {
	.capability = "oom_kill", .module = "oom", .required = true,
	.without = "kills are seen as counters only, without process",
	.variants = {
		{ "tp_btf_task", PROGRAMS("on_mark_tp_btf_task"), probe_btf_tracepoint, "mark_victim",
		  "struct task_struct *, uid_t", 0 },
		{ "tp_btf_task_direct", PROGRAMS("on_mark_tp_btf_task_direct"), probe_btf_tracepoint, "mark_victim",
		  "struct task_struct *, uid_t", HOOK_DIRECT },
		{ "tp_btf_pid", PROGRAMS("on_mark_tp_btf_pid"), probe_btf_tracepoint, "mark_victim", "int", 0 },
		{ "tp_btf_pid_direct", PROGRAMS("on_mark_tp_btf_pid_direct"), probe_btf_tracepoint, "mark_victim", "int",
		  HOOK_DIRECT },
		{ "raw_tp", PROGRAMS("on_mark_raw_tp"), probe_raw_tracepoint, "mark_victim",
		  "struct task_struct *, uid_t|int", 0 },
		{ "tracepoint", PROGRAMS("on_mark_tracepoint"), probe_tracepoint, "oom/mark_victim", NULL, 0 },
		{ "kmsg", NULL, probe_kmsg, "/dev/kmsg", NULL, HOOK_USER },
		{ "counters", NULL, probe_file, "/proc/vmstat", NULL, HOOK_USER },
	},
};

static const struct hook oom_signal = {
	.capability = "oom_signal", .module = "oom", .required = true,
	.without = "kills and mere marks are not told apart, no shared-mm kills",
	.variants = {
		{ "tp_btf", PROGRAMS("on_signal_tp_btf"), probe_btf_tracepoint, "signal_generate", SHAPE_SIGNAL, 0 },
		{ "tp_btf_direct", PROGRAMS("on_signal_tp_btf_direct"), probe_btf_tracepoint, "signal_generate",
		  SHAPE_SIGNAL, HOOK_DIRECT },
		{ "raw_tp", PROGRAMS("on_signal_raw_tp"), probe_raw_tracepoint, "signal_generate", SHAPE_SIGNAL, 0 },
		{ "tracepoint", PROGRAMS("on_signal_tracepoint"), probe_tracepoint, "signal/signal_generate", NULL, 0 },
		NO_VARIANT,
	},
};

static const struct hook oom_decision = {
	.capability = "oom_decision", .module = "oom", .required = true,
	.without = "scope and limiting cgroup are unknown",
	.variants = {
		{ "fentry", PROGRAMS("on_decision_fentry"), probe_fentry, "oom_kill_process", SHAPE_DECISION,
		  HOOK_TRAMPOLINE },
		{ "fentry_direct", PROGRAMS("on_decision_fentry_direct"), probe_fentry, "oom_kill_process",
		  SHAPE_DECISION, HOOK_TRAMPOLINE | HOOK_DIRECT },
		{ "kprobe", PROGRAMS("on_decision_kprobe"), probe_kprobe, "oom_kill_process", SHAPE_DECISION,
		  HOOK_KPROBE },
		{ "stack", NULL, probe_stack, "/proc/kallsyms", NULL, HOOK_USER },
		{ "kmsg", NULL, probe_kmsg, "/dev/kmsg", NULL, HOOK_USER },
		NO_VARIANT,
	},
};

static const struct hook oom_attempt = {
	.capability = "oom_attempt", .module = "oom", .without = "message text missing",
	.variants = {
		{ "fentry", PROGRAMS("on_attempt_fentry"), probe_fentry, "__oom_kill_process",
		  "struct task_struct *, const char *", HOOK_TRAMPOLINE },
		{ "kprobe", PROGRAMS("on_attempt_kprobe"), probe_kprobe, "__oom_kill_process",
		  "struct task_struct *, const char *", HOOK_KPROBE },
		NO_VARIANT,
	},
};

static const struct hook oom_invoke = {
	.capability = "oom_invoke", .module = "oom", .without = "no handling time, decisions without victim by counters only",
	.variants = {
		{ "fentry", PROGRAMS("on_invoke_fentry", "on_invoke_fexit"), probe_fentry, "out_of_memory",
		  "struct oom_control *", HOOK_TRAMPOLINE | HOOK_DIRECT },
		{ "kprobe", PROGRAMS("on_invoke_kprobe", "on_invoke_kretprobe"), probe_kprobe, "out_of_memory",
		  "struct oom_control *", HOOK_KPROBE },
		{ "kmsg", NULL, probe_kmsg, "/dev/kmsg", NULL, HOOK_USER },
		NO_VARIANT,
	},
};

static const struct hook oom_reclaim = {
	.capability = "oom_reclaim", .module = "oom", .without = "allocation flags and order from the kernel log only",
	.variants = {
		{ "tp_btf_memcg", PROGRAMS("on_reclaim_memcg_tp_btf_memcg", "on_reclaim_direct_tp_btf_memcg"),
		  probe_btf_tracepoint, "mm_vmscan_memcg_reclaim_begin", SHAPE_RECLAIM_MEMCG, HOOK_DIRECT },
		{ "tp_btf", PROGRAMS("on_reclaim_memcg_tp_btf", "on_reclaim_direct_tp_btf"), probe_btf_tracepoint,
		  "mm_vmscan_memcg_reclaim_begin", SHAPE_RECLAIM, HOOK_DIRECT },
		{ "raw_tp", PROGRAMS("on_reclaim_memcg_raw_tp", "on_reclaim_direct_raw_tp"), probe_raw_tracepoint,
		  "mm_vmscan_memcg_reclaim_begin", SHAPE_RECLAIM "|" SHAPE_RECLAIM_MEMCG, HOOK_DIRECT },
		NO_VARIANT,
	},
};

/*
 * In older kernels (6.12 among them) memcg_memory_event() counts these events, static inline in a header. A copy of it that has a symbol and BTF of its own
 * is nothing to hook: inline functions are notrace (fentry says EBUSY, a kprobe EINVAL), and other callers have theirs inlined.
 */
static const struct hook oom_limit = {
	.capability = "oom_limit", .module = "oom", .without = "limit hits are not counted",
	.variants = {
		{ "fentry", PROGRAMS("on_limit_fentry"), probe_fentry, "__memcg_memory_event", SHAPE_LIMIT,
		  HOOK_TRAMPOLINE | HOOK_DIRECT },
		{ "kprobe", PROGRAMS("on_limit_kprobe"), probe_kprobe, "__memcg_memory_event", SHAPE_LIMIT,
		  HOOK_KPROBE },
		{ "memory_events", NULL, probe_memory_events, "memory.events", NULL, HOOK_USER },
		{ "eventfd_v1", NULL, probe_eventfd_v1, "memory.oom_control", NULL, HOOK_USER },
		{ "poll", NULL, probe_always, NULL, NULL, HOOK_USER },
	},
};

#define REAPER_PROGRAMS(kind)                                           \
	PROGRAMS("on_wake_reaper_" kind, "on_start_task_reaping_" kind, \
		 "on_finish_task_reaping_" kind, "on_skip_task_reaping_" kind)

static const struct hook oom_reaper = {
	.capability = "oom_reaper", .module = "oom", .without = "reaping is not reported",
	.variants = {
		{ "tp_btf", REAPER_PROGRAMS("tp_btf"), probe_btf_tracepoint, "wake_reaper", "int", HOOK_DIRECT },
		{ "raw_tp", REAPER_PROGRAMS("raw_tp"), probe_raw_tracepoint, "wake_reaper", "int", HOOK_DIRECT },
		{ "tracepoint", REAPER_PROGRAMS("tracepoint"), probe_tracepoint, "oom/wake_reaper", NULL, 0 },
		NO_VARIANT,
	},
};

static const struct hook oom_exit = {
	.capability = "oom_exit", .module = "oom", .without = "time to exit is not known",
	.variants = {
		{ "tp_btf", PROGRAMS("on_exit_tp_btf"), probe_btf_tracepoint, "sched_process_exit", SHAPE_EXIT,
		  HOOK_DIRECT },
		{ "raw_tp", PROGRAMS("on_exit_raw_tp"), probe_raw_tracepoint, "sched_process_exit", SHAPE_EXIT, 0 },
		{ "tracepoint", PROGRAMS("on_exit_tracepoint"), probe_tracepoint, "sched/sched_process_exit", NULL, 0 },
		NO_VARIANT,
	},
};

static const struct hook oom_args = {
	.capability = "oom_args", .module = "oom", .required = true,
	.without = "command lines come from /proc after the kill, often empty",
	.variants = {
		/* Not direct: libbpf does not get the helper for user memory past confidentiality lockdown. */
		{ "tp_btf", PROGRAMS("on_exec_tp_btf"), probe_btf_tracepoint, "sched_process_exec", SHAPE_EXEC, 0 },
		{ "raw_tp", PROGRAMS("on_exec_raw_tp"), probe_raw_tracepoint, "sched_process_exec", SHAPE_EXEC, 0 },
		{ "scan", NULL, probe_always, "/proc", NULL, HOOK_USER },
	},
};

static const struct hook oom_stat = {
	.capability = "oom_stat", .module = "oom", .required = true, .without = "memory.stat is missing",
	.variants = {
		{ "kfunc", PROGRAMS("on_stat_kfunc"), probe_stat_kfunc, "bpf_mem_cgroup_page_state",
		  "struct mem_cgroup *, int", HOOK_DIRECT },
		{ "file", NULL, probe_always, "memory.stat", NULL, HOOK_USER },
		NO_VARIANT,
	},
};

const struct hook *const oom_capabilities[_OOM_CAP_MAX] = {
	[OOM_CAP_KILL] = &oom_kill,	    [OOM_CAP_SIGNAL] = &oom_signal,
	[OOM_CAP_DECISION] = &oom_decision, [OOM_CAP_ATTEMPT] = &oom_attempt,
	[OOM_CAP_INVOKE] = &oom_invoke,	    [OOM_CAP_RECLAIM] = &oom_reclaim,
	[OOM_CAP_LIMIT] = &oom_limit,	    [OOM_CAP_REAPER] = &oom_reaper,
	[OOM_CAP_EXIT] = &oom_exit,	    [OOM_CAP_ARGS] = &oom_args,
	[OOM_CAP_STAT] = &oom_stat,
};
