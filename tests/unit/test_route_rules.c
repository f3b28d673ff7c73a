/* SPDX-License-Identifier: Apache-2.0 */
/* Keys out of aggregation rules: what each pair has in common, what cannot be, and that no group is ever parted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/arena.h"
#include "base/strbuf.h"
#include "route/relabel/selector.h"
#include "route/rules-file.h"
#include "test.h"

#define RULE(name, rest) "- {name: " name ", interval: 1m, outputs: [total], " rest "}\n"
#define KEY_BYTES 4096

struct fixture {
	struct shard_rules *rules;
	struct diags errors, warnings;
	struct relabel_context *context;
	struct arena *arena;
};
static struct fixture f;
static const struct shard_key_options options = { .family = true, .task_label = "stream_task_id" };

static int set_up(void **state)
{
	(void)state;
	f = (struct fixture){};
	return relabel_context_new(&f.context) < 0 || arena_new(0, &f.arena) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (f.rules)
		shard_rules_free(f.rules);
	relabel_context_free(f.context);
	arena_free(f.arena);
	return 0;
}

static int load(const char *text)
{
	if (f.rules)
		f.rules = shard_rules_free(f.rules);
	f.errors = f.warnings = (struct diags){};
	return rules_file_parse(text, strlen(text), "rules.yaml", &options, &f.errors, &f.warnings,
				&f.rules);
}

static void load_good(const char *text)
{
	char line[512];
	int r = load(text);

	for (size_t i = 0; i < f.errors.n; i++)
		print_error("%s\n", diag_format(&f.errors.items[i], line, sizeof(line)));
	assert_int_equal(r, 0);
}

static const struct rw_label *series(const char *text, size_t *n)
{
	const struct rw_label *labels;
	char why[128];

	assert_int_equal(series_parse(text, f.arena, why, sizeof(why), &labels, n), 0);
	return labels;
}

static uint64_t hash(const char *text)
{
	uint8_t scratch[KEY_BYTES];
	size_t n;
	const struct rw_label *labels = series(text, &n);

	return shard_rules_hash(f.rules, f.context, labels, n, (struct rw_span){}, scratch,
				sizeof(scratch));
}

static void assert_key(const char *text, const char *key, const char *rules)
{
	_cleanup_strbuf_ struct strbuf found = STRBUF_INIT, names = STRBUF_INIT;
	size_t n;
	const struct rw_label *labels = series(text, &n);

	shard_rules_explain(f.rules, f.context, labels, n, &found, &names);
	assert_string_equal(strbuf_str(&found), key);
	assert_string_equal(strbuf_str(&names), rules);
}

static bool told(const struct diags *d, const char *text)
{
	char line[512];

	for (size_t i = 0; i < d->n; i++)
		if (strstr(diag_format(&d->items[i], line, sizeof(line)), text))
			return true;
	return false;
}

/* --- what groupings have in common --- */

static void intersections(void **state)
{
	static const struct {
		const char *rules, *key, *names;
	} rows[] = {
		{ RULE("a", "by: [job, zone]"), "by(__name__, job, zone)", "a" },
		{ RULE("a", "by: [job, zone]") RULE("b", "by: [zone, code]"), "by(__name__, zone)",
		  "a, b" },
		{ RULE("a", "by: [job, pod]") RULE("b", "without: [pod]"), "by(__name__, job)",
		  "a, b" },
		{ RULE("a", "without: [pod]") RULE("b", "by: [job, pod]"), "by(__name__, job)",
		  "a, b" },
		{ RULE("a", "without: [pod]") RULE("b", "without: [node, pod]"),
		  "without(node, pod)", "a, b" },
		{ RULE("a", "drop_input_labels: [pod]"), "without(pod)", "a" },
		{ RULE("a", "by: [job, pod], drop_input_labels: [pod]"), "by(__name__, job)", "a" },
		{ RULE("a", "without: [x], drop_input_labels: [pod]"), "without(pod, x)", "a" },
		{ RULE("a", "outputs2: [x]"), NULL, NULL },
		{ RULE("a", "by: [job], match: down"), "without()", "" },
		{ RULE("a", "by: [job], match: [down, '{job=\"api\"}']"), "by(__name__, job)",
		  "a" },
		/* Buckets of one histogram stay together whatever the rule says. */
		{ RULE("a", "by: [job, le]"), "by(__name__, job)", "a" },
		{ RULE("a", "by: [stream_task_id, job]"), "by(__name__, job)", "a" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].key) {
			assert_int_equal(load(rows[i].rules), -EINVAL);
			continue;
		}
		load_good(rows[i].rules);
		assert_key("up{job=\"api\",pod=\"p\",zone=\"z\"}", rows[i].key, rows[i].names);
	}
}

