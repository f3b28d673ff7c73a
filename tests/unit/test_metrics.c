/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include "metrics/metrics.h"
#include "base/text.h"
#include "metric_rows.h"

enum { KILLS, NODE, LIVE, DELAY, HOOK, CPU, _MAX };
static const double buckets[] = { 0.001, 0.5, 2 };
static const struct metric_row rows[_MAX] = {
	[KILLS] = { .name = "t_kills_total",
		    .type = METRIC_COUNTER,
		    .other = "workload",
		    .labels = { { "scope", "memcg global" },
				{ "namespace", NULL },
				{ "workload", NULL } },
		    .help = "Victims." },
	[NODE] = { .name = "t_node_total",
		   .type = METRIC_COUNTER,
		   .labels = { { "scope", "a b" }, { "role", "x y" } },
		   .help = "Node." },
	[LIVE] = { .name = "t_live",
		   .type = METRIC_GAUGE,
		   .labels = { { "what", "locked adj" } },
		   .help = "Live." },
	[DELAY] = { .name = "t_delay_seconds",
		    .type = METRIC_HISTOGRAM,
		    .labels = { { "stage", "bus" } },
		    .buckets = buckets,
		    .n_buckets = 3,
		    .help = "Delay." },
	[HOOK] = { .name = "t_hook_info",
		   .type = METRIC_INFO,
		   .labels = { { "variant", NULL } },
		   .help = "Hook." },
	[CPU] = { .name = "t_cpu_seconds_total",
		  .type = METRIC_COUNTER,
		  .scale = 1e-6,
		  .help = "CPU." },
};

struct fixture {
	struct metrics *m;
	struct metric_set *s;
	struct strbuf out;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(metrics_new(&f->m), 0);
	assert_int_equal(metrics_register(f->m, "t", rows, _MAX, 3, &f->s), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metrics_free(f->m);
	strbuf_done(&f->out);
	free(f);
	return 0;
}

static const char *expose(struct fixture *f, enum metrics_format format)
{
	strbuf_clear(&f->out);
	metrics_write(f->m, format, &f->out);
	assert_int_equal(f->out.error, 0);
	return strbuf_str(&f->out);
}

static void kill_one(struct fixture *f, const char *ns, const char *workload, uint64_t now)
{
	const char *v[] = { "memcg", ns, workload };

	metric_series_add(metric_series(f->s, KILLS, v, now), 1, now);
}

static void test_rows(void **state)
{
	check_metric_rows(rows, _MAX);
}

static void test_text(void **state)
{
	struct fixture *f = *state;
	const char *hook[] = { "tp_btf" };

	metric_add(f->s, METRIC(NODE, 1, 0), 2);
	metric_gauge(f->s, METRIC(LIVE, 1), 1);
	metric_observe(f->s, METRIC(DELAY, 0), 0.25);
	metric_observe(f->s, METRIC(DELAY, 0), 9);
	metric_series_gauge(metric_series(f->s, HOOK, hook, 1), 1, 1);
	metric_store(f->s, METRIC(CPU), 1500000);
	kill_one(f, "sh\"op", "a\\b\n", 1);
	assert_string_equal(
		expose(f, METRICS_TEXT),
		"# HELP t_kills_total Victims.\n# TYPE t_kills_total counter\n"
		"t_kills_total{scope=\"memcg\",namespace=\"sh\\\"op\",workload=\"a\\\\b\\n\"} 1\n"
		"# HELP t_node_total Node.\n# TYPE t_node_total counter\n"
		"t_node_total{scope=\"a\",role=\"x\"} 0\nt_node_total{scope=\"a\",role=\"y\"} 0\n"
		"t_node_total{scope=\"b\",role=\"x\"} 2\nt_node_total{scope=\"b\",role=\"y\"} 0\n"
		"# HELP t_live Live.\n# TYPE t_live gauge\nt_live{what=\"adj\"} 1\n"
		"# HELP t_delay_seconds Delay.\n# TYPE t_delay_seconds histogram\n"
		"t_delay_seconds_bucket{stage=\"bus\",le=\"0.001\"} 0\n"
		"t_delay_seconds_bucket{stage=\"bus\",le=\"0.5\"} 1\n"
		"t_delay_seconds_bucket{stage=\"bus\",le=\"2\"} 1\n"
		"t_delay_seconds_bucket{stage=\"bus\",le=\"+Inf\"} 2\n"
		"t_delay_seconds_sum{stage=\"bus\"} 9.25\nt_delay_seconds_count{stage=\"bus\"} 2\n"
		"# HELP t_hook_info Hook.\n# TYPE t_hook_info gauge\nt_hook_info{variant=\"tp_btf\"} 1\n"
		"# HELP t_cpu_seconds_total CPU.\n# TYPE t_cpu_seconds_total counter\n"
		"t_cpu_seconds_total 1.5\n");
}

static void test_openmetrics(void **state)
{
	struct fixture *f = *state;
	const char *text = expose(f, METRICS_OPENMETRICS);

	assert_non_null(strstr(text, "# TYPE t_node counter\nt_node_total{"));
	assert_null(strstr(text, "# TYPE t_hook")); /* no series: no family */
	assert_non_null(strstr(text, "le=\"2.0\""));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
}

/* The sum over a counter family never falls, whatever is refused or evicted. */
static uint64_t sum_of_kills(struct fixture *f)
{
	const char *p = expose(f, METRICS_TEXT);
	uint64_t sum = 0;

	while ((p = strstr(p, "\nt_kills_total{"))) {
		p = strchr(p, '}');
		sum += strtoull(p + 2, NULL, 10);
	}
	return sum;
}

static void test_cap_and_eviction(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 5; i++) {
		char name[] = "w0";

		name[1] = (char)('0' + i);
		kill_one(f, "ns", name, 100 + i);
	}
	assert_int_equal(metric_series_count(f->s, KILLS), 3);
	assert_int_equal(metric_series_evicted(f->s, KILLS), 2);
	assert_int_equal(sum_of_kills(f), 5);
	assert_non_null(strstr(strbuf_str(&f->out), "{scope=\"memcg\",workload=\"_other\"} 2\n"));

