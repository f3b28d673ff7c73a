/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/identity.h"
#include "test.h"

#define C "9f2c4e8d0b7a61539f2c4e8d0b7a61539f2c4e8d0b7a61539f2c4e8d0b7a6153"
#define D "11ab22cd33ef44551122334455667788990011aabbccddeeff00112233445566"
#define U "1f0e7a3c-55d2-4a8b-9c1d-0123456789ab"
#define V "1f0e7a3c_55d2_4a8b_9c1d_0123456789ab"
#define POD "/kubepods/burstable/pod" U
#define SLICE "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" V ".slice"
#define USER "/user.slice/user-1000.slice/user@1000.service"
#define ENTRIES 8
#define TOMBSTONES 4
#define TTL 1000

static int setup(void **state)
{
	const struct identity_options o = { .entries = ENTRIES,
					    .tombstones = TOMBSTONES,
					    .tombstone_ttl_us = TTL,
					    .node_name = "node7" };

	return identity_cache_new(&o, (struct identity_cache **)state);
}

static int teardown(void **state)
{
	(void)identity_cache_free(*state);
	return 0;
}

static struct identity *look(struct identity_cache *c, uint32_t hierarchy, uint64_t id,
			     const char *walked, enum identity_result want)
{
	enum identity_result result = _IDENTITY_RESULT_MAX;
	uint64_t before = identity_cache_stats(c)->lookups[want];
	struct identity *i =
		identity_lookup(c, hierarchy, id, walked, walked ? strlen(walked) : 0, &result);

	assert_int_equal(result, want);
	assert_int_equal(identity_cache_stats(c)->lookups[want], before + 1);
	return i;
}

/* OOM-401: the key is hierarchy and id. */
static void test_key(void **state)
{
	struct identity_cache *c = *state;
	struct identity *v1, *v2;

	v1 = identity_add(c, 4, 77, "/a.service", false, 1);
	v2 = identity_add(c, 0, 77, "/b.service", false, 1);
	assert_ptr_not_equal(v1, v2);
	assert_ptr_equal(look(c, 4, 77, NULL, IDENTITY_HIT), v1);
	assert_ptr_equal(look(c, 0, 77, NULL, IDENTITY_HIT), v2);
	assert_null(look(c, 5, 77, NULL, IDENTITY_UNKNOWN));
	assert_null(look(c, 4, 78, NULL, IDENTITY_UNKNOWN));
	assert_null(look(c, 4, 78, "/x", IDENTITY_PATH_ONLY));
	assert_null(look(c, 4, 0, "/a.service", IDENTITY_PATH_ONLY));
	assert_ptr_equal(identity_add(c, 4, 77, "/a.service", false, 9), v1);
	assert_int_equal(v1->added_us, 1);
	assert_ptr_equal(identity_by_path(c, 0, "/b.service/x", 10), v2);
	assert_null(identity_by_path(c, 4, "/b.service", 10));
	assert_ptr_equal(identity_find(c, 0, 77), v2);
	assert_null(identity_find(c, 0, 78));
	assert_int_equal(identity_cache_stats(c)->entries[CGNAME_SYSTEMD], 2);
}

/* OOM-406: an id met again with another path is a new entry; so is a path met again with another id. */
static void test_id_reuse(void **state)
{
	struct identity_cache *c = *state;
	struct identity *a = identity_ref(identity_add(c, 0, 7, "/a.service", false, 1)), *b;

	b = identity_add(c, 0, 7, "/b.service", false, 2);
	assert_ptr_not_equal(a, b);
	assert_int_equal(a->removed_us, 2);
	assert_int_equal(identity_cache_stats(c)->tombstones, 1);
	assert_int_equal(identity_cache_stats(c)->entries[CGNAME_SYSTEMD], 1);
	assert_ptr_equal(look(c, 0, 7, NULL, IDENTITY_HIT), b);
	assert_null(identity_by_path(c, 0, "/a.service", 10));
	b = identity_add(c, 0, 8, "/b.service", false, 3); /* made anew while nobody looked */
	assert_ptr_equal(identity_by_path(c, 0, "/b.service", 10), b);
	assert_int_equal(identity_cache_stats(c)->tombstones, 2);
	/* Both old ones have id 7: the walked path tells which. */
	assert_ptr_equal(look(c, 0, 7, "/a.service", IDENTITY_TOMBSTONE), a);
	assert_string_equal(look(c, 0, 7, "/b.service", IDENTITY_TOMBSTONE)->path, "/b.service");
	assert_string_equal(look(c, 0, 7, NULL, IDENTITY_TOMBSTONE)->path, "/b.service");
	assert_null(look(c, 0, 7, "/c.service", IDENTITY_PATH_ONLY));
	(void)identity_unref(a);
}

