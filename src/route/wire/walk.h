/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/buf.h"
#include "route/wire/scan.h"

/*
 * Structure of a whole body: every field of every message, before anything of it is believed
 *
 * Counts what limits count, and finds the symbols of RW2, which may stand behind the series.
 */
#define RW_SEEN_MAX (4U << 20)
#define RW_SEEN_RECORD (1 + 2 * UINT8_MAX)
struct rw_walk {
	uint64_t max[_RW_OVER_MAX], count[_RW_OVER_MAX]; /* by enum rw_over */
	enum rw_over over;
	bool has_metadata; /* RW1: messages of metadata were seen */
	struct rw_span *symbols; /* kept for the next body */
	size_t symbols_size;
	const struct rw_limits *limits; /* set by the caller, as max; none of them 0 */
	const uint8_t *usual_end; /* labels that begin below may be looked at without a bound */
	/*
	 * RW1: what the walk learnt of the labels at the start of each series, so that it is not found out twice: a count, then the length of name
	 * and value of each, a byte each. They are canonical and within all limits, if no further label follows. Count 0: look again.
	 */
	struct rw_buf seen;
	uint32_t seen_labels; /* most in a record */
	bool seen_full; /* series from there on have no record */
};

/* 0, -EBADMSG, -E2BIG with over, -ENOMEM. Counts start at 0. */
int rw_walk(struct rw_walk *w, enum rw_version version, const uint8_t *body, size_t len);
