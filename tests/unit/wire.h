/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-made remote-write messages, and a scan that tells what it saw as text. */
#pragma once
#include <errno.h>
#include <stdio.h>
#include "base/strbuf.h"
#include "route/wire/scan.h"
#include "route/wire/write.h"
#include "test.h"

static const struct rw_limits test_limits = { .series = 1000,
					      .samples = 1000,
					      .symbols = 1000,
					      .labels = 128,
					      .name_bytes = 1024,
					      .value_bytes = 4096,
					      .series_bytes = 65536,
					      .require_metric_name = true,
					      .validate_histograms = true };

static inline void put_label(struct rw_out *o, uint32_t number, const char *name, const char *value)
{
	size_t open = rw_out_open(o, number);

	rw_out_bytes(o, 1, name, strlen(name));
	rw_out_bytes(o, 2, value, strlen(value));
	rw_out_close(o, open);
}

/* "a=1,b=2" as labels of a series or an exemplar */
static inline void put_labels(struct rw_out *o, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, ","), name = strcspn(text, "=");
		char pair[256];

		snprintf(pair, sizeof(pair), "%.*s", (int)len, text);
		pair[name] = 0;
		put_label(o, 1, pair, pair + name + 1);
		text += len + (text[len] == ',');
	}
}

static inline void put_sample_bits(struct rw_out *o, uint64_t bits, int64_t ts, int64_t start)
{
	size_t open = rw_out_open(o, 2);

	rw_out_tag(o, 1, RW_FIXED64);
	rw_out_add(o, &bits, 8);
	rw_out_uint(o, 2, (uint64_t)ts);
	if (start)
		rw_out_uint(o, 3, (uint64_t)start);
	rw_out_close(o, open);
}

static inline void put_sample(struct rw_out *o, double value, int64_t ts)
{
	uint64_t bits;

	memcpy(&bits, &value, 8);
	put_sample_bits(o, bits, ts, 0);
}

static inline void put_series1(struct rw_out *o, const char *labels, double value, int64_t ts)
{
	size_t open = rw_out_open(o, 1);

	put_labels(o, labels);
	put_sample(o, value, ts);
	rw_out_close(o, open);
}

/* "" first, then the comma-separated ones */
static inline void put_symbols(struct rw_out *o, const char *text)
{
	rw_out_bytes(o, 4, "", 0);
	while (*text) {
		size_t len = strcspn(text, ",");

		rw_out_bytes(o, 4, text, len);
		text += len + (text[len] == ',');
	}
}

static inline void put_refs(struct rw_out *o, uint32_t number, const char *refs)
{
	size_t open = rw_out_open(o, number);

	for (; *refs; refs++)
		rw_out_varint(o, (uint64_t)(*refs - '0'));
	rw_out_close(o, open);
}

/* An exponential histogram of one bucket of two with a zero bucket of one. */
static inline void put_histogram(struct rw_out *o, uint32_t number, int64_t ts, int32_t schema,
				 int64_t start)
{
	size_t open = rw_out_open(o, number), span;

	rw_out_uint(o, 1, schema == RW_SCHEMA_CUSTOM ? 2 : 3);
	rw_out_uint(o, 4, ((uint32_t)schema << 1) ^ (uint32_t)(schema >> 31));
	if (schema != RW_SCHEMA_CUSTOM)
		rw_out_uint(o, 6, 1);
	span = rw_out_open(o, 11);
	rw_out_uint(o, 1, 0);
	rw_out_uint(o, 2, 1);
	rw_out_close(o, span);
	span = rw_out_open(o, 12);
	rw_out_varint(o, 4);
	rw_out_close(o, span);
	rw_out_uint(o, 15, (uint64_t)ts);
	if (schema == RW_SCHEMA_CUSTOM) {
		const double bound = 0.5;

		rw_out_tag(o, 16, RW_BYTES);
		rw_out_varint(o, 8);
		rw_out_add(o, &bound, 8);
	}
	if (start)
		rw_out_uint(o, 17, (uint64_t)start);
	rw_out_close(o, open);
}

static inline void tell_samples(struct strbuf *b, char kind, struct rw_span span)
{
	const uint8_t *at = span.at, *end = at + span.len;
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f))) {
		struct rw_sample x = kind == 's' ? rw_sample_get(f.at, f.len)
						 : rw_histogram_times(f.at, f.len);
		double value;

		memcpy(&value, &x.value, 8);
		strbuf_addf(b, " %c%lld", kind, (long long)x.ts);
		if (kind == 's')
			strbuf_addf(b, "=%g", value);
		if (x.start)
			strbuf_addf(b, "/%lld", (long long)x.start);
	}
}

/* One line a series: `name=value,… s<ts>=<value>[/<start>] h<ts> e<count> m c<created>;` */
static inline void tell_series(struct strbuf *b, const struct rw_series *s)
{
	for (uint32_t i = 0; i < s->n_labels; i++)
		strbuf_addf(b, "%s%.*s=%.*s", i ? "," : "", (int)s->labels[i].name_len,
			    s->labels[i].name, (int)s->labels[i].value_len, s->labels[i].value);
	tell_samples(b, 's', s->samples);
	tell_samples(b, 'h', s->histograms);
	if (s->n_exemplars)
		strbuf_addf(b, " e%u", s->n_exemplars);
	if (s->metadata.at)
		strbuf_addstr(b, " m");
	if (s->created_ts)
		strbuf_addf(b, " c%lld", (long long)s->created_ts);
	strbuf_addch(b, ';');
}

static inline int tell_exact(struct rw_scan *scan, enum rw_version version,
			     const struct rw_limits *l, const void *at, size_t len,
			     struct strbuf *b)
{
	_cleanup_(freep) void *exact = malloc(len ? len : 1);
	struct rw_series s;
	int r;

	assert_non_null(exact);
	if (len)
		memcpy(exact, at, len);
	strbuf_clear(b);
	r = rw_scan_begin(scan, version, l, exact, len);
	while (r == 0 && (r = rw_scan_next(scan, &s)) == 1) {
		tell_series(b, &s);
		r = 0;
	}
	return r;
}

/*
 * The whole body; "" and the error where it is refused. It is copied to memory of exactly its size, so that sanitizers see a step too far. What can be
 * walked is read a second time before a long unknown field: short ways are taken only far from the end, and must say the same.
 */
static inline int tell(struct rw_scan *scan, enum rw_version version, const struct rw_limits *l,
		       const void *at, size_t len, struct strbuf *b)
{
	int r = tell_exact(scan, version, l, at, len, b);
	struct rw_totals t = *rw_scan_totals(scan);
	_cleanup_(rw_buf_done) struct rw_buf padded = {};
	_cleanup_strbuf_ struct strbuf again = STRBUF_INIT;
	static const uint8_t unknown[600];
	struct rw_out o = { &padded, false };

	if (r < 0)
		return r;
	rw_out_add(&o, at, len);
	rw_out_bytes(&o, 15, unknown, sizeof(unknown));
	assert_int_equal(tell_exact(scan, version, l, padded.data, padded.len, &again), 0);
	assert_string_equal(strbuf_str(&again), strbuf_str(b));
	assert_memory_equal(&t, rw_scan_totals(scan), sizeof(t));
	return r;
}

#define TS 1778573000123 /* six bytes, as all of today */
#define AT_TS " s1778573000123=1"
