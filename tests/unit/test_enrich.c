/* SPDX-License-Identifier: Apache-2.0 */
/* What the kubelet says, in the cache of identities (OOM-407, OOM-408). */
#include "sys/identity.h"
#include "test.h"

#define UID "1f0e6e7a-1111-4000-8000-000000000001"
#define CONTAINER "3b1f0c9a77de3b1f0c9a77de3b1f0c9a77de3b1f0c9a77de3b1f0c9a77de3b1f"
#define POD_PATH "/kubepods/burstable/pod" UID

static const struct pod_label pod_labels[] = { { "app", "search" }, { "team", "find" } };
static const struct pod_container containers[] = { { "other", 1, 2 }, { "search", 100, 200 } };
static const struct pod pod = {
	.digest = 1,
	.uid = UID,
	.name = "search-7d9f8c6b5-x2lqp",
	.namespace = "shop",
	.qos = "Burstable",
	.priority_class = "high",
	.owner_kind = "Deployment",
	.owner_name = "finder",
	.labels = pod_labels,
	.n_labels = 2,
	.containers = containers,
	.n_containers = 2,
};

static struct identity_cache *cache(void)
{
	const struct identity_options o = { .entries = 64, .tombstones = 8, .tombstone_ttl_us = 1 };
	struct identity_cache *c;

	assert_int_equal(identity_cache_new(&o, &c), 0);
	return c;
}

/* As the runtime's files describe the container. */
static void describe(struct identity_cache *c, struct identity *i)
{
	static struct oci_info info;

	memset(&info, 0, sizeof(info));
	info.found = true;
	(void)snprintf(info.cgroups_path, sizeof(info.cgroups_path), "%.*s",
		       (int)sizeof(info.cgroups_path) - 1, i->path);
	(void)snprintf(info.pod_name, sizeof(info.pod_name), "search-7d9f8c6b5-x2lqp");
	(void)snprintf(info.pod_namespace, sizeof(info.pod_namespace), "shop");
	(void)snprintf(info.container_name, sizeof(info.container_name), "search");
	(void)snprintf(info.labels[0].key, sizeof(info.labels[0].key), "team");
	(void)snprintf(info.labels[0].value, sizeof(info.labels[0].value), "of the runtime");
	(void)snprintf(info.labels[1].key, sizeof(info.labels[1].key), "build");
	(void)snprintf(info.labels[1].value, sizeof(info.labels[1].value), "7");
	info.n_labels = 2;
	identity_describe(c, i, &info);
}

static const char *label(const struct identity *i, const char *key)
{
	for (size_t n = 0; n < i->n_labels; n++)
		if (streq(i->labels[n].key, key))
			return i->labels[n].value;
	return "";
}

static void test_container(void **state)
{
	_cleanup_(identity_cache_freep) struct identity_cache *c = cache();
	struct identity *i = identity_add(c, 1, 10, POD_PATH "/" CONTAINER, true, 1);

	assert_non_null(i);
	assert_false(identity_enrich(c, i, &pod)); /* no runtime vouches for it yet */
	assert_string_equal(i->owner_name, "");
	describe(c, i);
	assert_string_equal(i->workload, "search");
	assert_true(identity_enrich(c, i, &pod));
	assert_string_equal(i->workload, "finder");
	assert_string_equal(i->label_workload, "finder");
	assert_string_equal(i->label_namespace, "shop");
	assert_string_equal(i->label_container, "search");
	assert_string_equal(i->owner_kind, "Deployment");
	assert_string_equal(i->owner_name, "finder");
	assert_string_equal(i->priority_class, "high");
	assert_string_equal(i->qos, "Burstable");
	assert_int_equal(i->memory_request, 100);
	assert_int_equal(i->memory_limit, 200);
	assert_int_equal(i->n_labels, 3);
	assert_string_equal(label(i, "app"), "search");
	assert_string_equal(label(i, "team"), "find");
	assert_string_equal(label(i, "build"), "7");
	assert_false(identity_enrich(c, i, &pod)); /* nothing new */
}

