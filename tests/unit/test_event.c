/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include "base/text.h"
#include "event/event.h"
#include "test.h"

#define WALL 1795339867482113904ULL

struct fixture {
	struct event_origin *origin;
	struct event_buf b;
	json_t *json;
	char memory[EVENT_BYTES_MAX];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(event_origin_new("node-1", "0123", &f->origin), 0);
	event_buf_init(&f->b, f->memory, sizeof(f->memory));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	event_origin_free(f->origin);
	json_decref(f->json);
	free(f);
	return 0;
}

static struct event_buf *begin(struct fixture *f)
{
	event_begin(&f->b, f->origin, "oom.kill", SEVERITY_ERROR, WALL, 77);
	return &f->b;
}

/* Ends the event and reads it with a JSON reader that is not ours. */
static json_t *end(struct fixture *f)
{
	json_error_t error;

	assert_int_equal(event_end(&f->b), 0);
	assert_true(f->b.json.len <= EVENT_BYTES_MAX);
	assert_int_equal(strlen(f->b.json.data), f->b.json.len);
	json_decref(f->json);
	f->json = json_loadb(f->b.json.data, f->b.json.len, JSON_REJECT_DUPLICATES, &error);
	assert_non_null(f->json);
	return f->json;
}

static const char *text(json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

static void test_common_fields(void **state)
{
	struct fixture *f = *state;
	char id[32];
	json_t *j;

	begin(f);
	j = end(f);
	(void)snprintf(id, sizeof(id), "%s-000001", event_origin_start(f->origin));
	assert_int_equal(strlen(event_origin_start(f->origin)), 10);
	assert_int_equal(strspn(event_origin_start(f->origin), "0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
			 10);
	assert_string_equal(text(j, "timestamp"), "2026-11-22T09:31:07.482113904Z");
	assert_string_equal(text(j, "event.name"), "oom.kill");
	assert_string_equal(text(j, "severity_text"), "ERROR");
	assert_int_equal(json_integer_value(json_object_get(j, "severity_number")), 17);
	assert_string_equal(text(j, "host.name"), "node-1");
	assert_string_equal(text(j, "host.id"), "0123");
	assert_string_equal(text(j, "telamon.id"), id);
	assert_string_equal(text(j, "telamon.boottime_ns"), "77");
	assert_int_equal(json_object_size(j), 8);
	assert_int_equal(f->b.keys.sequence, 1);
	assert_int_equal(f->b.keys.wall_ns, WALL);
	begin(f);
	assert_int_equal(f->b.keys.sequence, 2);
}

static void test_absent_fields(void **state)
{
	struct fixture *f = *state;
	struct event_buf *b = begin(f);
	json_t *j;

	event_str(b, "a", NULL);
	event_str(b, "b", "");
	event_strn(b, "c", "x", 0);
	event_strn(b, "d", NULL, 3);
	event_f64(b, "e", NAN, 2);
	event_f64(b, "f", -INFINITY, 2);
	event_f64(b, "g", 1e300, 2);
	event_u64(b, "h", 0);
	event_bool(b, "i", false);
	j = end(f);
	assert_int_equal(json_object_size(j), 10);
	assert_true(json_is_integer(json_object_get(j, "h")));
	assert_true(json_is_false(json_object_get(j, "i")));
}

static void test_numbers(void **state)
{
	static const struct {
		double v;
		unsigned digits;
		const char *text;
	} cases[] = {
		{ 0, 3, "0" },
		{ 1.5, 0, "2" },
		{ 1.25, 2, "1.25" },
		{ 1.25, 9, "1.25" },
		{ 0.999999, 3, "1" },
		{ -2.5, 1, "-2.5" },
		{ 0.000001, 6, "0.000001" },
		{ 12.0304, 4, "12.0304" },
		{ 9e12, 6, "9000000000000" },
		{ 100.10, 2, "100.1" },
	};
	struct fixture *f = *state;
	struct event_buf *b = begin(f);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t at = b->json.len;

		event_f64(b, "x", cases[i].v, cases[i].digits);
		assert_string_equal(b->json.data + at + strlen(",\"x\":"), cases[i].text);
	}
	b = begin(f);
	event_u64_str(b, "max", UINT64_MAX);
	event_i64(b, "min", INT64_MIN);
	event_time(b, "when", 0);
	assert_string_equal(text(end(f), "max"), "18446744073709551615");
	assert_true(json_integer_value(json_object_get(f->json, "min")) == INT64_MIN);
	assert_string_equal(text(f->json, "when"), "1970-01-01T00:00:00.000000000Z");
}

static void test_foreign_text(void **state)
{
	struct fixture *f = *state;
	struct event_buf *b = begin(f);
	json_t *j;

	event_str(b, "quoted", "a\"\\\n\x01");
	j = end(f);
	assert_string_equal(text(j, "quoted"), "a\"\\\n\x01");
	assert_null(json_object_get(j, "telamon.lossy_text"));

	b = begin(f);
	event_strn(b, "process.name", "n\xffm\0x", 5);
	assert_int_equal(event_end(b), 0);
	assert_non_null(strstr(b->json.data, "\"process.name\":\"n\xef\xbf\xbdm\\u0000x\""));
	assert_non_null(strstr(b->json.data, ",\"telamon.lossy_text\":true}"));
	assert_true(utf8_valid(b->json.data, b->json.len));

	/* The flag is of one event. */
	begin(f);
	assert_null(json_object_get(end(f), "telamon.lossy_text"));
}

static void test_nesting(void **state)
{
	struct fixture *f = *state;
	struct event_buf *b = begin(f);
	json_t *j, *list;

	event_array(b, "empty");
	event_array_end(b);
	event_array(b, "list");
	for (unsigned i = 0; i < 3; i++) {
		event_object(b, NULL);
		event_u64(b, "n", i);
		event_str(b, "absent", "");
		event_array(b, "deep");
		event_str(b, NULL, "x");
		event_str(b, NULL, ""); /* an empty argument keeps its place */
		event_array_end(b);
		event_object_end(b);
	}
	event_array_end(b);
	event_str(b, "after", "y");
	j = end(f);
	list = json_object_get(j, "list");
	assert_int_equal(json_array_size(json_object_get(j, "empty")), 0);
	assert_int_equal(json_array_size(list), 3);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 2), "n")), 2);
	assert_int_equal(json_array_size(json_object_get(json_array_get(list, 1), "deep")), 2);
	assert_string_equal(text(j, "after"), "y");
}

