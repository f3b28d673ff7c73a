/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/receive/counters.h"
#include "route/snapshot.h"
#include "route/wire/block.h"

/*
 * Open blocks of one worker, and what waits for them
 *
 * A request touches blocks; it is answered when each of them has been sealed and taken by its queue. All or nothing: rows are appended, then
 * space is reserved in every queue, and if one refuses all rows go again. One worker, one thread: no locks.
 */
#define EXTRA_MAX 512 /* bytes of a block's extra fields */

struct ticket_route { /* what a route took of a request */
	uint32_t route, series;
};
struct ticket { /* embedded in a request; lives until done() was called */
	unsigned pending; /* touched blocks that are not safe yet */
	bool failed, committed;
	double fill; /* of the fullest queue that refused, 0..1 */
	void (*done)(struct ticket *t); /* all are safe, or failed */
	struct open_block *touched; /* by the request at work */
	uint64_t began_us;
	struct ticket_route *routes; /* n_routes; memory is the owner's to keep and to free */
	size_t n_routes, routes_size;
};

struct open_blocks;
int open_blocks_new(struct rw_encoder *encoder, enum rw_snappy snappy,
		    struct worker_counters *counters, struct open_blocks **ret);
struct open_blocks *
open_blocks_free(struct open_blocks *o); /* what is open is lost: flush before */
DEFINE_CLEANUP(struct open_blocks *, open_blocks_free);
/* For another snapshot: seals all blocks of the old one first. 0 or -ENOMEM. */
int open_blocks_use(struct open_blocks *o, const struct snapshot *s);

/* Which block a row belongs to. Texts live for the call. */
struct block_key {
	const struct destination *d;
	uint16_t node, lane;
	enum rw_version version;
	uint16_t flags; /* hops */
	const void *extra; /* record's extra fields: tenant, split labels */
	uint16_t extra_len;
};
/*
 * The block for a row of the request @t; full ones are put aside until the commit. NULL: no memory.
 */
struct rw_block *open_blocks_get(struct open_blocks *o, struct ticket *t,
				 const struct block_key *k);
/*
 * Reserves and keeps, or takes all rows back. 0; -EAGAIN a queue refused. Afterwards t->pending tells how many blocks are waited for; with
 * 0 done() is not called.
 */
int open_blocks_commit(struct open_blocks *o, struct ticket *t, uint64_t now_us);
void open_blocks_rollback(struct open_blocks *o, struct ticket *t);
/* Nobody waits for @t any more. */
void open_blocks_forget(struct open_blocks *o, struct ticket *t);
void open_blocks_run(struct open_blocks *o, uint64_t now_us); /* seals what is due */
void open_blocks_flush(struct open_blocks *o); /* seals all */
uint64_t open_blocks_next(const struct open_blocks *o); /* µs, 0 = none */
