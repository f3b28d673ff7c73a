/* SPDX-License-Identifier: Apache-2.0 */
/* GW-CV-1..6, GW-TX-4, GW-TS-2 */
#include "route/wire/block.h"
#include "wire.h"

struct world {
	struct rw_scan *scan;
	struct rw_buf buf;
	struct rw_out o;
	struct strbuf text;
	uint64_t losses[_RW_LOSS_MAX];
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(rw_scan_new(&w->scan), 0);
	w->o.buf = &w->buf;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	rw_scan_free(w->scan);
	rw_buf_done(&w->buf);
	strbuf_done(&w->text);
	free(w);
	return 0;
}

/* w->buf in the other version, in place. */
static void convert(struct world *w, enum rw_version from, enum rw_version to,
		    const struct rw_convert_options *o)
{
	uint8_t *body = NULL;
	size_t len = 0;

	memset(w->losses, 0, sizeof(w->losses));
	assert_int_equal(
		rw_body_convert(w->buf.data, w->buf.len, from, to, o, &body, &len, w->losses), 0);
	w->buf.len = 0;
	assert_true(rw_buf_add(&w->buf, body, len));
	free(body);
}

static void expect(struct world *w, enum rw_version version, const char *text)
{
	assert_int_equal(tell(w->scan, version, &test_limits, w->buf.data, w->buf.len, &w->text),
			 0);
	assert_string_equal(strbuf_str(&w->text), text);
	assert_int_equal(rw_scan_totals(w->scan)->invalid_series, 0);
}

static void put_exemplar1(struct rw_out *o, const char *labels, double value, int64_t ts)
{
	size_t open = rw_out_open(o, 3);

	put_labels(o, labels);
	rw_out_tag(o, 2, RW_FIXED64);
	rw_out_add(o, &value, 8);
	rw_out_uint(o, 3, (uint64_t)ts);
	rw_out_close(o, open);
}

/* RW1 → RW2 → RW1 is the identity, to the byte: unusual samples and exemplars, all bits, order of exemplar labels. */
static void test_identity(void **state)
{
	static const struct rw_convert_options o = { .send_custom_buckets = true };
	struct world *w = *state;
	size_t open, inner;
	struct rw_buf before = {};

	put_series1(&w->o, "__name__=up,job=node", 1, 1778573000123);
	open = rw_out_open(&w->o, 1);
	put_labels(&w->o, "__name__=up,caf\303\251=\n\",job=other");
	put_sample_bits(&w->o, 0x7ff0000000000002, INT64_MIN, 0);
	put_sample_bits(&w->o, 0x8000000000000000, 5, 0);
	put_sample_bits(&w->o, 0x7ff8dead00000001, INT64_MAX, 0);
	put_exemplar1(&w->o, "trace=1,span=2", 0.25, -7);
	put_exemplar1(&w->o, "", 3, 8);
	rw_out_close(&w->o, open);
	open = rw_out_open(&w->o, 1);
	put_labels(&w->o, "__name__=h");
	put_exemplar1(&w->o, "trace=1", 0.25, -7);
	put_histogram(&w->o, 4, 1778573000123, 3, 0);
	put_histogram(&w->o, 4, 1778573000124, RW_SCHEMA_CUSTOM, 0);
	rw_out_close(&w->o, open);
	inner = rw_out_open(&w->o, 3);
	rw_out_uint(&w->o, 1, 2);
	rw_out_bytes(&w->o, 2, "up", 2);
	rw_out_bytes(&w->o, 4, "Is it up?", 9);
	rw_out_close(&w->o, inner);
	assert_true(rw_buf_add(&before, w->buf.data, w->buf.len));

	convert(w, RW1, RW2, &o);
	expect(w, RW2,
	       "__name__=up,job=node s1778573000123=1 m;"
	       "__name__=up,caf\303\251=\n\",job=other s-9223372036854775808=nan s5=-0 "
	       "s9223372036854775807=nan e2 m;"
	       "__name__=h h1778573000123 h1778573000124 e1;");
	convert(w, RW2, RW1, &o);
	/* Metadata comes behind the first series of its family. */
	assert_int_equal(w->buf.len, before.len);
	open = 0;
	for (const uint8_t *at = before.data; at < before.data + before.len;) {
		struct rw_field f;
		const uint8_t *end = rw_field_get(at, before.data + before.len, &f);

		assert_non_null(memmem(w->buf.data, w->buf.len, at, (size_t)(end - at)));
		at = end;
		open++;
	}
	assert_int_equal(open, 4);
	for (size_t i = 0; i < _RW_LOSS_MAX; i++)
		assert_int_equal(w->losses[i], 0);
	rw_buf_done(&before);
}

