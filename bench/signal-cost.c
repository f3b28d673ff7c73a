/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_signal [-p PID] [-n CALLS] [-r ROUNDS]
 *
 * Sends SIGUSR1 to itself in a loop. Without -p it only times the system call, once with the signal ignored, once with a handler. With -p it
 * attaches an empty program to signal_generate, switches run-time statistics on, and prints per round what one run of the empty
 * program and one of the signal filter of process PID (an agent) cost. One JSON object per round, nanoseconds.
 */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "empty.skel.h"

#define FILTER_PREFIX "on_signal_" /* the kernel keeps 15 bytes of a name */

static _Noreturn void fail(const char *what)
{
	(void)fprintf(stderr, "bench_signal: %s: %s\n", what, strerror(errno));
	exit(3);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void handle(int number)
{
	(void)number;
}

/* Nanoseconds per call. */
static double send_signals(unsigned long calls)
{
	pid_t pid = getpid();
	uint64_t start = now_ns();

	for (unsigned long i = 0; i < calls; i++)
		(void)kill(pid, SIGUSR1);
	return (double)(now_ns() - start) / (double)calls;
}

struct cost {
	uint64_t time_ns, count;
};

static struct cost cost_of(int fd)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		fail("program info");
	return (struct cost){ info.run_time_ns, info.run_cnt };
}

static bool is_filter(int fd)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
	       strncmp(info.name, FILTER_PREFIX, strlen(FILTER_PREFIX)) == 0;
}

/* The signal filter among the programs that the links of @pid hold. */
static int find_filter(long pid)
{
	char path[64], line[128];
	const struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%ld/fdinfo", pid);
	dir = opendir(path);
	if (!dir)
		fail(path);
	while ((entry = readdir(dir))) {
		char file[512];
		FILE *f;

		(void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		f = fopen(file, "re");
		while (f && fgets(line, sizeof(line), f)) {
			unsigned id;
			int fd;

			if (sscanf(line, "prog_id: %u", &id) != 1)
				continue;
			fd = bpf_prog_get_fd_by_id(id);
			if (fd >= 0 && is_filter(fd))
				return fd;
			if (fd >= 0)
				(void)close(fd);
		}
		if (f)
			(void)fclose(f);
	}
	errno = ENOENT;
	fail("a signal filter of the agent");
}

static double per_run(struct cost before, struct cost after)
{
	return (double)(after.time_ns - before.time_ns) / (double)(after.count - before.count);
}

static void measure_programs(long pid, unsigned long calls, unsigned long rounds)
{
	struct empty_bpf *empty = empty_bpf__open_and_load();
	int ours = find_filter(pid), theirs, stats;

	if (!empty || empty_bpf__attach(empty) < 0)
		fail("the empty program");
	theirs = bpf_program__fd(empty->progs.empty);
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (stats < 0)
		fail("run-time statistics");
	(void)send_signals(calls / 10);
	for (unsigned long i = 0; i < rounds; i++) {
		struct cost filter = cost_of(ours), nothing = cost_of(theirs);
		double call = send_signals(calls);

		printf("{\"filter_ns\":%.2f,\"empty_ns\":%.2f,\"call_with_statistics_ns\":%.1f}\n",
		       per_run(filter, cost_of(ours)), per_run(nothing, cost_of(theirs)), call);
	}
	(void)close(stats);
	empty_bpf__destroy(empty);
}

static void measure_call(unsigned long calls, unsigned long rounds)
{
	(void)send_signals(calls / 10);
	for (unsigned long i = 0; i < rounds; i++) {
		double ignored, handled;

		(void)signal(SIGUSR1, SIG_IGN);
		ignored = send_signals(calls);
		(void)signal(SIGUSR1, handle);
		handled = send_signals(calls);
		printf("{\"call_ignored_ns\":%.1f,\"call_handled_ns\":%.1f}\n", ignored, handled);
	}
}

int main(int argc, char **argv)
{
	unsigned long calls = 1000000, rounds = 5;
	long pid = 0;
	int option;

	while ((option = getopt(argc, argv, "p:n:r:")) != -1) {
		switch (option) {
		case 'p':
			pid = strtol(optarg, NULL, 10);
			break;
		case 'n':
			calls = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			rounds = strtoul(optarg, NULL, 10);
			break;
		default:
			return 2;
		}
	}
	if (calls < 10 || rounds == 0)
		return 2;
	(void)signal(SIGUSR1, SIG_IGN);
	if (pid)
		measure_programs(pid, calls, rounds);
	else
		measure_call(calls, rounds);
	return 0;
}
