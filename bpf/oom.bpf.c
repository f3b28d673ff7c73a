/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * OOM kills, seen from the kernel's own OOM code
 *
 * mark_oom_victim() fires the tracepoint oom:mark_victim once per marked thread, for every kind of victim, with `current` the
 * task whose allocation failed. The SIGKILL comes before the mark, by signal:signal_generate with SEND_SIG_PRIV; it tells
 * kills from mere marks and shows processes that die because they share the mm. oom_lock serialises decisions of the whole
 * host, so a record may be built in one scratch buffer.
 *
 * Several programs serve one purpose; the loader switches on one per capability (src/agent/oom/hooks.c).
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf/api/oom.h"
#include "cgroup.bpf.h"
#include "path.bpf.h"
#include "ring.bpf.h"
#include "task.bpf.h"

#define SIGKILL 9
#define SEND_SIG_PRIV 1
#define SI_KERNEL 0x80
#define SHARED_MM_WINDOW_NS 1000000000ULL /* SIGKILLs to sharers of the mm follow the mark at once */

const volatile __u32 args_bytes = 256;
const volatile bool raw_mark_is_task = true; /* raw_tp: first argument of mark_victim is a task, else a pid */
const volatile bool raw_reclaim_has_memcg = false; /* raw_tp: (gfp, order, memcg) of v7.2 */
const volatile bool signals_seen = true; /* oom_signal has a variant */
const volatile __u32 kill_variant = 0;
const volatile __u32 page_kib = 4;
/* Classic payload of oom:mark_victim beyond the pid: offsets out of the format file, -1 = not there. */
const volatile __s32 mark_comm = -1, mark_total_vm = -1, mark_anon = -1, mark_file = -1, mark_shmem = -1,
		   mark_pgtables = -1, mark_uid = -1, mark_adj = -1;
/* Classic payload of signal:signal_generate. */
const volatile __s32 signal_sig = 8, signal_code = 16, signal_pid = 36;

/* What this thread did last in the OOM code. */
struct thread_state {
	u64 signal_ns, mark_ns;
	u64 mm; /* of the last marked victim */
	u64 decision;
	u64 start_ns; /* entry of out_of_memory() */
	u32 signal_tgid; /* thread group that got the last OOM SIGKILL */
	u32 mark_tgid;
	u32 marks;
	u32 reclaim_gfp;
	u64 reclaim_cgroup;
	u64 reclaim_ns;
	s16 reclaim_order;
	u16 reclaim_kind;
	u32 pad;
};

RING(oom_ring, 1 << 20);
HASH(oom_spill, BPF_MAP_TYPE_HASH, 1024, u64, struct oom_core);
HASH(threads, BPF_MAP_TYPE_LRU_HASH, 4096, u64, struct thread_state);
HASH(oom_args, BPF_MAP_TYPE_LRU_HASH, 8192, struct oom_args_key, struct oom_args_value);
HASH(followed, BPF_MAP_TYPE_LRU_HASH, 1024, u32, u64);
HASH(limit_hits, BPF_MAP_TYPE_LRU_HASH, 2048, u64, struct oom_limit_hits);
/* Snapshots taken at the SIGKILL, for a mark that brings only a pid. */
HASH(stash, BPF_MAP_TYPE_HASH, 64, u64, struct oom_victim);
PERCPU_ARRAY(lost, _OOM_LOST_MAX, u64);
PERCPU_ARRAY(paths, 1, struct path_scratch);
PERCPU_ARRAY(scratch, 1, struct oom_victim);
ARRAY(zeroes, 1, struct oom_victim); /* never written: source of zeros */
ARRAY(counters, 2, u64); /* running numbers: decisions, spilled records */
PERCPU_ARRAY(args_scratch, 1, struct oom_args_value);

static __always_inline void count_lost(u32 what)
{
	u64 *n = bpf_map_lookup_elem(&lost, &what);

	if (n)
		*n += 1;
}

static __always_inline u64 next_number(u32 which)
{
	u64 *n = bpf_map_lookup_elem(&counters, &which);

	return n ? __sync_fetch_and_add(n, 1) + 1 : 0;
}

static __always_inline struct thread_state *this_thread(bool create)
{
	u64 key = bpf_get_current_pid_tgid();
	struct thread_state *t = bpf_map_lookup_elem(&threads, &key);
	struct thread_state fresh = {};

	if (t || !create)
		return t;
	bpf_map_update_elem(&threads, &key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads, &key);
}

static __always_inline struct path_scratch *path_buffer(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&paths, &zero);
}

static __always_inline void head_init(struct record_head *h, u16 type, u32 size)
{
	h->type = type;
	h->cpu = bpf_get_smp_processor_id();
	h->size = size;
	h->boot_ns = bpf_ktime_get_boot_ns();
}

/* --- text parts of a victim's record --- */

