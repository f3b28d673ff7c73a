/* SPDX-License-Identifier: Apache-2.0 */
/* What a block holds (GW-QU-1), rollback (GW-RX-5), sealing, and that nothing is allocated once memory has grown (GW-RX-19). */
#include "route/wire/block.h"
#include "route/wire/sample_body.h"
#include "wire.h"

/* Linked with --wrap: every allocation of the rooms under test comes by. */
static unsigned allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}
void *__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t size)
{
	allocations++;
	return __real_realloc(p, size);
}
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	allocations++;
	return __real_reallocarray(p, n, size);
}

struct world {
	struct rw_scan *scan;
	struct rw_block *blocks[_RW_VERSION_MAX];
	struct rw_encoder *encoder;
	struct rw_buf body, scratch;
	struct strbuf text;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct rw_convert_options o = {};

	assert_non_null(w);
	assert_int_equal(rw_scan_new(&w->scan), 0);
	for (enum rw_version v = RW1; v <= RW2; v++)
		assert_int_equal(rw_block_new(v, &o, &w->blocks[v]), 0);
	w->encoder = rw_encoder_new();
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	rw_scan_free(w->scan);
	rw_block_free(w->blocks[RW1]);
	rw_block_free(w->blocks[RW2]);
	rw_encoder_free(w->encoder);
	rw_buf_done(&w->body);
	rw_buf_done(&w->scratch);
	strbuf_done(&w->text);
	free(w);
	return 0;
}

/* All series of a body into a block, by turns as they are and with labels of their own. */
static void fill(struct world *w, struct rw_block *b, enum rw_version version, struct rw_span body,
		 unsigned changed)
{
	const struct rw_limits none = { .require_metric_name = true };
	struct rw_series s;
	unsigned i = 0;

	assert_int_equal(rw_scan_begin(w->scan, version, &none, body.at, body.len), 0);
	for (; rw_scan_next(w->scan, &s) == 1; i++) {
		bool own = changed && i % changed == 0;

		assert_int_equal(rw_block_add(b, &s, own ? s.labels + 1 : NULL, s.n_labels - 1), 0);
	}
}

static struct rw_span body_of(struct world *w, enum rw_version v)
{
	struct rw_span body;

	assert_true(rw_block_body(w->blocks[v], &w->scratch, &body));
	return body;
}

static void make_body(struct world *w, uint32_t n)
{
	const struct sample_shape shape = { SAMPLE_BODY_MIXED, 0, 16 };

	w->body.len = 0;
	assert_true(sample_body_rw1(&shape, 0, n, 1778573000123, &w->body));
}

static struct rw_span sample(struct world *w)
{
	return (struct rw_span){ w->body.data, w->body.len };
}

/* GW-CV-6: canonical series of the same version are the sender's bytes. */
static void test_same_bytes(void **state)
{
	struct world *w = *state;
	struct rw_span body;

	make_body(w, 50);
	fill(w, w->blocks[RW1], RW1, sample(w), 0);
	body = body_of(w, RW1);
	assert_int_equal(body.len, w->body.len);
	assert_memory_equal(body.at, w->body.data, body.len);
	assert_int_equal(rw_block_info(w->blocks[RW1])->series, 50);
	assert_int_equal(rw_block_info(w->blocks[RW1])->samples, 50);
	assert_int_equal(rw_block_info(w->blocks[RW1])->raw_bytes, body.len);
	assert_int_equal(rw_block_info(w->blocks[RW1])->min_ts, 1778573000123);
}

/* RW2: symbols[0] is "", none comes twice, none is missing; by way of an RW2 body the same. */
static void test_symbols(void **state)
{
	struct world *w = *state;
	_cleanup_(rw_block_freep) struct rw_block *again = NULL;
	const struct rw_convert_options o = {};
	struct rw_buf scratch = {};
	struct rw_span body, second;
	unsigned symbols = 0;

	make_body(w, 100);
	fill(w, w->blocks[RW2], RW1, sample(w), 0);
	body = body_of(w, RW2);
	for (const uint8_t *at = body.at, *end = at + body.len; at < end;) {
		struct rw_field f, other;
		const uint8_t *next = rw_field_get(at, end, &f);

		if (f.number == 4) {
			assert_true(symbols++ || f.len == 0);
			for (const uint8_t *b = next;
			     b < end && (b = rw_field_get(b, end, &other));)
				assert_false(other.number == 4 && other.len == f.len &&
					     memcmp(other.at, f.at, f.len) == 0);
		}
		at = next;
	}
	assert_true(symbols > 20);
	assert_int_equal(rw_block_new(RW2, &o, &again), 0);
	fill(w, again, RW2, body, 0);
	assert_true(rw_block_body(again, &scratch, &second));
	assert_int_equal(second.len, body.len);
	assert_memory_equal(second.at, body.at, body.len);
	rw_buf_done(&scratch);
}

