/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limit hits of cgroups
 *
 * A cgroup is watched once it has a finite limit; that is looked up when it appears, a second later (runtimes write the limit
 * after the mkdir) and then once a minute. The files of the watched ones stay open, also for snapshots of OOM kills; v1 keeps
 * one eventfd per cgroup beside them. Where not all can be open, those that met their limit last are.
 *
 * v1 has no count of OOMs in a file: it comes from OOM records (limits_observe). The eventfd says that something happened here
 * or above, so that memory.failcnt is read and an OOM without a victim is found.
 */

#define LOG_MODULE "oom"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include "agent/oom/limits-part.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/time.h"

#define CHECK_SOON_US US_PER_SEC
#define CHECK_LATER_US (60 * US_PER_SEC)
#define KILL_WINDOW_US (2 * US_PER_SEC)
#define NO_VICTIM_AFTER_US US_PER_SEC
#define SIGNALS_MAX 64 /* eventfds looked at in one tick */
#define WATCHES_MAX 16384 /* cgroups with and without a limit */
#define GONE_KEPT_US (60 * US_PER_SEC) /* records of a removed cgroup come late */

bool limits_on_v2(const struct limits *l)
{
	return l->o.layout->mode == CGROUP_MODE_V2;
}

static void refill(struct limits *l)
{
	while (l->n_spares < SPARES && (l->spares[l->n_spares] = calloc(1, sizeof(struct watch))))
		l->n_spares++;
}

int limits_new(const struct limits_options *o, const struct limits_calls *calls,
	       struct limits **ret)
{
	_cleanup_(limits_freep) struct limits *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->o = *o;
	l->calls = *calls;
	l->notify_fd = -EBADF;
	r = hash_init(&l->watches, WATCHES_MAX);
	if (r < 0)
		return r;
	if (o->source == LIMITS_INOTIFY)
		l->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	else if (o->source == LIMITS_EVENTFD)
		l->notify_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->notify_fd < 0 && (o->source == LIMITS_INOTIFY || o->source == LIMITS_EVENTFD))
		l->o.source = LIMITS_POLL;
	refill(l);
	*ret = TAKE_PTR(l);
	return 0;
}

static void unwatch(struct limits *l, struct watch *w)
{
	if (w->fd >= 0 && l->o.source == LIMITS_INOTIFY)
		(void)inotify_rm_watch(l->notify_fd, w->fd);
	else if (w->fd >= 0)
		(void)close(w->fd);
	w->fd = -EBADF;
	cgroup_files_close(&w->files);
	l->n_watched -= w->watched;
	w->watched = false;
}

static void drop(struct limits *l, struct watch *w)
{
	hash_remove(&l->watches, &w->link);
	unwatch(l, w);
	(void)identity_unref(w->identity);
	free(w);
}

struct limits *limits_free(struct limits *l)
{
	if (!l)
		return NULL;
	while (l->watches.oldest)
		drop(l, (struct watch *)((char *)l->watches.oldest - offsetof(struct watch, link)));
	hash_done(&l->watches);
	while (l->n_spares > 0)
		free(l->spares[--l->n_spares]);
	closep(&l->notify_fd);
	free(l);
	return NULL;
}

static bool same_id(const struct hash_node *n, const void *key)
{
	return ((const struct watch *)n)->identity->id == *(const uint64_t *)key;
}

static struct watch *find(const struct limits *l, uint64_t id)
{
	return (struct watch *)hash_find(&l->watches, hash_u64(id), same_id, &id);
}

/* --- files --- */

static struct cgroup_place place_of(const struct watch *w)
{
	return (struct cgroup_place){ w->identity->id, w->identity->path,
				      w->watched ? &w->files : NULL };
}

bool watch_read(struct limits *l, const struct watch *w, enum cgroup_file file)
{
	const struct cgroup_place p = place_of(w);

	return cgroup_file_read(l->o.layout, &p, file, l->text, sizeof(l->text)) > 0;
}

static bool read_number(struct limits *l, const struct watch *w, enum cgroup_file file,
			uint64_t *ret)
{
	const struct cgroup_place p = place_of(w);

	return cgroup_file_number(l->o.layout, &p, file, ret) == 0;
}

