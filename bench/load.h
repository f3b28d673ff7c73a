/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MIB (1024UL * 1024)
#define PATH_BYTES 512
#define LIMIT_BYTES (2 * MIB) /* of every cgroup in which somebody dies */

/* --- cgroups: @path begins with "/" and is that of the memory hierarchy --- */

bool cgroup_is_v1(void);
int cgroup_make(const char *path, uint64_t limit); /* 0 = no limit; parents must exist */
int cgroup_write(const char *path, const char *file, const char *value);
void cgroup_file(const char *path, const char *file, char *ret, size_t size);
void cgroup_remove(const char *path); /* waits a little for members that are dying */

/* --- the process that dies; what it does stands in its own command line --- */

int hog_main(int argc, char **argv);

/* A child that has executed this program as a hog. */
struct victim {
	pid_t pid;
	int status; /* of waitpid(), -1 = alive */
	uint64_t started_ns, ended_ns; /* CLOCK_BOOTTIME */
	unsigned number;
	char cgroup[PATH_BYTES];
	char container[65]; /* "" = none */
};
/* @gate: read end of a pipe on which the hog waits for the end of file, -1 = it does not wait. @what: mode of the hog */
int victim_start(struct victim *v, const char *what, int gate, int ready);
void victim_tell(const struct victim *v, const char *role); /* one JSON object on stdout */
bool victim_reap(struct victim *v, int options);

uint64_t boot_ns(void);
_Noreturn void fail(const char *what);

int load_containers(unsigned n, unsigned rate, const char *runtime_root);
