/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wire scanner: one series after the other
 *
 * The structure was checked by rw_walk(), so reading cannot fail here; what is judged is meaning. A series as senders write it, sorted, without
 * empty values, is given where it lies; only what has to be changed is made again in scratch. Scratch is kept from request to request.
 */

#include <errno.h>
#include <stdatomic.h>
#include "base/strbuf.h"
#include "route/wire/labels.h"
#include "route/wire/usual.h"
#include "route/wire/walk.h"

#define WHY_SERIES 10
#define WHY_TEXT 128

const char *const rw_invalid_names[_RW_INVALID_MAX] = {
	"missing_metric_name", "no_labels",	    "empty_label_name", "duplicate_label",
	"invalid_utf8",	       "bad_symbol_ref",    "odd_symbol_refs",	"mixed_samples_histograms",
	"no_samples",	       "invalid_histogram", "label_limit",	"task_label",
};

enum part { SAMPLES, HISTOGRAMS, EXEMPLARS, _PART_MAX };

/* Fields of TimeSeries in both versions. */
enum role { OTHER, LABELS, REFS, SAMPLE, HISTOGRAM, EXEMPLAR, METADATA, CREATED };
static const uint8_t roles[_RW_VERSION_MAX][7] = {
	[RW1] = { [1] = LABELS, [2] = SAMPLE, [3] = EXEMPLAR, [4] = HISTOGRAM },
	[RW2] = { [1] = REFS, [2] = SAMPLE, [3] = HISTOGRAM, [4] = EXEMPLAR, [5] = METADATA, [6] = CREATED },
};

struct stamp { /* a sample or histogram while they are sorted */
	int64_t ts;
	size_t at, len;
};

#define SYMBOLS_KEPT 131072 /* places in the table */

struct rw_scan {
	enum rw_version version;
	struct rw_limits limits;
	const uint8_t *at, *end; /* rest of the body */
	const uint8_t *body, *metadata_at;
	struct rw_walk walk;
	struct rw_symbols symbols;
	bool *bad_symbols; /* of each symbol: no UTF-8; unset where none is bad */
	size_t bad_symbols_size;
	bool any_bad_symbol;
	struct rw_totals totals;
	struct strbuf why;
	uint32_t index; /* of the next series */
	bool no_memory;

	/* the series in work */
	struct rw_labels labels;
	struct rw_buf parts[_PART_MAX], canon;
	struct stamp *stamps;
	size_t stamps_size;
	bool gathered[_PART_MAX], unsorted[_PART_MAX];
	int64_t last_ts[_PART_MAX];
	int reason; /* enum rw_invalid, -1 = good so far */
	struct rw_span culprit;
};

/* --- one series --- */

static void invalid(struct rw_scan *s, enum rw_invalid reason, const void *text, size_t len)
{
	if (s->reason >= 0)
		return;
	s->reason = (int)reason;
	s->culprit = (struct rw_span){ text, len };
}

static struct rw_span *part_span(struct rw_series *x, enum part p)
{
	return p == SAMPLES ? &x->samples : p == HISTOGRAMS ? &x->histograms : &x->exemplars;
}

/* A field that follows the one before it lengthens the span; one that does not makes a copy of the span. */
static void part_add(struct rw_scan *s, struct rw_series *x, enum part p, const uint8_t *at,
		     const uint8_t *end)
{
	struct rw_span *span = part_span(x, p);
	struct rw_buf *b = &s->parts[p];

	if (!span->len) {
		*span = (struct rw_span){ at, (size_t)(end - at) };
	} else if (!s->gathered[p] && span->at + span->len == at) {
		span->len += (size_t)(end - at);
	} else {
		if (!s->gathered[p]) {
			b->len = 0;
			s->no_memory |= !rw_buf_add(b, span->at, span->len);
			s->gathered[p] = true;
		}
		s->no_memory |= !rw_buf_add(b, at, (size_t)(end - at));
		*span = (struct rw_span){ b->data, b->len };
	}
}

