/* SPDX-License-Identifier: Apache-2.0 */
/* Series as they are given: in place where they are canonical, made so where they are not; both versions. */
#include "scan_world.h"

/* GW-RX-14: nothing is copied of a series as senders write it, and its parts lie one behind the other. */
static void test_in_place(void **state)
{
	struct world *w = *state;
	struct rw_series s;

	put_series1(&w->o, "__name__=up,job=node", 1, 1778573000123);
	put_series1(&w->o, "__name__=up,job=other", 0.5, 1778573000124);
	assert_int_equal(rw_scan_begin(w->scan, RW1, &test_limits, w->buf.data, w->buf.len), 0);
	assert_int_equal(rw_scan_next(w->scan, &s), 1);
	assert_ptr_equal(s.canon.at, w->buf.data + 2);
	assert_ptr_equal(s.samples.at, s.canon.at + s.canon.len);
	assert_int_equal(s.canon.len, 29);
	assert_int_equal(s.n_samples, 1);
	assert_int_equal(s.min_ts, 1778573000123);
	assert_int_equal(s.max_ts, 1778573000123);
	assert_int_equal(rw_scan_next(w->scan, &s), 1);
	assert_int_equal(s.min_ts, 1778573000124);
	assert_int_equal(rw_scan_next(w->scan, &s), 0);
	assert_int_equal(rw_scan_totals(w->scan)->series, 2);
	assert_int_equal(rw_scan_totals(w->scan)->samples, 2);
	assert_string_equal(rw_scan_why(w->scan), "");
}

/* Sorted, without empty values, samples in order of time and stable; the canonical bytes are made anew. */
static void test_made_canonical(void **state)
{
	struct world *w = *state;
	struct rw_label labels[] = { { "__name__", "x", 8, 1 },
				     { "a", "1", 1, 1 },
				     { "b", "2", 1, 1 } };
	uint8_t canon[64];
	size_t len = rw_canon(labels, 3, canon, sizeof(canon)), open = rw_out_open(&w->o, 1);
	struct rw_series s;

	put_sample(&w->o, 1, 30);
	put_labels(&w->o, "b=2,gone=,a=1");
	put_sample(&w->o, 2, 20);
	put_labels(&w->o, "__name__=x");
	put_sample(&w->o, 3, 20);
	put_sample(&w->o, 4, -5);
	rw_out_close(&w->o, open);
	assert_int_equal(rw_scan_begin(w->scan, RW1, &test_limits, w->buf.data, w->buf.len), 0);
	assert_int_equal(rw_scan_next(w->scan, &s), 1);
	assert_int_equal(s.canon.len, len);
	assert_memory_equal(s.canon.at, canon, len);
	assert_int_equal(s.min_ts, -5);
	assert_int_equal(s.max_ts, 30);
	assert_int_equal(rw_scan_totals(w->scan)->empty_labels, 1);
	expect(w, RW1, 0, "__name__=x,a=1,b=2 s-5=4 s20=2 s20=3 s30=1;");
}

/* A prefix of eight equal bytes and lengths beside them decide nothing wrong. */
static void test_order_of_names(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "__name__=x,container=1,containers=2", "__name__=x,container=1,containers=2" },
		{ "__name__=x,containers=2,container=1", "__name__=x,container=1,containers=2" },
		{ "__name__=x,containerz=1,containera=2", "__name__=x,containera=2,containerz=1" },
		{ "a\1=2,a=1,__name__=x", "__name__=x,a=1,a\1=2" },
		{ "Z=1,__name__=x,a=2", "Z=1,__name__=x,a=2" },
		{ "__name__=x,caf\303\251=1,caf=2", "__name__=x,caf=2,caf\303\251=1" },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char want[128];

		put_series1(&w->o, cases[i].in, 1, TS);
		snprintf(want, sizeof(want), "%s" AT_TS ";", cases[i].out);
		expect(w, RW1, 0, want);
	}
}

static void put_hex(struct rw_out *o, const char *hex)
{
	for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2 + (hex[2] == ' '))
		rw_out_add(o, &(uint8_t){ (uint8_t)byte }, 1);
}

