/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/buf.h"
#include "route/wire/snappy.h"

#define RW_MEMORY_BITS 14

/* Inside of an encoder: between encode.c and snappy.c. */
struct rw_encoder {
	struct ZSTD_CCtx_s *zstd;
	struct rw_buf scratch, sealed;
	uint32_t memory[1 << RW_MEMORY_BITS]; /* base + where a label of this hash ended last */
	uint32_t base; /* bytes of all messages before, so that nothing has to be cleared */
};