static inline void time_seen(struct rw_scan *s, struct rw_series *x, enum part p, bool first,
			     int64_t ts)
{
	if (!first && ts < s->last_ts[p])
		s->unsorted[p] = true;
	s->last_ts[p] = ts;
	if (ts < x->min_ts)
		x->min_ts = ts;
	if (ts > x->max_ts)
		x->max_ts = ts;
}

static void add_sample(struct rw_scan *s, struct rw_series *x, const uint8_t *at,
		       const struct rw_field *f, const uint8_t *end)
{
	struct rw_sample sample = rw_sample_get(f->at, f->len);

	x->n_starts += s->version == RW2 && sample.start != 0;
	time_seen(s, x, SAMPLES, x->n_samples++ == 0, sample.ts);
	part_add(s, x, SAMPLES, at, end);
}

static void add_histogram(struct rw_scan *s, struct rw_series *x, const uint8_t *at,
			  const struct rw_field *f, const uint8_t *end)
{
	struct rw_sample times = rw_histogram_times(f->at, f->len);

	if (s->limits.validate_histograms && !rw_histogram_valid(f->at, f->len))
		invalid(s, RW_INVALID_HISTOGRAM, NULL, 0);
	x->n_starts += s->version == RW2 && times.start != 0;
	time_seen(s, x, HISTOGRAMS, x->n_histograms++ == 0, times.ts);
	part_add(s, x, HISTOGRAMS, at, end);
}

static void check_ref(struct rw_scan *s, uint64_t ref)
{
	if (ref >= s->symbols.n)
		invalid(s, RW_BAD_SYMBOL_REF, NULL, 0);
	else if (s->any_bad_symbol && s->bad_symbols[ref])
		invalid(s, RW_INVALID_UTF8, s->symbols.items[ref].at, s->symbols.items[ref].len);
}

/* Refs of one field, packed or not, checked. Their number. */
static size_t check_refs(struct rw_scan *s, const struct rw_field *f)
{
	const uint8_t *at = f->at, *end = at + f->len;
	size_t n = 0;
	uint64_t ref;

	for (; at < end && (at = varint_get(at, end, &ref)); n++)
		check_ref(s, ref);
	return n;
}

static void check_exemplar(struct rw_scan *s, const struct rw_field *exemplar)
{
	const uint8_t *at = exemplar->at, *end = at + exemplar->len;
	size_t refs = 0;
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f))) {
		if (f.number != 1)
			continue;
		if (s->version == RW2) {
			refs += check_refs(s, &f);
		} else {
			struct rw_label l;

			rw_label_get(f.at, f.len, &l);
			if (!rw_text_valid(l.name, l.name_len))
				invalid(s, RW_INVALID_UTF8, l.name, l.name_len);
			if (!rw_text_valid(l.value, l.value_len))
				invalid(s, RW_INVALID_UTF8, l.value, l.value_len);
		}
	}
	if (refs % 2)
		invalid(s, RW_ODD_SYMBOL_REFS, NULL, 0);
}

static void check_metadata(struct rw_scan *s, const struct rw_field *metadata)
{
	const uint8_t *at = metadata->at, *end = at + metadata->len;
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f)))
		if ((f.number == 3 || f.number == 4) && f.type == RW_VARINT)
			check_ref(s, f.value);
}

static __attribute__((noinline)) void add_field(struct rw_scan *s, struct rw_series *x,
						const uint8_t *at, const struct rw_field *f,
						const uint8_t *end)
{
	switch (f->number < 7 ? roles[s->version][f->number] : OTHER) {
	case LABELS:
		s->no_memory |= !rw_labels_add(&s->labels, at, f, end);
		break;
	case REFS:
		s->no_memory |= !rw_labels_add_refs(&s->labels, f);
		break;
	case SAMPLE:
		add_sample(s, x, at, f, end);
		break;
	case HISTOGRAM:
		add_histogram(s, x, at, f, end);
		break;
	case EXEMPLAR:
		check_exemplar(s, f);
		x->n_exemplars++;
		part_add(s, x, EXEMPLARS, at, end);
		break;
	case METADATA:
		check_metadata(s, f);
		x->metadata = (struct rw_span){ f->at, f->len };
		break;
	case CREATED:
		x->created_ts = (int64_t)f->value;
		break;
	default:
		break;
	}
}

