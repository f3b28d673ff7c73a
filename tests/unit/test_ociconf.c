/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include "base/fs.h"
#include "oci_tree.h"

/* One tree per runtime, laid out as on a node. */
static void test_runtimes(void **state)
{
	static const struct {
		const char *tree, *id, *namespace;
		uint32_t uid;
		struct oci_info want;
	} cases[] = {
		{ "containerd-1.6",
		  C,
		  "",
		  UINT32_MAX,
		  { .image = "registry.example/search:1.4",
		    .pod_name = "search-7d9f8c6b5-x2lqp",
		    .pod_namespace = "shop",
		    .container_name = "search",
		    .cgroups_path = "/kubepods/burstable/pod" U "/" C } },
		{ "containerd-1.7",
		  C,
		  "",
		  UINT32_MAX,
		  { .image = "registry.example/search:1.4",
		    .pod_name = "search-7d9f8c6b5-x2lqp",
		    .pod_namespace = "shop",
		    .pod_uid = U,
		    .container_name = "search",
		    .cgroups_path = "kubepods-burstable-pod" V ".slice:cri-containerd:" C } },
		{ "containerd-1.7",
		  P,
		  "k8s.io",
		  UINT32_MAX,
		  { .hostname = "search-7d9f8c6b5-x2lqp",
		    .pod_name = "search-7d9f8c6b5-x2lqp",
		    .pod_namespace = "shop",
		    .pod_uid = U,
		    .sandbox = true,
		    .cgroups_path = "kubepods-burstable-pod" V ".slice:cri-containerd:" P } },
		{ "containerd-2.1",
		  C,
		  "",
		  UINT32_MAX,
		  { .image = "registry.example/search:2.0@sha256:" C,
		    .pod_name = "search-7d9f8c6b5-x2lqp",
		    .pod_namespace = "shop",
		    .pod_uid = U,
		    .container_name = "search",
		    .cgroups_path = "kubepods-besteffort-pod" V ".slice:cri-containerd:" C } },
		{ "k3s",
		  C,
		  "",
		  UINT32_MAX,
		  { .image = "docker.io/library/search:1",
		    .pod_name = "search-7d9f8c6b5-x2lqp",
		    .pod_namespace = "shop",
		    .pod_uid = U,
		    .container_name = "search",
		    .cgroups_path = "/kubepods/pod" U "/" C } },
		{ "nerdctl",
		  "web",
		  "default",
		  UINT32_MAX,
		  { .name = "web",
		    .hostname = "web",
		    .cgroups_path = "/default/web",
		    .labels = { { "nerdctl/namespace", "default" } },
		    .n_labels = 1 } },
		{ "crio-1.30",
		  C,
		  "",
		  UINT32_MAX,
		  { .image = "registry.example/search:1.4",
		    .hostname = "search-7d9f8c6b5-x2lqp",
		    .pod_name = "search-7d9f8c6b5-x2lqp",
		    .pod_namespace = "shop",
		    .pod_uid = U,
		    .container_name = "search",
		    .manager = "cri-o",
		    .cgroups_path = "kubepods-burstable-pod" V ".slice:crio:" C } },
		{ "crio-1.30",
		  P,
		  "",
		  UINT32_MAX,
		  { .image = "registry.k8s.io/pause:3.9",
		    .hostname = "search-7d9f8c6b5-x2lqp",
		    .pod_name = "search-7d9f8c6b5-x2lqp",
		    .pod_namespace = "shop",
		    .pod_uid = U,
		    .container_name = "POD",
		    .manager = "cri-o",
		    .sandbox = true,
		    .cgroups_path = "kubepods-burstable-pod" V ".slice:crio:" P } },
		{ "docker-27",
		  C,
		  "",
		  UINT32_MAX,
		  { .name = "shop-cache-1",
		    .image = "redis:7",
		    .hostname = "9f2c4e8d0b7a",
		    .compose_project = "shop",
		    .compose_service = "cache",
		    .cgroups_path = "system.slice:docker:" C,
		    .cgroup_path = "/sys/fs/cgroup/system.slice/docker-" C ".scope",
		    .init_pid = 4242,
		    .labels = { { "team", "search" } },
		    .n_labels = 1 } },
		{ "docker-20.10",
		  C,
		  "",
		  UINT32_MAX,
		  { .name = "web.1.k2j3h4",
		    .image = "nginx:1@sha256:" P,
		    .hostname = "9f2c4e8d0b7a",
		    .compose_service = "web",
		    .cgroup_path = "/sys/fs/cgroup/memory/docker/" C,
		    .init_pid = 4242 } },
		{ "cri-dockerd",
		  C,
		  "",
		  UINT32_MAX,
		  { .name = "k8s_search_search-7d9f8c6b5-x2lqp_shop_" U "_0",
		    .image = "registry.example/search",
		    .pod_name = "search-7d9f8c6b5-x2lqp",
		    .pod_namespace = "shop",
		    .pod_uid = U,
		    .container_name = "search" } },
		{ "cri-dockerd",
		  P,
		  "",
		  UINT32_MAX,
		  { .name = "k8s_POD_search-7d9f8c6b5-x2lqp_shop_" U "_0",
		    .image = "registry.k8s.io/pause:3.9",
		    .hostname = "search-7d9f8c6b5-x2lqp",
		    .pod_name = "search-7d9f8c6b5-x2lqp",
		    .pod_namespace = "shop",
		    .pod_uid = U,
		    .container_name = "POD",
		    .sandbox = true } },
		{ "podman-5",
		  C,
		  "",
		  UINT32_MAX,
		  { .name = "web",
		    .image = "docker.io/library/nginx:latest",
		    .hostname = "9f2c4e8d0b7a",
		    .manager = "libpod",
		    .cgroups_path = "machine.slice:libpod:" C,
		    .cgroup_path = "/machine.slice/libpod-" C ".scope/container",
		    .init_pid = 4242 } },
		{ "podman-rootless",
		  C,
		  "",
		  1000,
		  { .hostname = "9f2c4e8d0b7a",
		    .manager = "libpod",
		    .user_file = true,
		    .cgroups_path = "user.slice:libpod:" C } },
		{ "runc",
		  C,
		  "",
		  UINT32_MAX,
		  { .cgroup_path = "/sys/fs/cgroup/a/" C, .init_pid = 4242 } },
		{ "containerd-runc",
		  C,
		  "",
		  UINT32_MAX,
		  { .cgroup_path = "/sys/fs/cgroup/memory/kubepods/burstable/pod" U "/" C,
		    .init_pid = 4242 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct oci_info *want = &cases[i].want;
		struct oci_info have;
		char root[512];

		(void)snprintf(root, sizeof(root), FIXTURES "%s", cases[i].tree);
		print_message("%s\n", cases[i].tree);
		assert_int_equal(
			read_tree(root, cases[i].id, cases[i].namespace, cases[i].uid, &have), 0);
#define SAME(field) assert_string_equal(have.field, want->field)
		SAME(name);
		SAME(image);
		SAME(hostname);
		SAME(pod_name);
		SAME(pod_namespace);
		SAME(pod_uid);
		SAME(container_name);
		SAME(compose_project);
		SAME(compose_service);
		SAME(manager);
		SAME(cgroups_path);
		SAME(cgroup_path);
		assert_true(have.found);
		assert_int_equal(have.sandbox, want->sandbox);
		assert_int_equal(have.user_file, want->user_file);
		assert_int_equal(have.init_pid, want->init_pid);
		assert_int_equal(have.n_labels, want->n_labels);
		for (size_t k = 0; k < want->n_labels; k++) {
			SAME(labels[k].key);
			SAME(labels[k].value);
		}
		assert_int_equal(count_errors(&have), 0);
		assert_int_equal(have.refused, 0);
	}
}

/* Of whom nobody writes, nothing is known. */
static void test_strangers(void **state)
{
	static const char *const ids[] = { "", ".", "..", "../x", "a/b", "-a", ".a", "a b", "\xff" };
	struct oci_info i;

	(void)state;
	assert_int_equal(read_tree(FIXTURES "docker-27", P, "", UINT32_MAX, &i), -ENOENT);
	assert_int_equal(read_tree(FIXTURES "nowhere", C, "", UINT32_MAX, &i), -ENOENT);
	assert_int_equal(read_tree(FIXTURES "podman-rootless", C, "", UINT32_MAX, &i), -ENOENT);
	assert_int_equal(read_tree(FIXTURES "podman-rootless", C, "", 1001, &i), -ENOENT);
	assert_int_equal(count_errors(&i), 0);
	for (size_t k = 0; k < ARRAY_SIZE(ids); k++)
		assert_int_equal(read_tree(FIXTURES "docker-27", ids[k], "", UINT32_MAX, &i),
				 -EINVAL);
	assert_int_equal(read_tree(FIXTURES "nerdctl", "web", "../x", UINT32_MAX, &i), -EINVAL);
}

enum form { CONFIG, DOCKER, STATE, CONTAINERS };

static int parse(enum form form, const char *text, size_t len, struct oci_info *ret)
{
	char *exact = malloc(len ? len : 1); /* a read beyond the end is seen by the sanitizer */
	int r;

	assert_non_null(exact);
	memcpy(exact, text, len);
	r = form == CONFIG   ? oci_parse_config(exact, len, keys, ret)
	    : form == DOCKER ? oci_parse_docker(exact, len, keys, ret)
	    : form == STATE  ? oci_parse_state(exact, len, ret)
			     : oci_parse_containers(exact, len, C, ret);
	free(exact);
	return r;
}

/* Cut at each byte: no such file, and nothing taken from it. */
static void test_truncated(void **state)
{
	static const struct {
		const char *file;
		enum form form;
	} cases[] = {
		{ "containerd-1.6" TASK "k8s.io/" C "/config.json", CONFIG },
		{ "containerd-1.7" TASK "k8s.io/" C "/config.json", CONFIG },
		{ "containerd-2.1" TASK "k8s.io/" C "/config.json", CONFIG },
		{ "crio-1.30" STORAGE C "/userdata/config.json", CONFIG },
		{ "podman-5" STORAGE C "/userdata/config.json", CONFIG },
		{ "podman-5/var/lib/containers/storage/overlay-containers/containers.json",
		  CONTAINERS },
		{ "podman-5/run/crun/" C "/status", STATE },
		{ "runc/run/runc/" C "/state.json", STATE },
		{ "docker-27/var/lib/docker/containers/" C "/config.v2.json", DOCKER },
	};
	static struct oci_info info, untouched;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *text = NULL;
		char path[512];
		size_t len;

		(void)snprintf(path, sizeof(path), FIXTURES "%s", cases[i].file);
		assert_int_equal(fs_read_at(AT_FDCWD, path, 1 << 20, &text, &len), 0);
		while (len && text[len - 1] == '\n')
			len--;
		memset(&info, 0, sizeof(info));
		assert_int_equal(parse(cases[i].form, text, len, &info), 0);
		assert_true(info.found);
		for (size_t cut = 0; cut < len; cut++) {
			memset(&info, 0, sizeof(info));
			assert_int_equal(parse(cases[i].form, text, cut, &info), -EBADMSG);
			assert_memory_equal(&info, &untouched, sizeof(info));
		}
	}
}

static void test_damaged(void **state)
{
	static const struct {
		const char *name;
		enum form form;
		const char *text;
		int r;
		unsigned refused;
	} cases[] = {
		{ "nothing", CONFIG, "", -EBADMSG, 0 },
		{ "another type", CONFIG, "[]", -EBADMSG, 0 },
		{ "a number", STATE, "7", -EBADMSG, 0 },
		{ "no version", CONFIG, "{}", -EBADMSG, 0 },
		{ "version of another type", CONFIG, "{\"ociVersion\":1}", -EBADMSG, 0 },
		{ "only a version", CONFIG, "{\"ociVersion\":\"1\"}", 0, 0 },
		{ "duplicate key", CONFIG, "{\"ociVersion\":\"1\",\"ociVersion\":\"2\"}", -EBADMSG,
		  0 },
		{ "duplicate key below", CONFIG,
		  "{\"ociVersion\":\"1\",\"annotations\":{\"a\":\"1\",\"a\":\"2\"}}", -EBADMSG, 0 },
		{ "NUL in a text", CONFIG, "{\"ociVersion\":\"1\",\"hostname\":\"a\\u0000b\"}",
		  -EBADMSG, 0 },
		{ "no UTF-8", CONFIG, "{\"ociVersion\":\"1\",\"hostname\":\"\xff\"}", -EBADMSG, 0 },
		{ "more than one", CONFIG, "{\"ociVersion\":\"1\"} x", -EBADMSG, 0 },
		{ "annotations are a list", CONFIG, "{\"ociVersion\":\"1\",\"annotations\":[]}", 0,
		  1 },
		{ "annotations are null", CONFIG, "{\"ociVersion\":\"1\",\"annotations\":null}", 0,
		  0 },
		{ "linux is a text", CONFIG, "{\"ociVersion\":\"1\",\"linux\":\"x\"}", 0, 1 },
		{ "path is a number", CONFIG,
		  "{\"ociVersion\":\"1\",\"linux\":{\"cgroupsPath\":7}}", 0, 1 },
		{ "names are objects", CONFIG,
		  "{\"ociVersion\":\"1\",\"hostname\":{},\"annotations\":{\"io.kubernetes.pod.name\":[],"
		  "\"io.kubernetes.cri.container-type\":1,\"team\":true}}",
		  0, 3 },
		{ "docker without id", DOCKER, "{\"Name\":\"/x\"}", -EBADMSG, 0 },
		{ "docker with null labels", DOCKER, "{\"ID\":\"x\",\"Config\":{\"Labels\":null}}",
		  0, 0 },
		{ "docker with odd config", DOCKER, "{\"ID\":\"x\",\"Config\":3,\"Name\":4}", 0,
		  2 },
		{ "docker with odd labels", DOCKER, "{\"ID\":\"x\",\"Config\":{\"Labels\":[1]}}", 0,
		  1 },
		{ "state without pid", STATE, "{\"cgroup-path\":\"/x\"}", -EBADMSG, 0 },
		{ "state of a stopped one", STATE, "{\"pid\":0,\"cgroup-path\":\"/x\"}", 0, 0 },
		{ "pid is a text", STATE, "{\"pid\":\"1\"}", 0, 1 },
		{ "pid is negative", STATE, "{\"pid\":-1}", 0, 1 },
		{ "pid is huge", STATE, "{\"init_process_pid\":4294967297}", 0, 1 },
		{ "pid is beyond all integers", STATE, "{\"pid\":99999999999999999999}", -EBADMSG,
		  0 },
		{ "pid is a real", STATE, "{\"pid\":1.5}", 0, 1 },
		{ "paths are a list", STATE, "{\"init_process_pid\":1,\"cgroup_paths\":[]}", 0, 1 },
		{ "containers are an object", CONTAINERS, "{}", -EBADMSG, 0 },
		{ "no containers", CONTAINERS, "[]", -ENOENT, 0 },
		{ "odd containers", CONTAINERS, "[1,null,{\"id\":3},{\"names\":{}}]", -ENOENT, 0 },
		{ "metadata is no JSON", CONTAINERS, "[{\"id\":\"" C "\",\"metadata\":\"{\"}]", 0,
		  1 },
		{ "metadata is a list", CONTAINERS, "[{\"id\":\"" C "\",\"metadata\":\"[]\"}]", 0,
		  1 },
		{ "names are numbers", CONTAINERS, "[{\"id\":\"" C "\",\"names\":[1]}]", 0, 0 },
	};
	static struct oci_info info, untouched;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&info, 0, sizeof(info));
		print_message("%s\n", cases[i].name);
		assert_int_equal(parse(cases[i].form, cases[i].text, strlen(cases[i].text), &info),
				 cases[i].r);
		assert_int_equal(info.refused, cases[i].refused);
		if (cases[i].r < 0)
			assert_memory_equal(&info, &untouched, sizeof(info));
	}
}

