/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What container runtimes write about a container: OCI config.json, runc and crun state, docker's config.v2.json,
 * podman's containers.json, the kubelet's log links. Files are foreign: O_NOFOLLOW below fixed roots, regular files only,
 * ≤ 1 MiB (runc state ≤ 4 MiB), parsed strictly; a bad file is an error code that the caller counts.
 */
enum oci_source {
	OCI_CONTAINERD,
	OCI_CRIO,
	OCI_DOCKER,
	OCI_PODMAN,
	OCI_RUNC,
	OCI_CRUN,
	OCI_PODS_LOG,
	OCI_KUBELET,
	_OCI_SOURCE_MAX
};
const char *oci_source_name(enum oci_source s);
enum oci_error { OCI_MISSING, OCI_DENIED, OCI_TOO_LARGE, OCI_PARSE, OCI_TIMEOUT, _OCI_ERROR_MAX };
const char *oci_error_name(enum oci_error e);

struct oci_label {
	char key[128], value[256];
};

struct oci_info { /* "" = not known; filled field by field, first source that answers wins */
	char name[256], image[512], hostname[256];
	char pod_name[256], pod_uid[64], pod_namespace[256], container_name[256];
	char compose_project[128], compose_service[128];
	char manager[32]; /* io.container.manager: podman, cri-o, libpod */
	char cgroups_path[512]; /* linux.cgroupsPath of config.json: a path, or slice:prefix:name */
	char cgroup_path
		[512]; /* exact path from runtime state, often from "/sys/fs/cgroup" on, "" = unknown */
	uint32_t init_pid;
	bool sandbox; /* pause container */
	bool found; /* some runtime file names this container */
	bool user_file; /* cgroups_path is what a user's own runtime wrote: it counts from user@N.service */
	unsigned sources; /* bits of enum oci_source that answered */
	unsigned refused; /* fields of the wrong type or too long, since the reader last looked */
	struct oci_label labels[16];
	size_t n_labels;
	uint32_t errors[_OCI_SOURCE_MAX][_OCI_ERROR_MAX];
};

struct oci_roots {
	char *run, *containers, *docker,
		*pods_log; /* absolute, below the root file system; owned */
	const char *const *label_keys; /* NULL-terminated, ≤ 16; borrowed */
};
/* 0 or -ENOMEM. They need not exist: a runtime may be installed later. */
int oci_roots_init(const char *rootfs, const char *run, const char *containers, const char *docker,
		   const char *pods_log, struct oci_roots *ret);
void oci_roots_done(struct oci_roots *r);

/* Reads all sources for container @id. Blocks on files: for a worker. 0 when something was found, -ENOENT, else -errno. */
int oci_read(const struct oci_roots *roots, const char *id, const char *containerd_namespace,
	     uint32_t uid, struct oci_info *ret);
/*
 * Parsers of one file's text each; pure, for tests and fuzzers. 0, or -EBADMSG with @ret untouched when it is not such a file.
 * A field of the wrong type or length is left out and counted in @ret->refused.
 */
int oci_parse_config(const char *json, size_t len, const char *const *label_keys,
		     struct oci_info *ret);
int oci_parse_docker(const char *json, size_t len, const char *const *label_keys,
		     struct oci_info *ret);
int oci_parse_state(const char *json, size_t len,
		    struct oci_info *ret); /* runc state.json, crun status */
/* podman's list of all containers; -ENOENT when @id is not in it. */
int oci_parse_containers(const char *json, size_t len, const char *id, struct oci_info *ret);
/* "POD_NS_CONTAINER-ID.log", a link of the kubelet: 0, -ENOENT for another container's, -EBADMSG. */
int oci_parse_log_name(const char *name, const char *id, struct oci_info *ret);
/* "…/NS_POD_UID/CONTAINER/0.log", where that link leads. */
int oci_parse_log_target(const char *target, struct oci_info *ret);