/* OOM-401: where the walked path differs, it is right. */
static void test_conflict(void **state)
{
	struct identity_cache *c = *state;
	struct identity *a = identity_add(c, 0, 7, "/x/a.service", false, 1), *p;

	assert_ptr_equal(look(c, 0, 7, "/x/a.service", IDENTITY_HIT), a);
	assert_ptr_equal(look(c, 0, 7, "/a.service", IDENTITY_HIT), a); /* its front was cut */
	assert_int_equal(identity_cache_stats(c)->conflicts, 0);
	assert_null(look(c, 0, 7, "/x/b.service", IDENTITY_PATH_ONLY));
	assert_int_equal(identity_cache_stats(c)->conflicts, 1);
	p = identity_from_path(c, 0, 7, "/x/b.service", 12);
	assert_string_equal(p->path, "/x/b.service");
	assert_string_equal(p->unit, "b.service");
	assert_string_equal(identity_find(c, 0, 7)->path, "/x/a.service");
	(void)identity_unref(p);
	assert_null(identity_from_path(c, 0, 7, "b.service", 9));
	assert_null(identity_from_path(c, 0, 7, "", 0));
}

static void test_tombstones(void **state)
{
	struct identity_cache *c = *state;
	struct identity *held, *evicted = NULL;

	for (uint64_t id = 1; id <= TOMBSTONES + 2; id++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "/s%u.service", (unsigned)id);
		held = identity_add(c, 0, id, path, false, id);
		if (id == 1)
			evicted = identity_ref(held);
		identity_remove(c, 0, id, 10 + id);
		assert_null(identity_find(c, 0, id));
	}
	identity_remove(c, 0, 99, 50); /* nobody */
	assert_int_equal(identity_cache_stats(c)->tombstones, TOMBSTONES);
	assert_int_equal(identity_cache_stats(c)->tombstones_evicted, 2);
	assert_int_equal(identity_cache_stats(c)->entries[CGNAME_SYSTEMD], 0);
	assert_null(look(c, 0, 2, NULL, IDENTITY_UNKNOWN)); /* the oldest went */
	held = look(c, 0, 3, NULL, IDENTITY_TOMBSTONE);
	assert_int_equal(held->removed_us, 13);
	(void)identity_ref(held);
	identity_expire(c, 13 + TTL - 1);
	assert_int_equal(identity_cache_stats(c)->tombstones, TOMBSTONES);
	identity_expire(c, 13 + TTL);
	assert_int_equal(identity_cache_stats(c)->tombstones, TOMBSTONES - 1);
	assert_null(look(c, 0, 3, NULL, IDENTITY_UNKNOWN));
	/* Who holds one, keeps it and all its texts. */
	assert_string_equal(evicted->path, "/s1.service");
	assert_int_equal(evicted->refs, 1);
	(void)identity_unref(evicted);
	assert_string_equal(held->path, "/s3.service");
	assert_string_equal(held->label_container, "s3.service");
	identity_describe(c, held, &(struct oci_info){});
	assert_string_equal(held->unit, "s3.service");
	assert_int_equal(identity_cache_stats(c)->entries[CGNAME_SYSTEMD], 0);
	(void)identity_unref(held);
	identity_expire(c, UINT64_MAX);
	assert_int_equal(identity_cache_stats(c)->tombstones, 0);
}

/* Nothing is remembered at all. */
static void test_no_tombstones(void **state)
{
	const struct identity_options o = { .entries = 2 };
	_cleanup_(identity_cache_freep) struct identity_cache *c = NULL;
	struct identity *i;

	(void)state;
	assert_int_equal(identity_cache_new(&o, &c), 0);
	i = identity_ref(identity_add(c, 0, 1, "/a", false, 1));
	identity_remove(c, 0, 1, 2);
	assert_null(look(c, 0, 1, NULL, IDENTITY_UNKNOWN));
	assert_string_equal(i->path, "/a");
	assert_int_equal(i->refs, 1);
	(void)identity_unref(i);
	assert_int_equal(identity_cache_stats(c)->tombstones, 0);
}