/* A text that does not fit is left out, not cut; an earlier source is not overwritten; a label is taken once. */
static void test_fields(void **state)
{
	static char text[4096], name[300];
	struct oci_info info = {};

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	(void)snprintf(
		text, sizeof(text),
		"{\"ociVersion\":\"1\",\"hostname\":\"%s\",\"annotations\":{\"team\":\"%s\"}}",
		name, name);
	assert_int_equal(parse(CONFIG, text, strlen(text), &info), 0);
	assert_string_equal(info.hostname, "");
	assert_int_equal(info.n_labels, 0);
	assert_int_equal(info.refused, 2);
	name[255] = '\0';
	(void)snprintf(
		text, sizeof(text),
		"{\"ociVersion\":\"1\",\"hostname\":\"%s\",\"annotations\":{\"team\":\"a\"}}",
		name);
	assert_int_equal(parse(CONFIG, text, strlen(text), &info), 0);
	assert_string_equal(info.hostname, name);
	(void)snprintf(
		text, sizeof(text),
		"{\"ociVersion\":\"1\",\"hostname\":\"b\",\"annotations\":{\"team\":\"b\"}}");
	assert_int_equal(parse(CONFIG, text, strlen(text), &info), 0);
	assert_string_equal(info.hostname, name);
	assert_int_equal(info.n_labels, 1);
	assert_string_equal(info.labels[0].value, "a");
}

