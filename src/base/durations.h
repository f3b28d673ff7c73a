/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

/* How often something took how long, for histograms: .001 to 10 s. Whoever owns it counts; whoever shows it makes it cumulative. */
#define DURATION_BUCKETS 12
static const double duration_bounds[DURATION_BUCKETS] = { .001, .005, .01, .025, .05, .1,
							  .25,	.5,   1,   2.5,	 5,   10 };

struct durations {
	uint64_t n[DURATION_BUCKETS + 1]; /* not cumulative; the last: above all bounds */
	uint64_t sum_us;
};

static inline size_t duration_bucket(uint64_t us)
{
	size_t i = 0;

	while (i < DURATION_BUCKETS && (double)us / 1e6 > duration_bounds[i])
		i++;
	return i;
}

static inline void durations_note(struct durations *d, uint64_t us)
{
	d->n[duration_bucket(us)]++;
	d->sum_us += us;
}