/* Copies @len bytes behind what is there already. */
static __always_inline void add_text(struct oom_victim *v, u32 *used, struct oom_text *part, const void *from, u32 len)
{
	u32 at = *used;

	if (len > OOM_PATH_MAX)
		len = OOM_PATH_MAX;
	if (len == 0 || at > OOM_TEXT_MAX - OOM_ARGS_MAX)
		return;
	if (bpf_probe_read_kernel(&v->text[at], len, from))
		return;
	part->offset = at;
	part->length = len;
	*used = at + len;
}

static __always_inline void add_scratch_path(struct oom_victim *v, u32 *used, struct oom_text *part,
					     struct path_scratch *s, u32 pos)
{
	pos &= PATH_BYTES - 1;
	add_text(v, used, part, &s->data[pos], PATH_BYTES - 1 - pos);
}

static __always_inline void add_args(struct oom_victim *v, u32 *used, struct task_struct *leader)
{
	struct oom_args_key key = { .tgid = v->tgid, .start_ticks = v->start_boot_ns / OOM_TICK_NS };
	struct oom_args_value *a = bpf_map_lookup_elem(&oom_args, &key);
	u32 at = *used, len;

	v->args_source = OOM_ARGS_EXEC;
	if (!a) { /* a fork without exec runs what its ancestor was given */
		struct task_struct *parent = BPF_CORE_READ(leader, real_parent, group_leader);

		key.tgid = BPF_CORE_READ(parent, tgid);
		key.start_ticks = BPF_CORE_READ(parent, start_boottime) / OOM_TICK_NS;
		a = bpf_map_lookup_elem(&oom_args, &key);
		v->args_source = OOM_ARGS_PARENT;
		/* A child that exec'd something else would have an entry; one whose exe differs is not ours. */
		if (a && BPF_CORE_READ(leader, mm, exe_file) != BPF_CORE_READ(parent, mm, exe_file))
			a = 0;
	}
	if (!a) {
		v->args_source = OOM_ARGS_NONE;
		return;
	}
	len = a->length;
	if (len > OOM_ARGS_MAX)
		len = OOM_ARGS_MAX;
	if (len == 0 || at > OOM_TEXT_MAX - OOM_ARGS_MAX)
		return;
	if (bpf_probe_read_kernel(&v->text[at], len, a->data))
		return;
	v->args.offset = at;
	v->args.length = len;
	*used = at + len;
}

static __always_inline void add_texts(struct oom_victim *v, struct task_struct *leader, struct mem_cgroup *memcg,
				      struct mm_struct *mm)
{
	struct path_scratch *s = path_buffer();
	struct fs_struct *fs = BPF_CORE_READ(leader, fs);
	struct file *exe = BPF_CORE_READ(mm, exe_file);
	u32 used = 0;

	if (!s)
		return;
	if (memcg)
		add_scratch_path(v, &used, &v->path, s, path_of_kernfs(s, BPF_CORE_READ(memcg, css.cgroup, kn)));
	if (exe) {
		if (BPF_CORE_READ(exe, f_path.dentry, d_inode, i_nlink) == 0)
			v->flags |= OOM_VICTIM_EXE_DELETED;
		add_scratch_path(v, &used, &v->exe, s,
				 path_of_file(s, __builtin_preserve_access_index(&exe->f_path),
					      fs ? __builtin_preserve_access_index(&fs->root) : NULL));
	}
	add_args(v, &used, leader);
	if (fs)
		add_scratch_path(v, &used, &v->cwd, s,
				 path_of_file(s, __builtin_preserve_access_index(&fs->pwd),
					      __builtin_preserve_access_index(&fs->root)));
	v->head.size = __builtin_offsetof(struct oom_victim, text) + used;
}

/* --- numbers of a victim's record --- */

static __always_inline void add_memory(struct oom_victim *v, struct mm_struct *mm)
{
	v->mm = (u64)mm;
	v->rss_anon = mm_counter(mm, MM_ANONPAGES);
	v->rss_file = mm_counter(mm, MM_FILEPAGES);
	v->rss_shmem = mm_counter(mm, MM_SHMEMPAGES);
	v->swap = mm_counter(mm, MM_SWAPENTS);
	v->total_vm = BPF_CORE_READ(mm, total_vm);
	v->pgtables_bytes = BPF_CORE_READ(mm, pgtables_bytes.counter);
}

static __always_inline u64 limit_of(u64 max)
{
	/* PAGE_COUNTER_MAX is LONG_MAX / PAGE_SIZE: the smallest page is 4 KiB, the largest 64 KiB. */
	return max >= (1ULL << 46) ? OOM_UNKNOWN64 : max;
}

