/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many OOM kills, each in a cgroup of its own
 *
 *   kills DIRECTORY COUNT LIMIT_BYTES PARALLEL [keep|reuse]
 *
 * DIRECTORY is a memory cgroup without processes. Makes cgroups 0, 1, … below it, lets one process grow in each until it is killed, and
 * removes them: `keep` leaves them, `reuse` lets the first PARALLEL serve all. Prints how many were killed by SIGKILL. Processes
 * give up at three times the limit and after 60 s, so nothing is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARALLEL_MAX 1024
#define PAGE 4096

struct slot {
	pid_t pid;
	unsigned number;
};

static const char *directory;
static unsigned long limit;
static bool v1, keep, reuse;
static struct slot slots[PARALLEL_MAX];

static int put(unsigned number, const char *file, const char *text)
{
	char path[512];
	int fd;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%u/%s", directory, number, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	(void)close(fd);
	return n < 0 ? -EIO : 0;
}

static void make(unsigned number)
{
	char path[512], bytes[32];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%u", directory, number);
	(void)snprintf(bytes, sizeof(bytes), "%lu", limit);
	if (mkdir(path, 0755) < 0 && errno != EEXIST) {
		perror(path);
		exit(2);
	}
	r = put(number, v1 ? "memory.limit_in_bytes" : "memory.max", bytes);
	/* Without swap: what cannot be set is not there. */
	if (v1)
		(void)put(number, "memory.memsw.limit_in_bytes", bytes);
	else
		(void)put(number, "memory.swap.max", "0");
	if (r < 0) {
		(void)fprintf(stderr, "no limit for %s\n", path);
		exit(2);
	}
}

static void eat(unsigned number)
{
	unsigned long size = 3 * limit;
	char *p;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)alarm(60);
	if (put(number, "cgroup.procs", "0") < 0)
		_exit(3);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		_exit(4);
	for (unsigned long at = 0; at < size; at += PAGE)
		*(unsigned long *)(p + at) = at + number + 1;
	_exit(5);
}

static void start(struct slot *s, unsigned number)
{
	s->number = number;
	s->pid = fork();
	if (s->pid == 0)
		eat(number);
	if (s->pid < 0) {
		perror("fork");
		exit(2);
	}
}

static void remove_cgroup(unsigned number)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%u", directory, number);
	for (int i = 0; i < 500 && rmdir(path) < 0 && errno == EBUSY; i++)
		(void)usleep(2000);
}

/* The slot that is free again. */
static struct slot *wait_one(unsigned n, unsigned *killed)
{
	int status = 0;
	pid_t pid = wait(&status);

	for (unsigned i = 0; i < n; i++) {
		if (slots[i].pid != pid)
			continue;
		slots[i].pid = 0;
		*killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		if (!keep && !reuse)
			remove_cgroup(slots[i].number);
		return &slots[i];
	}
	return NULL;
}

static bool set_up(int argc, char **argv, unsigned *count, unsigned *parallel)
{
	char path[512];
	int fd;

	if (argc < 5)
		return false;
	directory = argv[1];
	*count = (unsigned)strtoul(argv[2], NULL, 10);
	limit = strtoul(argv[3], NULL, 10);
	*parallel = (unsigned)strtoul(argv[4], NULL, 10);
	keep = argc > 5 && strcmp(argv[5], "keep") == 0;
	reuse = argc > 5 && strcmp(argv[5], "reuse") == 0;
	(void)snprintf(path, sizeof(path), "%s/memory.limit_in_bytes", directory);
	v1 = access(path, F_OK) == 0;
	(void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", directory);
	fd = v1 ? -1 : open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, "+memory", 7);
		(void)close(fd);
	}
	return *count > 0 && limit >= 1UL << 20 && *parallel > 0 && *parallel <= PARALLEL_MAX;
}

int main(int argc, char **argv)
{
	unsigned count, parallel, killed = 0;

	if (!set_up(argc, argv, &count, &parallel)) {
		(void)fprintf(stderr,
			      "usage: kills DIRECTORY COUNT LIMIT_BYTES PARALLEL [keep|reuse]\n");
		return 1;
	}
	for (unsigned i = 0; i < count; i++) {
		struct slot *s = i < parallel ? &slots[i] : wait_one(parallel, &killed);
		unsigned number = reuse && s ? (unsigned)(s - slots) : i;

		if (!s)
			return 2;
		if (!reuse || i < parallel)
			make(number);
		start(s, number);
	}
	for (unsigned left = parallel < count ? parallel : count; left > 0; left--)
		(void)wait_one(parallel, &killed);
	for (unsigned i = 0; reuse && i < parallel; i++)
		remove_cgroup(i);
	(void)printf("%u\n", killed);
	return 0;
}
