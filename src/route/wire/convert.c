/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Series in the form of a block (GW-CV)
 *
 * RW1 to RW2, RW2 to RW1, and RW2 to RW2, where symbols get the numbers of the block. Samples of the usual form are equal in both versions and copied;
 * so are the contents of histograms. Order and bits of everything stay.
 */

#include <errno.h>
#include "route/wire/block-write.h"
#include "route/wire/labels.h"
#include "route/wire/usual.h"

struct writer {
	struct rw_block *b;
	const struct rw_series *s;
	struct rw_out out;
	bool no_memory; /* of symbols */
	int64_t last_start; /* effective start timestamp of the last sample or histogram */
	uint32_t samples;
};

static struct writer writer(struct rw_block *b, const struct rw_series *s)
{
	return (struct writer){ .b = b, .s = s, .out = { &b->data, false } };
}

static int writer_error(const struct writer *w)
{
	return w->no_memory || w->out.no_memory ? -ENOMEM : 0;
}

/* --- symbols --- */

static void put_text(struct writer *w, const void *text, size_t len)
{
	uint32_t n = rw_intern(&w->b->symbols, text, len);

	w->no_memory |= n == UINT32_MAX;
	rw_out_varint(&w->out, n);
}

/* The same, where the text is likely that of symbol *@recent. */
static void put_recent_text(struct writer *w, const void *text, size_t len, uint32_t *recent)
{
	const struct rw_intern *symbols = &w->b->symbols;
	const struct rw_intern_item *x = &symbols->items[*recent];

	if (*recent >= symbols->n || x->len != len ||
	    memcmp(symbols->bytes.data + x->at, text, len) != 0) {
		uint32_t n = rw_intern(&w->b->symbols, text, len);

		w->no_memory |= n == UINT32_MAX;
		*recent = n == UINT32_MAX ? 0 : n;
	}
	rw_out_varint(&w->out, *recent);
}

static bool remap_begin(struct rw_block *b, const struct rw_symbols *symbols)
{
	if (b->remap_id == symbols->id)
		return true;
	if (!rw_array_grow(&b->remap, &b->remap_size, symbols->n, sizeof(*b->remap)))
		return false;
	memset(b->remap, 0, symbols->n * sizeof(*b->remap));
	b->remap_id = symbols->id;
	return true;
}

/* A symbol of the request as one of the block. */
static uint32_t symbol(struct writer *w, uint64_t ref)
{
	const struct rw_symbols *symbols = w->s->symbols;
	uint32_t *known, n;

	if (ref >= symbols->n || !remap_begin(w->b, symbols)) {
		w->no_memory = true; /* refs were checked by the scan */
		return 0;
	}
	known = &w->b->remap[ref];
	if (*known)
		return *known - 1;
	n = rw_intern(&w->b->symbols, symbols->items[ref].at, symbols->items[ref].len);
	if (n == UINT32_MAX) {
		w->no_memory = true;
		return 0;
	}
	*known = n + 1;
	return n;
}

static void put_refs(struct writer *w, const struct rw_field *f)
{
	const uint8_t *at = f->at, *end = at + f->len;
	uint64_t ref;

	while (at < end && (at = varint_get(at, end, &ref)))
		rw_out_varint(&w->out, symbol(w, ref));
}

/* Refs of the labels of the series: nearly all are known. */
static void put_own_refs(struct writer *w)
{
	const struct rw_series *s = w->s;
	struct rw_buf *buf = w->out.buf;
	uint8_t *at;

	if (!remap_begin(w->b, s->symbols) || !rw_out_room(&w->out, 2 * s->n_labels * VARINT_MAX)) {
		w->no_memory = true;
		return;
	}
	at = buf->data + buf->len;
	for (uint32_t i = 0; i < 2 * s->n_labels; i++) {
		uint32_t known = w->b->remap[s->refs[i]];

		at = varint_put(at, known ? known - 1 : symbol(w, s->refs[i]));
	}
	buf->len = (size_t)(at - buf->data);
}

static void put_labels2(struct writer *w, const struct rw_label *labels, size_t n)
{
	const struct rw_series *s = w->s;
	size_t open = rw_out_open(&w->out, 1);

	if (!labels && s->version == RW2) {
		put_own_refs(w);
	} else {
		if (!labels) {
			labels = s->labels;
			n = s->n_labels;
		}
		for (size_t i = 0; i < n; i++) {
			uint32_t *recent = w->b->recent + 2 * MIN(i, RECENT_LABELS - 1U);

			put_recent_text(w, labels[i].name, labels[i].name_len, recent);
			put_recent_text(w, labels[i].value, labels[i].value_len, recent + 1);
		}
	}
	rw_out_close(&w->out, open);
}

static void put_labels1(struct writer *w, const struct rw_label *labels, size_t n)
{
	size_t len;

	if (!labels) {
		labels = w->s->labels;
		n = w->s->n_labels;
	}
	len = rw_canon_len(labels, n);
	if (rw_out_room(&w->out, len))
		w->out.buf->len += rw_canon(labels, n, w->out.buf->data + w->out.buf->len, len);
}

