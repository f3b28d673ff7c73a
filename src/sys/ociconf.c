/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What container runtimes write about a container: parsers
 *
 * jansson reads the JSON with duplicate keys refused; sizes were bounded before. Its own depth limit of 2048 is too much for
 * the stack of a worker, so depth is looked at first. A field is taken only when it is a string of sane length, and only when
 * an earlier source has not answered already.
 */

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include "base/cleanup.h"
#include "base/parse.h"
#include "sys/ociconf.h"

#define DEPTH_MAX 64

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

/* Brackets in strings do not count; whether the rest is JSON, the parser says. */
static bool is_too_deep(const char *text, size_t len)
{
	bool in_string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < len; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		} else if (text[i] == '"') {
			in_string = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (++depth > DEPTH_MAX)
				return true;
		} else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

static json_t *load(const char *text, size_t len)
{
	json_error_t error;

	return is_too_deep(text, len) ? NULL
				      : json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
}

/* A member that is an object, or NULL; what is neither that nor null is refused. */
static const json_t *object_of(const json_t *object, const char *key, struct oci_info *ret)
{
	const json_t *v = json_object_get(object, key);

	if (!v || json_is_null(v))
		return NULL;
	if (!json_is_object(v)) {
		ret->refused++;
		return NULL;
	}
	return v;
}

/* Copies a string member unless the field is filled already. */
static void take(const json_t *object, const char *key, char *field, size_t size,
		 struct oci_info *ret)
{
	const json_t *v = json_object_get(object, key);

	if (!v || json_is_null(v))
		return;
	if (!json_is_string(v) || json_string_length(v) >= size) {
		ret->refused++;
		return;
	}
	if (!field[0])
		memcpy(field, json_string_value(v), json_string_length(v) + 1);
}

#define TAKE(object, key, field) take(object, key, field, sizeof(field), ret)

static bool has_label(const struct oci_info *info, const char *key)
{
	for (size_t i = 0; i < info->n_labels; i++)
		if (streq(info->labels[i].key, key))
			return true;
	return false;
}

static void take_labels(const json_t *labels, const char *const *keys, struct oci_info *ret)
{
	for (; keys && *keys && ret->n_labels < ARRAY_SIZE(ret->labels); keys++) {
		struct oci_label l = {};

		if (strlen(*keys) >= sizeof(l.key) || has_label(ret, *keys))
			continue;
		TAKE(labels, *keys, l.value);
		if (!json_is_string(json_object_get(labels, *keys)) ||
		    (!l.value[0] && json_string_length(json_object_get(labels, *keys))))
			continue;
		(void)snprintf(l.key, sizeof(l.key), "%s", *keys);
		ret->labels[ret->n_labels++] = l;
	}
}

static bool says(const json_t *object, const char *key, const char *value)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s && streq(s, value);
}

/* Annotations of the kubelet's runtimes: containerd, CRI-O and cri-dockerd name the same things differently. */
static void take_annotations(const json_t *a, struct oci_info *ret)
{
	if (says(a, "io.kubernetes.cri.container-type", "sandbox") ||
	    says(a, "io.kubernetes.cri-o.ContainerType", "sandbox") ||
	    says(a, "io.kubernetes.docker.type", "podsandbox"))
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

	if (!json_is_string(json_object_get(root, "ociVersion")))
		return -EBADMSG;
	annotations = object_of(root, "annotations", ret);
	take_annotations(annotations, ret);
	take_labels(annotations, label_keys, ret);
	TAKE(root, "hostname", ret->hostname);
	TAKE(object_of(root, "linux", ret), "cgroupsPath", ret->cgroups_path);
	ret->found = true;
	return 0;
}

int oci_parse_docker(const char *text, size_t len, const char *const *label_keys,
		     struct oci_info *ret)
{
	_cleanup_(json_freep) json_t *root = load(text, len);
	const json_t *config, *labels;
	char name[sizeof(ret->name)] = "";

	if (!json_is_string(json_object_get(root, "ID")))
		return -EBADMSG;
	config = object_of(root, "Config", ret);
	labels = object_of(config, "Labels", ret);
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
	const json_t *paths, *pid, *runc = json_object_get(root, "init_process_pid");

	/* runc: cgroup_paths {"memory": "/sys/fs/cgroup/memory/x"} or {"": "/sys/fs/cgroup/x"}; crun: "cgroup-path". */
	pid = runc ? runc : json_object_get(root, "pid");
	if (!pid)
		return -EBADMSG;
	paths = object_of(root, "cgroup_paths", ret);
	TAKE(paths, "memory", ret->cgroup_path);
	TAKE(paths, "", ret->cgroup_path);
	TAKE(root, "cgroup-path", ret->cgroup_path);
	if (!json_is_integer(pid) || json_integer_value(pid) < 0 ||
	    json_integer_value(pid) > INT32_MAX)
		ret->refused++;
	else if (!ret->init_pid)
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
		const char *metadata = json_string_value(json_object_get(item, "metadata"));
		const json_t *name = json_array_get(json_object_get(item, "names"), 0);

		if (!says(item, "id", id))
			continue;
		if (json_string_value(name) && !ret->name[0] &&
		    json_string_length(name) < sizeof(ret->name))
			(void)snprintf(ret->name, sizeof(ret->name), "%s", json_string_value(name));
		if (metadata) { /* JSON inside a string */
			_cleanup_(json_freep) json_t *inner = load(metadata, strlen(metadata));

			if (!json_is_object(inner))
				ret->refused++;
			TAKE(inner, "image-name", ret->image);
			TAKE(inner, "name", ret->name);
		}
		ret->found = true;
		return 0;
	}
	return -ENOENT;
}

static void take_part(const char *s, size_t len, char *field, size_t size)
{
	if (!field[0])
		(void)snprintf(field, size, "%.*s", (int)len, s);
}

int oci_parse_log_name(const char *name, const char *id, struct oci_info *ret)
{
	size_t len = strlen(name), id_len = strlen(id), head;
	const char *ns, *container;

	if (len <= id_len + 5 || !streq(name + len - 4, ".log") || name[len - id_len - 5] != '-' ||
	    memcmp(name + len - id_len - 4, id, id_len) != 0)
		return -ENOENT;
	head = len - id_len - 5;
	ns = memchr(name, '_', head);
	container = ns ? memchr(ns + 1, '_', head - (size_t)(ns + 1 - name)) : NULL;
	if (!container || ns == name || container == ns + 1 || container + 1 == name + head)
		return -EBADMSG;
	take_part(name, (size_t)(ns - name), ret->pod_name, sizeof(ret->pod_name));
	take_part(ns + 1, (size_t)(container - ns - 1), ret->pod_namespace,
		  sizeof(ret->pod_namespace));
	take_part(container + 1, head - (size_t)(container + 1 - name), ret->container_name,
		  sizeof(ret->container_name));
	ret->found = true;
	return 0;
}

int oci_parse_log_target(const char *target, struct oci_info *ret)
{
	const char *pod = strstr(target, "/pods/"), *end, *uid;

	pod = pod ? pod + strlen("/pods/") : target;
	end = strchr(pod, '/');
	uid = end ? memrchr(pod, '_', (size_t)(end - pod)) : NULL;
	if (!uid || end - uid - 1 >= (ptrdiff_t)sizeof(ret->pod_uid))
		return -EBADMSG;
	take_part(uid + 1, (size_t)(end - uid - 1), ret->pod_uid, sizeof(ret->pod_uid));
	return 0;
}
