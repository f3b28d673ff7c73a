/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "base/jsonscan.h"
#include "base/strbuf.h"
#include "sys/podlist.h"
#include "sys/quantity.h"
#include "test.h"

/* --- quantities --- */

static const struct {
	const char *text;
	int r;
	uint64_t bytes;
} quantities[] = {
	{ "0", 0, 0 },
	{ "1", 0, 1 },
	{ "128974848", 0, 128974848 },
	{ "+5", 0, 5 },
	{ "-0", 0, 0 },
	{ "123Mi", 0, 123ULL << 20 },
	{ "1Ki", 0, 1024 },
	{ "1k", 0, 1000 },
	{ "129M", 0, 129000000 },
	{ "2Gi", 0, 2ULL << 30 },
	{ "3Ti", 0, 3ULL << 40 },
	{ "4Pi", 0, 4ULL << 50 },
	{ "7Ei", 0, 7ULL << 60 },
	{ "5T", 0, 5000000000000ULL },
	{ "9E", 0, 9000000000000000000ULL },
	{ "9223372036854775807", 0, INT64_MAX },
	{ "9223372036854775808", -ERANGE, 0 },
	{ "8Ei", -ERANGE, 0 },
	{ "10E", -ERANGE, 0 },
	{ "129e6", 0, 129000000 },
	{ "129E6", 0, 129000000 },
	{ "1e+3", 0, 1000 },
	{ "12345e-2", 0, 124 }, /* up */
	{ "1e-99", 0, 1 },
	{ "0e-99", 0, 0 },
	{ "1e101", -ERANGE, 0 },
	{ "100m", 0, 1 },
	{ "1000m", 0, 1 },
	{ "1001m", 0, 2 },
	{ "128974848000m", 0, 128974848 },
	{ "1u", 0, 1 },
	{ "5000000000n", 0, 5 },
	{ "1.5Gi", 0, 1610612736 },
	{ "0.1Gi", 0, 107374183 }, /* 107374182.4 */
	{ "1.1Gi", 0, 1181116007 }, /* 1181116006.4 */
	{ "1.10000000000000000000000000000000000000000000000Gi", 0, 1181116007 },
	{ "0.00000000000000000000000000000000000000000000000Gi", 0, 0 },
	{ ".5Ki", 0, 512 },
	{ "5.", 0, 5 },
	{ "2.0001", 0, 3 },
	{ "00007", 0, 7 },
	{ "-1", -ERANGE, 0 },
	{ "-1Mi", -ERANGE, 0 },
	{ "99999999999999999999999999999999999999999", -ERANGE, 0 },
	{ "1.0000000000000000000000000000000000000000000001", -ERANGE, 0 },
	{ "", -EINVAL, 0 },
	{ ".", -EINVAL, 0 },
	{ "+", -EINVAL, 0 },
	{ "Mi", -EINVAL, 0 },
	{ "1 Mi", -EINVAL, 0 },
	{ " 1", -EINVAL, 0 },
	{ "1MB", -EINVAL, 0 },
	{ "1MiB", -EINVAL, 0 },
	{ "1K", -EINVAL, 0 },
	{ "1e", -EINVAL, 0 },
	{ "1e+", -EINVAL, 0 },
	{ "1e1k", -EINVAL, 0 },
	{ "1.2.3", -EINVAL, 0 },
	{ "0x10", -EINVAL, 0 },
	{ "--1", -EINVAL, 0 },
	{ "inf", -EINVAL, 0 },
};

static void test_quantities(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(quantities); i++) {
		uint64_t bytes = 0xabcd;
		int r = quantity_parse(quantities[i].text, &bytes);

		if (r != quantities[i].r || (r == 0 && bytes != quantities[i].bytes))
			fail_msg("'%s': %d %llu", quantities[i].text, r, (unsigned long long)bytes);
		if (r < 0)
			assert_int_equal(bytes, 0xabcd);
	}
}

/* --- the scanner alone --- */