static int by_time(const void *a, const void *b)
{
	const struct stamp *x = a, *y = b;

	return x->ts < y->ts ? -1 : x->ts > y->ts;
}

/* Samples or histograms out of time order, stably sorted into scratch (GW-RX-14). */
static __attribute__((noinline)) void sort_part(struct rw_scan *s, struct rw_series *x, enum part p,
						uint32_t n)
{
	struct rw_span *span = part_span(x, p);
	const uint8_t *at = span->at, *end = at + span->len;
	struct rw_buf sorted = s->canon; /* labels come later, so that its room is free */
	struct rw_field f;

	sorted.len = 0;
	if (s->no_memory ||
	    !rw_array_grow(&s->stamps, &s->stamps_size, (size_t)n * 2, sizeof(*s->stamps)) ||
	    !rw_buf_room(&sorted, span->len)) {
		s->no_memory = true;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *start = at;

		at = rw_field_get(at, end, &f);
		s->stamps[i] = (struct stamp){ p == SAMPLES ? rw_sample_get(f.at, f.len).ts
							    : rw_histogram_times(f.at, f.len).ts,
					       (size_t)(start - span->at), (size_t)(at - start) };
	}
	rw_sort(s->stamps, s->stamps + n, n, sizeof(*s->stamps), by_time);
	for (uint32_t i = 0; i < n; i++)
		rw_buf_add(&sorted, span->at + s->stamps[i].at, s->stamps[i].len);
	s->canon = s->parts[p];
	s->parts[p] = sorted;
	*span = (struct rw_span){ sorted.data, sorted.len };
}

static void check_content(struct rw_scan *s, const struct rw_series *x)
{
	if (s->version == RW2 && x->n_samples && x->n_histograms)
		invalid(s, RW_MIXED_SAMPLES_HISTOGRAMS, NULL, 0);
	if (!x->n_samples && !x->n_histograms && (s->version == RW2 || !x->n_exemplars))
		invalid(s, RW_NO_SAMPLES, NULL, 0);
}

static void give_labels(const struct rw_scan *s, struct rw_series *x)
{
	x->labels = s->labels.items;
	x->n_labels = s->labels.n;
	x->refs = s->version == RW2 ? s->labels.refs : NULL;
}

static void finish_labels(struct rw_scan *s, struct rw_series *x)
{
	struct rw_span culprit = {};
	uint32_t empty = 0;
	int r = rw_labels_finish(&s->labels, &s->limits, s->version == RW2 ? &s->symbols : NULL,
				 &empty, &culprit);

	if (r == RW_LABEL_LIMIT && s->reason < 0)
		s->totals.label_limits[s->labels.over]++;
	if (r >= 0)
		invalid(s, (enum rw_invalid)r, culprit.at, culprit.len);
	else if (r == -ENOMEM)
		s->no_memory = true;
	s->totals.empty_labels += empty;
	give_labels(s, x);
}

static void make_canon(struct rw_scan *s, struct rw_series *x)
{
	size_t len;

	if (s->labels.in_place) {
		x->canon = s->labels.span;
		return;
	}
	len = rw_canon_len(x->labels, x->n_labels);
	s->canon.len = 0;
	if (!rw_buf_room(&s->canon, len)) {
		s->no_memory = true;
		return;
	}
	x->canon = (struct rw_span){ s->canon.data,
				     rw_canon(x->labels, x->n_labels, s->canon.data, len) };
}

/* Field by field: as a whole, compilers clear it by an instruction that takes 20 ns to start. */
static inline void series_init(const struct rw_scan *s, struct rw_series *x)
{
	const struct rw_span none = {};

	x->version = s->version;
	x->canon = x->metadata = none;
	x->samples = x->histograms = x->exemplars = RW_EMPTY;
	x->readable = s->labels.body_end;
	x->n_samples = x->n_histograms = x->n_exemplars = x->n_starts = 0;
	x->min_ts = INT64_MAX;
	x->max_ts = INT64_MIN;
	x->created_ts = 0;
	x->symbols = s->version == RW2 ? &s->symbols : NULL;
}

