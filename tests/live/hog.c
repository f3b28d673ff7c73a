/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fs.h"
#include "hog.h"

#define HOG_MAX (160 * MIB) /* a hog that survives gives up here */
#define HOST_HOG_MAX (4096 * MIB)

/* --- the process that dies --- */

static void eat(uint64_t max)
{
	for (uint64_t eaten = 0; eaten < max; eaten += MIB) {
		uint64_t *p =
			mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			_exit(4);
		/* A distinct word in each page defeats the zero page and KSM. */
		for (uint64_t at = 0; at < MIB / sizeof(*p); at += 512)
			p[at] = eaten + at + 1;
	}
	_exit(5);
}

static void *eat_in_thread(void *unused)
{
	(void)unused;
	eat(HOG_MAX);
	return NULL;
}

static int sleep_in_clone(void *unused)
{
	(void)unused;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	pause();
	return 0;
}

/* What the hog is: its own argv[1] tells. Its argv[2] is the cgroup.procs file to enter. */
int hog(const char *what, const char *procs)
{
	static char stack[65536];
	pthread_t thread;

	(void)alarm(30);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)fs_write_at(AT_FDCWD, "/proc/self/oom_score_adj", STRINGIFY(HOG_ADJ));
	if (fs_write_at(AT_FDCWD, procs, "0") < 0)
		return 6;
	if (streq(what, "hog-shared") &&
	    clone(sleep_in_clone, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) < 0)
		return 7;
	if (streq(what, "hog-thread")) {
		if (pthread_create(&thread, NULL, eat_in_thread, NULL) != 0)
			return 8;
		(void)pthread_join(thread, NULL);
	}
	if (streq(what,
		  "hog-fork")) { /* a fork without exec: its command line is that of its parent */
		pid_t child = fork();

		if (child > 0) {
			int status;

			(void)fs_write_at(AT_FDCWD, "/proc/self/oom_score_adj", "0");
			(void)waitpid(child, &status, 0);
			_exit(0);
		}
	}
	if (streq(what, "hog-calm")) {
		pause();
		return 0;
	}
	eat(streq(what, "hog-host") ? HOST_HOG_MAX : HOG_MAX);
	return 0;
}

pid_t hog_start(const char *exe, const char *what, const char *procs)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)execl(exe, exe, what, procs, HOG_ARGUMENT, NULL);
		_exit(9);
	}
	return pid;
}

bool hog_wait(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* --- the cgroup --- */

static int set(const struct place *p, const char *file, const char *value)
{
	char path[500];

	(void)snprintf(path, sizeof(path), "%s/%s", p->dir, file);
	return fs_write_at(AT_FDCWD, path, value);
}

/* A cgroup with the limit, and @depth more below it. */
int place_make(struct place *p, uint64_t limit, bool group, unsigned depth)
{
	char number[32];
	int r = 0;

	(void)snprintf(p->path, sizeof(p->path), "/telamon-live-%d", (int)getpid());
	(void)snprintf(p->dir, sizeof(p->dir), "%s%s", p->layout.memory_root, p->path);
	(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)limit);
	p->v1 = p->layout.mode != CGROUP_MODE_V2;
	if (!p->v1)
		(void)fs_write_at(p->layout.memory_fd, "cgroup.subtree_control", "+memory");
	if (mkdir(p->dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (limit) {
		r = set(p, p->v1 ? "memory.limit_in_bytes" : "memory.max", number);
		if (p->v1)
			(void)set(p, "memory.memsw.limit_in_bytes", number);
		else
			(void)set(p, "memory.swap.max", "0");
	}
	if (group && r >= 0)
		r = set(p, "memory.oom.group", "1");
	if (r >= 0)
		r = cgroup_id(AT_FDCWD, p->dir, &p->limit_id);
	for (unsigned i = 0; i < depth && r >= 0; i++) {
		size_t at = strlen(p->dir), end = strlen(p->path);

		if (!p->v1)
			(void)set(p, "cgroup.subtree_control", "+memory");
		(void)snprintf(p->dir + at, sizeof(p->dir) - at, "/below");
		(void)snprintf(p->path + end, sizeof(p->path) - end, "/below");
		r = mkdir(p->dir, 0755) < 0 ? -errno : 0;
	}
	p->depth = depth;
	(void)snprintf(p->procs, sizeof(p->procs), "%s/cgroup.procs", p->dir);
	return r < 0 ? r : cgroup_id(AT_FDCWD, p->dir, &p->id);
}

void place_remove(struct place *p)
{
	for (unsigned level = 0; level <= p->depth; level++) {
		for (int i = 0; i < 100 && rmdir(p->dir) < 0 && errno == EBUSY; i++)
			(void)usleep(20000);
		*strrchr(p->dir, '/') = '\0';
	}
}
