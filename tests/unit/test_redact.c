/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "agent/events-config.h"
#include "event/redact.h"
#include "test.h"

#define ARGS(s) s, sizeof(s) - 1

static struct redact *with(const char *const *patterns, size_t n)
{
	struct redact *r = NULL;
	char why[256] = "";

	assert_int_equal(redact_new(patterns, n, why, sizeof(why), &r), 0);
	return r;
}

/* The patterns that the agent starts with. */
static struct redact *with_defaults(void)
{
	static const struct config_section sections[] = {
		{ "events", events_config_rows, sizeof(struct events_config) }, {}
	};
	_cleanup_(config_freep) struct config *c = NULL;
	const struct events_config *e;
	struct diags d = {};

	assert_int_equal(config_parse("", 0, "t", sections, &d, &c), 0);
	e = config_section(c, "events");
	return with(e->redact.items, e->redact.n);
}

struct sample {
	const char *in;
	size_t in_len;
	const char *out;
	size_t out_len;
};

static void check(const struct redact *r, const struct sample *samples, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char out[512];
		size_t len = redact_args(r, samples[i].in, samples[i].in_len, out, sizeof(out));

		assert_int_equal(len, samples[i].out_len);
		assert_memory_equal(out, samples[i].out, len);
	}
}

static void test_defaults(void **state)
{
	static const struct sample samples[] = {
		{ ARGS("nginx\0-g\0daemon off;\0"), ARGS("nginx\0-g\0daemon off;\0") },
		{ ARGS("a\0--password=hunter2\0"), ARGS("a\0--password=<redacted>\0") },
		{ ARGS("a\0--password\0hunter2\0b\0"), ARGS("a\0--password\0<redacted>\0b\0") },
		/* The secret stands in the option, another argument follows. */
		{ ARGS("--password=hunter2\0next\0"), ARGS("--password=<redacted>\0next\0") },
		{ ARGS("-token=x\0-apikey\0k\0"),
		  ARGS("-token=<redacted>\0-apikey\0<redacted>\0") },
		{ ARGS("--API-KEY=k\0"), ARGS("--API-KEY=<redacted>\0") },
		{ ARGS("env\0DB_PASSWORD=x y\0sh\0"), ARGS("env\0DB_PASSWORD=<redacted>\0sh\0") },
		{ ARGS("GITHUB_TOKEN=abc"), ARGS("GITHUB_TOKEN=<redacted>\0") },
		{ ARGS("--secret=a\nb\0"), ARGS("--secret=<redacted>\0") },
		{ ARGS("--passwd=\xff\xfe\0"), ARGS("--passwd=<redacted>\0") },
		/* An option that ends the line, and one with an empty successor. */
		{ ARGS("--token\0"), ARGS("--token\0") },
		{ ARGS("--token\0\0a\0"), ARGS("--token\0\0a\0") },
		{ ARGS("--tokens=3\0"), ARGS("--tokens=3\0") },
		{ ARGS("a\0\0b\0"), ARGS("a\0\0b\0") },
		{ ARGS(""), ARGS("") },
	};
	_cleanup_(redact_freep) struct redact *r = with_defaults();

	check(r, samples, ARRAY_SIZE(samples));
}

static void test_every_match_of_every_pattern(void **state)
{
	static const char *const patterns[] = { "(key=)\\S+", "pin \\d+", "(?:user:)(\\w)\\w+" };
	static const struct sample samples[] = {
		{ ARGS("key=a key=b end"), ARGS("key=<redacted> key=<redacted> end\0") },
		{ ARGS("x key=a pin 1234 y"), ARGS("x key=<redacted> <redacted> y\0") },
		{ ARGS("user:bob"), ARGS("<redacted>b<redacted>\0") },
		{ ARGS("key=user:bob"), ARGS("key=<redacted>\0") }, /* hidden by one is hidden */
		/* The pair hides its second half only where a match reaches into it. */
		{ ARGS("-c\0key=a b\0"), ARGS("-c\0key=<redacted> b\0") },
		{ ARGS("-pin\0001234\0"), ARGS("-pin\0<redacted>\0") },
	};
	_cleanup_(redact_freep) struct redact *r = with(patterns, ARRAY_SIZE(patterns));

	check(r, samples, ARRAY_SIZE(samples));
}

