/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/series.h"
#include "route/wire/buf.h"

/*
 * Samples by age (GW-RO-3). Usually all of a series are within: two comparisons.
 */
struct window {
	int64_t from_ms, to_ms; /* inclusive */
};
static inline bool window_holds(const struct window *w, const struct rw_series *s)
{
	return s->min_ts >= w->from_ms && s->max_ts <= w->to_ms;
}
struct window_cut {
	uint64_t late, future; /* samples + histograms left out */
};
/*
 * @s with what lies within alone; spans go into @scratch. @outside: what lies outside instead. False: no memory.
 */
bool window_apply(const struct window *w, const struct rw_series *s, bool outside,
		  struct rw_buf *scratch, struct rw_series *ret, struct window_cut *ret_cut);
/*
 * Cuts a series that reaches over @boundary_ms: @ret_older has what is not newer, @ret_after the rest, exemplars by their own time. Spans go into the
 * scratches, which are not those that @s lies in. False: no memory.
 */
bool window_split(int64_t boundary_ms, const struct rw_series *s, struct rw_buf *scratch_older,
		  struct rw_buf *scratch_after, struct rw_series *ret_older,
		  struct rw_series *ret_after);
