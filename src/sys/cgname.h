/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Grammar of cgroup paths: container runtimes, kubelet drivers, systemd, Slurm, machines
 *
 * One table (anchor, pattern, kind, captures) matched from the leaf upwards. A component that matches no row never becomes
 * a container id. Pure: no file is read.
 */
enum cgname_kind { /* of the innermost match; label values of telamon_oom_kills_total */
		   CGNAME_NONE, /* the root */
		   CGNAME_K8S,
		   CGNAME_DOCKER,
		   CGNAME_PODMAN,
		   CGNAME_CONTAINERD,
		   CGNAME_LXC,
		   CGNAME_MACHINE,
		   CGNAME_SYSTEMD,
		   CGNAME_SESSION,
		   CGNAME_JOB,
		   CGNAME_OTHER,
		   _CGNAME_KIND_MAX,
};
const char *cgname_kind_name(enum cgname_kind k); /* "k8s" … */

enum cgname_level { /* what a cgroup with a limit is: limit.kind */
		    CGLEVEL_OTHER,
		    CGLEVEL_ROOT,
		    CGLEVEL_CONTAINER,
		    CGLEVEL_K8S_POD,
		    CGLEVEL_K8S_QOS,
		    CGLEVEL_K8S_ROOT,
		    CGLEVEL_SYSTEMD_SERVICE,
		    CGLEVEL_SYSTEMD_SCOPE,
		    CGLEVEL_SYSTEMD_SLICE,
		    CGLEVEL_USER,
		    CGLEVEL_MACHINE,
		    CGLEVEL_JOB,
		    _CGLEVEL_MAX,
};
const char *cgname_level_name(enum cgname_level l);

enum cgname_runtime {
	CGRUNTIME_NONE,
	CGRUNTIME_CONTAINERD,
	CGRUNTIME_CRIO,
	CGRUNTIME_DOCKER,
	CGRUNTIME_PODMAN,
	_CGRUNTIME_MAX
};
const char *cgname_runtime_name(enum cgname_runtime r);

struct cgname_text {
	uint16_t offset, length; /* into the path that was given; length 0 = absent */
};

struct cgname {
	enum cgname_kind kind;
	enum cgname_level level; /* of the path's own leaf */
	enum cgname_runtime runtime;
	bool container; /* container_id holds a container */
	bool monitor; /* conmon, lxc.monitor: beside a container, not in it */
	bool needs_runtime_file; /* the row holds only when a runtime file for the id exists */
	bool rootless; /* below user@N.service */
	uint32_t uid; /* of user-N.slice or user@N.service, UINT32_MAX = none */
	struct cgname_text container_id; /* innermost */
	struct cgname_text container_path; /* path from the root up to the container's cgroup */
	struct cgname_text outer_container_id; /* kind-in-docker */
	struct cgname_text
		kube_root; /* path up to the nearest kubepods root; its owner decides (OOM-411) */
	struct cgname_text user_root; /* path up to user@N.service, for rootless containers */
	struct cgname_text namespace; /* containerd namespace of "/NAMESPACE/Cn" */
	struct cgname_text
		unit; /* innermost systemd unit, escaped; of a container: one inside it, or its quadlet */
	struct cgname_text machine; /* LXC, nspawn, libvirt name, escaped */
	struct cgname_text job, step, task; /* Slurm */
	char pod_uid[37]; /* normalised: dashes; also 32 hex digits; "" = none */
	char qos[12]; /* Guaranteed Burstable BestEffort, "" = none */
};

/* Always succeeds: not absolute is CGNAME_OTHER; of more than 4096 bytes or 48 components only the front is looked at. */
void cgname_parse(const char *path, size_t len, struct cgname *ret);
/* The same without the rows that hold only when a runtime file exists: there is none. */
void cgname_parse_alone(const char *path, size_t len, struct cgname *ret);
/* systemd's \x2d escapes to text, for display; returns the length, cuts to fit. */
size_t cgname_unescape(const char *s, size_t len, char *buf, size_t size);
/* OOM-408: workload from a pod name; @node may be NULL. Returns the length of the prefix of @pod. */
size_t cgname_workload(const char *pod, size_t len, const char *node);