static __always_inline void add_levels(struct oom_victim *v, struct mem_cgroup *memcg)
{
	bool v1 = memcg_on_v1(memcg);
	u64 oom = 0;

	if (bpf_core_enum_value_exists(enum memcg_memory_event, MEMCG_OOM))
		oom = bpf_core_enum_value(enum memcg_memory_event, MEMCG_OOM);
	if (v1)
		v->flags |= OOM_VICTIM_V1;
	for (int i = 0; i < OOM_LEVELS_MAX; i++) {
		struct oom_level *l = &v->levels[i];
		struct cgroup_subsys_state *up;

		l->id = memcg_id(memcg);
		l->usage = BPF_CORE_READ(memcg, memory.usage.counter);
		l->max = limit_of(BPF_CORE_READ(memcg, memory.max));
		l->oom_group = BPF_CORE_READ(memcg, oom_group);
		if (v1) {
			l->swap_usage = BPF_CORE_READ(memcg, memsw.usage.counter);
			l->swap_max = limit_of(BPF_CORE_READ(memcg, memsw.max));
			l->oom_count = BPF_CORE_READ(memcg, memory.failcnt);
			l->swap_count = BPF_CORE_READ(memcg, memsw.failcnt);
		} else {
			l->swap_usage = BPF_CORE_READ(memcg, swap.usage.counter);
			l->swap_max = limit_of(BPF_CORE_READ(memcg, swap.max));
			bpf_probe_read_kernel(&l->oom_count, sizeof(l->oom_count),
					      (void *)memcg +
						      bpf_core_field_offset(struct mem_cgroup, memory_events_local) +
						      oom * sizeof(atomic_long_t));
		}
		v->n_levels = i + 1;
		up = BPF_CORE_READ(memcg, css.parent);
		if (!up)
			return;
		memcg = (void *)up - bpf_core_field_offset(struct mem_cgroup, css);
	}
	v->flags |= OOM_VICTIM_LEVELS_CUT;
}

static __always_inline void add_ancestors(struct oom_victim *v, struct task_struct *leader)
{
	struct task_struct *task = leader;

	for (int i = 0; i < OOM_ANCESTORS_MAX; i++) {
		struct oom_ancestor *a = &v->ancestors[i];

		task = BPF_CORE_READ(task, real_parent, group_leader);
		if (!task)
			return;
		a->pid = BPF_CORE_READ(task, tgid);
		if (a->pid == 0)
			return;
		a->start_boot_ns = BPF_CORE_READ(task, start_boottime);
		bpf_probe_read_kernel(a->comm, sizeof(a->comm), __builtin_preserve_access_index(&task->comm));
		v->n_ancestors = i + 1;
	}
}