/* A request that another queue refused leaves no row and no symbol behind, whatever came before and comes after. */
static void test_rollback(void **state)
{
	struct world *w = *state;
	struct rw_buf other = {}, before = {};

	put_series1(&(struct rw_out){ &other, false }, "__name__=kept,a=b", 1, 1778573000999);
	make_body(w, 400); /* enough for the table of symbols to grow meanwhile */
	for (enum rw_version v = RW1; v <= RW2; v++) {
		struct rw_block_mark mark;
		struct rw_block_info info, now;

		fill(w, w->blocks[v], RW1, (struct rw_span){ other.data, other.len }, 0);
		before.len = 0;
		assert_true(rw_buf_add(&before, body_of(w, v).at, body_of(w, v).len));
		info = *rw_block_info(w->blocks[v]);
		assert_int_equal(rw_block_mark(w->blocks[v], &mark), 0);
		for (unsigned i = 0; i < 2; i++) {
			fill(w, w->blocks[v], RW1, sample(w), 0);
			assert_true(body_of(w, v).len > 1000);
			rw_block_rollback(w->blocks[v], &mark);
			assert_int_equal(body_of(w, v).len, before.len);
			assert_memory_equal(body_of(w, v).at, before.data, before.len);
			now = *rw_block_info(w->blocks[v]);
			assert_memory_equal(&info, &now, sizeof(info));
		}
		fill(w, w->blocks[v], RW1, (struct rw_span){ other.data, other.len }, 0);
		assert_int_equal(tell(w->scan, v, &test_limits, body_of(w, v).at, body_of(w, v).len,
				      &w->text),
				 0);
		assert_string_equal(
			strbuf_str(&w->text),
			"__name__=kept,a=b s1778573000999=1;__name__=kept,a=b s1778573000999=1;");
		rw_block_reset(w->blocks[v]);
		assert_int_equal(rw_block_info(w->blocks[v])->raw_bytes, 0);
	}
	rw_buf_done(&other);
	rw_buf_done(&before);
}

/* A symbol of a request that was taken back is not believed to be there in the rest of the same request. */
static void test_rollback_within_a_request(void **state)
{
	struct world *w = *state;
	struct rw_out o = { &w->body, false };
	struct rw_block *b = w->blocks[RW2];
	struct rw_block_mark mark;
	struct rw_series s;

	assert_int_equal(rw_block_mark(b, &mark), 0);
	put_symbols(&o, "__name__,x");
	for (unsigned i = 0; i < 2; i++) {
		size_t open = rw_out_open(&o, 5);

		put_refs(&o, 1, "12");
		put_sample(&o, 1, i);
		rw_out_close(&o, open);
	}
	assert_int_equal(rw_scan_begin(w->scan, RW2, &test_limits, w->body.data, w->body.len), 0);
	assert_int_equal(rw_scan_next(w->scan, &s), 1);
	assert_int_equal(rw_block_add(b, &s, NULL, 0), 0);
	rw_block_rollback(b, &mark);
	assert_int_equal(rw_scan_next(w->scan, &s), 1);
	assert_int_equal(rw_block_add(b, &s, NULL, 0), 0);
	assert_int_equal(tell(w->scan, RW2, &test_limits, body_of(w, RW2).at, body_of(w, RW2).len,
			      &w->text),
			 0);
	assert_string_equal(strbuf_str(&w->text), "__name__=x s1=1;");
}

