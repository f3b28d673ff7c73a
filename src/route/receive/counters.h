/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>
#include "base/durations.h"
#include "route/wire/block.h"
#include "route/wire/scan.h"

/*
 * What one worker counted. Only its thread writes, others read at any time: plain loads and stores that are whole.
 */
#define COUNT(field, n) __atomic_store_n(&(field), (field) + (uint64_t)(n), __ATOMIC_RELAXED)
#define COUNTED(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

static const int64_t lag_bounds_ms[7] = { 100, 1000, 10000, 60000, 600000, 3600000, 86400000 };

enum drop_reason { /* stage and reason of telamon_route_dropped_samples_total (GW-OB-3) */
		   DROP_LATE,
		   DROP_FUTURE,
		   DROP_RELABEL,
		   DROP_EMPTY_LABELS,
		   DROP_REGEX_LIMIT,
		   DROP_NO_ROUTE,
		   _DROP_MAX,
};

struct route_counters { /* samples + histograms */
	uint64_t accepted, unmatched, skipped, dropped[_DROP_MAX];
	uint64_t series, refused; /* accepted; of these in requests that were answered with 503 */
	uint64_t lag_draw, lag_buckets[8], lag_ms_sum; /* one sample of 64 */
	struct durations write; /* from the request to the last queue that has it */
	uint64_t cache_entries, cache_bytes, cache_hits, cache_misses, cache_evictions;
};

/* Of a route by its name: they outlive the snapshot. A list that only grows, so that others may read it. */
struct named_counters {
	struct named_counters *next;
	char name[65];
	struct route_counters c;
};

struct worker_counters {
	uint64_t requests_in_flight;
	uint64_t series[_RW_VERSION_MAX], samples[_RW_VERSION_MAX], histograms[_RW_VERSION_MAX],
		exemplars[_RW_VERSION_MAX], metadata[_RW_VERSION_MAX];
	uint64_t wire_bytes[_RW_VERSION_MAX], decoded_bytes[_RW_VERSION_MAX];
	uint64_t invalid[_RW_INVALID_MAX], empty_labels;
	uint64_t label_limits[_RW_LABEL_LIMIT_MAX], over[_RW_OVER_MAX]; /* series; requests */
	uint64_t losses[_RW_LOSS_MAX];
	uint64_t dropped[_DROP_MAX]; /* before routing, and of no route */
	uint64_t append_errors;
};
