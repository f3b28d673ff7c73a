/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of OOM tracing: section `oom:` of the agent's file, and the metrics. */

#include "agent/oom/rows.h"

#define SCOPES "memcg cpuset mempolicy global sysrq unknown"
#define ROLES "chosen group shared_mm allocating_task"
#define FIELDS "scope limit gfp stat psi identity args exe trend"
#define WORKLOAD                                                                              \
	{ "kind", NULL }, { "namespace", NULL }, { "workload", NULL }, { "container", NULL }, \
	{                                                                                     \
		"pod", NULL                                                                   \
	}
#define LEVELS \
	"container k8s_pod k8s_qos k8s_root systemd_service systemd_scope systemd_slice user machine job other root"

const char *const oom_scope_names[_SCOPE_MAX] = { "memcg",  "cpuset", "mempolicy",
						  "global", "sysrq",  "unknown" };
const char *const oom_role_names[_ROLE_MAX] = { "chosen", "group", "shared_mm", "allocating_task" };
const char *const oom_field_names[_FIELD_MAX] = { "scope",    "limit", "gfp", "stat", "psi",
						  "identity", "args",  "exe", "trend" };

static const char *const tier_names[] = { "any", "tracepoint", NULL };
static const char *const kmsg_names[] = { "auto", "on", "off", NULL };

static const struct config_row limit_rows[] = {
	{ .key = "fds",
	  .type = CONFIG_UINT,
	  .offset = 0,
	  .size = sizeof(uint32_t),
	  .def = "1024",
	  .min = "0",
	  .max = "16384",
	  .help = "Cgroups with a limit whose files are kept open and whose limit hits are followed, those that met their limit last first; 0 does neither." },
	{},
};

#define METRICS_MEMBER(member)                                  \
	.offset = offsetof(struct oom_config, metrics.member) - \
		  offsetof(struct oom_config, metrics),         \
	.size = sizeof(((struct oom_config *)0)->metrics.member)

static const struct config_row metrics_rows[] = {
	{ .key = "series_max",
	  .type = CONFIG_UINT,
	  METRICS_MEMBER(series_max),
	  .def = "2000",
	  .min = "16",
	  .max = "100000",
	  .help = "Workload series at most; the rest is counted as workload _other." },
	{ .key = "retention",
	  .type = CONFIG_DURATION,
	  METRICS_MEMBER(retention_us),
	  .def = "24h",
	  .min = "1m",
	  .max = "30d",
	  .flags = CONFIG_RELOAD,
	  .help = "How long a series stays after its last kill." },
	{ .key = "preinit",
	  .type = CONFIG_BOOL,
	  METRICS_MEMBER(preinit),
	  .def = "true",
	  .flags = CONFIG_RELOAD,
	  .help = "Show workload series with 0 before their first kill, until 15 minutes after their last container." },
	{ .key = "pod_label",
	  .type = CONFIG_BOOL,
	  METRICS_MEMBER(pod_label),
	  .def = "false",
	  .help = "Add the label pod to workload series." },
	{},
};

