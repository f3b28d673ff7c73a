/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of one request
 *
 * Mostly the block's own, as they were sealed. Another version or encoding is made when the node needs it, and a part when the block is cut
 * up. Buffers belong to the lane and are kept.
 */
#define LOG_MODULE "send"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>
#include "base/macro.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "base/time.h"
#include "route/send/internal.h"
#include "route/wire/scan.h"

#define DECODED_MAX (1ULL << 30)
#define ZSTD_LEVEL 1
#define SENT_MIN 1024 /* no request is cut down below this for its size alone */

static enum rw_version version_of(const struct record *r)
{
	return r->schema == RECORD_RW2 ? RW2 : RW1;
}

/* What the node is to get (GW-TX-2). */
static enum rw_version wanted_version(const struct sender *n, enum rw_version own)
{
	switch (n->o.protocol) {
	case SEND_RW1:
	case SEND_VM:
		return RW1;
	case SEND_RW2:
		return RW2;
	default:
		return n->stats.rw1_only ? RW1 : own;
	}
}

static bool wants_zstd(const struct sender *n)
{
	return n->o.protocol == SEND_VM && !n->snappy_only;
}

static int grow(uint8_t **buf, size_t *size, size_t need)
{
	uint8_t *more;

	if (need <= *size)
		return 0;
	more = realloc(*buf, need);
	if (!more)
		return -ENOMEM;
	*buf = more;
	*size = need;
	return 0;
}

static int compress_body(struct sender *n, struct lane_state *l, const uint8_t *body, size_t len,
			 bool zstd)
{
	size_t bound = zstd ? ZSTD_compressBound(len) : rw_snappy_bound(len), made;
	int r = grow(&l->made, &l->made_size, bound);

	if (r < 0)
		return r;
	if (zstd) {
		made = ZSTD_compress(l->made, l->made_size, body, len, ZSTD_LEVEL);
		if (ZSTD_isError(made))
			return -EINVAL;
	} else {
		made = rw_snappy_encode(n->all->encoder, body, len, l->made);
	}
	l->made_len = made;
	return 0;
}

static int decode_block(struct sender *n, const struct record *r, size_t *ret_len)
{
	return rw_decode(r->codec == RECORD_ZSTD ? RW_ENCODING_ZSTD : RW_ENCODING_SNAPPY,
			 r->payload, r->payload_len, DECODED_MAX, &n->all->decoded,
			 &n->all->decoded_size, ret_len);
}

static int make(struct sender *n, struct lane_state *l, const uint8_t *body, size_t len,
		enum rw_version from, enum rw_version to, bool zstd)
{
	_cleanup_(freep) uint8_t *converted = NULL;
	struct rw_convert_options o = n->o.convert;
	const void *tenant;
	size_t converted_len, tenant_len;
	int r;

	if (from == to)
		return compress_body(n, l, body, len, zstd);
	o.tell = (struct rw_tell){ .table = n->o.told,
				   .now_us = time_mono_us(),
				   .tag = l->block->record.index + 1 };
	if (record_extra_find(&l->block->record, EXTRA_TENANT, &tenant, &tenant_len))
		o.tell.tenant = XXH3_64bits(tenant, tenant_len);
	r = rw_body_convert(body, len, from, to, &o, &converted, &converted_len, l->losses);
	return r < 0 ? r : compress_body(n, l, converted, converted_len, zstd);
}

/* Samples and histograms of @body; its first series as people write it. @text, @ret_histograms may be NULL. */
static uint32_t describe(const uint8_t *body, size_t len, enum rw_version version,
			 uint32_t *ret_histograms, char *text, size_t size)
{
	const struct rw_limits limits = { UINT32_MAX, UINT32_MAX, UINT32_MAX, 1024, UINT32_MAX,
					  UINT32_MAX, UINT32_MAX, false,      false };
	struct rw_scan *scan;
	struct rw_series s;
	struct strbuf b;
	uint32_t samples = 0, histograms = 0;
	char none[1];

	strbuf_init_fixed(&b, text ? text : none, text ? size : sizeof(none));
	if (ret_histograms)
		*ret_histograms = 0;
	if (rw_scan_new(&scan) < 0)
		return 0;
	if (rw_scan_begin(scan, version, &limits, body, len) >= 0)
		for (bool first = true; rw_scan_next(scan, &s) > 0; first = false) {
			samples += s.n_samples + s.n_histograms;
			histograms += s.n_histograms;
			for (uint32_t i = 0; text && first && i < s.n_labels; i++)
				strbuf_addf(&b, "%s%.*s=\"%.*s\"", i ? "," : "{",
					    (int)s.labels[i].name_len, s.labels[i].name,
					    (int)MIN(s.labels[i].value_len, 128U),
					    s.labels[i].value);
		}
	strbuf_addch(&b, '}');
	rw_scan_free(scan);
	if (ret_histograms)
		*ret_histograms = histograms;
	return samples;
}

static int prepare_part(struct sender *n, struct lane_state *l, enum rw_version to, bool zstd)
{
	struct cut *c = &l->cut;
	_cleanup_(freep) uint8_t *slice = NULL;
	size_t len;
	uint32_t series;
	int r = rw_body_slice(c->body, c->len, c->version, c->ranges[c->n_ranges - 1].first,
			      c->ranges[c->n_ranges - 1].n, &slice, &len, &series);

	if (r < 0)
		return r;
	l->sent_series = c->ranges[c->n_ranges - 1].n;
	l->sent_samples = describe(slice, len, c->version, NULL, NULL, 0);
	return make(n, l, slice, len, c->version, to, zstd);
}