/* A key by rules is the key that one would have configured, byte by byte (GW-SH-8). */
static void same_hash_as_a_configured_key(void **state)
{
	(void)state;
	load_good(RULE("a", "by: [job]"));
	assert_int_equal(
		hash("http_requests_total{code=\"200\",instance=\"10.0.0.1:9100\",job=\"api\"}"),
		0xbd1f390b939791db);
	load_good(RULE("a", "match: none, by: [job]"));
	assert_int_equal(hash("up{job=\"node\"}"), 0xcea15715d363446f);
}

static void groups_stay_together(void **state)
{
	(void)state;
	load_good(RULE("qps", "match: '{__name__=~\"http_.*\"}', by: [job]") RULE(
		"errors", "match: 'http_requests_total{code=~\"5..\"}', without: [pod]"));
	/* code decides whether errors matches, and groups of qps have all codes: so both follow both rules. */
	assert_key("http_requests_total{code=\"200\",job=\"a\"}", "by(__name__, job)",
		   "qps, errors");
	assert_int_equal(hash("http_requests_total{code=\"200\",job=\"a\"}"),
			 hash("http_requests_total{code=\"500\",job=\"a\",pod=\"p\"}"));
	/* Other names share nothing with errors. */
	load_good(RULE("one", "match: one_total, by: [job]")
			  RULE("two", "match: 'two_total{code=\"1\"}', by: [code]"));
	assert_key("one_total{job=\"a\",code=\"1\"}", "by(__name__, job)", "one");
	assert_key("two_total{job=\"a\",code=\"1\"}", "by(__name__, code)", "two");
}

/* --- load errors and warnings --- */

static void refusals(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "- {name: a, interval: 1m, outputs: [total], foo: 1}\n",
		  "rules.yaml:1:45: [0].foo: unknown key" },
		{ "- {name: a, outputs: [total]}\n", "rules.yaml:1:3: [0].interval: is required" },
		{ "- {name: a, interval: 1m}\n", "rules.yaml:1:3: [0].outputs: is required" },
		{ "- {interval: 1m, outputs: []}\n", "[0].outputs: there is none" },
		{ "- {interval: 500ms, outputs: [a]}\n", "[0].interval: '500ms' is below 1s" },
		{ "- {interval: soon, outputs: [a]}\n", "[0].interval: 'soon' is not a duration" },
		{ RULE("a", "dedup_interval: x"), "[0].dedup_interval: 'x' is not a duration" },
		{ RULE("a", "by: [a], without: [b]"), "[0].without: stands beside by" },
		{ RULE("a", "match: '{a='"), "a: match: " },
		{ RULE("a", "input_relabel_configs: [{action: nothing}]"),
		  "[0].input_relabel_configs[0].action: unknown action" },
		{ RULE("a", "output_relabel_configs: [{action: nothing}]"),
		  "[0].output_relabel_configs[0].action: unknown action" },
		{ RULE("a",
		       "by: [job], input_relabel_configs: [{target_label: job, replacement: x}]"),
		  "a: input_relabel_configs: writes 'job', by which the rule groups" },
		{ RULE("a",
		       "without: [x], input_relabel_configs: [{target_label: y, replacement: x}]"),
		  "a: input_relabel_configs: writes 'y'" },
		{ RULE("a",
		       "by: [job], input_relabel_configs: [{action: labeldrop, regex: 'job|x'}]"),
		  "removes 'job'" },
		{ RULE("a",
		       "by: [job], input_relabel_configs: [{action: labelkeep, regex: '__name__'}]"),
		  "removes 'job'" },
		{ RULE("a", "input_relabel_configs: [{action: labeldrop, regex: 'x.*'}]"),
		  "may remove any label" },
		{ RULE("a", "input_relabel_configs: [{action: labelmap, regex: 'x_(.*)'}]"),
		  "may write any label" },
		{ RULE("a",
		       "by: [job], input_relabel_configs: [{action: uppercase, source_labels: [job], target_label: job}]"),
		  "writes 'job'" },
		{ "a: 1\n", "rules.yaml:1:1: a: unknown key" },
		{ "- 1\n", "[0]: is not a map" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(load(rows[i].text), -EINVAL);
		if (!told(&f.errors, rows[i].error))
			print_error("%s: %s, not %s\n", rows[i].text, f.errors.items[0].text,
				    rows[i].error);
		assert_true(told(&f.errors, rows[i].error));
	}
}