static __always_inline void add_trigger(struct oom_victim *v, const struct thread_state *t)
{
	u64 ids = bpf_get_current_pid_tgid();
	struct task_struct *current = (void *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(current, group_leader);
	struct mem_cgroup *memcg = task_memcg(current);
	struct mm_struct *mm = BPF_CORE_READ(current, mm);

	v->trigger_tgid = ids >> 32;
	v->trigger_tid = (u32)ids;
	v->trigger_start_boot_ns = BPF_CORE_READ(leader, start_boottime);
	if (memcg)
		v->trigger_cgroup_id = memcg_id(memcg);
	bpf_get_current_comm(v->trigger_comm, sizeof(v->trigger_comm));
	if (BPF_CORE_READ(current, flags) & PF_KTHREAD)
		v->flags |= OOM_VICTIM_TRIGGER_KTHREAD;
	if (mm && (u64)mm == v->mm)
		v->flags |= OOM_VICTIM_SAME_MM;
	if (!t)
		return;
	v->decision = t->decision;
	if (t->decision)
		v->flags |= OOM_VICTIM_DECISION;
	if (t->reclaim_kind) {
		v->flags |= OOM_VICTIM_RECLAIM;
		v->reclaim_kind = t->reclaim_kind;
		v->reclaim_gfp = t->reclaim_gfp;
		v->reclaim_order = t->reclaim_order;
		v->reclaim_cgroup_id = t->reclaim_cgroup;
	}
}

static __always_inline void add_victim(struct oom_victim *v, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct mem_cgroup *memcg = task_memcg(task);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	v->tgid = BPF_CORE_READ(task, tgid);
	v->tid = BPF_CORE_READ(task, pid);
	v->vpid = task_vpid(leader);
	v->ppid = BPF_CORE_READ(leader, real_parent, tgid);
	v->start_boot_ns = BPF_CORE_READ(leader, start_boottime);
	v->uid = BPF_CORE_READ(task, real_cred, uid.val);
	v->adj = BPF_CORE_READ(signal, oom_score_adj);
	v->threads = BPF_CORE_READ(signal, nr_threads);
	bpf_probe_read_kernel(v->comm, sizeof(v->comm), __builtin_preserve_access_index(&leader->comm));
	v->flags |= OOM_VICTIM_SNAPSHOT;
	if (mm)
		add_memory(v, mm);
	if (memcg) {
		v->cgroup_id = memcg_id(memcg);
		add_levels(v, memcg);
	}
	v->cgroup2_id = task_cgroup2_id(task);
	add_ancestors(v, leader);
	add_texts(v, leader, memcg, mm);
}

static __always_inline struct oom_victim *new_victim(void)
{
	u32 zero = 0;
	struct oom_victim *v = bpf_map_lookup_elem(&scratch, &zero);
	struct oom_victim *z = bpf_map_lookup_elem(&zeroes, &zero);

	if (!v || !z)
		return NULL;
	bpf_probe_read_kernel(v, __builtin_offsetof(struct oom_victim, text), z);
	head_init(&v->head, OOM_RECORD_VICTIM, __builtin_offsetof(struct oom_victim, text));
	v->variant = kill_variant;
	return v;
}

/* --- on the way to user space --- */

static __always_inline void spill(const struct oom_victim *v)
{
	struct oom_core core = {};
	u64 key = next_number(1);

	core.head = v->head;
	core.head.type = OOM_RECORD_SPILL;
	core.head.size = sizeof(core);
	core.tgid = v->tgid;
	core.tid = v->tid;
	core.vpid = v->vpid;
	core.uid = v->uid;
	core.start_boot_ns = v->start_boot_ns;
	core.cgroup_id = v->cgroup_id;
	core.rss_pages = v->rss_anon + v->rss_file + v->rss_shmem;
	core.trigger_tgid = v->trigger_tgid;
	core.kind = v->kind;
	core.adj = v->adj;
	__builtin_memcpy(core.comm, v->comm, sizeof(core.comm));
	if (bpf_map_update_elem(&oom_spill, &key, &core, BPF_NOEXIST))
		count_lost(OOM_LOST_SPILL);
	else
		count_lost(OOM_LOST_RING);
}

static __always_inline void submit(void *ctx, struct oom_victim *v)
{
	u32 size = v->head.size;
	long stack;

	stack = bpf_get_stack(ctx, v->stack, sizeof(v->stack), 0);
	if (stack > 0) {
		v->n_stack = stack / sizeof(u64);
		v->flags |= OOM_VICTIM_STACK;
	}
	if (size > sizeof(*v))
		size = sizeof(*v);
	if (bpf_ringbuf_output(&oom_ring, v, size, BPF_RB_FORCE_WAKEUP))
		spill(v);
}

static __always_inline void follow(const struct oom_victim *v)
{
	u32 tgid = v->tgid;
	u64 start = v->start_boot_ns;

	bpf_map_update_elem(&followed, &tgid, &start, BPF_ANY);
}

static __always_inline void classify(struct oom_victim *v, const struct thread_state *t)
{
	if (!signals_seen)
		v->kind = OOM_VICTIM_UNSURE;
	else if (t && t->signal_tgid == v->tgid && t->signal_ns)
		v->kind = OOM_VICTIM_KILL;
	else
		v->kind = OOM_VICTIM_RESERVE;
}

static __always_inline void remember_mark(struct thread_state *t, const struct oom_victim *v)
{
	if (!t)
		return;
	t->mm = v->mm;
	t->mark_tgid = v->tgid;
	t->mark_ns = v->head.boot_ns;
	t->signal_tgid = 0; /* one signal explains one mark */
	t->marks++;
}

/* --- oom_kill --- */

static __always_inline int report_mark(void *ctx, struct task_struct *task)
{
	struct thread_state *t = this_thread(true);
	struct oom_victim *v = new_victim();

	if (!v)
		return 0;
	add_victim(v, task);
	add_trigger(v, t);
	classify(v, t);
	remember_mark(t, v);
	if (v->kind != OOM_VICTIM_RESERVE)
		follow(v);
	submit(ctx, v);
	return 0;
}

/* The tracepoint brings a thread id only: the rest was stashed at the SIGKILL. */
static __always_inline int report_mark_pid(void *ctx, u32 tid)
{
	u64 key = bpf_get_current_pid_tgid();
	struct thread_state *t = this_thread(true);
	struct oom_victim *v = bpf_map_lookup_elem(&stash, &key);

	if (v && v->head.size) {
		head_init(&v->head, OOM_RECORD_VICTIM, v->head.size);
	} else {
		v = new_victim();
		if (!v)
			return 0;
		v->tgid = tid; /* nothing better is known: user space looks it up */
	}
	v->tid = tid;
	add_trigger(v, t);
	if (!signals_seen)
		v->kind = OOM_VICTIM_UNSURE;
	else
		v->kind = v->flags & OOM_VICTIM_SNAPSHOT ? OOM_VICTIM_KILL : OOM_VICTIM_RESERVE;
	remember_mark(t, v);
	if (v->kind != OOM_VICTIM_RESERVE)
		follow(v);
	submit(ctx, v);
	bpf_map_delete_elem(&stash, &key);
	return 0;
}

SEC("tp_btf/mark_victim")
int BPF_PROG(on_mark_tp_btf_task, struct task_struct *task)
{
	return report_mark(ctx, task);
}

SEC("tp_btf/mark_victim")
int BPF_PROG(on_mark_tp_btf_pid, int pid)
{
	return report_mark_pid(ctx, pid);
}

SEC("raw_tp/mark_victim")
int on_mark_raw_tp(u64 *ctx)
{
	if (raw_mark_is_task)
		return report_mark(ctx, (void *)ctx[0]);
	return report_mark_pid(ctx, (u32)ctx[0]);
}

/* Reads one field of a classic payload whose offset user space found in the format file. */
static __always_inline u64 payload(const void *ctx, s32 offset, u32 size)
{
	u64 v = 0;

	if (offset < 0 || offset > 256)
		return 0;
	bpf_probe_read_kernel(&v, size, ctx + offset);
	return v;
}

/* Without BTF nothing is read from the task: only what the payload says, kB to pages. */
SEC("tp/oom/mark_victim")
int on_mark_tracepoint(void *ctx)
{
	u64 ids = bpf_get_current_pid_tgid();
	struct thread_state *t = this_thread(true);
	struct oom_victim *v = new_victim();
	u32 data_loc;

	if (!v)
		return 0;
	v->tid = v->tgid = payload(ctx, 8, 4);
	v->trigger_tgid = ids >> 32;
	v->trigger_tid = (u32)ids;
	bpf_get_current_comm(v->trigger_comm, sizeof(v->trigger_comm));
	v->uid = mark_uid < 0 ? OOM_UNKNOWN32 : payload(ctx, mark_uid, 4);
	v->adj = (s16)payload(ctx, mark_adj, 2);
	v->rss_anon = payload(ctx, mark_anon, 8) / page_kib;
	v->rss_file = payload(ctx, mark_file, 8) / page_kib;
	v->rss_shmem = payload(ctx, mark_shmem, 8) / page_kib;
	v->total_vm = payload(ctx, mark_total_vm, 8) / page_kib;
	v->pgtables_bytes = payload(ctx, mark_pgtables, 8) * 1024;
	data_loc = payload(ctx, mark_comm, 4) & 0xffff;
	if (mark_comm >= 0 && data_loc < 1024)
		bpf_probe_read_kernel_str(v->comm, sizeof(v->comm), ctx + data_loc);
	classify(v, t);
	/* The signal names a process, the mark a thread: the same decision within one thread is enough. */
	if (v->kind == OOM_VICTIM_RESERVE && t && t->signal_ns && t->signal_tgid)
		v->kind = OOM_VICTIM_KILL;
	if (v->kind == OOM_VICTIM_KILL && t && t->signal_tgid)
		v->tgid = t->signal_tgid;
	remember_mark(t, v);
	submit(ctx, v);
	return 0;
}

/* --- oom_signal --- */

static __always_inline int report_signal(void *ctx, struct task_struct *task, bool stash_it)
{
	struct thread_state *t = this_thread(true);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	u32 tgid = BPF_CORE_READ(task, tgid);
	u64 key = bpf_get_current_pid_tgid(), now = bpf_ktime_get_boot_ns();
	struct oom_victim *v;

	if (!t)
		return 0;
	if (t->mark_ns && t->mark_tgid != tgid && mm && (u64)mm == t->mm &&
	    now - t->mark_ns < SHARED_MM_WINDOW_NS) {
		v = new_victim();
		if (!v)
			return 0;
		add_victim(v, task);
		add_trigger(v, t);
		v->kind = OOM_VICTIM_SHARED_MM;
		follow(v);
		submit(ctx, v);
		return 0;
	}
	t->signal_tgid = tgid;
	t->signal_ns = now;
	if (!stash_it)
		return 0;
	v = new_victim();
	if (!v)
		return 0;
	add_victim(v, task);
	bpf_map_update_elem(&stash, &key, v, BPF_ANY);
	return 0;
}

const volatile bool stash_victims = false; /* the live oom_kill variant brings only a pid */

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal_tp_btf, int sig, struct kernel_siginfo *info, struct task_struct *task)
{
	if (sig != SIGKILL || (u64)info != SEND_SIG_PRIV)
		return 0;
	return report_signal(ctx, task, stash_victims);
}