static int print_token(void *ctx, enum json_token token, const char *text, size_t len, bool cut)
{
	static const char *const names[] = { "{", "}", "[", "]", "k:", "s:", "n:", "T", "F", "N" };
	struct strbuf *b = ctx;

	strbuf_addstr(b, names[token]);
	if (token >= JSON_KEY && token <= JSON_NUMBER)
		strbuf_add(b, text, len);
	if (cut)
		strbuf_addstr(b, "~");
	strbuf_addch(b, ' ');
	return 0;
}

/* In pieces of @piece bytes, each exactly as long as its own block of memory. */
static int scan(const char *text, size_t len, size_t piece, struct strbuf *out)
{
	struct json_scan s;

	json_scan_init(&s, print_token, out);
	for (size_t at = 0; at < len; at += piece) {
		size_t n = MIN(piece, len - at);
		_cleanup_(freep) char *exact = malloc(n);

		assert_non_null(exact);
		memcpy(exact, text + at, n);
		(void)json_scan_feed(&s, exact, n);
	}
	return json_scan_end(&s);
}

static const struct {
	const char *json, *tokens; /* tokens NULL: -EBADMSG */
} documents[] = {
	{ "{}", "{ } " },
	{ " [ ] \n", "[ ] " },
	{ "[1,-2.5e+7,0,0.1,1E9]", "[ n:1 n:-2.5e+7 n:0 n:0.1 n:1E9 ] " },
	{ "42", "n:42 " },
	{ "{\"a\":true,\"b\":[false,null]}", "{ k:a T k:b [ F N ] } " },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "s:\"\\/\b\f\n\r\t " },
	{ "\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "s:A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 " },
	{ "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
	  "s:\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f " },
	{ "\"\"", "s: " },
	{ "{\"a\":1,\"a\":2}", "{ k:a n:1 k:a n:2 } " },
	{ "", NULL },
	{ " ", NULL },
	{ "{", NULL },
	{ "{]", NULL },
	{ "[}", NULL },
	{ "]", NULL },
	{ "[1,]", NULL },
	{ "[,1]", NULL },
	{ "[1 2]", NULL },
	{ "{\"a\"}", NULL },
	{ "{\"a\":}", NULL },
	{ "{\"a\":1,}", NULL },
	{ "{,}", NULL },
	{ "{a:1}", NULL },
	{ "{1:1}", NULL },
	{ "{\"a\" 1}", NULL },
	{ "{}{}", NULL },
	{ "{} x", NULL },
	{ "nul", NULL },
	{ "nullx", NULL },
	{ "True", NULL },
	{ "NaN", NULL },
	{ "01", NULL },
	{ "-", NULL },
	{ "+1", NULL },
	{ "1.", NULL },
	{ ".5", NULL },
	{ "1e", NULL },
	{ "[1e+]", NULL },
	{ "[1.x]", NULL },
	{ "\"a", NULL },
	{ "\"\n\"", NULL },
	{ "\"\\x\"", NULL },
	{ "\"\\u12g4\"", NULL },
	{ "\"\\u12\"", NULL },
	{ "\"\\ud83d\"", NULL },
	{ "\"\\ud83d\\n\"", NULL },
	{ "\"\\ud83d\\ud83d\"", NULL },
	{ "\"\\ude00\"", NULL },
	{ "\"\xff\"", NULL },
	{ "\"\xc3\"", NULL },
	{ "\"\xc0\x80\"", NULL }, /* overlong */
	{ "\"\xe0\x80\xaf\"", NULL },
	{ "\"\xed\xa0\x80\"", NULL }, /* a surrogate */
	{ "\"\xf4\x90\x80\x80\"", NULL }, /* beyond U+10FFFF */
	{ "\"\x80\"", NULL },
	{ "'a'", NULL },
	{ "/* */ 1", NULL },
	{ "\xef\xbb\xbf{}", NULL }, /* a byte order mark */
};

