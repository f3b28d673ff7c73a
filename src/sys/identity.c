/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache of identities
 *
 * Two tables of the same entries: by (hierarchy, id) and by (hierarchy, path). Removed cgroups move to the tombstones, which have
 * a limit and an age. All texts of an entry lie in its arena and stay as long as it, so whoever holds an entry may keep them.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "sys/confirm.h"
#include "sys/identity.h"

struct entry {
	struct identity i; /* first */
	struct hash_node by_path;
	struct arena *texts, *pod_texts; /* pod_texts: from the kubelet, NULL = nothing */
	uint64_t pod_digest; /* of what the kubelet said last, 0 = nothing */
	struct {
		const char *pod_name, *pod_namespace, *qos;
		const struct oci_label *labels;
		size_t n_labels;
	} plain; /* what was known without the kubelet */
	struct cgname name;
	bool root_owned;
	bool cached; /* in the tables; else made by identity_from_path() */
};

struct identity_cache {
	struct identity_options options;
	char node_name[256];
	struct hash live, live_by_path, dead; /* dead: by (hierarchy, id), oldest first */
	struct identity_stats stats;
};

struct key {
	uint32_t hierarchy;
	uint64_t id;
	const char *path;
	size_t len;
};

static const struct oci_info no_info;

static struct entry *entry_of(struct identity *i)
{
	return (struct entry *)i;
}

static uint64_t hash_id(uint32_t hierarchy, uint64_t id)
{
	uint64_t key[2] = { hierarchy, id };

	return hash_bytes(key, sizeof(key));
}

static uint64_t hash_path(uint32_t hierarchy, const char *path, size_t len)
{
	return hash_bytes(path, len) + hierarchy * 0x9e3779b97f4a7c15ULL;
}

static bool same_id(const struct hash_node *n, const void *key)
{
	const struct identity *i = container_of(n, struct identity, link);
	const struct key *k = key;

	return i->hierarchy == k->hierarchy && i->id == k->id;
}

/* The walked path lost its front when it was long, so its end is compared. */
static bool walked_agrees(const struct identity *i, const char *walked, size_t len)
{
	size_t own = strlen(i->path);

	if (!walked || len == 0)
		return true;
	return own >= len && memcmp(i->path + own - len, walked, len) == 0;
}

static bool same_id_walked(const struct hash_node *n, const void *key)
{
	const struct key *k = key;

	return same_id(n, key) &&
	       walked_agrees(container_of(n, struct identity, link), k->path, k->len);
}

static bool same_path(const struct hash_node *n, const void *key)
{
	const struct entry *e = container_of(n, struct entry, by_path);
	const struct key *k = key;

	return e->i.hierarchy == k->hierarchy && strlen(e->i.path) == k->len &&
	       memcmp(e->i.path, k->path, k->len) == 0;
}