SEC("raw_tp/signal_generate")
int on_signal_raw_tp(u64 *ctx)
{
	const u64 *args = ctx;

	if ((int)args[0] != SIGKILL || args[1] != SEND_SIG_PRIV)
		return 0;
	return report_signal(ctx, (void *)args[2], stash_victims);
}

SEC("tp/signal/signal_generate")
int on_signal_tracepoint(void *ctx)
{
	struct thread_state *t;

	if ((int)payload(ctx, signal_sig, 4) != SIGKILL || (int)payload(ctx, signal_code, 4) != SI_KERNEL)
		return 0;
	t = this_thread(true);
	if (!t)
		return 0;
	t->signal_tgid = payload(ctx, signal_pid, 4);
	t->signal_ns = bpf_ktime_get_boot_ns();
	return 0;
}

/* --- oom_decision --- */

static __always_inline int report_decision(struct oom_control *oc)
{
	struct thread_state *t = this_thread(true);
	struct mem_cgroup *memcg = BPF_CORE_READ(oc, memcg);
	struct path_scratch *s = path_buffer();
	struct oom_decision *d;
	u64 ids = bpf_get_current_pid_tgid();

	if (!t)
		return 0;
	t->decision = next_number(0);
	t->mark_ns = 0; /* a new decision: what was marked before explains no shared mm */
	d = bpf_ringbuf_reserve(&oom_ring, sizeof(*d), 0);
	if (!d) {
		count_lost(OOM_LOST_OTHER);
		return 0;
	}
	__builtin_memset(d, 0, __builtin_offsetof(struct oom_decision, text));
	head_init(&d->head, OOM_RECORD_DECISION, __builtin_offsetof(struct oom_decision, text));
	d->decision = t->decision;
	d->trigger_tgid = ids >> 32;
	d->trigger_tid = (u32)ids;
	d->chosen_tgid = BPF_CORE_READ(oc, chosen, tgid);
	d->constraint = BPF_CORE_READ(oc, constraint);
	d->totalpages = BPF_CORE_READ(oc, totalpages);
	d->gfp = BPF_CORE_READ(oc, gfp_mask);
	d->order = BPF_CORE_READ(oc, order);
	d->points = BPF_CORE_READ(oc, chosen_points);
	if (memcg) {
		d->memcg_id = memcg_id(memcg);
		if (s) {
			u32 pos = path_of_kernfs(s, BPF_CORE_READ(memcg, css.cgroup, kn)) & (PATH_BYTES - 1);
			u32 len = PATH_BYTES - 1 - pos;

			if (len > 0 && len < PATH_BYTES && !bpf_probe_read_kernel(d->text, len, &s->data[pos])) {
				d->path.length = len;
				d->head.size += len;
			}
		}
	}
	bpf_ringbuf_submit(d, BPF_RB_FORCE_WAKEUP);
	return 0;
}

