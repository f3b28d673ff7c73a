/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sys/child.h"
#include "test.h"

struct answer {
	int number;
	char text[32];
};

static int give_pipe(void *ctx, struct child_result *r)
{
	struct answer *a = r->data;
	int fds[2];

	a->number = *(const int *)ctx + 1;
	(void)snprintf(a->text, sizeof(a->text), "from pid %d", (int)getpid() != 0);
	if (pipe(fds) < 0 || write(fds[1], "through", 7) != 7)
		return -errno;
	r->fds[r->n_fds++] = fds[0];
	(void)close(fds[1]);
	return 7;
}

static void test_data_and_fd(void **state)
{
	int start = 41;
	struct answer a = {};
	struct child_result r = { .data = &a, .size = sizeof(a) };
	char text[16] = "";

	assert_int_equal(child_run(give_pipe, &start, &r), 7);
	assert_int_equal(a.number, 42);
	assert_string_equal(a.text, "from pid 1");
	assert_int_equal(start, 41);
	assert_int_equal(r.n_fds, 1);
	assert_int_equal(fcntl(r.fds[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(read(r.fds[0], text, sizeof(text)), 7);
	assert_string_equal(text, "through");
	close(r.fds[0]);
	/* Nothing is left to wait for. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static int refuse(void *ctx, struct child_result *r)
{
	return -ENOTSUP;
}

static int die(void *ctx, struct child_result *r)
{
	raise(SIGKILL);
	return 0;
}

static void test_failures(void **state)
{
	struct answer a = { .number = 5 };
	struct child_result r = { .data = &a, .size = sizeof(a) };

	assert_int_equal(child_run(refuse, NULL, &r), -ENOTSUP);
	assert_int_equal(r.n_fds, 0);
	assert_int_equal(child_run(die, NULL, &r), -EPIPE);
	assert_int_equal(r.n_fds, 0);
	assert_int_equal(a.number, 5);
	r.size = CHILD_DATA_MAX + 1;
	assert_int_equal(child_run(refuse, NULL, &r), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data_and_fd),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
