/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader of the OOM programs: ring, spill map, counters, command lines
 *
 * Loading is done by a child (hooks-load.c); here are descriptors only. Consuming allocates nothing.
 */
#define LOG_MODULE "oom"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "agent/oom/hooks-load.h"
#include "agent/oom/hooks.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"

#define LIMITS_MAX 4096 /* a walk of a map that fills meanwhile ends */

struct oom_hooks {
	struct oom_hooks_options options;
	struct oom_hooks_sink sink;
	struct hook_state states[_OOM_CAP_MAX];
	int fds[CHILD_FDS_MAX]; /* maps and links: open, they keep the programs attached */
	size_t n_fds;
	int maps[_OOM_MAP_MAX]; /* some of @fds; negative without */
	struct ring_buffer *ring;
	int n_cpus;
	uint64_t *percpu; /* n_cpus values */
	uint64_t malformed;
	bool enough;
};

static int on_ring_record(void *ctx, void *data, size_t size)
{
	struct oom_hooks *h = ctx;
	const struct record_head *head = data;

	/* decode.c checks the rest; here only what makes the head readable. */
	if (size < sizeof(*head) || head->size > size || head->size < sizeof(*head))
		h->malformed++;
	else
		h->sink.record(h->sink.ctx, head, false);
	/* An error ends the reading behind this record. */
	return h->enough ? -EAGAIN : 0;
}

void oom_hooks_enough(struct oom_hooks *h)
{
	h->enough = true;
}

static void load(struct oom_hooks *h, const struct hook_env *env)
{
	struct oom_load_request request = { &h->options, env };
	struct oom_loaded loaded = {};
	struct child_result r = { .data = &loaded, .size = sizeof(loaded) };
	int error = child_run(oom_hooks_load, &request, &r);

	if (error < 0)
		log_warning_errno(error, "the process that loads the programs gave no answer");
	for (int c = 0; c < _OOM_CAP_MAX; c++) {
		h->states[c] = loaded.states[c];
		h->states[c].hook = oom_capabilities[c];
		if (error < 0) {
			h->states[c].live = -1;
			for (int v = 0; v < HOOK_VARIANTS_MAX; v++)
				h->states[c].reasons[v] = HOOK_LOAD_FAILED;
		}
	}
	if (error < 0)
		return;
	memcpy(h->fds, r.fds, r.n_fds * sizeof(r.fds[0]));
	h->n_fds = r.n_fds;
	for (int i = 0; i < _OOM_MAP_MAX; i++)
		if (loaded.maps[i] >= 0 && (size_t)loaded.maps[i] < r.n_fds)
			h->maps[i] = r.fds[loaded.maps[i]];
}

/**
 * oom_hooks_new() - find out what this kernel allows, load it and attach
 * @env: facts of the host
 *
 * Source: kernel facts K1..K11 of the OOM tracing design.
 *
 * Return: 0, also when nothing could be loaded (the states say why); -ENOMEM.
 */
int oom_hooks_new(const struct oom_hooks_options *options, const struct hook_env *env,
		  const struct oom_hooks_sink *sink, struct oom_hooks **ret)
{
	_cleanup_(oom_hooks_freep) struct oom_hooks *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->options = *options;
	h->sink = *sink;
	for (int i = 0; i < _OOM_MAP_MAX; i++)
		h->maps[i] = -ENOENT;
	h->n_cpus = libbpf_num_possible_cpus();
	h->percpu = calloc((size_t)MAX(h->n_cpus, 1), sizeof(*h->percpu));
	if (!h->percpu)
		return -ENOMEM;
	load(h, env);
	h->options.disabled = NULL; /* the caller's, for the load only */
	r = h->maps[OOM_MAP_RING] >= 0 ? oom_hooks_reopen(h) : 0;
	if (r < 0)
		log_warning_errno(r, "cannot map the ring of OOM records, trying again");
	*ret = TAKE_PTR(h);
	return 0;
}

struct oom_hooks *oom_hooks_free(struct oom_hooks *h)
{
	if (!h)
		return NULL;
	ring_buffer__free(h->ring);
	for (size_t i = 0; i < h->n_fds; i++)
		(void)close(h->fds[i]);
	free(h->percpu);
	free(h);
	return NULL;
}

const struct hook_state *oom_hooks_states(const struct oom_hooks *h)
{
	return h->states;
}

void oom_hooks_take_reasons(struct oom_hooks *h, const struct oom_hooks *fresh)
{
	for (int c = 0; c < _OOM_CAP_MAX; c++)
		if (fresh->states[c].live == h->states[c].live)
			h->states[c] = fresh->states[c];
}

static bool is_map(const struct oom_hooks *h, int fd)
{
	for (int i = 0; i < _OOM_MAP_MAX; i++)
		if (h->maps[i] == fd)
			return true;
	return false;
}

