/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity module: keeps the cache of sys/identity.c full before anything happens
 *
 * cgroup_track tells each new cgroup before its first process; a walk at start and one each `rescan` find the rest. Runtime
 * files are read by a worker, at once and again after 0.1, 0.5 and 2 s while they are not there yet. The loop thread owns the
 * cache; a worker only ever sees its own job.
 */
#define LOG_MODULE "identity"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include "agent/identity/config.h"
#include "agent/identity/kubelet.h"
#include "agent/module.h"
#include "base/log.h"
#include "base/time.h"
#include "sys/cgtrack.h"

#define JOBS_MAX 1024
#define TRIES 4

static const uint64_t retry_us[TRIES] = { 0, 100 * US_PER_MSEC, 500 * US_PER_MSEC, 2 * US_PER_SEC };

enum {
	IDENTITY_ENTRIES,
	IDENTITY_TOMBSTONES,
	IDENTITY_LOOKUPS,
	IDENTITY_ERRORS,
	IDENTITY_CONFLICTS,
	IDENTITY_REFUSED,
	IDENTITY_TOMBSTONES_EVICTED,
	IDENTITY_TRACK_LOST,
	IDENTITY_WATCHES,
	IDENTITY_WATCHES_REFUSED,
	_IDENTITY_METRIC_MAX,
};

static const struct metric_row metric_rows[_IDENTITY_METRIC_MAX] = {
	[IDENTITY_ENTRIES] = {
		.name = "telamon_identity_entries", .type = METRIC_GAUGE,
		.labels = { { "kind", "none k8s docker podman containerd lxc machine systemd session job other" } },
		.help = "Cgroups that are known, by kind.",
	},
	[IDENTITY_TOMBSTONES] = {
		.name = "telamon_identity_tombstones", .type = METRIC_GAUGE,
		.help = "Removed cgroups that are still remembered.",
	},
	[IDENTITY_LOOKUPS] = {
		.name = "telamon_identity_lookups_total", .type = METRIC_COUNTER,
		.labels = { { "result", "hit tombstone path_only unknown" } },
		.help = "How cgroups of OOM records were resolved.",
	},
	[IDENTITY_ERRORS] = {
		.name = "telamon_identity_errors_total", .type = METRIC_COUNTER,
		.labels = { { "source", "containerd crio docker podman runc crun pods_log kubelet" },
			    { "reason", "missing denied too_large parse timeout" } },
		.help = "Files of container runtimes, and answers of the kubelet, that could not be used.",
	},
	[IDENTITY_CONFLICTS] = {
		.name = "telamon_oom_identity_conflicts_total", .type = METRIC_COUNTER,
		.help = "Records whose path differs from the one that is known for their cgroup id.",
	},
	[IDENTITY_REFUSED] = {
		.name = "telamon_identity_refused_total", .type = METRIC_COUNTER,
		.help = "Cgroups that found no room below identity.entries.",
	},
	[IDENTITY_TOMBSTONES_EVICTED] = {
		.name = "telamon_identity_tombstones_evicted_total", .type = METRIC_COUNTER,
		.help = "Tombstones that made room for younger ones.",
	},
	[IDENTITY_TRACK_LOST] = {
		.name = "telamon_identity_track_lost_total", .type = METRIC_COUNTER,
		.help = "Cgroup events that found their ring or queue full; the rescan finds the cgroups.",
	},
	[IDENTITY_WATCHES] = {
		.name = "telamon_identity_watches", .type = METRIC_GAUGE,
		.help = "Cgroups watched by inotify, where no program tells of them; identity.entries at most.",
	},
	[IDENTITY_WATCHES_REFUSED] = {
		.name = "telamon_identity_watches_refused_total", .type = METRIC_COUNTER,
		.help = "Watches refused by identity.entries or by fs.inotify.max_user_watches; the rescan finds what is made there.",
	},
};

/* One reading of runtime files. Lives until done() ran. */
struct job {
	struct work work; /* first */
	struct state *state;
	struct identity *identity; /* held */
	unsigned tries;
	uint64_t due_us;
	struct job *next; /* waiting for its time */
	/* Input and output of the worker. */
	char id[130], namespace[130];
	uint32_t uid;
	struct oci_info info;
	int result;
};

struct state {
	struct agent *agent;
	struct metric_set *metrics;
	struct identity_config config;
	struct oci_roots roots;
	const char **label_keys;
	struct kubelet *kubelet; /* NULL: off */
	struct cgtrack *track;
	struct loop_source *track_source;
	uint64_t lost_before; /* by programs that a reload replaced */
	struct loop_timer *timer;
	struct job *waiting;
	size_t jobs;
	uint64_t next_rescan_us;
};

