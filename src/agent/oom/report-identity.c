/* SPDX-License-Identifier: Apache-2.0 */
/* Container, pod, unit and workload in an event, by the names of the semantic conventions. */

#include "agent/oom/report-part.h"

bool report_knows_pod(const struct identity *limit, const struct oom_run *run)
{
	const struct identity *victim = run->kills ? run->kills->identity : NULL;

	return limit && victim && limit->level == CGLEVEL_K8S_POD && *limit->pod_uid &&
	       victim->confirmed && streq(limit->pod_uid, victim->pod_uid);
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
			event_str(b, kinds[n].key, i->owner_name);
			return;
		}
	}
	event_str(b, "telamon.k8s.owner.kind", i->owner_kind);
	event_str(b, "telamon.k8s.owner.name", i->owner_name);
}

static void add_k8s(const struct identity *i, struct event_buf *b)
{
	event_str(b, "k8s.namespace.name", i->pod_namespace);
	event_str(b, "k8s.pod.name", i->pod_name);
	event_str(b, "k8s.pod.uid", i->pod_uid);
	event_str(b, "k8s.container.name", i->k8s_container);
	event_str(b, "telamon.k8s.qos", i->qos);
	add_owner(i, b);
	event_str(b, "telamon.k8s.priority_class", i->priority_class);
	if (i->memory_request)
		event_u64(b, "telamon.k8s.memory.request", i->memory_request);
	if (i->memory_limit)
		event_u64(b, "telamon.k8s.memory.limit", i->memory_limit);
}

void report_identity(const struct identity *i, struct event_buf *b)
{
	char key[160];

	event_str(b, "telamon.cgroup.kind", cgname_kind_name(i->kind));
	event_str(b, "container.id", i->container_id);
	event_str(b, "container.name", i->container_name);
	event_str(b, "container.image.name", i->image);
	if (*i->container_id) {
		event_str(b, "container.runtime", cgname_runtime_name(i->runtime));
		event_bool(b, "telamon.container.confirmed", i->confirmed);
	}
	if (i->rootless && i->uid != UINT32_MAX)
		event_u64(b, "telamon.container.uid", i->uid);
	event_str(b, "telamon.container.outer.id", i->container_outer_id);
	add_k8s(i, b);
	event_str(b, "telamon.unit", i->unit);
	event_str(b, "telamon.machine", i->machine);
	event_str(b, "telamon.workload", i->workload);
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
