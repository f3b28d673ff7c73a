/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What keeps the agent alive in the event that it watches (OOM-611). */
struct protection {
	bool locked; /* all memory, or at least the pools of the event path */
	bool locked_all;
	bool adj; /* oom_score_adj is what we want */
	int adj_value;
	bool ring_prefault; /* set by modules through protect_prefault() */
};

/* Before threads and big allocations: limits and oom_score_adj. Each refusal is one warning. */
void protect_early(struct protection *p, int want_adj);
/*
 * A module wants @wanted descriptors beside what the agent needs otherwise: raises RLIMIT_NOFILE to need. How many of them it may
 * have. Called once.
 */
uint64_t protect_descriptors(uint64_t wanted);
/* After start: locks what is mapped and what will be. */
void protect_late(struct protection *p);
/* Touches and locks one pool; for when locking everything is refused. */
bool protect_prefault(void *memory, size_t size);