/* Samples of the usual form, in order, and nothing else up to @end. */
static inline bool usual_samples(const uint8_t *at, const uint8_t *end, struct rw_series *x)
{
	int64_t last = INT64_MIN, first = INT64_MAX;
	const uint8_t *start = at;
	uint32_t n = 0;
	size_t usual;

	for (; (usual = usual_sample(at, end)); n++) {
		int64_t ts = usual_ts_get(at += usual);

		if (ts < last)
			return false;
		last = ts;
		first = MIN(first, ts);
	}
	if (at != end || !n)
		return false;
	x->samples = (struct rw_span){ start, (size_t)(end - start) };
	x->n_samples = n;
	x->min_ts = first;
	x->max_ts = last;
	return true;
}

/*
 * What nearly every series is: canonical labels, which for RW1 the walk has found already, and samples in order. False: look at it the long way.
 */
static inline bool read_usual(struct rw_scan *s, const uint8_t *at, const uint8_t *end,
			      struct rw_series *x)
{
	const uint8_t *labels = at;

	if (s->version == RW1) {
		if (!s->walk.n_labels || !usual_samples(s->walk.labels_end, end, x))
			return false;
		x->canon = (struct rw_span){ at, (size_t)(s->walk.labels_end - at) };
		x->labels = s->walk.labels;
		x->n_labels = s->walk.n_labels;
		x->refs = NULL;
		return true;
	}
	if (s->any_bad_symbol || end - at < 2 || at[0] != RW_TAG(1, RW_BYTES) || at[1] >= 0x80)
		return false;
	at += 2 + at[1];
	if (!rw_labels_usual_refs(&s->labels, &s->limits, labels + 2, at, &s->symbols) ||
	    !usual_samples(at, end, x))
		return false;
	give_labels(s, x);
	return true;
}

/* Everything between @at and @end into @x, judged: s->reason. */
static __attribute__((noinline)) void read_series(struct rw_scan *s, const uint8_t *at,
						  const uint8_t *end, struct rw_series *x)
{
	series_init(s, x);
	rw_labels_begin(&s->labels, s->limits.labels);
	memset(s->gathered, 0, sizeof(s->gathered));
	memset(s->unsorted, 0, sizeof(s->unsorted));
	while (at < end) {
		const uint8_t *start = at;
		size_t usual = usual_sample(at, end);
		struct rw_field f;

		if (usual) {
			at += usual;
			time_seen(s, x, SAMPLES, x->n_samples++ == 0, usual_ts_get(at));
			part_add(s, x, SAMPLES, start, at);
			continue;
		}
		at = rw_field_get(at, end, &f);
		add_field(s, x, start, &f, at);
	}
	if (s->any_bad_symbol)
		for (uint32_t i = 0; i < s->labels.n_refs; i++)
			check_ref(s, s->labels.refs[i]);
	check_content(s, x);
	if (s->unsorted[SAMPLES])
		sort_part(s, x, SAMPLES, x->n_samples);
	if (s->unsorted[HISTOGRAMS])
		sort_part(s, x, HISTOGRAMS, x->n_histograms);
	finish_labels(s, x);
	if (s->version == RW1 && s->reason < 0)
		make_canon(s, x);
}

static void tell_why(struct rw_scan *s)
{
	const char *text = (const char *)s->culprit.at;
	size_t len = s->culprit.len;

	if (s->totals.invalid_series > WHY_SERIES)
		return;
	strbuf_addf(&s->why, "series %u: %s", s->index, rw_invalid_names[s->reason]);
	if (text) {
		if (len > WHY_TEXT)
			for (len = WHY_TEXT; len > WHY_TEXT - 3 && (text[len] & 0xc0) == 0x80;)
				len--; /* not in the middle of a character */
		strbuf_addstr(&s->why, " \"");
		text_add_json(&s->why, text, len);
		strbuf_addch(&s->why, '"');
	}
	strbuf_addch(&s->why, '\n');
}

