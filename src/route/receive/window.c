/* SPDX-License-Identifier: Apache-2.0 */
/* Samples and histograms of a series that lie within a window of time: their wire fields are copied one by one. */

#include "route/receive/window.h"
#include "route/wire/varint.h"

#define WIRE_VARINT 0
#define WIRE_FIXED64 1
#define WIRE_BYTES 2
#define WIRE_FIXED32 5

/* Timestamp: field 2 of a sample, 15 of a histogram. The scanner has checked the form of all of it. */
static int64_t timestamp(const uint8_t *at, const uint8_t *end, uint32_t field)
{
	uint64_t ts = 0, key, v;

	while (at < end && (at = varint_get(at, end, &key))) {
		switch (key & 7) {
		case WIRE_VARINT:
			at = varint_get(at, end, &v);
			if (!at)
				return (int64_t)ts;
			if (key >> 3 == field)
				ts = v;
			break;
		case WIRE_FIXED64:
			at += 8;
			break;
		case WIRE_BYTES:
			at = varint_get(at, end, &v);
			if (!at || v > (uint64_t)(end - at))
				return (int64_t)ts;
			at += v;
			break;
		case WIRE_FIXED32:
			at += 4;
			break;
		default:
			return (int64_t)ts;
		}
	}
	return (int64_t)ts;
}

struct filter {
	const struct window *w;
	bool outside;
	struct rw_buf *scratch;
	struct window_cut *cut;
	int64_t min_ts, max_ts;
};

/* Fields of @in that are wanted, behind one another in the scratch; their number. -1: no memory. */
static int64_t filter(struct filter *f, struct rw_span in, uint32_t field)
{
	const uint8_t *at = in.at, *end = in.at + in.len;
	int64_t n = 0;

	while (at && at < end) {
		const uint8_t *from = at;
		uint64_t key, len;
		int64_t ts;
		bool late, future;

		at = varint_get(at, end, &key);
		at = at ? varint_get(at, end, &len) : NULL;
		if (!at || len > (uint64_t)(end - at))
			break;
		ts = timestamp(at, at + len, field);
		at += len;
		late = ts < f->w->from_ms;
		future = ts > f->w->to_ms;
		f->cut->late += late;
		f->cut->future += future;
		if ((late || future) != f->outside)
			continue;
		if (!rw_buf_add(f->scratch, from, (size_t)(at - from)))
			return -1;
		f->min_ts = ts < f->min_ts ? ts : f->min_ts;
		f->max_ts = ts > f->max_ts ? ts : f->max_ts;
		n++;
	}
	return n;
}

/* @exemplars: those are cut by their time, too; else they stay whole as long as there is a sample. */
static bool cut(const struct window *w, const struct rw_series *s, bool outside, bool exemplars,
		struct rw_buf *scratch, struct rw_series *ret, struct window_cut *ret_cut)
{
	struct filter f = { w, outside, scratch, ret_cut, INT64_MAX, INT64_MIN };
	size_t samples_len, total = s->samples.len + s->histograms.len + s->exemplars.len;
	int64_t n_samples, n_histograms;

	*ret_cut = (struct window_cut){};
	scratch->len = 0;
	/* Room for all, so that the spans do not move. */
	if (!rw_buf_room(scratch, total + 1))
		return false;
	n_samples = filter(&f, s->samples, 2);
	samples_len = scratch->len;
	n_histograms = n_samples < 0 ? -1 : filter(&f, s->histograms, 15);
	if (n_histograms < 0)
		return false;
	*ret = *s;
	ret->samples = (struct rw_span){ scratch->data, samples_len };
	ret->histograms =
		(struct rw_span){ scratch->data + samples_len, scratch->len - samples_len };
	ret->n_samples = (uint32_t)n_samples;
	ret->n_histograms = (uint32_t)n_histograms;
	ret->min_ts = f.min_ts;
	ret->max_ts = f.max_ts;
	if (!n_samples && !n_histograms) { /* exemplars go with their samples */
		ret->exemplars.len = 0;
		ret->n_exemplars = 0;
	} else if (exemplars && s->n_exemplars) {
		size_t from = scratch->len;
		int64_t n = filter(&f, s->exemplars, 3);

		ret->exemplars = (struct rw_span){ scratch->data + from, scratch->len - from };
		ret->n_exemplars = (uint32_t)n;
		return n >= 0;
	}
	return true;
}

bool window_apply(const struct window *w, const struct rw_series *s, bool outside,
		  struct rw_buf *scratch, struct rw_series *ret, struct window_cut *ret_cut)
{
	return cut(w, s, outside, false, scratch, ret, ret_cut);
}

bool window_split(int64_t boundary_ms, const struct rw_series *s, struct rw_buf *scratch_older,
		  struct rw_buf *scratch_after, struct rw_series *ret_older,
		  struct rw_series *ret_after)
{
	const struct window w = { INT64_MIN, boundary_ms };
	struct window_cut counts;

	return cut(&w, s, false, true, scratch_older, ret_older, &counts) &&
	       cut(&w, s, true, true, scratch_after, ret_after, &counts);
}
