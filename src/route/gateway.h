/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "metrics/metrics.h"
#include "route/receive/pipeline.h"
#include "route/snapshot.h"

/*
 * telamon-route: workers, snapshots, reload, stop
 *
 * The main thread runs a loop: signals, a tick each second, reload. Workers own their connections and open blocks; they take a new snapshot
 * between two requests. One thread sends.
 */
struct gateway_options { /* of the command line */
	const char *config_file, *web_config_file, *admin_address, *telemetry_path, *storage_path;
	const char *const *listen_addresses; /* NULL-terminated, at least one */
	bool lifecycle;
	unsigned workers; /* 0 = CPUs */
	uint64_t shutdown_timeout_us;
	enum rw_snappy snappy;
	uint64_t max_body,
		send_timeout_us; /* of the original's flags, in place of keys that the file does not give; 0 = not given */
};
int gateway_run(const struct gateway_options *o); /* until a signal; exit status 0, 1 */
int gateway_check(const char *config_file); /* prints diagnostics; 0, 1 */
