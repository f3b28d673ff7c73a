/* SPDX-License-Identifier: Apache-2.0 */
/* Lines with fields: their form, and that one a second passes. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "base/log.h"
#include "test.h"

static const struct log_field fields[] = { { "telamon.route.node", "a\"b\x1b", 0 },
					   { "server.port", NULL, 8429 } };

/* What @lines calls write to stderr. */
static const char *capture(struct log_second *limit, unsigned lines)
{
	static char text[8192];
	int pipe_fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
	for (unsigned i = 0; i < lines; i++)
		log_event(LOG_LEVEL_WARN, limit, "telamon.route.dead_letter",
			  "block refused for good", fields, 2);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	n = read(pipe_fds[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	(void)close(saved);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	return text;
}

static void test_json(void **state)
{
	struct log_second limit = {};
	const char *text;

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	text = capture(&limit, 1);
	assert_memory_equal(text, "{\"time\":\"", 9);
	assert_string_equal(strstr(text, "\",\"level\""),
			    "\",\"level\":\"warn\",\"msg\":\"block refused for good\","
			    "\"event.name\":\"telamon.route.dead_letter\","
			    "\"telamon.route.node\":\"a\\\"b\\u001b\",\"server.port\":8429}\n");
}

static void test_logfmt(void **state)
{
	struct log_second limit = {};

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	assert_string_equal(strstr(capture(&limit, 1), " level"),
			    " level=warn msg=\"block refused for good\" "
			    "event.name=telamon.route.dead_letter "
			    "telamon.route.node=\"a\\\"b\\u001b\" server.port=8429\n");
}

static void test_one_a_second(void **state)
{
	struct log_second limit = {}, other = {};
	const char *text;

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	limit.passed_us = UINT64_MAX / 2; /* a clock that stands still: not yet a second ago */
	assert_string_equal(capture(&limit, 7), "");
	assert_int_equal(limit.suppressed, 7);
	limit.passed_us = 0;
	text = capture(&limit, 1);
	assert_non_null(strstr(text, "\"telamon.suppressed\":7,"));
	assert_null(strstr(strchr(text, '\n'), "time"));
	/* Another limit is another matter. */
	assert_null(strstr(capture(&other, 1), "suppressed"));
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	limit.passed_us = 0;
	assert_string_equal(capture(&limit, 1), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_logfmt),
		cmocka_unit_test(test_one_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
