/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/cleanup.h"
#include "route/wire/buf.h"
#include "route/wire/series.h"
#include "route/wire/snappy.h"

/*
 * Open block: the rows of one node and lane until they are sealed to one request body
 *
 * Rows are appended in the wire form of the block's version; RW2 symbols are interned once per block. A mark and its rollback take back
 * rows of a request that another queue refused (GW-RX-5). Memory is kept for the next block (rw_block_reset).
 */
enum rw_loss {
	RW_LOSS_START_TIMESTAMP,
	RW_LOSS_CUSTOM_BUCKETS,
	RW_LOSS_ORPHAN_EXEMPLAR,
	_RW_LOSS_MAX
};
extern const char *const rw_loss_names[_RW_LOSS_MAX];

enum rw_start_timestamp { /* GW-TX-4 */
			  RW_START_SAMPLE,
			  RW_START_SERIES,
			  RW_START_BOTH,
			  RW_START_AS_IS, /* where the sender put them: for bodies that are only cut */
};
struct rw_told;
struct rw_tell { /* RW2 to RW1: metadata goes where rw_told_due() lets it */
	struct rw_told *table; /* NULL: once a body */
	uint64_t tenant, now_us, tag;
};
struct rw_convert_options {
	bool send_custom_buckets; /* rw1_custom_buckets: send */
	enum rw_start_timestamp start;
	struct rw_tell tell; /* of rw_body_convert() */
};

struct rw_block;
int rw_block_new(enum rw_version version, const struct rw_convert_options *o,
		 struct rw_block **ret);
/*
 * RW1, compressed by the own snappy encoder row by row: a fraction of the memory, and the rows are read while they are in the cache. It has no
 * rw_block_body(), and rw_block_seal() gives that encoding alone.
 */
int rw_block_new_packed(const struct rw_convert_options *o, struct rw_block **ret);
struct rw_block *rw_block_free(struct rw_block *b);
DEFINE_CLEANUP(struct rw_block *, rw_block_free);
void rw_block_reset(struct rw_block *b);

/*
 * Appends a series. @labels NULL: those of @s untouched (canonical bytes are copied whole where the versions agree). Else the
 * changed labels, canonical. Series of the other version are converted (GW-CV). 0, -ENOMEM.
 */
int rw_block_add(struct rw_block *b, const struct rw_series *s, const struct rw_label *labels,
		 size_t n_labels);
/* RW2 blocks: what the family table knows of the next series, if that comes as RW1 (GW-CV-5). Its texts live until then. */
void rw_block_next_metadata(struct rw_block *b, const struct rw_metadata *m);
int rw_block_add_metadata(struct rw_block *b, uint32_t type, struct rw_span family,
			  struct rw_span help,
			  struct rw_span unit); /* RW1 blocks; RW2 carries it in series */
struct rw_block_mark {
	size_t bytes, symbols, symbol_bytes, packed;
	uint32_t series, samples, histograms;
	int64_t min_ts, max_ts;
	uint64_t losses[_RW_LOSS_MAX];
};
int rw_block_mark(struct rw_block *b, struct rw_block_mark *ret); /* 0, -ENOMEM */
void rw_block_rollback(struct rw_block *b, const struct rw_block_mark *m);

struct rw_block_info {
	size_t raw_bytes;
	uint32_t series, samples; /* samples + histograms */
	uint32_t histograms; /* of these */
	int64_t min_ts, max_ts;
};
/* Stands first in every block and is true after each call. */
static inline const struct rw_block_info *rw_block_info(const struct rw_block *b)
{
	return (const struct rw_block_info *)b;
}
size_t rw_block_memory(const struct rw_block *b); /* that it holds, empty or not */
const uint64_t *rw_block_losses(const struct rw_block *b); /* [_RW_LOSS_MAX] since reset */

/* The whole block as one message. It lies in the block or in @scratch until either changes. False: no memory. */
bool rw_block_body(const struct rw_block *b, struct rw_buf *scratch, struct rw_span *ret);
/* Compressed by the worker's encoder. It lies in the block or in the encoder until either is used again. 0, -ENOMEM. */
int rw_block_seal(struct rw_block *b, struct rw_encoder *e, enum rw_codec codec,
		  enum rw_snappy snappy, struct rw_span *ret);

/* Whole bodies, decoded: for RW2 → RW1 on the way out (GW-TX-2), halving (GW-TX-10) and replay. */
int rw_body_convert(const void *body, size_t len, enum rw_version from, enum rw_version to,
		    const struct rw_convert_options *o, uint8_t **ret, size_t *ret_len,
		    uint64_t losses[_RW_LOSS_MAX]);
/* Series [first, first + n) of a decoded body as a body of its own. Number of series of the whole in @ret_series. */
int rw_body_slice(const void *body, size_t len, enum rw_version version, uint32_t first, uint32_t n,
		  uint8_t **ret, size_t *ret_len, uint32_t *ret_series);
