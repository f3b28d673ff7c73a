/* SPDX-License-Identifier: Apache-2.0 */
/* Probes against a small BTF made here: prototypes in words, shapes that fit and that do not. */
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/strbuf.h"
#include "sys/probe.h"
#include "test.h"

static char btf_path[] = "/tmp/telamon-btf-XXXXXX";

static int make_btf(void **state)
{
	struct btf *b = btf__new_empty();
	int integer = btf__add_int(b, "int", 4, BTF_INT_SIGNED);
	int character = btf__add_int(b, "char", 1, BTF_INT_CHAR);
	int task = btf__add_ptr(b, btf__add_struct(b, "task_struct", 8));
	int oc = btf__add_ptr(b, btf__add_struct(b, "oom_control", 8));
	int event = btf__add_enum(b, "memcg_memory_event", 4);
	int uid = btf__add_typedef(b, "uid_t", integer);
	int text = btf__add_ptr(b, btf__add_const(b, character));
	int void_ptr = btf__add_ptr(b, 0);
	int proto;
	const void *data;
	uint32_t size;
	int fd = mkstemp(btf_path);

	/* Parameters follow their prototype at once, so all pointers are made before. */
	proto = btf__add_func_proto(b, 0);
	btf__add_func_param(b, NULL, void_ptr);
	btf__add_func_param(b, NULL, task);
	btf__add_func_param(b, NULL, uid);
	btf__add_typedef(b, "btf_trace_mark_victim", btf__add_ptr(b, proto));
	proto = btf__add_func_proto(b, 0);
	btf__add_func_param(b, NULL, void_ptr);
	btf__add_func_param(b, NULL, integer);
	btf__add_typedef(b, "btf_trace_wake_reaper", btf__add_ptr(b, proto));
	proto = btf__add_func_proto(b, 0);
	btf__add_func_param(b, "oc", oc);
	btf__add_func_param(b, "message", text);
	btf__add_func(b, "oom_kill_process", BTF_FUNC_STATIC, proto);
	proto = btf__add_func_proto(b, 0);
	btf__add_func_param(b, "event", event);
	btf__add_func(b, "bpf_mem_cgroup_page_state", BTF_FUNC_GLOBAL, proto);

	data = btf__raw_data(b, &size);
	if (fd < 0 || !data || write(fd, data, size) != (ssize_t)size)
		return -1;
	close(fd);
	btf__free(b);
	return 0;
}

static int remove_btf(void **state)
{
	return unlink(btf_path);
}

static void test_prototype(void **state)
{
	static const struct {
		const char *name;
		bool tracepoint;
		int r;
		const char *text;
	} cases[] = {
		{ "mark_victim", true, 0, "struct task_struct *, uid_t" },
		{ "wake_reaper", true, 0, "int" },
		{ "oom_kill_process", false, 0, "struct oom_control *, const char *" },
		{ "bpf_mem_cgroup_page_state", false, 0, "enum memcg_memory_event" },
		{ "reap_task", true, -ENOENT, "" },
		{ "mark_victim", false, -ENOENT, "" },
	};
	_cleanup_(hook_env_freep) struct hook_env *e = NULL;

	assert_int_equal(hook_env_new(btf_path, &e), 0);
	assert_false(e->no_btf);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

		assert_int_equal(probe_prototype(e, cases[i].name, cases[i].tracepoint, &b),
				 cases[i].r);
		assert_string_equal(strbuf_str(&b), cases[i].text);
	}
}

