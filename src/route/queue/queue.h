/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/durations.h"
#include "route/queue/ballast.h"
#include "route/queue/segment.h"

/*
 * Queue of one node: memory tier, then segments on disk
 *
 * Many workers append, one sender takes. A block has its index when the append returns; then it is acknowledged as the queue's `ack`
 * says. Directory: <storage>/queue/<destination>/<node>/{lock,cursor,<seq 16 hex>.seg,dead/}. A block may be sent twice after a
 * crash, never skipped. All counts are exact, in blocks, series and samples: enqueued + recovered = sent + dropped + dead + expired + corrupt +
 * what waits; but for files that were damaged while nobody had them open.
 */
enum queue_ack { QUEUE_ACK_MEMORY, QUEUE_ACK_DISK, QUEUE_ACK_FSYNC };
enum queue_full { QUEUE_FULL_BLOCK, QUEUE_FULL_DROP_OLDEST, QUEUE_FULL_DROP_NEWEST };
enum queue_drain { QUEUE_FIFO, QUEUE_FRESH_FIRST };

struct queue_options {
	const char *storage_path, *destination, *node;
	uint64_t memory, disk, segment, min_free_disk, dead_letter; /* bytes */
	uint64_t max_age_us; /* 0 = for ever */
	enum queue_ack ack;
	enum queue_full full;
	enum queue_drain drain;
	uint32_t lanes;
	uint64_t epoch; /* random per start */
	struct ballast
		*ballast; /* of all queues of the storage; NULL = reservations are not backed */
};

enum queue_event {
	QUEUE_ENQUEUED,
	QUEUE_SENT,
	QUEUE_DROPPED,
	QUEUE_DEAD,
	QUEUE_RECOVERED,
	QUEUE_TORN,
	QUEUE_CORRUPT,
	QUEUE_EXPIRED,
	QUEUE_DEAD_DROPPED, /* dead letters that made room for newer ones, or did not fit */
	_QUEUE_EVENT_MAX
};
enum queue_error { QUEUE_NOSPACE, QUEUE_QUOTA, QUEUE_IO, QUEUE_OTHER, _QUEUE_ERROR_MAX };
struct queue_stats {
	uint64_t records[_QUEUE_EVENT_MAX], samples[_QUEUE_EVENT_MAX], series[_QUEUE_EVENT_MAX];
	uint64_t dropped_newest_samples, dropped_newest_series; /* were never enqueued */
	uint64_t errors[_QUEUE_ERROR_MAX];
	uint64_t memory_bytes, disk_bytes, dead_bytes; /* now */
	uint64_t memory_limit, disk_limit, dead_limit;
	uint64_t blocks, memory_blocks; /* waiting; of these with their bytes in memory */
	uint64_t waiting_samples;
	int64_t oldest_enqueued_ms, oldest_sample_ts; /* of what is unsent; 0 / INT64_MAX = empty */
	struct durations syncs; /* fdatasync */
	bool full;
};

struct queue;
/*
 * Opens or makes the directory (0700), locks it, recovers. @why: one sentence. 0; -EBUSY when another process holds it (its pid in
 * @why); -errno. What recovery had to set aside or skip is counted and logged, never an error.
 */
int queue_open(const struct queue_options *o, char *why, size_t why_size, struct queue **ret);
/* Seals what is in memory to disk (but disk: 0), writes the cursor. */
struct queue *queue_close(struct queue *q);
DEFINE_CLEANUP(struct queue *, queue_close);
/*
 * New limits, ages, ack, full and number of lanes; names and segments written so far stay. From any thread. Blocks of the old layout are sent
 * first.
 */
void queue_change(struct queue *q, const struct queue_options *o);

/* --- workers: any thread --- */
/*
 * Space for a request's rows before they are appended (GW-RX-5). 0; -EAGAIN full (`block`). drop_newest answers 1: leave this
 * node's rows out, counted by queue_drop(). drop_oldest makes room. What was reserved is taken by queue_append() whatever happens to the limits and the
 * free space meanwhile.
 */
int queue_reserve(struct queue *q, uint64_t bytes);
void queue_unreserve(struct queue *q, uint64_t bytes);
void queue_drop_newest(struct queue *q, uint32_t samples, uint32_t series);
/*
 * One sealed block; payload is copied (memory tier) or written. @r->index is set. 0 once the block is safe as `ack` says (fsync: group
 * commit, waits ≤ 10 ms); -EAGAIN full; -ENOSPC, -EDQUOT, -EIO counted, nothing kept.
 */
int queue_append(struct queue *q, struct record *r);

/* --- the sender: one thread --- */
struct queue_block { /* taken, not yet released; owned by the queue */
	struct record record; /* payload stays valid until release */
	unsigned attempts;
	void *owner; /* for the sender */
};
/* Lanes that have blocks now; changes between two calls of the sender. */
uint32_t queue_lanes(const struct queue *q);
/* Next unsent block of @lane in order, or NULL. Blocks older than max_age are expired on the way. */
struct queue_block *queue_take(struct queue *q, uint32_t lane, int64_t now_ms);
void queue_put_back(struct queue *q, struct queue_block *b); /* failed: first of its lane again */
void queue_release(struct queue *q, struct queue_block *b); /* sent */
/* The same of a block that was cut up, of which these went to dead/ before. */
void queue_release_cut(struct queue *q, struct queue_block *b, uint32_t dead_samples,
		       uint32_t dead_series);
/* A taken block that has become too old: true when it is gone. */
bool queue_expire(struct queue *q, struct queue_block *b, int64_t now_ms);
/*
 * Refused for good: to dead/ with a JSON line (GW-TX-11). @what: a part of a block that was cut up, which stays; NULL = the block, which goes.
 * -EFBIG: more than dead letters may take, dropped and counted. Other errors: nothing was written, the block stays.
 */
int queue_dead_letter(struct queue *q, struct queue_block *b, const struct record *what, int status,
		      const char *reason, const char *series);
/* Called with no lock held whenever a lane that was empty has a block. */
void queue_on_ready(struct queue *q, void (*fn)(void *ctx, uint32_t lane), void *ctx);
void queue_tick(struct queue *q, int64_t now_ms); /* each second: cursor, free space, age */
/* Of the tier that it lives in, 0..1; 1 = there is no room on the device. What is only reserved does not count. */
double queue_fill(struct queue *q);
void queue_stats(struct queue *q, struct queue_stats *ret);

/* Index of the lowest unsent record by the cursor of a queue that nobody has open. -errno without a sound one. */
int queue_cursor_lowest(int dir_fd, uint64_t *ret);

/* Directories below <storage>/queue that belong to no configured node (GW-QU-8). */
typedef void (*queue_orphan_fn)(void *ctx, const char *destination, const char *node,
				uint64_t bytes);
int queue_orphans(const char *storage_path, const char *const *known, size_t n_known,
		  queue_orphan_fn fn, void *ctx); /* known: "destination/node" */