	assert_int_equal(metric_series_expire(f->s, KILLS, 102), 2); /* w0 and w1 */
	assert_int_equal(sum_of_kills(f), 5);
	assert_non_null(strstr(strbuf_str(&f->out), "workload=\"_other\"} 4\n"));
	kill_one(f, "ns", "w9", 200);
	assert_int_equal(metric_series_count(f->s, KILLS), 2);
	assert_int_equal(sum_of_kills(f), 6);
}

static void test_drop_and_clear(void **state)
{
	struct fixture *f = *state;
	const char *v[] = { "memcg", "ns", "w" }, *hook[] = { "a" };

	(void)metric_series(f->s, KILLS, v, 1); /* preinit with 0 */
	assert_non_null(strstr(expose(f, METRICS_TEXT), "workload=\"w\"} 0\n"));
	metric_series_drop(f->s, KILLS, v);
	assert_null(strstr(expose(f, METRICS_TEXT), "workload=\"w\""));
	metric_series_gauge(metric_series(f->s, HOOK, hook, 1), 1, 1);
	metric_series_clear(f->s, HOOK);
	assert_null(strstr(expose(f, METRICS_TEXT), "t_hook_info{"));
}

static void test_long_and_hostile_labels(void **state)
{
	struct fixture *f = *state;
	char name[400];
	const char *v[] = { "memcg", name, "\xff\x1b[31m" };

	memset(name, 'x', sizeof(name));
	name[127] = '\xc3'; /* the boundary would split this character */
	name[128] = '\xa9';
	name[399] = '\0';
	metric_series_add(metric_series(f->s, KILLS, v, 1), 1, 1);
	metric_series_add(metric_series(f->s, KILLS, v, 1), 1, 1);
	assert_int_equal(metric_series_count(f->s, KILLS), 1);
	assert_true(utf8_valid(expose(f, METRICS_TEXT), f->out.len));
	assert_int_equal(sum_of_kills(f), 2);
}

