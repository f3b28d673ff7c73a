/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/macro.h"
#include "sys/kmsg.h"
#include "test.h"

static const struct {
	const char *record;
	int r;
	unsigned fields;
	uint32_t pid, uid;
	const char *comm, *oom_memcg, *task_memcg, *constraint;
} cases[] = {
	{ "6,100,5000,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,"
	  "task_memcg=/a/b,task=hog,pid=77,uid=1000\n SUBSYSTEM=x\n",
	  1,
	  KMSG_TASK | KMSG_CONSTRAINT | KMSG_NODEMASK | KMSG_CPUSET | KMSG_OOM_MEMCG |
		  KMSG_TASK_MEMCG,
	  77, 1000, "hog", "/a", "/a/b", "CONSTRAINT_MEMCG" },
	{ "6,100,5000,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
	  "task_memcg=/user.slice,task=java,pid=9,uid=0\n",
	  1,
	  KMSG_TASK | KMSG_CONSTRAINT | KMSG_NODEMASK | KMSG_CPUSET | KMSG_GLOBAL | KMSG_TASK_MEMCG,
	  9, 0, "java", "", "/user.slice", "CONSTRAINT_NONE" },
	/* comm with what the line itself is made of */
	{ "6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,"
	  "task_memcg=/a,task=a,pid=1,pid=42,uid=5\n",
	  1,
	  KMSG_TASK | KMSG_CONSTRAINT | KMSG_NODEMASK | KMSG_CPUSET | KMSG_OOM_MEMCG |
		  KMSG_TASK_MEMCG,
	  42, 5, "a,pid=1", "/a", "/a", "CONSTRAINT_MEMCG" },
	{ "6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,"
	  "task_memcg=/a,task=oom-kill:,pid=42,uid=5\n",
	  1,
	  KMSG_TASK | KMSG_CONSTRAINT | KMSG_NODEMASK | KMSG_CPUSET | KMSG_OOM_MEMCG |
		  KMSG_TASK_MEMCG,
	  42, 5, "oom-kill:", "/a", "/a", "CONSTRAINT_MEMCG" },
	/* facility user: anyone may write it */
	{ "14,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,"
	  "task_memcg=/a,task=x,pid=1,uid=0\n",
	  0, 0, 0, 0, "", "", "", "" },
	{ "3,9,70,-;Memory cgroup out of memory: Killed process 123 (my (odd) name) total-vm:80000kB, "
	  "anon-rss:65000kB, file-rss:1200kB, shmem-rss:4kB, UID:1000 pgtables:180kB oom_score_adj:-5\n",
	  1, KMSG_KILLED | KMSG_MEMORY, 123, 1000, "my (odd) name", "", "", "" },
	{ "3,9,70,-;Out of memory (oom_kill_allocating_task): Killed process 5 (x) total-vm:8kB, anon-rss:6kB, "
	  "file-rss:1kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0\n",
	  1, KMSG_KILLED | KMSG_MEMORY, 5, 0, "x", "", "", "" },
	{ "4,9,70,-;stress invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=1000\n",
	  1, KMSG_INVOKED | KMSG_GFP, 0, UINT32_MAX, "stress", "", "", "" },
	{ "1,9,70,-;Out of memory and no killable processes...\n", 1, KMSG_NO_KILLABLE, 0,
	  UINT32_MAX, "", "", "", "" },
	{ "6,9,70,-;eth0: link up\n", 0, 0, 0, 0, "", "", "", "" },
	{ "no header at all", -EBADMSG, 0, 0, 0, "", "", "", "" },
	{ "6,x,70,-;oom-kill:", -EBADMSG, 0, 0, 0, "", "", "", "" },
	{ "6,1,70,-;oom-kill:,uid=", 0, 0, 0, 0, "", "", "", "" },
	{ "6,1,70,-;oom-kill:,pid=1,uid=1", 0, 0, 0, 0, "", "", "", "" },
	{ "", -EBADMSG, 0, 0, 0, "", "", "", "" },
};

