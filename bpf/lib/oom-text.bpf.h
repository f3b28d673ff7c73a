/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text parts of a victim's record: paths and the command line
 *
 * The functions that begin with oom_ are subprograms, which the verifier looks at once, on their own. Inlined, every way through
 * one walk would be multiplied with those through the next. They find the record in its buffer and take addresses as
 * numbers, since before v5.12 the verifier lets nothing else in.
 */
#pragma once
#include "oom-state.bpf.h"
#include "cgroup.bpf.h"
#include "path.bpf.h"
#include "task.bpf.h"

#define ARGS_ANCESTORS 4

HASH(oom_args, BPF_MAP_TYPE_LRU_HASH, 8192, struct oom_args_key, struct oom_args_value);
ARRAY(paths, 1, struct path_scratch);

static __always_inline struct path_scratch *path_buffer(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&paths, &zero);
}

static __always_inline struct oom_victim *record_in_work(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

/* Bytes of text so far; more than the limit is an answer too. */
static __always_inline u32 text_used(const struct oom_victim *v)
{
	return v->head.size - __builtin_offsetof(struct oom_victim, text);
}

/* Puts the path in @s from @pos on behind what is there already. */
static __always_inline void add_path(struct oom_victim *v, struct oom_text *part,
				     struct path_scratch *s, u32 pos)
{
	u32 at = text_used(v), len;

	pos &= PATH_BYTES - 1;
	len = PATH_BYTES - 1 - pos;
	if (len == 0 || len > OOM_PATH_MAX || at > OOM_TEXT_MAX - OOM_ARGS_MAX)
		return;
	if (bpf_probe_read_kernel(&v->text[at], len, &s->data[pos]))
		return;
	part->offset = at;
	part->length = len;
	v->head.size += len;
}

/* Where the path begins in the buffer of paths. */
__noinline int oom_path_of_kernfs(u64 kn)
{
	struct path_scratch *s = path_buffer();

	return s ? path_of_kernfs(s, (void *)kn) : PATH_BYTES - 1;
}

__noinline int oom_add_cgroup_path(u64 kn)
{
	struct oom_victim *v = record_in_work();
	struct path_scratch *s = path_buffer();

	if (v && s)
		add_path(v, &v->path, s, path_of_kernfs(s, (void *)kn));
	return 0;
}

/* The file that @mm runs, as its path stands in the mount namespace of @leader. */
static __always_inline void add_exe(struct oom_victim *v, struct oom_text *part,
				    struct task_struct *leader, struct file *exe)
{
	struct fs_struct *fs = BPF_CORE_READ(leader, fs);
	struct path_scratch *s = path_buffer();
	const struct path *root;

	if (!s)
		return;
	root = fs ? __builtin_preserve_access_index(&fs->root) : NULL;
	add_path(v, part, s, path_of_file(s, __builtin_preserve_access_index(&exe->f_path), root));
}

__noinline int oom_add_exe(u64 leader, u64 mm)
{
	struct file *exe = BPF_CORE_READ((struct mm_struct *)mm, exe_file);
	struct oom_victim *v = record_in_work();

	if (!v || !exe)
		return 0;
	if (BPF_CORE_READ(exe, f_path.dentry, d_inode, i_nlink) == 0)
		v->flags |= OOM_VICTIM_EXE_DELETED;
	add_exe(v, &v->exe, (void *)leader, exe);
	return 0;
}

/* Where the trigger is not the victim: it may be gone, too, when user space looks. */
__noinline int oom_add_trigger_exe(u64 current)
{
	struct task_struct *leader = BPF_CORE_READ((struct task_struct *)current, group_leader);
	struct file *exe = BPF_CORE_READ(leader, mm, exe_file);
	struct oom_victim *v = record_in_work();

	if (v && exe)
		add_exe(v, &v->trigger_exe, leader, exe);
	return 0;
}

__noinline int oom_add_cwd(u64 leader)
{
	struct fs_struct *fs = BPF_CORE_READ((struct task_struct *)leader, fs);
	struct oom_victim *v = record_in_work();
	struct path_scratch *s = path_buffer();

	if (!v || !s || !fs)
		return 0;
	add_path(v, &v->cwd, s,
		 path_of_file(s, __builtin_preserve_access_index(&fs->pwd),
			      __builtin_preserve_access_index(&fs->root)));
	return 0;
}

/* --- the command line --- */

static __always_inline struct oom_args_value *args_of(struct task_struct *leader,
						      const enum read_how how)
{
	struct oom_args_key key = {
		.tgid = READ(how, leader, tgid),
		.start_ticks = READ(how, leader, start_boottime) / OOM_TICK_NS,
	};

	return bpf_map_lookup_elem(&oom_args, &key);
}

/* A process that forked and did not exec runs what its nearest ancestor with an entry was given, if it still runs the same file. */
static __always_inline struct oom_args_value *args_of_ancestor(struct task_struct *leader,
							       const enum read_how how)
{
	struct mm_struct *mm = READ(how, leader, mm);
	struct file *exe = mm ? READ(how, mm, exe_file) : NULL;
	struct task_struct *task = leader;

	if (!exe)
		return NULL;
	for (int i = 0; i < ARGS_ANCESTORS; i++) {
		struct oom_args_value *a;

		task = task_parent(task, how);
		mm = task ? READ(how, task, mm) : NULL;
		if (!mm || READ(how, mm, exe_file) != exe)
			return NULL;
		a = args_of(task, how);
		if (a)
			return a;
	}
	return NULL;
}

static __always_inline u32 args_length(const struct oom_args_value *a)
{
	u32 len = a->length;

	return len > OOM_ARGS_MAX ? OOM_ARGS_MAX : len;
}

static __always_inline void args_added(struct oom_victim *v, u16 source, u32 at, u32 len)
{
	v->args_source = source;
	v->args.offset = at;
	v->args.length = len;
	v->head.size += len;
}

/* Typed loads have no helper to copy with, but nothing stands before it either. */
static __always_inline void add_args_direct(struct oom_victim *v, struct task_struct *leader)
{
	struct oom_args_value *a = args_of(leader, TYPED);
	u16 source = OOM_ARGS_EXEC;

	if (!a) {
		a = args_of_ancestor(leader, TYPED);
		source = OOM_ARGS_PARENT;
	}
	if (!a)
		return;
#pragma unroll
	for (int i = 0; i < OOM_ARGS_MAX / 8; i++)
		((u64 *)v->text)[i] = ((u64 *)a->data)[i];
	args_added(v, source, 0, args_length(a));
}

/*
 * Out of the memory of the running process itself, which is the victim: nobody else's can be read here. Not by typed loads:
 * libbpf takes the refusal of the helper for kernel memory as that of an old kernel, and rewrites the one for user memory.
 */
__noinline int oom_add_own_args(u64 mm)
{
	unsigned long start = BPF_CORE_READ((struct mm_struct *)mm, arg_start);
	unsigned long end = BPF_CORE_READ((struct mm_struct *)mm, arg_end);
	struct oom_victim *v = record_in_work();
	u32 len = parameters.args_bytes, at;

	if (!v || end <= start)
		return 0;
	at = text_used(v);
	if (len > end - start)
		len = end - start;
	if (len > OOM_ARGS_MAX)
		len = OOM_ARGS_MAX;
	if (len == 0 || at > OOM_TEXT_MAX - OOM_ARGS_MAX ||
	    bpf_probe_read_user(&v->text[at], len, (void *)start))
		return 0;
	args_added(v, OOM_ARGS_SELF, at, len);
	return 1;
}

/* As it was at exec; else read from the victim itself where it runs; else that of an ancestor. */
__noinline int oom_add_args(u64 leader, u64 mm)
{
	struct oom_args_value *a = args_of((void *)leader, HELPER);
	struct oom_victim *v = record_in_work();
	u16 source = OOM_ARGS_EXEC;
	u32 at, len;

	if (!v)
		return 0;
	if (!a) {
		if (mm && bpf_get_current_pid_tgid() >> 32 == v->tgid && oom_add_own_args(mm))
			return 0;
		a = args_of_ancestor((void *)leader, HELPER);
		source = OOM_ARGS_PARENT;
	}
	if (!a)
		return 0;
	len = args_length(a);
	at = text_used(v);
	if (len == 0 || at > OOM_TEXT_MAX - OOM_ARGS_MAX ||
	    bpf_probe_read_kernel(&v->text[at], len, a->data))
		return 0;
	args_added(v, source, at, len);
	return 0;
}
