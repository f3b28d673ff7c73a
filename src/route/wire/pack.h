/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/buf.h"
#include "route/wire/series.h"

/*
 * A snappy block that grows row by row, while the rows are in the cache (GW-TX-5)
 *
 * Inside of an open block. The block's buffer holds the last rows alone, as a window of what has been compressed; older bytes are gone.
 */
#define PACK_LABELS_MAX 64 /* of a row that is compressed by its labels */
#define PACK_ROW_MAX 4096 /* bytes of such a row */
#define PACK_WINDOW (48 * 1024) /* then the window begins anew with the last row */
#define PACK_SEEN_BITS 11
#define PACK_SLACK 64

struct rw_pack;
/* Elements of a row that is usual: there is room for them, and for reading beyond. */
typedef void rw_pack_add(struct rw_pack *p, const struct rw_buf *data, uint32_t row, uint32_t first,
			 const uint8_t *content, const struct rw_label *labels, uint32_t n);
rw_pack_add rw_pack_add_plain;
#if defined(__x86_64__) && !defined(__clang__) /* clang does not set the macros by the pragma */
rw_pack_add rw_pack_add_avx2;
#endif

struct rw_pack {
	rw_pack_add *add;
	struct rw_buf out; /* elements, behind room for the length */
	uint64_t base; /* bytes of the body before the window */
	uint32_t written; /* what lies before in the window is in out, but for the pending copy */
	uint32_t run, run_len, distance; /* pending copy */
	/* The last row, where it is known. */
	bool known, plain; /* plain: what is not written is left to libsnappy */
	uint32_t row, first, end; /* its begin, its first label, its end */
	uint32_t done,
		done_before; /* compared up to there; the same of the row before, 0 = unknown */
	uint32_t n;
	uint16_t ends[PACK_LABELS_MAX]; /* of labels, from first */
	uint16_t seen[1 << PACK_SEEN_BITS]; /* label of this hash: where it ended */
};

struct rw_pack *rw_pack_new(void);
struct rw_pack *rw_pack_free(struct rw_pack *p);
void rw_pack_reset(struct rw_pack *p);
/*
 * A row [@row, @data->len) was appended; its labels begin at @first, @n 0 = it has none that are known. @content: the same bytes from @first on as they came,
 * with PACK_SLACK behind them, or NULL: what has just been written takes long to read again. The window may begin anew. 0, -ENOMEM: the row is not
 * packed and may be taken away again by the caller.
 */
int rw_pack_row(struct rw_pack *p, struct rw_buf *data, size_t row, size_t first,
		const uint8_t *content, const struct rw_label *labels, uint32_t n);
/* All that was appended is in @p->out. 0, -ENOMEM */
int rw_pack_flush(struct rw_pack *p, struct rw_buf *data);
/* Back to a body of @bytes, whose elements ended at @out_len: both after a flush. */
void rw_pack_cut(struct rw_pack *p, struct rw_buf *data, uint64_t bytes, size_t out_len);
/* The whole block; it lies in @p. After a flush. */
struct rw_span rw_pack_block(struct rw_pack *p, const struct rw_buf *data);
