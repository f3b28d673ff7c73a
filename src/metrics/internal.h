/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "metrics/metrics.h"

#define SETS_MAX 32
#define LABEL_SLOT (METRIC_LABEL_BYTES + 1)

/* One series of an open family. `version` is odd while labels change; readers try again. */
struct metric_series {
	_Atomic uint32_t version;
	_Atomic bool used;
	bool is_other;
	_Atomic uint64_t value; /* counter, or the bits of a double */
	uint64_t touched_us;
	uint64_t hash;
	uint32_t next; /* in the bucket: index + 1, 0 = end */
	char (*labels)[LABEL_SLOT]; /* one per label of the row */
	_Atomic uint64_t *cells; /* histograms: as those of closed families */
};

/* Values of one row. */
struct family {
	const struct metric_row *row;
	unsigned n_labels;
	bool open;
	/* Closed: one cell per combination, last label runs fastest. Histograms: n_buckets + 2 cells each (count per bucket, +Inf, sum in ns). */
	_Atomic uint64_t *cells;
	size_t combinations, cells_each;
	unsigned n_values[METRIC_LABELS_MAX];
	const char *values[METRIC_LABELS_MAX][16];
	uint8_t value_len[METRIC_LABELS_MAX][16];
	/* Open. Zeroed is empty, so that a page is taken when its first series comes. Histograms: cells_each cells a slot. */
	struct metric_series *series;
	char (*label_memory)[LABEL_SLOT];
	uint32_t *buckets; /* index + 1, 0 = empty */
	size_t series_max, n_buckets;
	_Atomic size_t high; /* slots ever used: scrapes stop there */
	_Atomic size_t count;
	_Atomic uint64_t evicted;
};

struct metric_set {
	const char *module;
	struct family *families;
	size_t n;
};

struct metrics {
	pthread_mutex_t lock; /* of the list only: registration against scrapes */
	struct metric_set *sets[SETS_MAX];
	size_t n;
};

unsigned metric_label_count(const struct metric_row *row);
