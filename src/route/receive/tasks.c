/* SPDX-License-Identifier: Apache-2.0 */
/* Samples per task: a list of arrays that only grows, so that others may walk it while the worker adds to it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "route/receive/tasks.h"

struct task_counts {
	struct task_counts *next;
	char destination[65];
	uint32_t tasks;
	uint32_t samples[];
};

static struct task_counts *find(struct task_counts *at, const char *destination, uint32_t tasks)
{
	while (at && (at->tasks != tasks || !streq(at->destination, destination)))
		at = at->next;
	return at;
}

uint32_t *task_counts_get(struct task_counts **list, const char *destination, uint32_t tasks)
{
	struct task_counts *t = find(*list, destination, tasks);

	if (t)
		return t->samples;
	t = calloc(1, sizeof(*t) + tasks * sizeof(t->samples[0]));
	if (!t)
		return NULL;
	(void)snprintf(t->destination, sizeof(t->destination), "%s", destination);
	t->tasks = tasks;
	t->next = *list;
	__atomic_store_n(list, t, __ATOMIC_RELEASE);
	return t->samples;
}

void task_counts_add(struct task_counts *const *list, const char *destination, uint32_t tasks,
		     uint32_t *sums)
{
	const struct task_counts *t =
		find(__atomic_load_n(list, __ATOMIC_ACQUIRE), destination, tasks);

	for (uint32_t i = 0; t && i < tasks; i++)
		sums[i] += __atomic_load_n(&t->samples[i], __ATOMIC_RELAXED);
}

void task_counts_free(struct task_counts *list)
{
	while (list) {
		struct task_counts *next = list->next;

		free(list);
		list = next;
	}
}