static void test_full(void **state)
{
	struct identity_cache *c = *state;
	char path[32];

	for (uint64_t id = 1; id <= ENTRIES + 3; id++) {
		(void)snprintf(path, sizeof(path), "/%u", (unsigned)id);
		assert_int_equal(!identity_add(c, 0, id, path, false, 1), id > ENTRIES);
	}
	assert_int_equal(identity_cache_stats(c)->refused, 3);
	assert_non_null(identity_add(c, 0, 1, "/1", false, 1)); /* known */
	assert_non_null(identity_add(c, 0, 2, "/other", false, 1)); /* its place is free */
	identity_remove(c, 0, 3, 1);
	assert_non_null(identity_add(c, 0, 40, "/40", false, 1));
	assert_null(identity_add(c, 0, 41, "/41", false, 1));
	assert_int_equal(identity_cache_stats(c)->refused, 4);
}

static void count(void *ctx, struct identity *i)
{
	unsigned *n = ctx;

	assert_int_equal(i->removed_us, 0);
	(*n)++;
}

static struct identity_cache *removing;

static void remove_each(void *ctx, struct identity *i)
{
	(void)ctx;
	identity_remove(removing, i->hierarchy, i->id, 5);
}

static void test_for_each(void **state)
{
	struct identity_cache *c = *state;
	unsigned n = 0;

	for (uint64_t id = 1; id <= 5; id++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "/%u", (unsigned)id);
		(void)identity_add(c, 0, id, path, false, 1);
	}
	identity_remove(c, 0, 3, 1);
	identity_for_each(c, count, &n);
	assert_int_equal(n, 4);
	removing = c;
	identity_for_each(c, remove_each, NULL);
	n = 0;
	identity_for_each(c, count, &n);
	assert_int_equal(n, 0);
}