/* Changed labels replace those of the series in all four ways from version to version. */
static void test_changed_labels(void **state)
{
	static const struct rw_label labels[] = { { "__name__", "new", 8, 3 }, { "z", "1", 1, 1 } };
	struct world *w = *state;
	struct rw_buf bodies[_RW_VERSION_MAX] = {};
	size_t open;

	put_series1(&(struct rw_out){ &bodies[RW1], false }, "__name__=x,b=c", 1, 5);
	put_symbols(&(struct rw_out){ &bodies[RW2], false }, "__name__,x,b,c");
	open = rw_out_open(&(struct rw_out){ &bodies[RW2], false }, 5);
	put_refs(&(struct rw_out){ &bodies[RW2], false }, 1, "1234");
	put_sample(&(struct rw_out){ &bodies[RW2], false }, 1, 5);
	rw_out_close(&(struct rw_out){ &bodies[RW2], false }, open);
	for (enum rw_version from = RW1; from <= RW2; from++)
		for (enum rw_version to = RW1; to <= RW2; to++) {
			struct rw_series s;

			rw_block_reset(w->blocks[to]);
			assert_int_equal(rw_scan_begin(w->scan, from, &test_limits,
						       bodies[from].data, bodies[from].len),
					 0);
			assert_int_equal(rw_scan_next(w->scan, &s), 1);
			assert_int_equal(rw_block_add(w->blocks[to], &s, labels, 2), 0);
			assert_int_equal(rw_block_add(w->blocks[to], &s, NULL, 0), 0);
			assert_int_equal(tell(w->scan, to, &test_limits, body_of(w, to).at,
					      body_of(w, to).len, &w->text),
					 0);
			assert_string_equal(strbuf_str(&w->text),
					    "__name__=new,z=1 s5=1;__name__=x,b=c s5=1;");
		}
	rw_buf_done(&bodies[RW1]);
	rw_buf_done(&bodies[RW2]);
}

static void put_many_labels(struct rw_out *o, unsigned n)
{
	size_t open = rw_out_open(o, 1);

	for (unsigned i = 0; i < n; i++) {
		char name[8];

		snprintf(name, sizeof(name), "l%02u", i);
		put_label(o, 1, name, "value");
	}
	put_sample(o, 1, TS);
	rw_out_close(o, open);
}

/* Random edits of labels, many of them to a part of the sender's text: the bytes are those of rw_canon(). */
static void test_edited_labels(void **state)
{
	struct world *w = *state;
	const struct rw_limits none = {};
	struct rw_block *b = w->blocks[RW1];
	uint64_t seed = 88172645463325252;
	static const char other[] = "other";
	struct rw_series s;

	put_many_labels(&(struct rw_out){ &w->body, false }, 60);
	assert_true(sample_body_rw1(&(struct sample_shape){ SAMPLE_BODY_MIXED, 0, 16 }, 0, 200,
				    1778573000123, &w->body));
	assert_int_equal(rw_scan_begin(w->scan, RW1, &none, w->body.data, w->body.len), 0);
	while (rw_scan_next(w->scan, &s) == 1) {
		for (unsigned round = 0; round < 50; round++) {
			struct rw_label edited[64];
			uint8_t canon[8192];
			size_t n = 0, len;
			struct rw_field f;

			for (uint32_t i = 0; i < s.n_labels; i++) {
				seed = seed * 6364136223846793005 + 1442695040888963407;
				if (seed >> 60 == 0)
					continue;
				edited[n] = s.labels[i];
				if (seed >> 60 == 1)
					edited[n].value_len--;
				else if (seed >> 60 == 2)
					edited[n].value = other;
				else if (seed >> 60 == 3)
					edited[n].name++, edited[n].name_len--;
				n++;
			}
			for (size_t i = 0; i < n; i++)
				if (edited[i].value == other)
					edited[i].value_len = 5;
			len = rw_canon(edited, n, canon, sizeof(canon));
			rw_block_reset(b);
			assert_int_equal(rw_block_add(b, &s, edited, n), 0);
			assert_non_null(rw_field_get(body_of(w, RW1).at,
						     body_of(w, RW1).at + body_of(w, RW1).len, &f));
			assert_int_equal(f.len, len + s.samples.len);
			assert_memory_equal(f.at, canon, len);
			assert_memory_equal(f.at + len, s.samples.at, s.samples.len);
		}
	}
}