/* GW-CV-4: both kinds in one series become two, exemplars go with the samples; exemplars alone are lost and counted. */
static void test_mixed(void **state)
{
	static const struct rw_convert_options o = {};
	struct world *w = *state;
	size_t open = rw_out_open(&w->o, 1);

	put_labels(&w->o, "__name__=x");
	put_sample(&w->o, 1, 1);
	put_exemplar1(&w->o, "a=b", 1, 1);
	put_histogram(&w->o, 4, 2, 0, 0);
	rw_out_close(&w->o, open);
	open = rw_out_open(&w->o, 1);
	put_labels(&w->o, "__name__=y");
	put_exemplar1(&w->o, "a=b", 1, 1);
	put_exemplar1(&w->o, "a=b", 1, 1);
	rw_out_close(&w->o, open);
	convert(w, RW1, RW2, &o);
	expect(w, RW2, "__name__=x s1=1 e1;__name__=x h2;");
	assert_int_equal(w->losses[RW_LOSS_ORPHAN_EXEMPLAR], 2);
}

static void put_series2(struct rw_out *o, const char *refs, int64_t start, bool histogram,
			int32_t schema, int64_t created)
{
	size_t open = rw_out_open(o, 5);

	put_refs(o, 1, refs);
	if (histogram)
		put_histogram(o, 3, 5, schema, start);
	else
		put_sample_bits(o, 0x3ff0000000000000, 5, start);
	if (created)
		rw_out_uint(o, 6, (uint64_t)created);
	rw_out_close(o, open);
}

/* GW-CV-2, 3: what RW1 cannot hold is left out and counted. */
static void test_to_rw1(void **state)
{
	struct rw_convert_options o = {};
	struct world *w = *state;

	for (unsigned send = 0; send < 2; send++) {
		w->buf.len = 0;
		o.send_custom_buckets = send;
		put_symbols(&w->o, "__name__,a,b,c,d,e");
		put_series2(&w->o, "12", 3, false, 0, 0);
		put_series2(&w->o, "13", 0, false, 0, 4);
		put_series2(&w->o, "14", 3, true, 0, 4);
		put_series2(&w->o, "15", 0, true, RW_SCHEMA_CUSTOM, 0);
		put_series2(&w->o, "16", 0, false, 0, 0);
		convert(w, RW2, RW1, &o);
		expect(w, RW1,
		       send ? "__name__=a s5=1;__name__=b s5=1;__name__=c h5;__name__=d h5;"
			      "__name__=e s5=1;"
			    : "__name__=a s5=1;__name__=b s5=1;__name__=c h5;__name__=e s5=1;");
		assert_int_equal(w->losses[RW_LOSS_START_TIMESTAMP], 3);
		assert_int_equal(w->losses[RW_LOSS_CUSTOM_BUCKETS], !send);
	}
}

/* GW-TX-4, GW-RX-11: a sample's own start wins, the series' stands in. */
static void test_starts(void **state)
{
	static const struct {
		enum rw_start_timestamp start;
		const char *text;
		unsigned losses;
	} cases[] = {
		{ RW_START_SAMPLE,
		  "__name__=a s5=1/3;__name__=a s5=1/4;__name__=a s5=1/3;"
		  "__name__=a h5/3;__name__=a s5=1;__name__=b s1=1/1 s2=1/2;",
		  0 },
		{ RW_START_SERIES,
		  "__name__=a s5=1 c3;__name__=a s5=1 c4;__name__=a s5=1 c3;"
		  "__name__=a h5 c3;__name__=a s5=1;__name__=b s1=1 s2=1 c2;",
		  1 },
		{ RW_START_BOTH,
		  "__name__=a s5=1/3 c3;__name__=a s5=1/4 c4;__name__=a s5=1/3 c3;"
		  "__name__=a h5/3 c3;__name__=a s5=1;__name__=b s1=1/1 s2=1/2 c2;",
		  0 },
		{ RW_START_AS_IS,
		  "__name__=a s5=1/3;__name__=a s5=1 c4;__name__=a s5=1/3 c4;"
		  "__name__=a h5/3;__name__=a s5=1;__name__=b s1=1/1 s2=1/2;",
		  0 },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct rw_convert_options o = { .start = cases[i].start };
		size_t open;

		w->buf.len = 0;
		put_symbols(&w->o, "__name__,a,b");
		put_series2(&w->o, "12", 3, false, 0, 0);
		put_series2(&w->o, "12", 0, false, 0, 4);
		put_series2(&w->o, "12", 3, false, 0, 4);
		put_series2(&w->o, "12", 3, true, 0, 0);
		put_series2(&w->o, "12", 0, false, 0, 0);
		open = rw_out_open(&w->o, 5);
		put_refs(&w->o, 1, "13");
		put_sample_bits(&w->o, 0x3ff0000000000000, 1, 1);
		put_sample_bits(&w->o, 0x3ff0000000000000, 2, 2);
		rw_out_close(&w->o, open);
		convert(w, RW2, RW2, &o);
		expect(w, RW2, cases[i].text);
		assert_int_equal(w->losses[RW_LOSS_START_TIMESTAMP], cases[i].losses);
	}
}

