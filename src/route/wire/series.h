/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One series of a remote-write request, as every part of the gateway sees it
 *
 * Labels are canonical: sorted by the bytes of the name, no empty values, no name twice. Pointers go into the decoded body or into
 * the scratch of the scan and are valid until the next series is scanned. Nothing here is owned.
 */
enum rw_version { RW1, RW2, _RW_VERSION_MAX };
extern const char *const rw_version_names[_RW_VERSION_MAX]; /* "rw1", "rw2" */

struct rw_label {
	const char *name, *value;
	uint32_t name_len, value_len;
};

struct rw_span {
	const uint8_t *at;
	size_t len;
};
#define RW_EMPTY ((struct rw_span){ (const uint8_t *)"", 0 }) /* may be walked; at NULL may not */

/* Bytes are wire fields with their tags, in the numbers of the request's own version, many fields one after the other. */
struct rw_series {
	enum rw_version version;
	const struct rw_label *labels;
	uint32_t n_labels;
	/*
	 * Canonical bytes of the labels (the RW1 wire form): per label 0A len(label) 0A len(name) name 12 len(value) value, minimal
	 * varints. In the body where the sender wrote them so, else in scratch. RW2 and changed labels: made on demand by
	 * rw_canon().
	 */
	struct rw_span canon; /* at NULL = not made yet */
	/*
	 * Usually canon, samples, exemplars, histograms lie one behind the other in the body and are copied as one. Who leaves samples
	 * out sets a span of its own, the counts and the bounds of time.
	 */
	struct rw_span samples, histograms, exemplars;
	const uint8_t *readable; /* RW1: up to there, behind the fields, the body may be read */
	struct rw_span metadata; /* RW2 field 5, without tag */
	uint32_t n_samples, n_histograms, n_exemplars;
	uint32_t n_starts; /* RW2: samples and histograms with a start timestamp of their own */
	int64_t min_ts,
		max_ts; /* ms, over samples and histograms; min > max where there are none */
	int64_t created_ts; /* RW2 TimeSeries field 6, 0 = unset */
	const struct rw_symbols *symbols; /* RW2: what refs in exemplars and metadata mean */
	const uint32_t *refs; /* RW2: name and value of each label as symbols, 2 x n_labels */
};

struct rw_symbols {
	const struct rw_span *items; /* symbols[0] = "" */
	uint32_t n;
	uint64_t id; /* of the request, unique in this process: what a block learnt about a symbol holds as long */
};

struct rw_metadata { /* RW1: WriteRequest.metadata */
	uint32_t type; /* 0 unspecified counter gauge histogram gaugehistogram summary info stateset */
	struct rw_span family, help, unit;
};
struct rw_field;
/* One WriteRequest.metadata. False: it has no family, or some text is no UTF-8. */
bool rw_metadata_get(const struct rw_field *message, struct rw_metadata *m);
/* What an RW2 series says of its family, as RW1 has it (GW-CV-5). False: nothing. */
bool rw_series_metadata(const struct rw_series *s, struct rw_metadata *ret);

/* Family of a series name (GW-SH-3): one suffix of _bucket _sum _count _total _created cut, never to empty. Length of the family. */
size_t rw_family_len(const char *name, size_t len);
/* Label by name, NULL when absent. Labels are sorted. */
const struct rw_label *rw_find_label(const struct rw_label *labels, size_t n, const char *name,
				     size_t name_len);
/* Bytes of @name compared as memcmp, shorter first: the order of canonical labels. */
int rw_label_compare(const struct rw_label *a, const struct rw_label *b);
/* Canonical bytes of @labels into @buf: length, or 0 when @size is too small (need: rw_canon_len()). */
size_t rw_canon_len(const struct rw_label *labels, size_t n);
size_t rw_canon(const struct rw_label *labels, size_t n, uint8_t *buf, size_t size);
/* One label in that form at @at, which has room; the end. */
uint8_t *rw_canon_label(uint8_t *at, const struct rw_label *l);
