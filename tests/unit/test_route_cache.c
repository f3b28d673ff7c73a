/* SPDX-License-Identifier: Apache-2.0 */
/* The decision cache: what comes out is what the rules would make, whatever was evicted in between. */
#include <errno.h>
#include <stdio.h>
#include <xxhash.h>
#include "base/strbuf.h"
#include "route/relabel/cache-key.h"
#include "test.h"

#define SEED 0x1234567890abcdefu

struct series {
	char text[200];
	struct rw_label labels[8];
	size_t n;
	uint8_t canon[400];
	struct rw_span span;
};

static void make(struct series *s, unsigned number)
{
	static const char *const names[] = { "__name__", "env", "host", "job", "pod" };
	static const unsigned kinds[] = { 13, 3, 101, 7, 997 };
	size_t at = 0;

	s->n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int len;

		/* Not all series have all labels. */
		if (i && (number >> i) % 5 == 0)
			continue;
		len = snprintf(s->text + at, sizeof(s->text) - at, "%s-%u", names[i],
			       number * 7919 % kinds[i]);
		s->labels[s->n++] = (struct rw_label){ names[i], s->text + at,
						       (uint32_t)strlen(names[i]), (uint32_t)len };
		at += (size_t)len;
	}
	s->span =
		(struct rw_span){ s->canon, rw_canon(s->labels, s->n, s->canon, sizeof(s->canon)) };
}

static struct relabel *rules(void)
{
	static const char *const job[] = { "job" }, *const two[] = { "host", "env" },
				 *const pod[] = { "pod" };
	static const struct relabel_source list[] = {
		{ .source_labels = job,
		  .n_source_labels = 1,
		  .regex = "job-[56]",
		  .action = "drop" },
		{ .source_labels = two,
		  .n_source_labels = 2,
		  .regex = "host-(.*);env-(.*)",
		  .target_label = "z_$2",
		  .replacement = "$1" },
		{ .source_labels = pod,
		  .n_source_labels = 1,
		  .regex = "pod-1(.)(.*)",
		  .target_label = "a",
		  .replacement = "$2$1" },
		{ .source_labels = pod,
		  .n_source_labels = 1,
		  .regex = "pod-3.*",
		  .target_label = "host",
		  .replacement = "" },
		{ .regex = "env", .action = "labeldrop" },
	};
	struct diags *d = calloc(1, sizeof(*d));
	struct relabel *r = NULL;

	assert_int_equal(relabel_compile(list, ARRAY_SIZE(list), RELABEL_PROMETHEUS, false, "f",
					 "r", d, &r),
			 0);
	free(d);
	return r;
}

/* As the pipeline does it. */
static struct decision through(struct decision_cache *cache, const struct relabel *r,
			       struct relabel_context *c, const struct series *s,
			       const struct rw_label **ret, size_t *ret_n)
{
	struct decision d = {};

	if (cache && decision_cache_find(cache, s->span, c, s->labels, s->n, &d, ret, ret_n))
		return d;
	d.matched = s->n > 3;
	if (d.matched)
		d.result = relabel_apply(r, c, s->labels, s->n, ret, ret_n);
	d.task = (uint32_t)(s->n * 1000);
	d.lane = (uint16_t)s->n;
	if (cache)
		decision_cache_put(cache, s->span, s->labels, s->n, &d, *ret, *ret_n);
	return d;
}