static void test_documents(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
		size_t len = strlen(documents[i].json);

		for (size_t piece = 1; piece <= len + 1; piece++) {
			_cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
			int r = scan(documents[i].json, len, piece, &out);

			if (r != (documents[i].tokens ? 0 : -EBADMSG) ||
			    (r == 0 && !streq(strbuf_str(&out), documents[i].tokens)))
				fail_msg("%s in pieces of %zu: %d %s", documents[i].json, piece, r,
					 strbuf_str(&out));
		}
	}
}

static void test_nul_bytes(void **state)
{
	static const char escaped[] = "\"a\\u0000b\"", raw[] = "\"a\0b\"";
	_cleanup_strbuf_ struct strbuf out = STRBUF_INIT;

	assert_int_equal(scan(escaped, sizeof(escaped) - 1, 3, &out), 0);
	assert_int_equal(out.len, strlen("s:") + 3 + 1);
	assert_int_equal(scan(raw, sizeof(raw) - 1, 3, &out), -EBADMSG);
}

static void test_depth(void **state)
{
	for (unsigned depth = JSON_SCAN_DEPTH_MAX - 1; depth <= JSON_SCAN_DEPTH_MAX + 1; depth++) {
		_cleanup_strbuf_ struct strbuf text = STRBUF_INIT, out = STRBUF_INIT;

		for (unsigned i = 0; i < depth; i++)
			strbuf_addstr(&text, i % 2 ? "[" : "{\"a\":");
		strbuf_addstr(&text, "1");
		for (unsigned i = depth; i-- > 0;)
			strbuf_addstr(&text, i % 2 ? "]" : "}");
		assert_int_equal(scan(text.data, text.len, 7, &out),
				 depth <= JSON_SCAN_DEPTH_MAX ? 0 : -E2BIG);
	}
}

/* A text beyond the limit is cut between characters and still checked to its end. */
static void test_long_text(void **state)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT, out = STRBUF_INIT;

	strbuf_addstr(&text, "\"");
	for (unsigned i = 0; i < JSON_SCAN_TEXT_MAX; i++)
		strbuf_addstr(&text, "\xe2\x82\xac");
	strbuf_addstr(&text, "\"");
	assert_int_equal(scan(text.data, text.len, 4096, &out), 0);
	assert_int_equal(out.len, strlen("s:~ ") + JSON_SCAN_TEXT_MAX / 3 * 3);
	text.data[text.len - 2] = 'x'; /* its last character is none any more */
	assert_int_equal(scan(text.data, text.len, 4096, &out), -EBADMSG);
}

/* --- lists of pods --- */

static const char *const keys[] = { "app", "team", NULL };

static int read_list(const char *text, size_t len, size_t piece, struct podlist **ret)
{
	_cleanup_(podlist_scan_freep) struct podlist_scan *s = NULL;

	assert_int_equal(podlist_scan_new(keys, &s), 0);
	for (size_t at = 0; at < len; at += piece)
		(void)podlist_scan_feed(s, text + at, MIN(piece, len - at));
	return podlist_scan_end(s, ret);
}

