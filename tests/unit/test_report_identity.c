/* SPDX-License-Identifier: Apache-2.0 */
/* Who it was, in every event of the module: names of container, pod, owner and unit, and what the events are filtered by. */
#include "test.h"

#include <unistd.h>
#include "bent.h"

#define P "telamon.oom."

static const struct oci_label labels[] = { { "team", "red" }, { "tier", "" } };

/* Each name is another one, so that none can stand in for another. */
static const struct identity everything = {
	.id = 1ULL << 60,
	.kind = CGNAME_K8S,
	.level = CGLEVEL_CONTAINER,
	.runtime = CGRUNTIME_CRIO,
	.confirmed = true,
	.rootless = true,
	.uid = 1000,
	.path = "/kubepods/pod-u1/aa",
	.container_id = "aa",
	.container_outer_id = "bb",
	.container_name = "name-of-container",
	.image = "registry.example/image",
	.pod_name = "web-1",
	.pod_uid = "u1",
	.pod_namespace = "shop",
	.k8s_container = "main",
	.qos = "Burstable",
	.node = "node",
	.unit = "a.service",
	.machine = "guest",
	.workload = "web",
	.label_namespace = "",
	.label_workload = "",
	.label_container = "",
	.labels = labels,
	.n_labels = ARRAY_SIZE(labels),
	.owner_kind = "Deployment",
	.owner_name = "web-owner",
	.priority_class = "high",
	.memory_request = 5,
	.memory_limit = 6,
};

static const char *const texts[][2] = {
	{ "telamon.cgroup.kind", "k8s" },
	{ "container.id", "aa" },
	{ "container.name", "name-of-container" },
	{ "container.image.name", "registry.example/image" },
	{ "telamon.container.outer.id", "bb" },
	{ "k8s.namespace.name", "shop" },
	{ "k8s.pod.name", "web-1" },
	{ "k8s.pod.uid", "u1" },
	{ "k8s.container.name", "main" },
	{ "telamon.k8s.qos", "Burstable" },
	{ "k8s.deployment.name", "web-owner" },
	{ "telamon.k8s.priority_class", "high" },
	{ "telamon.unit", "a.service" },
	{ "telamon.machine", "guest" },
	{ "telamon.workload", "web" },
	{ "k8s.pod.label.team", "red" },
};

static void check_texts(const json_t *j)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (!streq(string_at(j, texts[i][0]), texts[i][1]))
			fail_msg("%s is '%s'", texts[i][0], string_at(j, texts[i][0]));
	assert_string_equal(string_at(j, "container.runtime"),
			    cgname_runtime_name(everything.runtime));
	assert_true(json_is_true(json_object_get(j, "telamon.container.confirmed")));
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.container.uid")), 1000);
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.k8s.memory.request")), 5);
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.k8s.memory.limit")), 6);
}

static void check_keys(const struct event_keys *k, uint32_t pid)
{
	assert_string_equal(k->container_id, "aa");
	assert_string_equal(k->container_name, "main");
	assert_string_equal(k->namespace, "shop");
	assert_string_equal(k->pod, "web-1");
	assert_string_equal(k->workload, "web");
	assert_string_equal(k->cgroup, "/kubepods/pod-u1/aa");
	assert_int_equal(k->pid, pid);
}

static json_t *load(const struct bent *t)
{
	json_t *j = json_loadb(t->w.event.json.data, t->w.event.json.len, 0, NULL);

	assert_non_null(j);
	return j;
}

struct known {
	struct bent t;
	struct identity i;
	struct identity *before;
};

static void know(struct known *k)
{
	bend(&k->t);
	k->i = everything;
	k->before = k->t.kill.identity;
	k->t.kill.identity = &k->i;
}

static void forget(struct known *k)
{
	k->t.kill.identity = k->before;
	unbend(&k->t);
}

static void test_kill(void **state)
{
	struct known k;
	json_t *j;

	(void)state;
	know(&k);
	j = report(&k.t);
	check_texts(j);
	check_keys(&k.t.w.event.keys, k.t.kill.v.tgid);
	json_decref(j);
	/* Outside of Kubernetes the container's own name is the one to look for, its labels are the container's. */
	k.i.kind = CGNAME_DOCKER;
	k.i.k8s_container = "";
	j = report(&k.t);
	assert_string_equal(string_at(j, "container.label.team"), "red");
	assert_null(json_object_get(j, "k8s.pod.label.team"));
	assert_string_equal(k.t.w.event.keys.container_name, "name-of-container");
	json_decref(j);
	forget(&k);
}

