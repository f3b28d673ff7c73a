/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users: what passwd(5) may hold, and a file that changes. */
#include <stdlib.h>
#include <sys/stat.h>
#include "agent/oom/users.h"
#include "base/macro.h"
#include "base/time.h"
#include "test.h"

static void test_parse(void **state)
{
	static const char text[] = "root:x:0:0:root:/root:/bin/sh\n"
				   "# a word\n"
				   "\n"
				   "+::::::\n"
				   ":x:7:7:no name:/:/bin/sh\n"
				   "short:x\n"
				   "odd:x:12x:1::/:\n"
				   "huge:x:4294967296:1::/:\n"
				   "a-name-that-is-longer-than-any-other:x:9:9::/:\n"
				   "db:x:999:999::/:/bin/false\n"
				   "web:x:33:33::/:";
	struct user_entry e[8];

	assert_int_equal(users_parse(text, e, ARRAY_SIZE(e)), 3);
	assert_int_equal(e[0].uid, 0);
	assert_string_equal(e[0].name, "root");
	assert_int_equal(e[1].uid, 33);
	assert_string_equal(e[1].name, "web");
	assert_int_equal(e[2].uid, 999);
	assert_int_equal(users_parse(text, e, 2), 2);
	assert_int_equal(users_parse("", e, 2), 0);
	assert_int_equal(users_parse("a:x:5:5::/:\nb:x:5:5::/:\n", e, 2), 1);
	assert_string_equal(e[0].name, "a");
}

static void put(const char *root, unsigned users, const char *last)
{
	char path[96];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/etc/passwd", root);
	f = fopen(path, "we");
	assert_non_null(f);
	for (unsigned i = 0; i < users; i++)
		(void)fprintf(f,
			      "user%u:x:%u:100:A user with a long description:/home/%u:/bin/sh\n",
			      i, 1000 + i, i);
	(void)fprintf(f, "%s:x:77:77::/:/bin/sh\n", last);
	assert_int_equal(fclose(f), 0);
}

static void stop(void *ctx, uint64_t now_us)
{
	loop_stop(ctx, 0);
}

/* Of a file much longer than a page, below the root of the host. Changed ones are read anew, by a worker. */
static void test_file(void **state)
{
	char root[] = "/tmp/telamon-users-XXXXXX", path[64], command[64];
	struct loop *loop;
	struct workers *workers;
	struct loop_timer *timer;
	struct users *u;

	assert_non_null(mkdtemp(root));
	(void)snprintf(path, sizeof(path), "%s/etc", root);
	assert_int_equal(mkdir(path, 0700), 0);
	put(root, 3000, "before");
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(workers_new(loop, 1, 4, &workers), 0);
	assert_int_equal(users_new(workers, root, &u), 0);
	assert_string_equal(users_name(u, 3999), "user2999");
	assert_string_equal(users_name(u, 77), "before");
	assert_null(users_name(u, 0));

	put(root, 10, "afterwards");
	users_tick(u, US_PER_SEC);
	assert_string_equal(users_name(u, 77), "before"); /* nothing is read on the loop */
	assert_int_equal(loop_add_timer(loop, stop, loop, &timer), 0);
	for (unsigned i = 0; i < 500 && users_name(u, 3999); i++) {
		loop_timer_at(timer, time_mono_us() + 10 * US_PER_MSEC);
		assert_int_equal(loop_run(loop), 0);
	}
	assert_string_equal(users_name(u, 77), "afterwards");
	assert_null(users_name(u, 3999));

	loop_timer_free(timer);
	workers_free(workers);
	users_free(u);
	loop_free(loop);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
}

static void test_no_file(void **state)
{
	struct users *u;

	assert_int_equal(users_new(NULL, "/nowhere", &u), 0);
	assert_null(users_name(u, 0));
	users_tick(u, US_PER_SEC); /* still not there: nothing to read */
	users_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