/* As the kubelet writes it, cut down; a second pod whose keys come in another order. */
static const char sample[] =
	"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[{\"metadata\":{\"name\":"
	"\"search-7d9f8c6b5-x2lqp\",\"generateName\":\"search-7d9f8c6b5-\",\"namespace\":\"shop\",\"uid\":"
	"\"1f0e6e7a-0000-4000-8000-000000000001\",\"labels\":{\"app\":\"search\",\"pod-template-hash\":"
	"\"7d9f8c6b5\",\"other\":\"x\"},\"annotations\":{\"kubernetes.io/config.source\":\"api\",\"uid\":\"no\"},"
	"\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"name\":\"not-it\",\"uid\":\"u\"},"
	"{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"search-7d9f8c6b5\",\"uid\":\"u\","
	"\"controller\":true,\"blockOwnerDeletion\":true}]},\"spec\":{\"volumes\":[{\"name\":\"v\"}],"
	"\"initContainers\":[{\"name\":\"prepare\",\"resources\":{}}],\"containers\":[{\"name\":\"search\","
	"\"image\":\"i\",\"env\":[{\"name\":\"memory\",\"value\":\"1\"}],\"resources\":{\"limits\":{\"cpu\":"
	"\"500m\",\"memory\":\"512Mi\"},\"requests\":{\"cpu\":\"250m\",\"memory\":\"1.5e8\"}}},{\"name\":"
	"\"sidecar\",\"resources\":{\"limits\":{\"memory\":\"64M\"}}}],\"priorityClassName\":\"high\","
	"\"priority\":1000},\"status\":{\"phase\":\"Running\",\"qosClass\":\"Burstable\",\"containerStatuses\":"
	"[{\"name\":\"search\",\"resources\":{\"limits\":{\"memory\":\"1\"}}}]}},"
	"{\"status\":{\"qosClass\":\"Best\\u0045ffort\"},\"spec\":{\"containers\":[{\"resources\":{\"requests\":"
	"{\"memory\":4096}},\"name\":\"db\"}]},\"metadata\":{\"ownerReferences\":[{\"controller\":true,\"name\":"
	"\"db\",\"kind\":\"StatefulSet\"}],\"labels\":null,\"uid\":\"u2\",\"namespace\":\"shop\",\"name\":\"db-0\"}}]}";

static void check_sample(const struct podlist *l)
{
	const struct pod *p = podlist_find(l, "1f0e6e7a-0000-4000-8000-000000000001");

	assert_int_equal(podlist_count(l), 2);
	assert_int_equal(podlist_ignored(l), 0);
	assert_null(podlist_find(l, "u"));
	assert_non_null(p);
	assert_string_equal(p->name, "search-7d9f8c6b5-x2lqp");
	assert_string_equal(p->namespace, "shop");
	assert_string_equal(p->qos, "Burstable");
	assert_string_equal(p->priority_class, "high");
	assert_string_equal(p->owner_kind, "Deployment");
	assert_string_equal(p->owner_name, "search");
	assert_int_equal(p->n_labels, 1);
	assert_string_equal(p->labels[0].key, "app");
	assert_string_equal(p->labels[0].value, "search");
	assert_int_equal(p->n_containers, 3);
	assert_int_equal(pod_container(p, "search")->memory_limit, 512 << 20);
	assert_int_equal(pod_container(p, "search")->memory_request, 150000000);
	assert_int_equal(pod_container(p, "sidecar")->memory_limit, 64000000);
	assert_int_equal(pod_container(p, "sidecar")->memory_request, 0);
	assert_int_equal(pod_container(p, "prepare")->memory_limit, 0);
	assert_null(pod_container(p, "v"));

	p = podlist_find(l, "u2");
	assert_non_null(p);
	assert_string_equal(p->name, "db-0");
	assert_string_equal(p->qos, "BestEffort");
	assert_string_equal(p->owner_kind, "StatefulSet");
	assert_string_equal(p->owner_name, "db");
	assert_string_equal(p->priority_class, "");
	assert_int_equal(p->n_labels, 0);
	assert_int_equal(pod_container(p, "db")->memory_request, 4096);
}

static void test_every_boundary(void **state)
{
	size_t len = strlen(sample);

	for (size_t piece = 1; piece <= len; piece++) {
		_cleanup_(podlist_freep) struct podlist *l = NULL;

		assert_int_equal(read_list(sample, len, piece, &l), 0);
		check_sample(l);
	}
	for (size_t at = 1; at < len; at++) { /* two pieces */
		_cleanup_(podlist_scan_freep) struct podlist_scan *s = NULL;
		_cleanup_(podlist_freep) struct podlist *l = NULL;

		assert_int_equal(podlist_scan_new(keys, &s), 0);
		assert_int_equal(podlist_scan_feed(s, sample, at), 0);
		assert_int_equal(podlist_scan_feed(s, sample + at, len - at), 0);
		assert_int_equal(podlist_scan_end(s, &l), 0);
		check_sample(l);
	}
}

