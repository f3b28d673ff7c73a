/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/buf.h"
#include "route/wire/series.h"

/*
 * Realistic remote-write bodies for benchmarks and load
 *
 * Pure: series i of a shape has the same labels in every body, so that what was sent can be counted where it arrives. Mixed: targets of a
 * Kubernetes cluster one after the other, families of counters, gauges and histogram buckets, ten labels. Even: one family on many hosts, eight labels.
 */
enum sample_body { SAMPLE_BODY_MIXED, SAMPLE_BODY_EVEN, _SAMPLE_BODY_MAX };

#define SAMPLE_BODY_LABELS_MAX 64
#define SAMPLE_BODY_TEXT_MAX 8192

struct sample_shape {
	enum sample_body kind;
	uint32_t labels; /* 0 = those of the kind; more are filled up */
	uint32_t series_per_host; /* 0 = 200 */
};

/* Canonical labels of series @i, their text in @text (SAMPLE_BODY_TEXT_MAX). Number. */
uint32_t sample_body_labels(const struct sample_shape *shape, uint64_t i,
			    struct rw_label labels[SAMPLE_BODY_LABELS_MAX], char *text);
double sample_body_value(const struct sample_shape *shape, uint64_t i, int64_t ts);
/* RW1 body of @n series from @first on, one sample each, appended to @out. False: no memory. */
bool sample_body_rw1(const struct sample_shape *shape, uint64_t first, uint32_t n, int64_t ts,
		     struct rw_buf *out);