static void test_lines(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kmsg_oom k = { .fields = 0xabcd };

		assert_int_equal(kmsg_parse(cases[i].record, strlen(cases[i].record), &k),
				 cases[i].r);
		if (cases[i].r != 1) {
			assert_int_equal(k.fields, 0xabcd);
			continue;
		}
		assert_int_equal(k.fields, cases[i].fields);
		assert_int_equal(k.pid, cases[i].pid);
		assert_int_equal(k.uid, cases[i].uid);
		assert_string_equal(k.comm, cases[i].comm);
		assert_string_equal(k.oom_memcg, cases[i].oom_memcg);
		assert_string_equal(k.task_memcg, cases[i].task_memcg);
		assert_string_equal(k.constraint, cases[i].constraint);
	}
}

static void test_numbers(void **state)
{
	struct kmsg_oom k;

	assert_int_equal(kmsg_parse(cases[5].record, strlen(cases[5].record), &k), 1);
	assert_int_equal(k.total_vm_kb, 80000);
	assert_int_equal(k.anon_rss_kb, 65000);
	assert_int_equal(k.file_rss_kb, 1200);
	assert_int_equal(k.shmem_rss_kb, 4);
	assert_int_equal(k.pgtables_kb, 180);
	assert_int_equal(k.adj, -5);
	assert_int_equal(kmsg_parse(cases[7].record, strlen(cases[7].record), &k), 1);
	assert_string_equal(k.gfp, "0xcc0(GFP_KERNEL)");
	assert_int_equal(k.order, 0);
}

/* Order of what was asked for, -1 for sysrq; the log's own time; names at their longest, and beyond. */
static void test_request(void **state)
{
	static const struct {
		const char *record;
		int r, order;
		const char *gfp;
	} requests[] = {
		{ "4,9,70,-;a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=3, oom_score_adj=1000\n",
		  1, 3, "0xcc0(GFP_KERNEL)" },
		{ "4,9,70,-;kworker/0:1 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=-1, oom_score_adj=0\n",
		  1, -1, "0xcc0(GFP_KERNEL)" },
		{ "4,9,70,-;a invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), nodemask=(null), order=2, oom_score_adj=0\n",
		  1, 2, "0xcc0(GFP_KERNEL)" },
		/* fifteen bytes are a comm, sixteen are not */
		{ "4,9,70,-;fifteen-bytes-x invoked oom-killer: gfp_mask=0x0(), order=1, oom_score_adj=0\n",
		  1, 1, "0x0()" },
		{ "4,9,70,-;sixteen-bytes-xy invoked oom-killer: gfp_mask=0x0(), order=1, oom_score_adj=0\n",
		  0, 0, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct kmsg_oom k = {};

		assert_int_equal(kmsg_parse(requests[i].record, strlen(requests[i].record), &k),
				 requests[i].r);
		assert_int_equal(k.order, requests[i].order);
		assert_string_equal(k.gfp, requests[i].gfp);
		if (requests[i].r == 1)
			assert_int_equal(k.stamp_us, 70);
	}
}

/* A line that lacks what makes it one is no line, and what it lacks is not made up. */
static void test_incomplete(void **state)
{
	static const char *const none[] = {
		"3,9,70,-;Out of memory: Killed process 5 total-vm:8kB\n",
		"3,9,70,-;Out of memory: Killed process 5 (x total-vm:8kB\n",
		"3,9,70,-;Out of memory: Killed process x (x) total-vm:8kB\n",
		"3,9,70,-;Out of memory: Killed process 5 ) total-vm: (x\n",
		"6,1,1,-;oom-kill:constraint=CONSTRAINT_NONE,task=a,pid=x,uid=5\n",
		"6,1,1,-;oom-kill:constraint=CONSTRAINT_NONE,pid=7,uid=5\n",
		"6,1,1,-;oom-kill:constraint=CONSTRAINT_NONE,task=a,pid=7,uid=\n",
		"6,1,1,-;oom-kil\n",
	};
	static const char no_uid[] = "3,9,70,-;Out of memory: Killed process 5 (x) total-vm:8kB\n";
	struct kmsg_oom k = {};

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		if (kmsg_parse(none[i], strlen(none[i]), &k) == 1)
			fail_msg("%s", none[i]);
	assert_int_equal(kmsg_parse("6,1", 3, &k), -EBADMSG);
	assert_int_equal(kmsg_parse("6;x", 3, &k), -EBADMSG);
	assert_int_equal(kmsg_parse("6,1;x", 5, &k), -EBADMSG);
	assert_int_equal(kmsg_parse("6,1,x,-;y", 9, &k), -EBADMSG);
	assert_int_equal(kmsg_parse(no_uid, strlen(no_uid), &k), 1);
	assert_int_equal(k.uid, UINT32_MAX);
	assert_int_equal(k.fields, KMSG_KILLED);
}

/* From the end: what was written before the agent came is not told as if it happened now (OOM-118). */
static void test_open(void **state)
{
	char path[] = "/tmp/telamon-kmsg-XXXXXX", text[16];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "old\n", 4), 4);
	(void)close(fd);
	fd = kmsg_open(path);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 0);
	(void)close(fd);
	(void)unlink(path);
	assert_int_equal(kmsg_open("/nowhere"), -ENOENT);
}