static void test_shapes(void **state)
{
	static const struct {
		enum hook_reason (*probe)(const struct hook_env *, const struct hook_variant *);
		const char *target, *shape;
		enum hook_reason r;
	} cases[] = {
		{ probe_btf_tracepoint, "mark_victim", "struct task_struct *, uid_t", HOOK_OK },
		{ probe_btf_tracepoint, "mark_victim", "int|struct task_struct *, uid_t", HOOK_OK },
		{ probe_btf_tracepoint, "mark_victim", "int", HOOK_SHAPE_UNKNOWN },
		{ probe_btf_tracepoint, "mark_victim", "struct task_struct *", HOOK_SHAPE_UNKNOWN },
		{ probe_btf_tracepoint, "mark_victim", NULL, HOOK_OK },
		{ probe_btf_tracepoint, "reap_task", "int", HOOK_NO_TRACEPOINT },
		{ probe_raw_tracepoint, "wake_reaper", "int", HOOK_OK },
		{ probe_fentry, "oom_kill_process",
		  "struct oom_control *, const char *, struct task_struct *", HOOK_SHAPE_UNKNOWN },
		{ probe_fentry, "oom_kill", "struct oom_control *", HOOK_NO_FUNCTION },
		{ probe_kfunc, "bpf_mem_cgroup_page_state", NULL, HOOK_OK },
		{ probe_kfunc, "bpf_mem_cgroup_page_state", "struct mem_cgroup *",
		  HOOK_SHAPE_UNKNOWN },
		{ probe_kfunc, "bpf_nothing", NULL, HOOK_NO_KFUNC },
		{ probe_file, "/proc/self/status", NULL, HOOK_OK },
		{ probe_file, "/proc/self/nothing", NULL, HOOK_NO_FILE },
	};
	_cleanup_(hook_env_freep) struct hook_env *e = NULL, *without = NULL;

	assert_int_equal(hook_env_new(btf_path, &e), 0);
	assert_int_equal(hook_env_new("/nonexistent", &without), 0);
	assert_true(without->no_btf);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hook_variant v = { .target = cases[i].target, .shape = cases[i].shape };

		assert_int_equal(cases[i].probe(e, &v), cases[i].r);
		if (cases[i].probe != probe_file)
			assert_int_equal(cases[i].probe(without, &v), HOOK_NO_BTF);
	}
}

static const struct hook example = {
	.capability = "oom_kill",
	.module = "oom",
	.required = true,
	.without = "kills are \"unseen\"",
	.variants = { { .name = "tp_btf_task", .target = "mark_victim" },
		      { .name = "raw_tp" },
		      { .name = "kmsg", .target = "/dev/kmsg" } },
};

static void test_json(void **state)
{
	const struct hook_state s = { .hook = &example,
				      .live = 1,
				      .reasons = { HOOK_EPERM, HOOK_OK, HOOK_NOT_NEEDED },
				      .errors = { -EPERM } };
	_cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
	json_t *root, *c, *v;

	hook_states_write_json(&s, 1, &b);
	root = json_loads(strbuf_str(&b), 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "version")), 1);
	c = json_array_get(json_object_get(root, "capabilities"), 0);
	assert_string_equal(json_string_value(json_object_get(c, "module")), "oom");
	assert_string_equal(json_string_value(json_object_get(c, "capability")), "oom_kill");
	assert_string_equal(json_string_value(json_object_get(c, "live")), "raw_tp");
	assert_string_equal(json_string_value(json_object_get(c, "without")), example.without);
	assert_true(json_is_true(json_object_get(c, "required")));
	assert_int_equal(json_array_size(json_object_get(c, "variants")), 3);
	v = json_array_get(json_object_get(c, "variants"), 0);
	assert_string_equal(json_string_value(json_object_get(v, "reason")), "eperm");
	assert_int_equal(json_integer_value(json_object_get(v, "errno")), EPERM);
	assert_true(json_is_false(json_object_get(v, "live")));
	v = json_array_get(json_object_get(c, "variants"), 1);
	assert_true(json_is_true(json_object_get(v, "live")));
	json_decref(root);
}

static void test_reason_names(void **state)
{
	for (int r = 0; r < _HOOK_REASON_MAX; r++) {
		assert_non_null(hook_reason_name((enum hook_reason)r));
		for (int other = 0; other < r; other++)
			assert_string_not_equal(hook_reason_name((enum hook_reason)r),
						hook_reason_name((enum hook_reason)other));
	}
	assert_string_equal(hook_reason_name(_HOOK_REASON_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prototype),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_reason_names),
	};

	return cmocka_run_group_tests(tests, make_btf, remove_btf);
}
