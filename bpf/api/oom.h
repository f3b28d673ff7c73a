/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Records and shared maps of bpf/oom.bpf.c
 *
 * Sizes of memory are in pages as the kernel counts them; user space multiplies by its page size. UNKNOWN64 stands for
 * "this variant could not read it". Zero is a value. Text parts lie behind the fixed part of a record, in text[];
 * a part is (offset from the start of text[], length), length 0 = not known.
 */
#pragma once
#include "bpf/api/record.h"

#define OOM_LEVELS_MAX 13 /* the victim's memory cgroup and up to 12 ancestors, leaf first */
#define OOM_STACK_MAX 16
#define OOM_ANCESTORS_MAX 8
#define OOM_TEXT_MAX 2048 /* all text parts of one record together */
#define OOM_PATH_MAX 512
#define OOM_ARGS_MAX 1024
#define OOM_UNKNOWN64 (~0ULL)
#define OOM_UNKNOWN32 (~0U)

enum oom_record { /* append only, never renumber */
		  OOM_RECORD_VICTIM = 1, /* struct oom_victim: a mark, or a shared-mm SIGKILL */
		  OOM_RECORD_DECISION =
			  2, /* struct oom_decision: oom_kill_process entered (fentry, kprobe) */
		  OOM_RECORD_ATTEMPT = 3, /* struct oom_attempt: __oom_kill_process entered */
		  OOM_RECORD_INVOKE = 4, /* struct oom_invoke: out_of_memory returned */
		  OOM_RECORD_REAPER = 5, /* struct oom_reaper */
		  OOM_RECORD_EXIT =
			  6, /* struct oom_exit: a followed victim's thread group has gone */
		  OOM_RECORD_SPILL =
			  7, /* struct oom_core, synthesised by the reader from the spill map */
		  _OOM_RECORD_MAX,
};

enum oom_victim_kind {
	OOM_VICTIM_KILL = 1, /* an OOM SIGKILL to the same thread group came before the mark */
	OOM_VICTIM_RESERVE = 2, /* marked without a kill */
	OOM_VICTIM_SHARED_MM = 3, /* an OOM SIGKILL without a mark, mm of the last marked victim */
	OOM_VICTIM_UNSURE = 4, /* oom_signal has no variant: kill or reserve */
};

/* As far as the programs can tell; the kernel stack, where there is one, knows better. */
enum oom_victim_role { OOM_ROLE_UNKNOWN, OOM_ROLE_CHOSEN, OOM_ROLE_MEMBER };

enum oom_victim_flags {
	OOM_VICTIM_STACK = 1 << 0, /* stack[] is filled */
	OOM_VICTIM_V1 = 1 << 1, /* the memory controller lives on cgroup v1 */
	OOM_VICTIM_LEVELS_CUT = 1 << 2, /* more levels than OOM_LEVELS_MAX */
	OOM_VICTIM_SAME_MM = 1 << 3, /* trigger and victim share the mm */
	OOM_VICTIM_TRIGGER_KTHREAD = 1 << 4,
	OOM_VICTIM_EXE_DELETED = 1 << 5,
	OOM_VICTIM_SNAPSHOT =
		1 << 6, /* memory, ids and cgroup of the victim were read from its task */
	OOM_VICTIM_RECLAIM = 1 << 7, /* reclaim_* are filled */
	OOM_VICTIM_DECISION = 1 << 8, /* decision number comes from oom_kill_process */
	OOM_VICTIM_STAT = 1 << 9, /* stat is filled */
	OOM_VICTIM_RSS_PER_THREAD = 1 << 10, /* threads, not CPUs, hold back what they counted */
};

enum oom_args_source {
	OOM_ARGS_NONE,
	OOM_ARGS_EXEC, /* taken at exec */
	OOM_ARGS_PARENT, /* of the nearest ancestor that exec'd */
	OOM_ARGS_SELF, /* read at the kill: the trigger shares the mm */
};

enum oom_reclaim_kind {
	OOM_RECLAIM_NONE,
	OOM_RECLAIM_MEMCG,
	OOM_RECLAIM_DIRECT,
};

struct oom_text {
	__u16 offset, length;
};

/*
 * One memory cgroup between the victim and the root. v1: swap_* are memsw counters, oom_count is memory.failcnt, which some
 * kernels (6.18) leave at 0; oom_events is the kernel's own count of OOMs at this level, on v1 and v2 alike.
 */
struct oom_level {
	__u64 id; /* kernfs id in the memory hierarchy */
	__u64 usage, max; /* pages; max OOM_UNKNOWN64 = no limit */
	__u64 swap_usage, swap_max;
	__u64 oom_count; /* local OOM events (v2), failcnt (v1) */
	__u64 swap_count; /* v1: memsw failcnt */
	__u64 oom_events; /* local OOM events, both versions */
	__u8 oom_group;
	__u8 pad[7];
};

