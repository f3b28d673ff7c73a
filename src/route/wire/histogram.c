/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native histograms (GW-RX-16)
 *
 * The checks of Prometheus' own ingestion. Nothing is kept: spans, deltas and counts are read where they lie, packed or not, in one walk, because
 * sums are all that they are compared by.
 */

#include <math.h>
#include "route/wire/field.h"
#include "route/wire/scan.h"

#define SCHEMA_MIN (-4)
#define SCHEMA_MAX 8

struct side { /* the positive or the negative buckets */
	uint64_t spans, deltas, counts; /* how many */
	uint64_t covered; /* sum of span lengths */
	uint64_t gaps; /* sum of span offsets, where none is negative */
	bool first_negative, gap_negative;
	int64_t bucket; /* absolute value of the last integer bucket */
	uint64_t total; /* sum of integer buckets */
	bool negative, overflow;
};

struct histogram {
	struct side sides[2]; /* negative, positive */
	bool is_float;
	uint64_t count, zero;
	double float_count, float_zero, sum, bound;
	uint64_t bounds;
	int32_t schema;
	bool bad_bounds;
};

static double as_double(uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v;
}

static void add_span(struct side *s, const struct rw_field *message)
{
	const uint8_t *at = message->at, *end = at + message->len;
	int32_t offset = 0;
	uint32_t length = 0;
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f))) {
		if (f.type != RW_VARINT)
			continue;
		if (f.number == 1)
			offset = (int32_t)rw_zigzag((uint32_t)f.value);
		else if (f.number == 2)
			length = (uint32_t)f.value;
	}
	if (offset < 0 && s->spans == 0)
		s->first_negative = true;
	else if (offset < 0)
		s->gap_negative = true;
	else
		s->gaps += (uint64_t)offset;
	s->spans++;
	s->covered += length;
}

static void add_delta(struct side *s, uint64_t raw)
{
	s->deltas++;
	if (__builtin_add_overflow(s->bucket, rw_zigzag(raw), &s->bucket))
		s->overflow = true;
	else if (s->bucket < 0)
		s->negative = true;
	else if (__builtin_add_overflow(s->total, (uint64_t)s->bucket, &s->total))
		s->overflow = true;
}

static void add_deltas(struct side *s, const struct rw_field *f)
{
	const uint8_t *at = f->at, *end = at + f->len;
	uint64_t v;

	if (f->type == RW_VARINT)
		add_delta(s, f->value);
	else
		while (at < end && (at = varint_get(at, end, &v)))
			add_delta(s, v);
}

static void add_counts(struct side *s, const struct rw_field *f)
{
	for (size_t i = 0; i + 8 <= f->len; i += 8) {
		s->counts++;
		if (as_double(rw_load64(f->at + i)) < 0)
			s->negative = true;
	}
}

static void add_bounds(struct histogram *h, const struct rw_field *f)
{
	for (size_t i = 0; i + 8 <= f->len; i += 8) {
		double bound = as_double(rw_load64(f->at + i));

		if (!isfinite(bound) || (h->bounds && bound <= h->bound))
			h->bad_bounds = true;
		h->bound = bound;
		h->bounds++;
	}
}

static void add_field(struct histogram *h, const struct rw_field *f)
{
	struct side *side = &h->sides[f->number > 10];

	switch (f->number) {
	case 1:
		h->count = f->value;
		h->is_float = false;
		break;
	case 2:
		h->float_count = as_double(f->value);
		h->is_float = true;
		break;
	case 3:
		h->sum = as_double(f->value);
		break;
	case 4:
		h->schema = (int32_t)rw_zigzag((uint32_t)f->value);
		break;
	case 6:
		h->zero = f->value;
		h->float_zero = 0;
		break;
	case 7:
		h->float_zero = as_double(f->value);
		h->zero = 0;
		break;
	case 8:
	case 11:
		add_span(side, f);
		break;
	case 9:
	case 12:
		add_deltas(side, f);
		break;
	case 10:
	case 13:
		add_counts(side, f);
		break;
	case 16:
		add_bounds(h, f);
		break;
	default:
		break;
	}
}

static bool side_valid(const struct histogram *h, const struct side *s)
{
	return !s->gap_negative && !s->negative && !s->overflow &&
	       s->covered == (h->is_float ? s->counts : s->deltas) &&
	       !(h->is_float ? s->deltas : s->counts);
}

/* Buckets between given bounds: all values are positive, and there is one bucket more than bounds. */
static bool custom_valid(const struct histogram *h)
{
	const struct side *negative = &h->sides[0], *positive = &h->sides[1];

	return !h->bad_bounds && !h->zero && h->float_zero == 0 && !negative->spans &&
	       !negative->deltas && !negative->counts && !positive->first_negative &&
	       positive->gaps + positive->covered <= h->bounds + 1;
}

static bool count_valid(const struct histogram *h)
{
	uint64_t total = h->zero;

	if (h->is_float)
		return !(h->float_count < 0) && !(h->float_zero < 0);
	for (size_t i = 0; i < 2; i++)
		if (__builtin_add_overflow(total, h->sides[i].total, &total))
			return false;
	return isnan(h->sum) ? h->count >= total : h->count == total;
}

bool rw_histogram_valid(const uint8_t *at, size_t len)
{
	const uint8_t *end = at + len;
	struct histogram h = {};
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f)))
		add_field(&h, &f);
	if (h.schema == RW_SCHEMA_CUSTOM ? !custom_valid(&h)
					 : h.schema < SCHEMA_MIN || h.schema > SCHEMA_MAX)
		return false;
	return side_valid(&h, &h.sides[0]) && side_valid(&h, &h.sides[1]) && count_valid(&h);
}
