/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config/config.h"

enum kubelet_mode { KUBELET_OFF, KUBELET_ON };
struct kubelet_config {
	int mode; /* enum kubelet_mode */
	const char *url, *token_file, *ca_file; /* files: "" = none */
	uint64_t refresh_us;
};

struct identity_config {
	uint32_t entries, tombstones;
	uint64_t tombstone_ttl_us, rescan_us;
	struct {
		const char *run, *containers, *docker, *pods_log;
	} roots;
	struct config_strings labels;
	struct kubelet_config kubelet;
};
extern const struct config_row identity_config_rows[];
