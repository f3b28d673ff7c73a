/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "base/fs.h"
#include "scratch.h"

static struct scratch scratch;

static int setup(void **state)
{
	scratch_init(&scratch);
	return 0;
}

static int teardown(void **state)
{
	scratch_done(&scratch);
	return 0;
}

static void test_read(void **state)
{
	_cleanup_(freep) char *text = NULL, *empty = NULL, *none = NULL;
	const char *path = scratch_path(&scratch, "f");
	size_t len = 0;

	scratch_write(&scratch, "f", "0123456789");
	assert_int_equal(fs_read_at(AT_FDCWD, path, 10, &text, &len), 0);
	assert_string_equal(text, "0123456789");
	assert_int_equal(len, 10);
	assert_int_equal(fs_read_at(AT_FDCWD, path, 9, &none, NULL), -EFBIG);
	assert_int_equal(fs_read_at(AT_FDCWD, "/nowhere", 9, &none, NULL), -ENOENT);
	assert_int_equal(fs_read_at(AT_FDCWD, scratch.path, 9, &none, NULL), -EISDIR);
	assert_null(none);
	scratch_write(&scratch, "f", "");
	assert_int_equal(fs_read_at(AT_FDCWD, path, 0, &empty, &len), 0);
	assert_string_equal(empty, "");
	assert_int_equal(len, 0);
}

static void test_read_into(void **state)
{
	const char *path = scratch_path(&scratch, "f");
	_cleanup_(closep) int fd = -EBADF;
	char buf[16];

	scratch_write(&scratch, "f", "0123456789");
	assert_int_equal(fs_read_into(AT_FDCWD, path, buf, 11), 10);
	assert_string_equal(buf, "0123456789");
	assert_int_equal(fs_read_into(AT_FDCWD, path, buf, 10), -ENOBUFS);
	assert_int_equal(fs_read_into(AT_FDCWD, path, buf, 0), -ENOBUFS);
	assert_int_equal(fs_read_into(AT_FDCWD, "/nowhere", buf, 11), -ENOENT);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	for (unsigned twice = 0; twice < 2; twice++) /* always from the start */
		assert_int_equal(fs_pread_into(fd, buf, sizeof(buf)), 10);
	assert_int_equal(fs_pread_into(-1, buf, sizeof(buf)), -EBADF);
	/* procfs files have no size of their own. */
	assert_true(fs_read_into(AT_FDCWD, "/proc/self/comm", buf, sizeof(buf)) > 0);
}

static void test_write_at(void **state)
{
	const char *path = scratch_path(&scratch, "f");
	char buf[16];

	assert_int_equal(fs_write_at(AT_FDCWD, path, "x"), -ENOENT); /* never creates */
	scratch_write(&scratch, "f", "");
	assert_int_equal(fs_write_at(AT_FDCWD, path, "+memory"), 0);
	assert_int_equal(fs_read_into(AT_FDCWD, path, buf, sizeof(buf)), 7);
	assert_string_equal(buf, "+memory");
}

static void test_write_atomic(void **state)
{
	const char *path = scratch_path(&scratch, "f"), *link = scratch_path(&scratch, "f.tmp");
	struct stat st;
	char buf[16];

	assert_int_equal(fs_write_atomic(path, 0640, "one", 3), 0);
	assert_int_equal(fs_write_atomic(path, 0640, "two!", 4), 0);
	assert_int_equal(fs_read_into(AT_FDCWD, path, buf, sizeof(buf)), 4);
	assert_string_equal(buf, "two!");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
	assert_int_equal(access(link, F_OK), -1); /* nothing is left beside it */

	/* A link that somebody put where the temporary file goes is not followed. */
	scratch_write(&scratch, "victim", "untouched");
	assert_int_equal(symlink(scratch_path(&scratch, "victim"), link), 0);
	assert_int_equal(fs_write_atomic(path, 0640, "3", 1), 0);
	assert_int_equal(fs_read_into(AT_FDCWD, scratch_path(&scratch, "victim"), buf, sizeof(buf)),
			 9);

	assert_int_equal(fs_write_atomic(scratch_path(&scratch, "none/f"), 0640, "x", 1), -ENOENT);
	assert_int_equal(mkdir(scratch_path(&scratch, "dir"), 0700), 0);
	scratch_write(&scratch, "dir/x", "");
	assert_true(fs_write_atomic(scratch_path(&scratch, "dir"), 0640, "x", 1) < 0);
	assert_int_equal(access(scratch_path(&scratch, "dir.tmp"), F_OK), -1);
}

static void test_mkdir_p(void **state)
{
	char deep[5000];
	struct stat st;

	assert_int_equal(fs_mkdir_p(scratch_path(&scratch, "a/b//c/"), 0750), 0);
	assert_int_equal(fs_mkdir_p(scratch_path(&scratch, "a/b/c"), 0750), 0);
	assert_int_equal(stat(scratch_path(&scratch, "a/b/c"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(symlink("b", scratch_path(&scratch, "a/link")), 0);
	assert_int_equal(fs_mkdir_p(scratch_path(&scratch, "a/link"), 0750), 0);
	scratch_write(&scratch, "file", "");
	assert_int_equal(fs_mkdir_p(scratch_path(&scratch, "file/x"), 0750), -ENOTDIR);
	assert_int_equal(fs_mkdir_p(scratch_path(&scratch, "file"), 0750), -ENOTDIR);
	memset(deep, 'x', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_int_equal(fs_mkdir_p(deep, 0750), -ENAMETOOLONG);
	assert_int_equal(fs_mkdir_p("", 0750), -ENAMETOOLONG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read),	 TEST(test_read_into), TEST(test_write_at),
		TEST(test_write_atomic), TEST(test_mkdir_p),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
