/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fnmatch.h>
#include "base/time.h"
#include "event/stream.h"
#include "test.h"

/* A request whose parameters are a table: "name=value&…" as a server would have decoded it. */
struct http_request {
	struct {
		char name[32], value[256];
	} items[12];
	size_t n;
};

const char *http_query(const struct http_request *q, const char *name)
{
	for (size_t i = 0; i < q->n; i++)
		if (streq(q->items[i].name, name))
			return q->items[i].value;
	return NULL;
}

const char *http_query_unknown(const struct http_request *q, const char *const *known)
{
	for (size_t i = 0; i < q->n; i++) {
		size_t k = 0;

		while (known[k] && !streq(known[k], q->items[i].name))
			k++;
		if (!known[k])
			return q->items[i].name;
	}
	return NULL;
}

static struct http_request request(const char *query)
{
	struct http_request q = {};

	while (*query) {
		size_t name = strcspn(query, "="), value = strcspn(query + name + 1, "&");

		assert_true(q.n < ARRAY_SIZE(q.items));
		(void)snprintf(q.items[q.n].name, sizeof(q.items[0].name), "%.*s", (int)name,
			       query);
		(void)snprintf(q.items[q.n].value, sizeof(q.items[0].value), "%.*s", (int)value,
			       query + name + 1);
		query += name + 1 + value;
		query += *query == '&';
		q.n++;
	}
	return q;
}

static void test_values(void **state)
{
	struct http_request q = request(
		"type=oom.kill,runtime&since=2026-11-22T00:00:00Z&until=2026-11-23T00:00:00Z&container=web"
		"&namespace=shop&pod=web-0&workload=web&cgroup=/kubepods*&severity=warning&limit=10000&pid=42");
	struct event_filter f = {};
	char why[256] = "";

	assert_int_equal(event_filter_parse(&q, &f, why, sizeof(why)), 0);
	assert_string_equal(f.type, "oom.kill,runtime");
	assert_int_equal(f.until_ns - f.since_ns, 86400 * NS_PER_SEC);
	assert_string_equal(f.container, "web");
	assert_string_equal(f.namespace, "shop");
	assert_string_equal(f.pod, "web-0");
	assert_string_equal(f.workload, "web");
	assert_string_equal(f.cgroup, "/kubepods*");
	assert_int_equal(f.severity, SEVERITY_WARN);
	assert_int_equal(f.limit, 10000);
	assert_int_equal(f.pid, 42);

	q = request("since=10m&limit=&severity=&pid=&until=");
	assert_int_equal(event_filter_parse(&q, &f, why, sizeof(why)), 0);
	assert_true(f.since_ns > 0 && f.since_ns < time_wall_ns());
	assert_int_equal(f.until_ns | f.limit | f.pid | (uint64_t)f.severity, 0);
	/* The beginning of time is a bound, not its absence. */
	q = request("until=1970-01-01T00:00:00Z&since=9000w");
	assert_int_equal(event_filter_parse(&q, &f, why, sizeof(why)), 0);
	assert_int_equal(f.until_ns, 1);
	assert_int_equal(f.since_ns, 1);
}