/* GW-RL-17: with and without the cache, bit by bit, with room for all and with room for few. */
static void equal_with_and_without(void **state)
{
	static const size_t sizes[] = { 0, 4096, 40000, 200000, 64 << 20 };
	_cleanup_(relabel_unrefp) struct relabel *r = rules();
	_cleanup_(relabel_context_freep) struct relabel_context *c = NULL, *other = NULL;

	assert_int_equal(relabel_context_new(&c), 0);
	assert_int_equal(relabel_context_new(&other), 0);
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		_cleanup_(decision_cache_freep) struct decision_cache *cache = NULL;
		struct decision_cache_stats stats;
		uint32_t draw = 1;

		assert_int_equal(decision_cache_new(sizes[k], SEED, &cache), 0);
		for (int i = 0; i < 60000; i++) {
			const struct rw_label *want = NULL, *got = NULL;
			uint8_t a[600], b[600];
			size_t n_want = 0, n_got = 0, len;
			struct decision d, e;
			struct series s;

			draw = draw * 1664525 + 1013904223;
			make(&s, (draw >> 16) % 5000);
			d = through(NULL, r, other, &s, &want, &n_want);
			e = through(cache, r, c, &s, &got, &n_got);
			assert_int_equal(d.result, e.result);
			assert_int_equal(d.matched, e.matched);
			assert_int_equal(d.task, e.task);
			assert_int_equal(d.lane, e.lane);
			if (!d.matched || d.result > RELABEL_CHANGED)
				continue;
			len = rw_canon(want, n_want, a, sizeof(a));
			assert_int_equal(rw_canon(got, n_got, b, sizeof(b)), len);
			assert_memory_equal(a, b, len);
		}
		decision_cache_stats(cache, &stats);
		assert_int_equal(stats.hits + stats.misses, 60000);
		/* What it needs for its own existence is below 16 KiB. */
		assert_true(stats.bytes <= sizes[k] || stats.bytes < 16384);
		if (k >= 2)
			assert_true(stats.hits > 0);
		if (k == 2 || k == 3)
			assert_true(stats.evictions > 0);
		if (k == 4) {
			assert_int_equal(stats.evictions, 0);
			assert_int_equal(stats.entries, stats.misses);
		}
		decision_cache_clear(cache);
		decision_cache_stats(cache, &stats);
		assert_int_equal(stats.entries, 0);
	}
}

/* Every way of hashing gives the value of the library. */
static void keys_are_the_same_everywhere(void **state)
{
	uint8_t secret[DECISION_SECRET], text[700];

	decision_key_secret(secret, SEED);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 31);
	for (size_t len = 0; len <= sizeof(text); len++) {
		XXH128_hash_t want = XXH3_128bits_withSeed(text, len, SEED);
		struct decision_key k =
			decision_key_plain((struct rw_span){ text, len }, secret, SEED);

		assert_true(k.low == want.low64 && k.high == want.high64);
#ifdef __x86_64__
		if (!__builtin_cpu_supports("avx2"))
			continue;
		k = decision_key_avx2((struct rw_span){ text, len }, secret, SEED);
		assert_true(k.low == want.low64 && k.high == want.high64);
#endif
	}
}

static void bytes_of_an_entry(void **state)
{
	_cleanup_(decision_cache_freep) struct decision_cache *cache = NULL;
	_cleanup_(relabel_context_freep) struct relabel_context *c = NULL;
	struct decision_cache_stats stats;

	assert_int_equal(relabel_context_new(&c), 0);
	assert_int_equal(decision_cache_new(64 << 20, SEED, &cache), 0);
	for (unsigned i = 0; i < 100000; i++) {
		struct decision d = { .result = i % 2 ? RELABEL_DROP : RELABEL_UNCHANGED };
		struct rw_span key = { (const uint8_t *)&i, sizeof(i) };

		decision_cache_put(cache, key, NULL, 0, &d, NULL, 0);
		decision_cache_stats(cache, &stats);
		if (i > 1000)
			assert_true(stats.bytes <= 96 * stats.entries);
	}
	assert_int_equal(stats.entries, 100000);
}

/* Entries that are asked for stay when others come and go. */
static void second_chance(void **state)
{
	_cleanup_(decision_cache_freep) struct decision_cache *cache = NULL;
	_cleanup_(relabel_context_freep) struct relabel_context *c = NULL;
	struct decision d = { .result = RELABEL_DROP };
	const struct rw_label *labels;
	unsigned wanted[16], kept = 0;
	size_t n;

	assert_int_equal(relabel_context_new(&c), 0);
	assert_int_equal(decision_cache_new(200000, SEED, &cache), 0);
	for (unsigned i = 0; i < 100000; i++) {
		struct rw_span key = { (const uint8_t *)&i, sizeof(i) };

		if (i < 16)
			wanted[i] = i;
		decision_cache_put(cache, key, NULL, 0, &d, NULL, 0);
		for (unsigned k = 0; i % 100 == 99 && k < 16; k++)
			(void)decision_cache_find(
				cache, (struct rw_span){ (const uint8_t *)&wanted[k], 4 }, c, NULL,
				0, &d, &labels, &n);
	}
	for (unsigned k = 0; k < 16; k++)
		kept += decision_cache_find(cache,
					    (struct rw_span){ (const uint8_t *)&wanted[k], 4 }, c,
					    NULL, 0, &d, &labels, &n);
	assert_int_equal(kept, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_with_and_without),
		cmocka_unit_test(keys_are_the_same_everywhere),
		cmocka_unit_test(bytes_of_an_entry),
		cmocka_unit_test(second_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
