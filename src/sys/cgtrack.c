/* SPDX-License-Identifier: Apache-2.0 */
/* Loader of bpf/cgroup.bpf.c. Where no program loads, the owner's periodic scan finds cgroups, only later. */
#define LOG_MODULE "identity"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "cgroup.skel.h"
#include "sys/bpf.h"
#include "sys/cgroup.h"
#include "sys/cgtrack.h"

#define LINKS_MAX 4
#define SHAPE "struct cgroup *, const char *"
#define PROGRAMS(kind)                                                            \
	((const char *const[]){ "on_cgroup_mkdir_" kind, "on_cgroup_rmdir_" kind, \
				"on_cgroup_rename_" kind, "on_cgroup_release_" kind, NULL })

static enum hook_reason probe_scan(const struct hook_env *e, const struct hook_variant *v)
{
	(void)e;
	(void)v;
	return HOOK_OK;
}

const struct hook cgroup_track = {
	.capability = "cgroup_track", .module = "identity", .required = true,
	.without = "short-lived cgroups are known by their path in the record only",
	.variants = {
		{ "tp_btf", PROGRAMS("tp_btf"), probe_btf_tracepoint, "cgroup_mkdir", SHAPE, 0 },
		{ "tp_btf_direct", PROGRAMS("tp_btf_direct"), probe_btf_tracepoint, "cgroup_mkdir", SHAPE,
		  HOOK_DIRECT },
		{ "raw_tp", PROGRAMS("raw_tp"), probe_raw_tracepoint, "cgroup_mkdir", SHAPE, 0 },
		{ "scan", NULL, probe_scan, NULL, NULL, HOOK_USER },
	},
};

struct cgtrack {
	struct hook_state state;
	struct cgroup_bpf *skeleton;
	struct ring_buffer *ring;
	struct bpf_link *links[LINKS_MAX];
	size_t n_links;
	cgtrack_fn fn;
	void *ctx;
};

static int open_all_off(struct cgroup_bpf **ret)
{
	struct cgroup_bpf *s = cgroup_bpf__open();
	struct bpf_program *p;

	if (!s)
		return -errno;
	bpf_object__for_each_program (p, s->obj)
		(void)bpf_program__set_autoload(p, false);
	*ret = s;
	return 0;
}

static int open_trial(void *ctx, struct bpf_object **ret)
{
	struct cgroup_bpf *s;
	int r = open_all_off(&s);

	(void)ctx;
	if (r < 0)
		return r;
	*ret = s->obj; /* outlives its skeleton */
	s->obj = NULL;
	cgroup_bpf__destroy(s);
	return 0;
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct cgtrack *t = ctx;
	const struct cgroup_record_event *e = data;

	if (size >= offsetof(struct cgroup_record_event, path) &&
	    e->path_length <=
		    MIN(sizeof(e->path), size - offsetof(struct cgroup_record_event, path)))
		t->fn(t->ctx, e);
	return 0;
}

static void unload(struct cgtrack *t)
{
	ring_buffer__free(t->ring);
	t->ring = NULL;
	while (t->n_links > 0)
		(void)bpf_link__destroy(t->links[--t->n_links]);
	cgroup_bpf__destroy(t->skeleton);
	t->skeleton = NULL;
}

static int load_and_attach(struct cgtrack *t, const char *const *programs)
{
	int r = open_all_off(&t->skeleton);

	for (const char *const *name = programs; r >= 0 && *name; name++)
		r = bpf_program__set_autoload(
			bpf_object__find_program_by_name(t->skeleton->obj, *name), true);
	if (r >= 0)
		r = bpf_object__load(t->skeleton->obj);
	for (const char *const *name = programs; r >= 0 && *name; name++) {
		struct bpf_link *link = bpf_program__attach(
			bpf_object__find_program_by_name(t->skeleton->obj, *name));

		if (!link)
			r = -errno;
		else
			t->links[t->n_links++] = link;
	}
	if (r < 0)
		return r;
	t->ring = ring_buffer__new(bpf_map__fd(t->skeleton->maps.cgroup_ring), on_record, t, NULL);
	return t->ring ? 0 : -errno;
}

