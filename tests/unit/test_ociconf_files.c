/* SPDX-License-Identifier: Apache-2.0 */
/* Files of runtimes that are not what they should be. */
#include "base/fs.h"
#include "oci_tree.h"
#include "scratch.h"

struct tree {
	struct scratch s;
	struct oci_info info;
};

static void make_dirs(const struct scratch *s, const char *name)
{
	assert_int_equal(fs_mkdir_p(scratch_path(s, name), 0755), 0);
}

static int setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	scratch_init(&t->s);
	assert_int_equal(chmod(t->s.path, 0755), 0);
	make_dirs(&t->s, "run/runc/" C);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct tree *t = *state;

	scratch_done(&t->s);
	free(t);
	return 0;
}

#define FILE_OF_RUNC "run/runc/" C "/state.json"

/* What reading says, and that exactly one error of that kind was counted. */
static void expect_error(struct tree *t, enum oci_source source, enum oci_error e)
{
	assert_int_equal(read_tree(t->s.path, C, "", UINT32_MAX, &t->info), -ENOENT);
	assert_int_equal(count_errors(&t->info), 1);
	assert_int_equal(t->info.errors[source][e], 1);
	assert_false(t->info.found);
}

static void test_bad_file(void **state)
{
	struct tree *t = *state;

	scratch_write(&t->s, FILE_OF_RUNC, "{\"init_process_pid\":");
	expect_error(t, OCI_RUNC, OCI_PARSE);
	scratch_write(&t->s, FILE_OF_RUNC, "");
	expect_error(t, OCI_RUNC, OCI_PARSE);
	scratch_write(&t->s, FILE_OF_RUNC, "{\"pid\":\"x\"}");
	assert_int_equal(read_tree(t->s.path, C, "", UINT32_MAX, &t->info), 0);
	assert_int_equal(t->info.errors[OCI_RUNC][OCI_PARSE], 1);
}

static void test_too_large(void **state)
{
	struct tree *t = *state;

	/* 4 MiB is the limit of runc's state, 1 MiB of all others. */
	scratch_write(&t->s, FILE_OF_RUNC, "");
	assert_int_equal(truncate(scratch_path(&t->s, FILE_OF_RUNC), 5 << 20), 0);
	expect_error(t, OCI_RUNC, OCI_TOO_LARGE);
	assert_int_equal(truncate(scratch_path(&t->s, FILE_OF_RUNC), 4 << 20), 0);
	expect_error(t, OCI_RUNC, OCI_PARSE);
	assert_int_equal(unlink(scratch_path(&t->s, FILE_OF_RUNC)), 0);
	make_dirs(&t->s, "var/lib/docker/containers/" C);
	scratch_write(&t->s, "var/lib/docker/containers/" C "/config.v2.json", "");
	assert_int_equal(
		truncate(scratch_path(&t->s, "var/lib/docker/containers/" C "/config.v2.json"),
			 (1 << 20) + 1),
		0);
	expect_error(t, OCI_DOCKER, OCI_TOO_LARGE);
}

static void test_links(void **state)
{
	struct tree *t = *state;

	scratch_write(&t->s, "outside.json", "{\"pid\":1,\"cgroup-path\":\"/x\"}");
	assert_int_equal(
		symlink(scratch_path(&t->s, "outside.json"), scratch_path(&t->s, FILE_OF_RUNC)), 0);
	expect_error(t, OCI_RUNC, OCI_DENIED);
	/* A link in the middle of the path. */
	assert_int_equal(unlink(scratch_path(&t->s, FILE_OF_RUNC)), 0);
	assert_int_equal(rmdir(scratch_path(&t->s, "run/runc/" C)), 0);
	make_dirs(&t->s, "elsewhere");
	scratch_write(&t->s, "elsewhere/state.json", "{\"pid\":1}");
	assert_int_equal(
		symlink(scratch_path(&t->s, "elsewhere"), scratch_path(&t->s, "run/runc/" C)), 0);
	expect_error(t, OCI_RUNC, OCI_DENIED);
	/* The roots themselves may be links: docker's storage often is. */
	assert_int_equal(unlink(scratch_path(&t->s, "run/runc/" C)), 0);
	make_dirs(&t->s, "disk/containers/" C);
	make_dirs(&t->s, "var/lib");
	scratch_write(&t->s, "disk/containers/" C "/config.v2.json",
		      "{\"ID\":\"x\",\"Name\":\"/n\"}");
	assert_int_equal(
		symlink(scratch_path(&t->s, "disk"), scratch_path(&t->s, "var/lib/docker")), 0);
	assert_int_equal(read_tree(t->s.path, C, "", UINT32_MAX, &t->info), 0);
	assert_string_equal(t->info.name, "n");
}