/* --- start timestamps --- */

/* What is written with a sample whose own start is @own; the series' stands in for a missing one. */
static int64_t start_of(struct writer *w, int64_t own)
{
	enum rw_start_timestamp how = w->b->options.start;
	int64_t start = own ? own : w->s->created_ts;

	w->samples++;
	if (w->b->version == RW1) {
		w->b->losses[RW_LOSS_START_TIMESTAMP] += start != 0;
		return 0;
	}
	if (how == RW_START_AS_IS)
		return own;
	/* One place for several: the last one's stays. */
	if (how == RW_START_SERIES && w->last_start && w->last_start != start)
		w->b->losses[RW_LOSS_START_TIMESTAMP]++;
	w->last_start = start;
	return how == RW_START_SERIES ? 0 : start;
}

static void put_created(struct writer *w)
{
	enum rw_start_timestamp how = w->b->options.start;
	int64_t start = how == RW_START_AS_IS ? w->s->created_ts : w->last_start;

	if (how != RW_START_SAMPLE && start)
		rw_out_uint(&w->out, 6, (uint64_t)start);
}

/* --- samples and histograms --- */

static void put_sample(struct writer *w, const struct rw_sample *x, int64_t start)
{
	size_t open = rw_out_open(&w->out, 2);

	if (x->value) {
		uint64_t value = htole64(x->value);

		rw_out_tag(&w->out, 1, RW_FIXED64);
		rw_out_add(&w->out, &value, sizeof(value));
	}
	if (x->ts)
		rw_out_uint(&w->out, 2, (uint64_t)x->ts);
	if (start)
		rw_out_uint(&w->out, 3, (uint64_t)start);
	rw_out_close(&w->out, open);
}

static void put_samples(struct writer *w)
{
	const uint8_t *at = w->s->samples.at, *end = at + w->s->samples.len;
	struct rw_field f;

	if (w->s->version == RW2 && w->b->version == RW2 && !w->s->n_starts && !w->s->created_ts) {
		w->samples += w->s->n_samples;
		rw_out_add(&w->out, at, w->s->samples.len);
		return;
	}
	while (at < end) {
		size_t usual = usual_sample(at, end);
		struct rw_sample x;
		int64_t start;

		if (usual && !w->s->created_ts) {
			(void)start_of(w, 0);
			rw_out_add(&w->out, at, usual);
			at += usual;
			continue;
		}
		at = rw_field_get(at, end, &f);
		if (!at)
			return;
		x = rw_sample_get(f.at, f.len);
		if (w->s->version == RW1)
			x.start = 0; /* there it is an unknown field */
		start = start_of(w, x.start);
		put_sample(w, &x, start);
	}
}

/* All fields of a histogram but the start timestamp, and that. */
static void put_histogram(struct writer *w, uint32_t number, const struct rw_field *h,
			  int64_t start)
{
	const uint8_t *at = h->at, *end = at + h->len;
	size_t open = rw_out_open(&w->out, number);
	struct rw_field f;

	while (at < end) {
		const uint8_t *field = at;

		at = rw_field_get(at, end, &f);
		if (!at)
			break;
		if (f.number != 17)
			rw_out_add(&w->out, field, (size_t)(at - field));
	}
	if (start)
		rw_out_uint(&w->out, 17, (uint64_t)start);
	rw_out_close(&w->out, open);
}

static void put_histograms(struct writer *w)
{
	const uint8_t *at = w->s->histograms.at, *end = at + w->s->histograms.len;
	bool to1 = w->b->version == RW1, starts = w->s->n_starts || w->s->created_ts;
	uint32_t number = to1 ? 4 : 3;
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f))) {
		if (to1 && !w->b->options.send_custom_buckets &&
		    rw_histogram_schema(f.at, f.len) == RW_SCHEMA_CUSTOM) {
			w->b->losses[RW_LOSS_CUSTOM_BUCKETS]++;
			continue;
		}
		if (starts) {
			int64_t own = rw_histogram_times(f.at, f.len).start;

			put_histogram(w, number, &f, start_of(w, own));
		} else {
			(void)start_of(w, 0);
			rw_out_bytes(&w->out, number, f.at, f.len);
		}
	}
}

/* --- exemplars, metadata --- */

static void put_exemplar_labels(struct writer *w, const struct rw_field *f, uint64_t *name,
				bool *half)
{
	const struct rw_span *items = w->s->symbols ? w->s->symbols->items : NULL;
	const uint8_t *at = f->at, *end = at + f->len;
	struct rw_label l;
	uint64_t ref;

	if (w->s->version == RW1) {
		rw_label_get(f->at, f->len, &l);
		put_text(w, l.name, l.name_len);
		put_text(w, l.value, l.value_len);
		return;
	}
	if (w->b->version == RW2) {
		put_refs(w, f);
		return;
	}
	/* Pairs may be spread over fields. */
	while (at < end && (at = varint_get(at, end, &ref))) {
		*half = !*half;
		if (*half) {
			*name = ref;
			continue;
		}
		l = (struct rw_label){ (const char *)items[*name].at, (const char *)items[ref].at,
				       (uint32_t)items[*name].len, (uint32_t)items[ref].len };
		if (rw_out_room(&w->out, rw_canon_len(&l, 1)))
			w->out.buf->len =
				(size_t)(rw_canon_label(w->out.buf->data + w->out.buf->len, &l) -
					 w->out.buf->data);
	}
}

