/* SPDX-License-Identifier: Apache-2.0 */
/* OOM-309: whatever others put into it, a record fits, and says what was cut. */
#include "bent.h"

/* Every text as long and as expensive as it can be (six bytes for each), a group of as many members as there are slots. */
static size_t worst_exe(void *ctx, uint32_t pid, uint64_t start, char *buf, size_t size)
{
	(void)ctx, (void)pid, (void)start;
	memset(buf, 1, size);
	return size;
}

static const char *worst_symbol(void *ctx, uint64_t address)
{
	static char name[64];

	(void)ctx, (void)address;
	memset(name, 1, sizeof(name) - 1);
	return name;
}

static void worst_victim(struct oom_victim *v)
{
	memset(v->text, 1, sizeof(v->text));
	memset(v->comm, 1, COMM_MAX - 1);
	memset(v->trigger_comm, 1, COMM_MAX - 1);
	v->path = (struct oom_text){ 0, OOM_PATH_MAX };
	v->exe = v->cwd = v->trigger_exe = v->path;
	v->args = (struct oom_text){ 0, OOM_ARGS_MAX };
	v->n_ancestors = OOM_ANCESTORS_MAX;
	v->n_levels = OOM_LEVELS_MAX;
	v->n_stack = OOM_STACK_MAX;
	v->trigger_tgid = v->tgid + 1;
	for (size_t i = 0; i < OOM_ANCESTORS_MAX; i++)
		memset(v->ancestors[i].comm, 1, COMM_MAX - 1);
	for (size_t i = 0; i < OOM_LEVELS_MAX; i++)
		v->levels[i] = (struct oom_level){ UINT64_MAX, 1ULL << 50, 1ULL << 50, 1ULL << 50,
						   1ULL << 50, INT64_MAX,  INT64_MAX,  INT64_MAX,
						   1,	       {} };
	for (size_t i = 0; i < OOM_STACK_MAX; i++)
		v->stack[i] = 1;
}

/* Labels as others chose them on top of it: no arrays then, and they are said to be cut, but a record all the same. */
static void check_lean(struct bent *t)
{
	static const char *const cut[] = { "ancestors", "levels",     "members",
					   "stack",	"kernel_log", "labels" };
	static struct oci_label labels[40];
	static struct identity i;
	struct identity *known = t->kill.identity;
	json_t *j;

	i = *known;
	i.labels = labels;
	i.n_labels = ARRAY_SIZE(labels);
	for (size_t n = 0; n < ARRAY_SIZE(labels); n++) {
		(void)snprintf(labels[n].key, sizeof(labels[n].key), "key%zu", n);
		memset(labels[n].value, 1, sizeof(labels[n].value) - 1);
	}
	t->kill.identity = &i;
	j = report(t);
	for (size_t n = 0; n < ARRAY_SIZE(cut); n++)
		if (!names(j, "telamon.truncated", cut[n]))
			fail_msg("%s is not said to be cut", cut[n]);
	assert_null(json_object_get(j, "telamon.oom.levels"));
	assert_non_null(json_object_get(j, "process.command_args"));
	assert_non_null(json_object_get(j, "telamon.hook"));
	json_decref(j);
	t->kill.identity = known;
}

static void test_worst(void **state)
{
	struct oom_kill *members = calloc(512, sizeof(*members));
	struct bent t;
	json_t *j;

	(void)state;
	assert_non_null(members);
	bend(&t);
	t.w.report.exe_of = worst_exe;
	t.w.report.symbol = worst_symbol;
	t.w.report.members_max = 1024;
	t.run.n_kills = 513;
	for (size_t i = 0; i < 512; i++) {
		members[i].v = t.kill.v;
		members[i].next = i < 511 ? &members[i + 1] : NULL;
	}
	t.kill.next = members;
	j = report(&t); /* an ordinary group of that size */
	assert_true(json_array_size(json_object_get(j, "telamon.oom.members")) > 200);
	assert_true(names(j, "telamon.truncated", "members"));
	assert_false(names(j, "telamon.truncated", "levels"));
	json_decref(j);
	worst_victim(&t.kill.v);
	memset(t.run.message, 1, sizeof(t.run.message) - 1);
	memset(t.run.nodemask, 1, sizeof(t.run.nodemask) - 1);
	memset(t.run.cpuset, 1, sizeof(t.run.cpuset) - 1);
	memset(t.run.kernel_log, 1, sizeof(t.run.kernel_log) - 1);
	t.run.kernel_log_len = sizeof(t.run.kernel_log);
	t.run.limit.found = true;
	memset(t.run.limit.path, 1, sizeof(t.run.limit.path) - 1);
	for (size_t i = 0; i < 512; i++)
		worst_victim(&members[i].v);
	j = report(&t);
	assert_true(names(j, "telamon.truncated", "members"));
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.oom.members.count")), 513);
	assert_false(names(j, "telamon.truncated", "stack"));
	assert_int_equal(json_array_size(json_object_get(j, "telamon.oom.stack.kernel")),
			 OOM_STACK_MAX);
	assert_non_null(json_object_get(j, "telamon.hook")); /* what stands last is there */
	json_decref(j);
	check_lean(&t);
	assert_int_equal(report_aftermath(&t.w.report, &t.run, "exited", 1, &t.w.event), 0);
	unbend(&t);
	free(members);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
