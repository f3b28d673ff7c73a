/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>
#include "base/cleanup.h"

/*
 * What the tasks of a destination had to do in the last minute
 *
 * Sums over all workers are kept from some moments; the present ones less the oldest of them are the last 40 to 60 seconds. Single-threaded.
 */
struct task_load;
int task_load_new(const char *destination, uint32_t tasks, struct task_load **ret);
struct task_load *task_load_free(struct task_load *t);
DEFINE_CLEANUP(struct task_load *, task_load_free);
/* NULL: none of that name and number of tasks. */
struct task_load *task_load_find(struct task_load *list, const char *destination, uint32_t tasks);
/* Joins @list; those that were not asked for since the last sweep leave it. */
void task_load_link(struct task_load **list, struct task_load *t);
void task_load_sweep(struct task_load **list);

/* Each second or so. @sums: counters that wrap, of all workers together. */
void task_load_take(struct task_load *t, const uint32_t *sums, uint64_t now_us);
/* Samples of each task within ret_us before the last call of task_load_take(). */
const uint32_t *task_load_samples(const struct task_load *t, uint64_t *ret_us);
/* The hottest task by the mean of all, 0 = no samples. */
double task_load_ratio(const struct task_load *t);