static void what_does_not_touch_the_key(void **state)
{
	static const char *const rows[] = {
		RULE("a", "by: [job], input_relabel_configs: [{target_label: x, replacement: y}]"),
		RULE("a", "by: [job], input_relabel_configs: [{action: labeldrop, regex: 'x.*'}]"),
		RULE("a",
		     "without: [x, y], input_relabel_configs: [{action: labeldrop, regex: 'x|y'}]"),
		RULE("a",
		     "by: [job], input_relabel_configs: [{action: keep, source_labels: [job], regex: x}]"),
		RULE("a",
		     "by: [job], drop_input_labels: [x], input_relabel_configs: [{target_label: x, replacement: y}]"),
		/* Every key that vmagent knows. */
		RULE("a",
		     "match: up, dedup_interval: 30s, enable_windows: true, staleness_interval: 1h30m, "
		     "ignore_first_sample_interval: 1.5m, no_align_flush_to_interval: true, flush_on_shutdown: true, "
		     "keep_metric_names: true, ignore_old_samples: true, ignore_first_intervals: 2, "
		     "output_relabel_configs: [{action: labeldrop, regex: job}], by: [job]"),
		"[]\n",
		"# nothing\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		load_good(rows[i]);
	assert_int_equal(shard_rules_count(f.rules), 0);
}

static void narrow_keys_are_told(void **state)
{
	(void)state;
	load_good(RULE("a", "by: [job]") RULE("b", "by: [pod]"));
	assert_true(told(&f.warnings, "a and b have no label in common but the name"));
	load_good(RULE("a", "by: [job], match: x")
			  RULE("b", "by: [pod], match: '{__name__=\"y\"}'"));
	assert_int_equal(f.warnings.total, 0);
	load_good(RULE("a", "by: [__name__]"));
	assert_true(told(&f.warnings, "a groups by no label but the name"));
	load_good(RULE("a", "without: [job]") RULE("b", "without: [pod]"));
	assert_int_equal(f.warnings.total, 0);
}

/* --- a configured key beside the rules (GW-SH-6) --- */

static void configured_keys(void **state)
{
	static const struct {
		bool by;
		const char *names[3];
		const char *error; /* NULL: good */
	} rows[] = {
		{ true, { "job" }, NULL },
		{ true, { "__name__", "job" }, NULL },
		{ true,
		  { "job", "instance" },
		  "instance is in the key, but rule qps groups by(__name__, job, zone); the nearest "
		  "valid key is by: [job]" },
		{ true,
		  { "job", "pod" },
		  "pod is in the key, but rule errors groups without(instance, pod)" },
		{ true, { "job", "le" }, "le is in the key: the buckets of a histogram would part" },
		{ true, { "vmrange" }, "vmrange is in the key" },
		{ false,
		  { "instance", "pod" },
		  "any label is in the key, but rule qps groups by(__name__, job, zone); the "
		  "nearest valid key is by: [__name__, job, zone]" },
		{ false, { "pod" }, "instance is in the key, but rule errors groups" },
	};

	(void)state;
	load_good(RULE("qps", "by: [job, zone]") RULE("errors", "without: [instance, pod]"));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct diags d = {};
		size_t n = 0;

		while (n < 3 && rows[i].names[n])
			n++;
		assert_int_equal(shard_rules_check_key(f.rules, rows[i].by, rows[i].names, n,
						       "route.yaml", &d),
				 !rows[i].error);
		if (rows[i].error && !told(&d, rows[i].error))
			print_error("%s\n", d.items[0].text);
		assert_true(!rows[i].error || told(&d, rows[i].error));
	}
}

