/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_load: real OOM kills in cgroups of their own, and the truth about them
 *
 *   parallel N           N cgroups; when stdin says so, all run out of memory at once
 *   group N              one cgroup with memory.oom.group and N processes (cgroup v2)
 *   shared_mm            two processes on the same memory
 *   serial N MIN MAX     one kill after the other, with a pause of MIN..MAX milliseconds between two
 *   containers N RATE D  N containers, RATE a second, each with runtime files below D as containerd writes them
 *   calm N M             N processes in M cgroups that do nothing until stdin ends
 *
 * stdout carries one JSON object per victim: pid, cgroup, args, how it ended; the last line is a summary.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "load.h"

static char base[64];

_Noreturn void fail(const char *what)
{
	(void)fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
	exit(3);
}

uint64_t boot_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static _Noreturn void become_hog(const struct victim *v, const char *what, int gate, int ready)
{
	char procs[PATH_BYTES + 128], tag[32];

	cgroup_file(v->cgroup, "cgroup.procs", procs, sizeof(procs));
	(void)snprintf(tag, sizeof(tag), "%u", v->number);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ready >= 0 && dup2(ready, 4) < 0)
		_exit(3);
	if (gate >= 0 && dup2(gate, 3) < 0)
		_exit(3);
	(void)execl("/proc/self/exe", "bench_load", "hog", "-c", procs, "-a", "1000",
		    gate >= 0 ? "-w" : "-5", what, tag, NULL);
	_exit(3);
}

int victim_start(struct victim *v, const char *what, int gate, int ready)
{
	v->status = -1;
	v->started_ns = boot_ns();
	v->pid = fork();
	if (v->pid == 0)
		become_hog(v, what, gate, ready);
	return v->pid < 0 ? -errno : 0;
}

bool victim_reap(struct victim *v, int options)
{
	if (v->status == -1 && waitpid(v->pid, &v->status, options) == v->pid)
		v->ended_ns = boot_ns();
	return v->status != -1;
}

void victim_tell(const struct victim *v, const char *role)
{
	printf("{\"pid\":%d,\"cgroup\":\"%s\",\"container\":\"%s\",\"tag\":\"%u\",\"role\":\"%s\",\"signal\":%d,"
	       "\"started_ns\":%llu,\"ended_ns\":%llu}\n",
	       (int)v->pid, v->cgroup, v->container, v->number, role,
	       WIFSIGNALED(v->status) ? WTERMSIG(v->status) : 0, (unsigned long long)v->started_ns,
	       (unsigned long long)v->ended_ns);
}

static void wait_for_go(void)
{
	char line[16];

	printf("ready\n");
	(void)fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(3);
}

struct gate {
	int in[2], ready[2];
};

/* Above the numbers that hogs know them by: dup2() to itself would leave them to close at exec. */
static void pipe_make(int fds[2])
{
	int low[2];

	if (pipe2(low, O_CLOEXEC) < 0)
		fail("pipe");
	for (int i = 0; i < 2; i++) {
		fds[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 10);
		if (fds[i] < 0)
			fail("pipe");
		(void)close(low[i]);
	}
}

static void gate_make(struct gate *g)
{
	pipe_make(g->in);
	pipe_make(g->ready);
}

static void gate_wait(const struct gate *g, unsigned n)
{
	char c;

	for (unsigned i = 0; i < n; i++)
		if (read(g->ready[0], &c, 1) != 1)
			fail("a hog");
}

static struct victim *victims_new(unsigned n)
{
	struct victim *v = calloc(n, sizeof(*v));

	if (!v)
		fail("memory");
	for (unsigned i = 0; i < n; i++)
		v[i].number = i;
	return v;
}

static int load_parallel(unsigned n)
{
	struct victim *v = victims_new(n);
	struct gate g;

	gate_make(&g);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(v[i].cgroup, sizeof(v[i].cgroup), "%s/c%u", base, i);
		if (cgroup_make(v[i].cgroup, LIMIT_BYTES) < 0 ||
		    victim_start(&v[i], "eat", g.in[0], g.ready[1]) < 0)
			fail(v[i].cgroup);
	}
	gate_wait(&g, n);
	wait_for_go();
	for (unsigned i = 0; i < n; i++)
		v[i].started_ns = boot_ns();
	(void)close(g.in[1]);
	for (unsigned left = n; left > 0; (void)usleep(500)) {
		left = 0;
		for (unsigned i = 0; i < n; i++)
			left += !victim_reap(&v[i], WNOHANG);
	}
	for (unsigned i = 0; i < n; i++) {
		victim_tell(&v[i], "chosen");
		cgroup_remove(v[i].cgroup);
	}
	free(v);
	return 0;
}