static void test_empty_match_hides_nothing(void **state)
{
	static const char *const patterns[] = { "x*" };
	static const struct sample samples[] = { { ARGS("axxb\0c\0"), ARGS("a<redacted>b\0c\0") } };
	_cleanup_(redact_freep) struct redact *r = with(patterns, 1);

	check(r, samples, 1);
}

static void test_match_limit_hides_all(void **state)
{
	static const char *const patterns[] = { "(a+)+$" };
	static const struct sample samples[] = {
		{ ARGS("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), ARGS("<redacted>\0") },
	};
	_cleanup_(redact_freep) struct redact *r = with(patterns, 1);

	check(r, samples, 1);
}

static void test_long_arguments(void **state)
{
	_cleanup_(redact_freep) struct redact *r = with_defaults();
	static char in[12000], out[16000];
	size_t len;

	/* A secret longer than what is matched as a pair. */
	memset(in, 'x', sizeof(in));
	memcpy(in, "--token", 8);
	in[4000] = '\0';
	len = redact_args(r, in, 4001, out, sizeof(out));
	assert_int_equal(len, sizeof("--token\0<redacted>"));
	assert_memory_equal(out, "--token\0<redacted>", len);
	/* One argument longer than what is looked at: its end is hidden. */
	memset(in, ' ', sizeof(in));
	len = redact_args(r, in, sizeof(in), out, sizeof(out));
	assert_int_equal(len, 8192 + sizeof("<redacted>"));
	assert_memory_equal(out, in, 8192);
	assert_memory_equal(out + 8192, "<redacted>", sizeof("<redacted>"));
	/* An option longer than a pair announces nothing. */
	in[0] = '-';
	in[3000] = in[3010] = '\0';
	len = redact_args(r, in, 3011, out, sizeof(out));
	assert_int_equal(len, 3011);
	assert_memory_equal(out, in, len);
}

static void test_output_is_cut_never_overrun(void **state)
{
	static const char in[] = "nginx\0--password=hunter2\0-x\0--token\0secret";
	static const char full[] = "nginx\0--password=<redacted>\0-x\0--token\0<redacted>";
	_cleanup_(redact_freep) struct redact *r = with_defaults();

	for (size_t size = 0; size <= sizeof(full); size++) {
		char out[sizeof(full) + 1];
		size_t len;

		memset(out, 0x5a, sizeof(out));
		len = redact_args(r, in, sizeof(in), out, size);
		assert_int_equal(len, size);
		assert_memory_equal(out, full, size);
		assert_int_equal(out[size], 0x5a);
	}
}

static void test_bad_patterns(void **state)
{
	static const char *const bad[] = { "ok", "a(b" };
	const char *many[65];
	struct redact *r = NULL;
	char why[256];

	assert_int_equal(redact_new(bad, 2, why, sizeof(why), &r), -EINVAL);
	assert_string_equal(why, "'a(b' at character 4: missing closing parenthesis");
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = "x";
	assert_int_equal(redact_new(many, ARRAY_SIZE(many), why, sizeof(why), &r), -E2BIG);
	assert_string_equal(why, "more than 64 patterns");
	assert_null(r);
	assert_int_equal(redact_new(NULL, 0, why, sizeof(why), &r), 0);
	redact_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_match_of_every_pattern),
		cmocka_unit_test(test_empty_match_hides_nothing),
		cmocka_unit_test(test_match_limit_hides_all),
		cmocka_unit_test(test_long_arguments),
		cmocka_unit_test(test_output_is_cut_never_overrun),
		cmocka_unit_test(test_bad_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
