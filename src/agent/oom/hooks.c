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
#include "oom.skel.h"
#include "sys/bpf.h"

#define LINKS_MAX 32
#define ATTACH_ROUNDS 4
#define FIELD_TEXT 8192

struct oom_hooks {
	struct oom_hooks_options options;
	struct oom_hooks_sink sink;
	struct hook_env env; /* a copy: the tier is this module's own */
	struct hook_state states[_OOM_CAP_MAX];
	const char *limit_function;
	bool raw_mark_is_task, raw_reclaim_has_memcg; /* shapes, for the raw_tp variants */
	struct oom_bpf *skeleton;
	struct bpf_link *links[LINKS_MAX];
	size_t n_links;
	struct ring_buffer *ring;
	int n_cpus;
	uint64_t *percpu; /* n_cpus values */
	uint64_t reader_errors;
};

/* --- facts that programs get as rodata --- */

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

static void set_format_offsets(const struct oom_hooks *h, struct oom_bpf *s)
{
	char text[FIELD_TEXT];

	if (read_format(&h->env, "oom/mark_victim", text, sizeof(text))) {
		s->rodata->mark_comm = field_offset(text, "comm");
		s->rodata->mark_total_vm = field_offset(text, "total_vm");
		s->rodata->mark_anon = field_offset(text, "anon_rss");
		s->rodata->mark_file = field_offset(text, "file_rss");
		s->rodata->mark_shmem = field_offset(text, "shmem_rss");
		s->rodata->mark_pgtables = field_offset(text, "pgtables");
		s->rodata->mark_uid = field_offset(text, "uid");
		s->rodata->mark_adj = field_offset(text, "oom_score_adj");
	}
	if (read_format(&h->env, "signal/signal_generate", text, sizeof(text))) {
		s->rodata->signal_sig = field_offset(text, "sig");
		s->rodata->signal_code = field_offset(text, "code");
		s->rodata->signal_pid = field_offset(text, "pid");
	}
}

static void set_rodata(const struct oom_hooks *h, struct oom_bpf *s)
{
	const struct hook_state *kill = &h->states[OOM_CAP_KILL];

	s->rodata->args_bytes = MIN(h->options.args_bytes, (uint32_t)OOM_ARGS_MAX);
	s->rodata->page_kib = (uint32_t)(sysconf(_SC_PAGESIZE) / 1024);
	s->rodata->raw_mark_is_task = h->raw_mark_is_task;
	s->rodata->raw_reclaim_has_memcg = h->raw_reclaim_has_memcg;
	s->rodata->signals_seen = h->states[OOM_CAP_SIGNAL].live >= 0;
	s->rodata->kill_variant = kill->live < 0 ? 0 : (uint32_t)kill->live;
	s->rodata->stash_victims = hook_live_is(kill, "tp_btf_pid") ||
				   (hook_live_is(kill, "raw_tp") && !h->raw_mark_is_task);
	set_format_offsets(h, s);
}

/* fentry resolves its function at load, so the name that exists here must stand before that. */
static void set_limit_target(const struct oom_hooks *h, struct oom_bpf *s)
{
	if (h->limit_function)
		(void)bpf_program__set_attach_target(s->progs.on_limit_fentry, 0, h->limit_function);
}

static int open_object(struct oom_hooks *h, struct oom_bpf **ret)
{
	struct oom_bpf *s = oom_bpf__open();
	struct bpf_program *p;

	if (!s)
		return -errno;
	bpf_object__for_each_program(p, s->obj)
		(void)bpf_program__set_autoload(p, false);
	set_rodata(h, s);
	set_limit_target(h, s);
	*ret = s;
	return 0;
}

static int open_trial(void *ctx, struct bpf_object **ret)
{
	struct oom_bpf *s;
	struct bpf_object *object;
	struct bpf_map *map;
	int r = open_object(ctx, &s);

	if (r < 0)
		return r;
	/* Small: a trial is loaded and gone. */
	bpf_object__for_each_map(map, s->obj)
		if (bpf_map__max_entries(map) > 4096)
			(void)bpf_map__set_max_entries(map, bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF ? 65536 : 64);
	/* The object outlives its skeleton: the loader closes it. */
	object = s->obj;
	s->obj = NULL;
	oom_bpf__destroy(s);
	*ret = object;
	return 0;
}

/* --- the real load --- */

static uint64_t ring_size(uint64_t bytes)
{
	uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE);

	while (size < bytes)
		size *= 2;
	return size;
}

static void set_sizes(const struct oom_hooks *h, struct oom_bpf *s)
{
	const struct oom_hooks_options *o = &h->options;

	(void)bpf_map__set_max_entries(s->maps.oom_ring, (uint32_t)ring_size(o->ring_bytes));
	(void)bpf_map__set_max_entries(s->maps.oom_spill, MAX(o->spill_entries, 1U));
	(void)bpf_map__set_max_entries(s->maps.oom_args, MAX(o->args_entries, 1U));
	(void)bpf_map__set_max_entries(s->maps.followed, MAX(o->victims, 64U));
	if (!s->rodata->stash_victims)
		(void)bpf_map__set_max_entries(s->maps.stash, 1);
}

static void each_live_program(struct oom_hooks *h, struct oom_bpf *s, int cap,
			      int (*fn)(struct oom_hooks *, struct bpf_program *, int *error), int *error)
{
	const struct hook_state *state = &h->states[cap];
	const char *const *name;

	if (state->live < 0)
		return;
	name = state->hook->variants[state->live].programs;
	for (; name && *name && *error >= 0; name++) {
		struct bpf_program *p = bpf_object__find_program_by_name(s->obj, *name);

		*error = p ? fn(h, p, error) : -ENOENT;
	}
}