/* GW-RX-12: labels x=1 with one sample at 5, and around it what protobuf allows or not. */
static void test_forms(void **state)
{
	static const struct {
		const char *name, *hex;
		int r;
		const char *text;
	} cases[] = {
		{ "short", "0a13 0a0d0a085f5f6e616d655f5f120178 12021005", 0, "__name__=x s5=0;" },
		{ "last scalar wins", "0a15 0a0d0a085f5f6e616d655f5f120178 120410091005", 0,
		  "__name__=x s5=0;" },
		{ "last name wins", "0a16 0a10 0a0161 0a085f5f6e616d655f5f120178 12021005", 0,
		  "__name__=x s5=0;" },
		{ "unknown fields",
		  "7a0161 7805 7901020304050607087d01020304 "
		  "0a13 0a0d0a085f5f6e616d655f5f120178 12021005 7b08017c",
		  0, "__name__=x s5=0;" },
		{ "group within a series", "0a17 0a0d0a085f5f6e616d655f5f120178 7b08017c 12021005",
		  0, "__name__=x s5=0;" },
		{ "group of another number ends", "7b0801 8401", -EBADMSG, "" },
		{ "group without an end", "7b0801", -EBADMSG, "" },
		{ "end without a group", "7c", -EBADMSG, "" },
		{ "wire type 6", "0e00", -EBADMSG, "" },
		{ "wire type 7", "0f00", -EBADMSG, "" },
		{ "field number 0", "0200", -EBADMSG, "" },
		{ "series as a varint", "0801", -EBADMSG, "" },
		{ "label as a varint", "0a020801", -EBADMSG, "" },
		{ "value as a varint", "0a0412020801", -EBADMSG, "" },
		{ "varint of ten bytes",
		  "0a1c 0a0d0a085f5f6e616d655f5f120178 120b10ffffffffffffffffff01", 0,
		  "__name__=x s-1=0;" },
		{ "varint of eleven bytes",
		  "0a1d 0a0d0a085f5f6e616d655f5f120178 120c10ffffffffffffffffff8101", -EBADMSG,
		  "" },
		{ "nothing", "", 0, "" },
		{ "a series beyond the end", "0a05 0a", -EBADMSG, "" },
		{ "length of 2^63", "0affffffffffffffff7f", -EBADMSG, "" },
	};
	static const uint8_t unknown[600];
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put_hex(&w->o, cases[i].hex);
		if (tell(w->scan, RW1, &test_limits, w->buf.data, w->buf.len, &w->text) !=
			    cases[i].r ||
		    !streq(strbuf_str(&w->text), cases[i].text))
			fail_msg("%s: '%s'", cases[i].name, strbuf_str(&w->text));
		rw_out_bytes(&w->o, 15, unknown,
			     sizeof(unknown)); /* nothing gets right by what follows */
		assert_int_equal(tell(w->scan, RW1, &test_limits, w->buf.data, w->buf.len,
				      &w->text),
				 cases[i].r);
		w->buf.len = 0;
	}
}

/* A label that begins in the last byte of its series; what is behind that is a field of its own, and looks like the rest of the label. */
static void test_label_beyond_series(void **state)
{
	struct world *w = *state;
	uint8_t value[117];

	memset(value, 'x', sizeof(value));
	value[6] = 0x7a; /* field 15 up to the end of the label */
	value[7] = 109;
	put_hex(&w->o, "0a10 0a0d0a085f5f6e616d655f5f120178 0a 7a 0a0161 1275");
	rw_out_add(&w->o, value, sizeof(value));
	rw_out_bytes(&w->o, 15, (uint8_t[600]){}, 600);
	expect(w, RW1, -EBADMSG, "");
}

/* Lengths in more bytes than they need: the canonical form is made in scratch. */
static void test_long_varints(void **state)
{
	struct world *w = *state;
	struct rw_series s;

	put_hex(&w->o, "0a16 0a9000 0a88005f5f6e616d655f5f1281007812021005");
	w->buf.data[1] = (uint8_t)(w->buf.len - 2);
	w->buf.data[3] = 0x8f;
	assert_int_equal(rw_scan_begin(w->scan, RW1, &test_limits, w->buf.data, w->buf.len), 0);
	assert_int_equal(rw_scan_next(w->scan, &s), 1);
	assert_int_equal(s.canon.len, 15);
	assert_memory_equal(s.canon.at, "\n\r\n\10__name__\22\1x", 15);
}

