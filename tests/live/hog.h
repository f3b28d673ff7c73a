/* SPDX-License-Identifier: Apache-2.0 */
/* A process that dies of its memory, and the cgroup that it dies in. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "sys/cgroup.h"

#define MIB (1024ULL * 1024)
#define LIMIT (64 * MIB)
#define HOG_ADJ 1000
#define HOG_ARGUMENT "argument of the hog"

struct place {
	struct cgroup_layout layout;
	bool v1;
	char dir[400];
	char procs[420];
	uint64_t id; /* of the cgroup that the hog enters */
	char path[80]; /* in the hierarchy */
	uint64_t limit_id; /* of the one with the limit */
	unsigned depth; /* levels between the two */
};

int place_make(struct place *p, uint64_t limit, bool group, unsigned depth);
void place_remove(struct place *p);

/* Runs as the hog: argv[1] says how, argv[2] is the cgroup.procs file to enter. */
int hog(const char *what, const char *procs);
pid_t hog_start(const char *exe, const char *what, const char *procs);
bool hog_wait(pid_t pid); /* was it killed by SIGKILL? */