static int enable(struct oom_hooks *h, struct bpf_program *p, int *error)
{
	(void)h;
	(void)error;
	return bpf_program__set_autoload(p, true);
}

static int attach(struct oom_hooks *h, struct bpf_program *p, int *error)
{
	const char *name = bpf_program__name(p);
	struct bpf_link *link;

	(void)error;
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
	oom_bpf__destroy(h->skeleton);
	h->skeleton = NULL;
}

static bool any_program(const struct oom_hooks *h)
{
	for (int c = 0; c < _OOM_CAP_MAX; c++)
		if (h->states[c].live >= 0 && h->states[c].hook->variants[h->states[c].live].programs)
			return true;
	return false;
}

/* Consumers first: whoever attaches later finds the maps that it feeds. Returns the capability that failed, or -1. */
static int load_and_attach(struct oom_hooks *h, int *ret_error)
{
	static const int order[] = { OOM_CAP_ARGS, OOM_CAP_EXIT, OOM_CAP_RECLAIM, OOM_CAP_SIGNAL, OOM_CAP_DECISION,
				     OOM_CAP_ATTEMPT, OOM_CAP_INVOKE, OOM_CAP_REAPER, OOM_CAP_LIMIT, OOM_CAP_KILL };
	int error;

	error = open_object(h, &h->skeleton);
	for (int c = 0; c < _OOM_CAP_MAX && error >= 0; c++)
		each_live_program(h, h->skeleton, c, enable, &error);
	if (error >= 0) {
		set_sizes(h, h->skeleton);
		error = bpf_object__load(h->skeleton->obj);
	}
	if (error < 0) {
		*ret_error = error;
		return OOM_CAP_KILL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		each_live_program(h, h->skeleton, order[i], attach, &error);
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
	h->ring = ring_buffer__new(bpf_map__fd(h->skeleton->maps.oom_ring), on_ring_record, h, NULL);
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
	h->raw_reclaim_has_memcg =
		has_shape(&h->env, "mm_vmscan_memcg_reclaim_begin", "gfp_t, int, struct mem_cgroup *");
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
int oom_hooks_new(const struct oom_hooks_options *options, const struct hook_env *env, const struct oom_hooks_sink *sink,
		  struct oom_hooks **ret)
{
	_cleanup_(oom_hooks_freep) struct oom_hooks *h = calloc(1, sizeof(*h));
	const struct bpf_trial trial = { open_trial, h };
	const char *disabled[2] = {};

	if (!h)
		return -ENOMEM;
	h->options = *options;
	h->sink = *sink;
	h->env = *env;
	h->env.btf = NULL;
	h->n_cpus = libbpf_num_possible_cpus();
	h->percpu = calloc((size_t)MAX(h->n_cpus, 1), sizeof(*h->percpu));
	if (!h->percpu)
		return -ENOMEM;

	read_shapes(h);
	if (options->args_bytes == 0)
		disabled[0] = "oom_args/tp_btf";
	hooks_select(oom_capabilities, _OOM_CAP_MAX, &h->env, &trial, disabled, h->states);

	for (int round = 0; round < ATTACH_ROUNDS && any_program(h); round++) {
		int error = 0, failed = load_and_attach(h, &error);

		if (failed < 0) {
			int r = open_ring(h);

			if (r < 0)
				log_warning_errno(r, "cannot map the ring of OOM records");
			break;
		}
		log_warning_errno(error, "%s: variant %s loads but does not attach, trying the next",
				  oom_capabilities[failed]->capability, hook_live_name(&h->states[failed]));
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
	int fd, n = 0;

	if (!h->skeleton)
		return 0;
	fd = bpf_map__fd(h->skeleton->maps.oom_spill);
	while (bpf_map_get_next_key(fd, NULL, &key) == 0) {
		if (bpf_map_lookup_elem(fd, &key, &core) == 0) {
			h->sink.record(h->sink.ctx, &core.head, true);
			n++;
		}
		if (bpf_map_delete_elem(fd, &key) < 0)
			break;
	}
	return n;
}

void oom_hooks_lost(const struct oom_hooks *h, uint64_t ret[_OOM_LOST_MAX])
{
	for (uint32_t i = 0; i < _OOM_LOST_MAX; i++) {
		ret[i] = 0;
		if (!h->skeleton ||
		    bpf_map_lookup_elem(bpf_map__fd(h->skeleton->maps.lost), &i, h->percpu) < 0)
			continue;
		for (int cpu = 0; cpu < h->n_cpus; cpu++)
			ret[i] += h->percpu[cpu];
	}
	ret[OOM_LOST_OTHER] += h->reader_errors;
}

int oom_hooks_limits(const struct oom_hooks *h, void (*fn)(void *ctx, uint64_t cgroup_id, const struct oom_limit_hits *hits),
		     void *ctx)
{
	uint64_t key = 0, next;
	const void *previous = NULL;
	int fd, n = 0;

	if (!h->skeleton)
		return 0;
	fd = bpf_map__fd(h->skeleton->maps.limit_hits);
	while (n < 65536 && bpf_map_get_next_key(fd, previous, &next) == 0) {
		struct oom_limit_hits hits;

		if (bpf_map_lookup_elem(fd, &next, &hits) == 0)
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

static int seed_one(const struct oom_hooks *h, int map_fd, int proc_fd, const char *pid)
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
	return bpf_map_update_elem(map_fd, &key, &value, BPF_NOEXIST);
}

int oom_hooks_seed_args(struct oom_hooks *h)
{
	_cleanup_(closedirp) DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int n = 0;

	if (!proc || !h->skeleton || h->options.args_bytes == 0)
		return 0;
	while ((entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (seed_one(h, bpf_map__fd(h->skeleton->maps.oom_args), dirfd(proc), entry->d_name) == 0)
			n++;
	}
	return n;
}
