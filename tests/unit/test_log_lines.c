/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the kernel log on their way to the run that they belong to. */
#include "test.h"

#include <stdlib.h>
#include "agent/oom/decode.h"
#include "agent/oom/log-lines.h"
#include "base/macro.h"

#define LINE "oom-kill:constraint=CONSTRAINT_MEMCG"

static struct log_lines lines;
static struct oom_run run;
static struct oom_kill kill_of_run;

static struct kmsg_oom request(const char *comm, int order)
{
	struct kmsg_oom k = { .fields = KMSG_INVOKED | KMSG_GFP, .order = order };

	(void)snprintf(k.comm, sizeof(k.comm), "%s", comm);
	(void)snprintf(k.gfp, sizeof(k.gfp), "0xcc0(GFP_KERNEL)");
	return k;
}

static struct kmsg_oom task(uint32_t pid, unsigned fields)
{
	struct kmsg_oom k = { .fields = KMSG_TASK | fields, .pid = pid };

	(void)snprintf(k.comm, sizeof(k.comm), "victim");
	(void)snprintf(k.task_memcg, sizeof(k.task_memcg), "/a/b");
	(void)snprintf(k.oom_memcg, sizeof(k.oom_memcg), "/a");
	(void)snprintf(k.nodemask, sizeof(k.nodemask), "0-1");
	(void)snprintf(k.cpuset, sizeof(k.cpuset), "/batch");
	(void)snprintf(k.constraint, sizeof(k.constraint), "CONSTRAINT_MEMCG");
	return k;
}

static const struct log_line *read_line(const struct kmsg_oom *k, uint64_t now_us)
{
	return log_lines_read(&lines, k, LINE, strlen(LINE), now_us);
}

static int fresh(void **state)
{
	(void)state;
	memset(&lines, 0, sizeof(lines));
	memset(&kill_of_run, 0, sizeof(kill_of_run));
	run = (struct oom_run){ .kills = &kill_of_run, .limit.level = -1 };
	return 0;
}

/* Who asked stands on a line of its own, before the one that names the victim; it is said once. */
static void test_request(void **state)
{
	const struct kmsg_oom asked = request("asker", 3), victim = task(7, 0);
	const struct log_line *l;

	(void)state;
	assert_null(read_line(&asked, 1));
	l = read_line(&victim, 2);
	assert_non_null(l);
	assert_string_equal(l->trigger_comm, "asker");
	assert_string_equal(l->k.gfp, "0xcc0(GFP_KERNEL)");
	assert_int_equal(l->k.order, 3);
	log_line_apply(l, &run, &kill_of_run);
	assert_string_equal(run.kmsg_trigger, "asker");
	assert_string_equal(run.kmsg_gfp, "0xcc0(GFP_KERNEL)");
	assert_true(run.order_known);
	assert_int_equal(run.order, 3);

	l = read_line(&victim, 3);
	assert_string_equal(l->trigger_comm, "");
	assert_false(l->k.fields & KMSG_INVOKED);
	run = (struct oom_run){ .limit.level = -1 };
	log_line_apply(l, &run, &kill_of_run);
	assert_false(run.order_known);
	assert_string_equal(run.kmsg_trigger, "");
}

/* The order that a hook told stays. */
static void test_known_order(void **state)
{
	const struct kmsg_oom asked = request("asker", 3), victim = task(7, 0);

	(void)state;
	run.order_known = true;
	run.order = 9;
	assert_null(read_line(&asked, 1));
	log_line_apply(read_line(&victim, 2), &run, &kill_of_run);
	assert_int_equal(run.order, 9);
}