/* What is not known, or does not hold for this one, is left out. */
static void test_left_out(void **state)
{
	struct known k;
	json_t *j;

	(void)state;
	know(&k);
	k.i.container_id = "";
	k.i.rootless = false;
	k.i.memory_request = k.i.memory_limit = 0;
	j = report(&k.t);
	assert_null(json_object_get(j, "container.runtime"));
	assert_null(json_object_get(j, "telamon.container.confirmed"));
	assert_null(json_object_get(j, "telamon.container.uid"));
	assert_null(json_object_get(j, "telamon.k8s.memory.request"));
	assert_null(json_object_get(j, "telamon.k8s.memory.limit"));
	json_decref(j);
	k.i.rootless = true;
	k.i.uid = UINT32_MAX;
	j = report(&k.t);
	assert_null(json_object_get(j, "telamon.container.uid"));
	json_decref(j);
	/* Nothing that there is not is said to be cut. */
	k.i.n_labels = 0;
	k.t.kill.v.n_levels = k.t.kill.v.n_ancestors = 0;
	k.t.w.report.lean = true;
	j = report(&k.t);
	assert_false(names(j, "telamon.truncated", "labels"));
	assert_false(names(j, "telamon.truncated", "levels"));
	assert_false(names(j, "telamon.truncated", "ancestors"));
	json_decref(j);
	forget(&k);
}