SEC("fentry/oom_kill_process")
int BPF_PROG(on_decision_fentry, struct oom_control *oc)
{
	return report_decision(oc);
}

SEC("kprobe/oom_kill_process")
int BPF_KPROBE(on_decision_kprobe, struct oom_control *oc)
{
	return report_decision(oc);
}

/* --- oom_attempt --- */

static __always_inline int report_attempt(struct task_struct *task, const char *message)
{
	struct thread_state *t = this_thread(false);
	struct oom_attempt *a = bpf_ringbuf_reserve(&oom_ring, sizeof(*a), 0);
	long len;

	if (!a) {
		count_lost(OOM_LOST_OTHER);
		return 0;
	}
	__builtin_memset(a, 0, sizeof(*a));
	head_init(&a->head, OOM_RECORD_ATTEMPT, sizeof(*a));
	a->decision = t ? t->decision : 0;
	a->tgid = BPF_CORE_READ(task, tgid);
	a->trigger_tid = (u32)bpf_get_current_pid_tgid();
	len = bpf_probe_read_kernel_str(a->text, sizeof(a->text), message);
	a->message.length = len > 1 ? len - 1 : 0;
	bpf_ringbuf_submit(a, 0);
	return 0;
}

SEC("fentry/__oom_kill_process")
int BPF_PROG(on_attempt_fentry, struct task_struct *task, const char *message)
{
	return report_attempt(task, message);
}

SEC("kprobe/__oom_kill_process")
int BPF_KPROBE(on_attempt_kprobe, struct task_struct *task, const char *message)
{
	return report_attempt(task, message);
}

/* --- oom_invoke --- */

static __always_inline int enter_invoke(struct oom_control *oc)
{
	struct thread_state *t = this_thread(true);
	struct mem_cgroup *memcg = BPF_CORE_READ(oc, memcg);

	if (!t)
		return 0;
	t->start_ns = bpf_ktime_get_boot_ns();
	t->marks = 0;
	t->decision = 0;
	t->mm = memcg ? memcg_id(memcg) : 0; /* kept until the first mark overwrites it; mark_ns tells them apart */
	t->mark_ns = 0;
	return 0;
}