/* OOM-411: who is believed, and what the labels of the metrics say then. */
static void test_confirmation(void **state)
{
	/* clang-format off */
	static const struct {
		const char *name, *path;
		bool root_owned;
		struct oci_info info;
		bool confirmed;
		const char *kind, *id, *image; /* @image: whether the file was taken at its word */
	} cases[] = {
		{ "docker, by runc's state", "/system.slice/docker-" C ".scope", false,
		  { .found = true, .image = "i", .cgroup_path = "/sys/fs/cgroup/system.slice/docker-" C ".scope" },
		  true, "docker", C, "i" },
		{ "docker v1, by runc's state", "/docker/" C, false,
		  { .found = true, .image = "i", .cgroup_path = "/sys/fs/cgroup/memory/docker/" C }, true, "docker", C, "i" },
		{ "docker, by config.json", "/system.slice/docker-" C ".scope", false,
		  { .found = true, .image = "i", .cgroups_path = "system.slice:docker:" C }, true, "docker", C, "i" },
		{ "docker, default slice", "/system.slice/docker-" C ".scope", false,
		  { .found = true, .image = "i", .cgroups_path = ":docker:" C }, true, "docker", C, "i" },
		{ "docker, systemd inside", "/docker/" C "/system.slice/x.service", false,
		  { .found = true, .image = "i", .cgroup_path = "/sys/fs/cgroup/docker/" C }, true, "docker", C, "i" },
		{ "docker, root slice", "/docker-" C ".scope", false,
		  { .found = true, .image = "i", .cgroups_path = "-.slice:docker:" C }, true, "docker", C, "i" },
		{ "no file", "/docker/" C, false, {}, false, "other", C, "" },
		{ "file without a path", "/docker/" C, false, { .found = true, .image = "i" }, false, "other", C, "i" },
		{ "made by a user, id of another", USER "/docker-" C ".scope", false,
		  { .found = true, .image = "i", .cgroup_path = "/sys/fs/cgroup/system.slice/docker-" C ".scope" },
		  false, "other", C, "" },
		{ "made by a user, same slice name", USER "/system.slice/docker-" C ".scope", false,
		  { .found = true, .image = "i", .cgroups_path = "system.slice:docker:" C }, false, "other", C, "" },
		{ "an ancestor is not enough", "/docker/" D "/docker/" C, false,
		  { .found = true, .image = "i", .cgroup_path = "/sys/fs/cgroup/docker/" D }, false, "other", C, "" },
		{ "half a component is not enough", "/docker/" C, false,
		  { .found = true, .image = "i", .cgroup_path = "/sys/fs/cgroup/docker/" C "0" }, false, "other", C, "" },
		{ "half in front", "/docker/" C, false,
		  { .found = true, .image = "i", .cgroups_path = "x/docker/" C }, false, "other", C, "" },
		{ "k8s, cgroupfs", POD "/" C, true,
		  { .found = true, .image = "i", .cgroups_path = POD "/" C }, true, "k8s", C, "i" },
		{ "k8s, systemd", SLICE "/cri-containerd-" C ".scope", true,
		  { .found = true, .image = "i", .cgroups_path = "kubepods-burstable-pod" V ".slice:cri-containerd:" C },
		  true, "k8s", C, "i" },
		{ "k8s, drivers disagree", "/system.slice/containerd.service/kubepods-pod" V ".slice:cri-containerd:" C, true,
		  { .found = true, .image = "i", .cgroups_path = "kubepods-pod" V ".slice:cri-containerd:" C },
		  true, "k8s", C, "i" },
		{ "k8s, root of another", POD "/" C, false,
		  { .found = true, .image = "i", .cgroups_path = POD "/" C }, true, "other", C, "i" },
		{ "k8s, another pod", POD "/" C, true,
		  { .found = true, .image = "i", .cgroups_path = "/kubepods/pod" U "/" C }, false, "other", C, "" },
		{ "k8s, by the kubelet's link", POD "/" C, true,
		  { .found = true, .image = "i", .pod_uid = U }, true, "k8s", C, "i" },
		{ "k8s, link of another pod", POD "/" C, true,
		  { .found = true, .image = "i", .pod_uid = "1f0e7a3c-55d2-4a8b-9c1d-0123456789ac" }, false, "other", C, "" },
		{ "k8s, link, root of another", POD "/" C, false,
		  { .found = true, .image = "i", .pod_uid = U }, false, "other", C, "i" },
		{ "podman with crun", "/machine.slice/libpod-" C ".scope/container", false,
		  { .found = true, .image = "i", .cgroup_path = "/machine.slice/libpod-" C ".scope/container" },
		  true, "podman", C, "i" },
		{ "podman, quadlet", "/system.slice/web.service/libpod-payload-" C, false,
		  { .found = true, .image = "i", .cgroups_path = "/system.slice/web.service/libpod-payload-" C },
		  true, "podman", C, "i" },
		{ "podman, cgroupfs", "/libpod_parent/libpod-" C, false,
		  { .found = true, .image = "i", .cgroups_path = "libpod_parent/libpod-" C }, true, "podman", C, "i" },
		{ "rootless podman", USER "/user.slice/libpod-" C ".scope", false,
		  { .found = true, .image = "i", .user_file = true, .manager = "libpod", .cgroups_path = "user.slice:libpod:" C },
		  true, "podman", C, "i" },
		{ "rootless podman, default slice", USER "/user.slice/libpod-" C ".scope", false,
		  { .found = true, .image = "i", .user_file = true, .cgroups_path = ":libpod:" C }, true, "podman", C, "i" },
		{ "a user's file counts below the user", "/user.slice/libpod-" C ".scope", false,
		  { .found = true, .image = "i", .user_file = true, .cgroups_path = "user.slice:libpod:" C }, false, "other", C, "" },
		{ "a user's file does not speak of what root runs", "/system.slice/docker-" C ".scope", false,
		  { .found = true, .image = "i", .user_file = true, .cgroups_path = "system.slice:docker:" C }, false, "other", C, "" },
		{ "rootless podman, another slice", USER "/user.slice/libpod-" C ".scope", false,
		  { .found = true, .image = "i", .user_file = true, .cgroups_path = "app.slice:libpod:" C }, false, "other", C, "" },
		{ "a name as long, but another", "/docker/" C, false,
		  { .found = true, .image = "i", .cgroups_path = "/docker/" D }, false, "other", C, "" },
		{ "k8s, a file without a pod", POD "/" C, true, { .found = true, .image = "i" }, false, "other", C, "i" },
		{ "podman by its manager alone", "/custom/p/" C, false,
		  { .found = true, .image = "i", .manager = "podman", .sources = 1U << OCI_CRUN, .cgroups_path = "/custom/p/" C },
		  true, "podman", C, "i" },
		{ "libpod by its manager alone", "/custom/p/" C, false,
		  { .found = true, .image = "i", .manager = "libpod", .sources = 1U << OCI_CRUN, .cgroups_path = "/custom/p/" C },
		  true, "podman", C, "i" },
		{ "nerdctl", "/default/web", false,
		  { .found = true, .image = "i", .sources = 1U << OCI_CONTAINERD, .cgroups_path = "/default/web" },
		  true, "containerd", "web", "i" },
		{ "two plain names", "/default/web", false, {}, false, "other", "", "" },
		{ "two plain names, a file of another", "/default/web", false,
		  { .found = true, .image = "i", .cgroups_path = "/other/web" }, false, "other", "", "" },
		{ "docker with a parent of its own", "/custom/" C, false,
		  { .found = true, .image = "i", .sources = 1U << OCI_DOCKER | 1U << OCI_CONTAINERD, .cgroups_path = "/custom/" C },
		  true, "docker", C, "i" },
		{ "podman with a parent of its own", "/custom/p/" C, false,
		  { .found = true, .image = "i", .sources = 1U << OCI_PODMAN, .cgroups_path = "/custom/p/" C },
		  true, "podman", C, "i" },
		{ "forged name without a file", "/system.slice/cri-containerd-" C ".scope", false, {}, false, "other", C, "" },
		{ "nested slices", "/a.slice/a-b.slice/a-b-c.slice/docker-" C ".scope", false,
		  { .found = true, .image = "i", .cgroups_path = "a-b-c.slice:docker:" C }, true, "docker", C, "i" },
		{ "too few colons", "/system.slice/docker-" C ".scope", false,
		  { .found = true, .image = "i", .cgroups_path = "system.slice:docker-" C }, false, "other", C, "" },
		{ "a service is none", "/system.slice/x.service", false, {}, false, "systemd", "", "" },
	};
	/* clang-format on */

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		struct identity_cache *c = *state;
		struct identity *i =
			identity_add(c, 0, 1 + k, cases[k].path, cases[k].root_owned, 1);
		const struct identity_stats *s = identity_cache_stats(c);

		print_message("%s\n", cases[k].name);
		assert_non_null(i);
		/* Nothing is believed before the files were read. */
		assert_false(i->confirmed);
		if (identity_wants_sources(i)) /* a plain name in a slice is what its slice says */
			assert_true(i->kind == CGNAME_OTHER || i->kind == CGNAME_SYSTEMD);
		identity_describe(c, i, &cases[k].info);
		assert_int_equal(i->confirmed, cases[k].confirmed);
		assert_string_equal(cgname_kind_name(i->kind), cases[k].kind);
		assert_string_equal(i->container_id, cases[k].id);
		assert_string_equal(i->image, cases[k].image);
		assert_int_equal(s->entries[i->kind], 1);
		identity_remove(c, 0, 1 + k, 1);
		for (int kind = 0; kind < _CGNAME_KIND_MAX; kind++)
			assert_int_equal(s->entries[kind], 0);
	}
}

