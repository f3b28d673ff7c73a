/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <snappy-c.h>
#include <zstd.h>
#include "route/wire/buf.h"
#include "route/wire/sample_body.h"
#include "route/wire/snappy.h"
#include "test.h"

static uint64_t seed;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Whatever goes in: libsnappy gives it back, and the output is within the bound. */
static void round_trip(struct rw_encoder *e, const void *data, size_t len)
{
	size_t bound = rw_snappy_bound(len), n, back = len;
	_cleanup_(freep) uint8_t *in = malloc(len ? len : 1), *out = malloc(bound), *again = NULL;

	memcpy(in, data, len);
	n = rw_snappy_encode(e, in, len, out);
	assert_true(n > 0 && n <= bound);
	again = malloc(len ? len : 1);
	assert_int_equal(snappy_uncompress((char *)out, n, (char *)again, &back), SNAPPY_OK);
	assert_int_equal(back, len);
	assert_memory_equal(again, data, len);
}

/* Bodies, whole and cut short at many places. */
static void test_bodies(void **state)
{
	_cleanup_(rw_encoder_freep) struct rw_encoder *e = rw_encoder_new();

	for (enum sample_body kind = 0; kind < _SAMPLE_BODY_MAX; kind++)
		for (uint32_t labels = 0; labels <= 40; labels += 20) {
			struct sample_shape shape = { kind, labels, 16 };
			struct rw_buf b = {};

			assert_true(sample_body_rw1(&shape, 5, 700, 1778573000123, &b));
			round_trip(e, b.data, b.len);
			for (size_t len = 0; len < 2000; len++)
				round_trip(e, b.data, len);
			for (size_t i = 0; i < 300; i++)
				round_trip(e, b.data, rnd() % b.len);
			rw_buf_done(&b);
		}
}

/* Bodies with random bytes changed: lengths and tags that lie. */
static void test_damaged_bodies(void **state)
{
	_cleanup_(rw_encoder_freep) struct rw_encoder *e = rw_encoder_new();
	struct sample_shape shape = { SAMPLE_BODY_MIXED, 0, 16 };
	struct rw_buf b = {};

	assert_true(sample_body_rw1(&shape, 0, 60, 1778573000123, &b));
	for (size_t i = 0; i < 20000; i++) {
		uint8_t *at = &b.data[rnd() % b.len];

		*at = rnd() % 4 ? (uint8_t)rnd() : 0x0a;
		round_trip(e, b.data, b.len);
		if (i % 200 == 0) {
			b.len = 0;
			assert_true(sample_body_rw1(&shape, i, 60, 1778573000123, &b));
		}
	}
	rw_buf_done(&b);
}

/* No body at all: random bytes of few and of many values, one byte, long runs; over 64 KiB too. */
static void test_random(void **state)
{
	_cleanup_(rw_encoder_freep) struct rw_encoder *e = rw_encoder_new();
	_cleanup_(freep) uint8_t *data = malloc(300000);

	for (size_t i = 0; i < 3000; i++) {
		size_t len = i < 100 ? i : rnd() % (i % 100 ? 4000 : 300000);
		unsigned values = 1 + (unsigned)(rnd() % (i % 3 ? 4 : 256));

		for (size_t k = 0; k < len; k++)
			data[k] = rnd() % 9 ? (uint8_t)(rnd() % values) : 0x0a;
		if (len && rnd() % 2)
			data[0] = 0x0a;
		round_trip(e, data, len);
	}
}

/* Series of nothing before those of the body: there is no byte before the first. */
static void test_short_series(void **state)
{
	_cleanup_(rw_encoder_freep) struct rw_encoder *e = rw_encoder_new();
	struct sample_shape shape = { SAMPLE_BODY_MIXED, 0, 16 };

	for (unsigned n = 1; n < 20; n++) {
		struct rw_buf b = {};

		for (unsigned i = 0; i < n; i++)
			assert_true(rw_buf_add(&b, "\x0a\0", 2));
		assert_true(sample_body_rw1(&shape, 0, 60, 1778573000123, &b));
		round_trip(e, b.data, b.len);
		rw_buf_done(&b);
	}
}

/* Series whose like is more than 64 KiB, and more than 2 KiB, before. */
static void test_distances(void **state)
{
	_cleanup_(rw_encoder_freep) struct rw_encoder *e = rw_encoder_new();
	struct sample_shape shape = { SAMPLE_BODY_MIXED, 0, 0 };
	struct rw_buf b = {};

	for (unsigned round = 0; round < 3; round++)
		assert_true(sample_body_rw1(&shape, 0, 400, 1778573000123 + round, &b));
	assert_true(b.len > 3 * 65536);
	round_trip(e, b.data, b.len);
	rw_buf_done(&b);
}

/* It is there to make bodies small: on those of the benchmark to less than a quarter. */
static void test_ratio(void **state)
{
	_cleanup_(rw_encoder_freep) struct rw_encoder *e = rw_encoder_new();

	for (enum sample_body kind = 0; kind < _SAMPLE_BODY_MAX; kind++) {
		struct sample_shape shape = { kind, 0, 0 };
		struct rw_buf b = {};
		_cleanup_(freep) uint8_t *out = NULL;

		assert_true(sample_body_rw1(&shape, 0, 2000, 1778573000123, &b));
		out = malloc(rw_snappy_bound(b.len));
		assert_true(rw_snappy_encode(e, b.data, b.len, out) < b.len / 4);
		rw_buf_done(&b);
	}
}