static void test_no_file(void **state)
{
	struct tree *t = *state;

	assert_int_equal(mkfifo(scratch_path(&t->s, FILE_OF_RUNC), 0644), 0);
	expect_error(t, OCI_RUNC, OCI_DENIED); /* and did not wait for a writer */
	assert_int_equal(unlink(scratch_path(&t->s, FILE_OF_RUNC)), 0);
	assert_int_equal(mkdir(scratch_path(&t->s, FILE_OF_RUNC), 0755), 0);
	expect_error(t, OCI_RUNC, OCI_DENIED);
	assert_int_equal(rmdir(scratch_path(&t->s, FILE_OF_RUNC)), 0);
	assert_int_equal(rmdir(scratch_path(&t->s, "run/runc/" C)), 0);
	scratch_write(&t->s, "run/runc/" C, "a file where a directory should be");
	expect_error(t, OCI_RUNC, OCI_DENIED);
}

static void test_unreadable(void **state)
{
	struct tree *t = *state;
	bool root = geteuid() == 0;

	scratch_write(&t->s, FILE_OF_RUNC, "{\"pid\":1}");
	assert_int_equal(chmod(scratch_path(&t->s, FILE_OF_RUNC), 0), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	expect_error(t, OCI_RUNC, OCI_DENIED);
	if (root)
		assert_int_equal(seteuid(0), 0);
	make_dirs(&t->s, "run/k3s/containerd/io.containerd.runtime.v2.task");
	assert_int_equal(unlink(scratch_path(&t->s, FILE_OF_RUNC)), 0);
	assert_int_equal(
		chmod(scratch_path(&t->s, "run/k3s/containerd/io.containerd.runtime.v2.task"), 0),
		0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	expect_error(t, OCI_CONTAINERD, OCI_DENIED);
	if (root)
		assert_int_equal(seteuid(0), 0);
}

/* Where the runtime's files cannot be read, the kubelet's links tell. */
static void test_pods_log(void **state)
{
	struct tree *t = *state;
	const char *link = "var/log/containers/search-7d9f8c6b5-x2lqp_shop_search-" C ".log";

	make_dirs(&t->s, "var/log/containers");
	scratch_write(&t->s, "var/log/containers/other_shop_other-" P ".log", "");
	assert_int_equal(symlink("/var/log/pods/shop_search-7d9f8c6b5-x2lqp_" U "/search/0.log",
				 scratch_path(&t->s, link)),
			 0);
	assert_int_equal(read_tree(t->s.path, C, "", UINT32_MAX, &t->info), 0);
	assert_string_equal(t->info.pod_name, "search-7d9f8c6b5-x2lqp");
	assert_string_equal(t->info.pod_namespace, "shop");
	assert_string_equal(t->info.container_name, "search");
	assert_string_equal(t->info.pod_uid, U);
	assert_int_equal(count_errors(&t->info), 0);
	/* No link but a file: the name is known, where it leads is not. */
	assert_int_equal(unlink(scratch_path(&t->s, link)), 0);
	scratch_write(&t->s, link, "");
	assert_int_equal(read_tree(t->s.path, C, "", UINT32_MAX, &t->info), 0);
	assert_string_equal(t->info.pod_uid, "");
	assert_int_equal(t->info.errors[OCI_PODS_LOG][OCI_PARSE], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bad_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pods_log, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