/* --- no group is parted --- */

static unsigned long long seed = 88172645463325252ULL;
static unsigned draw(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % n);
}

static const char *const names[] = { "a", "b", "c", "d" };
struct random_rule {
	bool by, in[4]; /* labels of the list */
	int match_label; /* -1 = all */
};

static void add_random_rule(struct strbuf *text, struct random_rule *r, unsigned at)
{
	const char *comma = "";

	r->by = draw(2);
	r->match_label = (int)draw(6) - 2;
	strbuf_addf(text, "- {name: r%u, interval: 1m, outputs: [total], %s: [", at,
		    r->by ? "by" : "without");
	for (unsigned i = 0; i < 4; i++) {
		r->in[i] = draw(2);
		if (r->in[i]) {
			strbuf_addf(text, "%s%s", comma, names[i]);
			comma = ", ";
		}
	}
	strbuf_addf(text, "%s]", *comma ? "" : r->by ? "zz" : "");
	if (r->match_label >= 0)
		strbuf_addf(text, ", match: '{%s=\"1\"}'", names[r->match_label]);
	strbuf_addstr(text, "}\n");
}

static bool same_group(const struct random_rule *r, unsigned x, unsigned y)
{
	for (unsigned i = 0; i < 4; i++)
		if (r->in[i] == r->by && (x >> i & 1) != (y >> i & 1))
			return false;
	return true;
}

static bool in_rule(const struct random_rule *r, unsigned x)
{
	return r->match_label < 0 || x >> r->match_label & 1;
}

static void no_group_is_parted(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
		struct random_rule rules[4];
		unsigned n = 1 + draw(4);
		uint64_t hashes[16];

		for (unsigned i = 0; i < n; i++)
			add_random_rule(&text, &rules[i], i);
		load_good(strbuf_str(&text));
		for (unsigned x = 0; x < 16; x++) {
			char line[64];

			(void)snprintf(line, sizeof(line), "m{a=\"%u\",b=\"%u\",c=\"%u\",d=\"%u\"}",
				       x & 1, x >> 1 & 1, x >> 2 & 1, x >> 3 & 1);
			hashes[x] = hash(line);
		}
		for (unsigned i = 0; i < n; i++)
			for (unsigned x = 0; x < 16; x++)
				for (unsigned y = 0; y < x; y++)
					if (in_rule(&rules[i], x) && in_rule(&rules[i], y) &&
					    same_group(&rules[i], x, y) && hashes[x] != hashes[y])
						fail_msg("%s: rule %u has %x and %x in one group",
							 strbuf_str(&text), i, x, y);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(intersections, set_up, tear_down),
		cmocka_unit_test_setup_teardown(same_hash_as_a_configured_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(groups_stay_together, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_does_not_touch_the_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(narrow_keys_are_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(configured_keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_group_is_parted, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