static void test_truncated(void **state)
{
	for (size_t len = 0; len < strlen(sample); len++) {
		struct podlist *l = NULL;

		assert_int_equal(read_list(sample, len, 4096, &l), -EBADMSG);
		assert_null(l);
	}
}

/* The digest follows what is kept and nothing else. */
static void test_digest(void **state)
{
	_cleanup_(podlist_freep) struct podlist *a = NULL, *b = NULL, *c = NULL;
	_cleanup_(freep) char *changed = strdup(sample);

	assert_non_null(changed);
	memcpy(strstr(changed, "Running"), "Pending", 7);
	assert_int_equal(read_list(sample, strlen(sample), 100, &a), 0);
	assert_int_equal(read_list(changed, strlen(changed), 100, &b), 0);
	assert_true(podlist_find(a, "u2")->digest == podlist_find(b, "u2")->digest);
	assert_true(podlist_find(a, "1f0e6e7a-0000-4000-8000-000000000001")->digest ==
		    podlist_find(b, "1f0e6e7a-0000-4000-8000-000000000001")->digest);
	memcpy(strstr(changed, "4096"), "4097", 4);
	assert_int_equal(read_list(changed, strlen(changed), 100, &c), 0);
	assert_true(podlist_find(a, "u2")->digest != podlist_find(c, "u2")->digest);
}

static const struct {
	const char *json;
	int r;
	size_t pods;
	uint64_t ignored;
} bodies[] = {
	{ "{\"items\":[]}", 0, 0, 0 },
	{ "{\"items\":null}", 0, 0, 0 }, /* Go's empty list */
	{ "{}", -EBADMSG, 0, 0 },
	{ "[]", -EBADMSG, 0, 0 },
	{ "null", -EBADMSG, 0, 0 },
	{ "\"pods\"", -EBADMSG, 0, 0 },
	{ "<html>", -EBADMSG, 0, 0 },
	{ "{\"kind\":\"Status\",\"status\":\"Failure\"}", -EBADMSG, 0, 0 },
	{ "{\"items\":{}}", -EBADMSG, 0, 0 },
	{ "{\"items\":\"x\"}", -EBADMSG, 0, 0 },
	{ "{\"items\":[],\"items\":[]}", -EBADMSG, 0, 0 },
	{ "{\"x\":{\"items\":[{\"metadata\":{\"uid\":\"u\"}}]},\"items\":[]}", 0, 0, 0 },
	{ "{\"items\":[{\"metadata\":{\"uid\":\"u\"}}]}", 0, 1, 0 },
	{ "{\"items\":[{\"metadata\":{\"uid\":\"u\"}},{\"metadata\":{\"uid\":\"u\"}}]}", 0, 1, 1 },
	/* no uid */
	{ "{\"items\":[{},{\"metadata\":{\"name\":\"a\"}},{\"metadata\":null}]}", 0, 0, 3 },
	/* wrong types: left out */
	{ "{\"items\":[1,\"a\",null,[],true]}", 0, 0, 4 },
	{ "{\"items\":[{\"metadata\":[{\"uid\":\"u\"}]}]}", 0, 0, 2 },
	{ "{\"items\":[{\"metadata\":{\"uid\":\"u\",\"name\":7,\"namespace\":{\"a\":[\"b\"]},\"labels\":[\"app\"],"
	  "\"ownerReferences\":{\"kind\":\"x\"}},\"spec\":{\"containers\":[7,{\"name\":\"c\",\"resources\":{\"limits\":"
	  "{\"memory\":true}}}],\"priorityClassName\":false},\"status\":\"ok\"}]}",
	  0, 1, 8 },
	{ "{\"items\":[{\"metadata\":{\"uid\":\"u\",\"labels\":{\"app\":{\"app\":\"x\"},\"x\":{},\"team\":5}}}]}",
	  0, 1, 2 },
	{ "{\"items\":[{\"metadata\":{\"uid\":\"a\\u0000b\"}}]}", 0, 0, 2 },
	{ "{\"items\":[{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"limits\":"
	  "{\"memory\":\"1 Mi\"}}},{\"resources\":{}}]}}]}",
	  0, 1, 2 },
	{ "{\"items\":[{\"metadata\":{\"uid\":\"\xff\"}}]}", -EBADMSG, 0, 0 },
};

