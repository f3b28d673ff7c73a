/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loader of bpf/cgroup.bpf.c. Where no program loads, inotify tells of cgroups, and where that is refused too, the owner's periodic
 * scan finds them, only later.
 */
#define LOG_MODULE "identity"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "cgroup.skel.h"
#include "sys/bpf.h"
#include "sys/cgroup.h"
#include "sys/cgtrack.h"
#include "sys/cgwatch.h"
#include "sys/child.h"

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
		{ "inotify", NULL, probe_file, "/proc/sys/fs/inotify/max_user_watches", NULL, HOOK_USER },
		{ "scan", NULL, probe_scan, NULL, NULL, HOOK_USER },
	},
};

struct cgtrack {
	struct hook_state state;
	int ring_fd, lost_fd;
	int links[LINKS_MAX]; /* open, they keep the programs attached */
	size_t n_links;
	struct ring_buffer *ring;
	struct cgwatch *watch; /* instead of the ring */
	cgtrack_fn fn;
	void *ctx;
};

static int open_trial(void *ctx, struct bpf_object **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "cgroup");
	struct bpf_object *object;
	struct bpf_program *p;
	size_t size;
	const void *bytes = cgroup_bpf__elf_bytes(&size);

	(void)ctx;
	object = bpf_object__open_mem(bytes, size, &opts);
	if (!object)
		return -errno;
	bpf_object__for_each_program (p, object)
		(void)bpf_program__set_autoload(p, false);
	*ret = object;
	return 0;
}

/* --- in a child process: BTF and relocation take much memory for a moment --- */

struct request {
	const struct hook_env *env;
	const char *const *disabled;
};

struct loaded {
	struct hook_state state;
	bool attached; /* then the descriptors are: ring, lost, links */
};

/* Leaves the programs attached by the descriptors that it hands over. */
static int attach_all(struct bpf_object *object, const char *const *programs,
		      struct child_result *r)
{
	for (const char *const *name = programs; *name; name++) {
		struct bpf_link *link =
			bpf_program__attach(bpf_object__find_program_by_name(object, *name));

		if (!link)
			return -errno;
		r->fds[r->n_fds++] = bpf_link__fd(link);
		bpf_link__disconnect(link);
		(void)bpf_link__destroy(link);
	}
	return 0;
}

static int load_and_attach(const char *const *programs, struct child_result *r)
{
	static const char *const maps[] = { "cgroup_ring", "cgroup_lost" };
	struct bpf_object *object;
	int e = open_trial(NULL, &object);

	if (e < 0)
		return e;
	for (const char *const *name = programs; e >= 0 && *name; name++)
		e = bpf_program__set_autoload(bpf_object__find_program_by_name(object, *name),
					      true);
	if (e >= 0)
		e = bpf_object__load(object);
	for (size_t i = 0; i < ARRAY_SIZE(maps) && e >= 0; i++) {
		e = fcntl(bpf_object__find_map_fd_by_name(object, maps[i]), F_DUPFD_CLOEXEC, 3);
		if (e >= 0)
			r->fds[r->n_fds++] = e;
		else
			e = -errno;
	}
	if (e >= 0)
		e = attach_all(object, programs, r);
	bpf_object__close(object);
	while (e < 0 && r->n_fds > 0)
		(void)close(r->fds[--r->n_fds]);
	return MIN(e, 0);
}

static int load(void *ctx, struct child_result *r)
{
	const struct hook *hooks[] = { &cgroup_track };
	const struct bpf_trial trial = { open_trial, NULL };
	const struct request *request = ctx;
	struct hook_env env = *request->env;
	struct loaded *ret = r->data;
	struct hook_state *s = &ret->state;

	env.btf = NULL;
	hooks_select(hooks, 1, &env, &trial, request->disabled, s);
	while (s->live >= 0 && cgroup_track.variants[s->live].programs && !ret->attached) {
		int e = load_and_attach(cgroup_track.variants[s->live].programs, r);

		ret->attached = e >= 0;
		if (ret->attached)
			break;
		log_info("cgroup_track: variant %s loads but does not attach (%s), trying the next",
			 hook_live_name(s), strerror(-e));
		(void)hook_next(s, &env, &trial, e);
	}
	hook_env_drop_btf(&env);
	return 0;
}

/* --- the reader --- */

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

