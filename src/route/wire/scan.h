/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/cleanup.h"
#include "route/wire/series.h"

/*
 * Wire scanner of remote write 1.0 and 2.0
 *
 * Walks a decoded body in place and gives one valid, canonical series after the other. Invalid series are counted and left out;
 * a body that cannot be walked ends the scan. The scan object is the scratch of one worker: it grows to what requests need, up to
 * their limits, and allocates nothing in steady state (GW-RX-19).
 */
enum rw_invalid { /* reasons of telamon_route_invalid_series_total (GW-RX-15) */
		  RW_MISSING_METRIC_NAME,
		  RW_NO_LABELS,
		  RW_EMPTY_LABEL_NAME,
		  RW_DUPLICATE_LABEL,
		  RW_INVALID_UTF8,
		  RW_BAD_SYMBOL_REF,
		  RW_ODD_SYMBOL_REFS,
		  RW_MIXED_SAMPLES_HISTOGRAMS,
		  RW_NO_SAMPLES,
		  RW_INVALID_HISTOGRAM,
		  RW_LABEL_LIMIT,
		  RW_TASK_LABEL, /* counted by the router */
		  _RW_INVALID_MAX,
};
extern const char *const rw_invalid_names[_RW_INVALID_MAX];

enum rw_over {
	RW_OVER_NONE,
	RW_OVER_SERIES,
	RW_OVER_SAMPLES,
	RW_OVER_SYMBOLS,
	_RW_OVER_MAX
}; /* 413 */

enum rw_label_limit { /* which one stands behind RW_LABEL_LIMIT */
		      RW_LIMIT_LABELS,
		      RW_LIMIT_NAME,
		      RW_LIMIT_VALUE,
		      RW_LIMIT_SERIES_BYTES,
		      _RW_LABEL_LIMIT_MAX,
};

struct rw_limits {
	uint32_t series, samples, symbols; /* per request */
	uint32_t labels, name_bytes, value_bytes, series_bytes; /* per series: reason label_limit */
	bool require_metric_name, validate_histograms;
}; /* 0 = no limit */

struct rw_totals { /* of the request, complete after the scan ended */
	uint32_t series, invalid_series; /* all of the request; of these invalid */
	uint64_t samples, histograms, exemplars; /* valid ones */
	uint64_t invalid[_RW_INVALID_MAX];
	uint64_t label_limits[_RW_LABEL_LIMIT_MAX]; /* their sum is invalid[RW_LABEL_LIMIT] */
	uint32_t empty_labels; /* removed labels with an empty value */
	enum rw_over over;
};

struct rw_scan;
int rw_scan_new(struct rw_scan **ret);
struct rw_scan *rw_scan_free(struct rw_scan *s);
DEFINE_CLEANUP(struct rw_scan *, rw_scan_free);

/*
 * @body stays untouched and alive during the scan. 0, -EBADMSG when the body cannot be walked (nothing of it may be used: the whole
 * message is checked here, before the first series is given), -E2BIG with totals.over, -ENOMEM.
 */
int rw_scan_begin(struct rw_scan *s, enum rw_version version, const struct rw_limits *l,
		  const void *body, size_t len);
/*
 * The same for RW1, but the message is checked on the way: rw_scan_next() may fail as rw_scan_begin() does, then nothing of the body may be used, and totals
 * are complete at the end alone. For who can take back what came before.
 */
void rw_scan_begin_rw1(struct rw_scan *s, const struct rw_limits *l, const void *body, size_t len);
/* 1 a series, 0 the end, -ENOMEM. */
int rw_scan_next(struct rw_scan *s, struct rw_series *ret);
/* RW1 metadata, after the series: 1, 0 the end. */
int rw_scan_metadata(struct rw_scan *s, struct rw_metadata *ret);
const struct rw_totals *rw_scan_totals(const struct rw_scan *s);
/* The first 10 bad series as `series 17: duplicate_label "job"`, counted from 0, escaped, one a line (GW-RX-15). */
const char *rw_scan_why(const struct rw_scan *s);

/* GW-RX-16. @at: one Histogram message. */
bool rw_histogram_valid(const uint8_t *at, size_t len);
