/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/hash.h"
#include "sys/cgname.h"
#include "sys/ociconf.h"
#include "sys/podlist.h"

/*
 * Who a cgroup is: (hierarchy, cgroup id) → path, container, pod, unit, workload
 *
 * Filled before anything happens: on cgroup creation, at start, by the rescan. One thread (the loop) owns the cache;
 * workers read files into a struct oci_info and hand it back. The event path only looks up. Removed cgroups stay as
 * tombstones for a while, because records name them after they are gone.
 */
struct identity {
	struct hash_node link; /* by (hierarchy, id) */
	uint32_t refs;
	uint32_t hierarchy; /* 0 = v2 */
	uint64_t id;
	uint64_t added_us, removed_us; /* monotonic; removed 0 = alive */
	enum cgname_kind kind; /* after confirmation: forged names are CGNAME_OTHER here */
	enum cgname_level level;
	enum cgname_runtime runtime;
	bool confirmed; /* a runtime file names the container and its cgroup path */
	bool rootless, sandbox, monitor;
	bool pending; /* sources are still being read */
	bool described; /* they were read, or at least looked for */
	uint32_t uid; /* of the owning user for rootless and user units; UINT32_MAX = none */
	/* Heap strings, never NULL, "" = not known. */
	const char *path;
	const char *container_id, *container_outer_id, *container_name, *image;
	const char *pod_name, *pod_uid, *pod_namespace, *k8s_container, *qos, *node;
	const char *unit, *machine, *workload;
	/* Label values of workload series (OOM-501): kind by cgname_kind_name(kind). */
	const char *label_namespace, *label_workload, *label_container;
	const struct oci_label
		*labels; /* copied to events as k8s.pod.label.KEY / container.label.KEY */
	size_t n_labels;
	/* From the kubelet, when enabled. */
	const char *owner_kind, *owner_name, *priority_class;
	uint64_t memory_request, memory_limit; /* bytes, 0 = none */
};

struct identity_options {
	size_t entries, tombstones; /* limits */
	uint64_t tombstone_ttl_us;
	const char *node_name;
};

enum identity_result {
	IDENTITY_HIT,
	IDENTITY_TOMBSTONE,
	IDENTITY_PATH_ONLY,
	IDENTITY_UNKNOWN,
	_IDENTITY_RESULT_MAX
};

struct identity_stats {
	size_t entries[_CGNAME_KIND_MAX], tombstones;
	uint64_t refused; /* cache full of live entries */
	uint64_t tombstones_evicted, conflicts;
	uint64_t lookups[_IDENTITY_RESULT_MAX];
	uint64_t errors[_OCI_SOURCE_MAX][_OCI_ERROR_MAX];
};

struct identity_cache;
int identity_cache_new(const struct identity_options *o, struct identity_cache **ret);
struct identity_cache *identity_cache_free(struct identity_cache *c);
DEFINE_CLEANUP(struct identity_cache *, identity_cache_free);
const struct identity_stats *identity_cache_stats(const struct identity_cache *c);

/*
 * A cgroup was seen. Known id with the same path: returns the entry. Another path: the old one becomes a tombstone.
 * @root_owned: the nearest kubepods root of the path (identity_kube_root()) is owned by uid 0. Returns NULL when full (counted).
 */
struct identity *identity_add(struct identity_cache *c, uint32_t hierarchy, uint64_t id,
			      const char *path, bool root_owned, uint64_t now_us);
/* Does the name call for reading runtime files? */
bool identity_wants_sources(const struct identity *i);
/* Length of the front of @path whose owner says whether the kubelet made it (OOM-411); 0: no kubepods root in it. */
size_t identity_kube_root(const char *path);
/*
 * Files were read: fills container and pod, confirms, recomputes the labels. The pod's own cgroup is named along, because a
 * limit may sit there. What a file says about a container of the same id elsewhere is left out.
 */
void identity_describe(struct identity_cache *c, struct identity *i, const struct oci_info *info);
/*
 * The kubelet told about the pod: owner, labels, priority class, requests and limits; names and QoS where they are not known.
 * Only for what is a container or cgroup of a pod beyond doubt. Lasts until identity_describe(). True when the workload changed.
 */
bool identity_enrich(struct identity_cache *c, struct identity *i, const struct pod *p);
/* The live entry, or NULL; not a resolution of a record, so not counted among the lookups. */
struct identity *identity_find(struct identity_cache *c, uint32_t hierarchy, uint64_t id);
void identity_remove(struct identity_cache *c, uint32_t hierarchy, uint64_t id, uint64_t now_us);
void identity_expire(struct identity_cache *c, uint64_t now_us); /* tombstones past their time */

/* Memory only. Tombstones answer too, of several with one id the youngest that agrees. @walked: path from the kernel, may be NULL (OOM-401). NULL when unknown. */
struct identity *identity_lookup(struct identity_cache *c, uint32_t hierarchy, uint64_t id,
				 const char *walked, size_t walked_len,
				 enum identity_result *ret_result);
/* Entry made from a path alone, when the id is not known; not in the cache; owned by the caller. Allocates: not for stage 1. */
struct identity *identity_from_path(struct identity_cache *c, uint32_t hierarchy, uint64_t id,
				    const char *path, size_t len);
struct identity *identity_ref(struct identity *i);
struct identity *identity_unref(struct identity *i);
DEFINE_CLEANUP(struct identity *, identity_unref);

/* Identity of the ancestor path of @len bytes (a limit's cgroup), by path in the same hierarchy; NULL when unknown. */
struct identity *identity_by_path(struct identity_cache *c, uint32_t hierarchy, const char *path,
				  size_t len);
typedef void (*identity_fn)(void *ctx, struct identity *i);
void identity_for_each(struct identity_cache *c, identity_fn fn, void *ctx); /* live ones */
void identity_for_each_tombstone(struct identity_cache *c, identity_fn fn, void *ctx);