int identity_cache_new(const struct identity_options *o, struct identity_cache **ret)
{
	_cleanup_(identity_cache_freep) struct identity_cache *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->options = *o;
	(void)snprintf(c->node_name, sizeof(c->node_name), "%s", o->node_name ? o->node_name : "");
	r = hash_init(&c->live, o->entries);
	if (r >= 0)
		r = hash_init(&c->live_by_path, o->entries);
	if (r >= 0)
		r = hash_init(&c->dead, MAX(o->tombstones, (size_t)1));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

static void free_entry(struct entry *e)
{
	arena_free(e->texts);
	arena_free(e->pod_texts);
	free(e);
}

struct identity *identity_ref(struct identity *i)
{
	if (i)
		i->refs++;
	return i;
}

struct identity *identity_unref(struct identity *i)
{
	if (i && --i->refs == 0)
		free_entry(entry_of(i));
	return NULL;
}

static void drop_all(struct hash *h)
{
	while (h->oldest) {
		struct identity *i = container_of(h->oldest, struct identity, link);

		hash_remove(h, &i->link);
		(void)identity_unref(i);
	}
	hash_done(h);
}

struct identity_cache *identity_cache_free(struct identity_cache *c)
{
	if (!c)
		return NULL;
	drop_all(&c->live);
	drop_all(&c->dead);
	hash_done(&c->live_by_path);
	free(c);
	return NULL;
}

const struct identity_stats *identity_cache_stats(const struct identity_cache *c)
{
	struct identity_cache *writable = (struct identity_cache *)c;

	writable->stats.tombstones = c->dead.count;
	return &c->stats;
}

/* --- texts --- */

static const char *text(struct entry *e, const char *s)
{
	const char *copy = s && *s ? arena_strdup(e->texts, s) : "";

	return copy ? copy : "";
}

static const char *part(struct entry *e, struct cgname_text t)
{
	const char *copy = t.length ? arena_strndup(e->texts, e->i.path + t.offset, t.length) : "";

	return copy ? copy : "";
}

static const char *unescaped(struct entry *e, struct cgname_text t)
{
	char buf[512];

	if (t.length == 0)
		return "";
	(void)cgname_unescape(e->i.path + t.offset, t.length, buf, sizeof(buf));
	return text(e, buf);
}

static const char *workload_of(const struct entry *e, const struct identity_cache *c,
			       struct arena *texts)
{
	const struct identity *i = &e->i;
	size_t len;

	if (*i->owner_name)
		return i->owner_name;
	if (*i->pod_name) {
		const char *copy;

		len = cgname_workload(i->pod_name, strlen(i->pod_name), c->node_name);
		copy = arena_strndup(texts, i->pod_name, len);
		return copy ? copy : "";
	}
	return "";
}

/* Labels of workload series (OOM-501): never an id, a pod or a path; nothing that was not confirmed. */
static void set_labels(struct entry *e, const struct oci_info *info)
{
	struct identity *i = &e->i;

	i->label_namespace = i->label_workload = i->label_container = "";
	if (!info)
		info = &no_info;
	switch (i->kind) {
	case CGNAME_K8S:
		i->label_namespace = i->pod_namespace;
		i->label_workload = i->workload;
		i->label_container = i->k8s_container;
		break;
	case CGNAME_DOCKER:
		i->label_namespace = text(e, info->compose_project);
		i->label_workload = text(e, info->compose_service);
		i->label_container = i->container_name;
		break;
	case CGNAME_PODMAN:
	case CGNAME_CONTAINERD:
		i->label_container = i->container_name;
		break;
	case CGNAME_SYSTEMD:
	case CGNAME_SESSION:
		i->label_container = i->unit;
		break;
	case CGNAME_LXC:
	case CGNAME_MACHINE:
		i->label_container = i->machine;
		break;
	case CGNAME_JOB:
		i->label_workload = i->workload;
		break;
	default:
		break;
	}
}

/* A bare id says nothing about whose it is; the file that has it does. */
static enum cgname_kind kind_by_source(const struct cgname *n, const struct oci_info *info)
{
	if (streq(info->manager, "libpod") || streq(info->manager, "podman"))
		return CGNAME_PODMAN;
	if (!n->needs_runtime_file)
		return n->kind;
	if (info->sources & 1U << OCI_DOCKER)
		return CGNAME_DOCKER;
	if (info->sources & 1U << OCI_PODMAN)
		return CGNAME_PODMAN;
	return info->sources & 1U << OCI_CONTAINERD ? CGNAME_CONTAINERD : n->kind;
}

/* A name alone proves nothing (OOM-411). */
static enum cgname_kind trusted_kind(const struct entry *e, const struct oci_info *info)
{
	const struct cgname *n = &e->name;

	if (n->kind == CGNAME_K8S)
		return e->root_owned && (e->i.confirmed || !n->container) ? n->kind : CGNAME_OTHER;
	if (!n->container)
		return n->kind;
	return e->i.confirmed ? kind_by_source(n, info) : CGNAME_OTHER;
}

static void take_labels(struct entry *e, const struct oci_info *info)
{
	struct oci_label *labels;

	e->i.labels = NULL;
	e->i.n_labels = 0;
	if (!info->n_labels)
		return;
	labels = arena_alloc(e->texts, info->n_labels * sizeof(*labels));
	if (!labels)
		return;
	memcpy(labels, info->labels, info->n_labels * sizeof(*labels));
	e->i.labels = labels;
	e->i.n_labels = info->n_labels;
}

static void remember_plain(struct entry *e)
{
	const struct identity *i = &e->i;

	e->plain.pod_name = i->pod_name;
	e->plain.pod_namespace = i->pod_namespace;
	e->plain.qos = i->qos;
	e->plain.labels = i->labels;
	e->plain.n_labels = i->n_labels;
}

static void describe(struct identity_cache *c, struct entry *e, const struct oci_info *info)
{
	struct identity *i = &e->i;
	const struct cgname *n = &e->name;
	/* Anyone may label a container "io.kubernetes.pod.name"; only the kubelet's lie below kubepods. */
	bool pod = n->kind == CGNAME_K8S && e->root_owned;

	i->kind = trusted_kind(e, info);
	i->runtime = n->runtime;
	i->level = n->level;
	i->rootless = n->rootless && n->container;
	i->monitor = n->monitor;
	i->uid = n->uid;
	i->sandbox = info->sandbox;
	i->container_id = part(e, n->container_id);
	i->container_outer_id = part(e, n->outer_container_id);
	i->unit = unescaped(e, n->unit);
	i->machine = unescaped(e, n->machine);
	i->qos = text(e, n->qos);
	i->pod_uid = text(e, n->pod_uid);
	i->container_name = text(e, info->name[0] ? info->name : info->container_name);
	i->image = text(e, info->image);
	i->pod_name = text(e, pod ? info->pod_name : "");
	i->pod_namespace = text(e, pod ? info->pod_namespace : "");
	i->k8s_container = text(e, pod ? info->container_name : "");
	i->owner_kind = i->owner_name = i->priority_class = "";
	i->memory_request = i->memory_limit = 0;
	e->pod_digest = 0; /* its texts are not pointed to any more, and go with the next ones */
	i->node = c->node_name;
	i->workload = n->kind == CGNAME_JOB ? part(e, n->job) : workload_of(e, c, e->texts);
	set_labels(e, info);
	take_labels(e, info);
	remember_plain(e);
}

/* --- what the kubelet told --- */

static const struct pod_label *find_label(const struct pod *p, const char *key)
{
	for (size_t n = 0; n < p->n_labels; n++)
		if (streq(p->labels[n].key, key))
			return &p->labels[n];
	return NULL;
}

/* The pod's own labels, and of the runtime's those that the pod has not. All are among identity.labels, so they fit. */
static void merge_labels(struct entry *e, const struct pod *p)
{
	struct oci_label *labels =
		arena_alloc(e->pod_texts, (p->n_labels + e->plain.n_labels + 1) * sizeof(*labels));
	size_t n = 0;

	if (!labels)
		return;
	for (size_t k = 0; k < p->n_labels; k++) {
		if (strlen(p->labels[k].key) >= sizeof(labels[n].key))
			continue;
		(void)snprintf(labels[n].key, sizeof(labels[n].key), "%s", p->labels[k].key);
		(void)snprintf(labels[n].value, sizeof(labels[n].value), "%s", p->labels[k].value);
		n++;
	}
	for (size_t k = 0; k < e->plain.n_labels; k++)
		if (!find_label(p, e->plain.labels[k].key))
			labels[n++] = e->plain.labels[k];
	e->i.labels = labels;
	e->i.n_labels = n;
}

static const char *pod_text(const struct entry *e, const char *s)
{
	const char *copy = *s ? arena_strdup(e->pod_texts, s) : "";

	return copy ? copy : "";
}

static void take_pod(struct identity_cache *c, struct entry *e, const struct pod *p)
{
	const struct pod_container *container;
	struct identity *i = &e->i;

	i->pod_name = *e->plain.pod_name ? e->plain.pod_name : pod_text(e, p->name);
	i->pod_namespace = *e->plain.pod_namespace ? e->plain.pod_namespace
						   : pod_text(e, p->namespace);
	i->qos = *e->plain.qos ? e->plain.qos : pod_text(e, p->qos);
	i->owner_kind = pod_text(e, p->owner_kind);
	i->owner_name = pod_text(e, p->owner_name);
	i->priority_class = pod_text(e, p->priority_class);
	container = *i->k8s_container ? pod_container(p, i->k8s_container) : NULL;
	i->memory_request = container ? container->memory_request : 0;
	i->memory_limit = container ? container->memory_limit : 0;
	merge_labels(e, p);
	i->workload = workload_of(e, c, e->pod_texts);
	set_labels(e, NULL);
}

bool identity_enrich(struct identity_cache *c, struct identity *i, const struct pod *p)
{
	_cleanup_(arena_freep) struct arena *before = NULL;
	struct entry *e = entry_of(i);
	struct arena *fresh;
	const char *old = i->workload;

	if (i->kind != CGNAME_K8S || !streq(i->pod_uid, p->uid) || e->pod_digest == p->digest ||
	    arena_new(65536, &fresh) < 0)
		return false;
	before = e->pod_texts; /* the old workload may lie in it */
	e->pod_texts = fresh;
	e->pod_digest = p->digest;
	take_pod(c, e, p);
	return !streq(old, i->workload);
}

static struct entry *new_entry(struct identity_cache *c, uint32_t hierarchy, uint64_t id,
			       const char *path, size_t len, bool root_owned)
{
	struct entry *e = calloc(1, sizeof(*e));
	struct cgname name;

	if (!e)
		return NULL;
	e->i.refs = 1;
	e->i.hierarchy = hierarchy;
	e->i.id = id;
	e->root_owned = root_owned;
	if (arena_new(65536, &e->texts) < 0 || !(e->i.path = arena_strndup(e->texts, path, len))) {
		free_entry(e);
		return NULL;
	}
	cgname_parse(e->i.path, len, &e->name);
	name = e->name;
	/* "/a/b" is a container only when a file says so: until then its name stands alone. */
	if (name.needs_runtime_file)
		cgname_parse_alone(e->i.path, len, &e->name);
	describe(c, e, &no_info);
	e->name = name;
	return e;
}

/* --- adding and removing --- */

static void count_kind(struct identity_cache *c, const struct identity *i, bool up)
{
	size_t *n = &c->stats.entries[i->kind];

	*n += up ? 1 : (size_t)-1;
}

static void bury(struct identity_cache *c, struct entry *e, uint64_t now_us)
{
	hash_remove(&c->live, &e->i.link);
	hash_remove(&c->live_by_path, &e->by_path);
	count_kind(c, &e->i, false);
	e->i.removed_us = now_us;
	if (c->options.tombstones == 0) {
		(void)identity_unref(&e->i);
		return;
	}
	if (hash_full(&c->dead)) {
		struct identity *oldest = container_of(c->dead.oldest, struct identity, link);

		hash_remove(&c->dead, &oldest->link);
		(void)identity_unref(oldest);
		c->stats.tombstones_evicted++;
	}
	(void)hash_insert(&c->dead, &e->i.link, hash_id(e->i.hierarchy, e->i.id));
}

struct identity *identity_add(struct identity_cache *c, uint32_t hierarchy, uint64_t id,
			      const char *path, bool root_owned, uint64_t now_us)
{
	const struct key key = { hierarchy, id, path, strlen(path) };
	struct hash_node *n = hash_find(&c->live, hash_id(hierarchy, id), same_id, &key);
	struct entry *e;

	if (n) {
		e = entry_of(container_of(n, struct identity, link));
		if (streq(e->i.path, path))
			return &e->i;
		bury(c, e, now_us); /* the id was used again, or the cgroup renamed */
	}
	n = hash_find(&c->live_by_path, hash_path(hierarchy, path, key.len), same_path, &key);
	if (n) /* removed and made anew while nobody looked */
		bury(c, container_of(n, struct entry, by_path), now_us);
	if (hash_full(&c->live)) {
		c->stats.refused++;
		return NULL;
	}
	e = new_entry(c, hierarchy, id, path, key.len, root_owned);
	if (!e) {
		c->stats.refused++;
		return NULL;
	}
	e->cached = true;
	e->i.added_us = now_us;
	(void)hash_insert(&c->live, &e->i.link, hash_id(hierarchy, id));
	(void)hash_insert(&c->live_by_path, &e->by_path, hash_path(hierarchy, path, key.len));
	count_kind(c, &e->i, true);
	return &e->i;
}

bool identity_wants_sources(const struct identity *i)
{
	const struct entry *e = (const struct entry *)i;

	return e->name.container;
}

size_t identity_kube_root(const char *path)
{
	struct cgname n;

	cgname_parse(path, strlen(path), &n);
	return n.kube_root.length;
}

/* --- runtime files --- */

/* The kubelet's pods have no files of their own: their containers name them. */
static void name_pod(struct identity_cache *c, const struct entry *e)
{
	const char *path = e->i.path;
	const char *leaf = memrchr(path, '/', e->name.container_path.length);
	struct identity *pod =
		leaf ? identity_by_path(c, e->i.hierarchy, path, (size_t)(leaf - path)) : NULL;
	struct entry *p = pod ? entry_of(pod) : NULL;

	if (!pod || pod->kind != CGNAME_K8S || pod->level != CGLEVEL_K8S_POD || *pod->pod_name)
		return;
	pod->pod_name = text(p, e->i.pod_name);
	pod->pod_namespace = text(p, e->i.pod_namespace);
	pod->workload = workload_of(p, c, p->texts);
	set_labels(p, &no_info);
	remember_plain(p);
}

void identity_describe(struct identity_cache *c, struct identity *i, const struct oci_info *info)
{
	struct entry *e = entry_of(i);
	enum confirm says = confirm_container(&e->name, i->path, e->root_owned, info);

	if (e->cached && !i->removed_us)
		count_kind(c, i, false);
	i->pending = false;
	i->described = true;
	i->confirmed = says == CONFIRM_OURS;
	/* "/a/b" is no container only because two plain names stand one below the other. */
	if (e->name.needs_runtime_file && (!info->found || says == CONFIRM_ANOTHER))
		cgname_parse_alone(i->path, strlen(i->path), &e->name);
	describe(c, e, says == CONFIRM_ANOTHER ? &no_info : info);
	if (e->cached && !i->removed_us)
		count_kind(c, i, true);
	if (i->kind == CGNAME_K8S && *i->pod_name)
		name_pod(c, e);
	for (size_t s = 0; s < _OCI_SOURCE_MAX; s++)
		for (size_t k = 0; k < _OCI_ERROR_MAX; k++)
			c->stats.errors[s][k] += info->errors[s][k];
}

struct identity *identity_find(struct identity_cache *c, uint32_t hierarchy, uint64_t id)
{
	const struct key key = { .hierarchy = hierarchy, .id = id };
	struct hash_node *n = hash_find(&c->live, hash_id(hierarchy, id), same_id, &key);

	return n ? container_of(n, struct identity, link) : NULL;
}

void identity_remove(struct identity_cache *c, uint32_t hierarchy, uint64_t id, uint64_t now_us)
{
	struct identity *i = identity_find(c, hierarchy, id);

	if (i)
		bury(c, entry_of(i), now_us);
}

void identity_expire(struct identity_cache *c, uint64_t now_us)
{
	while (c->dead.oldest) {
		struct identity *i = container_of(c->dead.oldest, struct identity, link);

		if (i->removed_us + c->options.tombstone_ttl_us > now_us)
			return;
		hash_remove(&c->dead, &i->link);
		(void)identity_unref(i);
	}
}

/* --- looking up: memory only --- */

struct identity *identity_lookup(struct identity_cache *c, uint32_t hierarchy, uint64_t id,
				 const char *walked, size_t walked_len,
				 enum identity_result *ret_result)
{
	const struct key key = { hierarchy, id, walked, walked_len };
	struct identity *i = id ? identity_find(c, hierarchy, id) : NULL;
	enum identity_result result = IDENTITY_HIT;

	if (i && !walked_agrees(i, walked, walked_len)) {
		c->stats.conflicts++;
		i = NULL;
	}
	if (!i && id) {
		struct hash_node *n =
			hash_find(&c->dead, hash_id(hierarchy, id), same_id_walked, &key);

		i = n ? container_of(n, struct identity, link) : NULL;
		result = IDENTITY_TOMBSTONE;
	}
	if (!i)
		result = walked && walked_len ? IDENTITY_PATH_ONLY : IDENTITY_UNKNOWN;
	c->stats.lookups[result]++;
	*ret_result = result;
	return i;
}

struct identity *identity_from_path(struct identity_cache *c, uint32_t hierarchy, uint64_t id,
				    const char *path, size_t len)
{
	struct entry *e = len && path[0] == '/' ? new_entry(c, hierarchy, id, path, len, false)
						: NULL;

	return e ? &e->i : NULL;
}

struct identity *identity_by_path(struct identity_cache *c, uint32_t hierarchy, const char *path,
				  size_t len)
{
	const struct key key = { hierarchy, 0, path, len };
	struct hash_node *n =
		hash_find(&c->live_by_path, hash_path(hierarchy, path, len), same_path, &key);

	return n ? &container_of(n, struct entry, by_path)->i : NULL;
}

static void for_each(struct hash *h, identity_fn fn, void *ctx)
{
	for (struct hash_node *n = h->oldest, *next; n; n = next) {
		next = n->newer; /* @fn may remove this one */
		fn(ctx, container_of(n, struct identity, link));
	}
}

void identity_for_each(struct identity_cache *c, identity_fn fn, void *ctx)
{
	for_each(&c->live, fn, ctx);
}

void identity_for_each_tombstone(struct identity_cache *c, identity_fn fn, void *ctx)
{
	for_each(&c->dead, fn, ctx);
}