/* A worker's stack is 256 KiB. */
struct nested {
	const char *text;
	size_t len;
	int r;
};

static void *parse_nested(void *arg)
{
	static struct oci_info info;
	struct nested *n = arg;

	n->r = oci_parse_config(n->text, n->len, NULL, &info);
	return NULL;
}

static int nest(size_t depth, bool close)
{
	static char text[1 << 20];
	struct nested n = { .text = text };
	pthread_attr_t attr;
	pthread_t t;
	char *p = text;

	p += snprintf(p, 64, "{\"ociVersion\":\"]]]]\",\"x\":");
	memset(p, '[', depth);
	p += depth;
	if (close) {
		memset(p, ']', depth);
		p += depth;
		*p++ = '}';
	}
	n.len = (size_t)(p - text);
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstacksize(&attr, 256 << 10), 0);
	assert_int_equal(pthread_create(&t, &attr, parse_nested, &n), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	pthread_attr_destroy(&attr);
	return n.r;
}

static void test_nesting(void **state)
{
	(void)state;
	assert_int_equal(nest(60, true), 0);
	assert_int_equal(nest(64, true), -EBADMSG);
	assert_int_equal(nest(2000, true), -EBADMSG);
	assert_int_equal(nest(400000, true), -EBADMSG);
	assert_int_equal(nest(1000000, false), -EBADMSG);
}

