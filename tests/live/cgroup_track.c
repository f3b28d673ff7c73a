/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups made, renamed and removed, and what the tracker says about them
 *
 * Works in every hierarchy that is mounted here: v2, and the v1 hierarchy with memory. `--direct` uses the programs for
 * lockdown=confidentiality, `--inotify` none, `--watches N` that many watches at most, `--debug` prints what the verifier says. Needs root; exits 77 where no program runs.
 */

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "sys/bpf.h"
#include "sys/cgroup.h"
#include "sys/cgtrack.h"

#define EVENTS_MAX 4096
#define DRAIN_MAX 64 /* others may make cgroups without end */

static struct cgroup_record_event events[EVENTS_MAX];
static size_t n_events;
static unsigned n_checks, n_failed;
static char own[32]; /* part of the names of all cgroups that are made here */

static void on_event(void *ctx, const struct cgroup_record_event *e)
{
	(void)ctx;
	/* Others make cgroups too; under lockdown there are no names. */
	if (e->path_length > 0 && !memmem(e->path, e->path_length, own, strlen(own)) &&
	    !memmem(e->path, e->path_length, "xxxxxxxx", 8))
		return;
	if (n_events < EVENTS_MAX)
		memcpy(&events[n_events++], e,
		       offsetof(struct cgroup_record_event, path) + e->path_length);
}

static void check(const char *what, bool good)
{
	printf("%s %u - %s\n", good ? "ok" : "not ok", ++n_checks, what);
	n_failed += !good;
}

static void drain(struct cgtrack *t)
{
	struct pollfd p = { .fd = cgtrack_fd(t), .events = POLLIN };

	for (int i = 0; i < DRAIN_MAX && poll(&p, 1, 300) > 0; i++)
		(void)cgtrack_consume(t);
}

static const struct cgroup_record_event *find(unsigned type, uint64_t id, uint32_t hierarchy)
{
	for (size_t i = 0; i < n_events; i++)
		if (events[i].head.type == type && events[i].id == id &&
		    events[i].hierarchy == hierarchy)
			return &events[i];
	return NULL;
}

static bool has_path(const struct cgroup_record_event *e, int mount_fd, const char *want)
{
	char path[PATH_MAX] = "";

	if (!e || cgtrack_path(e, mount_fd, path, sizeof(path)) < 0)
		return false;
	if (!streq(path, want))
		printf("# have '%s', want '%s'\n", path, want);
	return streq(path, want);
}

/* A cgroup five levels deep whose path is longer than a record holds. */
static void check_deep(struct cgtrack *t, const char *root, int fd, uint32_t hierarchy)
{
	char dir[PATH_MAX], name[201];
	size_t len = (size_t)snprintf(dir, sizeof(dir), "%s/telamon-deep-%d", root, (int)getpid());
	uint64_t id = 0;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	n_events = 0;
	(void)mkdir(dir, 0755);
	for (int i = 0; i < 4; i++) {
		len += (size_t)snprintf(dir + len, sizeof(dir) - len, "/%d%.190s", i, name);
		(void)mkdir(dir, 0755);
	}
	(void)cgroup_id(AT_FDCWD, dir, &id);
	drain(t);
	check("long path in full",
	      has_path(find(CGROUP_RECORD_MKDIR, id, hierarchy), fd, dir + strlen(root)));
	for (int i = 0; i < 5; i++) {
		(void)rmdir(dir);
		*strrchr(dir, '/') = '\0';
	}
}

static void check_hierarchy(struct cgtrack *t, const char *root, int fd, uint32_t hierarchy)
{
	char dir[400], other[420];
	uint64_t id = 0;
	const struct cgroup_record_event *e;

	printf("# hierarchy %u at %s\n", hierarchy, root);
	n_events = 0;
	(void)snprintf(dir, sizeof(dir), "%s/telamon-track-%d", root, (int)getpid());
	(void)snprintf(other, sizeof(other), "%s-renamed", dir);
	check("mkdir works", mkdir(dir, 0755) == 0);
	(void)cgroup_id(AT_FDCWD, dir, &id);
	drain(t);
	e = find(CGROUP_RECORD_MKDIR, id, hierarchy);
	check("mkdir seen", e);
	check("mkdir path", has_path(e, fd, dir + strlen(root)));
	check("level", e && e->level == 1);
	if (hierarchy != 0) { /* v2 has no rename */
		check("rename works", rename(dir, other) == 0);
		drain(t);
		check("rename path", has_path(find(CGROUP_RECORD_RENAME, id, hierarchy), fd,
					      other + strlen(root)));
		(void)rmdir(other);
	} else {
		(void)rmdir(dir);
	}
	drain(t);
	check("rmdir seen", find(CGROUP_RECORD_RMDIR, id, hierarchy));
	check_deep(t, root, fd, hierarchy);
}

/* inotify: what a full table refuses is told all the same, only what is made in there is not. */
static void check_refused(struct cgtrack *t, const struct cgroup_layout *layout, size_t watches)
{
	char dir[400], below[420];
	uint64_t id = 0, id_below = 0, refused = cgtrack_watches_refused(t);

	check("watches bounded", cgtrack_watches(t) <= watches);
	if (cgtrack_watches(t) < watches)
		return;
	n_events = 0;
	(void)snprintf(dir, sizeof(dir), "%s/telamon-refused-%d", layout->memory_root,
		       (int)getpid());
	(void)snprintf(below, sizeof(below), "%s/below", dir);
	(void)mkdir(dir, 0755);
	(void)cgroup_id(AT_FDCWD, dir, &id);
	drain(t);
	check("refused is counted", cgtrack_watches_refused(t) > refused);
	check("refused is told", find(CGROUP_RECORD_MKDIR, id, layout->memory_hierarchy));
	(void)mkdir(below, 0755);
	(void)cgroup_id(AT_FDCWD, below, &id_below);
	drain(t);
	check("below it nothing is told",
	      !find(CGROUP_RECORD_MKDIR, id_below, layout->memory_hierarchy));
	(void)rmdir(below);
	(void)rmdir(dir);
}