/* Each codec gives the body back. */
static void test_seal(void **state)
{
	static const struct {
		enum rw_codec codec;
		enum rw_snappy snappy;
		enum rw_encoding encoding;
	} cases[] = {
		{ RW_CODEC_SNAPPY, RW_SNAPPY_OWN, RW_ENCODING_SNAPPY },
		{ RW_CODEC_SNAPPY, RW_SNAPPY_LIB, RW_ENCODING_SNAPPY },
		{ RW_CODEC_ZSTD, RW_SNAPPY_OWN, RW_ENCODING_ZSTD },
	};
	struct world *w = *state;
	uint8_t *back = NULL;
	size_t back_size = 0, back_len;

	make_body(w, 300);
	for (enum rw_version v = RW1; v <= RW2; v++) {
		fill(w, w->blocks[v], RW1, sample(w), 0);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct rw_span sealed;

			assert_int_equal(rw_block_seal(w->blocks[v], w->encoder, cases[i].codec,
						       cases[i].snappy, &sealed),
					 0);
			assert_true(sealed.len < rw_block_info(w->blocks[v])->raw_bytes * 3 / 4);
			assert_int_equal(rw_decode(cases[i].encoding, sealed.at, sealed.len,
						   1 << 20, &back, &back_size, &back_len),
					 0);
			assert_int_equal(back_len, body_of(w, v).len);
			assert_memory_equal(back, body_of(w, v).at, back_len);
		}
	}
	free(back);
}

/* The sealed bytes of @packed, decoded, are the body that @rows holds. */
static void assert_packed(struct world *w, struct rw_block *packed)
{
	struct rw_span sealed, body = body_of(w, RW1);
	uint8_t *back = NULL;
	size_t back_size = 0, back_len;

	assert_int_equal(rw_block_info(packed)->raw_bytes,
			 rw_block_info(w->blocks[RW1])->raw_bytes);
	assert_int_equal(rw_block_seal(packed, w->encoder, RW_CODEC_SNAPPY, RW_SNAPPY_OWN, &sealed),
			 0);
	assert_int_equal(rw_decode(RW_ENCODING_SNAPPY, sealed.at, sealed.len, 1 << 24, &back,
				   &back_size, &back_len),
			 0);
	assert_int_equal(back_len, body.len);
	assert_memory_equal(back, body.at, back_len);
	free(back);
}

static void unordered(struct world *w);

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/*
 * Rows that are compressed as they come give the same body, whatever they are and however often some are taken back: usual ones in many windows, histograms,
 * series of the other version, metadata.
 */
static void test_packed(void **state)
{
	struct world *w = *state;
	struct rw_block *packed;
	struct rw_buf usual = {}, odd = {}, rw2 = {};
	const struct rw_span text = { (const uint8_t *)"family", 6 };

	make_body(w, 700);
	assert_true(rw_buf_add(&usual, sample(w).at, sample(w).len));
	fill(w, w->blocks[RW2], RW1, sample(w), 0);
	assert_true(rw_buf_add(&rw2, body_of(w, RW2).at, body_of(w, RW2).len));
	w->body.len = 0;
	unordered(w);
	assert_true(rw_buf_add(&odd, sample(w).at, sample(w).len));
	assert_int_equal(rw_block_new_packed(&(struct rw_convert_options){}, &packed), 0);
	for (unsigned round = 0; round < 40; round++) {
		struct rw_block *both[] = { packed, w->blocks[RW1] };

		for (size_t i = 0; i < 2; i++) {
			struct rw_block_mark mark;

			if (round % 10 == 0)
				rw_block_reset(both[i]);
			assert_int_equal(rw_block_mark(both[i], &mark), 0);
			if (round % 7 == 3)
				fill(w, both[i], RW1, (struct rw_span){ odd.data, odd.len }, 0);
			if (round % 5 == 2)
				fill(w, both[i], RW2, (struct rw_span){ rw2.data, rw2.len }, 0);
			if (round % 11 == 5)
				assert_int_equal(
					rw_block_add_metadata(both[i], 1, text, text, text), 0);
			fill(w, both[i], RW1, (struct rw_span){ usual.data, usual.len }, round % 3);
			if (round % 4 == 1)
				rw_block_rollback(both[i], &mark);
		}
		assert_packed(w, packed);
	}
	rw_block_free(packed);
	rw_buf_done(&usual);
	rw_buf_done(&odd);
	rw_buf_done(&rw2);
}

