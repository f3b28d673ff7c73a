/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading bpf/oom.bpf.c: variants, parameters, sizes, attaching
 *
 * Runs in a child process (sys/child.h), which hands back descriptors of maps and links and ends. The object is opened for
 * every trial with small maps; the last open gets the sizes of the configuration. Nothing is pinned: when the agent goes, so
 * do its programs.
 */
#define LOG_MODULE "oom"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "agent/oom/hooks-load.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "oom-plain.skel.h"
#include "oom-stat.skel.h"
#include "oom.skel.h"
#include "sys/bpf.h"
#include "sys/tracefs.h"

#define LINKS_MAX 32
#define ATTACH_ROUNDS 4
#define DISABLED_MAX 32
#define FIELD_TEXT 8192

struct loader {
	const struct oom_hooks_options *options;
	struct hook_env env; /* a copy: BTF is read and dropped here */
	struct hook_state states[_OOM_CAP_MAX];
	bool raw_mark_is_task, raw_reclaim_has_memcg; /* shapes, for the raw_tp variants */
	struct bpf_object *object, *stat; /* stat: oom-stat.bpf.c, shares maps of object */
	struct bpf_link *links[LINKS_MAX];
	size_t n_links;
};

/* --- facts that programs get as rodata --- */

static bool is_program(const struct hook_state *s)
{
	return s->live >= 0 && s->hook->variants[s->live].programs;
}

/* Offset of a field in a tracepoint's format text, -1 when it is not there. */
static int field_offset(const char *format, const char *field)
{
	char pattern[64], digits[16];
	const char *p;
	uint64_t v;
	size_t n;

	/* "field:int pid;	offset:8;" */
	(void)snprintf(pattern, sizeof(pattern), " %s;\toffset:", field);
	p = strstr(format, pattern);
	if (!p) {
		(void)snprintf(pattern, sizeof(pattern), "] %s;\toffset:", field);
		p = strstr(format, pattern);
	}
	if (!p)
		return -1;
	p += strlen(pattern);
	n = strspn(p, "0123456789");
	if (n == 0 || n >= sizeof(digits))
		return -1;
	memcpy(digits, p, n);
	digits[n] = '\0';
	return parse_u64(digits, &v) < 0 || v > 4096 ? -1 : (int)v;
}

static bool read_format(const struct hook_env *env, const char *point, char *text, size_t size)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/format", point);
	return env->tracefs_fd >= 0 && fs_read_into(env->tracefs_fd, path, text, size) > 0;
}

static void set_format_offsets(const struct loader *h, struct oom_parameters *p)
{
	char text[FIELD_TEXT];

	memset(&p->mark, 0xff, sizeof(p->mark));
	memset(&p->signal, 0xff, sizeof(p->signal));
	p->exit_group_dead = -1;
	if (read_format(&h->env, "oom/mark_victim", text, sizeof(text))) {
		p->mark.pid = field_offset(text, "pid");
		p->mark.comm = field_offset(text, "comm");
		p->mark.total_vm = field_offset(text, "total_vm");
		p->mark.anon = field_offset(text, "anon_rss");
		p->mark.file = field_offset(text, "file_rss");
		p->mark.shmem = field_offset(text, "shmem_rss");
		p->mark.pgtables = field_offset(text, "pgtables");
		p->mark.uid = field_offset(text, "uid");
		p->mark.adj = field_offset(text, "oom_score_adj");
	}
	if (read_format(&h->env, "signal/signal_generate", text, sizeof(text))) {
		p->signal.sig = field_offset(text, "sig");
		p->signal.code = field_offset(text, "code");
		p->signal.pid = field_offset(text, "pid");
	}
	if (read_format(&h->env, "sched/sched_process_exit", text, sizeof(text)))
		p->exit_group_dead = field_offset(text, "group_dead");
}

static bool stashes(const struct loader *h)
{
	const char *kill = hook_live_name(&h->states[OOM_CAP_KILL]);

	return strncmp(kill, "tp_btf_pid", strlen("tp_btf_pid")) == 0 ||
	       (streq(kill, "raw_tp") && !h->raw_mark_is_task);
}

