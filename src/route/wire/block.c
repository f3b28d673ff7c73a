/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open block
 *
 * Series are appended in the wire form of the block; those of the other version are written anew by convert.c. RW1: the buffer is the body. RW2: symbols
 * are a buffer of their own, put before the series when the block is sealed, because some receivers want them first.
 */

#include <errno.h>
#include "route/wire/block-write.h"

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

struct rw_block *rw_block_free(struct rw_block *b)
{
	if (!b)
		return NULL;
	rw_buf_done(&b->data);
	rw_intern_done(&b->symbols);
	free(b->remap);
	free(b);
	return NULL;
}

void rw_block_reset(struct rw_block *b)
{
	b->data.len = 0;
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

struct rw_block_mark rw_block_mark(const struct rw_block *b)
{
	struct rw_block_mark m = {
		.bytes = b->data.len,
		.symbols = b->symbols.n,
		.symbol_bytes = b->symbols.bytes.len,
		.series = b->info.series,
		.samples = b->info.samples,
		.min_ts = b->info.min_ts,
		.max_ts = b->info.max_ts,
	};

	memcpy(m.losses, b->losses, sizeof(m.losses));
	return m;
}

void rw_block_rollback(struct rw_block *b, struct rw_block_mark m)
{
	b->data.len = m.bytes;
	if (b->version == RW2 && m.symbols < b->symbols.n) {
		rw_intern_cut(&b->symbols, (uint32_t)m.symbols);
		b->remap_id = 0; /* it may name symbols that are gone */
	}
	b->info.series = m.series;
	b->info.samples = m.samples;
	b->info.min_ts = m.min_ts;
	b->info.max_ts = m.max_ts;
	memcpy(b->losses, m.losses, sizeof(b->losses));
}

struct rw_block_info rw_block_info(const struct rw_block *b)
{
	struct rw_block_info i = b->info;

	i.raw_bytes = b->data.len + (i.series ? b->symbols.bytes.len : 0);
	return i;
}

const uint64_t *rw_block_losses(const struct rw_block *b)
{
	return b->losses;
}

void rw_block_counted(struct rw_block *b, uint32_t samples, const struct rw_series *s)
{
	b->info.series++;
	b->info.samples += samples;
	b->info.min_ts = MIN(b->info.min_ts, s->min_ts);
	b->info.max_ts = MAX(b->info.max_ts, s->max_ts);
}

/* --- RW1 to RW1: spans that lie one behind the other are one copy --- */

static size_t join(struct rw_span *spans, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (!spans[i].len)
			continue;
		if (kept && spans[kept - 1].at + spans[kept - 1].len == spans[i].at)
			spans[kept - 1].len += spans[i].len;
		else
			spans[kept++] = spans[i];
	}
	return kept;
}

static int add_same1(struct rw_block *b, const struct rw_series *s, const struct rw_label *labels,
		     size_t n_labels)
{
	struct rw_span spans[] = { labels ? (struct rw_span){} : s->canon, s->samples, s->exemplars,
				   s->histograms };
	size_t canon = labels ? rw_canon_len(labels, n_labels) : 0;
	size_t n = join(spans, ARRAY_SIZE(spans)), len = canon;
	uint8_t *at;

	for (size_t i = 0; i < n; i++)
		len += spans[i].len;
	if (!rw_buf_room(&b->data, len + 1 + VARINT_MAX))
		return -ENOMEM;
	at = b->data.data + b->data.len;
	*at++ = TAG_SERIES1;
	at = varint_put(at, len);
	if (labels)
		at += rw_canon(labels, n_labels, at, canon);
	for (size_t i = 0; i < n; i++) {
		memcpy(at, spans[i].at, spans[i].len);
		at += spans[i].len;
	}
	b->data.len = (size_t)(at - b->data.data);
	rw_block_counted(b, s->n_samples + s->n_histograms, s);
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
	mark = rw_block_mark(b);
	r = b->version == RW1 ? rw_block_add_as1(b, s, labels, n_labels)
			      : rw_block_add_as2(b, s, labels, n_labels);
	b->has_metadata = false;
	if (r < 0)
		rw_block_rollback(b, mark);
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
	if (o.no_memory)
		b->data.len = before;
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
 * @buf:     grows as needed, with its size; free() it
 * @ret_len: bytes of it that are the body
 *
 * The block is unchanged; reset it for new rows.
 *
 * Return: 0; -ENOMEM.
 */
int rw_block_seal(const struct rw_block *b, struct rw_encoder *e, enum rw_codec codec,
		  enum rw_snappy snappy, uint8_t **buf, size_t *buf_size, size_t *ret_len)
{
	struct rw_span body;

	if (!rw_block_body(b, rw_encoder_scratch(e), &body))
		return -ENOMEM;
	return rw_encode(e, codec, snappy, body.at, body.len, buf, buf_size, ret_len);
}