static void test_negotiate(void **state)
{
	static const struct {
		const char *accept;
		enum metrics_format want;
	} cases[] = {
		{ NULL, METRICS_TEXT },
		{ "*/*", METRICS_TEXT },
		{ "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		  METRICS_OPENMETRICS },
		{ "application/openmetrics-text; version=\"1.0.0\"", METRICS_OPENMETRICS },
		{ "application/openmetrics-text;version=9.9.9,text/plain;q=0.1", METRICS_TEXT },
		{ "text/plain;q=0.9,application/openmetrics-text;q=0.1", METRICS_TEXT },
		{ "application/openmetrics-text;q=0", METRICS_TEXT },
		{ ",,;q=,q", METRICS_TEXT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(metrics_negotiate(cases[i].accept), cases[i].want);
}

/* What a scrape cannot tell apart is one series: no two lines have equal labels. */
static void test_labels_that_look_the_same(void **state)
{
	static const char *const same[] = { "a\xff", "a\xfe", "a\xef\xbf\xbd" };
	struct fixture *f = *state;
	char long_name[200];

	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		kill_one(f, "ns", same[i], 1);
	assert_int_equal(metric_series_count(f->s, KILLS), 1);
	assert_non_null(strstr(expose(f, METRICS_TEXT), "workload=\"a\xef\xbf\xbd\"} 3\n"));
	/* The limit of length counts what is exposed. */
	memset(long_name, 0xff, sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	kill_one(f, "ns", long_name, 1);
	long_name[60] = '\0';
	kill_one(f, "ns", long_name, 1);
	assert_int_equal(metric_series_count(f->s, KILLS), 2);
	metric_series_drop(f->s, KILLS, (const char *const[]){ "memcg", "ns", long_name });
	assert_int_equal(metric_series_count(f->s, KILLS), 1);
}

/* OT-6: far more names than series are allowed, with expiry now and then: the sum stays, "_other" grows. */
static void test_flood_of_names(void **state)
{
	struct fixture *f = *state;
	uint64_t other = 0;

	for (unsigned i = 1; i <= 3000; i++) {
		char ns[16], workload[16];

		(void)snprintf(ns, sizeof(ns), "ns%u", i % 7);
		(void)snprintf(workload, sizeof(workload), "w%u", i * 7919 % 1000);
		kill_one(f, ns, workload, i);
		if (i % 100)
			continue;
		(void)metric_series_expire(f->s, KILLS, i - i % 300);
		assert_true(metric_series_count(f->s, KILLS) <= 3);
		assert_int_equal(sum_of_kills(f), i);
	}
	other = strtoull(strstr(expose(f, METRICS_TEXT), "workload=\"_other\"} ") +
				 strlen("workload=\"_other\"} "),
			 NULL, 10);
	assert_in_range(other, 2900, 3000);
	assert_true(metric_series_evicted(f->s, KILLS) > 2900);
	/* One that carries the name itself is no way around. */
	kill_one(f, "", "_other", 4000);
	assert_int_equal(sum_of_kills(f), 3001);
}

/* A family without "_other" drops and counts. */
static void test_dropped_series(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 5; i++) {
		const char *v[] = { (char[]){ (char)('a' + i), '\0' } };

		metric_series_gauge(metric_series(f->s, HOOK, v, 1), 1, 1);
	}
	assert_int_equal(metric_series_count(f->s, HOOK), 3);
	assert_int_equal(metric_series_evicted(f->s, HOOK), 2);
	assert_null(strstr(expose(f, METRICS_TEXT), "_other"));
}

static void test_numbers(void **state)
{
	static const struct {
		double v;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 1, "1" },
		{ -1, "-1" },
		{ 0.1, "0.1" },
		{ -2.5, "-2.5" },
		{ 1e300, "1.0000000000000001e+300" },
		{ INFINITY, "+Inf" },
		{ -INFINITY, "-Inf" },
		{ NAN, "NaN" },
		{ 1.0 / 3, "0.3333333333333333" },
		{ 4294967296.0, "4294967296" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *v[] = { "x" };
		char want[64];

		metric_series_gauge(metric_series(f->s, HOOK, v, 1), cases[i].v, 1);
		(void)snprintf(want, sizeof(want), "\nt_hook_info{variant=\"x\"} %s\n",
			       cases[i].text);
		assert_non_null(strstr(expose(f, METRICS_TEXT), want));
	}
	/* A closed gauge that says NaN is absent. */
	metric_gauge(f->s, METRIC(LIVE, 0), NAN);
	assert_null(strstr(expose(f, METRICS_TEXT), "t_live"));
	metric_add(f->s, METRIC(NODE, 0, 0), UINT64_MAX);
	assert_non_null(strstr(expose(f, METRICS_TEXT), "role=\"x\"} 18446744073709551615\n"));
}

static void test_observe_bounds(void **state)
{
	struct fixture *f = *state;

	metric_observe(f->s, METRIC(DELAY, 0), 0.001); /* a bound belongs to its bucket */
	metric_observe(f->s, METRIC(DELAY, 0), -1);
	metric_observe(f->s, METRIC(DELAY, 0), NAN);
	metric_observe(f->s, METRIC(DELAY, 0), INFINITY);
	assert_non_null(strstr(expose(f, METRICS_TEXT), "le=\"0.001\"} 3\n"));
	assert_non_null(strstr(strbuf_str(&f->out), "t_delay_seconds_count{stage=\"bus\"} 4\n"));
}

/* A histogram with open labels: what others counted is added; a series that goes takes its counts along. */
static void test_open_histogram(void **state)
{
	static const struct metric_row open_rows[] = {
		{ .name = "t_took_seconds",
		  .type = METRIC_HISTOGRAM,
		  .labels = { { "node", NULL } },
		  .buckets = buckets,
		  .n_buckets = 3,
		  .help = "Took." },
	};
	const char *const a[] = { "a" }, *const b[] = { "b" };
	struct fixture *f = *state;
	struct metric_set *s;

	check_metric_rows(open_rows, 1);
	assert_int_equal(metrics_register(f->m, "open", open_rows, 1, 2, &s), 0);
	metric_series_observe(metric_series(s, 0, a, 1), (const uint64_t[]){ 1, 2, 0, 3 }, 4,
			      1500000000, 1);
	metric_series_observe(metric_series(s, 0, a, 2), (const uint64_t[]){ 0, 1, 0, 0 }, 4,
			      250000000, 2);
	assert_non_null(strstr(expose(f, METRICS_TEXT),
			       "# TYPE t_took_seconds histogram\n"
			       "t_took_seconds_bucket{node=\"a\",le=\"0.001\"} 1\n"
			       "t_took_seconds_bucket{node=\"a\",le=\"0.5\"} 4\n"
			       "t_took_seconds_bucket{node=\"a\",le=\"2\"} 4\n"
			       "t_took_seconds_bucket{node=\"a\",le=\"+Inf\"} 7\n"
			       "t_took_seconds_sum{node=\"a\"} 1.75\n"
			       "t_took_seconds_count{node=\"a\"} 7\n"));
	metric_series_drop(s, 0, a);
	assert_null(strstr(expose(f, METRICS_TEXT), "node=\"a\""));
	/* The slot is used again, without what stood in it. */
	metric_series_observe(metric_series(s, 0, b, 3), (const uint64_t[]){ 0, 0, 0, 1 }, 4, 9, 3);
	metric_series_observe(metric_series(s, 0, a, 3), (const uint64_t[]){ 0, 0, 1, 0 }, 4, 9, 3);
	assert_non_null(strstr(expose(f, METRICS_TEXT), "t_took_seconds_count{node=\"a\"} 1\n"));
	assert_non_null(strstr(expose(f, METRICS_TEXT), "t_took_seconds_count{node=\"b\"} 1\n"));
}

static void test_help_is_escaped(void **state)
{
	static const struct metric_row row[] = {
		{ .name = "q_total", .type = METRIC_COUNTER, .help = "Says \"a\\b\"\nand goes on." },
	};
	struct fixture *f = *state;
	struct metric_set *s;

	assert_int_equal(metrics_register(f->m, "q", row, 1, 1, &s), 0);
	assert_non_null(
		strstr(expose(f, METRICS_TEXT), "# HELP q_total Says \"a\\\\b\"\\nand goes on.\n"));
	assert_non_null(strstr(expose(f, METRICS_OPENMETRICS),
			       "# HELP q Says \\\"a\\\\b\\\"\\nand goes on.\n"));
}

/* Every line of an OpenMetrics answer has its form; families are not interleaved; nothing follows the end. */
static void test_openmetrics_lines(void **state)
{
	struct fixture *f = *state;
	const char *hook[] = { "a\"b\\c\nd" };
	char family[64] = "";
	char *p, *line = f->out.data;

	metric_observe(f->s, METRIC(DELAY, 0), 0.25);
	metric_gauge(f->s, METRIC(LIVE, 0), 0.5);
	metric_series_gauge(metric_series(f->s, HOOK, hook, 1), 1, 1);
	kill_one(f, "a", "b", 1);
	(void)expose(f, METRICS_OPENMETRICS);
	for (p = f->out.data; *p; p = line + strlen(line) + 1) {
		line = p;
		assert_non_null(strchr(line, '\n'));
		*strchr(line, '\n') = '\0';
		if (streq(line, "# EOF"))
			break;
		if (strncmp(line, "# HELP ", 7) == 0) {
			(void)snprintf(family, sizeof(family), "%.*s", (int)strcspn(line + 7, " "),
				       line + 7);
			continue;
		}
		if (strncmp(line, "# TYPE ", 7) == 0) {
			assert_memory_equal(line + 7, family, strlen(family));
			continue;
		}
		assert_memory_equal(line, family, strlen(family));
		assert_null(strstr(line, " # ")); /* no exemplars */
		assert_true(strrchr(line, ' ')[1] >= '0' && strrchr(line, ' ')[1] <= '9');
	}
	assert_int_equal(line + strlen("# EOF") + 1 - f->out.data, f->out.len);
}

/* Scrapes run while the writer creates and evicts: no line may mix two series. */
static atomic_bool stop;

static void *scrape(void *arg)
{
	struct fixture *f = arg;
	struct strbuf out = STRBUF_INIT;

	while (!stop) {
		const char *p;

		strbuf_clear(&out);
		metrics_write(f->m, METRICS_TEXT, &out);
		p = strbuf_str(&out);
		while ((p = strstr(p, "namespace=\"n"))) {
			char ns = p[12];
			const char *w = strstr(p, "workload=\"w");

			if (w && w[11] != ns)
				return f;
			p++;
		}
	}
	strbuf_done(&out);
	return NULL;
}

static void test_concurrent_scrape(void **state)
{
	struct fixture *f = *state;
	pthread_t t;
	void *result;

	stop = false;
	assert_int_equal(pthread_create(&t, NULL, scrape, f), 0);
	for (unsigned i = 0; i < 20000; i++) {
		char ns[] = "n0", w[] = "w0";

		ns[1] = w[1] = (char)('a' + i % 26);
		kill_one(f, ns, w, i);
		if (i % 3 == 2)
			(void)metric_series_expire(f->s, KILLS, i);
	}
	stop = true;
	pthread_join(t, &result);
	assert_null(result);
	assert_int_equal(sum_of_kills(f), 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test_setup_teardown(test_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openmetrics, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cap_and_eviction, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drop_and_clear, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_and_hostile_labels, setup, teardown),
		cmocka_unit_test(test_negotiate),
		cmocka_unit_test_setup_teardown(test_labels_that_look_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood_of_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dropped_series, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_observe_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_histogram, setup, teardown),
		cmocka_unit_test_setup_teardown(test_help_is_escaped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_openmetrics_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_concurrent_scrape, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