/* What the kubelet said before is gone when it says something else, and when the files were read anew. */
static void test_change(void **state)
{
	_cleanup_(identity_cache_freep) struct identity_cache *c = cache();
	struct identity *i = identity_add(c, 1, 10, POD_PATH "/" CONTAINER, true, 1);
	struct pod changed = { .digest = 2,
			       .uid = UID,
			       .name = "",
			       .namespace = "",
			       .qos = "",
			       .priority_class = "",
			       .owner_kind = "",
			       .owner_name = "" };

	describe(c, i);
	assert_true(identity_enrich(c, i, &pod));
	assert_true(identity_enrich(c, i, &changed));
	assert_string_equal(i->workload, "search");
	assert_string_equal(i->label_workload, "search");
	assert_string_equal(i->owner_name, "");
	assert_string_equal(i->priority_class, "");
	assert_string_equal(i->pod_name, "search-7d9f8c6b5-x2lqp");
	assert_int_equal(i->memory_limit, 0);
	assert_int_equal(i->n_labels, 2);
	assert_string_equal(label(i, "team"), "of the runtime");
	for (unsigned n = 0; n < 10000; n++) { /* no text of an earlier answer stays behind */
		changed.digest = n + 3;
		changed.owner_name = n % 2 ? "odd" : "even";
		assert_true(identity_enrich(c, i, &changed));
		assert_string_equal(i->workload, changed.owner_name);
	}
	describe(c, i);
	assert_string_equal(i->workload, "search");
	assert_string_equal(i->owner_kind, "");
	assert_true(identity_enrich(c, i, &pod));
	assert_string_equal(i->workload, "finder");
}

/* The cgroup of the pod itself has no runtime file: names come from the kubelet alone. */
static void test_pod_cgroup(void **state)
{
	_cleanup_(identity_cache_freep) struct identity_cache *c = cache();
	struct identity *i = identity_add(c, 1, 11, POD_PATH, true, 1);

	assert_string_equal(i->pod_name, "");
	assert_true(identity_enrich(c, i, &pod));
	assert_string_equal(i->pod_name, "search-7d9f8c6b5-x2lqp");
	assert_string_equal(i->pod_namespace, "shop");
	assert_string_equal(i->workload, "finder");
	assert_int_equal(i->memory_limit, 0);
}

static void test_not_for_others(void **state)
{
	_cleanup_(identity_cache_freep) struct identity_cache *c = cache();
	struct identity *forged = identity_add(c, 1, 12, POD_PATH, false, 1);
	struct identity *other = identity_add(
		c, 1, 13, "/kubepods/burstable/pod1f0e6e7a-1111-4000-8000-000000000002", true, 1);
	struct identity *unit = identity_add(c, 1, 14, "/system.slice/ssh.service", true, 1);

	assert_false(identity_enrich(c, forged, &pod));
	assert_false(identity_enrich(c, other, &pod));
	assert_false(identity_enrich(c, unit, &pod));
	assert_string_equal(forged->owner_name, "");
	assert_string_equal(other->owner_name, "");
}

/* A pod that died before the answer came keeps its record's identity. */
static void enrich_dead(void *ctx, struct identity *i)
{
	struct identity_cache *c = ctx;

	(void)identity_enrich(c, i, &pod);
}

static void test_tombstone(void **state)
{
	_cleanup_(identity_cache_freep) struct identity_cache *c = cache();
	_cleanup_(identity_unrefp) struct identity *held = NULL;
	struct identity *i = identity_add(c, 1, 10, POD_PATH "/" CONTAINER, true, 1);

	describe(c, i);
	held = identity_ref(i);
	identity_remove(c, 1, 10, 2);
	identity_for_each(c, enrich_dead, c);
	assert_string_equal(held->workload, "search");
	identity_for_each_tombstone(c, enrich_dead, c);
	assert_string_equal(held->workload, "finder");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_container),  cmocka_unit_test(test_change),
		cmocka_unit_test(test_pod_cgroup), cmocka_unit_test(test_not_for_others),
		cmocka_unit_test(test_tombstone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
