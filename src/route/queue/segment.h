/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/cleanup.h"

/*
 * Segment files: the format of queues, dead letters and archives (GW-QU, section 8 of the format in docs/)
 *
 * Little-endian; checksums are the low 32 bits of XXH3_64. A header of 64 bytes, then records of a 64-byte header, extra fields, payload and zero padding to
 * 8 bytes. Writers append only; readers believe nothing that a checksum does not cover.
 */
#define SEGMENT_HEADER 64
#define RECORD_HEADER 64

enum record_schema { RECORD_RW1 = 1, RECORD_RW2 = 2, RECORD_FRAMES = 3 };
enum record_codec { RECORD_SNAPPY = 1, RECORD_ZSTD = 2 };
enum record_extra {
	EXTRA_TENANT = 1,
	EXTRA_SPLIT = 2,
	EXTRA_HISTOGRAMS = 3
}; /* 3: u32, how many of the samples are histograms */

/* Flags of a record: gateways that it has passed; of how many lanes its lane is one (0: not said). */
#define RECORD_HOPS 7U
#define RECORD_LAYOUT_SHIFT 8

struct segment_info {
	uint64_t sequence, first_index;
	int64_t created_ms;
	uint64_t node_hash, epoch;
	uint32_t flags;
};

struct record { /* payload and extra: borrowed */
	uint64_t index;
	uint64_t epoch; /* of the start that wrote it: that of its segment, not in its header */
	int64_t enqueued_ms, min_ts, max_ts; /* ms */
	uint32_t series, samples;
	uint16_t lane, flags;
	uint8_t schema, codec;
	const void *extra;
	uint16_t extra_len;
	const void *payload;
	uint32_t payload_len;
};

static inline uint32_t record_layout(const struct record *r)
{
	return r->flags >> RECORD_LAYOUT_SHIFT & 127U;
}

uint32_t segment_checksum(const void *data, size_t len);
void segment_header_encode(const struct segment_info *i, uint8_t out[SEGMENT_HEADER]);
int segment_header_decode(const uint8_t in[SEGMENT_HEADER],
			  struct segment_info *ret); /* -EBADMSG */
size_t record_size(const struct record *r); /* with header and padding */
/* Header alone; the checksum covers extra and payload. */
void record_header_encode(const struct record *r, uint8_t out[RECORD_HEADER]);
/* The header alone: extra and payload stay NULL. -EBADMSG */
int record_header_decode(const uint8_t in[RECORD_HEADER], struct record *ret);
/* Do extra and payload of @r fit the header's checksum? 0 or -EBADMSG */
int record_body_check(const uint8_t header[RECORD_HEADER], const struct record *r);
/*
 * Record at @at with @room bytes behind it. Size of the record; -ENODATA when there are not enough bytes; -EBADMSG when a checksum or a
 * length is wrong. Pointers go into @at.
 */
ssize_t record_decode(const uint8_t *at, size_t room, struct record *ret);
/* Offset of the next valid header at 8-byte steps from @from, or -ENODATA. */
ssize_t record_search(const uint8_t *at, size_t len, size_t from);
uint32_t record_histograms(const struct record *r); /* 0 where nothing is said */
bool record_extra_find(const struct record *r, enum record_extra type, const void **ret,
		       size_t *ret_len);
/* Appends one field at @at: bytes used, 0 = no room. */
size_t record_extra_put(uint8_t *at, size_t room, enum record_extra type, const void *value,
			size_t len);
/* A whole segment file, mapped or read: calls @fn per record; holes are counted. 0, -EBADMSG for a foreign file. */
typedef int (*segment_fn)(void *ctx, const struct record *r, uint64_t offset);
struct segment_walk {
	struct segment_info info;
	uint64_t records, holes, torn_at; /* torn_at 0 = none */
};
int segment_walk(const void *data, size_t len, segment_fn fn, void *ctx, struct segment_walk *ret);