/* Items until the room is gone; the cut array is named, the event stays below the limit. */
static void test_truncated_arrays(void **state)
{
	struct fixture *f = *state;
	struct event_buf *b = begin(f);
	char long_text[1000];
	size_t n = 0;
	json_t *j;

	memset(long_text, 'x', sizeof(long_text));
	for (unsigned array = 0; array < 2; array++) {
		event_array(b, array ? "members" : "levels");
		for (unsigned i = 0; i < 100; i++) {
			struct event_mark mark = event_mark(b);

			event_object(b, NULL);
			event_strn(b, "path", long_text, sizeof(long_text));
			event_object_end(b);
			if (!event_room(b, 2048)) {
				event_rollback(b, mark, array ? "members" : "levels");
				break;
			}
			n++;
		}
		event_array_end(b);
	}
	event_str(b, "last", "kept");
	j = end(f);
	assert_int_equal(json_array_size(json_object_get(j, "levels")), n);
	assert_in_range(n, 55, 64);
	assert_int_equal(json_array_size(json_object_get(j, "members")), 0);
	assert_int_equal(json_array_size(json_object_get(j, "telamon.truncated")), 2);
	assert_string_equal(text(j, "last"), "kept");
	assert_in_range(b->json.len, 60000, EVENT_BYTES_MAX);
}

/* A cut that comes only after the buffer is full is a cut all the same. */
static void test_rollback_after_overflow(void **state)
{
	struct fixture *f = *state;
	struct event_buf *b = begin(f);
	static char huge[EVENT_BYTES_MAX];
	struct event_mark mark;

	memset(huge, 'y', sizeof(huge));
	event_array(b, "levels");
	mark = event_mark(b);
	event_object(b, NULL);
	event_strn(b, "path", huge, sizeof(huge));
	assert_false(event_room(b, 0));
	for (unsigned twice = 0; twice < 2; twice++)
		event_rollback(b, mark, "levels");
	event_array_end(b);
	assert_int_equal(json_array_size(json_object_get(end(f), "telamon.truncated")), 1);
}

static void test_many_truncated_names(void **state)
{
	static const char *const names[] = {
		"telamon.oom.a_long_name_of_an_array_1", "telamon.oom.a_long_name_of_an_array_2",
		"telamon.oom.a_long_name_of_an_array_3", "telamon.oom.a_long_name_of_an_array_4",
		"telamon.oom.a_long_name_of_an_array_5", "telamon.oom.a_long_name_of_an_array_6",
		"telamon.oom.a_long_name_of_an_array_7", "telamon.oom.a_long_name_of_an_array_8",
		"telamon.oom.a_long_name_of_an_array_9",
	};
	struct fixture *f = *state;
	struct event_buf *b = begin(f);

	while (event_room(b, 1))
		event_strn(b, "f", "", 0), strbuf_addch(&b->json, ' ');
	b->lossy = true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		event_rollback(b, event_mark(b), names[i]);
	assert_in_range(json_array_size(json_object_get(end(f), "telamon.truncated")), 3, 8);
	assert_true(json_is_true(json_object_get(f->json, "telamon.lossy_text")));
}

static void test_overflow(void **state)
{
	struct fixture *f = *state;
	struct event_buf *b = begin(f);
	static char huge[EVENT_BYTES_MAX];

	memset(huge, 'z', sizeof(huge));
	event_strn(b, "message", huge, sizeof(huge));
	event_str(b, "after", "x");
	assert_int_equal(event_end(b), -ENOSPC);
	assert_true(b->overflow);
	/* The buffer is good for the next one. */
	begin(f);
	assert_false(b->overflow);
	assert_int_equal(json_object_size(end(f)), 8);
}

static void test_severities(void **state)
{
	static const struct {
		const char *text;
		int severity;
	} cases[] = {
		{ "INFO", 9 },	    { "info", 9 },	{ "INFO2", 10 },   { "notice", 10 },
		{ "WARN", 13 },	    { "warning", 13 },	{ "high", 17 },	   { "ERROR", 17 },
		{ "critical", 21 }, { "FATAL", 21 },	{ "1", 1 },	   { "24", 24 },
		{ "25", -EINVAL },  { "0", -EINVAL },	{ "", -EINVAL },   { "-1", -EINVAL },
		{ "1x", -EINVAL },  { "100", -EINVAL }, { " 9", -EINVAL }, { "Info", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(event_severity_from_string(cases[i].text), cases[i].severity);
	assert_string_equal(event_severity_text(SEVERITY_NOTICE), "INFO2");
	assert_string_equal(event_severity_text(SEVERITY_FATAL), "FATAL");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_common_fields),
		TEST(test_absent_fields),
		TEST(test_numbers),
		TEST(test_foreign_text),
		TEST(test_nesting),
		TEST(test_truncated_arrays),
		TEST(test_rollback_after_overflow),
		TEST(test_many_truncated_names),
		TEST(test_overflow),
		TEST(test_severities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
