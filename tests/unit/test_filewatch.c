/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of watched files: in place, by rename, behind a link, gone and back; told once they have rested. */
#include <unistd.h>
#include "base/filewatch.h"
#include "base/macro.h"
#include "scratch.h"
#include "test.h"

static void told_once_after_a_rest(struct file_watch *w)
{
	assert_false(file_watch_look(w));
	assert_true(file_watch_look(w));
	assert_false(file_watch_look(w));
}

static void each_way_to_change(void **state)
{
	struct scratch s;
	struct file_watch w = {};
	const char *paths[3];

	(void)state;
	scratch_init(&s);
	assert_int_equal(mkdir(scratch_path(&s, "one"), 0700), 0);
	assert_int_equal(mkdir(scratch_path(&s, "two"), 0700), 0);
	scratch_write(&s, "one/a", "same");
	scratch_write(&s, "two/a", "same");
	scratch_write(&s, "b", "1");
	assert_int_equal(symlink("one", scratch_path(&s, "data")), 0);
	paths[0] = scratch_path(&s, "data/a");
	paths[1] = scratch_path(&s, "b");
	paths[2] = scratch_path(&s, "c");
	assert_int_equal(file_watch_set(&w, paths, 3), 0);
	assert_false(file_watch_look(&w) || file_watch_look(&w));
	scratch_write(&s, "b", "22");
	told_once_after_a_rest(&w);
	/* Another file of the same size by another link. */
	assert_int_equal(symlink("two", scratch_path(&s, "new")), 0);
	assert_int_equal(rename(scratch_path(&s, "new"), scratch_path(&s, "data")), 0);
	told_once_after_a_rest(&w);
	scratch_write(&s, "c", "");
	told_once_after_a_rest(&w);
	assert_int_equal(unlink(scratch_path(&s, "c")), 0);
	told_once_after_a_rest(&w);
	/* One after the other is one change. */
	scratch_write(&s, "b", "333");
	assert_false(file_watch_look(&w));
	scratch_write(&s, "c", "4");
	told_once_after_a_rest(&w);
	file_watch_done(&w);
	assert_false(file_watch_look(&w));
	scratch_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_way_to_change) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