void oom_hooks_detach(struct oom_hooks *h)
{
	for (size_t i = 0; i < h->n_fds; i++)
		if (!is_map(h, h->fds[i]))
			closep(&h->fds[i]);
	for (size_t i = h->n_fds; i-- > 0;)
		if (!is_map(h, h->fds[i]))
			h->fds[i] = h->fds[--h->n_fds];
}

int oom_hooks_readable(const struct oom_hooks *h)
{
	uint32_t zero = 0;
	uint64_t key;

	if (h->maps[OOM_MAP_LOST] >= 0 &&
	    bpf_map_lookup_elem(h->maps[OOM_MAP_LOST], &zero, h->percpu) < 0)
		return -errno;
	if (h->maps[OOM_MAP_SPILL] >= 0 &&
	    bpf_map_get_next_key(h->maps[OOM_MAP_SPILL], NULL, &key) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int oom_hooks_fd(const struct oom_hooks *h)
{
	if (h->ring)
		return ring_buffer__epoll_fd(h->ring);
	return h->maps[OOM_MAP_RING] >= 0 ? -EIO : -ENOENT;
}

int oom_hooks_reopen(struct oom_hooks *h)
{
	ring_buffer__free(h->ring);
	h->ring = NULL;
	if (h->maps[OOM_MAP_RING] < 0)
		return -ENOENT;
	h->ring = ring_buffer__new(h->maps[OOM_MAP_RING], on_ring_record, h, NULL);
	return h->ring ? 0 : -errno;
}

int oom_hooks_consume(struct oom_hooks *h)
{
	int n;

	h->enough = false;
	n = h->ring ? ring_buffer__consume(h->ring) : 0;
	/* What was spilled is younger than what still waits. */
	if (n >= 0)
		n += oom_hooks_drain_spill(h);
	return n;
}

int oom_hooks_drain_spill(struct oom_hooks *h)
{
	struct oom_core core;
	uint64_t key;
	int n = 0;

	while (h->maps[OOM_MAP_SPILL] >= 0 &&
	       bpf_map_get_next_key(h->maps[OOM_MAP_SPILL], NULL, &key) == 0) {
		if (bpf_map_lookup_elem(h->maps[OOM_MAP_SPILL], &key, &core) == 0) {
			h->sink.record(h->sink.ctx, &core.head, true);
			n++;
		}
		if (bpf_map_delete_elem(h->maps[OOM_MAP_SPILL], &key) < 0)
			break;
	}
	return n;
}

void oom_hooks_lost(const struct oom_hooks *h, uint64_t ret[_OOM_LOST_MAX])
{
	for (uint32_t i = 0; i < _OOM_LOST_MAX; i++) {
		ret[i] = 0;
		if (h->maps[OOM_MAP_LOST] < 0 ||
		    bpf_map_lookup_elem(h->maps[OOM_MAP_LOST], &i, h->percpu) < 0)
			continue;
		for (int cpu = 0; cpu < h->n_cpus; cpu++)
			ret[i] += h->percpu[cpu];
	}
}

uint64_t oom_hooks_malformed(const struct oom_hooks *h)
{
	return h->malformed;
}

/* Before v5.14 hash maps have no lookup_and_delete: what is counted between the two calls is lost. */
static int take_hits(int map, const uint64_t *id, struct oom_limit_hits *ret)
{
	int r = bpf_map_lookup_and_delete_elem(map, id, ret);

	if (r >= 0 || errno == ENOENT)
		return r;
	r = bpf_map_lookup_elem(map, id, ret);
	(void)bpf_map_delete_elem(map, id);
	return r;
}

int oom_hooks_limits(const struct oom_hooks *h,
		     void (*fn)(void *ctx, uint64_t cgroup_id, const struct oom_limit_hits *hits),
		     void *ctx)
{
	int map = h->maps[OOM_MAP_LIMITS], n = 0;
	uint64_t id;

	while (map >= 0 && n < LIMITS_MAX && bpf_map_get_next_key(map, NULL, &id) == 0) {
		struct oom_limit_hits hits;

		if (take_hits(map, &id, &hits) >= 0)
			fn(ctx, id, &hits);
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
	return bpf_map_update_elem(h->maps[OOM_MAP_ARGS], &key, &value, BPF_NOEXIST);
}

int oom_hooks_seed_args(struct oom_hooks *h)
{
	_cleanup_(closedirp) DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int n = 0;

	if (!proc || h->maps[OOM_MAP_ARGS] < 0 || h->options.args_bytes == 0)
		return 0;
	while ((entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (seed_one(h, dirfd(proc), entry->d_name) == 0)
			n++;
	}
	return n;
}