/* GW-CV-5: RW2 metadata once a family, the suffix cut off those of histograms and summaries only. */
static void test_metadata(void **state)
{
	static const struct rw_convert_options o = {};
	static const struct {
		uint32_t type;
		const char *refs, *family;
	} cases[] = {
		{ 3, "12", "rpc_seconds" },
		{ 3, "13", NULL },
		{ 1, "14", "calls_total" },
		{ 0, "15", NULL },
	};
	struct world *w = *state;
	struct rw_metadata m;

	put_symbols(&w->o, "__name__,rpc_seconds_bucket,rpc_seconds_sum,calls_total,x,Help.");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t open = rw_out_open(&w->o, 5), inner;

		put_refs(&w->o, 1, cases[i].refs);
		put_sample(&w->o, 1, 1);
		inner = rw_out_open(&w->o, 5);
		rw_out_uint(&w->o, 1, cases[i].type);
		if (cases[i].type)
			rw_out_uint(&w->o, 3, 6);
		rw_out_close(&w->o, inner);
		rw_out_close(&w->o, open);
	}
	convert(w, RW2, RW1, &o);
	assert_int_equal(rw_scan_begin(w->scan, RW1, &test_limits, w->buf.data, w->buf.len), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (!cases[i].family)
			continue;
		assert_int_equal(rw_scan_metadata(w->scan, &m), 1);
		assert_int_equal(m.type, cases[i].type);
		assert_int_equal(m.family.len, strlen(cases[i].family));
		assert_memory_equal(m.family.at, cases[i].family, m.family.len);
		assert_memory_equal(m.help.at, "Help.", 5);
	}
	assert_int_equal(rw_scan_metadata(w->scan, &m), 0);
	convert(w, RW1, RW2, &o); /* and back, by name or less its suffix */
	expect(w, RW2,
	       "__name__=rpc_seconds_bucket s1=1 m;__name__=rpc_seconds_sum s1=1 m;"
	       "__name__=calls_total s1=1 m;__name__=x s1=1;");
}

/* Halves of a body hold all of it, in order; symbols that a half does not need are gone. */
static void test_slice(void **state)
{
	static const struct rw_convert_options o = {};
	struct world *w = *state;

	for (enum rw_version v = RW1; v <= RW2; v++) {
		w->buf.len = 0;
		for (unsigned i = 0; i < 5; i++) {
			char labels[64];

			snprintf(labels, sizeof(labels), "__name__=x,only_in=%u", i);
			put_series1(&w->o, labels, i, i);
		}
		if (v == RW2)
			convert(w, RW1, RW2, &o);
		for (uint32_t first = 0; first < 6; first++)
			for (uint32_t n = 0; n < 7; n++) {
				char want[512] = "";
				uint32_t series = 0;
				uint8_t *part = NULL;
				size_t len = 0;

				for (uint32_t i = first; i < MIN(first + n, 5U); i++)
					snprintf(want + strlen(want), 64,
						 "__name__=x,only_in=%u s%u=%u;", i, i, i);
				assert_int_equal(rw_body_slice(w->buf.data, w->buf.len, v, first, n,
							       &part, &len, &series),
						 0);
				assert_int_equal(series, 5);
				assert_int_equal(
					tell(w->scan, v, &test_limits, part, len, &w->text), 0);
				assert_string_equal(strbuf_str(&w->text), want);
				if (v == RW2 && n == 1 && first < 5)
					assert_true(len < 60);
				free(part);
			}
	}
}

static void test_bad_body(void **state)
{
	static const struct rw_convert_options o = {};
	struct world *w = *state;
	uint32_t series = 7;
	uint8_t *ret = NULL;
	size_t len = 0;

	assert_int_equal(rw_body_convert("\x0a\x05", 2, RW1, RW2, &o, &ret, &len, w->losses),
			 -EBADMSG);
	assert_int_equal(rw_body_slice("\x0a\x05", 2, RW1, 0, 1, &ret, &len, &series), -EBADMSG);
	assert_null(ret);
	assert_int_equal(series, 7);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_identity), TEST(test_mixed), TEST(test_to_rw1),   TEST(test_starts),
		TEST(test_metadata), TEST(test_slice), TEST(test_bad_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
