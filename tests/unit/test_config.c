/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "base/time.h"
#include "config/config.h"
#include "test.h"

struct sink {
	int type;
	const char *path;
};
struct demo {
	bool enabled;
	uint32_t victims;
	uint64_t ring, wait;
	int tier;
	const char *path, *secret;
	struct {
		uint32_t fds;
	} limits;
	struct config_strings redact;
	struct config_list sinks;
};
static const char *const tiers[] = { "any", "tracepoint", NULL };
static const char *const sink_types[] = { "stdout", "file", NULL };
static const struct config_row sink_rows[] = {
	CONFIG_ROW("type", struct sink, type, CONFIG_ENUM, .names = sink_types,
		   .flags = CONFIG_REQUIRED, .help = "Kind."),
	CONFIG_ROW("path", struct sink, path, CONFIG_PATH, .help = "File."),
	{},
};
static const struct config_row limit_rows[] = {
	{ .key = "fds",
	  .type = CONFIG_UINT,
	  .offset = 0,
	  .size = 4,
	  .def = "1024",
	  .max = "16384",
	  .help = "Files." },
	{},
};
static const struct config_row demo_rows[] = {
	CONFIG_ROW("enabled", struct demo, enabled, CONFIG_BOOL, .def = "true", .help = "On."),
	CONFIG_ROW("victims", struct demo, victims, CONFIG_UINT, .def = "1024", .min = "64",
		   .max = "65536", .flags = CONFIG_RELOAD, .help = "Followed."),
	CONFIG_ROW("ring_bytes", struct demo, ring, CONFIG_SIZE, .def = "1MiB", .min = "256KiB",
		   .max = "64MiB", .help = "Ring."),
	CONFIG_ROW("wait", struct demo, wait, CONFIG_DURATION, .def = "500ms", .max = "5s",
		   .help = "Wait."),
	CONFIG_ROW("max_tier", struct demo, tier, CONFIG_ENUM, .def = "any", .names = tiers,
		   .help = "Tier."),
	CONFIG_ROW("path", struct demo, path, CONFIG_PATH, .def = "/var", .help = "Path."),
	CONFIG_ROW("secret", struct demo, secret, CONFIG_STRING, .def = "", .flags = CONFIG_SECRET,
		   .help = "Key."),
	CONFIG_ROW("limits", struct demo, limits, CONFIG_MAP, .rows = limit_rows,
		   .help = "Limits."),
	CONFIG_ROW("redact", struct demo, redact, CONFIG_STRINGS, .def = "['a b', 'c']",
		   .max_items = 3, .help = "Patterns."),
	CONFIG_ROW("sinks", struct demo, sinks, CONFIG_LIST, .rows = sink_rows,
		   .item_size = sizeof(struct sink), .max_items = 2, .help = "Sinks."),
	{},
};
static const struct config_section sections[] = { { "oom", demo_rows, sizeof(struct demo) }, {} };

static struct config *parse(const char *text, struct diags *d)
{
	struct config *c = NULL;

	*d = (struct diags){};
	if (config_parse(text, strlen(text), "agent.yaml", sections, d, &c) < 0)
		assert_null(c);
	return c;
}

static void test_defaults(void **state)
{
	struct diags d;
	_cleanup_(config_freep) struct config *c = parse("", &d);
	const struct demo *o = config_section(c, "oom");

	assert_true(o->enabled);
	assert_int_equal(o->victims, 1024);
	assert_int_equal(o->ring, 1 << 20);
	assert_int_equal(o->wait, 500 * US_PER_MSEC);
	assert_string_equal(o->path, "/var");
	assert_int_equal(o->limits.fds, 1024);
	assert_int_equal(o->redact.n, 2);
	assert_string_equal(o->redact.items[0], "a b");
	assert_int_equal(o->sinks.n, 0);
}

