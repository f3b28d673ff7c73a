/* SPDX-License-Identifier: Apache-2.0 */
/* Container, pod, unit and workload in an event, by the names of the semantic conventions. */

#include <string.h>
#include "agent/oom/report-part.h"

#define TEXT_MAX 512 /* bytes of one name */

bool report_knows_pod(const struct identity *limit, const struct oom_run *run)
{
	const struct identity *victim = run->kills ? run->kills->identity : NULL;

	return limit && victim && limit->level == CGLEVEL_K8S_POD && *limit->pod_uid &&
	       victim->confirmed && streq(limit->pod_uid, victim->pod_uid);
}

/* Files of runtimes are of others, and so are the lengths of what they say. */
static void add_text(struct event_buf *b, const char *key, const char *text)
{
	event_strn(b, key, text, strnlen(text, TEXT_MAX));
}

/* The owner under the name that the conventions have for its kind. Others have none, so kind and name are told as they are. */
static void add_owner(const struct identity *i, struct event_buf *b)
{
	static const struct {
		const char *kind, *key;
	} kinds[] = {
		{ "Deployment", "k8s.deployment.name" }, { "StatefulSet", "k8s.statefulset.name" },
		{ "DaemonSet", "k8s.daemonset.name" },	 { "Job", "k8s.job.name" },
		{ "ReplicaSet", "k8s.replicaset.name" },
	};

	for (size_t n = 0; n < ARRAY_SIZE(kinds); n++) {
		if (streq(i->owner_kind, kinds[n].kind)) {
			add_text(b, kinds[n].key, i->owner_name);
			return;
		}
	}
	add_text(b, "telamon.k8s.owner.kind", i->owner_kind);
	add_text(b, "telamon.k8s.owner.name", i->owner_name);
}

static void add_k8s(const struct identity *i, struct event_buf *b)
{
	add_text(b, "k8s.namespace.name", i->pod_namespace);
	add_text(b, "k8s.pod.name", i->pod_name);
	add_text(b, "k8s.pod.uid", i->pod_uid);
	add_text(b, "k8s.container.name", i->k8s_container);
	add_text(b, "telamon.k8s.qos", i->qos);
	add_owner(i, b);
	add_text(b, "telamon.k8s.priority_class", i->priority_class);
	if (i->memory_request)
		event_u64(b, "telamon.k8s.memory.request", i->memory_request);
	if (i->memory_limit)
		event_u64(b, "telamon.k8s.memory.limit", i->memory_limit);
}

static bool same_workload(const struct identity *a, const struct identity *b)
{
	return b && (streq(a->path, b->path) ||
		     (*a->container_id && streq(a->container_id, b->container_id)));
}

void report_other_identity(const char *prefix, const struct identity *i, const struct identity *pod,
			   const struct identity *victim, struct event_buf *b)
{
	const struct {
		const char *key, *value;
	} names[] = {
		{ "container.name", i->container_name },
		{ "k8s.namespace.name", pod->pod_namespace },
		{ "k8s.pod.name", pod->pod_name },
		{ "k8s.pod.uid", i->pod_uid },
		{ "k8s.container.name", i->k8s_container },
		{ "unit", i->unit },
		{ "workload", pod->workload },
	};
	char key[64];

	(void)snprintf(key, sizeof(key), "%s.container.id", prefix);
	add_text(b, key, i->container_id);
	for (size_t n = 0; !same_workload(i, victim) && n < ARRAY_SIZE(names); n++) {
		(void)snprintf(key, sizeof(key), "%s.%s", prefix, names[n].key);
		add_text(b, key, names[n].value);
	}
}

void report_identity(const struct report_world *w, const struct identity *i, struct event_buf *b)
{
	char key[160];

	event_str(b, "telamon.cgroup.kind", cgname_kind_name(i->kind));
	add_text(b, "container.id", i->container_id);
	add_text(b, "container.name", i->container_name);
	add_text(b, "container.image.name", i->image);
	if (*i->container_id) {
		event_str(b, "container.runtime", cgname_runtime_name(i->runtime));
		event_bool(b, "telamon.container.confirmed", i->confirmed);
	}
	if (i->rootless && i->uid != UINT32_MAX)
		event_u64(b, "telamon.container.uid", i->uid);
	add_text(b, "telamon.container.outer.id", i->container_outer_id);
	add_k8s(i, b);
	add_text(b, "telamon.unit", i->unit);
	add_text(b, "telamon.machine", i->machine);
	add_text(b, "telamon.workload", i->workload);
	if (i->n_labels && report_leaves_out(w, b, "labels"))
		return;
	for (size_t n = 0; n < i->n_labels; n++) {
		(void)snprintf(key, sizeof(key), "%s.label.%s",
			       i->kind == CGNAME_K8S ? "k8s.pod" : "container", i->labels[n].key);
		event_str(b, key, i->labels[n].value);
	}
}

void report_keys(const struct identity *i, struct event_buf *b)
{
	if (!i)
		return;
	b->keys.container_id = i->container_id;
	b->keys.container_name = *i->k8s_container ? i->k8s_container : i->container_name;
	b->keys.namespace = i->pod_namespace;
	b->keys.pod = i->pod_name;
	b->keys.workload = i->workload;
	b->keys.cgroup = i->path;
}