static int set_parameters(const struct loader *h, bool trial, struct bpf_object *object)
{
	const struct hook_state *kill = &h->states[OOM_CAP_KILL];
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
	struct oom_parameters p = {
		.args_bytes = MIN(h->options->args_bytes, (uint32_t)OOM_ARGS_MAX),
		.page_kib = (uint32_t)(sysconf(_SC_PAGESIZE) / 1024),
		.raw_mark_is_task = h->raw_mark_is_task,
		.raw_reclaim_has_memcg = h->raw_reclaim_has_memcg,
		.user_stack = trial || h->options->user_stack,
		.signals_seen = is_program(&h->states[OOM_CAP_SIGNAL]),
		.kill_variant = kill->live < 0 ? 0 : (uint32_t)kill->live,
		.stash_victims = trial || stashes(h), /* a trial shows the verifier all branches */
	};

	set_format_offsets(h, &p);
	/* The only read-only data of both objects: another size is refused. */
	return map ? bpf_map__set_initial_value(map, &p, sizeof(p)) : -ENOENT;
}

static int open_skeleton(const void *(*bytes)(size_t *size), const char *name,
			 struct bpf_object **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);
	struct bpf_object *object;
	size_t size;
	const void *data = bytes(&size);

	object = bpf_object__open_mem(data, size, &opts);
	if (!object)
		return -errno;
	*ret = object;
	return 0;
}

/* Without BTF nothing of the big object can be relocated. */
static int open_object(const struct loader *h, bool trial, struct bpf_object **ret)
{
	struct bpf_object *object;
	struct bpf_program *p;
	int r;

	if (h->env.no_btf)
		r = open_skeleton(oom_plain_bpf__elf_bytes, "oom_plain", &object);
	else
		r = open_skeleton(oom_bpf__elf_bytes, "oom", &object);
	if (r < 0)
		return r;
	bpf_object__for_each_program (p, object)
		(void)bpf_program__set_autoload(p, false);
	r = set_parameters(h, trial, object);
	if (r < 0) {
		bpf_object__close(object);
		return r;
	}
	*ret = object;
	return 0;
}

static uint64_t ring_size(uint64_t bytes)
{
	uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE);

	while (size < bytes)
		size *= 2;
	return size;
}

/* A trial is loaded and gone. */
static void shrink_maps(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map (map, object) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
			(void)bpf_map__set_max_entries(map, (uint32_t)ring_size(1));
		else if (bpf_map__max_entries(map) > 16)
			(void)bpf_map__set_max_entries(map, 16);
	}
}

static int open_trial(void *ctx, struct bpf_object **ret)
{
	int r = open_object(ctx, true, ret);

	if (r >= 0)
		shrink_maps(*ret);
	return r;
}

static int open_stat_trial(void *ctx, struct bpf_object **ret)
{
	int r = open_skeleton(oom_stat_bpf__elf_bytes, "oom_stat", ret);

	(void)ctx;
	if (r >= 0)
		shrink_maps(*ret);
	return r;
}

/* --- the real load --- */

static void set_entries(struct bpf_object *object, const char *name, uint32_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	if (map)
		(void)bpf_map__set_max_entries(map, entries);
}

static void set_sizes(const struct loader *h, struct bpf_object *object)
{
	const struct oom_hooks_options *o = h->options;

	set_entries(object, "oom_ring", (uint32_t)ring_size(o->ring_bytes));
	set_entries(object, "oom_spill", MAX(o->spill_entries, 1U));
	set_entries(object, "oom_args", o->args_bytes ? MAX(o->args_entries, 1U) : 1);
	set_entries(object, "followed", MAX(o->victims, 64U));
	if (!stashes(h))
		set_entries(object, "stash", 1);
}

static void each_live_program(struct loader *h, int cap,
			      int (*fn)(struct loader *, struct bpf_program *), int *error)
{
	const struct hook_state *state = &h->states[cap];
	const char *const *name;

	if (state->live < 0)
		return;
	name = state->hook->variants[state->live].programs;
	for (; name && *name && *error >= 0; name++) {
		struct bpf_program *p = bpf_object__find_program_by_name(
			cap == OOM_CAP_STAT ? h->stat : h->object, *name);

		*error = p ? fn(h, p) : -ENOENT;
	}
}

static int enable(struct loader *h, struct bpf_program *p)
{
	(void)h;
	return bpf_program__set_autoload(p, true);
}

static int attach(struct loader *h, struct bpf_program *p)
{
	struct bpf_link *link;

	if (h->n_links == LINKS_MAX)
		return -ENOSPC;
	if (bpf_program__type(p) == BPF_PROG_TYPE_TRACEPOINT) {
		int r = tracefs_attach(h->env.tracefs_fd, p, &link);

		if (r < 0)
			return r;
	} else {
		link = bpf_program__attach(p);
	}
	if (!link)
		return -errno;
	h->links[h->n_links++] = link;
	return 0;
}