static void expect_labels(const struct identity *i, const char *namespace, const char *workload,
			  const char *container)
{
	assert_string_equal(i->label_namespace, namespace);
	assert_string_equal(i->label_workload, workload);
	assert_string_equal(i->label_container, container);
}

static const struct oci_info search = {
	.found = true,
	.pod_name = "search-7d9f8c6b5-x2lqp",
	.pod_namespace = "shop",
	.pod_uid = U,
	.container_name = "search",
	.image = "registry.example/search",
	.cgroups_path = POD "/" C,
	.labels = { { "team", "search" } },
	.n_labels = 1,
};

/* A limit may sit at the pod: its containers name it. */
static void test_pod_level(void **state)
{
	struct identity_cache *c = *state;
	struct identity *pod = identity_add(c, 0, 1, POD, true, 1);
	struct identity *i = identity_add(c, 0, 2, POD "/" C, true, 1);

	assert_false(identity_wants_sources(pod));
	assert_int_equal(pod->kind, CGNAME_K8S);
	assert_int_equal(pod->level, CGLEVEL_K8S_POD);
	assert_string_equal(pod->pod_uid, U);
	assert_string_equal(pod->qos, "Burstable");
	expect_labels(pod, "", "", "");
	identity_describe(c, i, &search);
	assert_string_equal(i->k8s_container, "search");
	assert_string_equal(i->node, "node7");
	assert_string_equal(i->workload, "search");
	assert_int_equal(i->n_labels, 1);
	expect_labels(i, "shop", "search", "search");
	assert_string_equal(pod->pod_name, "search-7d9f8c6b5-x2lqp");
	assert_string_equal(pod->pod_namespace, "shop");
	expect_labels(pod, "shop", "search", "");
	assert_string_equal(pod->container_id, "");
	/* What an earlier reading said is gone with it; the pod keeps its name. */
	identity_describe(c, i, &(struct oci_info){});
	assert_int_equal(i->n_labels, 0);
	assert_null(i->labels);
	assert_false(i->confirmed);
	expect_labels(i, "", "", "");
	expect_labels(pod, "shop", "search", "");
}

