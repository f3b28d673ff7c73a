/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/strbuf.h"

/*
 * Metric rows and their values
 *
 * A row describes one family: name, type, closed or open labels, help, source. Families whose labels are all closed get
 * one value per combination up front. Families with an open label hold series in a preallocated table: one thread
 * (the loop) creates, updates and evicts; scrapes read at any time without a lock, checked by a sequence number per
 * series. Updating never allocates, blocks or takes a lock.
 */
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_INFO, _METRIC_TYPE_MAX };

#define METRIC_LABELS_MAX 8
#define METRIC_LABEL_BYTES 128 /* longer values are cut on a character boundary */

struct metric_label {
	const char *name;
	const char *values; /* closed set "a b c"; NULL: open */
};

struct metric_row {
	const char *name; /* complete, with unit and _total */
	enum metric_type type;
	struct metric_label labels[METRIC_LABELS_MAX + 1]; /* ends with {} */
	/* Open families: which label says "_other" for refused and evicted series (counters only); NULL: series are dropped and counted. */
	const char *other;
	/* Histogram: upper bounds in seconds, ascending, without +Inf. */
	const double *buckets;
	size_t n_buckets;
	double scale; /* counters kept in another unit: exposition prints value x scale (microseconds: 1e-6); 0 = 1 */
	const char *source; /* where the value comes from, for docs */
	const char *help; /* one sentence */
};

struct metrics; /* the registry */
struct metric_set; /* values of one module's rows */
struct metric_series; /* one series of an open family */

int metrics_new(struct metrics **ret);
struct metrics *metrics_free(struct metrics *m);
DEFINE_CLEANUP(struct metrics *, metrics_free);

/* Rows stay owned by the caller (static const). @series_max: per open family. Bad rows are programming errors: assert. */
int metrics_register(struct metrics *m, const char *module, const struct metric_row *rows, size_t n,
		     size_t series_max, struct metric_set **ret);

/*
 * Closed families: label values by index in their row's closed sets, one argument per label; unused ones 0.
 * Safe from any thread.
 */
struct metric_ref {
	uint16_t metric; /* index of the row */
	uint8_t v[METRIC_LABELS_MAX];
};
#define METRIC(metric_, ...) ((struct metric_ref){ .metric = (metric_), .v = { __VA_ARGS__ } })
void metric_add(struct metric_set *s, struct metric_ref r, uint64_t n); /* counters */
void metric_store(struct metric_set *s, struct metric_ref r,
		  uint64_t total); /* counters kept elsewhere */
void metric_gauge(struct metric_set *s, struct metric_ref r,
		  double value); /* NaN: absent from exposition */
void metric_observe(struct metric_set *s, struct metric_ref r, double seconds);

/*
 * Open families, loop thread only. @values: one per label of the row, in order, NULL or "" = empty. Finds or creates; at the cap the
 * oldest unused series is evicted if it is older than the retention given to metric_series_expire(), else the call
 * answers the "_other" series. Never NULL for counters with .other.
 */
struct metric_series *metric_series(struct metric_set *s, uint16_t metric,
				    const char *const *values, uint64_t now_us);
void metric_series_add(struct metric_series *x, uint64_t n, uint64_t now_us);
void metric_series_gauge(struct metric_series *x, double value, uint64_t now_us);
/* @n_counts is n_buckets + 1 of the row. */
void metric_series_observe(struct metric_series *x, const uint64_t *counts, size_t n_counts,
			   uint64_t sum_ns, uint64_t now_us);
void metric_series_drop(
	struct metric_set *s, uint16_t metric,
	const char *const *values); /* gone without a trace (gauges, unused preinit) */
/* The one that exists, or NULL: nothing is created or counted. */
struct metric_series *metric_series_find(struct metric_set *s, uint16_t metric,
					 const char *const *values);
/* Counters that are still 0 and were not touched since @before_us go without a trace. Returns how many. */
size_t metric_series_drop_zero(struct metric_set *s, uint16_t metric, uint64_t before_us);
void metric_series_clear(struct metric_set *s, uint16_t metric); /* all series of an info family */
/* Evicts series not touched since @before_us; counters' values move to "_other". Returns how many. */
size_t metric_series_expire(struct metric_set *s, uint16_t metric, uint64_t before_us);
size_t metric_series_count(const struct metric_set *s, uint16_t metric);
uint64_t metric_series_evicted(const struct metric_set *s,
			       uint16_t metric); /* evicted or refused */
uint64_t metric_series_value(const struct metric_series *x);

enum metrics_format { METRICS_TEXT, METRICS_OPENMETRICS };
/* Whole exposition; families sorted as registered; only formats cached values. Any thread. */
void metrics_write(const struct metrics *m, enum metrics_format format, struct strbuf *out);
extern const char *const metrics_content_type[2];
enum metrics_format metrics_negotiate(const char *accept); /* Accept header, may be NULL */

/* docs/metrics.md: one table per module out of the rows. */
void metrics_write_docs(const char *module, const struct metric_row *rows, size_t n,
			struct strbuf *out);