int cgtrack_new(const struct hook_env *env, cgtrack_fn fn, void *ctx, struct cgtrack **ret)
{
	const struct hook *hooks[] = { &cgroup_track };
	const struct bpf_trial trial = { open_trial, NULL };
	struct cgtrack *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->fn = fn;
	t->ctx = ctx;
	hooks_select(hooks, 1, env, &trial, NULL, &t->state);
	while (t->state.live >= 0 && cgroup_track.variants[t->state.live].programs) {
		int r = load_and_attach(t, cgroup_track.variants[t->state.live].programs);

		if (r >= 0)
			break;
		unload(t);
		log_warning_errno(r, "cgroup_track: variant %s does not attach, trying the next",
				  hook_live_name(&t->state));
		(void)hook_next(&t->state, env, &trial, r);
	}
	*ret = t;
	return 0;
}

void cgtrack_probe(const struct hook_env *env, struct hook_state *ret)
{
	const struct hook *hooks[] = { &cgroup_track };
	const struct bpf_trial trial = { open_trial, NULL };

	hooks_select(hooks, 1, env, &trial, NULL, ret);
}

struct cgtrack *cgtrack_free(struct cgtrack *t)
{
	if (!t)
		return NULL;
	unload(t);
	free(t);
	return NULL;
}

const struct hook_state *cgtrack_state(const struct cgtrack *t)
{
	return &t->state;
}

/* Path of an open directory below an open mount point; both as the kernel names them. */
static int path_below(int mount_fd, int fd, char *ret, size_t size)
{
	char link[32], root[PATH_MAX], full[PATH_MAX];
	ssize_t n, m;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", mount_fd);
	n = readlink(link, root, sizeof(root) - 1);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	m = n < 0 ? -1 : readlink(link, full, sizeof(full) - 1);
	if (m < 0)
		return -errno;
	if (m <= n || strncmp(full, root, (size_t)n) != 0 || full[n] != '/')
		return -ENOENT;
	if ((size_t)(m - n) >= size)
		return -ENAMETOOLONG;
	memcpy(ret, full + n, (size_t)(m - n));
	ret[m - n] = '\0';
	return 0;
}

/**
 * cgtrack_path() - where the cgroup of a record is
 * @mount_fd: mount point of its hierarchy
 *
 * The record's own path; where it has none (lockdown) or a cut one, the kernel is asked by the id.
 *
 * Return: 0; -ESTALE when the cgroup is gone, -EPERM without CAP_DAC_READ_SEARCH, -ENAMETOOLONG.
 */
int cgtrack_path(const struct cgroup_record_event *e, int mount_fd, char *ret, size_t size)
{
	_cleanup_(closep) int fd = -EBADF;

	if (e->path_length > 0 && e->path[0] == '/') {
		if (e->path_length >= size)
			return -ENAMETOOLONG;
		memcpy(ret, e->path, e->path_length);
		ret[e->path_length] = '\0';
		return 0;
	}
	fd = cgroup_open_by_id(mount_fd, e->id);
	return fd < 0 ? fd : path_below(mount_fd, fd, ret, size);
}

int cgtrack_fd(const struct cgtrack *t)
{
	return t->ring ? ring_buffer__epoll_fd(t->ring) : -ENOENT;
}

int cgtrack_consume(struct cgtrack *t)
{
	return t->ring ? ring_buffer__consume(t->ring) : 0;
}

uint64_t cgtrack_lost(const struct cgtrack *t)
{
	uint64_t values[1024] = {}, sum = 0;
	uint32_t zero = 0;
	int cpus = libbpf_num_possible_cpus();

	if (!t->skeleton || cpus > (int)ARRAY_SIZE(values) ||
	    bpf_map_lookup_elem(bpf_map__fd(t->skeleton->maps.cgroup_lost), &zero, values) < 0)
		return 0;
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	return sum;
}