/* The end of the scan: 0, or what is wrong with the whole message. */
static int finish(struct rw_scan *s, int r)
{
	s->at = s->end;
	s->totals.over = s->walk.over;
	if (s->version == RW1) {
		s->totals.series = (uint32_t)s->walk.count[RW_OVER_SERIES];
		s->metadata_at = s->walk.has_metadata ? s->body : s->end;
	}
	return r;
}

/*
 * A field of the message: 1 for a series in @f, checked; else 0, or an error of the whole message. What was checked before is looked at again for its
 * labels alone.
 */
static inline int next_field(struct rw_scan *s, struct rw_field *f)
{
	const uint32_t wanted = s->version == RW1 ? 1 : 5;
	const uint8_t *next = rw_field_get(s->at, s->end, f);
	int r = 0;

	if (!next)
		return -EBADMSG;
	s->at = next;
	if (s->version == RW2)
		return f->number == wanted;
	if (f->number != 1 && f->number != 3)
		return 0;
	if (f->type != RW_BYTES)
		return -EBADMSG;
	r = f->number == 1 ? rw_walk_series1(&s->walk, f->at, f->at + f->len)
			   : rw_walk_metadata1(&s->walk, f->at, f->at + f->len);
	return r < 0 ? r : f->number == 1;
}

/**
 * rw_scan_next() - the next valid series
 * @ret: valid until the next call; its pointers go into the body and into scratch
 *
 * Invalid series on the way are counted and left out.
 *
 * Return: 1; 0 at the end; -ENOMEM; after rw_scan_begin_rw1() also -EBADMSG and -E2BIG with totals.over.
 */
int rw_scan_next(struct rw_scan *s, struct rw_series *ret)
{
	while (s->at < s->end) {
		struct rw_field f;
		int r = next_field(s, &f);

		if (r < 0)
			return finish(s, r);
		if (r == 0)
			continue;
		series_init(s, ret);
		s->reason = -1;
		if (!read_usual(s, f.at, f.at + f.len, ret))
			read_series(s, f.at, f.at + f.len, ret);
		if (s->no_memory)
			return -ENOMEM;
		if (s->reason >= 0) {
			s->totals.invalid_series++;
			s->totals.invalid[s->reason]++;
			tell_why(s);
			s->index++;
			continue;
		}
		s->index++;
		s->totals.samples += ret->n_samples;
		s->totals.histograms += ret->n_histograms;
		s->totals.exemplars += ret->n_exemplars;
		return 1;
	}
	return finish(s, 0);
}

/* --- the request --- */

int rw_scan_new(struct rw_scan **ret)
{
	struct rw_scan *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

struct rw_scan *rw_scan_free(struct rw_scan *s)
{
	if (!s)
		return NULL;
	rw_labels_done(&s->labels);
	for (size_t i = 0; i < _PART_MAX; i++)
		rw_buf_done(&s->parts[i]);
	rw_buf_done(&s->canon);
	free(s->stamps);
	free(s->bad_symbols);
	free(s->walk.symbols);
	strbuf_done(&s->why);
	free(s);
	return NULL;
}

void rw_scan_shrink(struct rw_scan *s)
{
	if (s->walk.symbols_size <= SYMBOLS_KEPT)
		return;
	free(s->walk.symbols);
	free(s->bad_symbols);
	s->walk.symbols = NULL;
	s->bad_symbols = NULL;
	s->walk.symbols_size = s->bad_symbols_size = 0;
	s->symbols = (struct rw_symbols){};
}

static uint32_t or_max(uint32_t limit)
{
	return limit ? limit : UINT32_MAX;
}

static void take_limits(struct rw_scan *s, const struct rw_limits *l)
{
	s->limits = (struct rw_limits){ or_max(l->series),	 or_max(l->samples),
					or_max(l->symbols),	 or_max(l->labels),
					or_max(l->name_bytes),	 or_max(l->value_bytes),
					or_max(l->series_bytes), l->require_metric_name,
					l->validate_histograms };
	s->walk.max[RW_OVER_SERIES] = s->limits.series;
	s->walk.max[RW_OVER_SAMPLES] = s->limits.samples;
	s->walk.max[RW_OVER_SYMBOLS] = s->limits.symbols;
}

/* Symbols of the request, each looked at once. */
static int take_symbols(struct rw_scan *s)
{
	static _Atomic uint64_t ids;
	uint32_t n = (uint32_t)s->walk.count[RW_OVER_SYMBOLS];

	s->symbols = (struct rw_symbols){ s->walk.symbols, n, ++ids };
	s->any_bad_symbol = false;
	if (n && s->walk.symbols[0].len)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		if (rw_text_valid(s->walk.symbols[i].at, s->walk.symbols[i].len))
			continue;
		if (!s->any_bad_symbol) {
			if (!rw_array_grow(&s->bad_symbols, &s->bad_symbols_size, n,
					   sizeof(*s->bad_symbols)))
				return -ENOMEM;
			memset(s->bad_symbols, 0, n * sizeof(*s->bad_symbols));
			s->any_bad_symbol = true;
		}
		s->bad_symbols[i] = true;
	}
	return 0;
}