/* --- reading runtime files --- */

static void run_job(struct work *w)
{
	struct job *j = (struct job *)w;

	j->result = oci_read(&j->state->roots, j->id, j->namespace, j->uid, &j->info);
}

static void free_job(struct job *j)
{
	j->state->jobs--;
	(void)identity_unref(j->identity);
	free(j);
}

static void schedule(struct state *s)
{
	uint64_t earliest = s->next_rescan_us;

	for (const struct job *j = s->waiting; j; j = j->next)
		earliest = MIN(earliest, j->due_us);
	loop_timer_at(s->timer, earliest);
}

static void wait_and_try_again(struct job *j)
{
	j->due_us = loop_now(j->state->agent->loop) + retry_us[j->tries];
	j->next = j->state->waiting;
	j->state->waiting = j;
	schedule(j->state);
}

static bool states_no_cgroup(const struct oci_info *i)
{
	return i->found && !i->cgroup_path[0] && !i->cgroups_path[0];
}

static void finish_job(struct work *w)
{
	struct job *j = (struct job *)w;
	struct state *s = j->state;

	j->tries++;
	if (j->result == -ENOENT && j->tries < TRIES && !j->identity->removed_us) {
		wait_and_try_again(j);
		return;
	}
	identity_describe(s->agent->identity, j->identity, &j->info);
	kubelet_identity(s->kubelet, j->identity);
	if (!j->identity->removed_us)
		bus_publish(s->agent->bus, BUS_IDENTITY_ADD, j->identity);
	if (states_no_cgroup(&j->info) && !j->identity->confirmed && j->tries < TRIES &&
	    !j->identity->removed_us)
		wait_and_try_again(j); /* the runtime may yet write its state */
	else
		free_job(j);
}

static void submit(struct job *j)
{
	if (workers_submit(j->state->agent->workers, &j->work) == 0)
		return;
	if (++j->tries < TRIES) { /* the workers are full: later */
		wait_and_try_again(j);
		return;
	}
	j->identity->pending = false;
	free_job(j);
}

static void read_sources(struct state *s, struct identity *i)
{
	struct cgname name;
	struct job *j;

	if (s->jobs >= JOBS_MAX)
		return; /* the rescan comes back to it */
	j = calloc(1, sizeof(*j));
	if (!j)
		return;
	j->work.run = run_job;
	j->work.done = finish_job;
	j->state = s;
	j->identity = identity_ref(i);
	cgname_parse(i->path, strlen(i->path), &name);
	(void)snprintf(j->id, sizeof(j->id), "%.*s", name.container_id.length,
		       i->path + name.container_id.offset);
	(void)snprintf(j->namespace, sizeof(j->namespace), "%.*s", name.namespace.length,
		       i->path + name.namespace.offset);
	j->uid = name.uid;
	i->pending = true;
	s->jobs++;
	submit(j);
}

/* --- cgroups that come and go --- */

