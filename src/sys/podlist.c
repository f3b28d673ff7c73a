/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kubelet's list of pods
 *
 * A table says which key leads from which place to which; everything else is skipped without being looked at. One pod
 * is gathered in a draft of fixed size, because its keys come in any order, and goes to the arena when its object ends.
 * A wanted field of another type or of too many bytes is left out and counted; a body that is no list of pods, and one
 * beyond the limits, is refused whole, so that an error page never replaces a good answer.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/jsonscan.h"
#include "sys/podlist.h"
#include "sys/quantity.h"

enum place {
	SKIP,
	DOCUMENT,
	TOP,
	ITEMS,
	POD,
	METADATA,
	LABELS,
	OWNERS,
	OWNER,
	SPEC,
	STATUS,
	CONTAINERS,
	CONTAINER,
	RESOURCES,
	REQUESTS,
	LIMITS,
	/* What stands in a place and is no object or array. */
	TEXT,
	QUANTITY,
	TRUTH,
	LABEL,
};

struct draft_container {
	char name[64];
	uint64_t memory_request, memory_limit;
};

struct draft {
	char uid[64], name[256], namespace[64], qos[16], priority_class[256], hash[64];
	char owner_kind[64], owner_name[256];
	char labels[PODLIST_LABELS_MAX][256];
	bool has_label[PODLIST_LABELS_MAX];
	struct draft_container containers[PODLIST_CONTAINERS_MAX];
	size_t n_containers;
	/* What is open. */
	struct {
		char kind[64], name[256];
		bool controller;
	} owner;
	struct draft_container container;
};

struct podlist {
	struct arena *arena;
	struct hash pods; /* by uid */
	uint64_t ignored;
};

struct row {
	uint8_t from; /* enum place */
	const char *key; /* NULL: each item of an array */
	uint8_t to;
	uint16_t offset, size; /* of the field in the draft */
};

struct podlist_scan {
	struct json_scan json;
	const char *const *label_keys;
	struct podlist *list;
	bool items; /* the list was there */
	uint8_t places[JSON_SCAN_DEPTH_MAX + 1];
	unsigned depth; /* places[depth] is the open one */
	const struct row *next; /* where the next value goes; NULL: nowhere */
	int label; /* index of the key whose value comes next, -1 = none */
	bool hash; /* that value is the pod template's hash */
	struct draft draft;
};

#define FIELD(to_, member) to_, offsetof(struct draft, member), sizeof(((struct draft *)0)->member)

static const struct row rows[] = {
	{ DOCUMENT, NULL, TOP },
	{ TOP, "items", ITEMS },
	{ ITEMS, NULL, POD },
	{ POD, "metadata", METADATA },
	{ POD, "spec", SPEC },
	{ POD, "status", STATUS },
	{ METADATA, "uid", FIELD(TEXT, uid) },
	{ METADATA, "name", FIELD(TEXT, name) },
	{ METADATA, "namespace", FIELD(TEXT, namespace) },
	{ METADATA, "labels", LABELS },
	{ METADATA, "ownerReferences", OWNERS },
	{ LABELS, NULL, LABEL },
	{ OWNERS, NULL, OWNER },
	{ OWNER, "kind", FIELD(TEXT, owner.kind) },
	{ OWNER, "name", FIELD(TEXT, owner.name) },
	{ OWNER, "controller", FIELD(TRUTH, owner.controller) },
	{ SPEC, "priorityClassName", FIELD(TEXT, priority_class) },
	{ SPEC, "containers", CONTAINERS },
	{ SPEC, "initContainers", CONTAINERS },
	{ SPEC, "ephemeralContainers", CONTAINERS },
	{ CONTAINERS, NULL, CONTAINER },
	{ CONTAINER, "name", FIELD(TEXT, container.name) },
	{ CONTAINER, "resources", RESOURCES },
	{ RESOURCES, "requests", REQUESTS },
	{ RESOURCES, "limits", LIMITS },
	{ REQUESTS, "memory", FIELD(QUANTITY, container.memory_request) },
	{ LIMITS, "memory", FIELD(QUANTITY, container.memory_limit) },
	{ STATUS, "qosClass", FIELD(TEXT, qos) },
};