static void test_group_depth(void **state)
{
	struct world *w = *state;

	for (unsigned depth = 31; depth <= 34; depth++) {
		for (unsigned i = 0; i < depth; i++)
			rw_out_varint(&w->o, RW_TAG(15, RW_GROUP));
		for (unsigned i = 0; i < depth; i++)
			rw_out_varint(&w->o, RW_TAG(15, RW_GROUP_END));
		expect(w, RW1, depth <= 32 ? 0 : -EBADMSG, "");
	}
}

/* GW-RX-13: bits of values and all of int64. */
static void test_values(void **state)
{
	static const uint64_t bits[] = { 0x7ff0000000000002, 0x7ff8000000000001, 0x8000000000000000,
					 0x7ff0000000000000, 0xfff0000000000000, 1,
					 0xfff800000000beef };
	static const int64_t times[] = { INT64_MIN, -1, 0, 1, 1778573000123, INT64_MAX };
	struct world *w = *state;
	struct rw_series s;

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		for (size_t t = 0; t < ARRAY_SIZE(times); t++) {
			size_t open = rw_out_open(&w->o, 1);
			struct rw_sample x;
			struct rw_field f;

			put_labels(&w->o, "__name__=x");
			put_sample_bits(&w->o, bits[i], times[t], 0);
			rw_out_close(&w->o, open);
			assert_int_equal(rw_scan_begin(w->scan, RW1, &test_limits, w->buf.data,
						       w->buf.len),
					 0);
			assert_int_equal(rw_scan_next(w->scan, &s), 1);
			rw_field_get(s.samples.at, s.samples.at + s.samples.len, &f);
			x = rw_sample_get(f.at, f.len);
			assert_true(x.value == bits[i] && x.ts == times[t]);
			assert_true(s.min_ts == times[t] && s.max_ts == times[t]);
			w->buf.len = 0;
		}
}

static void test_metadata1(void **state)
{
	struct world *w = *state;
	struct rw_metadata m;
	size_t open = rw_out_open(&w->o, 3);

	rw_out_uint(&w->o, 1, 1);
	rw_out_bytes(&w->o, 2, "http_requests", 13);
	rw_out_bytes(&w->o, 4, "Requests.", 9);
	rw_out_close(&w->o, open);
	put_series1(&w->o, "__name__=x", 1, 1);
	open = rw_out_open(&w->o, 3); /* without a family: left out */
	rw_out_bytes(&w->o, 4, "?", 1);
	rw_out_close(&w->o, open);
	assert_int_equal(rw_scan_begin(w->scan, RW1, &test_limits, w->buf.data, w->buf.len), 0);
	assert_int_equal(rw_scan_metadata(w->scan, &m), 1);
	assert_int_equal(m.type, 1);
	assert_memory_equal(m.family.at, "http_requests", 13);
	assert_int_equal(m.help.len, 9);
	assert_int_equal(m.unit.len, 0);
	assert_int_equal(rw_scan_metadata(w->scan, &m), 0);
}