/* Rows of kubepods hold only below a root that uid 0 owns (OOM-411). */
static bool kubepods_root_owned(const struct state *s, const char *path)
{
	char relative[CGROUP_PATH_MAX];
	size_t len = identity_kube_root(path);
	struct stat st;

	if (len < 2 || len >= sizeof(relative))
		return false;
	memcpy(relative, path + 1, len - 1);
	relative[len - 1] = '\0';
	return fstatat(s->agent->cgroups->memory_fd, relative, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_uid == 0;
}

static void add(struct state *s, uint32_t hierarchy, uint64_t id, const char *path)
{
	uint64_t now = loop_now(s->agent->loop);
	struct identity *i;
	bool fresh;

	i = identity_add(s->agent->identity, hierarchy, id, path, kubepods_root_owned(s, path),
			 now);
	if (!i)
		return;
	fresh = i->added_us == now;
	/* A rescan comes back to those that found no room among the jobs. */
	if (identity_wants_sources(i) && !i->pending && !i->described)
		read_sources(s, i);
	if (!fresh)
		return;
	kubelet_identity(s->kubelet, i);
	/* At once, so that its limit is followed; again when its name is known. */
	bus_publish(s->agent->bus, BUS_IDENTITY_ADD, i);
}

static void remove_identity(struct state *s, uint32_t hierarchy, uint64_t id)
{
	struct identity *i = identity_find(s->agent->identity, hierarchy, id);

	if (i)
		bus_publish(s->agent->bus, BUS_IDENTITY_REMOVE, i);
	identity_remove(s->agent->identity, hierarchy, id, loop_now(s->agent->loop));
}

static void on_cgroup(void *ctx, const struct cgroup_record_event *e)
{
	struct state *s = ctx;
	char path[CGROUP_PATH_MAX + 1];

	/* Only the hierarchy that carries memory is of interest; ids of others may be the same numbers. */
	if (e->hierarchy != s->agent->cgroups->memory_hierarchy)
		return;
	if (e->head.type == CGROUP_RECORD_RMDIR) {
		remove_identity(s, e->hierarchy, e->id);
		return;
	}
	if ((e->head.type == CGROUP_RECORD_MKDIR || e->head.type == CGROUP_RECORD_RENAME) &&
	    cgtrack_path(e, s->agent->cgroups->memory_fd, path, sizeof(path)) >= 0)
		add(s, e->hierarchy, e->id, path);
}

static void on_track(void *ctx, uint32_t events)
{
	struct state *s = ctx;

	(void)events;
	(void)cgtrack_consume(s->track);
}

static int on_walk(void *ctx, const char *path, int dir_fd, uint64_t id)
{
	struct state *s = ctx;

	(void)dir_fd;
	add(s, s->agent->cgroups->memory_hierarchy, id, path);
	return 0;
}

static void drop_if_gone(void *ctx, struct identity *i)
{
	struct state *s = ctx;
	uint64_t id;

	if (i->hierarchy == s->agent->cgroups->memory_hierarchy &&
	    (cgroup_id(s->agent->cgroups->memory_fd, i->path[1] ? i->path + 1 : ".", &id) < 0 ||
	     id != i->id))
		remove_identity(s, i->hierarchy, i->id);
}

static void rescan(struct state *s)
{
	if (s->agent->cgroups->memory_fd < 0)
		return;
	identity_for_each(s->agent->identity, drop_if_gone, s);
	(void)cgroup_walk(s->agent->cgroups->memory_fd, s->config.entries, on_walk, s);
}

static void on_timer(void *ctx, uint64_t now_us)
{
	struct state *s = ctx;
	struct job *due = s->waiting;

	s->waiting = NULL;
	while (due) {
		struct job *j = due;

		due = j->next;
		if (j->due_us <= now_us) {
			submit(j);
		} else {
			j->next = s->waiting;
			s->waiting = j;
		}
	}
	if (now_us >= s->next_rescan_us) {
		rescan(s);
		s->next_rescan_us = now_us + s->config.rescan_us;
	}
	schedule(s);
}

/* --- module --- */

static int identity_prepare(struct agent *a, const void *config)
{
	const struct identity_config *c = config;
	const struct identity_options o = {
		.entries = c->entries,
		.tombstones = c->tombstones,
		.tombstone_ttl_us = c->tombstone_ttl_us,
		.node_name = a->host_name,
	};

	return identity_cache_new(&o, &a->identity);
}

static void identity_stop(void *state)
{
	struct state *s = state;

	if (!s)
		return;
	s->track_source = loop_source_free(s->track_source);
	s->track = cgtrack_free(s->track);
	s->timer = loop_timer_free(s->timer);
	s->kubelet = kubelet_free(s->kubelet);
	while (s->waiting) {
		struct job *j = s->waiting;

		s->waiting = j->next;
		free_job(j);
	}
	oci_roots_done(&s->roots);
	for (const char **k = s->label_keys; k && *k; k++)
		free((char *)*k);
	free(s->label_keys);
	free(s);
}

static int copy_labels(struct state *s, const struct identity_config *c)
{
	s->label_keys = calloc(c->labels.n + 1, sizeof(*s->label_keys));
	if (!s->label_keys)
		return -ENOMEM;
	for (size_t i = 0; i < c->labels.n; i++) {
		s->label_keys[i] = strdup(c->labels.items[i]);
		if (!s->label_keys[i])
			return -ENOMEM;
	}
	s->roots.label_keys = s->label_keys;
	return 0;
}

static int identity_start(struct agent *a, const void *config, struct metric_set *metrics,
			  void **ret_state)
{
	const struct identity_config *c = config;
	struct state *s = calloc(1, sizeof(*s));
	const struct cgtrack_options track = { .cgroups = a->cgroups, .watches_max = c->entries };
	int r;

	if (!s)
		return -ENOMEM;
	s->agent = a;
	s->metrics = metrics;
	s->config = *c;
	r = oci_roots_init(a->rootfs, c->roots.run, c->roots.containers, c->roots.docker,
			   c->roots.pods_log, &s->roots);
	if (r >= 0)
		r = copy_labels(s, c);
	if (r >= 0)
		r = loop_add_timer(a->loop, on_timer, s, &s->timer);
	if (r >= 0)
		r = cgtrack_new(a->env, &track, on_cgroup, s, &s->track);
	if (r >= 0 && cgtrack_fd(s->track) >= 0)
		r = loop_add_fd(a->loop, cgtrack_fd(s->track), EPOLLIN, on_track, s,
				&s->track_source);
	if (r >= 0 && c->kubelet.mode == KUBELET_ON)
		r = kubelet_new(a, &c->kubelet, s->label_keys, &s->kubelet);
	if (r < 0) {
		identity_stop(s);
		return r;
	}
	rescan(s);
	s->next_rescan_us = time_mono_us() + s->config.rescan_us;
	schedule(s);
	*ret_state = s;
	return 0;
}

static void identity_tick(void *state, uint64_t now_us)
{
	struct state *s = state;
	const struct identity_stats *st;

	identity_expire(s->agent->identity, now_us);
	st = identity_cache_stats(s->agent->identity);
	for (unsigned k = 0; k < _CGNAME_KIND_MAX; k++)
		metric_gauge(s->metrics, METRIC(IDENTITY_ENTRIES, k), (double)st->entries[k]);
	metric_gauge(s->metrics, METRIC(IDENTITY_TOMBSTONES), (double)st->tombstones);
	for (unsigned k = 0; k < _IDENTITY_RESULT_MAX; k++)
		metric_store(s->metrics, METRIC(IDENTITY_LOOKUPS, k), st->lookups[k]);
	for (unsigned k = 0; k < _OCI_SOURCE_MAX; k++)
		for (unsigned e = 0; e < _OCI_ERROR_MAX; e++)
			metric_store(s->metrics, METRIC(IDENTITY_ERRORS, k, e), st->errors[k][e]);
	for (unsigned e = 0; s->kubelet && e < _OCI_ERROR_MAX; e++)
		metric_store(s->metrics, METRIC(IDENTITY_ERRORS, OCI_KUBELET, e),
			     kubelet_errors(s->kubelet, e));
	metric_store(s->metrics, METRIC(IDENTITY_CONFLICTS), st->conflicts);
	metric_store(s->metrics, METRIC(IDENTITY_REFUSED), st->refused);
	metric_store(s->metrics, METRIC(IDENTITY_TOMBSTONES_EVICTED), st->tombstones_evicted);
	metric_store(s->metrics, METRIC(IDENTITY_TRACK_LOST),
		     s->lost_before + cgtrack_lost(s->track));
	metric_gauge(s->metrics, METRIC(IDENTITY_WATCHES), (double)cgtrack_watches(s->track));
	metric_store(s->metrics, METRIC(IDENTITY_WATCHES_REFUSED),
		     cgtrack_watches_refused(s->track));
}

/* As in oom/reprobe.c: the new programs first, then the old ones go; a cgroup that both tell of is known already. */
static void reprobe(struct state *s)
{
	_cleanup_(cgtrack_freep) struct cgtrack *fresh = NULL, *old = NULL;
	const struct cgtrack_options track = { .cgroups = s->agent->cgroups,
					       .watches_max = s->config.entries };
	int r = cgtrack_new(s->agent->env, &track, on_cgroup, s, &fresh);

	if (r < 0 || cgtrack_state(fresh)->live == cgtrack_state(s->track)->live)
		return;
	(void)cgtrack_consume(s->track);
	s->lost_before += cgtrack_lost(s->track);
	s->track_source = loop_source_free(s->track_source);
	old = s->track;
	s->track = TAKE_PTR(fresh);
	if (cgtrack_fd(s->track) >= 0)
		r = loop_add_fd(s->agent->loop, cgtrack_fd(s->track), EPOLLIN, on_track, s,
				&s->track_source);
	if (r < 0)
		log_warning_errno(r, "new cgroups are found by scanning only");
	rescan(s);
}

static void identity_reload(void *state, const void *config)
{
	struct state *s = state;
	const struct identity_config *c = config;

	kubelet_reload(s->kubelet, &c->kubelet);
	s->config.rescan_us = c->rescan_us; /* the rest needs a restart, and the reload said so */
	reprobe(s);
}

static size_t identity_hooks(const void *state, const struct hook_state **ret)
{
	const struct state *s = state;

	*ret = cgtrack_state(s->track);
	return 1;
}

const struct module module_identity = {
	.name = "identity",
	.help = "Which container, pod or unit a cgroup is.",
	.config = identity_config_rows,
	.config_size = sizeof(struct identity_config),
	.metrics = metric_rows,
	.n_metrics = _IDENTITY_METRIC_MAX,
	.prepare = identity_prepare,
	.start = identity_start,
	.tick = identity_tick,
	.reload = identity_reload,
	.stop = identity_stop,
	.hooks = identity_hooks,
};
