/* SPDX-License-Identifier: Apache-2.0 */
/* GW-CV-5: the table of families is bounded and finds by suffix; a node is told once an interval. */
#include "base/time.h"
#include "route/wire/families.h"
#include "test.h"

static struct rw_span span(const char *text)
{
	return (struct rw_span){ (const uint8_t *)text, strlen(text) };
}

static void put(struct rw_families *f, uint64_t tenant, const char *name, uint32_t type,
		const char *help)
{
	const struct rw_metadata m = { type, span(name), span(help), span("s") };

	rw_families_put(f, tenant, &m);
}

static void expect(struct rw_families *f, uint64_t tenant, const char *name, const char *help)
{
	struct rw_metadata m;
	struct rw_buf scratch = {};
	bool found = rw_families_find(f, tenant, name, strlen(name), &scratch, &m);

	assert_int_equal(found, help != NULL);
	if (help) {
		assert_int_equal(m.help.len, strlen(help));
		assert_memory_equal(m.help.at, help, m.help.len);
		assert_int_equal(m.unit.len, 1);
		assert_int_equal(*m.unit.at, 's');
	}
	rw_buf_done(&scratch);
}

static void by_name_and_suffix(void **state)
{
	static const char *const suffixes[] = { "",	  "_bucket", "_sum",
						"_count", "_total",  "_created" };
	_cleanup_(rw_families_freep) struct rw_families *f = NULL;
	struct rw_families_stats s;

	assert_int_equal(rw_families_new(100000, &f), 0);
	put(f, 0, "http_seconds", 3, "Seconds.");
	put(f, 0, "requests_total", 1, "Requests.");
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "http_seconds%s", suffixes[i]);
		expect(f, 0, name, "Seconds.");
	}
	expect(f, 0, "requests_total", "Requests."); /* the whole name first */
	expect(f, 0, "requests", NULL);
	expect(f, 0, "http_seconds_max", NULL);
	expect(f, 1, "http_seconds", NULL); /* another tenant's */
	put(f, 1, "http_seconds", 3, "Theirs.");
	expect(f, 1, "http_seconds", "Theirs.");
	expect(f, 0, "http_seconds", "Seconds.");
	put(f, 0, "http_seconds", 4, "Changed.");
	expect(f, 0, "http_seconds_sum", "Changed.");
	rw_families_stats(f, &s);
	assert_int_equal(s.families, 3);
	assert_int_equal(s.evicted, 0);
}

static void bounded(void **state)
{
	_cleanup_(rw_families_freep) struct rw_families *f = NULL;
	static char large[70000];
	struct rw_families_stats s;

	assert_int_equal(rw_families_new(3, &f), 0);
	put(f, 0, "a", 1, "A");
	put(f, 0, "b", 1, "B");
	put(f, 0, "c", 1, "C");
	expect(f, 0, "a", "A"); /* used: b is the oldest now */
	put(f, 0, "c", 1, "C"); /* said again */
	put(f, 0, "d", 1, "D");
	expect(f, 0, "b", NULL);
	expect(f, 0, "a", "A");
	expect(f, 0, "c", "C");
	rw_families_stats(f, &s);
	assert_int_equal(s.families, 3);
	assert_int_equal(s.evicted, 1);
	/* Texts count, too. */
	memset(large, 'x', sizeof(large) - 1);
	put(f, 0, "e", 1, large);
	expect(f, 0, "e", NULL);
	large[2000] = '\0';
	put(f, 0, "f", 1, large);
	put(f, 0, "g", 1, large);
	rw_families_stats(f, &s);
	assert_true(s.bytes <= 3 * 1024);
	rw_families_limit(f, 1);
	rw_families_stats(f, &s);
	assert_true(s.families <= 1);
	rw_families_limit(f, 0);
	put(f, 0, "a", 1, "A");
	expect(f, 0, "a", NULL);
	rw_families_limit(f, 10000);
	for (unsigned i = 0; i < 20000; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "m%u", i);
		put(f, 0, name, 1, name);
	}
	rw_families_stats(f, &s);
	assert_true(s.families <= 10000 && s.families > 9000);
	expect(f, 0, "m19999", "m19999");
	expect(f, 0, "m0", NULL);
}

static void told_once_an_interval(void **state)
{
	_cleanup_(rw_told_freep) struct rw_told *t = NULL;
	uint64_t now = 1000 * US_PER_SEC, a = rw_told_hash(0, span("a"));

	assert_int_equal(rw_told_new(&t), 0);
	rw_told_interval(t, 10 * US_PER_SEC);
	rw_told_forget(t, a); /* nothing is known yet */
	assert_true(rw_told_due(t, a, now, 0));
	assert_false(rw_told_due(t, a, now, 0));
	assert_true(rw_told_due(t, rw_told_hash(1, span("a")), now, 0));
	assert_false(rw_told_due(t, a, now + 10 * US_PER_SEC - 1, 0));
	assert_true(rw_told_due(t, a, now + 10 * US_PER_SEC, 0));
	now += 10 * US_PER_SEC;
	rw_told_forget(t, a);
	assert_true(rw_told_due(t, a, now, 7));
	assert_true(rw_told_due(t, a, now, 7)); /* the same block again */
	assert_false(rw_told_due(t, a, now, 8));
	assert_false(rw_told_due(t, a, now, 0));
}

static void told_many(void **state)
{
	_cleanup_(rw_told_freep) struct rw_told *t = NULL;
	uint64_t now = 1000 * US_PER_SEC;

	assert_int_equal(rw_told_new(&t), 0);
	rw_told_interval(t, 10 * US_PER_SEC);
	for (unsigned round = 0; round < 2; round++)
		for (uint64_t i = 0; i < 100000; i++)
			assert_int_equal(rw_told_due(t, i * 0x9E3779B97F4A7C15ULL, now, 0),
					 round == 0);
	/* The dead make room for others, again and again. */
	for (unsigned round = 0; round < 20; round++) {
		now += 20 * US_PER_SEC;
		for (uint64_t i = 0; i < 100000; i++)
			assert_true(rw_told_due(t, (i + round) * 0xC2B2AE3D27D4EB4FULL, now, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_name_and_suffix),
		cmocka_unit_test(bounded),
		cmocka_unit_test(told_once_an_interval),
		cmocka_unit_test(told_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