const struct config_row oom_config_rows[] = {
	CONFIG_ROW("enabled", struct oom_config, enabled, CONFIG_BOOL, .def = "true",
		   .help = "Trace OOM kills."),
	CONFIG_ROW("max_tier", struct oom_config, max_tier, CONFIG_ENUM, .def = "any",
		   .names = tier_names,
		   .help = "With tracepoint, trampolines and kprobes are not tried."),
	CONFIG_ROW("ring_bytes", struct oom_config, ring_bytes, CONFIG_SIZE, .def = "1MiB",
		   .min = "256KiB", .max = "64MiB",
		   .help = "Ring of OOM records, rounded up to a power of two of pages."),
	CONFIG_ROW("spill_entries", struct oom_config, spill_entries, CONFIG_UINT, .def = "1024",
		   .min = "64", .max = "65536",
		   .help = "Core records that are kept when the ring is full."),
	CONFIG_ROW("wait", struct oom_config, wait_us, CONFIG_DURATION, .def = "500ms", .min = "0s",
		   .max = "5s", .flags = CONFIG_RELOAD,
		   .help = "Longest wait for late facts before a record is written."),
	CONFIG_ROW("aftermath", struct oom_config, aftermath_us, CONFIG_DURATION, .def = "60s",
		   .min = "1s", .max = "10m", .flags = CONFIG_RELOAD,
		   .help = "Longest wait for the victims of a decision to exit."),
	CONFIG_ROW("victims", struct oom_config, victims, CONFIG_UINT, .def = "1024", .min = "64",
		   .max = "65536", .help = "Victims that are followed until they exit."),
	CONFIG_ROW("members_max", struct oom_config, members_max, CONFIG_UINT, .def = "64",
		   .min = "0", .max = "1024", .flags = CONFIG_RELOAD,
		   .help = "Members of a group kill that one record lists."),
	CONFIG_ROW("args_bytes", struct oom_config, args_bytes, CONFIG_UINT, .def = "256",
		   .min = "0", .max = "1024",
		   .help = "Bytes of a command line that are kept; 0 keeps none."),
	CONFIG_ROW("args_entries", struct oom_config, args_entries, CONFIG_UINT, .def = "8192",
		   .min = "0", .max = "65536",
		   .help = "Command lines kept at most, least recently used out first."),
	CONFIG_ROW("user_stack", struct oom_config, user_stack, CONFIG_BOOL, .def = "true",
		   .help = "Record the stack of the victim when it triggered its own kill."),
	CONFIG_ROW("trend_window", struct oom_config, trend_window_us, CONFIG_DURATION,
		   .def = "60s", .min = "0s", .max = "10m", .flags = CONFIG_RELOAD,
		   .help = "Length of the memory trend in a record: its newest points are shown."),
	CONFIG_ROW("processes_top", struct oom_config, processes_top, CONFIG_UINT, .def = "5",
		   .min = "0", .max = "20", .flags = CONFIG_RELOAD,
		   .help = "Largest processes of the limiting cgroup in a record."),
	CONFIG_ROW(
		"kmsg", struct oom_config, kmsg, CONFIG_ENUM, .def = "auto", .names = kmsg_names,
		.help = "Read the kernel log: auto reads it where the decision itself cannot be hooked."),
	CONFIG_ROW("limits", struct oom_config, limits, CONFIG_MAP, .rows = limit_rows,
		   .help = "Files of cgroups."),
	CONFIG_ROW(
		"drop_capabilities", struct oom_config, drop_capabilities, CONFIG_BOOL,
		.def = "false",
		.help = "Drop CAP_BPF and CAP_PERFMON after start; a reload then does not probe again."),
	CONFIG_ROW("metrics", struct oom_config, metrics, CONFIG_MAP, .rows = metrics_rows,
		   .help = "Workload series."),
	{},
};

static const double kill_to_exit[] = { 0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316,
				       1,     3.16,    10,   31.6,   60 };
static const double delays[] = { 0.00001, 0.0000316, 0.0001, 0.000316, 0.001, 0.00316, 0.01,
				 0.0316,  0.1,	     0.316,  1,	       3.16,  10 };