/* A pod's cgroup that the kubelet did not make is not named by what lies in it. */
static void test_forged_pod(void **state)
{
	struct identity_cache *c = *state;
	struct identity *pod = identity_add(c, 0, 1, POD, false, 1);
	struct identity *i = identity_add(c, 0, 2, POD "/" C, false, 1);

	assert_int_equal(pod->kind, CGNAME_OTHER);
	identity_describe(c, i, &search);
	assert_int_equal(i->kind, CGNAME_OTHER);
	assert_string_equal(i->container_id, C); /* the event still says what is claimed */
	assert_string_equal(i->pod_name, "");
	expect_labels(i, "", "", "");
	assert_string_equal(pod->pod_name, "");
	expect_labels(pod, "", "", "");
}

/* Who may run docker may write any label: they are no pod. */
static void test_pod_labels_of_docker(void **state)
{
	struct identity_cache *c = *state;
	struct identity *i = identity_add(c, 0, 1, "/docker/" C, false, 1);
	struct oci_info info = search;

	(void)snprintf(info.cgroups_path, sizeof(info.cgroups_path), "/docker/" C);
	identity_describe(c, i, &info);
	assert_true(i->confirmed);
	assert_int_equal(i->kind, CGNAME_DOCKER);
	assert_string_equal(i->pod_name, "");
	expect_labels(i, "", "", "search");
}

static void test_labels(void **state)
{
	struct identity_cache *c = *state;
	struct identity *i = identity_add(c, 0, 1, "/docker/" C, false, 1);
	const struct oci_info compose = { .found = true,
					  .name = "shop-cache-1",
					  .compose_project = "shop",
					  .compose_service = "cache",
					  .cgroups_path = "/docker/" C };

	identity_describe(c, i, &compose);
	expect_labels(i, "shop", "cache", "shop-cache-1");
	i = identity_add(c, 0, 2, "/system.slice/a\\x2db.service", false, 1);
	expect_labels(i, "", "", "a-b.service");
	i = identity_add(c, 0, 3, "/user.slice/user-5.slice/session-2.scope", false, 1);
	expect_labels(i, "", "", "session-2.scope");
	assert_int_equal(i->uid, 5);
	i = identity_add(c, 0, 4, "/lxc/web", false, 1);
	expect_labels(i, "", "", "web");
	i = identity_add(c, 0, 5, "/machine.slice/machine-qemu\\x2d1\\x2dvm\\x2da.scope", false, 1);
	expect_labels(i, "", "", "vm-a");
	i = identity_add(c, 0, 6, "/slurm/uid_5/job_77/step_0", false, 1);
	expect_labels(i, "", "77", "");
	i = identity_add(c, 0, 7, "/", false, 1);
	assert_int_equal(i->kind, CGNAME_NONE);
	expect_labels(i, "", "", "");
}

