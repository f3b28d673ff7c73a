/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config/config.h"

struct identity_config {
	uint32_t entries, tombstones;
	uint64_t tombstone_ttl_us, rescan_us;
	struct {
		const char *run, *containers, *docker, *pods_log;
	} roots;
	struct config_strings labels;
};
extern const struct config_row identity_config_rows[];