static void test_errors(void **state)
{
	static const struct {
		const char *query, *why;
	} cases[] = {
		{ "typ=oom", "unknown parameter 'typ'" },
		{ "type=oom&Limit=3", "unknown parameter 'Limit'" },
		{ "since=yesterday",
		  "since: 'yesterday' is not RFC 3339 or a duration such as 10m" },
		{ "until=2026-02-30T00:00:00Z",
		  "until: '2026-02-30T00:00:00Z' is not RFC 3339 or a duration such as 10m" },
		{ "since=-5m", "since: '-5m' is not RFC 3339 or a duration such as 10m" },
		{ "severity=bad", "severity: 'bad' is not a number of 1..24 or one of info notice "
				  "warning high critical" },
		{ "severity=25", "severity: '25' is not a number of 1..24 or one of info notice "
				 "warning high critical" },
		{ "limit=0", "limit: '0' is not a number of 1..10000" },
		{ "limit=10001", "limit: '10001' is not a number of 1..10000" },
		{ "limit=1e3", "limit: '1e3' is not a number of 1..10000" },
		{ "limit=99999999999999999999",
		  "limit: '99999999999999999999' is not a number of 1..10000" },
		{ "pid=4294967296", "pid: '4294967296' is not a process id" },
		{ "pid=x", "pid: 'x' is not a process id" },
		{ "scope=a\"", "scope: 'a\"' is not the scope of an OOM" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_request q = request(cases[i].query);
		struct event_filter f = { .limit = 77 };
		char why[256] = "";

		assert_int_equal(event_filter_parse(&q, &f, why, sizeof(why)), -EINVAL);
		assert_string_equal(why, cases[i].why);
		assert_int_equal(f.limit, 77);
	}
}

/* The field of the event itself, and nothing that others wrote into another one. */
static void test_scope(void **state)
{
	static const struct {
		const char *json;
		bool match;
	} cases[] = {
		{ "{\"a\":1,\"telamon.oom.scope\":\"memcg\",\"b\":2}", true },
		{ "{\"telamon.oom.scope\": \"memcg\"}", true },
		{ "{\"telamon.oom.scope\":\"global\"}", false },
		{ "{\"telamon.oom.scope\":\"memcgs\"}", false },
		{ "{\"telamon.oom.comm\":\"\\\"telamon.oom.scope\\\":\\\"memcg\\\"\"}", false },
		{ "{\"telamon.oom.scope\":\"memcg", false },
		{ "{\"telamon.oom.scope\":", false },
		{ "{}", false },
	};
	struct http_request q = request("scope=memcg");
	struct event_filter f = {};
	char why[256] = "";

	assert_int_equal(event_filter_parse(&q, &f, why, sizeof(why)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct event_keys k = { .name = "oom.kill",
					      .json = cases[i].json,
					      .json_len = strlen(cases[i].json) };

		if (event_filter_match(&f, &k) != cases[i].match)
			fail_msg("%s", cases[i].json);
	}
	assert_false(event_filter_match(&f, &(struct event_keys){ .name = "oom.kill" }));
}

static void test_match(void **state)
{
	static const struct event_keys k = {
		.name = "oom.kill",
		.severity = SEVERITY_ERROR,
		.wall_ns = 1000,
		.container_id = "0123456789abcdef",
		.container_name = "web",
		.namespace = "shop",
		.pod = "web-0",
		.workload = "web",
		.cgroup = "/kubepods/pod1/c1",
		.pid = 42,
	};
	static const struct event_keys bare = { .name = "oom.episode", .severity = SEVERITY_INFO };
	static const struct {
		struct event_filter f;
		bool k, bare;
	} cases[] = {
		{ {}, true, true },
		{ { .type = "" }, true, true },
		{ { .type = "oom" }, true, true },
		{ { .type = "oom." }, true, true },
		{ { .type = "oom.kill" }, true, false },
		{ { .type = "oom.ki" }, false, false }, /* whole parts only */
		{ { .type = "o" }, false, false },
		{ { .type = "oom.kill.x" }, false, false },
		{ { .type = "runtime,oom.kill" }, true, false },
		{ { .type = ",oom.episode," }, false, true },
		{ { .type = "alert" }, false, false },
		{ { .since_ns = 1000 }, true, false },
		{ { .since_ns = 1001 }, false, false },
		{ { .until_ns = 1000 }, true, true },
		{ { .until_ns = 999 }, false, true },
		{ { .severity = 17 }, true, false },
		{ { .severity = 18 }, false, false },
		{ { .pid = 42 }, true, false },
		{ { .container = "web" }, true, false },
		{ { .container = "we" }, false, false },
		{ { .container = "01234567" }, true, false },
		{ { .container = "0123456" }, false, false }, /* shorter than 8 digits */
		{ { .container = "0123456789abcdef0" }, false, false },
		{ { .namespace = "shop" }, true, false },
		{ { .namespace = "sho" }, false, false },
		{ { .pod = "web-0" }, true, false },
		{ { .workload = "web" }, true, false },
		{ { .cgroup = "/kubepods/*" }, true, false },
		{ { .cgroup = "*" }, true, false },
		{ { .cgroup = "/kubepods/pod1" }, false, false },
		{ { .cgroup = "/kubepods/pod[0-9]/c?" }, true, false },
		{ { .namespace = "shop", .pod = "other" }, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(event_filter_match(&cases[i].f, &k), cases[i].k);
		assert_int_equal(event_filter_match(&cases[i].f, &bare), cases[i].bare);
	}
	assert_true(event_filter_match(&(struct event_filter){ .type = "alert" },
				       &(struct event_keys){ .name = "runtime.alert" }));
}

/* The library's own answer to each, and an answer in time to what takes that one for ever. */
static void test_globs(void **state)
{
	static const char *const globs[] = { "*",	"**",	   "a*b",   "*b*c",  "[a-c]x",
					     "[!a]*",	"a?c",	   "[]a]",  "[a",    "a\\*b",
					     "*.slice", "/*/c",	   "[^/]*", "",	     "?",
					     "[a-]",	"x[!a-y]", "a\\",   "[-a]*", "***a**" };
	static const char *const texts[] = { "",    "a",	"b",   "abc",	 "ab",
					     "bx",  "a*b",	"aXb", "]",	 "[a",
					     "x-z", "xz",	"-",   "/p/q/c", "q.slice",
					     "aac", "\xff\xfe", "cx",  "a\\",	 "xaaay" };
	char many[600], text[513];

	for (size_t g = 0; g < ARRAY_SIZE(globs); g++) {
		for (size_t t = 0; t < ARRAY_SIZE(texts); t++) {
			const struct event_filter f = { .cgroup = globs[g] };
			const struct event_keys k = { .name = "x", .cgroup = texts[t] };
			bool want = !*globs[g] || fnmatch(globs[g], texts[t], 0) == 0;

			if (event_filter_match(&f, &k) != want)
				fail_msg("'%s' on '%s' is not %d", globs[g], texts[t], want);
		}
	}
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i + 2 < sizeof(many); i += 2)
		memcpy(many + i, "*a", 3);
	many[sizeof(many) - 2] = 'b';
	many[sizeof(many) - 1] = '\0';
	assert_false(event_filter_match(&(struct event_filter){ .cgroup = many },
					&(struct event_keys){ .name = "x", .cgroup = text }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_scope),  cmocka_unit_test(test_match),
		cmocka_unit_test(test_globs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
