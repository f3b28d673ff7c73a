/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/buf.h"
#include "route/wire/field.h"
#include "route/wire/scan.h"
#include "route/wire/text.h"

/*
 * Labels of the series in work: read, judged, made canonical
 *
 * While they are read, it is noted whether they already are as they should be; then finishing is a few comparisons.
 */
struct rw_labels {
	struct rw_label *items; /* n of them */
	size_t items_size;
	uint32_t n;
	uint32_t *refs; /* RW2: n_refs as sent; after finish those of the items */
	size_t refs_size;
	uint32_t n_refs;
	struct rw_labels_item *sort, *sort_tmp;
	size_t sort_size, sort_tmp_size;

	uint32_t max; /* one more is kept, so that it shows */
	struct rw_span span; /* the fields, one behind the other; in_place only */
	const uint8_t *body_end; /* names may be read 8 bytes at a time up to here */
	uint64_t last_key; /* of the name before */
	bool in_place; /* the bytes are canonical but for what the flags say */
	bool ascending; /* each name greater than the one before */
	bool ascii;
	bool empty; /* a name or value of no bytes */
	uint32_t longest_name, longest_value;
	enum rw_label_limit over; /* where the reason is RW_LABEL_LIMIT */
};

void rw_labels_done(struct rw_labels *l);
void rw_labels_begin(struct rw_labels *l, uint32_t max);
/*
 * RW2: labels of one field of packed refs that are canonical as sent and within all limits. False: they are not, or that cannot be told in one look;
 * nothing is said about them.
 */
bool rw_labels_usual_refs(struct rw_labels *l, const struct rw_limits *limits, const uint8_t *at,
			  const uint8_t *end, const struct rw_symbols *symbols);
/* One field [at, end) of any form. False: no memory. */
bool rw_labels_add(struct rw_labels *l, const uint8_t *at, const struct rw_field *f,
		   const uint8_t *end);
bool rw_labels_add_refs(struct rw_labels *l, const struct rw_field *f);
/*
 * Sorted, without empty values, judged. -1; a reason of enum rw_invalid with the text that is to blame; -ENOMEM. @ret_empty: removed ones.
 */
int rw_labels_finish(struct rw_labels *l, const struct rw_limits *limits,
		     const struct rw_symbols *symbols, uint32_t *ret_empty,
		     struct rw_span *ret_culprit);
/* A Label message; the last name and value count. */
void rw_label_get(const uint8_t *at, size_t len, struct rw_label *ret);