static void unload(struct loader *h)
{
	while (h->n_links > 0)
		(void)bpf_link__destroy(h->links[--h->n_links]);
	bpf_object__close(h->stat);
	bpf_object__close(h->object);
	h->object = h->stat = NULL;
}

static bool any_program(const struct loader *h)
{
	for (int c = 0; c < _OOM_CAP_MAX; c++)
		if (is_program(&h->states[c]))
			return true;
	return false;
}

/* Stacks, and memory.stat of the mark, come with the records of programs only. */
static void check_kill(struct loader *h, const struct bpf_trial *trial)
{
	struct hook_state *decision = &h->states[OOM_CAP_DECISION],
			  *stat = &h->states[OOM_CAP_STAT];

	if (is_program(&h->states[OOM_CAP_KILL]))
		return;
	if (hook_live_is(decision, "stack"))
		(void)hook_refuse(decision, &h->env, trial, HOOK_NOT_APPLICABLE);
	if (is_program(stat))
		(void)hook_refuse(stat, &h->env, trial, HOOK_NOT_APPLICABLE);
}

/* Feeds the maps of the main object, by which its records get the numbers. */
static int load_stat(struct loader *h)
{
	struct bpf_map *map, *shared;
	int r;

	if (!is_program(&h->states[OOM_CAP_STAT]))
		return 0;
	r = open_skeleton(oom_stat_bpf__elf_bytes, "oom_stat", &h->stat);
	if (r < 0)
		return r;
	bpf_object__for_each_map (map, h->stat) {
		shared = bpf_object__find_map_by_name(h->object, bpf_map__name(map));
		r = shared ? bpf_map__reuse_fd(map, bpf_map__fd(shared)) : -ENOENT;
		if (r < 0)
			return r;
	}
	return bpf_object__load(h->stat);
}

/* Consumers first: whoever attaches later finds the maps that it feeds. Returns the capability that failed, or -1. */
static int load_and_attach(struct loader *h, int *ret_error)
{
	static const int order[] = { OOM_CAP_ARGS,   OOM_CAP_EXIT,     OOM_CAP_RECLAIM,
				     OOM_CAP_SIGNAL, OOM_CAP_DECISION, OOM_CAP_ATTEMPT,
				     OOM_CAP_INVOKE, OOM_CAP_REAPER,   OOM_CAP_LIMIT,
				     OOM_CAP_STAT,   OOM_CAP_KILL };
	int error;

	error = open_object(h, false, &h->object);
	for (int c = 0; c < OOM_CAP_STAT && error >= 0; c++)
		each_live_program(h, c, enable, &error);
	if (error >= 0) {
		set_sizes(h, h->object);
		error = bpf_object__load(h->object);
	}
	if (error < 0) {
		*ret_error = error;
		return OOM_CAP_KILL;
	}
	error = load_stat(h);
	if (error < 0) {
		*ret_error = error;
		return OOM_CAP_STAT;
	}
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		each_live_program(h, order[i], attach, &error);
		if (error < 0) {
			*ret_error = error;
			return order[i];
		}
	}
	return -1;
}

static bool has_shape(const struct hook_env *e, const char *point, const char *shape)
{
	_cleanup_strbuf_ struct strbuf have = STRBUF_INIT;

	return probe_prototype(e, point, true, &have) == 0 && streq(strbuf_str(&have), shape);
}

static void read_shapes(struct loader *h)
{
	h->raw_mark_is_task = !has_shape(&h->env, "mark_victim", "int");
	h->raw_reclaim_has_memcg = has_shape(&h->env, "mm_vmscan_memcg_reclaim_begin",
					     "gfp_t, int, struct mem_cgroup *");
}

static void loader_init(struct loader *h, const struct oom_hooks_options *options,
			const struct hook_env *env)
{
	*h = (struct loader){ .options = options, .env = *env };
	h->env.btf = NULL;
	/* Of the second selection, so that the first reads the list of symbols for both. */
	hook_env_want_symbol(&h->env, oom_capabilities[OOM_CAP_STAT]->variants[0].target);
	read_shapes(h);
}

