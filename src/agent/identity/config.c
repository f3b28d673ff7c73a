/* SPDX-License-Identifier: Apache-2.0 */
/* Section `identity:` of the agent's file. */

#include <errno.h>
#include <string.h>
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

static int check_url(const void *value, char *why, size_t why_size)
{
	const char *url = *(const char *const *)value;
	size_t scheme = strncmp(url, "https://", 8) == 0  ? 8
			: strncmp(url, "http://", 7) == 0 ? 7
							  : 0;

	if (scheme && url[scheme] && strcspn(url, " \t\r\n") == strlen(url))
		return 0;
	(void)snprintf(why, why_size, "'%s' is no URL of the form https://HOST:PORT/pods", url);
	return -EINVAL;
}

static int check_file(const void *value, char *why, size_t why_size)
{
	const char *path = *(const char *const *)value;

	if (!*path || *path == '/')
		return 0;
	(void)snprintf(why, why_size, "'%s' is no absolute path", path);
	return -EINVAL;
}

static const char *const mode_names[] = { "off", "on", NULL };
static const struct config_row kubelet_rows[] = {
	CONFIG_ROW("mode", struct kubelet_config, mode, CONFIG_ENUM, .def = "off",
		   .names = mode_names,
		   .help = "Ask the kubelet for owners, labels and requests of pods."),
	CONFIG_ROW(
		"url", struct kubelet_config, url, CONFIG_STRING,
		.def = "https://127.0.0.1:10250/pods", .check = check_url,
		.help = "Where the kubelet lists its pods; {node} stands for the name of this node."),
	CONFIG_ROW("token_file", struct kubelet_config, token_file, CONFIG_STRING, .def = "",
		   .check = check_file,
		   .help = "File of the bearer token, read at each poll and sent over https only."),
	CONFIG_ROW(
		"ca_file", struct kubelet_config, ca_file, CONFIG_STRING, .def = "",
		.check = check_file,
		.help = "Authorities of the kubelet's certificate, PEM; without it those of the system, which do not vouch for a self-signed one."),
	CONFIG_ROW("refresh", struct kubelet_config, refresh_us, CONFIG_DURATION, .def = "30s",
		   .min = "5s", .max = "10m", .flags = CONFIG_RELOAD,
		   .help = "Time between two polls; a pod that is not known is asked for at once."),
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
	CONFIG_ROW("kubelet", struct identity_config, kubelet, CONFIG_MAP, .rows = kubelet_rows,
		   .help = "What the kubelet of this node knows beyond the runtimes' files."),
	{},
};
