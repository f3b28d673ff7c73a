/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include "event/event.h"

/*
 * The journal: SQLite, WAL, synchronous=FULL for what is acknowledged
 *
 * One writer (the stream's thread), any number of readers with connections of their own. Columns exist only for what is
 * filtered on; the event itself is the JSON text. Retention by age and by bytes, oldest out first, counted.
 */
struct journal_options {
	const char *path;
	uint64_t retention_us, max_bytes;
	int64_t after_row; /* a new file counts on from here */
	bool damaged; /* a write found damage: the file is set aside without another look */
};

struct event_filter { /* the parameters of /api/v1/events; NULL, "" or 0 = any */
	const char *type; /* prefix of event.name, by whole parts: "oom" matches oom.kill, not oomx */
	uint64_t since_ns, until_ns;
	const char *container; /* id, prefix of ≥ 8 hex digits, or name */
	const char *namespace, *pod, *workload, *cgroup; /* cgroup: glob */
	const char *scope; /* telamon.oom.scope */
	int severity; /* minimum */
	uint64_t after_sequence; /* with after_start: events after that id */
	uint32_t pid;
	size_t limit; /* newest that match; 1000, at most 10000 */
};
bool event_filter_match(const struct event_filter *f, const struct event_keys *k);

struct journal;
/* Creates the file 0640 and its directory. -EROFS, -ENOSPC, -EACCES…; a damaged file is set aside as PATH.corrupt-N and a new one begun. */
int journal_open(const struct journal_options *o, char *why, size_t why_size, struct journal **ret);
int journal_open_readonly(const char *path, char *why, size_t why_size, struct journal **ret);
struct journal *journal_free(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_free);

int journal_begin(struct journal *j);
/* @ret_row: number of insertion, ascending over all time. */
int journal_append(struct journal *j, const struct event_keys *k, const char *id, const char *json,
		   size_t len, int64_t *ret_row);
int journal_commit(struct journal *j);
void journal_rollback(struct journal *j);
uint64_t journal_bytes(struct journal *j); /* on disk, WAL included */
int journal_expire(struct journal *j, uint64_t now_wall_ns, uint64_t *ret_removed);

/*
 * The newest rows that match, oldest first, one at a time: nothing but their numbers is held in memory. The cursor
 * borrows the journal.
 */
typedef int (*journal_fn)(void *ctx, const char *id, const char *name, const char *json,
			  size_t len);
struct journal_cursor;
int journal_cursor_new(struct journal *j, const struct event_filter *f,
		       struct journal_cursor **ret);
int journal_cursor_next(struct journal_cursor *c, journal_fn fn,
			void *ctx); /* 1 a row, 0 the end, -errno */
struct journal_cursor *journal_cursor_free(struct journal_cursor *c);
DEFINE_CLEANUP(struct journal_cursor *, journal_cursor_free);

/* Oldest first. @fn returns non-zero to stop. Number of rows, or -errno. */
int journal_query(struct journal *j, const struct event_filter *f, journal_fn fn, void *ctx);
/* Rows after insertion number *@row, at most f->limit, in order; *@row moves to the last one looked at. For replay. */
int journal_after(struct journal *j, int64_t *row, const struct event_filter *f, journal_fn fn,
		  void *ctx);
/* Insertion number of @id; of the last row before it when it is gone; 0 when there is none. */
int64_t journal_row_of(struct journal *j, const char *id);
int64_t journal_last_row(struct journal *j);
int journal_get(struct journal *j, const char *id, journal_fn fn, void *ctx); /* 1 found, 0 not */
