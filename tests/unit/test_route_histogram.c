/* SPDX-License-Identifier: Apache-2.0 */
/* GW-RX-16 */
#include <math.h>
#include "wire.h"

struct side {
	int32_t offsets[3];
	uint32_t lengths[3];
	unsigned n_spans;
	double values[4]; /* deltas or counts */
	unsigned n;
};

struct histogram {
	const char *name;
	bool valid, is_float, packed_not;
	double count, zero, sum;
	int32_t schema;
	struct side positive, negative;
	double bounds[4];
	unsigned n_bounds;
};

static const struct histogram cases[] = {
	{ "empty", true },
	{ "zero bucket only", true, .count = 3, .zero = 3 },
	{ "positive", true, .count = 5, .positive = { { 0 }, { 2 }, 1, { 2, 1 }, 2 } },
	{ "not packed", true, .packed_not = true, .count = 5,
	  .positive = { { 0 }, { 2 }, 1, { 2, 1 }, 2 } },
	{ "negative", true, .count = 5, .negative = { { -3 }, { 2 }, 1, { 2, 1 }, 2 } },
	{ "both, two spans", true, .count = 9, .zero = 1,
	  .positive = { { -2, 3 }, { 1, 1 }, 2, { 2, 1 }, 2 },
	  .negative = { { 0 }, { 1 }, 1, { 3 }, 1 } },
	{ "schema 8", true, .schema = 8 },
	{ "schema -4", true, .schema = -4 },
	{ "schema 9", false, .schema = 9 },
	{ "schema -5", false, .schema = -5 },
	{ "schema -52", false, .schema = -52 },
	{ "count too small", false, .count = 4, .positive = { { 0 }, { 2 }, 1, { 2, 1 }, 2 } },
	{ "count too large", false, .count = 6, .positive = { { 0 }, { 2 }, 1, { 2, 1 }, 2 } },
	{ "count larger, sum NaN", true, .count = 6, .sum = NAN,
	  .positive = { { 0 }, { 2 }, 1, { 2, 1 }, 2 } },
	{ "count smaller, sum NaN", false, .count = 4, .sum = NAN,
	  .positive = { { 0 }, { 2 }, 1, { 2, 1 }, 2 } },
	{ "more buckets than spans cover", false, .count = 5,
	  .positive = { { 0 }, { 1 }, 1, { 2, 1 }, 2 } },
	{ "fewer buckets than spans cover", false, .count = 2,
	  .positive = { { 0 }, { 2 }, 1, { 2 }, 1 } },
	{ "second offset negative", false, .count = 5,
	  .positive = { { 0, -1 }, { 1, 1 }, 2, { 2, 1 }, 2 } },
	{ "negative bucket", false, .count = 1, .positive = { { 0 }, { 2 }, 1, { 2, -3 }, 2 } },
	{ "float", true, .is_float = true, .count = 1, .zero = 0.5,
	  .positive = { { 0 }, { 2 }, 1, { 2.5, 0 }, 2 } },
	{ "float, negative bucket", false, .is_float = true,
	  .positive = { { 0 }, { 1 }, 1, { -0.5 }, 1 } },
	{ "float, negative zero bucket", false, .is_float = true, .zero = -1 },
	{ "float, negative count", false, .is_float = true, .count = -1 },
	{ "float, too few", false, .is_float = true, .positive = { { 0 }, { 2 }, 1, { 1 }, 1 } },
	{ "custom", true, .schema = -53, .count = 3, .positive = { { 0 }, { 2 }, 1, { 1, 1 }, 2 },
	  .bounds = { 0.5, 1 }, .n_bounds = 2 },
	{ "custom, overflow bucket", true, .schema = -53, .count = 1,
	  .positive = { { 2 }, { 1 }, 1, { 1 }, 1 }, .bounds = { 0.5, 1 }, .n_bounds = 2 },
	{ "custom, beyond it", false, .schema = -53, .count = 1,
	  .positive = { { 3 }, { 1 }, 1, { 1 }, 1 }, .bounds = { 0.5, 1 }, .n_bounds = 2 },
	{ "custom, equal bounds", false, .schema = -53, .bounds = { 1, 1 }, .n_bounds = 2 },
	{ "custom, falling bounds", false, .schema = -53, .bounds = { 1, 0.5 }, .n_bounds = 2 },
	{ "custom, infinite bound", false, .schema = -53, .bounds = { 1, INFINITY },
	  .n_bounds = 2 },
	{ "custom, NaN bound", false, .schema = -53, .bounds = { NAN }, .n_bounds = 1 },
	{ "custom with zero bucket", false, .schema = -53, .count = 1, .zero = 1 },
	{ "custom with negative part", false, .schema = -53, .count = 1,
	  .negative = { { 0 }, { 1 }, 1, { 1 }, 1 } },
	{ "custom, first offset negative", false, .schema = -53, .count = 1,
	  .positive = { { -1 }, { 1 }, 1, { 1 }, 1 }, .bounds = { 1 }, .n_bounds = 1 },
};

