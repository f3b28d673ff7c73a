/* SPDX-License-Identifier: Apache-2.0 */
/* Section `identity:` of the agent's file. */

#include "agent/identity/config.h"

static const struct config_row root_rows[] = {
	{ .key = "run",
	  .type = CONFIG_PATH,
	  .offset = 0,
	  .size = sizeof(char *),
	  .def = "/run",
	  .help = "Where runtimes keep their state." },
	{ .key = "containers",
	  .type = CONFIG_PATH,
	  .offset = sizeof(char *),
	  .size = sizeof(char *),
	  .def = "/var/lib/containers",
	  .help = "Storage of podman and CRI-O." },
	{ .key = "docker",
	  .type = CONFIG_PATH,
	  .offset = 2 * sizeof(char *),
	  .size = sizeof(char *),
	  .def = "/var/lib/docker",
	  .help = "Storage of docker." },
	{ .key = "pods_log",
	  .type = CONFIG_PATH,
	  .offset = 3 * sizeof(char *),
	  .size = sizeof(char *),
	  .def = "/var/log",
	  .help = "Parent of the kubelet's directories pods and containers." },
	{},
};

const struct config_row identity_config_rows[] = {
	CONFIG_ROW("entries", struct identity_config, entries, CONFIG_UINT, .def = "4096",
		   .min = "64", .max = "65536", .help = "Cgroups known at most."),
	CONFIG_ROW("tombstones", struct identity_config, tombstones, CONFIG_UINT, .def = "4096",
		   .min = "0", .max = "65536", .help = "Removed cgroups remembered at most."),
	CONFIG_ROW("tombstone_ttl", struct identity_config, tombstone_ttl_us, CONFIG_DURATION,
		   .def = "1h", .min = "1m", .max = "7d",
		   .help = "How long a removed cgroup is remembered."),
	CONFIG_ROW("rescan", struct identity_config, rescan_us, CONFIG_DURATION, .def = "60s",
		   .min = "10s", .max = "1h", .flags = CONFIG_RELOAD,
		   .help = "Safety net for the tracker: walk all cgroups."),
	CONFIG_ROW("roots", struct identity_config, roots, CONFIG_MAP, .rows = root_rows,
		   .help = "Directories of container runtimes, below paths.rootfs."),
	CONFIG_ROW("labels", struct identity_config, labels, CONFIG_STRINGS, .def = "[]",
		   .max_items = 16,
		   .help = "Pod or container label keys that are copied to events."),
	{},
};
