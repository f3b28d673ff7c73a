/* SPDX-License-Identifier: Apache-2.0 */
/* What records came, and whether they tell the truth. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "agent/oom/hooks.h"
#include "base/macro.h"
#include "hog.h"

#define RECORDS_MAX 64

struct seen {
	struct oom_victim victims[RECORDS_MAX];
	size_t n_victims;
	unsigned by_type[_OOM_RECORD_MAX];
	struct oom_decision decision;
	struct oom_exit exit;
	struct oom_invoke invoke;
	struct oom_attempt attempt;
	struct oom_core core; /* the last one that was spilled */
	bool dump;
};
extern struct seen seen;
extern unsigned n_failed, n_checks;

struct run {
	const char *name, *argument;
	struct place place;
	const struct oom_hooks *hooks;
	char exe[512];
	pid_t pid;
	uint64_t boot_before, boot_after;
};

void on_record(void *ctx, const struct record_head *head, bool spilled);
/* Reads until nothing came for a while. */
void drain(struct oom_hooks *h);
/* One line of the output: a fact of a scenario, with what was found instead. */
void check(const char *scenario, const char *fact, bool good, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
const struct oom_victim *victim_of(pid_t pid);
bool live(const struct run *r, enum oom_capability c, const char *variant);
bool runs_program(const struct run *r, enum oom_capability c);
/* "…_direct": typed loads only, no text. */
bool is_direct(const struct run *r, enum oom_capability c);
void check_victim(const struct run *r);

#define CHECK_U64(scenario, fact, have, want)                                              \
	check(scenario, fact, (uint64_t)(have) == (uint64_t)(want), "%llu, expected %llu", \
	      (unsigned long long)(have), (unsigned long long)(want))