static void test_owners(void **state)
{
	static const char *const owners[][2] = {
		{ "Deployment", "k8s.deployment.name" }, { "StatefulSet", "k8s.statefulset.name" },
		{ "DaemonSet", "k8s.daemonset.name" },	 { "Job", "k8s.job.name" },
		{ "ReplicaSet", "k8s.replicaset.name" }, { "Rollout", "telamon.k8s.owner.name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		struct known k;
		json_t *j;

		know(&k);
		k.i.owner_kind = owners[i][0];
		j = report(&k.t);
		for (size_t n = 0; n < ARRAY_SIZE(owners); n++)
			assert_string_equal(string_at(j, owners[n][1]), i == n ? "web-owner" : "");
		assert_string_equal(string_at(j, "telamon.k8s.owner.kind"),
				    i == ARRAY_SIZE(owners) - 1 ? "Rollout" : "");
		json_decref(j);
		forget(&k);
	}
}

/* Names of runtimes are of any length, those in a record are not. */
static void test_long_name(void **state)
{
	char name[2000];
	struct known k;
	json_t *j;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	know(&k);
	k.i.image = name;
	j = report(&k.t);
	assert_int_equal(strlen(string_at(j, "container.image.name")), 512);
	json_decref(j);
	forget(&k);
}

/* A pod's cgroup is named after the victim only where that is beyond doubt of this pod. */
static void test_knows_pod(void **state)
{
	struct identity victim = everything, pod = everything;
	struct oom_kill kill = { .identity = &victim };
	struct oom_run run = { .kills = &kill };

	(void)state;
	pod.level = CGLEVEL_K8S_POD;
	assert_true(report_knows_pod(&pod, &run));
	assert_false(report_knows_pod(NULL, &run));
	victim.confirmed = false;
	assert_false(report_knows_pod(&pod, &run));
	victim.confirmed = true;
	victim.pod_uid = "u2";
	assert_false(report_knows_pod(&pod, &run));
	victim.pod_uid = pod.pod_uid = "";
	assert_false(report_knows_pod(&pod, &run));
	victim.pod_uid = pod.pod_uid = "u1";
	pod.level = CGLEVEL_CONTAINER;
	assert_false(report_knows_pod(&pod, &run));
	pod.level = CGLEVEL_K8S_POD;
	kill.identity = NULL;
	assert_false(report_knows_pod(&pod, &run));
	run.kills = NULL;
	assert_false(report_knows_pod(&pod, &run));
}

/* --- the events beside the kill --- */

static void test_aftermath(void **state)
{
	struct known k;
	json_t *j, *member;

	(void)state;
	know(&k);
	k.t.kill.reaper_skipped = true;
	k.t.run.repeats = 3;
	k.t.run.freed_known = true;
	k.t.run.freed_bytes = 77;
	assert_int_equal(report_aftermath(&k.t.w.report, &k.t.run, "exited", 9, &k.t.w.event), 0);
	j = load(&k.t);
	check_texts(j);
	check_keys(&k.t.w.event.keys, k.t.kill.v.tgid);
	assert_string_equal(string_at(j, P "aftermath"), "exited");
	assert_int_equal(json_integer_value(json_object_get(j, P "repeats")), 3);
	assert_int_equal(json_integer_value(json_object_get(j, P "freed")), 77);
	member = json_array_get(json_object_get(j, P "members"), 0);
	assert_int_equal(json_integer_value(json_object_get(member, "pid")), k.t.kill.v.tgid);
	assert_string_equal(string_at(member, "reaper"), "skipped");
	assert_null(json_object_get(member, "time.to_exit"));
	json_decref(j);
	k.t.kill.reap_end_ns = k.t.kill.boot_ns + 1;
	k.t.kill.exit_boot_ns = k.t.kill.boot_ns + NS_PER_SEC / 2;
	k.t.run.freed_known = false;
	assert_int_equal(report_aftermath(&k.t.w.report, &k.t.run, "timeout", 9, &k.t.w.event), 0);
	j = load(&k.t);
	member = json_array_get(json_object_get(j, P "members"), 0);
	assert_string_equal(string_at(member, "reaper"), "reaped");
	assert_true(json_real_value(json_object_get(member, "time.to_exit")) == 0.5);
	assert_null(json_object_get(j, P "freed"));
	json_decref(j);
	forget(&k);
}

static void check_place(const json_t *j)
{
	check_texts(j);
	assert_string_equal(string_at(j, "telamon.cgroup.path"), "/kubepods/pod-u1/aa");
	assert_string_equal(string_at(j, "telamon.cgroup.id"), "1152921504606846976");
}

static void test_no_victim(void **state)
{
	struct known k;
	struct report_no_victim n = { .boot_ns = 9, .scope = SCOPE_MEMCG, .source = "counters" };
	json_t *j;

	(void)state;
	know(&k);
	n.identity = &k.i;
	assert_int_equal(report_no_victim(&k.t.w.report, &n, &k.t.w.event), 0);
	j = load(&k.t);
	check_place(j);
	check_keys(&k.t.w.event.keys, 0);
	assert_string_equal(string_at(j, "event.name"), "oom.no_victim");
	assert_int_equal(json_integer_value(json_object_get(j, "severity_number")), SEVERITY_FATAL);
	assert_string_equal(string_at(j, P "scope"), "memcg");
	assert_string_equal(string_at(j, P "scope.source"), "counters");
	assert_true(json_is_false(json_object_get(j, P "certain")));
	assert_null(json_object_get(j, P "trigger.pid"));
	assert_null(json_object_get(j, P "time.decision"));
	json_decref(j);
	n.identity = NULL;
	n.trigger_pid = 12;
	n.duration_ns = NS_PER_SEC / 4;
	assert_int_equal(report_no_victim(&k.t.w.report, &n, &k.t.w.event), 0);
	j = load(&k.t);
	assert_null(json_object_get(j, "telamon.cgroup.path"));
	assert_int_equal(json_integer_value(json_object_get(j, P "trigger.pid")), 12);
	assert_true(json_real_value(json_object_get(j, P "time.decision")) == 0.25);
	json_decref(j);
	forget(&k);
}

static void test_unseen(void **state)
{
	struct identity limit = everything;
	struct known k;
	json_t *j;

	(void)state;
	know(&k);
	limit.path = "/kubepods/pod-u1";
	limit.id = 8;
	limit.level = CGLEVEL_K8S_POD;
	assert_int_equal(report_unseen(&k.t.w.report, 4, 9, &k.i, &limit, &k.t.w.event), 0);
	j = load(&k.t);
	check_place(j);
	check_keys(&k.t.w.event.keys, 0);
	assert_string_equal(string_at(j, "event.name"), "oom.unseen");
	assert_int_equal(json_integer_value(json_object_get(j, "severity_number")), SEVERITY_WARN);
	assert_int_equal(json_integer_value(json_object_get(j, P "unseen")), 4);
	assert_true(*string_at(j, "message"));
	assert_string_equal(string_at(j, P "limit.cgroup.path"), "/kubepods/pod-u1");
	assert_string_equal(string_at(j, P "limit.cgroup.id"), "8");
	assert_string_equal(string_at(j, P "limit.kind"), "k8s_pod");
	assert_true(json_is_false(json_object_get(j, P "limit.certain")));
	json_decref(j);
	assert_int_equal(report_unseen(&k.t.w.report, 4, 9, NULL, NULL, &k.t.w.event), 0);
	j = load(&k.t);
	assert_null(json_object_get(j, "telamon.cgroup.path"));
	assert_null(json_object_get(j, P "limit.cgroup.path"));
	assert_null(json_object_get(j, P "limit.certain"));
	json_decref(j);
	forget(&k);
}

static void test_lost(void **state)
{
	struct known k;
	json_t *j;

	(void)state;
	know(&k);
	assert_int_equal(report_lost(&k.t.w.report, 5, 9, &k.t.w.event), 0);
	j = load(&k.t);
	assert_string_equal(string_at(j, "event.name"), "telemetry.lost");
	assert_int_equal(json_integer_value(json_object_get(j, "severity_number")), SEVERITY_ERROR);
	assert_string_equal(string_at(j, "telamon.lost.class"), "oom");
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.lost.count")), 5);
	json_decref(j);
	forget(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill),	  cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_owners),	  cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_knows_pod), cmocka_unit_test(test_aftermath),
		cmocka_unit_test(test_no_victim), cmocka_unit_test(test_unseen),
		cmocka_unit_test(test_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