/* A row like its neighbours but for any byte of value, time and labels: some differ, some are equal by chance. */
static void put_random(struct rw_out *o, uint64_t *random)
{
	static const char *const names[] = { "a", "bb", "cluster", "instance" };
	static const char *const values[] = { "x",
					      "yy",
					      "10.0.0.1:9100",
					      "10.0.0.12:9100",
					      "checkout-0000000-00001",
					      "checkout-0000000-00002-and-then-some-more" };
	size_t open = rw_out_open(o, 1);
	uint64_t bits = 0x3ff0000000000000, r;
	int64_t ts = 1778573000123;

	put_label(o, 1, "__name__", "up_with_a_usual_name");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		r = next_random(random);
		if (r % 8)
			put_label(o, 1, names[i], values[(r >> 8) % ARRAY_SIZE(values)]);
	}
	r = next_random(random);
	if (r % 4 == 0)
		bits ^= (uint64_t)(r >> 8 & 0xff) << (r >> 16) % 64;
	r = next_random(random);
	if (r % 2)
		ts ^= (int64_t)(r >> 8 & 0x7f) << (r >> 16) % 40;
	put_sample_bits(o, bits, ts, 0);
	rw_out_close(o, open);
}

static void test_packed_random(void **state)
{
	struct world *w = *state;
	uint64_t random = 7;
	struct rw_block *packed;

	assert_int_equal(rw_block_new_packed(&(struct rw_convert_options){}, &packed), 0);
	for (unsigned round = 0; round < 3000; round++) {
		struct rw_block *both[] = { packed, w->blocks[RW1] };
		struct rw_out o = { &w->body, false };

		w->body.len = 0;
		for (unsigned i = 0; i < 40; i++)
			put_random(&o, &random);
		for (size_t i = 0; i < 2; i++) {
			if (round % 16 == 0)
				rw_block_reset(both[i]);
			fill(w, both[i], RW1, sample(w), round % 4);
		}
		assert_packed(w, packed);
	}
	rw_block_free(packed);
}

/* Series that are not canonical, out of order, and of both versions are part of the work. */
static void unordered(struct world *w)
{
	struct rw_out o = { &w->body, false };

	for (unsigned i = 0; i < 20; i++) {
		size_t open = rw_out_open(&o, 1);

		put_labels(&o, "z=1,empty=,__name__=x,caf\303\251=2");
		put_sample(&o, 1, 1000 - i);
		put_sample(&o, 1, 500 - i);
		put_histogram(&o, 4, 900, 0, 0);
		put_histogram(&o, 4, 800, 0, 0);
		rw_out_close(&o, open);
	}
}

static void test_no_allocation(void **state)
{
	struct world *w = *state;
	struct rw_block *packed;
	struct rw_span sealed;
	struct rw_buf rw2 = {};

	assert_int_equal(rw_block_new_packed(&(struct rw_convert_options){}, &packed), 0);
	make_body(w, 500);
	unordered(w);
	fill(w, w->blocks[RW2], RW1, sample(w), 0);
	assert_true(rw_buf_add(&rw2, body_of(w, RW2).at, body_of(w, RW2).len));
	for (unsigned round = 0; round < 4; round++) {
		if (round == 2) {
			assert_true(allocations > 100); /* they are seen */
			allocations = 0;
		}
		for (enum rw_version to = RW1; to <= RW2; to++) {
			struct rw_block *b = w->blocks[to];

			rw_block_reset(b);
			fill(w, b, RW1, sample(w), 3);
			fill(w, b, RW2, (struct rw_span){ rw2.data, rw2.len }, 3);
			assert_int_equal(rw_block_seal(b, w->encoder, RW_CODEC_SNAPPY,
						       RW_SNAPPY_OWN, &sealed),
					 0);
		}
		rw_block_reset(packed);
		fill(w, packed, RW1, sample(w), 3);
		assert_int_equal(rw_block_seal(packed, w->encoder, RW_CODEC_SNAPPY, RW_SNAPPY_OWN,
					       &sealed),
				 0);
	}
	assert_int_equal(allocations, 0);
	rw_buf_done(&rw2);
	rw_block_free(packed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_same_bytes),	   TEST(test_symbols),
		TEST(test_rollback),	   TEST(test_rollback_within_a_request),
		TEST(test_changed_labels), TEST(test_edited_labels),
		TEST(test_seal),	   TEST(test_no_allocation),
		TEST(test_packed),	   TEST(test_packed_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