bool limits_find_key(const struct limits *l, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *line = l->text; *line;) {
		size_t n = strcspn(line, "\n");
		char digits[24];

		if (n > len + 1 && n - len - 1 < sizeof(digits) && strncmp(line, key, len) == 0 &&
		    line[len] == ' ') {
			memcpy(digits, line + len + 1, n - len - 1);
			digits[n - len - 1] = '\0';
			return parse_u64(digits, ret) == 0;
		}
		line += n;
		line += *line == '\n';
	}
	return false;
}

static bool has_limit(struct limits *l, const struct watch *w)
{
	uint64_t max;

	/* The root has no such file. */
	return read_number(l, w, CGROUP_FILE_MAX, &max) && max != UINT64_MAX;
}

/* @total of @event as the kernel tells it now; @quiet: it is where counting begins. */
static void observe(struct limits *l, struct watch *w, enum limit_event event, uint64_t total,
		    bool quiet)
{
	uint64_t before = w->last[event];

	w->last[event] = total;
	w->known[event] = true;
	if (quiet || total <= before)
		return;
	if (l->o.source != LIMITS_KERNEL)
		l->calls.hit(l->calls.ctx, w->identity, event, total - before);
}

static void note_oom(struct watch *w, uint64_t now_us)
{
	if (!w->no_victim_us && now_us - w->killed_us > KILL_WINDOW_US)
		w->no_victim_us = now_us + NO_VICTIM_AFTER_US;
}

static void read_v2(struct limits *l, struct watch *w, bool quiet, uint64_t now_us)
{
	static const char *const keys[] = {
		[LIMIT_MAX] = "max", [LIMIT_OOM] = "oom", [LIMIT_GROUP_KILL] = "oom_group_kill"
	};
	uint64_t v, oom = w->last[LIMIT_OOM];

	if (!watch_read(l, w, CGROUP_FILE_EVENTS))
		return;
	for (unsigned e = 0; e < ARRAY_SIZE(keys); e++)
		if (limits_find_key(l, keys[e], &v))
			observe(l, w, e, v, quiet);
	if (!quiet && w->last[LIMIT_OOM] > oom)
		note_oom(w, now_us);
}

static void read_v1(struct limits *l, struct watch *w, bool quiet)
{
	uint64_t memory = 0, swap = 0;

	if (read_number(l, w, CGROUP_FILE_FAILCNT, &memory)) {
		(void)read_number(l, w, CGROUP_FILE_SWAP_FAILCNT, &swap);
		observe(l, w, LIMIT_FAILCNT, memory + swap, quiet);
	}
}

static void read_watch(struct limits *l, struct watch *w, bool quiet, uint64_t now_us)
{
	if (l->o.source == LIMITS_KERNEL)
		return;
	if (limits_on_v2(l))
		read_v2(l, w, quiet, now_us);
	else
		read_v1(l, w, quiet);
}

/* --- what is watched --- */

/* Source: Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control": "<eventfd> <fd of memory.oom_control>" */
static int watch_v1(const struct limits *l, struct watch *w)
{
	_cleanup_(closep) int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = w };
	char path[600], line[48];
	int r;

	if (fd < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), ".%s/cgroup.event_control", w->identity->path);
	(void)snprintf(line, sizeof(line), "%d %d", fd, w->files.fd[CGROUP_FILE_EVENTS]);
	r = fs_write_at(l->o.layout->memory_fd, path, line);
	if (r < 0)
		return r;
	if (epoll_ctl(l->notify_fd, EPOLL_CTL_ADD, fd, &e) < 0)
		return -errno;
	w->fd = TAKE_FD(fd);
	return 0;
}

static int watch_v2(const struct limits *l, struct watch *w)
{
	char path[900];

	(void)snprintf(path, sizeof(path), "%s%s/memory.events.local", l->o.layout->memory_root,
		       w->identity->path);
	w->fd = inotify_add_watch(l->notify_fd, path, IN_MODIFY);
	return w->fd < 0 ? -errno : 0;
}

