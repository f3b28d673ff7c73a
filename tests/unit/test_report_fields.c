/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a record, one by one: what is missing, what is guessed, what others are called. */
#include "bent.h"

/* OOM-207: what is missing by no fault of this host's sources, and what makes a record incomplete. */
static void no_change(struct bent *t)
{
	(void)t;
}

static void no_scope(struct bent *t)
{
	t->run.scope = SCOPE_UNKNOWN;
}

static void no_limit(struct bent *t)
{
	t->run.limit = (struct oom_limit_found){ .level = -1 };
}

static void no_gfp(struct bent *t)
{
	t->run.gfp_known = false;
}

static void no_gfp_sysrq(struct bent *t)
{
	t->run.gfp_known = false;
	t->run.scope = SCOPE_SYSRQ;
}

static void no_stat(struct bent *t)
{
	t->run.snapshot.stat_seen = 0;
}

static void no_stat_host(struct bent *t)
{
	t->run.snapshot.stat_seen = 0;
	t->run.scope = SCOPE_GLOBAL;
}

static void no_psi(struct bent *t)
{
	t->run.snapshot.system.known = false;
}

static void no_psi_kernel(struct bent *t)
{
	t->run.snapshot.system.known = t->w.report.psi_on = false;
}

static void no_identity(struct bent *t)
{
	t->kill.identity = identity_unref(t->kill.identity);
}

static void no_args(struct bent *t)
{
	t->kill.v.args.length = 0;
}

static void no_args_wanted(struct bent *t)
{
	t->kill.v.args.length = 0;
	t->w.report.args_on = false;
}

static void no_exe(struct bent *t)
{
	t->kill.v.exe.length = 0;
}

static bool some_trend(void *ctx, struct event_buf *b, const struct oom_run *run,
		       const struct oom_kill *k)
{
	(void)ctx, (void)run, (void)k;
	event_f64(b, "telamon.oom.trend.step", 1, 0);
	return true;
}

static void a_trend(struct bent *t)
{
	t->w.report.add_trend = some_trend;
}

static void too_early(struct bent *t)
{
	t->run.early = true;
}

