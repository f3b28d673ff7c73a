/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What container runtimes write about a container: parsers
 *
 * jansson reads the JSON with duplicate keys refused and its own depth limit; sizes were bounded before. A field is taken only
 * when it is a string of sane length, and only when an earlier source has not answered already.
 */

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include "base/cleanup.h"
#include "base/parse.h"
#include "sys/ociconf.h"

static const char *const source_names[_OCI_SOURCE_MAX] = { "containerd", "crio",   "docker",
							   "podman",	 "runc",   "crun",
							   "pods_log",	 "kubelet" };
static const char *const error_names[_OCI_ERROR_MAX] = { "missing", "denied", "too_large", "parse",
							 "timeout" };

const char *oci_source_name(enum oci_source s)
{
	return source_names[s];
}

const char *oci_error_name(enum oci_error e)
{
	return error_names[e];
}

static void json_freep(json_t **j)
{
	json_decref(*j);
}

static json_t *load(const char *text, size_t len)
{
	json_error_t error;

	return json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
}

/* Copies a string member unless the field is filled already. */
static void take(const json_t *object, const char *key, char *field, size_t size)
{
	const json_t *v = json_object_get(object, key);
	const char *s = json_string_value(v);

	if (!s || field[0] || json_string_length(v) >= size)
		return;
	memcpy(field, s, json_string_length(v) + 1);
}

#define TAKE(object, key, field) take(object, key, field, sizeof(field))

static void take_labels(const json_t *labels, const char *const *keys, struct oci_info *ret)
{
	for (; keys && *keys && ret->n_labels < ARRAY_SIZE(ret->labels); keys++) {
		const char *v = json_string_value(json_object_get(labels, *keys));
		struct oci_label *l = &ret->labels[ret->n_labels];

		if (!v || strlen(v) >= sizeof(l->value) || strlen(*keys) >= sizeof(l->key))
			continue;
		(void)snprintf(l->key, sizeof(l->key), "%s", *keys);
		(void)snprintf(l->value, sizeof(l->value), "%s", v);
		ret->n_labels++;
	}
}

/* Annotations of the kubelet's runtimes: containerd and CRI-O name the same things differently. */
static void take_annotations(const json_t *a, struct oci_info *ret)
{
	const char *kind =
		json_string_value(json_object_get(a, "io.kubernetes.cri.container-type"));

	if (!kind)
		kind = json_string_value(json_object_get(a, "io.kubernetes.cri-o.ContainerType"));
	if (kind && streq(kind, "sandbox"))
		ret->sandbox = true;
	TAKE(a, "io.kubernetes.cri.container-name", ret->container_name);
	TAKE(a, "io.kubernetes.cri.sandbox-name", ret->pod_name);
	TAKE(a, "io.kubernetes.cri.sandbox-namespace", ret->pod_namespace);
	TAKE(a, "io.kubernetes.cri.sandbox-uid", ret->pod_uid);
	TAKE(a, "io.kubernetes.cri.image-name", ret->image);
	TAKE(a, "io.kubernetes.container.name", ret->container_name);
	TAKE(a, "io.kubernetes.pod.name", ret->pod_name);
	TAKE(a, "io.kubernetes.pod.namespace", ret->pod_namespace);
	TAKE(a, "io.kubernetes.pod.uid", ret->pod_uid);
	TAKE(a, "io.kubernetes.cri-o.ImageName", ret->image);
	TAKE(a, "io.container.manager", ret->manager);
	TAKE(a, "nerdctl/name", ret->name);
}

int oci_parse_config(const char *text, size_t len, const char *const *label_keys,
		     struct oci_info *ret)
{
	_cleanup_(json_freep) json_t *root = load(text, len);
	const json_t *annotations;

	if (!json_is_object(root))
		return -EBADMSG;
	annotations = json_object_get(root, "annotations");
	take_annotations(annotations, ret);
	take_labels(annotations, label_keys, ret);
	TAKE(root, "hostname", ret->hostname);
	TAKE(json_object_get(root, "linux"), "cgroupsPath", ret->cgroups_path);
	ret->found = true;
	return 0;
}

int oci_parse_docker(const char *text, size_t len, const char *const *label_keys,
		     struct oci_info *ret)
{
	_cleanup_(json_freep) json_t *root = load(text, len);
	const json_t *config, *labels;
	char name[sizeof(ret->name)] = "";

	if (!json_is_object(root))
		return -EBADMSG;
	config = json_object_get(root, "Config");
	labels = json_object_get(config, "Labels");
	TAKE(root, "Name", name);
	if (!ret->name[0]) /* docker puts a slash in front */
		(void)snprintf(ret->name, sizeof(ret->name), "%s",
			       name[0] == '/' ? name + 1 : name);
	TAKE(config, "Image", ret->image);
	TAKE(config, "Hostname", ret->hostname);
	take_annotations(labels, ret);
	TAKE(labels, "com.docker.compose.project", ret->compose_project);
	TAKE(labels, "com.docker.compose.service", ret->compose_service);
	TAKE(labels, "com.docker.swarm.service.name", ret->compose_service);
	take_labels(labels, label_keys, ret);
	ret->found = true;
	return 0;
}

int oci_parse_state(const char *text, size_t len, struct oci_info *ret)
{
	_cleanup_(json_freep) json_t *root = load(text, len);
	const json_t *paths, *pid;

	if (!json_is_object(root))
		return -EBADMSG;
	/* runc: cgroup_paths {"memory": "/sys/fs/cgroup/memory/x"} or {"": "/sys/fs/cgroup/x"}; crun: "cgroup-path". */
	paths = json_object_get(root, "cgroup_paths");
	TAKE(paths, "memory", ret->cgroup_path);
	TAKE(paths, "", ret->cgroup_path);
	TAKE(root, "cgroup-path", ret->cgroup_path);
	pid = json_object_get(root, "init_process_pid");
	if (!pid)
		pid = json_object_get(root, "pid");
	if (json_is_integer(pid) && json_integer_value(pid) > 0 &&
	    json_integer_value(pid) < INT32_MAX)
		ret->init_pid = (uint32_t)json_integer_value(pid);
	ret->found = true;
	return 0;
}

int oci_parse_containers(const char *text, size_t len, const char *id, struct oci_info *ret)
{
	_cleanup_(json_freep) json_t *root = load(text, len);
	const json_t *item;
	size_t i;

	if (!json_is_array(root))
		return -EBADMSG;
	json_array_foreach (root, i, item) {
		const char *have = json_string_value(json_object_get(item, "id"));
		const char *metadata = json_string_value(json_object_get(item, "metadata"));
		const json_t *name = json_array_get(json_object_get(item, "names"), 0);

		if (!have || !streq(have, id))
			continue;
		if (json_string_value(name) && !ret->name[0] &&
		    json_string_length(name) < sizeof(ret->name))
			(void)snprintf(ret->name, sizeof(ret->name), "%s", json_string_value(name));
		if (metadata) { /* JSON inside a string */
			_cleanup_(json_freep) json_t *inner = load(metadata, strlen(metadata));

			TAKE(inner, "image-name", ret->image);
			TAKE(inner, "name", ret->name);
		}
		ret->found = true;
		return 0;
	}
	return -ENOENT;
}