struct oom_ancestor {
	__u32 pid;
	__u32 pad;
	__u64 start_boot_ns;
	char comm[COMM_MAX];
};

/* As the kernel's struct bpf_stack_build_id; not aligned inside text[]. */
#define OOM_USER_STACK_MAX 16
enum oom_user_frame_status { OOM_FRAME_EMPTY, OOM_FRAME_BUILD_ID, OOM_FRAME_IP };
struct oom_user_frame {
	__s32 status; /* enum oom_user_frame_status */
	__u8 build_id[20];
	__u64 offset; /* into the file, or the address where the file has no build id */
};
_Static_assert(sizeof(struct oom_user_frame) == 32, "as the kernel writes it");

/* Lines of memory.stat, in the order in which they are shown. */
enum oom_stat_key {
	STAT_ANON,
	STAT_FILE,
	STAT_SHMEM,
	STAT_KERNEL,
	STAT_KERNEL_STACK,
	STAT_PAGETABLES,
	STAT_SOCK,
	STAT_SLAB_RECLAIMABLE,
	STAT_SLAB_UNRECLAIMABLE,
	STAT_FILE_MAPPED,
	STAT_FILE_DIRTY,
	STAT_UNEVICTABLE,
	STAT_INACTIVE_FILE,
	STAT_ACTIVE_FILE,
	STAT_INACTIVE_ANON,
	STAT_ACTIVE_ANON,
	STAT_REFAULT_ANON,
	STAT_REFAULT_FILE,
	STAT_PGMAJFAULT,
	_STAT_MAX,
};

/* memory.stat of one cgroup, read in the kernel at the mark. Bytes, or events; OOM_UNKNOWN64 = this kernel has no such line. */
struct oom_stat {
	__u64 cgroup_id; /* memory hierarchy; 0 = not read */
	__u64 usage; /* bytes */
	__u64 values[_STAT_MAX];
};

struct oom_victim {
	struct record_head head;
	/* Victim. */
	__u32 tgid, tid, vpid, ppid;
	__u64 start_boot_ns; /* of the thread group leader */
	__u32 uid; /* real uid, initial user namespace */
	__s32 adj;
	__u32 threads;
	__u16 kind; /* enum oom_victim_kind */
	__u16 args_source; /* enum oom_args_source */
	__u32 flags; /* enum oom_victim_flags */
	__u32 variant; /* index of the oom_kill variant that wrote it, set as rodata */
	char comm[COMM_MAX];
	__u64 mm; /* address: equality only, never shown */
	__u64 rss_anon, rss_file, rss_shmem, swap, total_vm; /* pages */
	__u64 pgtables_bytes;
	__u64 cgroup_id; /* memory hierarchy */
	__u64 cgroup2_id; /* unified hierarchy, 0 = none */
	/* Trigger: current. */
	__u32 trigger_tgid, trigger_tid;
	__u64 trigger_start_boot_ns;
	__u64 trigger_cgroup_id;
	char trigger_comm[COMM_MAX];
	/* Decision: number per host, counted at oom_kill_process where hooked; else 0. */
	__u64 decision;
	/* Last reclaim of the trigger's thread. */
	__u64 reclaim_cgroup_id; /* 7.2 and later, else 0 */
	__u32 reclaim_gfp;
	__s16 reclaim_order;
	__u16 reclaim_kind; /* enum oom_reclaim_kind */
	__u32 n_levels, n_stack, n_ancestors;
	__u32 role; /* enum oom_victim_role */
	struct oom_level levels[OOM_LEVELS_MAX];
	__u64 stack[OOM_STACK_MAX];
	struct oom_ancestor ancestors[OOM_ANCESTORS_MAX];
	struct oom_stat stat; /* of the limiting cgroup */
	/* Text parts. */
	struct oom_text path; /* cgroup of the memory hierarchy, walked in the kernel */
	struct oom_text exe, cwd, args; /* args: NUL-separated */
	struct oom_text user_stack; /* struct oom_user_frame each, of the victim where it runs */
	struct oom_text trigger_exe; /* only where it is not the victim */
	char text[OOM_TEXT_MAX]; /* the record ends at the last part, see head.size */
};

