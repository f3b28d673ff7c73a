/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_hog [-a ADJ] [-c CGROUP]... [-n NODE] [-w SECONDS] [-h] MEBIBYTES
 *
 * The process that scenarios of guests send to its death: sets its oom_score_adj, enters cgroups (directories), asks for memory,
 * with -n from one NUMA node alone (mbind()), after -w seconds, and touches it page by page. Then it ends, or with -h holds what it has. Static, so
 * that what it needs itself is small; an alarm ends it in any case.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MPOL_BIND 2 /* <linux/mempolicy.h>, which is not everywhere */
#define MIB (1024UL * 1024)
#define SECONDS_MAX 60

static void fail(const char *what)
{
	(void)fprintf(stderr, "vm_hog: %s: %s\n", what, strerror(errno));
	exit(3);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(path);
	(void)close(fd);
}

static void enter(const char *cgroup)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	write_text(path, "0");
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (end == text || *end || v > max) {
		errno = EINVAL;
		fail(text);
	}
	return v;
}

static void eat(unsigned long bytes, int node)
{
	unsigned long mask = node < 0 ? 0 : 1UL << node;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	(void)madvise(memory, bytes, MADV_NOHUGEPAGE);
	if (mask && syscall(SYS_mbind, memory, bytes, MPOL_BIND, &mask, 8 * sizeof(mask), 0) < 0)
		fail("mbind");
	/* A distinct word in each page defeats the zero page and KSM. */
	for (unsigned long at = 0; at < bytes; at += 4096)
		*(volatile uint64_t *)(memory + at) = at ^ 0x5bd1e995a3c59ac3ULL;
}

int main(int argc, char **argv)
{
	int option, hold = 0, node = -1;
	unsigned long bytes;

	while ((option = getopt(argc, argv, "a:c:n:w:h")) != -1) {
		switch (option) {
		case 'a':
			write_text("/proc/self/oom_score_adj", optarg);
			break;
		case 'c':
			enter(optarg);
			break;
		case 'n':
			node = (int)number(optarg, 63);
			break;
		case 'w':
			(void)sleep((unsigned)number(optarg, SECONDS_MAX));
			break;
		case 'h':
			hold = 1;
			break;
		default:
			return 2;
		}
	}
	if (optind + 1 != argc)
		return 2;
	bytes = number(argv[optind], 64 * 1024) * MIB;
	(void)alarm(SECONDS_MAX);
	eat(bytes, node);
	while (hold)
		(void)pause();
	return 0;
}