static int follow_events(const struct limits *l, struct watch *w)
{
	if (l->o.source == LIMITS_INOTIFY)
		return watch_v2(l, w);
	return l->o.source == LIMITS_EVENTFD ? watch_v1(l, w) : 0;
}

/* Whose limit was met longest ago, or never. A walk, because it is wanted only where a limit is met and the table is full. */
static struct watch *coldest(const struct limits *l)
{
	struct watch *found = NULL;

	for (struct hash_node *n = l->watches.oldest; n; n = n->newer) {
		struct watch *w = (struct watch *)n;

		if (w->watched && (!found || w->heat_us < found->heat_us))
			found = w;
	}
	return found;
}

static bool make_room(struct limits *l, const struct watch *w, uint64_t now_us)
{
	struct watch *cold = l->n_watched < l->o.max ? NULL : coldest(l);

	if (l->n_watched < l->o.max)
		return true;
	if (!cold || cold->heat_us >= w->heat_us)
		return false;
	unwatch(l, cold);
	cold->check_us = now_us + CHECK_LATER_US;
	l->evicted++;
	return true;
}

static int watch(struct limits *l, struct watch *w, uint64_t now_us)
{
	int r;

	if (!make_room(l, w, now_us))
		return -ENOSPC;
	r = cgroup_files_open(l->o.layout, w->identity->path, w->identity->id, &w->files);
	if (r < 0)
		return r;
	w->watched = true;
	l->n_watched++;
	kills_watched(l, w);
	r = follow_events(l, w);
	if (r < 0) {
		w->fd = -EBADF;
		unwatch(l, w);
	}
	return r;
}

/* Each cgroup once, and not those that went away meanwhile. */
static void count_refused(struct limits *l, struct watch *w, int error)
{
	if (w->refused || error == -ESTALE || error == -ENOENT || error == -ENODEV)
		return;
	w->refused = true;
	l->refused++;
	log_debug_errno(error, "files of cgroup '%s' are not kept open", w->identity->path);
}

bool watch_is_old(const struct limits *l, const struct watch *w)
{
	return w->identity->added_us <= l->o.started_us + US_PER_SEC;
}

static void look(struct limits *l, struct watch *w, uint64_t now_us)
{
	int r;

	w->check_us = now_us + (w->check_us ? CHECK_LATER_US : CHECK_SOON_US);
	if (w->watched || !has_limit(l, w))
		return;
	r = watch(l, w, now_us);
	if (r < 0) {
		count_refused(l, w, r);
		return;
	}
	w->check_us = 0;
	read_watch(l, w, watch_is_old(l, w) && !w->seen, now_us);
	w->seen = true;
}

/* The limit of @w was met: its files are worth more than those of others. */
static void heat(struct watch *w, uint64_t now_us)
{
	w->heat_us = now_us;
	if (!w->watched)
		w->check_us =
			now_us; /* at the next tick: nothing is opened in the middle of an OOM */
}

/* Allocates nothing: it takes one of the spares, which each tick refills. */
static struct watch *add(struct limits *l, struct identity *i)
{
	struct watch *w = find(l, i->id);

	if (w)
		return w;
	if (l->n_spares == 0 || hash_full(&l->watches)) {
		l->refused++;
		return NULL;
	}
	w = l->spares[--l->n_spares];
	*w = (struct watch){ .identity = identity_ref(i),
			     .fd = -EBADF,
			     .files = CGROUP_FILES_CLOSED };
	(void)hash_insert(&l->watches, &w->link, hash_u64(i->id));
	kills_known(l, w);
	return w;
}

void limits_started(struct limits *l, uint64_t now_us)
{
	l->o.started_us = now_us;
}

void limits_add(struct limits *l, struct identity *i, uint64_t now_us)
{
	struct watch *w;

	if (i->removed_us || i->hierarchy != l->o.layout->memory_hierarchy)
		return;
	refill(l);
	w = add(l, i);
	if (w && !w->watched)
		look(l, w, now_us);
}

