/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

struct world {
	struct rw_scan *scan;
	struct rw_buf buf;
	struct rw_out o;
	struct strbuf text;
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

static void expect_limits(struct world *w, enum rw_version version, const struct rw_limits *l,
			  int r, const char *text)
{
	assert_int_equal(tell(w->scan, version, l, w->buf.data, w->buf.len, &w->text), r);
	assert_string_equal(strbuf_str(&w->text), text);
}

static void expect(struct world *w, enum rw_version version, int r, const char *text)
{
	expect_limits(w, version, &test_limits, r, text);
	w->buf.len = 0;
}

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

static void put_many(struct rw_out *o, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "l%03u", i);
		put_label(o, 1, name, "v");
	}
}

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
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_in_place),
		TEST(test_made_canonical),
		TEST(test_order_of_names),
		TEST(test_forms),
		TEST(test_label_beyond_series),
		TEST(test_long_varints),
		TEST(test_group_depth),
		TEST(test_values),
		TEST(test_invalid1),
		TEST(test_no_samples),
		TEST(test_limits_of_a_series),
		TEST(test_limits_of_a_request),
		TEST(test_why),
		TEST(test_metadata1),
		TEST(test_rw2),
		TEST(test_rw2_usual),
		TEST(test_rw2_refused),
		TEST(test_damaged),
		TEST(test_gathered),
		TEST(test_long_series),
		TEST(test_many_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
