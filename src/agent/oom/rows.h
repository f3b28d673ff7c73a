/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config/config.h"
#include "metrics/metrics.h"

enum oom_tier { OOM_TIER_ANY, OOM_TIER_TRACEPOINT };
enum oom_kmsg { OOM_KMSG_AUTO, OOM_KMSG_ON, OOM_KMSG_OFF };

struct oom_config {
	bool enabled;
	int max_tier; /* enum oom_tier */
	uint64_t ring_bytes;
	uint32_t spill_entries;
	uint64_t wait_us, aftermath_us;
	uint32_t victims, members_max, args_bytes, args_entries;
	bool user_stack;
	uint64_t trend_window_us;
	uint32_t processes_top;
	int kmsg; /* enum oom_kmsg */
	struct {
		uint32_t fds;
	} limits;
	bool drop_capabilities;
	struct {
		uint32_t series_max;
		uint64_t retention_us;
		bool preinit, pod_label;
	} metrics;
};
extern const struct config_row oom_config_rows[];

enum oom_metric {
	OOM_KILLS,
	OOM_NODE_KILLS,
	OOM_DECISIONS,
	OOM_LIMIT_KILLS,
	OOM_LIMIT_HITS,
	OOM_LIMIT_OPEN,
	OOM_LIMIT_REFUSED,
	OOM_LIMIT_EVICTED,
	OOM_LAST_KILL,
	OOM_KILLED_BYTES,
	OOM_TRIGGER_FOREIGN,
	OOM_KILL_TO_EXIT,
	OOM_REAPER,
	OOM_DECISION_SECONDS,
	OOM_EVENT_DELAY,
	OOM_RECORDS,
	OOM_LOST,
	OOM_RING_BYTES,
	OOM_RING_REOPENED,
	OOM_SPILL_CAPACITY,
	OOM_UNSEEN,
	OOM_FIELDS_MISSING,
	OOM_SERIES,
	OOM_SERIES_EVICTED,
	_OOM_METRIC_MAX,
};
extern const struct metric_row oom_metric_rows[_OOM_METRIC_MAX];

/* Order of the closed label sets in rows.c. */
enum oom_scope {
	SCOPE_MEMCG,
	SCOPE_CPUSET,
	SCOPE_MEMPOLICY,
	SCOPE_GLOBAL,
	SCOPE_SYSRQ,
	SCOPE_UNKNOWN,
	_SCOPE_MAX
};
enum oom_role { ROLE_CHOSEN, ROLE_GROUP, ROLE_SHARED_MM, ROLE_ALLOCATING_TASK, _ROLE_MAX };
enum oom_outcome { OUTCOME_KILLED, OUTCOME_RESERVE, OUTCOME_NO_VICTIM };
enum oom_stage { STAGE_COUNTER, STAGE_BUS, STAGE_RECORD, STAGE_JOURNAL };
enum oom_lost_reason {
	LOST_RING_FULL,
	LOST_SPILL_FULL,
	LOST_DECODE,
	LOST_VICTIMS_FULL,
	LOST_JOURNAL
};
enum oom_field {
	FIELD_SCOPE,
	FIELD_LIMIT,
	FIELD_GFP,
	FIELD_STAT,
	FIELD_PSI,
	FIELD_IDENTITY,
	FIELD_ARGS,
	FIELD_EXE,
	FIELD_TREND,
	_FIELD_MAX,
};
extern const char *const oom_scope_names[_SCOPE_MAX];
extern const char *const oom_role_names[_ROLE_MAX];
extern const char *const oom_field_names[_FIELD_MAX];
