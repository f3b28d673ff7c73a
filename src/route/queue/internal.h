/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <pthread.h>
#include "route/queue/queue.h"

/*
 * What the files of a queue share
 *
 * All unsent blocks in order of their index: first the window, blocks that are known one by one (waiting or taken; with their bytes in
 * memory while there is room), then the backlog, records that are on disk alone. `load` is where the backlog begins.
 */
#define LANES_MAX 64
#define WINDOW_LOAD_MAX 1024 /* blocks that are loaded ahead of the sender */
#define FRESH_RANGES_MAX 64
#define CURSOR_BEHIND_MAX 64 /* releases until the cursor is written */

/* How much of something. */
struct amount {
	uint64_t records, samples, series;
};

struct segment_file {
	struct segment_file *next; /* by sequence */
	uint64_t sequence, first_index, size;
	uint64_t records, released; /* unsent = records - released */
	uint64_t samples, series; /* of unsent records */
	uint64_t epoch;
	int64_t min_ts, oldest_ms; /* of all records */
	int fd; /* open while it is written or loaded */
	bool sealed; /* nothing is appended any more */
	bool sent; /* sent before older ones were: only a mark is left, so that no file seems to be missing */
};

struct block {
	struct queue_block public; /* first */
	struct block *lane_next;
	struct block *older, *newer; /* window, by index */
	struct segment_file *segment; /* NULL: in memory alone */
	uint64_t offset; /* of its record */
	uint8_t *bytes; /* extra, then payload; NULL = on disk alone */
	uint32_t lane; /* once it is in one */
	bool taken, fresh; /* fresh: overtakes the backlog */
};

struct lane {
	struct block *first, *last;
	struct block *fresh_first,
		*fresh_last; /* fresh_first: what came while there was a backlog */
	bool taken, fresh_turn;
};

struct index_range {
	uint64_t first, end;
};

struct queue {
	struct queue_options o;
	char path[4096]; /* of the directory; texts of options point into names */
	char names[200];
	int dir_fd, lock_fd, cursor_fd;
	uint64_t node_hash;
	pthread_mutex_t lock;
	pthread_cond_t synced;
	void (*ready)(void *ctx, uint32_t lane);
	void *ready_ctx;

	struct lane lanes[LANES_MAX];
	struct block *oldest, *newest; /* window */
	struct block *
		waiting; /* the first one of another layout; it and all newer ones are in no lane yet */
	size_t window;
	uint32_t layout; /* lanes for which the blocks in lanes were made */
	uint32_t width; /* lanes that are used; o.lanes is what is wanted */
	struct segment_file *segments, *last_segment;
	struct {
		struct segment_file *segment;
		uint64_t offset;
	} load;
	uint64_t backlog; /* records behind load, without fresh ones */
	struct index_range fresh[FRESH_RANGES_MAX];
	size_t n_fresh;

	uint64_t next_index, next_sequence;
	uint64_t memory, disk, dead, reserved; /* bytes */
	uint64_t backed; /* of what is reserved: promised by the ballast */
	bool no_space; /* the device or its reserve, until a tick finds room */
	int64_t oldest_ms_floor;

	/* fsync */
	uint64_t written, durable,
		lost; /* running numbers of appends; lost: the last that a failed sync covered */
	bool syncing;

	/* cursor */
	uint64_t cursor_generation;
	unsigned cursor_behind;
	uint64_t cursor_lowest;

	struct queue_stats stats;
};

/* --- disk.c: segment files of the directory; the lock is held --- */
int disk_open_all(struct queue *q); /* lists and opens; foreign and unreadable ones are set aside */
int disk_append(struct queue *q, const struct record *r, struct segment_file **ret,
		uint64_t *ret_offset);
/* Extra and payload of a record: 0, -EBADMSG, -errno. Needs no lock while the segment has an unsent record. */
int disk_read_body(const struct queue *q, uint64_t sequence, uint64_t offset, struct record *ret,
		   uint8_t **ret_bytes);
int disk_open_file(const struct queue *q, struct segment_file *s);
void disk_close_file(struct segment_file *s);
/*
 * Header at @offset of an open file: size of the record. Holes are passed over and counted in @holes, which may be NULL. 0: no further
 * record; @offset stays where the last one ended. -errno
 */
ssize_t disk_read_header(struct segment_file *s, uint64_t *offset, struct record *ret,
			 uint64_t *holes);
void disk_release(struct queue *q, struct segment_file *s, struct amount a);
void disk_note_sync(struct queue *q, uint64_t from_us);
void disk_seal(struct queue *q); /* the next append begins a new file */
void disk_drop_sent(struct queue *q); /* the last file, when nothing in it waits any more */
/* Before all others: what is in memory alone, at close. */
int disk_begin_before(struct queue *q);
void disk_close_all(struct queue *q);
void disk_count_error(struct queue *q, int error);
int disk_free_space(struct queue *q); /* sets no_space */

/* --- cursor.c --- */
struct cursor {
	uint64_t generation, lowest; /* index of the lowest unsent record */
	uint64_t sequence, offset;
};
int cursor_read(struct queue *q, struct cursor *ret); /* -ENOENT new, -EBADMSG both slots are bad */
void cursor_write(struct queue *q, bool now);

/* --- recover.c --- */
#define FIRST_SEQUENCE (1ULL << 32) /* leaves room for what is put before all others */
int queue_recover(struct queue *q);
bool queue_is_foreign(const struct queue *q); /* segments of another node lie in the directory */

/* --- dead.c --- */
int dead_open(struct queue *q);
int dead_write(struct queue *q, const struct record *r, int status, const char *reason,
	       const char *series);

/* --- window.c --- */
size_t window_weight(const struct block *b);
void window_set_bytes(struct block *b, uint8_t *bytes);
void window_free(struct block *b);
void window_add(struct queue *q, struct block *b); /* by index; then */
void window_admit(struct queue *q,
		  struct block *b); /* into its lane, when its layout's turn has come */
void window_remove(struct queue *q, struct block *b);
void window_unlink(struct queue *q, struct block *b); /* out of its lane, wherever it waits there */
void window_put_first(struct queue *q, struct block *b);
struct block *window_pop(struct block **first, struct block **last);

/* --- queue.c --- */
void queue_count(struct queue *q, enum queue_event e, struct amount a);
uint64_t queue_lowest_unsent(const struct queue *q);
void queue_expire_waiting(struct queue *q, int64_t now_ms);