/* GW-RX-9, 11, 12: symbols 1 __name__, 2 up, 3 job, 4 node, 5 invalid, 6 seconds */
static void test_rw2(void **state)
{
	static const struct {
		const char *refs;
		bool unpacked, symbols_last;
		const char *text;
		int reason;
	} cases[] = {
		{ "1234", false, false, "__name__=up,job=node s5=1/3 m c4;", -1 },
		{ "1234", false, true, "__name__=up,job=node s5=1/3 m c4;", -1 },
		{ "1234", true, false, "__name__=up,job=node s5=1/3 m c4;", -1 },
		{ "3412", false, false, "__name__=up,job=node s5=1/3 m c4;", -1 },
		{ "123412", false, false, "", RW_DUPLICATE_LABEL },
		{ "123", false, false, "", RW_ODD_SYMBOL_REFS },
		{ "1239", true, true, "", RW_BAD_SYMBOL_REF },
		{ "9234", false, false, "", RW_BAD_SYMBOL_REF },
		{ "", false, false, "", RW_NO_LABELS },
		{ "34", false, false, "", RW_MISSING_METRIC_NAME },
		{ "1204", false, false, "", RW_EMPTY_LABEL_NAME },
		{ "1230", false, false, "__name__=up s5=1/3 m c4;", -1 },
		{ "1235", false, false, "", RW_INVALID_UTF8 },
	};
	static const char symbols[] = "__name__,up,job,node,\xff,seconds";
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t open, inner;

		if (!cases[i].symbols_last)
			put_symbols(&w->o, symbols);
		open = rw_out_open(&w->o, 5);
		if (cases[i].unpacked)
			for (const char *c = cases[i].refs; *c; c++)
				rw_out_uint(&w->o, 1, (uint64_t)(*c - '0'));
		else
			put_refs(&w->o, 1, cases[i].refs);
		put_sample_bits(&w->o, 0x3ff0000000000000, 5, 3);
		inner = rw_out_open(&w->o, 5);
		rw_out_uint(&w->o, 1, 2);
		rw_out_uint(&w->o, 4, 6);
		rw_out_close(&w->o, inner);
		rw_out_uint(&w->o, 6, 4);
		rw_out_close(&w->o, open);
		if (cases[i].symbols_last)
			put_symbols(&w->o, symbols);
		expect(w, RW2, 0, cases[i].text);
		for (int r = 0; r < _RW_INVALID_MAX; r++)
			assert_int_equal(rw_scan_totals(w->scan)->invalid[r], r == cases[i].reason);
	}
}

/* Labels and nothing but a sample of today: symbols 1 __name__, 2 up, 3 job, 4 node, 5 __name__s, 6 invalid */
static void test_rw2_usual(void **state)
{
	static const struct {
		const char *refs, *text;
		int reason;
	} cases[] = {
		{ "1234", "__name__=up,job=node" AT_TS ";", -1 },
		{ "125434", "__name__=up,__name__s=node,job=node" AT_TS ";", -1 },
		{ "541234", "__name__=up,__name__s=node,job=node" AT_TS ";", -1 },
		{ "3412", "__name__=up,job=node" AT_TS ";", -1 },
		{ "121234", "", RW_DUPLICATE_LABEL },
		{ "34", "", RW_MISSING_METRIC_NAME },
		{ "54", "", RW_MISSING_METRIC_NAME },
		{ "123", "", RW_ODD_SYMBOL_REFS },
		{ "1299", "", RW_BAD_SYMBOL_REF },
		{ "1239", "", RW_BAD_SYMBOL_REF },
		{ "1230", "__name__=up" AT_TS ";", -1 },
		{ "0412", "", RW_EMPTY_LABEL_NAME },
		{ "", "", RW_NO_LABELS },
		{ "1236", "", RW_INVALID_UTF8 },
	};
	static const char symbols[] = "__name__,up,job,node,__name__s,\xff";
	struct world *w = *state;

	put_symbols(&w->o, "a,b,c,d,e,f,g,h,i,j"); /* those of the request before mean nothing */
	expect(w, RW2, 0, "");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t open;

		put_symbols(&w->o, cases[i].reason == RW_INVALID_UTF8
					   ? symbols
					   : "__name__,up,job,node,__name__s");
		open = rw_out_open(&w->o, 5);
		put_refs(&w->o, 1, cases[i].refs);
		put_sample(&w->o, 1, TS);
		rw_out_close(&w->o, open);
		expect(w, RW2, 0, cases[i].text);
		for (int r = 0; r < _RW_INVALID_MAX; r++)
			assert_int_equal(rw_scan_totals(w->scan)->invalid[r], r == cases[i].reason);
	}
}