/* What both kinds of begin have in common; the scan is at its end. */
static void prepare(struct rw_scan *s, enum rw_version version, const struct rw_limits *l)
{
	s->version = version;
	s->at = s->end = s->metadata_at = NULL;
	s->index = 0;
	s->no_memory = false;
	memset(&s->totals, 0, sizeof(s->totals));
	strbuf_clear(&s->why);
	take_limits(s, l);
	s->walk.limits = &s->limits;
}

static void stand_before(struct rw_scan *s, const uint8_t *body, size_t len)
{
	s->labels.body_end = body + len;
	s->at = s->body = body;
	s->end = s->metadata_at = s->at + len;
}

/**
 * rw_scan_begin() - check a body and stand before its first series
 * @version: what the Content-Type said
 * @l:       limits of the request, 0 = none
 * @body:    decoded message; stays the caller's
 *
 * Return: 0; -EBADMSG for a body that cannot be walked, or symbols[0] that is not "" (GW-RX-12); -E2BIG with totals.over; -ENOMEM.
 */
int rw_scan_begin(struct rw_scan *s, enum rw_version version, const struct rw_limits *l,
		  const void *body, size_t len)
{
	int r;

	prepare(s, version, l);
	if (!len)
		body = ""; /* an empty message is one, too */
	r = rw_walk(&s->walk, version, body, len);
	s->totals.over = s->walk.over;
	if (r == 0 && version == RW2)
		r = take_symbols(s);
	if (r < 0)
		return r;
	s->totals.series = (uint32_t)s->walk.count[RW_OVER_SERIES];
	stand_before(s, body, len);
	if (version == RW1) {
		if (s->walk.has_metadata)
			s->metadata_at = s->body;
		rw_walk_begin(&s->walk, body, len); /* counts again, on the way */
	}
	return 0;
}

void rw_scan_begin_rw1(struct rw_scan *s, const struct rw_limits *l, const void *body, size_t len)
{
	prepare(s, RW1, l);
	if (!len)
		body = "";
	stand_before(s, body, len);
	rw_walk_begin(&s->walk, body, len);
}

/* Metadata without a family or that is no UTF-8 is left out: it decorates, nothing hangs on it. */
int rw_scan_metadata(struct rw_scan *s, struct rw_metadata *ret)
{
	while (s->version == RW1 && s->metadata_at < s->end) {
		struct rw_metadata m = { 0, RW_EMPTY, RW_EMPTY, RW_EMPTY };
		struct rw_field f;

		s->metadata_at = rw_field_get(s->metadata_at, s->end, &f);
		if (f.number != 3 || !rw_metadata_get(&f, &m))
			continue;
		*ret = m;
		return 1;
	}
	return 0;
}

const struct rw_totals *rw_scan_totals(const struct rw_scan *s)
{
	return &s->totals;
}

const char *rw_scan_why(const struct rw_scan *s)
{
	return s->why.len ? s->why.data : "";
}