/* What four kernels wrote about one memcg and one host OOM each: six lines a kernel, as the corpus of the fuzzer. */
static void test_kernels(void **state)
{
	static const char *const kernels[] = { "5.10", "6.1", "6.12", "7.2" };
	static const unsigned wanted[] = {
		KMSG_INVOKED | KMSG_GFP,
		KMSG_TASK | KMSG_CONSTRAINT | KMSG_NODEMASK | KMSG_CPUSET | KMSG_OOM_MEMCG |
			KMSG_TASK_MEMCG,
		KMSG_KILLED | KMSG_MEMORY,
		KMSG_INVOKED | KMSG_GFP,
		KMSG_TASK | KMSG_CONSTRAINT | KMSG_NODEMASK | KMSG_CPUSET | KMSG_GLOBAL |
			KMSG_TASK_MEMCG,
		KMSG_KILLED | KMSG_MEMORY,
	};

	for (size_t i = 0; i < ARRAY_SIZE(kernels) * ARRAY_SIZE(wanted); i++) {
		size_t line = i % ARRAY_SIZE(wanted);
		char path[512], text[1024];
		struct kmsg_oom k;
		ssize_t n;

		(void)snprintf(path, sizeof(path), TESTS_DIR "/fuzz/corpus/kmsg/%s-%zu",
			       kernels[i / ARRAY_SIZE(wanted)], line + 1);
		n = fs_read_into(AT_FDCWD, path, text, sizeof(text));
		assert_true(n > 0);
		assert_int_equal(kmsg_parse(text, (size_t)n, &k), 1);
		assert_int_equal(k.fields, wanted[line]);
		assert_string_equal(k.comm, "oom_hooks");
		if (k.fields & KMSG_MEMORY)
			assert_true(k.adj == 1000 && k.anon_rss_kb > 60000 && k.pgtables_kb > 100);
		if (k.fields & KMSG_CONSTRAINT)
			assert_string_equal(k.constraint,
					    line == 1 ? "CONSTRAINT_MEMCG" : "CONSTRAINT_NONE");
		if (k.fields & KMSG_CPUSET)
			assert_string_equal(k.cpuset, "/");
	}
}

/* Cut at every byte: an answer, never a read beyond the end (the copy is exactly as long). */
static void test_truncated(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t len = 0; len <= strlen(cases[i].record); len++) {
			char *exact = malloc(len ? len : 1);
			struct kmsg_oom k;

			memcpy(exact, cases[i].record, len);
			(void)kmsg_parse(exact, len, &k);
			free(exact);
		}
	}
}

/* Stamps of lines that were read late are believed, others are not: their clock drifts. */
static void test_clock(void **state)
{
	struct kmsg_clock c = {};
	const uint64_t second = 1000000;

	assert_int_equal(kmsg_clock_mono(&c, 90 * second, 100 * second), 100 * second);
	/* In time, with a little drift. */
	assert_int_equal(kmsg_clock_mono(&c, 190 * second, 200 * second + 900), 200 * second + 900);
	assert_int_equal(kmsg_clock_mono(&c, 195 * second, 204 * second), 204 * second);
	/* The reader stood still for three seconds. */
	assert_int_equal(kmsg_clock_mono(&c, 200 * second, 212 * second), 209 * second);
	assert_int_equal(kmsg_clock_mono(&c, 202 * second, 212 * second), 211 * second);
	assert_int_equal(kmsg_clock_mono(&c, 203 * second, 212 * second), 212 * second);
	/* What was known an hour ago tells drift from delay no more. */
	assert_int_equal(kmsg_clock_mono(&c, 3700 * second, 3710 * second), 3710 * second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	  cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_request),	  cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_open),	  cmocka_unit_test(test_kernels),
		cmocka_unit_test(test_truncated), cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