/* Histograms are sorted as samples are, and fields between fields do not tear a part apart. */
static void test_gathered(void **state)
{
	struct world *w = *state;
	size_t open = rw_out_open(&w->o, 1);

	put_labels(&w->o, "__name__=x");
	put_histogram(&w->o, 4, 9, 0, 0);
	put_sample(&w->o, 1, 1);
	put_histogram(&w->o, 4, 8, 0, 0);
	put_sample(&w->o, 2, 2);
	rw_out_close(&w->o, open);
	expect(w, RW1, 0, "__name__=x s1=1 s2=2 h8 h9;");
	assert_int_equal(rw_scan_totals(w->scan)->histograms, 2);

	open = rw_out_open(&w->o, 1); /* usual at first */
	put_labels(&w->o, "__name__=x");
	put_sample(&w->o, 1, TS);
	put_labels(&w->o, "a=1");
	rw_out_close(&w->o, open);
	put_series1(&w->o, "__name__=next", 1, TS);
	expect(w, RW1, 0, "__name__=x,a=1" AT_TS ";__name__=next" AT_TS ";");

	for (enum rw_version v = RW1; v <= RW2; v++) {
		if (v == RW2)
			put_symbols(&w->o, "__name__,x");
		open = rw_out_open(&w->o, v == RW1 ? 1 : 5);
		if (v == RW1)
			put_labels(&w->o, "__name__=x");
		else
			put_refs(&w->o, 1, "12");
		put_sample(&w->o, 1, TS);
		put_sample(&w->o, 2, TS - 1);
		rw_out_close(&w->o, open);
		expect(w, v, 0, "__name__=x s1778573000122=2" AT_TS ";");
	}
}

/* Hostile: a million labels, samples backwards. It ends, and soon. */
static void test_long_series(void **state)
{
	struct world *w = *state;
	size_t open = rw_out_open(&w->o, 1);

	for (unsigned i = 0; i < 300000; i++)
		put_label(&w->o, 1, "a", "b");
	put_sample(&w->o, 1, 1);
	rw_out_close(&w->o, open);
	open = rw_out_open(&w->o, 1);
	put_labels(&w->o, "__name__=x");
	for (int64_t i = 300000; i; i--)
		put_sample(&w->o, 1, i);
	rw_out_close(&w->o, open);
	assert_int_equal(tell(w->scan, RW1, &(struct rw_limits){ .labels = 128 }, w->buf.data,
			      w->buf.len, &w->text),
			 0);
	assert_int_equal(rw_scan_totals(w->scan)->invalid[RW_LABEL_LIMIT], 1);
	assert_memory_equal(strbuf_str(&w->text), "__name__=x s1=1 s2=1 ", 21);
}

/* More than the walk remembers of labels: the series behind are looked at the long way, and are the same. */
static void test_many_labels(void **state)
{
	struct world *w = *state;
	size_t open = rw_out_open(&w->o, 1), len;
	struct rw_series s;
	unsigned n = 0;

	put_many(&w->o, 255);
	put_sample(&w->o, 1, TS);
	rw_out_close(&w->o, open);
	len = w->buf.len;
	for (unsigned i = 1; i < 9000; i++) {
		assert_true(rw_buf_room(&w->buf, len));
		memcpy(w->buf.data + w->buf.len, w->buf.data, len);
		w->buf.len += len;
	}
	assert_int_equal(
		rw_scan_begin(w->scan, RW1, &(struct rw_limits){}, w->buf.data, w->buf.len), 0);
	for (; rw_scan_next(w->scan, &s) == 1; n++) {
		assert_int_equal(s.n_labels, 255);
		assert_int_equal(s.canon.len, len - 3 - s.samples.len);
		assert_ptr_equal(s.canon.at, w->buf.data + n * len + 3);
		assert_ptr_equal(s.samples.at, s.canon.at + s.canon.len);
	}
	assert_int_equal(n, 9000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_in_place),
		TEST(test_made_canonical),
		TEST(test_order_of_names),
		TEST(test_forms),
		TEST(test_label_beyond_series),
		TEST(test_long_varints),
		TEST(test_group_depth),
		TEST(test_values),
		TEST(test_metadata1),
		TEST(test_rw2),
		TEST(test_rw2_usual),
		TEST(test_gathered),
		TEST(test_long_series),
		TEST(test_many_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
