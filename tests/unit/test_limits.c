/* SPDX-License-Identifier: Apache-2.0 */
/* Limit hits over a tree of files: the kernel's rules of counting, without a kernel. */
#include <dirent.h>
#include "limits_world.h"

static void events(const struct world *w, unsigned max, unsigned oom, unsigned kills)
{
	char text[128];

	(void)snprintf(text, sizeof(text),
		       "low 0\nhigh 0\nmax %u\noom %u\noom_kill %u\noom_group_kill 0\n", max, oom,
		       kills);
	put(w, "a/memory.events.local", text);
}

static void test_inotify(void **state)
{
	struct world w;

	setup(&w, CGROUP_MODE_V2, LIMITS_INOTIFY, false);
	put(&w, "a/memory.max", "max\n");
	events(&w, 5, 1, 1);
	limits_add(w.limits, cgroup(&w, 7, "/a", 10 * SECOND), 10 * SECOND);
	events(&w, 6, 1, 1);
	limits_tick(w.limits, 10 * SECOND);
	assert_int_equal(w.hits[LIMIT_MAX], 0); /* no limit: not watched */

	/* A limit comes after the mkdir. The cgroup is young, so all of its hits are counted. */
	put(&w, "a/memory.max", "1048576\n");
	limits_tick(w.limits, 12 * SECOND);
	assert_int_equal(w.hits[LIMIT_MAX], 6);
	assert_int_equal(w.hits[LIMIT_OOM], 1);
	limits_tick(w.limits, 13 * SECOND);
	assert_int_equal(w.hits[LIMIT_MAX], 6);
	events(&w, 9, 1, 1);
	limits_tick(w.limits, 14 * SECOND);
	assert_int_equal(w.hits[LIMIT_MAX], 9);
	assert_string_equal(w.last_path, "/a");
	teardown(&w);
}

/* Older than the agent: what its files say is where counting begins. */
static void test_old_cgroup(void **state)
{
	struct world w;

	setup(&w, CGROUP_MODE_V2, LIMITS_POLL, false);
	put(&w, "a/memory.max", "1048576\n");
	events(&w, 500, 20, 5);
	limits_add(w.limits, cgroup(&w, 7, "/a", SECOND), SECOND);
	limits_tick(w.limits, 2 * SECOND);
	assert_int_equal(w.hits[LIMIT_MAX] + w.hits[LIMIT_OOM], 0);
	events(&w, 501, 20, 5);
	limits_tick(w.limits, 3 * SECOND);
	assert_int_equal(w.hits[LIMIT_MAX], 1);
	teardown(&w);
}

/* Until the agent has started every cgroup is an old one, however long that takes. */
static void test_slow_start(void **state)
{
	struct world w;

	setup(&w, CGROUP_MODE_V2, LIMITS_POLL, false);
	limits_started(w.limits, UINT64_MAX / 2);
	events(&w, 500, 20, 5);
	limits_add(w.limits, cgroup(&w, 7, "/a", 10 * SECOND), 10 * SECOND);
	limits_observe(w.limits, cgroup(&w, 8, "/b", 11 * SECOND), LIMIT_OOM, 40, 11 * SECOND);
	assert_int_equal(w.hits[LIMIT_OOM], 1);
	limits_started(w.limits, 12 * SECOND);
	put(&w, "a/memory.max", "1048576\n"); /* its limit is found only now */
	limits_tick(w.limits, 13 * SECOND);
	assert_int_equal(w.hits[LIMIT_MAX], 0);
	limits_observe(w.limits, cgroup(&w, 9, "/c", 14 * SECOND), LIMIT_OOM, 2, 14 * SECOND);
	assert_int_equal(w.hits[LIMIT_OOM], 3);
	teardown(&w);
}