/* --- after a 413 --- */

static uint32_t series_of(const struct lane_state *l)
{
	return l->cut.body ? l->cut.ranges[l->cut.n_ranges - 1].n : l->block->record.series;
}

void send_too_large(struct sender *n, struct lane_state *l)
{
	size_t half = MAX(l->sent_len / 2, (size_t)SENT_MIN);

	if (series_of(l) > 1)
		n->max_bytes = n->max_bytes ? MIN(n->max_bytes, half) : half;
}

/* About how much of the block's bytes the next request has. */
static uint64_t estimate(const struct lane_state *l)
{
	const struct record *r = &l->block->record;

	return (uint64_t)r->payload_len * series_of(l) / MAX(r->series, 1U);
}

/* What the node called too large is not tried again: a block over that is cut up beforehand. */
static int fit(struct sender *n, struct lane_state *l)
{
	int r = 0;

	if (!n->max_bytes || estimate(l) <= n->max_bytes)
		return 0;
	if (!l->cut.body)
		r = send_cut_begin(n, l);
	while (r >= 0 && estimate(l) > n->max_bytes && send_cut_split(l, SIZE_REQUESTS_MAX))
		;
	return r;
}

int send_prepare_body(struct sender *n, struct lane_state *l, const uint8_t **ret, size_t *ret_len)
{
	const struct record *r = &l->block->record;
	enum rw_version from = version_of(r), to = wanted_version(n, from);
	bool zstd = wants_zstd(n);
	size_t len;
	int e;

	l->sent_rw2 = to == RW2;
	l->sent_zstd = zstd;
	l->sent_series = r->series;
	l->sent_samples = r->samples;
	memset(l->losses, 0, sizeof(l->losses));
	e = fit(n, l);
	if (e < 0)
		return e;
	if (l->cut.body) {
		e = prepare_part(n, l, to, zstd);
	} else if (from == to && zstd == (r->codec == RECORD_ZSTD)) {
		*ret = r->payload;
		*ret_len = r->payload_len;
		return 0;
	} else {
		e = decode_block(n, r, &len);
		if (e >= 0)
			e = make(n, l, n->all->decoded, len, from, to, zstd);
	}
	if (e < 0)
		return e;
	*ret = l->made;
	*ret_len = l->made_len;
	return 0;
}

/* --- a block that is cut up --- */

int send_cut_begin(struct sender *n, struct lane_state *l)
{
	struct cut *c = &l->cut;
	_cleanup_(freep) uint8_t *all = NULL;
	size_t len, all_len;
	uint32_t series;
	int r = decode_block(n, &l->block->record, &len);

	if (r < 0)
		return r;
	c->version = version_of(&l->block->record);
	/* One look tells how many series there are. */
	r = rw_body_slice(n->all->decoded, len, c->version, 0, UINT32_MAX, &all, &all_len, &series);
	if (r < 0)
		return r;
	c->body = malloc(len + 1);
	if (!c->body)
		return -ENOMEM;
	memcpy(c->body, n->all->decoded, len);
	c->len = len;
	c->ranges[0].first = 0;
	c->ranges[0].n = series;
	c->n_ranges = 1;
	c->requests = 0;
	return 0;
}

bool send_cut_split(struct lane_state *l, unsigned requests)
{
	struct cut *c = &l->cut;
	uint32_t first, n;

	if (!c->n_ranges || c->n_ranges == RANGES_MAX || c->requests >= requests)
		return false;
	first = c->ranges[c->n_ranges - 1].first;
	n = c->ranges[c->n_ranges - 1].n;
	if (n < 2)
		return false;
	/* The first half lies on top, so that order is kept. */
	c->ranges[c->n_ranges - 1].first = first + n / 2;
	c->ranges[c->n_ranges - 1].n = n - n / 2;
	c->ranges[c->n_ranges].first = first;
	c->ranges[c->n_ranges].n = n / 2;
	c->n_ranges++;
	c->requests++;
	return true;
}

void send_cut_end(struct lane_state *l)
{
	free(l->cut.body);
	l->cut = (struct cut){};
}

int send_cut_record(struct sender *n, struct lane_state *l, struct record *ret,
		    uint8_t **ret_payload, uint32_t *ret_histograms, char *series,
		    size_t series_size)
{
	struct cut *c = &l->cut;
	_cleanup_(freep) uint8_t *slice = NULL, *payload = NULL;
	size_t len;
	uint32_t total;
	int r = rw_body_slice(c->body, c->len, c->version, c->ranges[c->n_ranges - 1].first,
			      c->ranges[c->n_ranges - 1].n, &slice, &len, &total);

	if (r < 0)
		return r;
	payload = malloc(rw_snappy_bound(len));
	if (!payload)
		return -ENOMEM;
	*ret = l->block->record;
	ret->payload_len = (uint32_t)rw_snappy_encode(n->all->encoder, slice, len, payload);
	ret->codec = RECORD_SNAPPY;
	ret->series = c->ranges[c->n_ranges - 1].n;
	ret->samples = describe(slice, len, c->version, ret_histograms, series, series_size);
	ret->payload = payload;
	*ret_payload = TAKE_PTR(payload);
	return 0;
}
