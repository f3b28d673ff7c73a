/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open block
 *
 * Series are appended in the wire form of the block; those of the other version are written anew by convert.c. RW1: the buffer is the body. RW2: symbols
 * are a buffer of their own, put before the series when the block is sealed, because some receivers want them first.
 */

#include <errno.h>
#include "route/wire/block-write.h"
#include "route/wire/encoder.h"

_Static_assert(offsetof(struct rw_block, info) == 0, "rw_block_info() looks there");

const char *const rw_loss_names[_RW_LOSS_MAX] = {
	[RW_LOSS_START_TIMESTAMP] = "start_timestamp",
	[RW_LOSS_CUSTOM_BUCKETS] = "custom_buckets",
	[RW_LOSS_ORPHAN_EXEMPLAR] = "orphan_exemplar",
};

/**
 * rw_block_new() - an empty block
 * @o: how series of the other version are converted, and where start timestamps go; copied
 *
 * Return: 0; -ENOMEM.
 */
int rw_block_new(enum rw_version version, const struct rw_convert_options *o, struct rw_block **ret)
{
	_cleanup_(rw_block_freep) struct rw_block *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->version = version;
	b->options = *o;
	b->info.min_ts = INT64_MAX;
	b->info.max_ts = INT64_MIN;
	if (version == RW2 && rw_intern_init(&b->symbols) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(b);
	return 0;
}

int rw_block_new_packed(const struct rw_convert_options *o, struct rw_block **ret)
{
	_cleanup_(rw_block_freep) struct rw_block *b = NULL;
	int r = rw_block_new(RW1, o, &b);

	if (r < 0)
		return r;
	b->pack = rw_pack_new();
	if (!b->pack)
		return -ENOMEM;
	*ret = TAKE_PTR(b);
	return 0;
}

struct rw_block *rw_block_free(struct rw_block *b)
{
	if (!b)
		return NULL;
	rw_buf_done(&b->data);
	rw_buf_done(&b->labels);
	rw_intern_done(&b->symbols);
	rw_pack_free(b->pack);
	free(b->remap);
	free(b);
	return NULL;
}

void rw_block_reset(struct rw_block *b)
{
	b->data.len = 0;
	if (b->pack)
		rw_pack_reset(b->pack);
	if (b->version == RW2)
		rw_intern_reset(&b->symbols);
	b->remap_id = 0;
	b->info = (struct rw_block_info){ .min_ts = INT64_MAX, .max_ts = INT64_MIN };
	memset(b->losses, 0, sizeof(b->losses));
}

void rw_block_next_metadata(struct rw_block *b, const struct rw_metadata *m)
{
	b->metadata = *m;
	b->has_metadata = true;
}

static void note_bytes(struct rw_block *b)
{
	b->info.raw_bytes = b->data.len + (b->info.series ? b->symbols.bytes.len : 0) +
			    (b->pack ? b->pack->base : 0);
}

static struct rw_block_mark mark_of(const struct rw_block *b)
{
	struct rw_block_mark m = {
		.bytes = b->data.len,
		.symbols = b->symbols.n,
		.symbol_bytes = b->symbols.bytes.len,
		.series = b->info.series,
		.samples = b->info.samples,
		.histograms = b->info.histograms,
		.min_ts = b->info.min_ts,
		.max_ts = b->info.max_ts,
	};

	memcpy(m.losses, b->losses, sizeof(m.losses));
	return m;
}

int rw_block_mark(struct rw_block *b, struct rw_block_mark *ret)
{
	/* What can be taken back has to end between two elements. */
	if (b->pack && rw_pack_flush(b->pack, &b->data) < 0)
		return -ENOMEM;
	*ret = mark_of(b);
	if (b->pack) {
		ret->bytes += b->pack->base;
		ret->packed = b->pack->out.len;
	}
	return 0;
}

static void back_to(struct rw_block *b, const struct rw_block_mark *m)
{
	if (b->version == RW2 && m->symbols < b->symbols.n) {
		rw_intern_cut(&b->symbols, (uint32_t)m->symbols);
		b->remap_id = 0; /* it may name symbols that are gone */
	}
	b->info.series = m->series;
	b->info.samples = m->samples;
	b->info.histograms = m->histograms;
	b->info.min_ts = m->min_ts;
	b->info.max_ts = m->max_ts;
	memcpy(b->losses, m->losses, sizeof(b->losses));
	note_bytes(b);
}

void rw_block_rollback(struct rw_block *b, const struct rw_block_mark *m)
{
	if (b->pack)
		rw_pack_cut(b->pack, &b->data, m->bytes, m->packed);
	else
		b->data.len = m->bytes;
	back_to(b, m);
}

size_t rw_block_memory(const struct rw_block *b)
{
	return b->data.size + b->labels.size + b->symbols.bytes.size +
	       (b->pack ? b->pack->out.size : 0);
}

const uint64_t *rw_block_losses(const struct rw_block *b)
{
	return b->losses;
}

void rw_block_counted(struct rw_block *b, uint32_t samples, const struct rw_series *s)
{
	b->info.series++;
	b->info.samples += samples;
	b->info.histograms += samples - s->n_samples; /* no sample is ever left out */
	b->info.min_ts = MIN(b->info.min_ts, s->min_ts);
	b->info.max_ts = MAX(b->info.max_ts, s->max_ts);
}

/* --- RW1 to RW1: what lies one behind the other in the body is one copy --- */

/* Where the next series of this block goes: with many open blocks it has left the cache by then, if it was ever there. */
#define AHEAD 320
#define CACHE_LINE 64
#define USUAL_SAMPLES 256 /* bytes of samples in a row that is packed by its labels */
#define LABEL_PIECES 24 /* with more, all labels are written anew */
#define SPANS_MAX (LABEL_PIECES + 3)

struct pieces {
	struct rw_span spans[SPANS_MAX];
	size_t n, len;
	bool full;
};

static inline void add_piece(struct pieces *p, size_t max, const uint8_t *at, size_t len)
{
	struct rw_span *last = p->n ? &p->spans[p->n - 1] : NULL;

	if (!len)
		return;
	p->len += len;
	if (last && last->at + last->len == at)
		last->len += len;
	else if (p->n < max)
		p->spans[p->n++] = (struct rw_span){ at, len };
	else
		p->full = true;
}

/*
 * The field of a label as it stands in the canonical bytes of its series, if it does. Pointers of changed labels may go anywhere, also to a part of a
 * text, so the bytes around decide.
 */
static const uint8_t *field_of(const struct rw_label *l, struct rw_span canon, size_t *ret_len)
{
	const uint8_t *name = (const uint8_t *)l->name, *value = name + l->name_len + 2;
	size_t inner = 4 + (size_t)l->name_len + l->value_len;

	if (inner >= 0x80 || (uintptr_t)name < (uintptr_t)canon.at + 4 ||
	    (uintptr_t)value + l->value_len > (uintptr_t)canon.at + canon.len ||
	    value != (const uint8_t *)l->value || name[-4] != 0x0a || name[-3] != inner ||
	    name[-2] != 0x0a || name[-1] != l->name_len || value[-2] != 0x12 ||
	    value[-1] != l->value_len)
		return NULL;
	*ret_len = inner + 2;
	return name - 4;
}

/* Changed labels: most are the sender's. The others are written to scratch. */
static bool add_labels(struct rw_block *b, struct pieces *p, struct rw_span canon,
		       const struct rw_label *labels, size_t n)
{
	size_t most = 0;

	for (size_t i = 0; i < n; i++)
		most += (size_t)labels[i].name_len + labels[i].value_len + 4 * VARINT_MAX;
	b->labels.len = 0;
	if (!rw_buf_room(&b->labels, most))
		return false;
	for (size_t i = 0; i < n; i++) {
		uint8_t *made = b->labels.data + b->labels.len;
		const uint8_t *field = NULL;
		size_t len;

		if (canon.at)
			field = field_of(&labels[i], canon, &len);
		if (!field) {
			field = made;
			len = (size_t)(rw_canon_label(made, &labels[i]) - made);
			b->labels.len += len;
		}
		add_piece(p, LABEL_PIECES, field, len);
	}
	if (p->full) {
		b->labels.len = rw_canon(labels, n, b->labels.data, b->labels.size);
		*p = (struct pieces){};
		add_piece(p, LABEL_PIECES, b->labels.data, b->labels.len);
	}
	return true;
}

/* A row was appended from @row on. What is no plain series is not looked at label by label. */
static int pack_row(struct rw_block *b, size_t row, size_t first, const struct rw_series *s,
		    const struct pieces *p, const struct rw_label *labels, size_t n)
{
	const uint8_t *content = p->n == 1 && p->spans[0].at + p->len + PACK_SLACK <= s->readable
					 ? p->spans[0].at
					 : NULL;
	bool usual = !s->n_histograms && !s->n_exemplars && s->samples.len <= USUAL_SAMPLES;
	int r = rw_pack_row(b->pack, &b->data, row, first, content, labels,
			    usual ? (uint32_t)n : 0);

	if (r < 0)
		b->data.len = row;
	return r;
}

static int add_same1(struct rw_block *b, const struct rw_series *s, const struct rw_label *labels,
		     size_t n_labels)
{
	size_t row = b->data.len;
	struct pieces p;
	uint8_t *at, *first;

	p.n = p.len = 0;
	p.full = false;
	if (!labels)
		add_piece(&p, SPANS_MAX, s->canon.at, s->canon.len);
	else if (!add_labels(b, &p, s->canon, labels, n_labels))
		return -ENOMEM;
	add_piece(&p, SPANS_MAX, s->samples.at, s->samples.len);
	add_piece(&p, SPANS_MAX, s->exemplars.at, s->exemplars.len);
	add_piece(&p, SPANS_MAX, s->histograms.at, s->histograms.len);
	if (!rw_buf_room(&b->data, p.len + 1 + VARINT_MAX))
		return -ENOMEM;
	at = b->data.data + b->data.len;
	*at++ = TAG_SERIES1;
	at = first = varint_put(at, p.len);
	for (size_t i = 0; i < p.n; i++) {
		memcpy(at, p.spans[i].at, p.spans[i].len);
		at += p.spans[i].len;
	}
	b->data.len = (size_t)(at - b->data.data);
	if (!b->pack) {
		for (size_t i = 0; i < AHEAD; i += CACHE_LINE)
			__builtin_prefetch(at + i, 1);
	} else if (pack_row(b, row, (size_t)(first - b->data.data), s, &p,
			    labels ? labels : s->labels, labels ? n_labels : s->n_labels) < 0) {
		return -ENOMEM;
	}
	rw_block_counted(b, s->n_samples + s->n_histograms, s);
	note_bytes(b);
	return 0;
}

/**
 * rw_block_add() - append a series
 * @labels: NULL = those of @s; else canonical ones that replace them
 *
 * What the other version cannot hold is left out and counted (GW-CV).
 *
 * Return: 0; -ENOMEM, and the block is as before.
 */
int rw_block_add(struct rw_block *b, const struct rw_series *s, const struct rw_label *labels,
		 size_t n_labels)
{
	struct rw_block_mark mark;
	int r;

	if (!labels && s->version == RW1 && !s->canon.at) {
		labels = s->labels;
		n_labels = s->n_labels;
	}
	if (b->version == RW1 && s->version == RW1)
		return add_same1(b, s, labels, n_labels);
	mark = mark_of(b);
	r = b->version == RW1 ? rw_block_add_as1(b, s, labels, n_labels)
			      : rw_block_add_as2(b, s, labels, n_labels);
	b->has_metadata = false;
	if (r >= 0 && b->pack && b->data.len > mark.bytes)
		r = rw_pack_row(b->pack, &b->data, mark.bytes, 0, NULL, NULL, 0);
	if (r < 0) {
		b->data.len = mark.bytes;
		back_to(b, &mark);
	}
	note_bytes(b);
	return r;
}

int rw_block_add_metadata(struct rw_block *b, uint32_t type, struct rw_span family,
			  struct rw_span help, struct rw_span unit)
{
	struct rw_out o = { &b->data, false };
	size_t before = b->data.len, open;

	if (b->version != RW1)
		return -EINVAL;
	open = rw_out_open(&o, 3);
	if (type)
		rw_out_uint(&o, 1, type);
	rw_out_bytes(&o, 2, family.at, family.len);
	if (help.len)
		rw_out_bytes(&o, 4, help.at, help.len);
	if (unit.len)
		rw_out_bytes(&o, 5, unit.at, unit.len);
	rw_out_close(&o, open);
	if (!o.no_memory && b->pack)
		o.no_memory = rw_pack_row(b->pack, &b->data, before, 0, NULL, NULL, 0) < 0;
	if (o.no_memory)
		b->data.len = before;
	note_bytes(b);
	return o.no_memory ? -ENOMEM : 0;
}

/**
 * rw_block_body() - the block as one message
 * @scratch: holds it where it does not lie in one piece
 *
 * Return: false for no memory.
 */
bool rw_block_body(const struct rw_block *b, struct rw_buf *scratch, struct rw_span *ret)
{
	if (b->version == RW1) {
		*ret = (struct rw_span){ b->data.data, b->data.len };
		return true;
	}
	scratch->len = 0;
	if (!rw_buf_add(scratch, b->symbols.bytes.data, b->symbols.bytes.len) ||
	    !rw_buf_add(scratch, b->data.data, b->data.len))
		return false;
	*ret = (struct rw_span){ scratch->data, scratch->len };
	return true;
}

/**
 * rw_block_seal() - the compressed body of a block
 * @e:       of the calling worker
 *
 * Its rows are unchanged; reset it for new ones.
 *
 * Return: 0; -ENOMEM.
 */
int rw_block_seal(struct rw_block *b, struct rw_encoder *e, enum rw_codec codec,
		  enum rw_snappy snappy, struct rw_span *ret)
{
	struct rw_span body;
	size_t len;
	int r;

	if (b->pack) {
		if (rw_pack_flush(b->pack, &b->data) < 0)
			return -ENOMEM;
		*ret = rw_pack_block(b->pack, &b->data);
		return 0;
	}
	if (!rw_block_body(b, rw_encoder_scratch(e), &body))
		return -ENOMEM;
	r = rw_encode(e, codec, snappy, body.at, body.len, &e->sealed.data, &e->sealed.size, &len);
	if (r >= 0)
		*ret = (struct rw_span){ e->sealed.data, len };
	return r;
}
