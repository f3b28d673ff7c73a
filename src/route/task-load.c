/* SPDX-License-Identifier: Apache-2.0 */
/* Differences of counters over a window that moves in steps. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "base/time.h"
#include "route/task-load.h"

#define STEPS 3
#define STEP_US (20 * US_PER_SEC)

struct task_load {
	struct task_load *next;
	char destination[65];
	bool used;
	uint32_t tasks;
	uint64_t at_us[STEPS], now_us; /* of the sums below; of the last reading */
	unsigned newest; /* step */
	double ratio;
	uint32_t *sums[STEPS], *samples; /* into data */
	uint32_t data[];
};

int task_load_new(const char *destination, uint32_t tasks, struct task_load **ret)
{
	struct task_load *t =
		calloc(1, sizeof(*t) + (STEPS + 1) * (size_t)tasks * sizeof(t->data[0]));

	if (!t)
		return -ENOMEM;
	(void)snprintf(t->destination, sizeof(t->destination), "%s", destination);
	t->tasks = tasks;
	for (unsigned i = 0; i < STEPS; i++)
		t->sums[i] = t->data + (size_t)i * tasks;
	t->samples = t->data + (size_t)STEPS * tasks;
	*ret = t;
	return 0;
}

struct task_load *task_load_free(struct task_load *t)
{
	free(t);
	return NULL;
}

struct task_load *task_load_find(struct task_load *list, const char *destination, uint32_t tasks)
{
	for (; list; list = list->next)
		if (list->tasks == tasks && streq(list->destination, destination)) {
			list->used = true;
			return list;
		}
	return NULL;
}

void task_load_link(struct task_load **list, struct task_load *t)
{
	t->used = true;
	t->next = *list;
	*list = t;
}

void task_load_sweep(struct task_load **list)
{
	while (*list) {
		struct task_load *t = *list;

		if (t->used) {
			t->used = false;
			list = &t->next;
			continue;
		}
		*list = t->next;
		task_load_free(t);
	}
}

static void note_step(struct task_load *t, const uint32_t *sums, uint64_t now_us)
{
	bool first = !t->now_us;

	t->newest = (t->newest + 1) % STEPS;
	for (unsigned i = 0; i < STEPS; i++) {
		if (i != t->newest && !first)
			continue;
		memcpy(t->sums[i], sums, t->tasks * sizeof(*sums));
		t->at_us[i] = now_us;
	}
}

void task_load_take(struct task_load *t, const uint32_t *sums, uint64_t now_us)
{
	const uint32_t *oldest;
	uint64_t sum = 0;
	uint32_t most = 0;

	if (!t->now_us || now_us - t->at_us[t->newest] >= STEP_US)
		note_step(t, sums, now_us);
	t->now_us = now_us;
	oldest = t->sums[(t->newest + 1) % STEPS];
	for (uint32_t i = 0; i < t->tasks; i++) {
		t->samples[i] = sums[i] - oldest[i];
		sum += t->samples[i];
		most = MAX(most, t->samples[i]);
	}
	t->ratio = sum ? (double)most * t->tasks / (double)sum : 0;
}

const uint32_t *task_load_samples(const struct task_load *t, uint64_t *ret_us)
{
	*ret_us = t->now_us - t->at_us[(t->newest + 1) % STEPS];
	return t->samples;
}

double task_load_ratio(const struct task_load *t)
{
	return t->ratio;
}
