/* SPDX-License-Identifier: Apache-2.0 */
/* What is no series, is too much, or is damaged: left out with its reason, or refused whole (GW-RX-15, 17). */
#include "scan_world.h"

/* GW-RX-15, RW1: the reason of each, and that the series beside it are taken. */
static void test_invalid1(void **state)
{
	static const struct {
		const char *labels;
		enum rw_invalid reason;
		const char *why;
	} cases[] = {
		{ "job=x", RW_MISSING_METRIC_NAME, "series 1: missing_metric_name\n" },
		{ "__name__=", RW_NO_LABELS, "series 1: no_labels\n" },
		{ "", RW_NO_LABELS, "series 1: no_labels\n" },
		{ "__name__=x,=y", RW_EMPTY_LABEL_NAME, "series 1: empty_label_name\n" },
		{ "__name__=x,job=1,job=1", RW_DUPLICATE_LABEL,
		  "series 1: duplicate_label \"job\"\n" },
		{ "job=2,__name__=x,job=1", RW_DUPLICATE_LABEL,
		  "series 1: duplicate_label \"job\"\n" },
		{ "__name__=x,a=\xff", RW_INVALID_UTF8, "series 1: invalid_utf8 \"a\"\n" },
		{ "__name__=x,\"\n=\xc0\x80", RW_INVALID_UTF8,
		  "series 1: invalid_utf8 \"\\\"\\n\"\n" },
		{ "__name__=x,\xed\xa0\x80=1", RW_INVALID_UTF8,
		  "series 1: invalid_utf8 \"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"\n" },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct rw_totals *t = rw_scan_totals(w->scan);

		put_series1(&w->o, "__name__=first", 1, TS);
		put_series1(&w->o, cases[i].labels, 1, TS);
		put_series1(&w->o, "__name__=with blank.and-dot,\303\251t\303\251=oui", 1, TS);
		expect(w, RW1, 0,
		       "__name__=first" AT_TS
		       ";__name__=with blank.and-dot,\303\251t\303\251=oui" AT_TS ";");
		assert_string_equal(rw_scan_why(w->scan), cases[i].why);
		assert_int_equal(t->invalid[cases[i].reason], 1);
		assert_int_equal(t->invalid_series, 1);
		assert_int_equal(t->series, 3);
		assert_int_equal(t->samples, 2);
	}
}

static void test_no_samples(void **state)
{
	struct world *w = *state;
	size_t open = rw_out_open(&w->o, 1), inner;

	put_labels(&w->o, "__name__=x");
	rw_out_close(&w->o, open);
	expect(w, RW1, 0, "");
	assert_int_equal(rw_scan_totals(w->scan)->invalid[RW_NO_SAMPLES], 1);

	open = rw_out_open(&w->o, 1); /* exemplars alone are enough */
	put_labels(&w->o, "__name__=x");
	inner = rw_out_open(&w->o, 3);
	put_labels(&w->o, "trace=1");
	rw_out_close(&w->o, inner);
	rw_out_close(&w->o, open);
	expect(w, RW1, 0, "__name__=x e1;");

	open = rw_out_open(&w->o, 1);
	put_labels(&w->o, "__name__=x");
	inner = rw_out_open(&w->o, 3);
	put_labels(&w->o, "trace=\xff");
	rw_out_close(&w->o, inner);
	rw_out_close(&w->o, open);
	expect(w, RW1, 0, "");
	assert_int_equal(rw_scan_totals(w->scan)->invalid[RW_INVALID_UTF8], 1);
}

static void test_limits_of_a_series(void **state)
{
	static const struct {
		const char *name;
		struct rw_limits l;
		bool good;
	} cases[] = {
		{ "at all of them",
		  { .labels = 3, .name_bytes = 8, .value_bytes = 5, .series_bytes = 41 },
		  true },
		{ "labels", { .labels = 2 }, false },
		{ "name", { .name_bytes = 7 }, false },
		{ "value", { .value_bytes = 4 }, false },
		{ "series", { .series_bytes = 40 }, false },
		{ "none", {}, true },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put_series1(&w->o, "__name__=metric", 1, 1);
		w->buf.len = 0;
		put_series1(&w->o, "__name__=first,abc=12345,d=6", 1, 1);
		expect_limits(w, RW1, &cases[i].l, 0,
			      cases[i].good ? "__name__=first,abc=12345,d=6 s1=1;" : "");
		assert_int_equal(rw_scan_totals(w->scan)->invalid[RW_LABEL_LIMIT], !cases[i].good);
		w->buf.len = 0;
	}
	for (unsigned n = 126; n <= 129; n++) { /* of 128, with the name */
		size_t open = rw_out_open(&w->o, 1);

		put_labels(&w->o, "__name__=x");
		put_many(&w->o, n);
		put_sample(&w->o, 1, 1);
		rw_out_close(&w->o, open);
		assert_int_equal(
			tell(w->scan, RW1, &test_limits, w->buf.data, w->buf.len, &w->text), 0);
		assert_int_equal(rw_scan_totals(w->scan)->invalid[RW_LABEL_LIMIT], n > 127);
		w->buf.len = 0;
	}
}

/* GW-RX-17: over a limit of the request, nothing of it is given. */
static void test_limits_of_a_request(void **state)
{
	static const struct {
		struct rw_limits l;
		enum rw_over over;
	} cases[] = {
		{ { .series = 2 }, RW_OVER_SERIES },
		{ { .samples = 2 }, RW_OVER_SAMPLES },
		{ { .series = 3, .samples = 3 }, RW_OVER_NONE },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned n = 0; n < 3; n++)
			put_series1(&w->o, "__name__=x", 1, n);
		expect_limits(w, RW1, &cases[i].l, cases[i].over ? -E2BIG : 0,
			      cases[i].over ? ""
					    : "__name__=x s0=1;__name__=x s1=1;__name__=x s2=1;");
		assert_int_equal(rw_scan_totals(w->scan)->over, cases[i].over);
		w->buf.len = 0;
	}
	put_symbols(&w->o, "a,b,c");
	expect_limits(w, RW2, &(struct rw_limits){ .symbols = 3 }, -E2BIG, "");
	assert_int_equal(rw_scan_totals(w->scan)->over, RW_OVER_SYMBOLS);
}