void limits_remove(struct limits *l, const struct identity *i)
{
	struct watch *w = find(l, i->id);

	if (!w || !streq(w->identity->path, i->path))
		return;
	kills_gone(l, w);
	drop(l, w);
}

void limits_observe(struct limits *l, struct identity *i, enum limit_event event, uint64_t total,
		    uint64_t now_us)
{
	struct watch *w = add(l, i);

	if (!w)
		return;
	/* Told for the first time, of a cgroup older than the agent: only this one event is known to be new. */
	if (!w->known[event] && total > 0 && i->added_us <= l->o.started_us + US_PER_SEC)
		w->last[event] = total - 1;
	if (total > w->last[event])
		observe(l, w, event, total, false);
	heat(w, now_us);
}

void limits_killed(struct limits *l, uint64_t id, uint64_t now_us)
{
	struct watch *w = find(l, id);

	if (!w)
		return;
	w->killed_us = now_us;
	w->no_victim_us = w->signals = 0;
	heat(w, now_us);
}

/* --- once a second --- */

static void take_inotify(struct limits *l, uint64_t now_us)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(l->notify_fd, events, sizeof(events))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(events + at);

			at += (ssize_t)(sizeof(*e) + e->len);
			for (struct hash_node *h = l->watches.oldest; h; h = h->newer) {
				struct watch *w = (struct watch *)h;

				if (w->watched && w->fd == e->wd)
					read_watch(l, w, false, now_us);
			}
		}
	}
}

bool watch_is_below(const struct watch *w, const struct watch *above)
{
	size_t len = strlen(above->identity->path);

	return w != above && strncmp(w->identity->path, above->identity->path, len) == 0 &&
	       w->identity->path[len] == '/';
}

/* The kernel signals the cgroup whose limit was met and all below it: only the topmost is meant. */
static void take_eventfds(struct limits *l, uint64_t now_us)
{
	struct epoll_event events[SIGNALS_MAX];
	int n = epoll_wait(l->notify_fd, events, SIGNALS_MAX, 0);

	for (int i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;
		bool topmost = true;
		uint64_t count;

		if (read(w->fd, &count, sizeof(count)) != sizeof(count))
			continue;
		read_watch(l, w, false, now_us);
		for (int k = 0; k < n && topmost; k++)
			topmost = !watch_is_below(w, events[k].data.ptr);
		if (topmost) {
			w->signals += count;
			note_oom(w, now_us);
		}
	}
}

static void check_no_victim(struct limits *l, struct watch *w, uint64_t now_us)
{
	if (!w->no_victim_us || now_us < w->no_victim_us)
		return;
	w->no_victim_us = 0;
	/* The last signal of an eventfd says that the cgroup goes away. */
	if (w->identity->removed_us || !l->calls.no_victim || !has_limit(l, w))
		return;
	if (w->signals)
		l->calls.hit(l->calls.ctx, w->identity, LIMIT_OOM, w->signals);
	w->signals = 0;
	l->calls.no_victim(l->calls.ctx, w->identity);
}

void limits_tick(struct limits *l, uint64_t now_us)
{
	if (l->o.source == LIMITS_INOTIFY)
		take_inotify(l, now_us);
	else if (l->o.source == LIMITS_EVENTFD)
		take_eventfds(l, now_us);
	refill(l);
	for (struct hash_node *n = l->watches.oldest, *next; n; n = next) {
		struct watch *w = (struct watch *)n;

		next = n->newer;
		if (w->identity->removed_us && now_us > w->identity->removed_us + GONE_KEPT_US) {
			drop(l, w);
			continue;
		}
		if (w->watched && l->o.source == LIMITS_POLL)
			read_watch(l, w, false, now_us);
		if (w->check_us && now_us >= w->check_us)
			look(l, w, now_us);
		check_no_victim(l, w, now_us);
	}
}

const struct cgroup_files *limits_files(const struct limits *l, uint64_t id)
{
	const struct watch *w = l && id ? find(l, id) : NULL;

	return w && w->watched ? &w->files : NULL;
}

void limits_stats(const struct limits *l, struct limits_stats *ret)
{
	*ret = (struct limits_stats){ l->n_watched, l->refused, l->evicted };
}