/* The kernel forgets no watch of a removed cgroup by itself. */
static void check_taken_back(struct cgtrack *t, const struct cgroup_layout *layout)
{
	size_t before = cgtrack_watches(t);
	char dir[400];

	for (int i = 0; i < 100; i++) {
		(void)snprintf(dir, sizeof(dir), "%s/telamon-back-%d-%d", layout->memory_root, i,
			       (int)getpid());
		if (mkdir(dir, 0755) < 0 || rmdir(dir) < 0)
			break;
		n_events = 0;
		if (i % 2)
			(void)cgtrack_consume(t);
	}
	drain(t);
	check("watches are taken back", cgtrack_watches(t) < before + 50);
}

/* The kernel's queue overflows: what was lost is found by comparing all. */
static void check_overflow(struct cgtrack *t, const struct cgroup_layout *layout)
{
	char dir[400], queue[32] = "";
	uint64_t id = 0, n = 0;

	(void)fs_read_into(AT_FDCWD, "/proc/sys/fs/inotify/max_queued_events", queue,
			   sizeof(queue));
	queue[strcspn(queue, "\n")] = '\0';
	if (parse_u64(queue, &n) < 0 || n > 65536) {
		printf("# the queue is too long to overflow\n");
		return;
	}
	n_events = 0;
	for (uint64_t i = 0; i <= n / 2; i++) {
		(void)snprintf(dir, sizeof(dir), "%s/telamon-many-%d", layout->memory_root,
			       (int)getpid());
		(void)mkdir(dir, 0755);
		(void)rmdir(dir);
	}
	(void)snprintf(dir, sizeof(dir), "%s/telamon-last-%d", layout->memory_root, (int)getpid());
	(void)mkdir(dir, 0755);
	(void)cgroup_id(AT_FDCWD, dir, &id);
	drain(t);
	check("overflow is counted", cgtrack_lost(t) > 0);
	check("made after the overflow, and found",
	      find(CGROUP_RECORD_MKDIR, id, layout->memory_hierarchy));
	(void)rmdir(dir);
	drain(t);
	check("its removal is seen again", find(CGROUP_RECORD_RMDIR, id, layout->memory_hierarchy));
}

static void check_all(struct cgtrack *t, const struct cgroup_layout *layout, bool inotify)
{
	if (inotify)
		check_taken_back(t, layout);
	if (layout->mode != CGROUP_MODE_V2)
		check_hierarchy(t, layout->memory_root, layout->memory_fd,
				layout->memory_hierarchy);
	/* inotify: memory is all that anybody wants to know of. */
	if (layout->unified_root[0] && (!inotify || layout->mode == CGROUP_MODE_V2))
		check_hierarchy(t, layout->unified_root, layout->unified_fd, 0);
	check("nothing lost", cgtrack_lost(t) == 0);
	if (inotify)
		check_overflow(t, layout);
}

/* Whole verifier logs, which the log of the agent cuts at the first line. */
static int print_all(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_DEBUG ? 0 : vprintf(fmt, ap);
}

int main(int argc, char **argv)
{
	static const char *const programs[] = { "cgroup_track/tp_btf", "cgroup_track/tp_btf_direct",
						"cgroup_track/raw_tp", NULL };
	struct cgtrack_options o = { .watches_max = 4096 };
	bool inotify = false;
	_cleanup_(hook_env_freep) struct hook_env *env = NULL;
	_cleanup_(cgtrack_freep) struct cgtrack *t = NULL;
	struct cgroup_layout layout;

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 77;
	}
	(void)snprintf(own, sizeof(own), "-%d", (int)getpid());
	log_setup(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT);
	for (int i = 1; i < argc; i++) {
		inotify |= streq(argv[i], "--inotify");
		if (streq(argv[i], "--watches") && i + 1 < argc)
			o.watches_max = strtoul(argv[i + 1], NULL, 10);
	}
	if (argc > 1 && streq(argv[1], "--debug"))
		(void)libbpf_set_print(print_all);
	else
		bpf_log_to_debug();
	(void)bpf_memlock_raise();
	if (hook_env_new(NULL, &env) < 0 || cgroup_layout_init("/", &layout) < 0)
		return 3;
	if (argc > 1 && streq(argv[1], "--direct"))
		env->lockdown = LOCKDOWN_CONFIDENTIALITY;
	o.cgroups = &layout;
	o.disabled = inotify ? programs : NULL;
	if (cgtrack_new(env, &o, on_event, NULL, &t) < 0)
		return 3;
	printf("# variant %s\n", hook_live_name(cgtrack_state(t)));
	if (cgtrack_fd(t) < 0) {
		printf("1..0 # SKIP no program runs here\n");
		return 77;
	}
	check("as asked", !inotify || hook_live_is(cgtrack_state(t), "inotify"));
	if (inotify)
		check_refused(t, &layout, o.watches_max);
	if (o.watches_max >= 64)
		check_all(t, &layout, inotify);
	cgroup_layout_done(&layout);
	printf("1..%u\n# %u failed\n", n_checks, n_failed);
	return n_failed ? 1 : 0;
}