static void put_double(struct rw_out *o, uint32_t number, double v)
{
	rw_out_varint(o, RW_TAG(number, RW_FIXED64));
	rw_out_add(o, &v, 8);
}

static uint64_t zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static void put_values(struct rw_out *o, const struct histogram *h, const struct side *s,
		       uint32_t number)
{
	size_t open = h->packed_not ? 0 : rw_out_open(o, number);

	for (unsigned i = 0; i < s->n; i++) {
		if (h->packed_not)
			rw_out_varint(o, RW_TAG(number, RW_VARINT));
		if (h->is_float)
			rw_out_add(o, &s->values[i], 8);
		else
			rw_out_varint(o, zigzag((int64_t)s->values[i]));
	}
	if (!h->packed_not)
		rw_out_close(o, open);
}

static void put_side(struct rw_out *o, const struct histogram *h, const struct side *s,
		     uint32_t spans)
{
	for (unsigned i = 0; i < s->n_spans; i++) {
		size_t open = rw_out_open(o, spans);

		rw_out_uint(o, 1, (uint32_t)zigzag(s->offsets[i]));
		rw_out_uint(o, 2, s->lengths[i]);
		rw_out_close(o, open);
	}
	if (s->n)
		put_values(o, h, s, spans + (h->is_float ? 2 : 1));
}

static void test_cases(void **state)
{
	struct rw_buf buf = {};
	struct rw_out o = { &buf, false };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct histogram *h = &cases[i];

		buf.len = 0;
		if (h->is_float)
			put_double(&o, 2, h->count);
		else
			rw_out_uint(&o, 1, (uint64_t)h->count);
		put_double(&o, 3, h->sum);
		rw_out_uint(&o, 4, (uint32_t)zigzag(h->schema));
		if (h->is_float)
			put_double(&o, 7, h->zero);
		else
			rw_out_uint(&o, 6, (uint64_t)h->zero);
		put_side(&o, h, &h->negative, 8);
		put_side(&o, h, &h->positive, 11);
		if (h->n_bounds) {
			rw_out_varint(&o, RW_TAG(16, RW_BYTES));
			rw_out_varint(&o, h->n_bounds * 8);
			rw_out_add(&o, h->bounds, h->n_bounds * 8);
		}
		if (rw_histogram_valid(buf.data, buf.len) != h->valid)
			fail_msg("%s", h->name);
	}
	rw_buf_done(&buf);
}

/* Sums that leave 64 bits must not come out right by wrapping. */
static void test_overflow(void **state)
{
	struct rw_buf buf = {};
	struct rw_out o = { &buf, false };
	size_t open;

	rw_out_uint(&o, 1, 0);
	open = rw_out_open(&o, 11);
	rw_out_uint(&o, 2, 4);
	rw_out_close(&o, open);
	open = rw_out_open(&o, 12);
	rw_out_varint(&o, zigzag(INT64_C(1) << 62));
	for (unsigned i = 0; i < 3; i++)
		rw_out_varint(&o, 0);
	rw_out_close(&o, open);
	assert_false(rw_histogram_valid(buf.data, buf.len));
	rw_buf_done(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