/* The record tells the same total as the file: it counts once, whichever comes first. */
static void test_told_twice(void **state)
{
	struct world w;
	struct identity *i;

	setup(&w, CGROUP_MODE_V2, LIMITS_POLL, false);
	put(&w, "a/memory.max", "1048576\n");
	events(&w, 0, 0, 0);
	i = cgroup(&w, 7, "/a", 10 * SECOND);
	limits_add(w.limits, i, 10 * SECOND);
	limits_observe(w.limits, i, LIMIT_OOM, 2, 11 * SECOND);
	limits_killed(w.limits, i->id, 11 * SECOND);
	events(&w, 0, 2, 1);
	limits_tick(w.limits, 11 * SECOND);
	assert_int_equal(w.hits[LIMIT_OOM], 2);
	limits_tick(w.limits, 20 * SECOND);
	assert_int_equal(w.no_victims, 0);

	/* Never watched and old: only the OOM at hand is known to be new. */
	limits_observe(w.limits, cgroup(&w, 8, "/b", SECOND), LIMIT_OOM, 40, 21 * SECOND);
	assert_int_equal(w.hits[LIMIT_OOM], 3);
	/* The same for one that is watched but whose files do not tell. */
	i = cgroup(&w, 9, "/c", SECOND);
	limits_add(w.limits, i, SECOND);
	limits_observe(w.limits, i, LIMIT_OOM, 7, 22 * SECOND);
	assert_int_equal(w.hits[LIMIT_OOM], 4);
	limits_observe(w.limits, i, LIMIT_OOM, 9, 23 * SECOND);
	assert_int_equal(w.hits[LIMIT_OOM], 6);

	/* Records of a cgroup that has gone come late; then it is forgotten. Its place in the table of 4 is free again. */
	i = cgroup(&w, 10, "/gone", 24 * SECOND);
	identity_remove(w.cache, 0, 10, 25 * SECOND);
	limits_observe(w.limits, i, LIMIT_OOM, 1, 26 * SECOND);
	limits_observe(w.limits, i, LIMIT_OOM, 2, 27 * SECOND);
	assert_int_equal(w.hits[LIMIT_OOM], 8);
	limits_tick(w.limits, 90 * SECOND);
	limits_observe(w.limits, i, LIMIT_OOM, 2, 91 * SECOND);
	assert_int_equal(w.hits[LIMIT_OOM], 10); /* known no more */
	teardown(&w);
}

static void test_no_victim(void **state)
{
	struct world w;
	struct identity *i;

	setup(&w, CGROUP_MODE_V2, LIMITS_POLL, false);
	put(&w, "a/memory.max", "1048576\n");
	events(&w, 0, 0, 0);
	i = cgroup(&w, 7, "/a", 10 * SECOND);
	limits_add(w.limits, i, 10 * SECOND);
	events(&w, 3, 1, 0);
	limits_tick(w.limits, 20 * SECOND);
	assert_int_equal(w.no_victims, 0);
	limits_tick(w.limits, 21 * SECOND);
	assert_int_equal(w.no_victims, 1);
	limits_tick(w.limits, 22 * SECOND);
	assert_int_equal(w.no_victims, 1);

	/* A kill within the second explains it; so does one just before. */
	events(&w, 4, 2, 0);
	limits_tick(w.limits, 30 * SECOND);
	limits_killed(w.limits, i->id, 30 * SECOND + 1);
	events(&w, 4, 9, 0);
	limits_tick(w.limits, 31 * SECOND);
	limits_tick(w.limits, 33 * SECOND);
	assert_int_equal(w.no_victims, 1);
	teardown(&w);
}

static void test_v1_failcnt(void **state)
{
	struct world w;

	setup(&w, CGROUP_MODE_HYBRID, LIMITS_POLL, false);
	put(&w, "a/memory.limit_in_bytes", "1048576\n");
	put(&w, "a/memory.failcnt", "0\n");
	put(&w, "a/memory.memsw.failcnt", "0\n");
	limits_add(w.limits, cgroup(&w, 7, "/a", 10 * SECOND), 10 * SECOND);
	put(&w, "a/memory.failcnt", "3\n");
	put(&w, "a/memory.memsw.failcnt", "4\n");
	limits_tick(w.limits, 11 * SECOND);
	assert_int_equal(w.hits[LIMIT_FAILCNT], 7);
	/* No limit on v1 is a number of 2^63 less a page. */
	put(&w, "a/memory.limit_in_bytes", "9223372036854771712\n");
	limits_remove(w.limits, cgroup(&w, 7, "/a", 10 * SECOND));
	limits_add(w.limits, cgroup(&w, 7, "/a", 10 * SECOND), 12 * SECOND);
	put(&w, "a/memory.failcnt", "9\n");
	limits_tick(w.limits, 12 * SECOND);
	assert_int_equal(w.hits[LIMIT_FAILCNT], 7);
	teardown(&w);
}

static struct identity *limited(struct world *w, unsigned n)
{
	char path[16], file[40], dir[96];

	(void)snprintf(path, sizeof(path), "/g%u", n);
	(void)snprintf(dir, sizeof(dir), "%s%s", w->root, path);
	assert_int_equal(mkdir(dir, 0700), 0);
	(void)snprintf(file, sizeof(file), "%s/memory.max", path + 1);
	put(w, file, "1048576\n");
	return cgroup(w, n, path, 10 * SECOND);
}