static __always_inline int leave_invoke(u32 result)
{
	struct thread_state *t = this_thread(false);
	struct oom_invoke *r;
	u64 ids = bpf_get_current_pid_tgid();

	if (!t || !t->start_ns)
		return 0;
	r = bpf_ringbuf_reserve(&oom_ring, sizeof(*r), 0);
	if (!r) {
		count_lost(OOM_LOST_OTHER);
		return 0;
	}
	head_init(&r->head, OOM_RECORD_INVOKE, sizeof(*r));
	r->duration_ns = r->head.boot_ns - t->start_ns;
	r->memcg_id = t->mark_ns ? 0 : t->mm;
	r->decision = t->decision;
	r->trigger_tgid = ids >> 32;
	r->trigger_tid = (u32)ids;
	r->result = result;
	r->marks = t->marks;
	t->start_ns = 0;
	bpf_ringbuf_submit(r, BPF_RB_FORCE_WAKEUP);
	return 0;
}

SEC("fentry/out_of_memory")
int BPF_PROG(on_invoke_fentry, struct oom_control *oc)
{
	return enter_invoke(oc);
}

SEC("fexit/out_of_memory")
int BPF_PROG(on_invoke_fexit, struct oom_control *oc, bool result)
{
	return leave_invoke(result);
}

SEC("kprobe/out_of_memory")
int BPF_KPROBE(on_invoke_kprobe, struct oom_control *oc)
{
	return enter_invoke(oc);
}

SEC("kretprobe/out_of_memory")
int BPF_KRETPROBE(on_invoke_kretprobe, long result)
{
	return leave_invoke((u32)result & 0xff);
}

/* --- oom_reclaim: what this thread asked for last --- */

