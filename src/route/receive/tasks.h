/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/*
 * Samples of each task, as one worker counted them (GW-OB-2, GW-CL-2)
 *
 * Arrays belong to a destination's name and number of tasks and outlive the snapshot, so a reload does not begin anew. Only the worker writes;
 * others read at any time. Counts wrap: who reads takes differences.
 */
struct task_counts;
/* The array called so, made where it is not there; NULL without memory. The worker's thread alone. */
uint32_t *task_counts_get(struct task_counts **list, const char *destination, uint32_t tasks);
/* Adds the array, if there is one, to @sums[tasks]. Any thread. */
void task_counts_add(struct task_counts *const *list, const char *destination, uint32_t tasks,
		     uint32_t *sums);
void task_counts_free(struct task_counts *list);
