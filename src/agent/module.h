/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/config.h"
#include "event/bus.h"
#include "event/redact.h"
#include "event/stream.h"
#include "metrics/metrics.h"
#include "sys/cgroup.h"
#include "sys/clock.h"
#include "sys/hook.h"
#include "sys/identity.h"
#include "sys/loop.h"
#include "sys/probe.h"

/*
 * What a module of the agent is, and what the agent gives it
 *
 * A module is one const descriptor in the table of agent.c. Modules never include each other: they meet in the bus,
 * the metric registry and the provider table.
 */

/* Facts that one module knows and another wants at once: allocates nothing, blocks on nothing, ≤ 200 µs (OOM-306). */
enum provider_name {
	PROVIDER_MEMORY_TREND, /* struct provider_trend */
	PROVIDER_MEMORY_GROWER, /* struct provider_grower */
	PROVIDER_MEMORY_LARGEST, /* array of struct provider_process */
	PROVIDER_HOT_STACKS,
	_PROVIDER_MAX,
};
struct provider_trend {
	double step_s, rate; /* rate: bytes/s */
	double forecast_age_s; /* < 0: not forecast */
	uint64_t hard[64], usage[64]; /* bytes, oldest first */
	size_t n;
};
struct provider_grower {
	uint32_t pid;
	char exe[256], cgroup[512];
	int64_t bytes;
};
struct provider_process {
	uint32_t pid;
	char comm[16];
	uint64_t rss, swap;
	double age_s;
};
/* Bytes written to @buf (whole structs), 0 = nothing known. */
typedef size_t (*provider_fn)(void *ctx, uint64_t cgroup_id, uint32_t pid, uint64_t start_boot_ns,
			      void *buf, size_t size);
struct provider {
	provider_fn fn;
	void *ctx;
};

struct agent { /* what modules may use; owned by agent.c, valid from start to stop */
	struct loop *loop;
	struct workers *workers;
	struct metrics *metrics;
	struct event_origin *origin;
	struct event_stream *stream;
	struct bus *bus;
	struct redact *redact;
	struct clock_map *clock;
	struct identity_cache *
		identity; /* made by the identity module's prepare(), freed by agent.c after all stops */
	const struct cgroup_layout *cgroups;
	const struct hook_env *env;
	struct provider *providers; /* _PROVIDER_MAX */
	const struct config *config;
	const char *rootfs; /* "/" or a fixture tree */
	const char *host_name;
	bool prefaulted; /* a module touched and locked the pools of its event path (OOM-611) */
	void (*hooks_changed)(
		struct agent *a); /* a module re-probed: metrics and hooks.json follow */
};

struct module {
	const char *name; /* section of the configuration and label value */
	const char *help;
	const struct config_row *config; /* may be NULL */
	size_t config_size;
	const struct metric_row *metrics; /* may be NULL */
	size_t n_metrics;
	size_t (*series_max)(const void *config); /* of open families; NULL: 256 */
	bool (*enabled)(const void *config); /* NULL: always on */
	/* Before any start(), in table order: creates what other modules need (the identity cache). May be NULL. */
	int (*prepare)(struct agent *a, const void *config);
	/* Attaches hooks first, then seeds. 0, or -errno: the agent logs it once and runs on without the module. */
	int (*start)(struct agent *a, const void *config, struct metric_set *metrics,
		     void **ret_state);
	void (*tick)(void *state,
		     uint64_t now_us); /* each second, for what needs no timer of its own */
	void (*reload)(void *state,
		       const void *config); /* new configuration snapshot; also re-probes hooks */
	void (*stop)(void *state);
	/* States of the module's capabilities, for metrics, hooks.json and doctor. Number of them. */
	size_t (*hooks)(const void *state, const struct hook_state **ret);
};

extern const struct module module_identity; /* agent/identity */
extern const struct module module_oom; /* agent/oom */