static unsigned open_files(void)
{
	_cleanup_(closedirp) DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	return n;
}

/* Those whose limit was met have their files open first; whoever makes room is counted. */
static void test_full(void **state)
{
	struct world w;
	struct identity *i[6], *calm;
	struct limits_stats st;
	unsigned before;

	setup(&w, CGROUP_MODE_V2, LIMITS_POLL, false);
	before = open_files();
	calm = cgroup(&w, 99, "/no-limit", 10 * SECOND);
	limits_add(w.limits, calm, 10 * SECOND);
	for (unsigned n = 0; n < ARRAY_SIZE(i); n++) {
		i[n] = limited(&w, n);
		limits_add(w.limits, i[n], 10 * SECOND);
	}
	limits_tick(w.limits, 11 * SECOND);
	limits_tick(w.limits, 80 * SECOND);
	limits_stats(w.limits, &st);
	assert_int_equal(st.watched, 4);
	assert_int_equal(st.refused, 2); /* each once, and not the one without a limit */
	assert_int_equal(open_files(), before + 4); /* one file each in this tree */
	assert_null(limits_files(w.limits, i[5]->id));
	assert_null(limits_files(NULL, i[0]->id));

	limits_killed(w.limits, i[0]->id, 90 * SECOND);
	limits_killed(w.limits, i[5]->id, 91 * SECOND);
	assert_null(limits_files(w.limits, i[5]->id)); /* nothing is opened in the middle of it */
	limits_tick(w.limits, 92 * SECOND);
	assert_non_null(limits_files(w.limits, i[5]->id));
	assert_non_null(limits_files(w.limits, i[0]->id));
	assert_null(limits_files(w.limits, i[1]->id)); /* the first of the cold ones */
	limits_stats(w.limits, &st);
	assert_int_equal(st.evicted, 1);
	assert_int_equal(open_files(), before + 4);

	for (unsigned n = 0; n < ARRAY_SIZE(i); n++)
		limits_remove(w.limits, i[n]);
	assert_int_equal(open_files(), before);
	limits_stats(w.limits, &st);
	assert_int_equal(st.watched, 0);
	teardown(&w);
}

/* What is found by path must still be the cgroup that is meant. */
static void test_same_path_again(void **state)
{
	struct world w;
	struct cgroup_place p = { .path = "/a" };
	struct cgroup_files files = CGROUP_FILES_CLOSED;
	uint64_t v = 42;

	setup(&w, CGROUP_MODE_V2, LIMITS_POLL, false);
	put(&w, "a/memory.current", "7\n");
	put(&w, "a/memory.max", "max\n");
	assert_int_equal(cgroup_id(w.layout.memory_fd, "a", &p.id), 0);
	assert_int_equal(cgroup_file_number(&w.layout, &p, CGROUP_FILE_USAGE, &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(cgroup_file_number(&w.layout, &p, CGROUP_FILE_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(cgroup_file_number(&w.layout, &p, CGROUP_FILE_PEAK, &v), -ENOENT);
	assert_int_equal(cgroup_file_number(&w.layout, &p, CGROUP_FILE_FAILCNT, &v), -ENOENT);

	p.id++;
	v = 42;
	assert_int_equal(cgroup_file_number(&w.layout, &p, CGROUP_FILE_USAGE, &v), -ESTALE);
	assert_int_equal(v, 42);
	assert_int_equal(cgroup_files_open(&w.layout, "/a", p.id, &files), -ESTALE);
	assert_int_equal(files.fd[CGROUP_FILE_USAGE], -1);
	assert_int_equal(cgroup_files_open(&w.layout, "/a", p.id - 1, &files), 0);
	assert_true(files.fd[CGROUP_FILE_USAGE] >= 0 && files.fd[CGROUP_FILE_PEAK] < 0);
	p = (struct cgroup_place){ .path = "", .files = &files };
	assert_int_equal(cgroup_file_number(&w.layout, &p, CGROUP_FILE_USAGE, &v), 0);
	cgroup_files_close(&files);
	assert_int_equal(cgroup_files_count(&w.layout), 5); /* no pressure without a unified root */
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inotify),	   cmocka_unit_test(test_old_cgroup),
		cmocka_unit_test(test_slow_start), cmocka_unit_test(test_told_twice),
		cmocka_unit_test(test_no_victim),  cmocka_unit_test(test_v1_failcnt),
		cmocka_unit_test(test_full),	   cmocka_unit_test(test_same_path_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