static void adopt(struct cgtrack *t, const struct child_result *r)
{
	t->ring_fd = r->fds[0];
	t->lost_fd = r->fds[1];
	for (size_t i = 2; i < r->n_fds && t->n_links < LINKS_MAX; i++)
		t->links[t->n_links++] = r->fds[i];
	t->ring = ring_buffer__new(t->ring_fd, on_record, t, NULL);
	if (!t->ring)
		log_warning_errno(-errno, "cannot map the ring of cgroups");
}

/* No answer from the child: what needs no program is still there. */
static void select_without_programs(const struct hook_env *env, const char *const *disabled,
				    struct hook_state *ret)
{
	const struct hook *hooks[] = { &cgroup_track };
	const struct bpf_trial trial = { open_trial, NULL };
	struct hook_env powerless = *env;

	powerless.btf = NULL;
	powerless.caps = 0;
	hooks_select(hooks, 1, &powerless, &trial, disabled, ret);
	for (int v = 0; cgroup_track.variants[v].name; v++)
		if (cgroup_track.variants[v].programs)
			ret->reasons[v] = HOOK_LOAD_FAILED;
}

/* The last but one; where the kernel refuses it, the scan remains. */
static void start_watch(struct cgtrack *t, const struct hook_env *env,
			const struct cgtrack_options *o)
{
	const struct bpf_trial trial = { open_trial, NULL };
	int r = cgwatch_new(o->cgroups, o->watches_max, t->fn, t->ctx, &t->watch);

	if (r >= 0)
		return;
	log_warning_errno(r, "cgroups cannot be watched by inotify, they are found by scanning");
	t->state.errors[t->state.live] = r;
	(void)hook_refuse(&t->state, env, &trial,
			  r == -ENOENT			 ? HOOK_NO_FILE
			  : r == -EMFILE || r == -ENOSPC ? HOOK_BUSY
							 : HOOK_ATTACH_FAILED);
}

int cgtrack_new(const struct hook_env *env, const struct cgtrack_options *options, cgtrack_fn fn,
		void *ctx, struct cgtrack **ret)
{
	struct request request = { env, options->disabled };
	struct loaded loaded = {};
	struct child_result r = { .data = &loaded, .size = sizeof(loaded) };
	struct cgtrack *t = calloc(1, sizeof(*t));
	int e;

	if (!t)
		return -ENOMEM;
	t->fn = fn;
	t->ctx = ctx;
	t->ring_fd = t->lost_fd = -EBADF;
	e = child_run(load, &request, &r);
	if (e < 0) {
		log_warning_errno(e, "the process that loads the programs gave no answer");
		select_without_programs(env, options->disabled, &loaded.state);
	}
	t->state = loaded.state;
	t->state.hook = &cgroup_track;
	if (e >= 0 && loaded.attached)
		adopt(t, &r);
	else if (hook_live_is(&t->state, "inotify"))
		start_watch(t, env, options);
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
	ring_buffer__free(t->ring);
	t->watch = cgwatch_free(t->watch);
	while (t->n_links > 0)
		(void)close(t->links[--t->n_links]);
	closep(&t->ring_fd);
	closep(&t->lost_fd);
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
	if (t->watch)
		return cgwatch_fd(t->watch);
	return t->ring ? ring_buffer__epoll_fd(t->ring) : -ENOENT;
}

int cgtrack_consume(struct cgtrack *t)
{
	if (t->watch)
		return cgwatch_consume(t->watch);
	return t->ring ? ring_buffer__consume(t->ring) : 0;
}

uint64_t cgtrack_lost(const struct cgtrack *t)
{
	uint64_t values[1024] = {}, sum = 0;
	uint32_t zero = 0;
	int cpus = libbpf_num_possible_cpus();

	if (t->watch)
		return cgwatch_lost(t->watch);
	if (t->lost_fd < 0 || cpus > (int)ARRAY_SIZE(values) ||
	    bpf_map_lookup_elem(t->lost_fd, &zero, values) < 0)
		return 0;
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	return sum;
}

size_t cgtrack_watches(const struct cgtrack *t)
{
	return t->watch ? cgwatch_count(t->watch) : 0;
}

uint64_t cgtrack_watches_refused(const struct cgtrack *t)
{
	return t->watch ? cgwatch_refused(t->watch) : 0;
}
