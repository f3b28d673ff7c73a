/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segment files: encode, decode, walk
 *
 * Pure: works on bytes in memory. A header's checksum covers its first 60 bytes, a record's further checksum covers extra and payload, so a
 * reader can skip along headers and look at payloads only when it needs them.
 */

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/types.h>
#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>
#include "base/macro.h"
#include "route/queue/segment.h"

#define CHECKED 60 /* bytes of a header that its checksum covers */
#define ALIGN 8U

static const uint8_t segment_magic[8] = { 'T', 'L', 'M', 'Q', '0', '0', '0', '1' };
static const uint8_t record_magic[4] = { 'B', 'L', 'K', '1' };

static void put16(uint8_t *at, uint16_t v)
{
	v = htole16(v);
	memcpy(at, &v, sizeof(v));
}

static void put32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

static void put64(uint8_t *at, uint64_t v)
{
	v = htole64(v);
	memcpy(at, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

uint32_t segment_checksum(const void *data, size_t len)
{
	return (uint32_t)XXH3_64bits(data, len);
}

/* --- the head of a file --- */

void segment_header_encode(const struct segment_info *i, uint8_t out[SEGMENT_HEADER])
{
	memset(out, 0, SEGMENT_HEADER);
	memcpy(out, segment_magic, sizeof(segment_magic));
	put32(out + 8, SEGMENT_HEADER);
	put32(out + 12, i->flags);
	put64(out + 16, i->sequence);
	put64(out + 24, i->first_index);
	put64(out + 32, (uint64_t)i->created_ms);
	put64(out + 40, i->node_hash);
	put64(out + 48, i->epoch);
	put32(out + CHECKED, segment_checksum(out, CHECKED));
}

int segment_header_decode(const uint8_t in[SEGMENT_HEADER], struct segment_info *ret)
{
	if (memcmp(in, segment_magic, sizeof(segment_magic)) != 0 ||
	    get32(in + 8) != SEGMENT_HEADER || get32(in + CHECKED) != segment_checksum(in, CHECKED))
		return -EBADMSG;
	*ret = (struct segment_info){
		.flags = get32(in + 12),
		.sequence = get64(in + 16),
		.first_index = get64(in + 24),
		.created_ms = (int64_t)get64(in + 32),
		.node_hash = get64(in + 40),
		.epoch = get64(in + 48),
	};
	return 0;
}

/* --- records --- */

static size_t padded(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

size_t record_size(const struct record *r)
{
	return padded(RECORD_HEADER + (size_t)r->extra_len + r->payload_len);
}

static uint32_t body_checksum(const void *extra, size_t extra_len, const void *payload, size_t len)
{
	XXH3_state_t s;

	if (!extra_len)
		return segment_checksum(payload, len);
	XXH3_INITSTATE(&s);
	(void)XXH3_64bits_reset(&s);
	(void)XXH3_64bits_update(&s, extra, extra_len);
	(void)XXH3_64bits_update(&s, payload, len);
	return (uint32_t)XXH3_64bits_digest(&s);
}

void record_header_encode(const struct record *r, uint8_t out[RECORD_HEADER])
{
	memcpy(out, record_magic, sizeof(record_magic));
	put32(out + 4, r->payload_len);
	put64(out + 8, r->index);
	put64(out + 16, (uint64_t)r->enqueued_ms);
	put64(out + 24, (uint64_t)r->min_ts);
	put64(out + 32, (uint64_t)r->max_ts);
	put32(out + 40, r->series);
	put32(out + 44, r->samples);
	put16(out + 48, r->lane);
	out[50] = r->schema;
	out[51] = r->codec;
	put16(out + 52, r->extra_len);
	put16(out + 54, r->flags);
	put32(out + 56, body_checksum(r->extra, r->extra_len, r->payload, r->payload_len));
	put32(out + CHECKED, segment_checksum(out, CHECKED));
}

int record_header_decode(const uint8_t in[RECORD_HEADER], struct record *ret)
{
	if (memcmp(in, record_magic, sizeof(record_magic)) != 0 ||
	    get32(in + CHECKED) != segment_checksum(in, CHECKED))
		return -EBADMSG;
	*ret = (struct record){
		.payload_len = get32(in + 4),
		.index = get64(in + 8),
		.enqueued_ms = (int64_t)get64(in + 16),
		.min_ts = (int64_t)get64(in + 24),
		.max_ts = (int64_t)get64(in + 32),
		.series = get32(in + 40),
		.samples = get32(in + 44),
		.lane = get16(in + 48),
		.schema = in[50],
		.codec = in[51],
		.extra_len = get16(in + 52),
		.flags = get16(in + 54),
	};
	return 0;
}

int record_body_check(const uint8_t header[RECORD_HEADER], const struct record *r)
{
	return get32(header + 56) ==
			       body_checksum(r->extra, r->extra_len, r->payload, r->payload_len)
		       ? 0
		       : -EBADMSG;
}

ssize_t record_decode(const uint8_t *at, size_t room, struct record *ret)
{
	struct record r;
	size_t size;
	int e;

	if (room < RECORD_HEADER)
		return -ENODATA;
	e = record_header_decode(at, &r);
	if (e < 0)
		return e;
	size = record_size(&r);
	if (size > room)
		return -ENODATA;
	r.extra = at + RECORD_HEADER;
	r.payload = at + RECORD_HEADER + r.extra_len;
	e = record_body_check(at, &r);
	if (e < 0)
		return e;
	*ret = r;
	return (ssize_t)size;
}

ssize_t record_search(const uint8_t *at, size_t len, size_t from)
{
	struct record r;

	for (size_t i = padded(from); i + RECORD_HEADER <= len; i += ALIGN)
		if (record_header_decode(at + i, &r) == 0)
			return (ssize_t)i;
	return -ENODATA;
}

/* Type u8, length u16, value; unknown types are passed over. */
bool record_extra_find(const struct record *r, enum record_extra type, const void **ret,
		       size_t *ret_len)
{
	const uint8_t *at = r->extra, *end = at + r->extra_len;

	while (r->extra_len && end - at >= 3) {
		size_t len = get16(at + 1);

		if (len > (size_t)(end - at - 3))
			return false;
		if (*at == type) {
			*ret = at + 3;
			*ret_len = len;
			return true;
		}
		at += 3 + len;
	}
	return false;
}

uint32_t record_histograms(const struct record *r)
{
	const void *value;
	size_t len;

	return record_extra_find(r, EXTRA_HISTOGRAMS, &value, &len) && len == 4 ? get32(value) : 0;
}

size_t record_extra_put(uint8_t *at, size_t room, enum record_extra type, const void *value,
			size_t len)
{
	if (room < 3 + len || len > UINT16_MAX)
		return 0;
	*at = (uint8_t)type;
	put16(at + 1, (uint16_t)len);
	memcpy(at + 3, value, len);
	return 3 + len;
}

/* --- a whole file --- */

int segment_walk(const void *data, size_t len, segment_fn fn, void *ctx, struct segment_walk *ret)
{
	const uint8_t *bytes = data;
	size_t at = SEGMENT_HEADER;

	*ret = (struct segment_walk){};
	if (len < SEGMENT_HEADER || segment_header_decode(bytes, &ret->info) < 0)
		return -EBADMSG;
	while (at < len) {
		struct record r;
		ssize_t n = record_decode(bytes + at, len - at, &r);
		int e;

		if (n < 0) {
			n = record_search(bytes, len, at + ALIGN);
			if (n < 0) {
				ret->torn_at = at;
				return 0;
			}
			ret->holes++;
			at = (size_t)n;
			continue;
		}
		e = fn ? fn(ctx, &r, at) : 0;
		if (e < 0)
			return e;
		ret->records++;
		at += (size_t)n;
	}
	return 0;
}