const struct metric_row oom_metric_rows[_OOM_METRIC_MAX] = {
	[OOM_KILLS] = {
		.name = "telamon_oom_kills_total", .type = METRIC_COUNTER, .other = "workload",
		.labels = { { "scope", SCOPES }, WORKLOAD },
		.source = "oom:mark_victim", .help = "Victims by their own workload.",
	},
	[OOM_NODE_KILLS] = {
		.name = "telamon_oom_node_kills_total", .type = METRIC_COUNTER,
		.labels = { { "scope", SCOPES }, { "role", ROLES } },
		.source = "oom:mark_victim", .help = "Victims on this node; these series are never evicted.",
	},
	[OOM_DECISIONS] = {
		.name = "telamon_oom_decisions_total", .type = METRIC_COUNTER,
		.labels = { { "scope", SCOPES }, { "outcome", "killed reserve no_victim" } },
		.help = "Runs of the OOM killer.",
	},
	[OOM_LIMIT_KILLS] = {
		.name = "telamon_oom_limit_kills_total", .type = METRIC_COUNTER, .other = "workload",
		.labels = { { "kind", NULL }, { "namespace", NULL }, { "workload", NULL }, { "level", LEVELS } },
		.help = "Chosen victims by the cgroup whose limit was hit.",
	},
	[OOM_LIMIT_HITS] = {
		.name = "telamon_oom_limit_hits_total", .type = METRIC_COUNTER, .other = "workload",
		.labels = { { "event", "max oom oom_group_kill failcnt" }, WORKLOAD },
		.source = "memory.events, memory.oom_control", .help = "Limit events of cgroups.",
	},
	[OOM_LIMIT_OPEN] = {
		.name = "telamon_oom_limit_cgroups", .type = METRIC_GAUGE,
		.help = "Cgroups with a limit whose files are kept open and whose limit hits are followed (oom.limits.fds).",
	},
	[OOM_LIMIT_REFUSED] = {
		.name = "telamon_oom_limit_refused_total", .type = METRIC_COUNTER,
		.help = "Cgroups with a limit that found no room or no descriptors among those.",
	},
	[OOM_LIMIT_EVICTED] = {
		.name = "telamon_oom_limit_evicted_total", .type = METRIC_COUNTER,
		.help = "Cgroups that made room for one whose limit was met.",
	},
	[OOM_LAST_KILL] = {
		.name = "telamon_oom_last_kill_timestamp_seconds", .type = METRIC_GAUGE, .labels = { WORKLOAD },
		.help = "Wall time of the last kill.",
	},
	[OOM_KILLED_BYTES] = {
		.name = "telamon_oom_killed_bytes_total", .type = METRIC_COUNTER,
		.labels = { { "type", "anon file shmem swap pgtables" } },
		.help = "Memory of victims when they were marked.",
	},
	[OOM_TRIGGER_FOREIGN] = {
		.name = "telamon_oom_trigger_foreign_total", .type = METRIC_COUNTER,
		.help = "Kills whose trigger sits in another cgroup than the victim.",
	},
	[OOM_KILL_TO_EXIT] = {
		.name = "telamon_oom_kill_to_exit_seconds", .type = METRIC_HISTOGRAM, .buckets = kill_to_exit,
		.n_buckets = ARRAY_SIZE(kill_to_exit), .help = "Time from the mark to the exit of the last thread.",
	},
	[OOM_REAPER] = {
		.name = "telamon_oom_reaper_total", .type = METRIC_COUNTER, .labels = { { "result", "reaped skipped" } },
		.help = "What the OOM reaper did with victims.",
	},
	[OOM_DECISION_SECONDS] = {
		.name = "telamon_oom_decision_seconds", .type = METRIC_HISTOGRAM, .buckets = delays,
		.n_buckets = ARRAY_SIZE(delays), .help = "Duration of out_of_memory(), where it can be hooked.",
	},
	[OOM_EVENT_DELAY] = {
		.name = "telamon_oom_event_delay_seconds", .type = METRIC_HISTOGRAM,
		.labels = { { "stage", "counter bus record journal" } }, .buckets = delays,
		.n_buckets = ARRAY_SIZE(delays), .help = "Delay from the kernel's stamp to each stage.",
	},
	[OOM_RECORDS] = {
		.name = "telamon_oom_records_total", .type = METRIC_COUNTER, .help = "Records read from the kernel.",
	},
	[OOM_LOST] = {
		.name = "telamon_oom_lost_total", .type = METRIC_COUNTER,
		.labels = { { "reason", "ring_full spill_full decode victims_full journal" } },
		.help = "What was lost; ring_full went to the spill table and is reported from there.",
	},
	[OOM_RING_BYTES] = {
		.name = "telamon_oom_ring_size_bytes", .type = METRIC_GAUGE, .help = "Size of the ring of OOM records.",
	},
	[OOM_RING_REOPENED] = {
		.name = "telamon_oom_ring_reopened_total", .type = METRIC_COUNTER,
		.help = "Tries to open the ring of OOM records anew after it could not be mapped or read.",
	},
	[OOM_SPILL_CAPACITY] = {
		.name = "telamon_oom_spill_capacity", .type = METRIC_GAUGE,
		.help = "Core records that are kept while the ring is full.",
	},
	[OOM_UNSEEN] = {
		.name = "telamon_oom_unseen_kills_total", .type = METRIC_COUNTER, .source = "/proc/vmstat oom_kill",
		.help = "Kills that the kernel counted and no record told of, those that are known to be lost among them.",
	},
	[OOM_FIELDS_MISSING] = {
		.name = "telamon_oom_fields_missing_total", .type = METRIC_COUNTER, .labels = { { "field", FIELDS } },
		.help = "Facts that no source gave.",
	},
	[OOM_SERIES] = {
		.name = "telamon_oom_series", .type = METRIC_GAUGE, .help = "Workload series.",
	},
	[OOM_SERIES_EVICTED] = {
		.name = "telamon_oom_series_evicted_total", .type = METRIC_COUNTER,
		.help = "Workload series that were evicted or refused; their counts are in workload _other.",
	},
};