static const struct row *find_row(enum place from, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].from == from &&
		    (rows[i].key && key ? streq(rows[i].key, key) : !rows[i].key && !key))
			return &rows[i];
	return NULL;
}

static bool is_array(enum place p)
{
	return p == ITEMS || p == OWNERS || p == CONTAINERS;
}

static bool is_leaf(enum place p)
{
	return p >= TEXT;
}

/* --- the list --- */

static bool same_uid(const struct hash_node *n, const void *key)
{
	return streq(container_of(n, struct pod, link)->uid, key);
}

const struct pod *podlist_find(const struct podlist *l, const char *uid)
{
	struct hash_node *n = hash_find(&l->pods, hash_bytes(uid, strlen(uid)), same_uid, uid);

	return n ? container_of(n, struct pod, link) : NULL;
}

size_t podlist_count(const struct podlist *l)
{
	return l->pods.count;
}

uint64_t podlist_ignored(const struct podlist *l)
{
	return l->ignored;
}

const struct pod_container *pod_container(const struct pod *p, const char *name)
{
	for (size_t i = 0; i < p->n_containers; i++)
		if (streq(p->containers[i].name, name))
			return &p->containers[i];
	return NULL;
}

struct podlist *podlist_free(struct podlist *l)
{
	if (!l)
		return NULL;
	hash_done(&l->pods);
	arena_free(l->arena);
	free(l);
	return NULL;
}

static int podlist_new(struct podlist **ret)
{
	_cleanup_(podlist_freep) struct podlist *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	r = arena_new(PODLIST_BYTES_MAX, &l->arena);
	if (r >= 0)
		r = hash_init(&l->pods, PODLIST_PODS_MAX);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(l);
	return 0;
}

/* --- from the draft to the list --- */

/* A Deployment's ReplicaSet is called after it and the hash of the pod template, which the pod carries as a label. */
static void resolve_owner(struct draft *d)
{
	size_t len = strlen(d->owner_name), hash = strlen(d->hash);

	if (streq(d->owner_kind, "Node")) { /* a static pod: its mirror belongs to the node */
		d->owner_kind[0] = d->owner_name[0] = '\0';
		return;
	}
	if (!streq(d->owner_kind, "ReplicaSet") || !hash || len <= hash + 1 ||
	    d->owner_name[len - hash - 1] != '-' || !streq(d->owner_name + len - hash, d->hash))
		return;
	d->owner_name[len - hash - 1] = '\0';
	(void)snprintf(d->owner_kind, sizeof(d->owner_kind), "Deployment");
}

static int copy_labels(struct podlist_scan *s, struct pod *p)
{
	struct pod_label *labels =
		arena_alloc(s->list->arena, PODLIST_LABELS_MAX * sizeof(*labels));

	if (!labels)
		return -EFBIG;
	p->labels = labels;
	for (size_t i = 0; i < PODLIST_LABELS_MAX; i++) {
		struct pod_label *l = &labels[p->n_labels];

		if (!s->draft.has_label[i])
			continue;
		l->key = arena_strdup(s->list->arena, s->label_keys[i]);
		l->value = arena_strdup(s->list->arena, s->draft.labels[i]);
		if (!l->key || !l->value)
			return -EFBIG;
		p->n_labels++;
	}
	return 0;
}

static int copy_containers(struct podlist_scan *s, struct pod *p)
{
	const struct draft *d = &s->draft;
	struct pod_container *containers =
		arena_alloc(s->list->arena, (d->n_containers + 1) * sizeof(*containers));

	if (!containers)
		return -EFBIG;
	p->containers = containers;
	for (; p->n_containers < d->n_containers; p->n_containers++) {
		const struct draft_container *from = &d->containers[p->n_containers];
		struct pod_container *to = &containers[p->n_containers];

		to->name = arena_strdup(s->list->arena, from->name);
		to->memory_request = from->memory_request;
		to->memory_limit = from->memory_limit;
		if (!to->name)
			return -EFBIG;
	}
	return 0;
}