static __always_inline int note_reclaim(u16 kind, int order, u32 gfp, struct mem_cgroup *memcg)
{
	struct thread_state *t = this_thread(true);

	if (!t)
		return 0;
	t->reclaim_kind = kind;
	t->reclaim_order = order;
	t->reclaim_gfp = gfp;
	t->reclaim_cgroup = memcg ? memcg_id(memcg) : 0;
	t->reclaim_ns = bpf_ktime_get_boot_ns();
	return 0;
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(on_reclaim_memcg_tp_btf, int order, gfp_t gfp)
{
	return note_reclaim(OOM_RECLAIM_MEMCG, order, gfp, NULL);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(on_reclaim_direct_tp_btf, int order, gfp_t gfp)
{
	return note_reclaim(OOM_RECLAIM_DIRECT, order, gfp, NULL);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(on_reclaim_memcg_tp_btf_memcg, gfp_t gfp, int order, struct mem_cgroup *memcg)
{
	return note_reclaim(OOM_RECLAIM_MEMCG, order, gfp, memcg);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(on_reclaim_direct_tp_btf_memcg, gfp_t gfp, int order, struct mem_cgroup *memcg)
{
	return note_reclaim(OOM_RECLAIM_DIRECT, order, gfp, memcg);
}

static __always_inline int raw_reclaim(const u64 *args, u16 kind)
{
	if (raw_reclaim_has_memcg)
		return note_reclaim(kind, (int)args[1], (u32)args[0], (void *)args[2]);
	return note_reclaim(kind, (int)args[0], (u32)args[1], NULL);
}

SEC("raw_tp/mm_vmscan_memcg_reclaim_begin")
int on_reclaim_memcg_raw_tp(u64 *ctx)
{
	return raw_reclaim(ctx, OOM_RECLAIM_MEMCG);
}

SEC("raw_tp/mm_vmscan_direct_reclaim_begin")
int on_reclaim_direct_raw_tp(u64 *ctx)
{
	return raw_reclaim(ctx, OOM_RECLAIM_DIRECT);
}

/* --- oom_limit --- */

static __always_inline int count_limit(struct mem_cgroup *memcg, int event)
{
	struct oom_limit_hits fresh = {}, *hits;
	u64 id;
	u32 which;

	if (bpf_core_enum_value_exists(enum memcg_memory_event, MEMCG_MAX) &&
	    event == bpf_core_enum_value(enum memcg_memory_event, MEMCG_MAX))
		which = OOM_LIMIT_MAX;
	else if (bpf_core_enum_value_exists(enum memcg_memory_event, MEMCG_OOM) &&
		 event == bpf_core_enum_value(enum memcg_memory_event, MEMCG_OOM))
		which = OOM_LIMIT_OOM;
	else if (bpf_core_enum_value_exists(enum memcg_memory_event, MEMCG_OOM_GROUP_KILL) &&
		 event == bpf_core_enum_value(enum memcg_memory_event, MEMCG_OOM_GROUP_KILL))
		which = OOM_LIMIT_GROUP_KILL;
	else
		return 0;
	id = memcg_id(memcg);
	hits = bpf_map_lookup_elem(&limit_hits, &id);
	if (!hits) {
		bpf_map_update_elem(&limit_hits, &id, &fresh, BPF_NOEXIST);
		hits = bpf_map_lookup_elem(&limit_hits, &id);
		if (!hits)
			return 0;
	}
	if (which == OOM_LIMIT_MAX)
		__sync_fetch_and_add(&hits->hits[OOM_LIMIT_MAX], 1);
	else if (which == OOM_LIMIT_OOM)
		__sync_fetch_and_add(&hits->hits[OOM_LIMIT_OOM], 1);
	else
		__sync_fetch_and_add(&hits->hits[OOM_LIMIT_GROUP_KILL], 1);
	return 0;
}

SEC("fentry/__memcg_memory_event")
int BPF_PROG(on_limit_fentry, struct mem_cgroup *memcg, int event)
{
	return count_limit(memcg, event);
}

SEC("kprobe/__memcg_memory_event")
int BPF_KPROBE(on_limit_kprobe, struct mem_cgroup *memcg, int event)
{
	return count_limit(memcg, event);
}

/* --- oom_reaper --- */

static __always_inline int report_reaper(u32 tid, u32 what)
{
	struct oom_reaper *r = bpf_ringbuf_reserve(&oom_ring, sizeof(*r), 0);

	if (!r) {
		count_lost(OOM_LOST_OTHER);
		return 0;
	}
	head_init(&r->head, OOM_RECORD_REAPER, sizeof(*r));
	r->tid = tid;
	r->what = what;
	bpf_ringbuf_submit(r, BPF_RB_FORCE_WAKEUP);
	return 0;
}

#define REAPER(point, what)                                                                        \
	SEC("tp_btf/" #point)                                                                      \
	int BPF_PROG(on_##point##_tp_btf, int pid)                                                 \
	{                                                                                          \
		return report_reaper(pid, what);                                                   \
	}                                                                                          \
	SEC("raw_tp/" #point)                                                                      \
	int on_##point##_raw_tp(u64 *ctx)                               \
	{                                                                                          \
		return report_reaper((u32)ctx[0], what);                                  \
	}                                                                                          \
	SEC("tp/oom/" #point)                                                                      \
	int on_##point##_tracepoint(void *ctx)                                                     \
	{                                                                                          \
		return report_reaper((u32)payload(ctx, 8, 4), what);                               \
	}

REAPER(wake_reaper, OOM_REAPER_WAKE)
REAPER(start_task_reaping, OOM_REAPER_START)
REAPER(finish_task_reaping, OOM_REAPER_FINISH)
REAPER(skip_task_reaping, OOM_REAPER_SKIP)

/* --- oom_exit: only of victims --- */

static __always_inline int report_exit(u32 tgid, u64 start, u32 code)
{
	struct oom_exit *e;

	bpf_map_delete_elem(&followed, &tgid);
	e = bpf_ringbuf_reserve(&oom_ring, sizeof(*e), 0);
	if (!e) {
		count_lost(OOM_LOST_OTHER);
		return 0;
	}
	head_init(&e->head, OOM_RECORD_EXIT, sizeof(*e));
	e->tgid = tgid;
	e->exit_code = code;
	e->start_boot_ns = start;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}

static __always_inline int check_exit(struct task_struct *task)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u64 *start = bpf_map_lookup_elem(&followed, &tgid);

	if (!start)
		return 0;
	/* Counted down before the tracepoint: 0 means that this was the last thread. */
	if (BPF_CORE_READ(task, signal, live.counter) != 0)
		return 0;
	if (BPF_CORE_READ(task, group_leader, start_boottime) != *start)
		return 0;
	return report_exit(tgid, *start, 0);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit_tp_btf, struct task_struct *task)
{
	return check_exit(task);
}

SEC("raw_tp/sched_process_exit")
int on_exit_raw_tp(u64 *ctx)
{
	return check_exit((void *)ctx[0]);
}

/* --- oom_args: the command line, taken while the new program still stands at its first instruction --- */

static __always_inline int note_exec(struct task_struct *task)
{
	u32 zero = 0;
	struct oom_args_value *a = bpf_map_lookup_elem(&args_scratch, &zero);
	struct oom_args_key key = {};
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	unsigned long start = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);
	u64 len = end - start;

	if (!a || !mm || end <= start)
		return 0;
	if (len > args_bytes)
		len = args_bytes;
	if (len > OOM_ARGS_MAX)
		len = OOM_ARGS_MAX;
	if (len == 0 || bpf_probe_read_user(a->data, len, (void *)start))
		return 0;
	a->length = len;
	a->pad = 0;
	key.tgid = BPF_CORE_READ(task, tgid);
	key.start_ticks = BPF_CORE_READ(task, group_leader, start_boottime) / OOM_TICK_NS;
	bpf_map_update_elem(&oom_args, &key, a, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec_tp_btf, struct task_struct *task)
{
	return note_exec(task);
}

SEC("raw_tp/sched_process_exec")
int on_exec_raw_tp(u64 *ctx)
{
	return note_exec((void *)ctx[0]);
}

char LICENSE[] SEC("license") = "GPL";
