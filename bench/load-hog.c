/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_load hog [-c PROCS] [-a ADJ] [-u UID] [-C DIRECTORY] [-n COMM] [-t THREADS] [-s SHARED MiB] [-m MiB] [-e MiB] [-w] [-5] MODE [TAG...]
 *
 * MODE: eat (until it dies, or -e MiB and wait), hold (-m MiB, then wait for the end), calm (wait for the end), sharer (eat, with a second process on the
 * same memory). -w: wait for the end of file on fd 3 first; a byte on fd 4 says that it is ready. -5: wait for 5 ms.
 * It enters the cgroup of PROCS before anything else, and dies with its parent or by an alarm in any case.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "load.h"

enum { FD_GATE = 3, FD_READY = 4, ALARM_SECONDS = 900 };
#define EAT_BYTES (1024 * MIB) /* a hog that survives gives up here */

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(path);
	(void)close(fd);
}

/* A distinct word in each page defeats the zero page and KSM. */
static void touch(char *memory, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += 4096)
		*(volatile uint64_t *)(memory + at) = at ^ 0x5bd1e995a3c59ac3ULL;
}

static void eat(uint64_t bytes, int flags)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	(void)madvise(memory, bytes, MADV_NOHUGEPAGE);
	touch(memory, bytes);
}

static void *wait_in_thread(void *unused)
{
	for (;;)
		(void)pause();
	return unused;
}

static int wait_in_clone(void *unused)
{
	(void)unused;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)pause();
	return 0;
}

static void start_sharer(void)
{
	static char stack[65536];

	if (clone(wait_in_clone, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) < 0)
		fail("clone");
}

static void say_ready(void)
{
	if (write(FD_READY, "r", 1) < 0) {
		/* Nobody listens: the hog goes on. */
	}
}

static void wait_for_gate(void)
{
	char c;

	if (read(FD_GATE, &c, 1) != 0)
		fail("gate");
}

struct hog_options {
	const char *comm;
	unsigned long threads, shared, hold, eat;
	bool gate, late;
};

static void live(const struct hog_options *o, const char *mode)
{
	pthread_t thread;

	for (unsigned long i = 1; i < o->threads; i++)
		if (pthread_create(&thread, NULL, wait_in_thread, NULL))
			fail("thread");
	if (o->comm)
		(void)prctl(PR_SET_NAME, o->comm);
	if (o->shared)
		eat(o->shared * MIB, MAP_SHARED);
	if (strcmp(mode, "sharer") == 0)
		start_sharer();
	if (o->hold)
		eat(o->hold * MIB, MAP_PRIVATE);
	say_ready();
	if (o->gate)
		wait_for_gate();
	if (o->late)
		(void)usleep(5000);
	if (strcmp(mode, "eat") == 0 || strcmp(mode, "sharer") == 0)
		eat(o->eat ? o->eat * MIB : EAT_BYTES, MAP_PRIVATE);
	if (o->eat || (strcmp(mode, "eat") && strcmp(mode, "sharer")))
		(void)wait_in_thread(NULL);
}

int hog_main(int argc, char **argv)
{
	struct hog_options o = {};
	int option;

	while ((option = getopt(argc, argv, "+c:a:u:C:n:t:s:m:e:w5")) != -1) {
		switch (option) {
		case 'c':
			write_text(optarg, "0");
			break;
		case 'a':
			write_text("/proc/self/oom_score_adj", optarg);
			break;
		case 'u':
			if (setuid((uid_t)strtoul(optarg, NULL, 10)) < 0)
				fail("setuid");
			break;
		case 'C':
			if (chdir(optarg) < 0)
				fail(optarg);
			break;
		case 'n':
			o.comm = optarg;
			break;
		case 't':
			o.threads = strtoul(optarg, NULL, 10);
			break;
		case 's':
			o.shared = strtoul(optarg, NULL, 10);
			break;
		case 'm':
			o.hold = strtoul(optarg, NULL, 10);
			break;
		case 'e':
			o.eat = strtoul(optarg, NULL, 10);
			break;
		case 'w':
			o.gate = true;
			break;
		case '5':
			o.late = true;
			break;
		default:
			return 2;
		}
	}
	if (optind >= argc)
		return 2;
	(void)alarm(ALARM_SECONDS);
	live(&o, argv[optind]);
	return 0;
}