static int copy_texts(struct podlist_scan *s, struct pod *p)
{
	const struct draft *d = &s->draft;
	const struct {
		const char **to, *from;
	} texts[] = {
		{ &p->uid, d->uid },
		{ &p->name, d->name },
		{ &p->namespace, d->namespace },
		{ &p->qos, d->qos },
		{ &p->priority_class, d->priority_class },
		{ &p->owner_kind, d->owner_kind },
		{ &p->owner_name, d->owner_name },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		*texts[i].to = arena_strdup(s->list->arena, texts[i].from);
		if (!*texts[i].to)
			return -EFBIG;
	}
	return 0;
}

static int commit_pod(struct podlist_scan *s)
{
	struct draft *d = &s->draft;
	struct podlist *l = s->list;
	struct pod *p;
	int r;

	if (!d->uid[0] || podlist_find(l, d->uid)) {
		l->ignored++;
		return 0;
	}
	if (hash_full(&l->pods))
		return -EFBIG;
	resolve_owner(d);
	p = arena_alloc(l->arena, sizeof(*p));
	if (!p)
		return -EFBIG;
	p->digest = hash_bytes(d, sizeof(*d)) | 1;
	r = copy_texts(s, p);
	if (r >= 0)
		r = copy_labels(s, p);
	if (r >= 0)
		r = copy_containers(s, p);
	return r < 0 ? r : hash_insert(&l->pods, &p->link, hash_bytes(p->uid, strlen(p->uid)));
}

static void commit_owner(struct draft *d)
{
	if (d->owner.controller) {
		memcpy(d->owner_kind, d->owner.kind, sizeof(d->owner_kind));
		memcpy(d->owner_name, d->owner.name, sizeof(d->owner_name));
	}
	memset(&d->owner, 0, sizeof(d->owner));
}

static void commit_container(struct podlist_scan *s)
{
	struct draft *d = &s->draft;

	if (d->container.name[0] && d->n_containers < PODLIST_CONTAINERS_MAX)
		memcpy(&d->containers[d->n_containers++], &d->container, sizeof(d->container));
	else
		s->list->ignored++;
	memset(&d->container, 0, sizeof(d->container));
}

/* --- tokens --- */

/* @size bytes for a text without NUL; what is there stays when the new one does not fit. */
static bool take_text(struct podlist_scan *s, char *field, size_t size, const char *text,
		      size_t len)
{
	if (len >= size || strlen(text) != len) {
		s->list->ignored++;
		return false;
	}
	memset(field, 0, size); /* the digest is of all bytes */
	memcpy(field, text, len);
	return true;
}

static void take_label(struct podlist_scan *s, const char *text, size_t len)
{
	struct draft *d = &s->draft;

	if (s->hash)
		(void)take_text(s, d->hash, sizeof(d->hash), text, len);
	if (s->label >= 0 && take_text(s, d->labels[s->label], sizeof(d->labels[0]), text, len))
		d->has_label[s->label] = true;
}

static void take_quantity(struct podlist_scan *s, uint64_t *field, const char *text, size_t len)
{
	if (strlen(text) != len || quantity_parse(text, field) < 0)
		s->list->ignored++;
}

static void on_leaf(struct podlist_scan *s, const struct row *row, enum json_token token,
		    const char *text, size_t len, bool cut)
{
	char *field = (char *)&s->draft + row->offset;
	bool string = token == JSON_STRING && !cut;

	if (row->to == TEXT && string)
		(void)take_text(s, field, row->size, text, len);
	else if (row->to == LABEL && string)
		take_label(s, text, len);
	else if (row->to == QUANTITY && (string || (token == JSON_NUMBER && !cut)))
		take_quantity(s, (uint64_t *)(void *)field, text, len);
	else if (row->to == TRUTH && (token == JSON_TRUE || token == JSON_FALSE))
		*(bool *)field = token == JSON_TRUE;
	else if (token != JSON_NULL)
		s->list->ignored++;
}