/* Labels first: as one field of refs, or as fields of their own; then value and timestamp as they are. */
static void put_exemplar(struct writer *w, const struct rw_field *x)
{
	size_t open = rw_out_open(&w->out, w->b->version == RW1 ? 3 : 4), refs = 0, before;
	const uint8_t *at = x->at, *end = at + x->len;
	bool half = false;
	uint64_t name = 0;
	struct rw_field f;

	before = w->out.buf->len;
	if (w->b->version == RW2)
		refs = rw_out_open(&w->out, 1);
	while (at < end && (at = rw_field_get(at, end, &f)))
		if (f.number == 1)
			put_exemplar_labels(w, &f, &name, &half);
	if (refs && refs == w->out.buf->len)
		w->out.buf->len = before;
	else if (refs)
		rw_out_close(&w->out, refs);
	for (at = x->at; at && at < end;) {
		const uint8_t *field = at;

		at = rw_field_get(at, end, &f);
		if (at && (f.number == 2 || f.number == 3))
			rw_out_add(&w->out, field, (size_t)(at - field));
	}
	rw_out_close(&w->out, open);
}

static void put_exemplars(struct writer *w)
{
	const uint8_t *at = w->s->exemplars.at, *end = at + w->s->exemplars.len;
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f)))
		put_exemplar(w, &f);
}

static void put_metadata_refs(struct writer *w)
{
	const uint8_t *at = w->s->metadata.at, *end = at + w->s->metadata.len;
	size_t open = rw_out_open(&w->out, 5);
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f)))
		if (f.type == RW_VARINT && (f.number == 1 || f.number == 3 || f.number == 4))
			rw_out_uint(&w->out, f.number,
				    f.number == 1 ? f.value : symbol(w, f.value));
	rw_out_close(&w->out, open);
}

static void put_metadata(struct writer *w)
{
	const struct rw_metadata *m = &w->b->metadata;
	size_t open;

	if (w->s->version == RW2) {
		if (w->s->metadata.at)
			put_metadata_refs(w);
		return;
	}
	if (!w->b->has_metadata)
		return;
	open = rw_out_open(&w->out, 5);
	if (m->type)
		rw_out_uint(&w->out, 1, m->type);
	if (m->help.len) {
		rw_out_tag(&w->out, 3, RW_VARINT);
		put_text(w, m->help.at, m->help.len);
	}
	if (m->unit.len) {
		rw_out_tag(&w->out, 4, RW_VARINT);
		put_text(w, m->unit.at, m->unit.len);
	}
	rw_out_close(&w->out, open);
}

/* --- series --- */

/* RW2 to RW1. A series of which nothing can be held is left out. */
int rw_block_add_as1(struct rw_block *b, const struct rw_series *s, const struct rw_label *labels,
		     size_t n_labels)
{
	struct writer w = writer(b, s);
	size_t before = b->data.len, open = rw_out_open(&w.out, 1);

	put_labels1(&w, labels, n_labels);
	put_samples(&w);
	put_exemplars(&w);
	put_histograms(&w);
	if (!w.samples && !s->n_exemplars) {
		b->data.len = before;
		return writer_error(&w);
	}
	rw_out_close(&w.out, open);
	rw_block_counted(b, w.samples, s);
	return writer_error(&w);
}

static int add2(struct rw_block *b, const struct rw_series *s, const struct rw_label *labels,
		size_t n_labels)
{
	struct writer w = writer(b, s);
	size_t open = rw_out_open(&w.out, 5);

	put_labels2(&w, labels, n_labels);
	put_samples(&w);
	put_histograms(&w);
	put_exemplars(&w);
	put_metadata(&w);
	put_created(&w);
	rw_out_close(&w.out, open);
	rw_block_counted(b, w.samples, s);
	return writer_error(&w);
}

/* RW1 or RW2 to RW2, where a series has samples or histograms: both become two series, exemplars stay with the samples. */
int rw_block_add_as2(struct rw_block *b, const struct rw_series *s, const struct rw_label *labels,
		     size_t n_labels)
{
	struct rw_series part = *s;
	int r;

	if (!s->n_samples && !s->n_histograms) {
		b->losses[RW_LOSS_ORPHAN_EXEMPLAR] += s->n_exemplars;
		return 0;
	}
	if (!s->n_samples || !s->n_histograms)
		return add2(b, s, labels, n_labels);
	part.histograms = RW_EMPTY;
	part.n_histograms = 0;
	r = add2(b, &part, labels, n_labels);
	if (r < 0)
		return r;
	part = *s;
	part.samples = part.exemplars = RW_EMPTY;
	part.n_samples = part.n_exemplars = 0;
	return add2(b, &part, labels, n_labels);
}