static void test_bodies(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		_cleanup_(podlist_freep) struct podlist *l = NULL;
		int r = read_list(bodies[i].json, strlen(bodies[i].json), 5, &l);

		if (r != bodies[i].r || (l && (podlist_count(l) != bodies[i].pods ||
					       podlist_ignored(l) != bodies[i].ignored)))
			fail_msg("%s: %d, %zu pods, %llu ignored", bodies[i].json, r,
				 l ? podlist_count(l) : 0,
				 (unsigned long long)(l ? podlist_ignored(l) : 0));
	}
}

static const struct {
	const char *kind, *name, *hash, *owner_kind, *owner_name;
} owners[] = {
	{ "ReplicaSet", "web-5f7", "5f7", "Deployment", "web" },
	{ "ReplicaSet", "web-5f7", "", "ReplicaSet", "web-5f7" },
	{ "ReplicaSet", "web-5f7", "6f7", "ReplicaSet", "web-5f7" },
	{ "ReplicaSet", "-5f7", "5f7", "ReplicaSet", "-5f7" },
	{ "ReplicaSet", "web5f7", "5f7", "ReplicaSet", "web5f7" },
	{ "ReplicaSet", "5f7", "5f7", "ReplicaSet", "5f7" },
	{ "DaemonSet", "log-5f7", "5f7", "DaemonSet", "log-5f7" },
	{ "Job", "backup-28391230", "", "Job", "backup-28391230" },
	{ "Node", "worker-1", "", "", "" },
	{ "CloneSet", "x", "", "CloneSet", "x" },
};

static void test_owners(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		_cleanup_(podlist_freep) struct podlist *l = NULL;
		_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
		const struct pod *p;

		strbuf_addf(
			&b,
			"{\"items\":[{\"metadata\":{\"ownerReferences\":[{\"kind\":\"%s\",\"name\":\"%s\","
			"\"controller\":true}],\"labels\":{\"pod-template-hash\":\"%s\"},\"uid\":\"u\"}}]}",
			owners[i].kind, owners[i].name, owners[i].hash);
		assert_int_equal(read_list(b.data, b.len, 11, &l), 0);
		p = podlist_find(l, "u");
		assert_non_null(p);
		assert_string_equal(p->owner_kind, owners[i].owner_kind);
		assert_string_equal(p->owner_name, owners[i].owner_name);
	}
}

static void add_pods(struct strbuf *b, unsigned n, size_t name_len)
{
	strbuf_addstr(b, "{\"items\":[");
	for (unsigned i = 0; i < n; i++) {
		strbuf_addf(b, "%s{\"metadata\":{\"uid\":\"u%u\",\"name\":\"", i ? "," : "", i);
		for (size_t k = 0; k < name_len; k++)
			strbuf_addch(b, 'n');
		strbuf_addstr(b, "\"}}");
	}
	strbuf_addstr(b, "]}");
}

static void test_too_many_pods(void **state)
{
	for (unsigned more = 0; more < 2; more++) {
		_cleanup_(podlist_freep) struct podlist *l = NULL;
		_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

		add_pods(&b, PODLIST_PODS_MAX + more, 10);
		assert_int_equal(read_list(b.data, b.len, 4096, &l), more ? -EFBIG : 0);
		if (!more)
			assert_int_equal(podlist_count(l), PODLIST_PODS_MAX);
	}
}

