/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/hash.h"

/*
 * What the kubelet's /pods says about each pod, as far as it is of use here
 *
 * The body is scanned piece by piece as it comes; what is kept is the list of pods with the fields below, in one arena.
 * The list is constant once it stands, so one thread may build it and another read it.
 */
#define PODLIST_PODS_MAX 2048
#define PODLIST_CONTAINERS_MAX 64 /* of one pod */
#define PODLIST_LABELS_MAX 16
#define PODLIST_BYTES_MAX (8 << 20)

struct pod_container {
	const char *name;
	uint64_t memory_request, memory_limit; /* bytes, 0 = none */
};
struct pod_label {
	const char *key, *value;
};

struct pod { /* texts: "" = not known */
	struct hash_node link;
	uint64_t digest; /* of all that follows: equal when nothing has changed; never 0 */
	const char *uid, *name, *namespace, *qos, *priority_class;
	const char *owner_kind,
		*owner_name; /* its controller; a ReplicaSet's own Deployment where the name tells */
	const struct pod_label *labels; /* those that were asked for */
	const struct pod_container *containers; /* init and ephemeral ones too */
	size_t n_labels, n_containers;
};

struct podlist;
struct podlist *podlist_free(struct podlist *l);
DEFINE_CLEANUP(struct podlist *, podlist_free);
const struct pod *podlist_find(const struct podlist *l, const char *uid); /* NULL: not there */
size_t podlist_count(const struct podlist *l);
/* Values that were too long, too many or of another type, and are left out. */
uint64_t podlist_ignored(const struct podlist *l);
const struct pod_container *pod_container(const struct pod *p, const char *name); /* NULL */

/* @label_keys: NULL-terminated, at most PODLIST_LABELS_MAX, may be NULL; borrowed until the scan is freed. */
struct podlist_scan;
int podlist_scan_new(const char *const *label_keys, struct podlist_scan **ret);
struct podlist_scan *podlist_scan_free(struct podlist_scan *s);
DEFINE_CLEANUP(struct podlist_scan *, podlist_scan_free);
int podlist_scan_feed(struct podlist_scan *s, const char *data, size_t len);
int podlist_scan_end(struct podlist_scan *s, struct podlist **ret);