static void test_missing(void **state)
{
	static const struct {
		void (*change)(struct bent *t);
		const char *missing; /* beside trend */
		bool incomplete;
	} cases[] = {
		{ no_change, NULL, false },	{ no_scope, "scope", true },
		{ no_limit, "limit", true },	{ no_gfp, "gfp", true },
		{ no_gfp_sysrq, NULL, false },	{ no_stat, "stat", true },
		{ no_stat_host, NULL, false },	{ no_psi, "psi", true },
		{ no_psi_kernel, NULL, false }, { no_identity, "identity", true },
		{ no_args, "args", true },	{ no_args_wanted, NULL, false },
		{ no_exe, "exe", true },	{ a_trend, NULL, false },
		{ too_early, NULL, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool trend = cases[i].change != a_trend;
		struct bent t;
		json_t *j;

		bend(&t);
		cases[i].change(&t);
		j = report(&t);
		assert_int_equal(json_array_size(json_object_get(j, "telamon.oom.missing")),
				 trend + !!cases[i].missing);
		assert_int_equal(names(j, "telamon.oom.missing", "trend"), trend);
		if (cases[i].missing && !names(j, "telamon.oom.missing", cases[i].missing))
			fail_msg("case %zu: %s is not said to be missing", i, cases[i].missing);
		if (json_is_true(json_object_get(j, "telamon.oom.complete")) == cases[i].incomplete)
			fail_msg("case %zu: complete", i);
		json_decref(j);
		unbend(&t);
	}
}

/* OOM-310: names, else the text of the kernel log, else the number alone. */
static void test_gfp(void **state)
{
	struct bent t;
	json_t *j;

	(void)state;
	bend(&t);
	t.run.oc = true; /* the decision's own; of reclaim's the log knows better */
	snprintf(t.run.kmsg_gfp, sizeof(t.run.kmsg_gfp), "0xcc0(GFP_OF_THE_LOG)");
	j = report(&t);
	assert_string_equal(json_string_value(json_object_get(j, "telamon.oom.gfp_mask")),
			    "0xcc0(GFP_KERNEL)");
	json_decref(j);
	t.w.gfp.n = 0;
	j = report(&t);
	assert_string_equal(json_string_value(json_object_get(j, "telamon.oom.gfp_mask")),
			    "0xcc0(GFP_OF_THE_LOG)");
	json_decref(j);
	t.run.kmsg_gfp[0] = '\0';
	j = report(&t);
	assert_string_equal(json_string_value(json_object_get(j, "telamon.oom.gfp_mask")), "0xcc0");
	json_decref(j);
	unbend(&t);
}

/* Where no level was read, the distance comes from the paths. */
static void test_distance(void **state)
{
	static const struct {
		const char *limit;
		int distance; /* -1: not told */
	} cases[] = {
		{ "/telamon-lab-32089/single", 0 },
		{ "/telamon-lab-32089", 1 },
		{ "/", 2 },
		{ "/telamon-lab", -1 },
		{ "/other", -1 },
		{ "/telamon-lab-32089/single/x", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const json_t *v;
		struct bent t;
		json_t *j;

		bend(&t);
		t.kill.v.n_levels = 0;
		t.run.limit = (struct oom_limit_found){
			.found = true, .certain = true, .level = -1, .counter = "memory"
		};
		snprintf(t.run.limit.path, sizeof(t.run.limit.path), "%s", cases[i].limit);
		j = report(&t);
		v = json_object_get(j, "telamon.oom.limit.distance");
		if ((v ? json_integer_value(v) : -1) != cases[i].distance)
			fail_msg("%s: %d", cases[i].limit, v ? (int)json_integer_value(v) : -1);
		json_decref(j);
		unbend(&t);
	}
}

/* OOM-308: any byte in a comm, a path, an argument. */
static void test_lossy(void **state)
{
	struct bent t;
	json_t *j;

	(void)state;
	bend(&t);
	j = report(&t);
	assert_null(json_object_get(j, "telamon.lossy_text"));
	json_decref(j);
	memcpy(t.kill.v.comm, "a\xff\n\"b", 6);
	t.kill.v.comm[6] = '\0';
	j = report(&t);
	assert_true(json_is_true(json_object_get(j, "telamon.lossy_text")));
	assert_memory_equal(json_string_value(json_object_get(j, "telamon.oom.comm")),
			    "a\xef\xbf\xbd\n\"b", 8);
	json_decref(j);
	unbend(&t);
}

static const struct identity nobody = {
	.path = "/pod/x",
	.container_id = "",
	.container_outer_id = "",
	.container_name = "",
	.image = "",
	.pod_name = "",
	.pod_uid = "",
	.pod_namespace = "",
	.k8s_container = "",
	.qos = "",
	.node = "",
	.unit = "",
	.machine = "",
	.workload = "",
	.label_namespace = "",
	.label_workload = "",
	.label_container = "",
	.owner_kind = "",
	.owner_name = "",
	.priority_class = "",
};

/* Trigger and limit are named like the victim where they are not of its container; the pod's names may come from the victim. */
static void test_others(void **state)
{
	struct identity victim = nobody, trigger = nobody, pod = nobody, *before;
	struct bent t;
	json_t *j;

	bend(&t);
	before = t.kill.identity;
	t.kill.identity = &victim;
	t.run.limit.found = true;
	t.w.report.trigger_identity = &trigger;
	t.w.report.limit_identity = &pod;
	victim.path = "/pod/a";
	victim.container_id = "aa";
	victim.pod_name = "web-1";
	victim.pod_uid = pod.pod_uid = "u1";
	victim.pod_namespace = "shop";
	victim.workload = "web";
	victim.confirmed = true;
	pod.path = "/pod";
	pod.level = CGLEVEL_K8S_POD;
	trigger.path = "/system.slice/cron.service";
	trigger.unit = "cron.service";
	trigger.container_name = "runner";
	j = report(&t);
	assert_string_equal(string_at(j, "telamon.oom.trigger.unit"), "cron.service");
	assert_string_equal(string_at(j, "telamon.oom.trigger.container.name"), "runner");
	assert_null(json_object_get(j, "telamon.oom.trigger.k8s.pod.name"));
	assert_string_equal(string_at(j, "telamon.oom.limit.k8s.pod.uid"), "u1");
	assert_string_equal(string_at(j, "telamon.oom.limit.k8s.pod.name"), "web-1");
	assert_string_equal(string_at(j, "telamon.oom.limit.k8s.namespace.name"), "shop");
	assert_string_equal(string_at(j, "telamon.oom.limit.workload"), "web");
	json_decref(j);

	/* A cgroup inside of the victim's container. */
	trigger = victim;
	trigger.path = "/pod/a/below";
	j = report(&t);
	assert_string_equal(string_at(j, "telamon.oom.trigger.container.id"), "aa");
	assert_null(json_object_get(j, "telamon.oom.trigger.k8s.pod.name"));
	assert_null(json_object_get(j, "telamon.oom.trigger.workload"));
	json_decref(j);
	t.kill.identity = before;
	unbend(&t);
}

/* Kernels before 6.2 hold pages back per thread, later ones per CPU. */
static void test_rss_error(void **state)
{
	struct bent t;
	json_t *j;

	bend(&t);
	t.w.report.cpus = 32;
	t.kill.v.threads = 3;
	j = report(&t);
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.oom.rss_error")),
			 oom_pages(32ULL * 64));
	json_decref(j);
	t.kill.v.flags |= OOM_VICTIM_RSS_PER_THREAD;
	j = report(&t);
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.oom.rss_error")),
			 oom_pages(3ULL * 64));
	json_decref(j);
	unbend(&t);
}

static size_t gone_exe(void *ctx, uint32_t pid, uint64_t start_boot_ns, char *buf, size_t size)
{
	return (size_t)snprintf(buf, size, "/usr/bin/%u (deleted)", pid);
}

/* OOM-307: a link of /proc marks what was unlinked; the path is told without the mark. */
static void test_deleted(void **state)
{
	struct bent t;
	json_t *j;
	char path[32];

	bend(&t);
	t.kill.v.exe = (struct oom_text){};
	t.kill.v.flags &= ~(unsigned)OOM_VICTIM_EXE_DELETED;
	j = report(&t);
	assert_null(json_object_get(j, "telamon.exe.deleted"));
	json_decref(j);
	t.w.report.exe_of = gone_exe;
	j = report(&t);
	(void)snprintf(path, sizeof(path), "/usr/bin/%u", t.kill.v.tgid);
	assert_string_equal(json_string_value(json_object_get(j, "process.executable.path")), path);
	assert_true(json_is_true(json_object_get(j, "telamon.exe.deleted")));
	json_decref(j);
	unbend(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing),	 cmocka_unit_test(test_gfp),
		cmocka_unit_test(test_distance), cmocka_unit_test(test_lossy),
		cmocka_unit_test(test_deleted),	 cmocka_unit_test(test_rss_error),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