/* What name and files say besides, of containers that are helpers, or sit in another one. */
static void test_sides(void **state)
{
	struct identity_cache *c = *state;
	const struct oci_info pause = { .found = true,
					.sandbox = true,
					.cgroups_path = "kubepods-burstable-pod" V
							".slice:cri-containerd:" C };
	const struct oci_info named = { .found = true,
					.name = "web",
					.cgroups_path = "/docker/" C,
					.compose_project = "shop",
					.compose_service = "front" };
	struct identity *i = identity_add(c, 0, 1, SLICE "/cri-containerd-" C ".scope", true, 1);

	assert_int_equal(i->runtime, CGRUNTIME_CONTAINERD);
	assert_false(i->monitor || i->sandbox);
	identity_describe(c, i, &pause);
	assert_true(i->sandbox && !i->monitor);
	assert_int_equal(i->runtime, CGRUNTIME_CONTAINERD);
	assert_string_equal(i->container_outer_id, "");
	i = identity_add(c, 0, 2, SLICE "/crio-conmon-" C ".scope", true, 1);
	assert_true(i->monitor);
	assert_string_equal(i->container_id, "");
	i = identity_add(c, 0, 3, "/docker/" D "/kubelet" POD "/" C, true, 1);
	assert_string_equal(i->container_id, C);
	assert_string_equal(i->container_outer_id, D);
	i = identity_add(c, 0, 4, "/docker/" C, false, 1);
	identity_describe(c, i, &named);
	assert_string_equal(i->container_name, "web");
	expect_labels(i, "shop", "front", "web");
}

static void test_rootless(void **state)
{
	struct identity_cache *c = *state;
	struct identity *i = identity_add(c, 0, 1, USER "/user.slice/libpod-" C ".scope", false, 1);

	assert_true(i->rootless);
	assert_int_equal(i->uid, 1000);
	i = identity_add(c, 0, 2, USER "/app.slice/x.service", false, 1);
	assert_false(i->rootless); /* no container */
	assert_int_equal(i->uid, 1000);
	i = identity_add(c, 0, 3, "/docker/" C, false, 1);
	assert_false(i->rootless);
	assert_int_equal(i->uid, UINT32_MAX);
}

static void test_kube_root(void **state)
{
	(void)state;
	assert_int_equal(identity_kube_root(POD "/" C), strlen("/kubepods"));
	assert_int_equal(identity_kube_root("/x/kubepods"), strlen("/x/kubepods"));
	assert_int_equal(identity_kube_root("/kubepodsx/pod" U), 0);
	assert_int_equal(identity_kube_root("/system.slice/x.service"), 0);
}

static void test_errors_are_counted(void **state)
{
	struct identity_cache *c = *state;
	struct identity *i = identity_add(c, 0, 1, "/docker/" C, false, 1);
	struct oci_info info = {};

	info.errors[OCI_DOCKER][OCI_PARSE] = 2;
	i->pending = true;
	assert_false(i->described);
	identity_describe(c, i, &info);
	assert_true(i->described);
	identity_describe(c, i, &info);
	assert_false(i->pending);
	assert_int_equal(identity_cache_stats(c)->errors[OCI_DOCKER][OCI_PARSE], 4);
}

/* The texts of an entry have a limit, and one that was described very often still has texts. */
static void test_described_often(void **state)
{
	struct identity_cache *c = *state;
	struct identity *i = identity_add(c, 0, 1, POD "/" C, true, 1);

	for (unsigned k = 0; k < 10000; k++)
		identity_describe(c, i, &search);
	assert_string_equal(i->path, POD "/" C);
	assert_non_null(i->label_workload);
}

#define IN_CACHE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_CACHE(test_key),
		IN_CACHE(test_id_reuse),
		IN_CACHE(test_conflict),
		IN_CACHE(test_tombstones),
		cmocka_unit_test(test_no_tombstones),
		IN_CACHE(test_full),
		IN_CACHE(test_for_each),
		IN_CACHE(test_confirmation),
		IN_CACHE(test_pod_level),
		IN_CACHE(test_forged_pod),
		IN_CACHE(test_pod_labels_of_docker),
		IN_CACHE(test_labels),
		IN_CACHE(test_sides),
		IN_CACHE(test_rootless),
		cmocka_unit_test(test_kube_root),
		IN_CACHE(test_errors_are_counted),
		IN_CACHE(test_described_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
