/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "agent/oom/rows.h"
#include "bpf/api/oom.h"
#include "sys/identity.h"

/*
 * What is known of a kill and of the decision that it belongs to
 *
 * Both are slots of fixed size, preallocated: nothing is allocated while memory is short. Sizes in bytes from here on.
 */

enum oom_scope_source { SOURCE_NONE, SOURCE_KMSG, SOURCE_RECLAIM, SOURCE_STACK, SOURCE_OC };
const char *oom_scope_source_name(enum oom_scope_source s);

struct oom_kill {
	bool used, emitted;
	bool spilled;
	bool counted_workload; /* OOM-504 */
	bool judged, member; /* what the kernel stack says, if there is one */
	enum oom_role role;
	unsigned attempts;
	uint64_t boot_ns, wall_ns; /* of the mark */
	uint64_t exit_boot_ns, reap_start_ns, reap_end_ns; /* 0 = not seen */
	bool reaper_skipped;
	struct identity *identity; /* held; NULL = not known */
	struct oom_victim v; /* as the kernel told it, pages converted by decode.c */
	struct oom_kill *next; /* of the same decision */
	struct followed *followed; /* NULL: not, or not any more */
};

/* How the limiting cgroup was found, worst first (OOM-116). */
enum oom_limit_source {
	LIMIT_FROM_NOWHERE,
	LIMIT_FROM_USAGE,
	LIMIT_FROM_COUNTS,
	LIMIT_FROM_KMSG,
	LIMIT_FROM_RECLAIM,
	LIMIT_FROM_OC,
};

struct oom_limit_found {
	bool found, certain;
	enum oom_limit_source source;
	int level; /* index into the chosen victim's levels, -1 = known by path or id only */
	const char *counter; /* memory; v1: memsw where that one was full */
	uint64_t id;
	char path[OOM_PATH_MAX];
};

struct oom_host {
	bool known;
	uint64_t total, free, available, swap_total, swap_free, slab_unreclaimable, shmem;
	double load1;
};

struct oom_psi {
	bool known;
	double some_avg10, some_avg60, full_avg10, full_avg60;
	uint64_t some_total_us, full_total_us;
};

extern const char *const oom_stat_names[_STAT_MAX];

struct oom_snapshot {
	struct oom_host host;
	struct oom_psi system, cgroup;
	uint64_t psi_boot_ns;
	uint32_t stat_seen; /* bit per enum oom_stat_key */
	uint64_t stat[_STAT_MAX];
	uint64_t stat_boot_ns;
	uint64_t usage, max,
		peak; /* of the limiting cgroup; max UINT64_MAX = none, OOM_UNKNOWN64 usage = not read */
	bool limit_known;
};

struct oom_run { /* one run of the OOM killer */
	bool used, emitted, snapshot_taken, complete;
	bool allocating_task; /* vm.oom_kill_allocating_task as it stood when the run began */
	bool told; /* emitted at least once: its id stays */
	bool early; /* emitted before its wait was over: its slot was needed */
	bool evicted; /* one of its victims is not followed any more */
	uint64_t seq; /* of this agent */
	uint64_t kernel_number; /* counted by the kernel program, 0 = none */
	uint32_t trigger_tid, trigger_tgid;
	uint64_t first_ns, last_ns; /* boot time of records */
	uint64_t first_us, last_us; /* monotonic arrival */
	enum oom_scope scope;
	enum oom_scope_source scope_source;
	bool group; /* memory.oom.group made it */
	bool oc; /* decision record arrived */
	bool limit_read; /* the snapshot has the limiting cgroup's files */
	uint64_t totalpages_bytes; /* size of the scope, 0 = unknown */
	bool gfp_known;
	bool gfp_of_memcg_reclaim; /* it carries flags that reclaim of a memory cgroup adds */
	uint32_t gfp;
	int order;
	bool order_known;
	int64_t points; /* pages; INT64_MIN = not known */
	uint32_t chosen_tgid;
	bool kmsg_answered; /* the log named the chosen one */
	char kmsg_trigger[16]; /* comm, of the log */
	char kmsg_gfp[160], nodemask[64], cpuset[128], message[128];
	char kernel_log[768]; /* lines of the kernel log that name a victim, each with its NUL */
	size_t kernel_log_len;
	uint64_t invoke_ns; /* duration, 0 = unknown */
	struct oom_limit_found limit;
	struct oom_snapshot snapshot;
	struct oom_kill *kills; /* in order of the marks */
	unsigned n_kills, n_exited; /* processes that were killed, and that have gone */
	bool spared_known;
	unsigned spared; /* processes of the group that memory.oom.group left alone */
	uint64_t freed_bytes; /* in the limiting cgroup after the last exit */
	bool freed_known;
	uint64_t last_exit_us;
	unsigned repeats; /* decisions in the same cgroup within 60 s before this one */
};
