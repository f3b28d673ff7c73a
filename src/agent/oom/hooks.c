/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loader of bpf/oom.bpf.c: selects variants, loads once, attaches, reads the ring and the spill map
 *
 * The object is opened for every trial with small maps; the last open gets the sizes of the configuration. Nothing is pinned:
 * when the agent goes, so do its programs.
 */
#define LOG_MODULE "oom"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "agent/oom/hooks.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "oom-plain.skel.h"
#include "oom.skel.h"
#include "sys/bpf.h"

#define LINKS_MAX 32
#define ATTACH_ROUNDS 4
#define DISABLED_MAX 32
#define LIMITS_MAX 65536 /* a full walk of a map that changes meanwhile ends */
#define FIELD_TEXT 8192

struct oom_hooks {
	struct oom_hooks_options options;
	struct oom_hooks_sink sink;
	struct hook_env env; /* a copy: the tier is this module's own */
	struct hook_state states[_OOM_CAP_MAX];
	const char *limit_function;
	bool raw_mark_is_task, raw_reclaim_has_memcg; /* shapes, for the raw_tp variants */
	struct bpf_object *object;
	struct bpf_link *links[LINKS_MAX];
	size_t n_links;
	struct ring_buffer *ring;
	int spill_fd, lost_fd, limits_fd,
		args_fd; /* of maps, owned by the object; negative without */
	int n_cpus;
	uint64_t *percpu; /* n_cpus values */
	uint64_t reader_errors;
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

static void set_format_offsets(const struct oom_hooks *h, struct oom_parameters *p)
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

static bool stashes(const struct oom_hooks *h)
{
	const char *kill = hook_live_name(&h->states[OOM_CAP_KILL]);

	return strncmp(kill, "tp_btf_pid", strlen("tp_btf_pid")) == 0 ||
	       (streq(kill, "raw_tp") && !h->raw_mark_is_task);
}

static int set_parameters(const struct oom_hooks *h, bool trial, struct bpf_object *object)
{
	const struct hook_state *kill = &h->states[OOM_CAP_KILL];
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
	struct oom_parameters p = {
		.args_bytes = MIN(h->options.args_bytes, (uint32_t)OOM_ARGS_MAX),
		.page_kib = (uint32_t)(sysconf(_SC_PAGESIZE) / 1024),
		.raw_mark_is_task = h->raw_mark_is_task,
		.raw_reclaim_has_memcg = h->raw_reclaim_has_memcg,
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
static int open_object(const struct oom_hooks *h, bool trial, struct bpf_object **ret)
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
	/* fentry resolves its function at load, so the name that exists here must stand before that. */
	p = bpf_object__find_program_by_name(object, "on_limit_fentry");
	if (p && h->limit_function)
		(void)bpf_program__set_attach_target(p, 0, h->limit_function);
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

static int open_trial(void *ctx, struct bpf_object **ret)
{
	struct bpf_object *object;
	struct bpf_map *map;
	int r = open_object(ctx, true, &object);

	if (r < 0)
		return r;
	/* Small: a trial is loaded and gone. */
	bpf_object__for_each_map (map, object) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
			(void)bpf_map__set_max_entries(map, (uint32_t)ring_size(1));
		else if (bpf_map__max_entries(map) > 16)
			(void)bpf_map__set_max_entries(map, 16);
	}
	*ret = object;
	return 0;
}

/* --- the real load --- */

static void set_entries(struct bpf_object *object, const char *name, uint32_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	if (map)
		(void)bpf_map__set_max_entries(map, entries);
}

static void set_sizes(const struct oom_hooks *h, struct bpf_object *object)
{
	const struct oom_hooks_options *o = &h->options;

	set_entries(object, "oom_ring", (uint32_t)ring_size(o->ring_bytes));
	set_entries(object, "oom_spill", MAX(o->spill_entries, 1U));
	set_entries(object, "oom_args", o->args_bytes ? MAX(o->args_entries, 1U) : 1);
	set_entries(object, "followed", MAX(o->victims, 64U));
	if (!stashes(h))
		set_entries(object, "stash", 1);
}

static int map_fd(const struct bpf_object *object, const char *name)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	return map ? bpf_map__fd(map) : -ENOENT;
}

static void each_live_program(struct oom_hooks *h, int cap,
			      int (*fn)(struct oom_hooks *, struct bpf_program *), int *error)
{
	const struct hook_state *state = &h->states[cap];
	const char *const *name;

	if (state->live < 0)
		return;
	name = state->hook->variants[state->live].programs;
	for (; name && *name && *error >= 0; name++) {
		struct bpf_program *p = bpf_object__find_program_by_name(h->object, *name);

		*error = p ? fn(h, p) : -ENOENT;
	}
}

static int enable(struct oom_hooks *h, struct bpf_program *p)
{
	(void)h;
	return bpf_program__set_autoload(p, true);
}

static int attach(struct oom_hooks *h, struct bpf_program *p)
{
	const char *name = bpf_program__name(p);
	struct bpf_link *link;

	if (h->n_links == LINKS_MAX)
		return -ENOSPC;
	if (h->limit_function && streq(name, "on_limit_kprobe"))
		link = bpf_program__attach_kprobe(p, false, h->limit_function);
	else
		link = bpf_program__attach(p);
	if (!link)
		return -errno;
	h->links[h->n_links++] = link;
	return 0;
}

static void unload(struct oom_hooks *h)
{
	ring_buffer__free(h->ring);
	h->ring = NULL;
	while (h->n_links > 0)
		(void)bpf_link__destroy(h->links[--h->n_links]);
	bpf_object__close(h->object);
	h->object = NULL;
	h->spill_fd = h->lost_fd = h->limits_fd = h->args_fd = -ENOENT;
}

static bool any_program(const struct oom_hooks *h)
{
	for (int c = 0; c < _OOM_CAP_MAX; c++)
		if (is_program(&h->states[c]))
			return true;
	return false;
}

/* Stacks come with the records of programs only. */
static void check_stack(struct oom_hooks *h, const struct bpf_trial *trial)
{
	struct hook_state *s = &h->states[OOM_CAP_DECISION];

	if (hook_live_is(s, "stack") && !is_program(&h->states[OOM_CAP_KILL]))
		(void)hook_refuse(s, &h->env, trial, HOOK_NOT_APPLICABLE);
}

/* Consumers first: whoever attaches later finds the maps that it feeds. Returns the capability that failed, or -1. */
static int load_and_attach(struct oom_hooks *h, int *ret_error)
{
	static const int order[] = { OOM_CAP_ARGS,   OOM_CAP_EXIT,     OOM_CAP_RECLAIM,
				     OOM_CAP_SIGNAL, OOM_CAP_DECISION, OOM_CAP_ATTEMPT,
				     OOM_CAP_INVOKE, OOM_CAP_REAPER,   OOM_CAP_LIMIT,
				     OOM_CAP_KILL };
	int error;

	error = open_object(h, false, &h->object);
	for (int c = 0; c < _OOM_CAP_MAX && error >= 0; c++)
		each_live_program(h, c, enable, &error);
	if (error >= 0) {
		set_sizes(h, h->object);
		error = bpf_object__load(h->object);
	}
	if (error < 0) {
		*ret_error = error;
		return OOM_CAP_KILL;
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

static int on_ring_record(void *ctx, void *data, size_t size)
{
	struct oom_hooks *h = ctx;
	const struct record_head *head = data;

	/* decode.c checks the rest; here only what makes the head readable. */
	if (size < sizeof(*head) || head->size > size || head->size < sizeof(*head))
		h->reader_errors++;
	else
		h->sink.record(h->sink.ctx, head, false);
	return 0;
}

static int open_ring(struct oom_hooks *h)
{
	h->spill_fd = map_fd(h->object, "oom_spill");
	h->lost_fd = map_fd(h->object, "lost");
	h->limits_fd = map_fd(h->object, "limit_hits");
	h->args_fd = map_fd(h->object, "oom_args");
	h->ring = ring_buffer__new(map_fd(h->object, "oom_ring"), on_ring_record, h, NULL);
	return h->ring ? 0 : -errno;
}

static bool has_shape(const struct hook_env *e, const char *point, const char *shape)
{
	_cleanup_strbuf_ struct strbuf have = STRBUF_INIT;

	return probe_prototype(e, point, true, &have) == 0 && streq(strbuf_str(&have), shape);
}

static void read_shapes(struct oom_hooks *h)
{
	h->raw_mark_is_task = !has_shape(&h->env, "mark_victim", "int");
	h->raw_reclaim_has_memcg = has_shape(&h->env, "mm_vmscan_memcg_reclaim_begin",
					     "gfp_t, int, struct mem_cgroup *");
	if (hook_env_has_function(&h->env, "__memcg_memory_event"))
		h->limit_function = "__memcg_memory_event";
	else if (hook_env_has_function(&h->env, "memcg_memory_event"))
		h->limit_function = "memcg_memory_event";
}

/**
 * oom_hooks_new() - find out what this kernel allows, load it and attach
 * @env: facts of the host; copied
 *
 * Source: kernel facts K1..K11 of the OOM tracing design.
 *
 * Return: 0, also when nothing could be loaded (the states say why); -ENOMEM.
 */
int oom_hooks_new(const struct oom_hooks_options *options, const struct hook_env *env,
		  const struct oom_hooks_sink *sink, struct oom_hooks **ret)
{
	_cleanup_(oom_hooks_freep) struct oom_hooks *h = calloc(1, sizeof(*h));
	const struct bpf_trial trial = { open_trial, h };
	const char *disabled[DISABLED_MAX + 1] = {};
	size_t n_disabled = 0;

	if (!h)
		return -ENOMEM;
	h->options = *options;
	h->sink = *sink;
	h->env = *env;
	h->env.btf = NULL;
	h->spill_fd = h->lost_fd = h->limits_fd = h->args_fd = -ENOENT;
	h->n_cpus = libbpf_num_possible_cpus();
	h->percpu = calloc((size_t)MAX(h->n_cpus, 1), sizeof(*h->percpu));
	if (!h->percpu)
		return -ENOMEM;

	read_shapes(h);
	for (; options->disabled && options->disabled[n_disabled] && n_disabled < DISABLED_MAX - 2;
	     n_disabled++)
		disabled[n_disabled] = options->disabled[n_disabled];
	if (options->args_bytes == 0) {
		disabled[n_disabled++] = "oom_args/tp_btf";
		disabled[n_disabled++] = "oom_args/raw_tp";
	}
	hooks_select(oom_capabilities, _OOM_CAP_MAX, &h->env, &trial, disabled, h->states);

	for (int round = 0; round < ATTACH_ROUNDS; round++) {
		int error = 0, failed;

		check_stack(h, &trial);
		if (!any_program(h))
			break;
		failed = load_and_attach(h, &error);
		if (failed < 0) {
			int r = open_ring(h);

			if (r < 0)
				log_warning_errno(r, "cannot map the ring of OOM records");
			break;
		}
		log_info("%s: variant %s loads but does not attach (%s), trying the next",
			 oom_capabilities[failed]->capability, hook_live_name(&h->states[failed]),
			 strerror(-error));
		unload(h);
		(void)hook_next(&h->states[failed], &h->env, &trial, error);
	}
	hook_env_drop_btf(&h->env);
	*ret = TAKE_PTR(h);
	return 0;
}

int oom_hooks_probe(const struct hook_env *env, struct hook_state states[_OOM_CAP_MAX])
{
	_cleanup_(oom_hooks_freep) struct oom_hooks *h = calloc(1, sizeof(*h));
	const struct bpf_trial trial = { open_trial, h };

	if (!h)
		return -ENOMEM;
	h->options.args_bytes = 256;
	h->env = *env;
	h->env.btf = NULL;
	read_shapes(h);
	hooks_select(oom_capabilities, _OOM_CAP_MAX, &h->env, &trial, NULL, states);
	return 0;
}

struct oom_hooks *oom_hooks_free(struct oom_hooks *h)
{
	if (!h)
		return NULL;
	unload(h);
	hook_env_drop_btf(&h->env);
	free(h->percpu);
	free(h);
	return NULL;
}

const struct hook_state *oom_hooks_states(const struct oom_hooks *h)
{
	return h->states;
}

int oom_hooks_fd(const struct oom_hooks *h)
{
	return h->ring ? ring_buffer__epoll_fd(h->ring) : -ENOENT;
}

int oom_hooks_consume(struct oom_hooks *h)
{
	int n = h->ring ? ring_buffer__consume(h->ring) : 0;

	if (n >= 0)
		n += oom_hooks_drain_spill(h);
	return n;
}

int oom_hooks_drain_spill(struct oom_hooks *h)
{
	struct oom_core core;
	uint64_t key;
	int n = 0;

	while (h->spill_fd >= 0 && bpf_map_get_next_key(h->spill_fd, NULL, &key) == 0) {
		if (bpf_map_lookup_elem(h->spill_fd, &key, &core) == 0) {
			h->sink.record(h->sink.ctx, &core.head, true);
			n++;
		}
		if (bpf_map_delete_elem(h->spill_fd, &key) < 0)
			break;
	}
	return n;
}

void oom_hooks_lost(const struct oom_hooks *h, uint64_t ret[_OOM_LOST_MAX])
{
	for (uint32_t i = 0; i < _OOM_LOST_MAX; i++) {
		ret[i] = 0;
		if (h->lost_fd < 0 || bpf_map_lookup_elem(h->lost_fd, &i, h->percpu) < 0)
			continue;
		for (int cpu = 0; cpu < h->n_cpus; cpu++)
			ret[i] += h->percpu[cpu];
	}
	ret[OOM_LOST_OTHER] += h->reader_errors;
}

int oom_hooks_limits(const struct oom_hooks *h,
		     void (*fn)(void *ctx, uint64_t cgroup_id, const struct oom_limit_hits *hits),
		     void *ctx)
{
	uint64_t key = 0, next;
	const void *previous = NULL;
	int n = 0;

	while (h->limits_fd >= 0 && n < LIMITS_MAX &&
	       bpf_map_get_next_key(h->limits_fd, previous, &next) == 0) {
		struct oom_limit_hits hits;

		if (bpf_map_lookup_elem(h->limits_fd, &next, &hits) == 0)
			fn(ctx, next, &hits);
		key = next;
		previous = &key;
		n++;
	}
	return n;
}

/* --- seeding command lines --- */

static bool start_ticks(int proc_fd, const char *pid, uint64_t *ret)
{
	char path[64], text[1024], digits[24];
	const char *p, *field;
	size_t len;

	(void)snprintf(path, sizeof(path), "%s/stat", pid);
	if (fs_read_into(proc_fd, path, text, sizeof(text)) < 0)
		return false;
	p = strrchr(text, ')'); /* comm may hold anything */
	/* Field 22 of proc(5); the state after the comm is field 3. */
	if (!p || !parse_field(p + 1, 22 - 3, &field, &len) || len >= sizeof(digits))
		return false;
	memcpy(digits, field, len);
	digits[len] = '\0';
	return parse_u64(digits, ret) == 0;
}

static int seed_one(const struct oom_hooks *h, int proc_fd, const char *pid)
{
	struct oom_args_key key = {};
	struct oom_args_value value = {};
	uint64_t ticks;
	char path[64];
	_cleanup_(closep) int fd = -EBADF;
	ssize_t n;

	if (parse_u32(pid, &key.tgid) < 0 || !start_ticks(proc_fd, pid, &ticks))
		return -ENOENT;
	key.start_ticks = ticks;
	(void)snprintf(path, sizeof(path), "%s/cmdline", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, value.data, MIN(h->options.args_bytes, (uint32_t)sizeof(value.data)));
	if (n <= 0)
		return -ENODATA; /* a kernel thread */
	value.length = (uint32_t)n;
	/* NOEXIST: an exec that came meanwhile knows better. */
	return bpf_map_update_elem(h->args_fd, &key, &value, BPF_NOEXIST);
}

int oom_hooks_seed_args(struct oom_hooks *h)
{
	_cleanup_(closedirp) DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int n = 0;

	if (!proc || h->args_fd < 0 || h->options.args_bytes == 0)
		return 0;
	while ((entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (seed_one(h, dirfd(proc), entry->d_name) == 0)
			n++;
	}
	return n;
}
