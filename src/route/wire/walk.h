/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/buf.h"
#include "route/wire/scan.h"

/*
 * Structure of a whole body: every field of every message, before anything of it is believed
 *
 * Counts what limits count, and finds the symbols of RW2, which may stand behind the series.
 */
#define RW_USUAL_LABELS UINT8_MAX /* of a series that is understood at the first look */
struct rw_walk {
	uint64_t max[_RW_OVER_MAX], count[_RW_OVER_MAX]; /* by enum rw_over */
	enum rw_over over;
	bool has_metadata; /* RW1: messages of metadata were seen */
	struct rw_span *symbols; /* kept for the next body */
	size_t symbols_size;
	const struct rw_limits *limits; /* set by the caller, as max; none of them 0 */
	const uint8_t *usual_end; /* labels that begin below may be looked at without a bound */
	/*
	 * RW1: labels at the start of the last series, which the walk understood on its way. They are canonical and within all limits, if no further
	 * label follows behind labels_end. 0: look again.
	 */
	struct rw_label labels[RW_USUAL_LABELS];
	uint32_t n_labels, labels_max;
	const uint8_t *labels_end;
};

/* 0, -EBADMSG, -E2BIG with over, -ENOMEM. Counts start at 0. */
int rw_walk(struct rw_walk *w, enum rw_version version, const uint8_t *body, size_t len);
/* The same piece by piece: counts go on from one to the next. */
void rw_walk_begin(struct rw_walk *w, const uint8_t *body, size_t len);
int rw_walk_series1(struct rw_walk *w, const uint8_t *at, const uint8_t *end);
int rw_walk_metadata1(struct rw_walk *w, const uint8_t *at, const uint8_t *end);