/* OOM-115: what better sources said of the scope stays; kinds of host that no stack shows are taken. */
static void test_scope(void **state)
{
	static const struct {
		const char *constraint;
		unsigned fields;
		int order; /* 0 = not said */
		enum oom_scope known;
		enum oom_scope_source source;
		enum oom_scope expected;
		enum oom_scope_source expected_source;
	} cases[] = {
		{ "CONSTRAINT_MEMCG", 0, 0, SCOPE_UNKNOWN, SOURCE_NONE, SCOPE_MEMCG, SOURCE_KMSG },
		{ "CONSTRAINT_CPUSET", 0, 0, SCOPE_UNKNOWN, SOURCE_NONE, SCOPE_CPUSET,
		  SOURCE_KMSG },
		{ "CONSTRAINT_MEMORY_POLICY", 0, 0, SCOPE_UNKNOWN, SOURCE_NONE, SCOPE_MEMPOLICY,
		  SOURCE_KMSG },
		{ "CONSTRAINT_NONE", KMSG_GLOBAL, 0, SCOPE_UNKNOWN, SOURCE_NONE, SCOPE_GLOBAL,
		  SOURCE_KMSG },
		{ "CONSTRAINT_NONE", KMSG_GLOBAL | KMSG_INVOKED, -1, SCOPE_UNKNOWN, SOURCE_NONE,
		  SCOPE_SYSRQ, SOURCE_KMSG },
		{ "CONSTRAINT_NONE", 0, 0, SCOPE_UNKNOWN, SOURCE_NONE, SCOPE_UNKNOWN, SOURCE_NONE },
		{ "CONSTRAINT_CPUSET", 0, 0, SCOPE_GLOBAL, SOURCE_STACK, SCOPE_CPUSET,
		  SOURCE_KMSG },
		{ "CONSTRAINT_MEMCG", 0, 0, SCOPE_GLOBAL, SOURCE_STACK, SCOPE_GLOBAL,
		  SOURCE_STACK },
		{ "CONSTRAINT_CPUSET", 0, 0, SCOPE_GLOBAL, SOURCE_OC, SCOPE_GLOBAL, SOURCE_OC },
		{ "CONSTRAINT_MEMORY_POLICY", 0, 0, SCOPE_GLOBAL, SOURCE_RECLAIM, SCOPE_MEMPOLICY,
		  SOURCE_KMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct log_line l = { .k = task(7, cases[i].fields) };

		(void)snprintf(l.k.constraint, sizeof(l.k.constraint), "%s", cases[i].constraint);
		l.k.order = cases[i].order;
		run = (struct oom_run){ .scope = cases[i].known,
					.scope_source = cases[i].source,
					.limit.level = -1 };
		log_line_apply(&l, &run, &kill_of_run);
		if (run.scope != cases[i].expected || run.scope_source != cases[i].expected_source)
			fail_msg("case %zu: %d by %d", i, run.scope, run.scope_source);
	}
}

/* Cgroups, nodes and counters, where no program could read them; and the line as it was. */
static void test_facts(void **state)
{
	struct log_line l = { .k = task(7, KMSG_TASK_MEMCG | KMSG_OOM_MEMCG | KMSG_NODEMASK |
						   KMSG_CPUSET) };
	struct log_line killed = { .k = { .fields = KMSG_KILLED | KMSG_MEMORY,
					  .pid = 7,
					  .uid = 5,
					  .adj = -3,
					  .anon_rss_kb = 640,
					  .file_rss_kb = 320,
					  .shmem_rss_kb = 64,
					  .total_vm_kb = 6400,
					  .pgtables_kb = 8,
					  .comm = "logged" } };
	struct oom_victim *v = &kill_of_run.v;
	uint64_t page_kib = oom_pages(1) / 1024;
	size_t len;
	const char *path;

	(void)state;
	v->rss_anon = v->rss_file = v->rss_shmem = OOM_UNKNOWN64;
	memcpy(l.text, LINE, sizeof(LINE));
	l.len = strlen(LINE);
	log_line_apply(&l, &run, &kill_of_run);
	assert_true(run.kmsg_answered);
	path = oom_text(v, v->path, &len);
	assert_int_equal(len, 4);
	assert_memory_equal(path, "/a/b", 4);
	assert_string_equal(run.limit.path, "/a");
	assert_true(run.limit.found && run.limit.certain);
	assert_string_equal(run.nodemask, "0-1");
	assert_string_equal(run.cpuset, "/batch");
	assert_string_equal(run.kernel_log, LINE);
	assert_int_equal(run.kernel_log_len, sizeof(LINE));

	log_line_apply(&killed, &run, &kill_of_run);
	assert_int_equal(v->rss_anon, 640 / page_kib);
	assert_int_equal(v->rss_file, 320 / page_kib);
	assert_int_equal(v->rss_shmem, 64 / page_kib);
	assert_int_equal(v->total_vm, 6400 / page_kib);
	assert_int_equal(v->pgtables_bytes, 8 * 1024);
	assert_int_equal(v->adj, -3);
	assert_int_equal(v->uid, 5);
	assert_string_equal(v->comm, "logged");

	/* What a program read is better. */
	killed.k.anon_rss_kb = 64;
	l.k.task_memcg[1] = 'x';
	log_line_apply(&killed, &run, &kill_of_run);
	log_line_apply(&l, &run, &kill_of_run);
	assert_int_equal(v->rss_anon, 640 / page_kib);
	path = oom_text(v, v->path, &len);
	assert_memory_equal(path, "/a/b", 4);
}

/* A task was read, but lockdown kept its counters: the rest of it stays. */
static void test_counters_only(void **state)
{
	const struct log_line killed = { .k = { .fields = KMSG_KILLED | KMSG_MEMORY,
						.uid = 5,
						.adj = -3,
						.anon_rss_kb = 640,
						.total_vm_kb = 6400 } };
	struct oom_victim *v = &kill_of_run.v;

	(void)state;
	v->flags = OOM_VICTIM_SNAPSHOT;
	v->rss_anon = OOM_UNKNOWN64;
	v->uid = 77;
	v->total_vm = 99;
	log_line_apply(&killed, &run, &kill_of_run);
	assert_int_equal(v->rss_anon, 640 / (oom_pages(1) / 1024));
	assert_int_equal(v->uid, 77);
	assert_int_equal(v->total_vm, 99);
	assert_int_equal(v->adj, 0);
}

/* Lines that came before the record: handed out once, by process or thread, the oldest first, not for ever. */
static void test_kept(void **state)
{
	struct kmsg_oom first = task(7, 0), second = task(7, 0), other = task(8, 0);
	const struct log_line *l;

	(void)state;
	first.uid = 1;
	second.uid = 2;
	assert_non_null(read_line(&first, 100));
	log_lines_keep(&lines);
	assert_non_null(read_line(&other, 100));
	log_lines_keep(&lines);
	assert_non_null(read_line(&second, 110));
	log_lines_keep(&lines);
	assert_null(log_lines_take(&lines, 9, 10, 120, 50));
	l = log_lines_take(&lines, 7, 70, 120, 50);
	assert_non_null(l);
	assert_int_equal(l->k.uid, 1);
	l = log_lines_take(&lines, 70, 7, 120, 50); /* the kernel names the thread */
	assert_non_null(l);
	assert_int_equal(l->k.uid, 2);
	assert_null(log_lines_take(&lines, 7, 7, 120, 50));
	assert_null(log_lines_take(&lines, 8, 8, 151, 50)); /* too old */
	assert_null(log_lines_take(&lines, 8, 8, 120, 50)); /* and gone */
}

static void test_no_room(void **state)
{
	struct kmsg_oom k = task(7, 0);
	struct log_line l = { .k = task(7, 0), .len = sizeof(l.text) - 1 };
	char text[2000];

	(void)state;
	for (unsigned i = 0; i < LOG_LINES_MAX + 1; i++) {
		k.pid = 1000 + i;
		assert_non_null(read_line(&k, 1));
		log_lines_keep(&lines);
	}
	assert_null(log_lines_take(&lines, 1000, 1000, 1, 50)); /* the oldest made room */
	assert_non_null(log_lines_take(&lines, 1001, 1001, 1, 50));
	memset(text, 'x', sizeof(text));
	assert_int_equal(log_lines_read(&lines, &k, text, sizeof(text), 1)->len,
			 sizeof(l.text) - 1);
	/* Whole lines or none. */
	memset(l.text, 'x', sizeof(l.text) - 1);
	log_line_apply(&l, &run, &kill_of_run);
	log_line_apply(&l, &run, &kill_of_run);
	assert_int_equal(run.kernel_log_len, sizeof(l.text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_request, fresh),
		cmocka_unit_test_setup(test_known_order, fresh),
		cmocka_unit_test_setup(test_scope, fresh),
		cmocka_unit_test_setup(test_facts, fresh),
		cmocka_unit_test_setup(test_counters_only, fresh),
		cmocka_unit_test_setup(test_kept, fresh),
		cmocka_unit_test_setup(test_no_room, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