/* What survives when the ring is full: value of the spill map, keyed by a running number. */
struct oom_core {
	struct record_head head;
	__u32 tgid, tid, vpid, uid;
	__u64 start_boot_ns;
	__u64 cgroup_id;
	__u64 rss_pages; /* anon + file + shmem */
	__u64 decision; /* number per host, 0 = not hooked */
	__u32 trigger_tgid, trigger_tid;
	__u16 kind; /* enum oom_victim_kind */
	__s16 adj;
	__u16 role; /* enum oom_victim_role */
	__u16 flags; /* OOM_CORE_FLAGS of enum oom_victim_flags */
	char comm[COMM_MAX];
};
#define OOM_CORE_FLAGS                                                                           \
	(OOM_VICTIM_V1 | OOM_VICTIM_SAME_MM | OOM_VICTIM_TRIGGER_KTHREAD | OOM_VICTIM_DECISION | \
	 OOM_VICTIM_SNAPSHOT)
_Static_assert(sizeof(struct oom_core) == 96, "both sides agree on the size");

enum oom_constraint_kind { /* as the kernel's enum oom_constraint */
			   OOM_CONSTRAINT_NONE,
			   OOM_CONSTRAINT_CPUSET,
			   OOM_CONSTRAINT_MEMORY_POLICY,
			   OOM_CONSTRAINT_MEMCG,
};

struct oom_decision {
	struct record_head head;
	__u64 decision; /* number per host */
	__u32 trigger_tgid, trigger_tid;
	__u32 chosen_tgid;
	__u32 constraint; /* enum oom_constraint_kind */
	__u64 memcg_id; /* 0 = host */
	__u64 totalpages;
	__u32 gfp;
	__s32 order; /* -1 = sysrq */
	__s64 points; /* pages, as the kernel computed them */
	struct oom_text path, nodemask, cpuset; /* path of the limiting cgroup */
	char text[OOM_TEXT_MAX];
};

struct oom_attempt {
	struct record_head head;
	__u64 decision;
	__u32 tgid, trigger_tid;
	struct oom_text message;
	char text[256];
};

struct oom_invoke {
	struct record_head head; /* boot_ns: return of out_of_memory() */
	__u64 duration_ns;
	__u64 memcg_id; /* 0 = host */
	__u64 decision; /* taken inside, 0 = none */
	__u32 trigger_tgid, trigger_tid;
	__u32 result; /* return value */
	__u32 marks; /* marks seen between entry and return */
};

enum oom_reaper_what { OOM_REAPER_WAKE, OOM_REAPER_START, OOM_REAPER_FINISH, OOM_REAPER_SKIP };

struct oom_reaper {
	struct record_head head;
	__u32 tid; /* the marked thread */
	__u32 what; /* enum oom_reaper_what */
};

struct oom_exit {
	struct record_head head; /* boot_ns: last thread gone */
	__u32 tgid;
	__u32 exit_code;
	__u64 start_boot_ns;
};

/*
 * Read-only parameters of the programs: `parameters` in both objects. Offsets are bytes into the payload of a classic
 * tracepoint, out of its format file; -1 = the field is not there.
 */
struct oom_mark_offsets {
	__s32 pid, comm, total_vm, anon, file, shmem, pgtables, uid, adj;
};
struct oom_signal_offsets {
	__s32 sig, code, pid;
};
struct oom_parameters {
	__u32 args_bytes;
	__u32 kill_variant; /* copied into records */
	__u32 page_kib;
	__u8 signals_seen; /* oom_signal has a variant */
	__u8 stash_victims; /* the live oom_kill variant brings only a thread id */
	__u8 raw_mark_is_task; /* raw_tp: first argument of mark_victim is a task, else a thread id */
	__u8 raw_reclaim_has_memcg; /* raw_tp: (gfp, order, memcg) of v7.2, else (order, gfp) */
	__u8 user_stack; /* wanted */
	__u8 pad[3];
	struct oom_mark_offsets mark;
	struct oom_signal_offsets signal;
	__s32 exit_group_dead;
};

/* Loss: per-CPU array, index by enum. */
enum oom_lost { OOM_LOST_RING, OOM_LOST_SPILL, OOM_LOST_OTHER, _OOM_LOST_MAX };

/* Command lines taken at exec: LRU hash. */
struct oom_args_key {
	__u32 tgid;
	__u32 pad;
	__u64 start_ticks; /* boot time / 10 ms, as /proc/PID/stat prints it: the map is seeded from there */
};
#define OOM_TICK_NS 10000000ULL
struct oom_args_value {
	__u32 length; /* of data, NUL-separated */
	__u32 pad;
	char data[OOM_ARGS_MAX];
};

/* Limit hits counted in the kernel (variants fentry, kprobe of oom_limit): hash keyed by cgroup id. */
enum oom_limit_event { OOM_LIMIT_MAX, OOM_LIMIT_OOM, OOM_LIMIT_GROUP_KILL, _OOM_LIMIT_EVENT_MAX };
struct oom_limit_hits {
	__u64 hits[_OOM_LIMIT_EVENT_MAX];
};