static int load_group(unsigned n)
{
	struct victim *v = victims_new(n);
	struct gate g;

	gate_make(&g);
	if (cgroup_make(base, 256 * MIB) < 0 || cgroup_write(base, "memory.oom.group", "1") < 0)
		fail("a cgroup with memory.oom.group");
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(v[i].cgroup, sizeof(v[i].cgroup), "%s", base);
		if (victim_start(&v[i], i ? "calm" : "eat", g.in[0], g.ready[1]) < 0)
			fail("fork");
	}
	gate_wait(&g, n);
	wait_for_go();
	(void)close(g.in[1]);
	for (unsigned i = 0; i < n; i++)
		(void)victim_reap(&v[i], 0);
	for (unsigned i = 0; i < n; i++)
		victim_tell(&v[i], i ? "group" : "chosen");
	free(v);
	return 0;
}

static int load_shared_mm(void)
{
	struct victim *v = victims_new(2);
	char line[PATH_BYTES];
	struct gate g;

	/* The second process is a child of the first: it comes to us when that one dies. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	gate_make(&g);
	if (cgroup_make(base, 16 * MIB) < 0)
		fail(base);
	(void)snprintf(v[0].cgroup, sizeof(v[0].cgroup), "%s", base);
	(void)snprintf(v[1].cgroup, sizeof(v[1].cgroup), "%s", base);
	if (victim_start(&v[0], "sharer", g.in[0], g.ready[1]) < 0)
		fail("fork");
	gate_wait(&g, 1);
	(void)snprintf(line, sizeof(line), "/proc/%d/task/%d/children", (int)v[0].pid,
		       (int)v[0].pid);
	FILE *f = fopen(line, "r");
	if (!f || fscanf(f, "%d", &v[1].pid) != 1)
		fail(line);
	(void)fclose(f);
	v[1].status = -1;
	wait_for_go();
	(void)close(g.in[1]);
	(void)victim_reap(&v[0], 0);
	(void)victim_reap(&v[1], 0);
	victim_tell(&v[0], "chosen");
	victim_tell(&v[1], "shared_mm");
	free(v);
	return 0;
}

static int load_serial(unsigned n, unsigned min_ms, unsigned max_ms)
{
	srand((unsigned)getpid());
	for (unsigned i = 0; i < n; i++) {
		struct victim v = { .number = i };

		/* A cgroup of its own: one that has just been full kills its next process while it executes. */
		(void)snprintf(v.cgroup, sizeof(v.cgroup), "%s/c%u", base, i);
		if (cgroup_make(v.cgroup, LIMIT_BYTES) < 0 || victim_start(&v, "eat", -1, -1) < 0)
			fail(v.cgroup);
		(void)victim_reap(&v, 0);
		victim_tell(&v, "chosen");
		(void)fflush(stdout);
		cgroup_remove(v.cgroup);
		(void)usleep(1000 * (min_ms + (unsigned)rand() % (max_ms - min_ms + 1)));
	}
	return 0;
}

static int load_calm(unsigned n, unsigned cgroups)
{
	struct victim *v = victims_new(n);
	struct gate g;
	char path[PATH_BYTES];

	gate_make(&g);
	for (unsigned i = 0; i < cgroups; i++) {
		(void)snprintf(path, sizeof(path), "%s/c%u", base, i);
		if (cgroup_make(path, 64 * MIB) < 0)
			fail(path);
	}
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(v[i].cgroup, sizeof(v[i].cgroup), "%s/c%u", base, i % cgroups);
		if (victim_start(&v[i], "calm", g.in[0], g.ready[1]) < 0)
			fail("fork");
	}
	gate_wait(&g, n);
	wait_for_go();
	for (unsigned i = 0; i < n; i++) {
		(void)kill(v[i].pid, SIGKILL);
		(void)victim_reap(&v[i], 0);
	}
	for (unsigned i = 0; i < cgroups; i++) {
		(void)snprintf(path, sizeof(path), "%s/c%u", base, i);
		cgroup_remove(path);
	}
	free(v);
	return 0;
}

static unsigned number(char **argv, int argc, int i)
{
	char *end;
	unsigned long v;

	errno = EINVAL;
	if (i >= argc)
		fail("a number is missing");
	v = strtoul(argv[i], &end, 10);
	if (*end || v > 1000000)
		fail(argv[i]);
	return (unsigned)v;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int r = 2;

	if (strcmp(what, "hog") == 0)
		return hog_main(argc - 1, argv + 1);
	(void)snprintf(base, sizeof(base), "/telamon-bench-%d", (int)getpid());
	(void)signal(SIGPIPE, SIG_IGN);
	if (strcmp(what, "containers") == 0)
		return argc == 5 ? load_containers(number(argv, argc, 2), number(argv, argc, 3),
						   argv[4])
				 : 2;
	if (cgroup_make(base, 0) < 0)
		fail(base);
	if (strcmp(what, "parallel") == 0)
		r = load_parallel(number(argv, argc, 2));
	else if (strcmp(what, "group") == 0)
		r = load_group(number(argv, argc, 2));
	else if (strcmp(what, "shared_mm") == 0)
		r = load_shared_mm();
	else if (strcmp(what, "serial") == 0)
		r = load_serial(number(argv, argc, 2), number(argv, argc, 3),
				number(argv, argc, 4));
	else if (strcmp(what, "calm") == 0)
		r = load_calm(number(argv, argc, 2), number(argv, argc, 3));
	cgroup_remove(base);
	return r;
}
