/* SPDX-License-Identifier: Apache-2.0 */
/* Who memory.oom.group left alone, out of a tree of files. */
#include "scratch.h"

#include <errno.h>
#include "agent/oom/spared.h"
#include "base/macro.h"

struct tree {
	struct scratch dir;
	int cgroup_fd, proc_fd;
};

static void make_dir(const struct tree *t, const char *name)
{
	assert_int_equal(mkdir(scratch_path(&t->dir, name), 0700), 0);
}

static void add_process(const struct tree *t, unsigned pid, const char *adj)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "proc/%u", pid);
	make_dir(t, name);
	(void)snprintf(name, sizeof(name), "proc/%u/oom_score_adj", pid);
	scratch_write(&t->dir, name, adj);
}

static void make_tree(struct tree *t)
{
	scratch_init(&t->dir);
	make_dir(t, "proc");
	make_dir(t, "cg");
	make_dir(t, "cg/a");
	make_dir(t, "cg/a/b");
	make_dir(t, "cg/a/threaded");
	make_dir(t, "cg/other");
	t->cgroup_fd = open(scratch_path(&t->dir, "cg"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t->proc_fd = open(scratch_path(&t->dir, "proc"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	add_process(t, 1, "-1000\n");
	add_process(t, 10, "-1000\n");
	add_process(t, 11, "-999\n");
	add_process(t, 12, "0\n");
	add_process(t, 13, "-1000\n");
	scratch_write(&t->dir, "cg/cgroup.procs", "1\n");
	scratch_write(&t->dir, "cg/a/cgroup.procs", "10\n11\n12\n999\n"); /* 999 has gone */
	scratch_write(&t->dir, "cg/a/b/cgroup.procs", "13\n");
	scratch_write(&t->dir, "cg/other/cgroup.procs", "");
}

static void drop_tree(struct tree *t)
{
	(void)close(t->cgroup_fd);
	(void)close(t->proc_fd);
	scratch_done(&t->dir);
}

static void test_count(void **state)
{
	static const struct {
		const char *cgroup;
		int r;
		unsigned spared;
	} cases[] = {
		{ "/a", 0, 2 },	    { "/a/b", 0, 1 },	     { "/", 0, 3 },
		{ "/other", 0, 0 }, { "/gone", -ENOENT, 0 },
	};
	struct tree t;

	(void)state;
	make_tree(&t);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned n = 77;

		assert_int_equal(spared_count(t.cgroup_fd, t.proc_fd, cases[i].cgroup, &n),
				 cases[i].r);
		assert_int_equal(n, cases[i].r < 0 ? 77 : cases[i].spared);
	}
	assert_int_equal(spared_count(-1, t.proc_fd, "/a", &(unsigned){ 0 }), -ENOENT);
	drop_tree(&t);
}

/* Too many processes or levels: not told rather than half counted. */
static void test_bounds(void **state)
{
	char name[128] = "cg/other", text[4096] = "";
	size_t n = 0;
	unsigned spared = 77;
	struct tree t;

	(void)state;
	make_tree(&t);
	for (unsigned pid = 5000; pid < 5257; pid++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%u\n", pid);
	scratch_write(&t.dir, "cg/a/b/cgroup.procs", text);
	assert_int_equal(spared_count(t.cgroup_fd, t.proc_fd, "/a", &spared), -E2BIG);
	for (unsigned i = 0; i < 9; i++) {
		(void)snprintf(name + strlen(name), sizeof(name) - strlen(name), "/d");
		make_dir(&t, name);
	}
	assert_int_equal(spared_count(t.cgroup_fd, t.proc_fd, "/other", &spared), -E2BIG);
	assert_int_equal(spared, 77);
	drop_tree(&t);
}

/* The uppermost level with oom_group that is not above the limit. */
static void test_path(void **state)
{
	static const struct {
		unsigned groups; /* bit per level, leaf first */
		int limit; /* -1: the host */
		const char *path; /* NULL: none */
	} cases[] = {
		{ 0, 2, NULL },	  { 1, 2, "/a/b/c" }, { 2, 2, "/a/b" }, { 3, 2, "/a/b" },
		{ 7, 1, "/a/b" }, { 4, 1, NULL },     { 4, 2, "/a" },	{ 7, 0, "/a/b/c" },
		{ 7, -1, "/a" },  { 8, -1, "/" },
	};
	static struct oom_kill kill;
	static struct oom_run run;

	(void)state;
	kill.v.n_levels = 4;
	memcpy(kill.v.text, "/a/b/c", 6);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[OOM_PATH_MAX] = "";
		bool found;

		kill.v.path = (struct oom_text){ 0, 6 };
		run.kills = &kill;
		run.limit.found = cases[i].limit >= 0;
		run.limit.level = cases[i].limit;
		for (unsigned l = 0; l < 4; l++)
			kill.v.levels[l].oom_group = cases[i].groups >> l & 1;
		found = spared_group_path(&run, path, sizeof(path));
		assert_int_equal(found, cases[i].path != NULL);
		assert_string_equal(path, cases[i].path ? cases[i].path : "");
		kill.v.path.length = 0;
		assert_false(spared_group_path(&run, path, sizeof(path)));
	}
	run.kills = NULL;
	assert_false(spared_group_path(&run, (char[8]){ 0 }, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