static void test_log_names(void **state)
{
	static const struct {
		const char *name;
		int r;
		const char *pod, *ns, *container;
	} cases[] = {
		{ "search-7d9f8c6b5-x2lqp_shop_search-" C ".log", 0, "search-7d9f8c6b5-x2lqp",
		  "shop", "search" },
		{ "a_b_c_d-" C ".log", 0, "a", "b", "c_d" },
		{ "search_shop_search-" P ".log", -ENOENT, "", "", "" },
		{ "search_shop_search-" C ".log.1", -ENOENT, "", "", "" },
		{ "search_shop_search-" C, -ENOENT, "", "", "" },
		{ C ".log", -ENOENT, "", "", "" },
		{ "-" C ".log", -ENOENT, "", "", "" },
		{ "x-" C ".log", -EBADMSG, "", "", "" },
		{ "search-" C ".log", -EBADMSG, "", "", "" },
		{ "search_shop-" C ".log", -EBADMSG, "", "", "" },
		{ "_shop_search-" C ".log", -EBADMSG, "", "", "" },
		{ "search__search-" C ".log", -EBADMSG, "", "", "" },
		{ "search_shop_-" C ".log", -EBADMSG, "", "", "" },
		{ "", -ENOENT, "", "", "" },
		{ ".log", -ENOENT, "", "", "" },
	};
	static const struct {
		const char *target;
		int r;
		const char *uid;
	} targets[] = {
		{ "/var/log/pods/shop_search-7d9f8c6b5-x2lqp_" U "/search/0.log", 0, U },
		{ "../pods/shop_search_" U "/search/0.log", 0, U },
		{ "/var/log/pods/shop_search", -EBADMSG, "" },
		{ "/var/log/pods/shop/x", -EBADMSG, "" },
		{ "", -EBADMSG, "" },
		{ "/var/log/pods/a_b_" C C "/x", -EBADMSG, "" },
	};
	struct oci_info i;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		i = (struct oci_info){};
		assert_int_equal(oci_parse_log_name(cases[k].name, C, &i), cases[k].r);
		assert_string_equal(i.pod_name, cases[k].pod);
		assert_string_equal(i.pod_namespace, cases[k].ns);
		assert_string_equal(i.container_name, cases[k].container);
	}
	for (size_t k = 0; k < ARRAY_SIZE(targets); k++) {
		i = (struct oci_info){};
		assert_int_equal(oci_parse_log_target(targets[k].target, &i), targets[k].r);
		assert_string_equal(i.pod_uid, targets[k].uid);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(oci_source_name(OCI_PODS_LOG), "pods_log");
	assert_string_equal(oci_error_name(OCI_TOO_LARGE), "too_large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runtimes),  cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_truncated), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_fields),	  cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_log_names), cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