/* Texts of the greatest length in many containers fill the arena before the number of pods is reached. */
static void test_too_many_bytes(void **state)
{
	_cleanup_(podlist_freep) struct podlist *l = NULL;
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	strbuf_addstr(&b, "{\"items\":[");
	for (unsigned i = 0; i < 2000; i++) {
		strbuf_addf(&b, "%s{\"metadata\":{\"uid\":\"u%u\"},\"spec\":{\"containers\":[",
			    i ? "," : "", i);
		for (unsigned k = 0; k < PODLIST_CONTAINERS_MAX; k++)
			strbuf_addf(&b, "%s{\"name\":\"%063u\"}", k ? "," : "", k);
		strbuf_addstr(&b, "]}}");
	}
	strbuf_addstr(&b, "]}");
	assert_int_equal(b.error, 0);
	assert_int_equal(read_list(b.data, b.len, 65536, &l), -EFBIG);
}

static void test_too_long_fields(void **state)
{
	_cleanup_(podlist_freep) struct podlist *l = NULL;
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	add_pods(&b, 3, 300);
	assert_int_equal(read_list(b.data, b.len, 4096, &l), 0);
	assert_int_equal(podlist_count(l), 3);
	assert_int_equal(podlist_ignored(l), 3);
	assert_string_equal(podlist_find(l, "u0")->name, "");
	l = podlist_free(l);
	strbuf_clear(&b);
	add_pods(&b, 3, 5000); /* beyond the scanner's own limit */
	assert_int_equal(read_list(b.data, b.len, 4096, &l), 0);
	assert_int_equal(podlist_ignored(l), 3);
}

static void test_too_many_containers(void **state)
{
	_cleanup_(podlist_freep) struct podlist *l = NULL;
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

	strbuf_addstr(&b, "{\"items\":[{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"containers\":[");
	for (unsigned k = 0; k < PODLIST_CONTAINERS_MAX + 5; k++)
		strbuf_addf(&b, "%s{\"name\":\"c%u\"}", k ? "," : "", k);
	strbuf_addstr(&b, "]}}]}");
	assert_int_equal(read_list(b.data, b.len, 4096, &l), 0);
	assert_int_equal(podlist_find(l, "u")->n_containers, PODLIST_CONTAINERS_MAX);
	assert_int_equal(podlist_ignored(l), 5);
}

/* 32 MiB and a byte of what is skipped: what is kept stays what it was, and nesting is refused at its depth. */
static void test_large_bodies(void **state)
{
	_cleanup_(podlist_scan_freep) struct podlist_scan *s = NULL, *deep = NULL;
	_cleanup_(podlist_freep) struct podlist *l = NULL;
	static const char head[] = "{\"x\":\"",
			  tail[] = "\",\"items\":[{\"metadata\":{\"uid\":\"u\"}}]}";
	static char filler[65536];
	size_t left = (32 << 20) + 1 - strlen(head) - strlen(tail);

	memset(filler, 'a', sizeof(filler));
	assert_int_equal(podlist_scan_new(keys, &s), 0);
	assert_int_equal(podlist_scan_feed(s, head, strlen(head)), 0);
	for (; left; left -= MIN(left, sizeof(filler)))
		assert_int_equal(podlist_scan_feed(s, filler, MIN(left, sizeof(filler))), 0);
	assert_int_equal(podlist_scan_feed(s, tail, strlen(tail)), 0);
	assert_int_equal(podlist_scan_end(s, &l), 0);
	assert_int_equal(podlist_count(l), 1);

	memset(filler, '[', sizeof(filler));
	assert_int_equal(podlist_scan_new(NULL, &deep), 0);
	assert_int_equal(podlist_scan_feed(deep, "{\"x\":", 5), 0);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(podlist_scan_feed(deep, filler, sizeof(filler)), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantities),	cmocka_unit_test(test_documents),
		cmocka_unit_test(test_nul_bytes),	cmocka_unit_test(test_depth),
		cmocka_unit_test(test_long_text),	cmocka_unit_test(test_every_boundary),
		cmocka_unit_test(test_truncated),	cmocka_unit_test(test_digest),
		cmocka_unit_test(test_bodies),		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_too_many_pods),	cmocka_unit_test(test_too_many_bytes),
		cmocka_unit_test(test_too_long_fields), cmocka_unit_test(test_too_many_containers),
		cmocka_unit_test(test_large_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