/* A scalar. Go writes null for a list or a map without members. */
static int on_scalar(struct podlist_scan *s, enum json_token token, const char *text, size_t len,
		     bool cut)
{
	const struct row *row = s->next;

	if (!row || (row->to == LABEL && s->label < 0 && !s->hash))
		return 0;
	if (row->to == TOP || (row->to == ITEMS && token != JSON_NULL))
		return -EBADMSG;
	if (row->to == ITEMS)
		s->items = true;
	else if (is_leaf(row->to))
		on_leaf(s, row, token, text, len, cut);
	else if (token != JSON_NULL)
		s->list->ignored++;
	return 0;
}

static int on_begin(struct podlist_scan *s, bool array)
{
	enum place to = s->next ? s->next->to : SKIP;

	if ((to == TOP || to == ITEMS) && is_array(to) != array)
		return -EBADMSG;
	if (to == ITEMS && s->items)
		return -EBADMSG; /* twice: which of them holds? */
	if (to != SKIP && (is_leaf(to) || is_array(to) != array)) {
		s->list->ignored += to != LABEL || s->label >= 0 || s->hash;
		to = SKIP;
	}
	s->items |= to == ITEMS;
	if (to == POD)
		memset(&s->draft, 0, sizeof(s->draft));
	s->places[++s->depth] = (uint8_t)to;
	return 0;
}

static int on_end(struct podlist_scan *s)
{
	switch (s->places[s->depth--]) {
	case POD:
		return commit_pod(s);
	case OWNER:
		commit_owner(&s->draft);
		return 0;
	case CONTAINER:
		commit_container(s);
		return 0;
	default:
		return 0;
	}
}

static void on_key(struct podlist_scan *s, const char *key, size_t len, bool cut)
{
	enum place place = s->places[s->depth];

	s->next = NULL;
	if (place == SKIP || cut || strlen(key) != len)
		return;
	if (place != LABELS) {
		s->next = find_row(place, key);
		return;
	}
	s->hash = streq(key, "pod-template-hash");
	s->label = -1;
	for (int i = 0; s->label_keys && s->label_keys[i] && i < PODLIST_LABELS_MAX; i++)
		if (streq(key, s->label_keys[i]))
			s->label = i;
	s->next = find_row(LABELS, NULL);
}

static int on_token(void *ctx, enum json_token token, const char *text, size_t len, bool cut)
{
	struct podlist_scan *s = ctx;
	enum place place = s->places[s->depth];

	if (token == JSON_KEY) {
		on_key(s, text, len, cut);
		return 0;
	}
	if (token == JSON_OBJECT_END || token == JSON_ARRAY_END)
		return on_end(s);
	if (is_array(place) || place == DOCUMENT)
		s->next = find_row(place, NULL);
	else if (place == SKIP)
		s->next = NULL;
	if (token == JSON_OBJECT_BEGIN || token == JSON_ARRAY_BEGIN)
		return on_begin(s, token == JSON_ARRAY_BEGIN);
	return on_scalar(s, token, text, len, cut);
}

/* --- scan --- */

int podlist_scan_new(const char *const *label_keys, struct podlist_scan **ret)
{
	_cleanup_(podlist_scan_freep) struct podlist_scan *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = podlist_new(&s->list);
	if (r < 0)
		return r;
	json_scan_init(&s->json, on_token, s);
	s->label_keys = label_keys;
	s->places[0] = DOCUMENT;
	*ret = TAKE_PTR(s);
	return 0;
}

struct podlist_scan *podlist_scan_free(struct podlist_scan *s)
{
	if (!s)
		return NULL;
	podlist_free(s->list);
	free(s);
	return NULL;
}

/**
 * podlist_scan_feed() - the next piece of the body
 *
 * Return: 0; -EBADMSG: no JSON, or no list of pods; -E2BIG: nested too deep; -EFBIG: more pods or bytes of fields than the
 * limits allow. Errors stick.
 */
int podlist_scan_feed(struct podlist_scan *s, const char *data, size_t len)
{
	return json_scan_feed(&s->json, data, len);
}

/* The list, owned by the caller, when the body was complete; else as above. */
int podlist_scan_end(struct podlist_scan *s, struct podlist **ret)
{
	int r = json_scan_end(&s->json);

	if (r >= 0 && !s->items)
		r = -EBADMSG;
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s->list);
	return 0;
}