static void select_variants(struct loader *h, const struct bpf_trial *trial)
{
	const char *disabled[DISABLED_MAX + 1] = {};
	const struct oom_hooks_options *o = h->options;
	const struct bpf_trial stat_trial = { open_stat_trial, NULL };
	size_t n = 0;

	for (; o->disabled && o->disabled[n] && n < DISABLED_MAX - 2; n++)
		disabled[n] = o->disabled[n];
	if (o->args_bytes == 0) {
		disabled[n++] = "oom_args/tp_btf";
		disabled[n++] = "oom_args/raw_tp";
	}
	hooks_select(oom_capabilities, OOM_CAP_STAT, &h->env, trial, disabled, h->states);
	/* Its programs are in an object of their own. */
	_Static_assert(OOM_CAP_STAT == _OOM_CAP_MAX - 1, "the last one");
	hooks_select(&oom_capabilities[OOM_CAP_STAT], 1, &h->env, &stat_trial, disabled,
		     &h->states[OOM_CAP_STAT]);
}

/* True with programs attached; then the object and the links stay. */
static bool settle(struct loader *h, const struct bpf_trial *trial)
{
	for (int round = 0; round < ATTACH_ROUNDS; round++) {
		int error = 0, failed;

		check_kill(h, trial);
		if (!any_program(h))
			return false;
		failed = load_and_attach(h, &error);
		if (failed < 0)
			return true;
		log_info("%s: variant %s loads but does not attach (%s), trying the next",
			 oom_capabilities[failed]->capability, hook_live_name(&h->states[failed]),
			 strerror(-error));
		unload(h);
		(void)hook_next(&h->states[failed], &h->env, trial, error);
	}
	return false;
}

/* Each loads alone, but not all together with maps of the configured size: nothing of them is live, and nobody may think so. */
static void give_up_programs(struct loader *h, const struct bpf_trial *trial)
{
	for (int c = 0; c < _OOM_CAP_MAX; c++)
		while (is_program(&h->states[c]))
			(void)hook_refuse(&h->states[c], &h->env, trial, HOOK_LOAD_FAILED);
	check_kill(h, trial);
}

static void hand_over(struct loader *h, struct oom_loaded *ret, struct child_result *r)
{
	static const char *const names[_OOM_MAP_MAX] = {
		[OOM_MAP_RING] = "oom_ring", [OOM_MAP_SPILL] = "oom_spill",
		[OOM_MAP_LOST] = "lost",     [OOM_MAP_LIMITS] = "limit_hits",
		[OOM_MAP_ARGS] = "oom_args",
	};

	for (int i = 0; i < _OOM_MAP_MAX; i++) {
		const struct bpf_map *map = bpf_object__find_map_by_name(h->object, names[i]);
		int fd = map ? fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3) : -1;

		ret->maps[i] = fd < 0 ? -1 : (int)r->n_fds;
		if (fd >= 0)
			r->fds[r->n_fds++] = fd;
	}
	/* A disconnected link leaves its descriptor open, and by that the program attached. */
	while (h->n_links > 0) {
		struct bpf_link *link = h->links[--h->n_links];

		r->fds[r->n_fds++] = bpf_link__fd(link);
		bpf_link__disconnect(link);
		(void)bpf_link__destroy(link);
	}
	unload(h);
}

int oom_hooks_load(void *ctx, struct child_result *r)
{
	const struct oom_load_request *request = ctx;
	struct oom_loaded *ret = r->data;
	struct loader h;
	const struct bpf_trial trial = { open_trial, &h };

	loader_init(&h, request->options, request->env);
	for (int i = 0; i < _OOM_MAP_MAX; i++)
		ret->maps[i] = -1;
	select_variants(&h, &trial);
	if (settle(&h, &trial)) {
		hand_over(&h, ret, r);
	} else {
		unload(&h);
		give_up_programs(&h, &trial);
	}
	hook_env_drop_btf(&h.env);
	for (int c = 0; c < _OOM_CAP_MAX; c++) {
		ret->states[c] = h.states[c];
		ret->states[c].hook = NULL; /* of no use in another process */
	}
	return 0;
}

int oom_hooks_probe(const struct hook_env *env, struct hook_state states[_OOM_CAP_MAX])
{
	const struct oom_hooks_options options = { .args_bytes = 256 };
	struct loader h;
	const struct bpf_trial trial = { open_trial, &h };

	loader_init(&h, &options, env);
	select_variants(&h, &trial);
	hook_env_drop_btf(&h.env);
	memcpy(states, h.states, sizeof(h.states));
	return 0;
}
