/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/block.h"
#include "route/wire/intern.h"
#include "route/wire/pack.h"
#include "route/wire/write.h"

#define RECENT_LABELS 64

/* Inside of an open block: between block.c, convert.c and body.c. */
struct rw_block {
	struct rw_block_info info; /* first: rw_block_info() */
	enum rw_version version;
	struct rw_convert_options options;
	struct rw_buf
		data; /* series (RW1: and metadata) with tag and length; packed: the last of them */
	struct rw_pack *pack; /* NULL: rows are kept as they are */
	struct rw_buf labels; /* of the series in work: those that are not the sender's */
	struct rw_intern symbols; /* RW2 */
	/* Symbols of the request whose id this is, as symbols of the block + 1, 0 = not met yet: interned once a request, not once a series. */
	uint32_t *remap;
	size_t remap_size;
	uint64_t remap_id;
	/* Symbols of name and value of the last series by position: in the next, most texts are the same. Believed after comparison only. */
	uint32_t recent[2 * RECENT_LABELS];
	uint64_t losses[_RW_LOSS_MAX];
	struct rw_metadata metadata; /* of the next series */
	bool has_metadata;
};

#define TAG_SERIES1 0x0a
#define TAG_SERIES2 0x2a

/* Appended in the block's version whatever that of @s is. @labels NULL: those of @s. 0, -ENOMEM: something may have been appended. */
int rw_block_add_as1(struct rw_block *b, const struct rw_series *s, const struct rw_label *labels,
		     size_t n_labels);
int rw_block_add_as2(struct rw_block *b, const struct rw_series *s, const struct rw_label *labels,
		     size_t n_labels);
void rw_block_counted(struct rw_block *b, uint32_t samples, const struct rw_series *s);