/* The first ten are told, all are counted; a long text is cut between two characters. */
static void test_why(void **state)
{
	struct world *w = *state;
	char labels[400] = "__name__=x,a", *at = labels + 12;
	const char *why;
	unsigned lines = 0;

	for (unsigned i = 0; i < 100; i++)
		at = stpcpy(at, "\303\251");
	memcpy(at, "=\xff", 3);
	for (unsigned i = 0; i < 12; i++)
		put_series1(&w->o, labels, 1, 1);
	expect(w, RW1, 0, "");
	why = rw_scan_why(w->scan);
	for (const char *c = why; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 10);
	assert_int_equal(rw_scan_totals(w->scan)->invalid_series, 12);
	assert_null(strstr(why, "\xef\xbf\xbd"));
	assert_int_equal(strchr(why, '\n') - why,
			 (long)strlen("series 0: invalid_utf8 \"\"") + 127);
}

static void test_rw2_refused(void **state)
{
	struct world *w = *state;
	size_t open, inner;

	rw_out_bytes(&w->o, 4, "x", 1); /* symbols[0] */
	expect(w, RW2, -EBADMSG, "");

	put_symbols(&w->o, "__name__,up"); /* both kinds in one series */
	open = rw_out_open(&w->o, 5);
	put_refs(&w->o, 1, "12");
	put_sample(&w->o, 1, 5);
	put_histogram(&w->o, 3, 5, 0, 0);
	rw_out_close(&w->o, open);
	expect(w, RW2, 0, "");
	assert_int_equal(rw_scan_totals(w->scan)->invalid[RW_MIXED_SAMPLES_HISTOGRAMS], 1);

	put_symbols(&w->o, "__name__,up"); /* an exemplar alone */
	open = rw_out_open(&w->o, 5);
	put_refs(&w->o, 1, "12");
	inner = rw_out_open(&w->o, 4);
	put_refs(&w->o, 1, "12");
	rw_out_close(&w->o, inner);
	rw_out_close(&w->o, open);
	expect(w, RW2, 0, "");
	assert_int_equal(rw_scan_totals(w->scan)->invalid[RW_NO_SAMPLES], 1);

	for (unsigned i = 0; i < 3; i++) { /* refs of an exemplar and of metadata */
		put_symbols(&w->o, "__name__,up");
		open = rw_out_open(&w->o, 5);
		put_refs(&w->o, 1, "12");
		put_sample(&w->o, 1, 5);
		inner = rw_out_open(&w->o, i < 2 ? 4 : 5);
		if (i < 2)
			put_refs(&w->o, 1, i ? "13" : "121");
		else
			rw_out_uint(&w->o, 3, 3);
		rw_out_close(&w->o, inner);
		rw_out_close(&w->o, open);
		expect(w, RW2, 0, "");
		assert_int_equal(
			rw_scan_totals(w->scan)->invalid[i ? RW_BAD_SYMBOL_REF : RW_ODD_SYMBOL_REFS],
			1);
	}
	expect(w, RW2, 0, "");
}

static void put_rich(struct rw_out *o, enum rw_version version)
{
	size_t open, inner;

	if (version == RW2)
		put_symbols(o, "__name__,up,job,node");
	for (unsigned i = 0; i < 2; i++) {
		open = rw_out_open(o, version == RW1 ? 1 : 5);
		if (version == RW1)
			put_labels(o, "__name__=up,job=node");
		else
			put_refs(o, 1, "1234");
		if (i == 0 || version == RW1)
			put_sample(o, 1, 1778573000123);
		if (i)
			put_histogram(o, version == RW1 ? 4 : 3, 1778573000123, 0, 9);
		inner = rw_out_open(o, version == RW1 ? 3 : 4);
		if (version == RW1)
			put_labels(o, "trace=1");
		else
			put_refs(o, 1, "34");
		rw_out_close(o, inner);
		rw_out_close(o, open);
	}
}

/* Cut at each byte: refused, but between two whole fields; and each byte changed: no crash, no step too far. */
static void test_damaged(void **state)
{
	struct world *w = *state;

	for (enum rw_version v = RW1; v <= RW2; v++) {
		unsigned whole = 0;

		w->buf.len = 0;
		put_rich(&w->o, v);
		for (size_t len = 0; len < w->buf.len; len++) {
			int r = tell(w->scan, v, &test_limits, w->buf.data, len, &w->text);

			whole += r == 0;
			assert_true(r == 0 || r == -EBADMSG);
		}
		assert_int_equal(whole, v == RW1 ? 2 : 7); /* fields */
		for (size_t i = 0; i < w->buf.len; i++)
			for (unsigned bit = 0; bit < 8; bit++) {
				int r;

				w->buf.data[i] ^= (uint8_t)(1 << bit);
				r = tell(w->scan, v, &test_limits, w->buf.data, w->buf.len,
					 &w->text);
				assert_true(r == 0 || r == -EBADMSG);
				w->buf.data[i] ^= (uint8_t)(1 << bit);
			}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_invalid1),
		TEST(test_no_samples),
		TEST(test_limits_of_a_series),
		TEST(test_limits_of_a_request),
		TEST(test_why),
		TEST(test_rw2_refused),
		TEST(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