static int decode(enum rw_encoding encoding, const void *data, size_t len, size_t max, size_t *ret)
{
	uint8_t *buf = NULL;
	size_t size = 0;
	int r = rw_decode(encoding, data, len, max, &buf, &size, ret);

	free(buf);
	return r;
}

/* GW-RX-3: what a header claims is checked before memory is given. */
static void test_snappy_claims(void **state)
{
	static const struct {
		const char *name, *data;
		size_t len, max;
		int r;
	} cases[] = {
		{ "4 GiB in ten bytes", "\xff\xff\xff\xff\x0f\0\0\0\0\0", 10, 128 << 20, -E2BIG },
		{ "4 GiB, no limit", "\xff\xff\xff\xff\x0f\0\0\0\0\0", 10, SIZE_MAX / 2, -EBADMSG },
		{ "over the limit by one", "\x05\x10hello", 7, 4, -E2BIG },
		{ "at the limit", "\x05\x10hello", 7, 5, 0 },
		{ "empty message", "\0", 1, 5, 0 },
		{ "no bytes", "", 0, 5, -EBADMSG },
		{ "endless varint", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10, 128 << 20,
		  -EBADMSG },
		{ "framed", "\xff\x06\0\0sNaPpY\1\x09\0\0", 14, 128 << 20, -EBADMSG },
		{ "cut short", "\x05\x10hell", 6, 100, -EBADMSG },
		{ "longer than it says", "\x04\x10hello", 7, 100, -EBADMSG },
	};

	size_t size = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = 77;
		int r = decode(RW_ENCODING_SNAPPY, cases[i].data, cases[i].len, cases[i].max, &len);

		if (r != cases[i].r)
			fail_msg("%s: %d", cases[i].name, r);
		assert_true(r == 0 || len == 77);
	}
	/* More than 64 times its size, by one. */
	assert_int_equal(
		rw_decoded_size(RW_ENCODING_SNAPPY, "\x80\5\0\0\0\0\0\0\0\0", 10, 1000, &size), 0);
	assert_int_equal(size, 640);
	assert_int_equal(rw_decoded_size(RW_ENCODING_SNAPPY, "\x81\5\0\0\0\0\0\0\0\0", 10, 1000,
					 &size),
			 -EBADMSG);
}

static size_t zstd(uint8_t *out, size_t size, const void *data, size_t len, int window, bool claim)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_inBuffer in = { data, len, 0 };
	ZSTD_outBuffer o = { out, size, 0 };

	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window);
	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, claim);
	if (claim)
		ZSTD_CCtx_setPledgedSrcSize(c, len);
	assert_int_equal(ZSTD_compressStream2(c, &o, &in, ZSTD_e_end), 0);
	ZSTD_freeCCtx(c);
	return o.pos;
}

static void test_zstd(void **state)
{
	const size_t len = 20 << 20, size = 1 << 20;
	_cleanup_(freep) uint8_t *data = calloc(1, len), *out = malloc(size), *buf = NULL;
	size_t n, got = 0, buf_size = 0;

	memcpy(data + 1000, "hello", 5);
	for (unsigned claim = 0; claim < 2; claim++) {
		n = zstd(out, size, data, 100000, 20, claim);
		assert_int_equal(rw_decode(RW_ENCODING_ZSTD, out, n, 100000, &buf, &buf_size, &got),
				 0);
		assert_int_equal(got, 100000);
		assert_memory_equal(buf, data, got);
		assert_int_equal(decode(RW_ENCODING_ZSTD, out, n, 99999, &got), -E2BIG);
		for (size_t cut = 0; cut < n; cut++)
			assert_int_equal(decode(RW_ENCODING_ZSTD, out, cut, 200000, &got),
					 -EBADMSG);
		n += zstd(out + n, size - n, data, 70000, 20, claim); /* a second frame */
		assert_int_equal(rw_decode(RW_ENCODING_ZSTD, out, n, 170000, &buf, &buf_size, &got),
				 0);
		assert_int_equal(got, 170000);
		assert_int_equal(decode(RW_ENCODING_ZSTD, out, n, 169999, &got), -E2BIG);
		out[n] = 'x'; /* and then rubbish */
		assert_int_equal(decode(RW_ENCODING_ZSTD, out, n + 1, 200000, &got), -EBADMSG);
	}
	assert_true(buf_size <= 400000); /* what was decoded, not what was thinkable */
	n = zstd(out, size, data, len, 23, false);
	assert_int_equal(decode(RW_ENCODING_ZSTD, out, n, len, &got), 0);
	n = zstd(out, size, data, len, 24, false); /* a window of 16 MiB */
	assert_int_equal(decode(RW_ENCODING_ZSTD, out, n, len, &got), -EBADMSG);
	n = zstd(out, size, data, len, 20, false); /* a bomb */
	assert_int_equal(decode(RW_ENCODING_ZSTD, out, n, 1 << 20, &got), -E2BIG);
	n = zstd(out, size, data, 0, 20, true);
	assert_int_equal(decode(RW_ENCODING_ZSTD, out, n, 5, &got), 0);
	assert_int_equal(got, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies),	      cmocka_unit_test(test_damaged_bodies),
		cmocka_unit_test(test_random),	      cmocka_unit_test(test_short_series),
		cmocka_unit_test(test_distances),     cmocka_unit_test(test_ratio),
		cmocka_unit_test(test_snappy_claims), cmocka_unit_test(test_zstd),
	};

	seed = 0x9e3779b97f4a7c15;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