static void test_values(void **state)
{
	struct diags d;
	_cleanup_(config_freep) struct config *c = parse(
		"oom:\n  enabled: false\n  ring_bytes: 512KiB\n  max_tier: tracepoint\n  limits: {fds: 7}\n"
		"  redact: ['(?i)x']\n  sinks:\n    - {type: file, path: /a}\n    - type: stdout\n",
		&d);
	const struct demo *o = config_section(c, "oom");
	const struct sink *s = o->sinks.items;

	assert_false(o->enabled);
	assert_int_equal(o->ring, 512 << 10);
	assert_int_equal(o->tier, 1);
	assert_int_equal(o->limits.fds, 7);
	assert_int_equal(o->redact.n, 1);
	assert_int_equal(o->sinks.n, 2);
	assert_int_equal(s[0].type, 1);
	assert_string_equal(s[0].path, "/a");
	assert_int_equal(s[1].type, 0);
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *first;
	} cases[] = {
		{ "oom:\n  ring_bytes: 100KiB\n",
		  "agent.yaml:2:15: oom.ring_bytes: 100KiB is below 256KiB" },
		{ "oom:\n  wait: 15\n", "agent.yaml:2:9: oom.wait: '15' has no unit, write 15s" },
		{ "oom:\n  wait: 6s\n", "agent.yaml:2:9: oom.wait: 6s is above 5s" },
		{ "oom:\n  victim: 100\n",
		  "agent.yaml:2:3: oom.victim: unknown key, did you mean 'victims'?" },
		{ "oom:\n  zzzzzz: 100\n", "agent.yaml:2:3: oom.zzzzzz: unknown key" },
		{ "ooom: {}\n", "agent.yaml:1:1: ooom: unknown key, did you mean 'oom'?" },
		{ "oom:\n  enabled: yes\n",
		  "agent.yaml:2:12: oom.enabled: 'yes' is not true or false" },
		{ "oom:\n  victims: -1\n",
		  "agent.yaml:2:12: oom.victims: '-1' is not a whole number" },
		{ "oom:\n  path: var\n",
		  "agent.yaml:2:9: oom.path: 'var' is not an absolute path" },
		{ "oom:\n  max_tier: all\n",
		  "agent.yaml:2:13: oom.max_tier: 'all' is not one of any tracepoint" },
		{ "oom:\n  limits: 3\n", "agent.yaml:2:11: oom.limits: is not a map" },
		{ "oom: [1]\n", "agent.yaml:1:6: oom: is not a map" },
		{ "oom:\n  wait: [1s]\n",
		  "agent.yaml:2:9: oom.wait: a list stands where one value belongs" },
		{ "oom:\n  redact: x\n", "agent.yaml:2:11: oom.redact: is not a list" },
		{ "oom:\n  redact: [a, b, c, d]\n",
		  "agent.yaml:2:11: oom.redact: has 4 items, at most 3 are taken" },
		{ "oom:\n  sinks:\n    - {path: /a}\n",
		  "agent.yaml:3:7: oom.sinks[0].type: is required" },
		{ "oom:\n  wait: 1s\n  wait: 2s\n", "agent.yaml:3:3: oom.wait: stands twice" },
		{ "oom: &a {}\nx: *a\n", "agent.yaml:2:4: aliases are not taken" },
		{ "oom: {}\n---\noom: {}\n", "agent.yaml:2:1: only one document is taken" },
		{ "[[[[[[[[[[[[[[[[[[[[[[", "agent.yaml:1:17: nested too deeply" },
		{ "oom:\n\twait: 1s\n",
		  "agent.yaml:2:1: found character that cannot start any token" },
		{ "- a\n", "agent.yaml:1:1: the file is not a map of sections" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct diags d;
		char line[512];

		assert_null(parse(cases[i].text, &d));
		assert_true(d.n >= 1);
		assert_string_equal(diag_format(&d.items[0], line, sizeof(line)), cases[i].first);
	}
}

static void test_ten_errors_at_once(void **state)
{
	struct diags d;

	assert_null(parse(
		"oom:\n  enabled: 1\n  victims: 1\n  ring_bytes: 1\n  wait: x\n  max_tier: y\n  path: z\n"
		"  limits: {fds: a}\n  redact: 1\n  sinks: 2\n  nope: 3\n",
		&d));
	assert_int_equal(d.n, 10);
	for (size_t i = 0; i < d.n; i++)
		assert_int_equal(d.items[i].line, i + 2);
}

static void count_change(void *ctx, const char *key, const char *before, const char *after,
			 bool reloadable)
{
	struct strbuf *b = ctx;

	strbuf_addf(b, "%s %s %s %d\n", key, before, after, reloadable);
}

static void test_diff(void **state)
{
	struct diags d;
	_cleanup_(config_freep) struct config *a = parse("oom: {secret: one}\n", &d);
	_cleanup_(config_freep) struct config *b =
		parse("oom: {secret: two, victims: 64, limits: {fds: 9}}\n", &d);
	_cleanup_strbuf_ struct strbuf out = STRBUF_INIT;

	config_diff(a, b, count_change, &out);
	assert_string_equal(strbuf_str(&out),
			    "oom.victims 1024 64 1\noom.secret <secret> <secret> 0\n"
			    "oom.limits.fds 1024 9 0\n");
}

static void test_dump_parses_again(void **state)
{
	struct diags d;
	_cleanup_(config_freep) struct config *a = parse("oom: {wait: 90s, wait: 1s}\n", &d),
					      *b = NULL;
	_cleanup_strbuf_ struct strbuf out = STRBUF_INIT;

	assert_null(a);
	a = parse("oom: {wait: 4s, sinks: [{type: file, path: /x}], redact: ['it''s']}\n", &d);
	config_write_yaml(a, &out);
	b = parse(strbuf_str(&out), &d);
	assert_non_null(b);
	assert_string_equal(((const struct demo *)config_section(b, "oom"))->redact.items[0],
			    "it's");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_values),
		cmocka_unit_test(test_errors),	 cmocka_unit_test(test_ten_errors_at_once),
		cmocka_unit_test(test_diff),	 cmocka_unit_test(test_dump_parses_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
