/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <sys/types.h>
#include "cli/cli.h"
#include "sys/cgroup.h"

/* What scenarios of `telamon lab oom` are made of. */

struct lab {
	struct cgroup_layout layout;
	char base[256]; /* ".../telamon-lab-PID" in the memory hierarchy */
	uint64_t limit, step, interval_us;
	unsigned timeout_s, parallel;
	bool keep, no_agent, json;
	struct cli_source source;
	char exe[512];
	pid_t bystander;
	int bystander_in, bystander_out;
	unsigned passed, failed, skipped;
	json_t *report; /* array of objects, when json */
};

struct lab_hog { /* one process of ours */
	pid_t pid;
	char cgroup[600]; /* path in the memory hierarchy */
	char total[32], mode[16];
	int go; /* write a byte to start it */
	int out; /* its steps; -1 once closed */
	uint64_t last_step; /* bytes it said it had */
	int status; /* of waitpid(), -1 = lives */
	uint64_t started_us, ended_us; /* monotonic */
	int adj; /* oom_score_adj, 0..1000 */
};

/* lab-cgroup.c; errors are told on stderr */
int lab_cgroup_make(struct lab *l, const char *path,
		    uint64_t limit); /* path relative to base; 0 = no limit */
int lab_cgroup_write(struct lab *l, const char *path, const char *file, const char *value);
int lab_cgroup_read(struct lab *l, const char *path, const char *file, char *buf, size_t size);
void lab_cgroup_remove(struct lab *l,
		       const char *path); /* with all below; kills what is in there */
int lab_base_make(struct lab *l); /* sets l->base; removes leftovers of labs that are gone */
bool lab_on_v2(const struct lab *l);

/* lab-process.c */
int lab_hog_start(struct lab *l, const char *cgroup, uint64_t total, const char *mode, bool hold,
		  int adj, struct lab_hog *ret);
void lab_hog_go(struct lab_hog *h);
bool lab_hog_wait(struct lab *l, struct lab_hog *h, uint64_t until_us); /* true: it ended */
void lab_hog_end(struct lab_hog *h); /* kills and reaps */
bool lab_hog_oom_killed(const struct lab_hog *h);
int lab_bystander_start(struct lab *l);
bool lab_bystander_alive(struct lab *l);
void lab_bystander_stop(struct lab *l);

/* lab-scenario.c */
struct scenario {
	const char *name, *help;
	bool needs_v2;
	void (*run)(struct lab *l, const struct scenario *s);
};
extern const struct scenario lab_scenarios[]; /* ends with {} */
