/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal on SQLite
 *
 * WAL with synchronous=FULL: what journal_commit() acknowledged survives kill -9 and power loss. Rows are (sequence of
 * insertion, id, the columns that are filtered on, JSON). Memory is kept small: the agent locks what it has.
 */

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fs.h"
#include "base/strbuf.h"
#include "base/time.h"
#include "event/journal.h"

#define SCHEMA_VERSION 1
#define EXPIRE_BATCH 512
#define LIMIT_DEFAULT 1000
#define LIMIT_MAX 10000
#define DAMAGED_MAX 4

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS events("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, wall INTEGER NOT NULL, name TEXT NOT NULL,"
	" severity INTEGER NOT NULL, container TEXT, container_name TEXT, namespace TEXT, pod TEXT, workload TEXT,"
	" cgroup TEXT, pid INTEGER, json BLOB NOT NULL);"
	"CREATE INDEX IF NOT EXISTS events_wall ON events(wall);"
	"CREATE UNIQUE INDEX IF NOT EXISTS events_id ON events(id);";

struct journal {
	sqlite3 *db;
	sqlite3_stmt *insert;
	struct journal_options options;
	char path[4096];
};

static int error_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	default:
		return -EIO;
	}
}

static int execute(struct journal *j, const char *sql)
{
	return error_of(sqlite3_exec(j->db, sql, NULL, NULL, NULL));
}

static int set_up(struct journal *j)
{
	static const char *const pragmas[] = {
		"PRAGMA auto_vacuum=INCREMENTAL",
		"PRAGMA journal_mode=WAL",
		"PRAGMA synchronous=FULL",
		"PRAGMA cache_size=-512",
		"PRAGMA mmap_size=0",
		"PRAGMA wal_autocheckpoint=256",
		"PRAGMA journal_size_limit=1048576",
		"PRAGMA temp_store=MEMORY",
	};
	char sql[96];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pragmas) && r >= 0; i++)
		r = execute(j, pragmas[i]);
	if (r >= 0)
		r = execute(j, schema);
	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", SCHEMA_VERSION);
	if (r >= 0)
		r = execute(j, sql);
	if (r < 0)
		return r;
	return error_of(sqlite3_prepare_v3(
		j->db,
		"INSERT INTO events(id,wall,name,severity,container,container_name,namespace,"
		"pod,workload,cgroup,pid,json) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
		-1, SQLITE_PREPARE_PERSISTENT, &j->insert, NULL));
}

/* Row numbers ascend over all time, also from a file that was set aside to the next. */
static int count_on(struct journal *j, int64_t after_row)
{
	char sql[160];

	if (after_row <= 0)
		return 0;
	(void)snprintf(sql, sizeof(sql),
		       "INSERT INTO sqlite_sequence(name,seq) SELECT 'events',%lld"
		       " WHERE NOT EXISTS(SELECT 1 FROM sqlite_sequence WHERE name='events')",
		       (long long)after_row);
	return execute(j, sql);
}

static int open_db(struct journal *j, int flags)
{
	int r = error_of(sqlite3_open_v2(
		j->path, &j->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL));

	if (r >= 0)
		(void)sqlite3_busy_timeout(j->db, 2000);
	return r;
}

static void close_db(struct journal *j)
{
	(void)sqlite3_finalize(j->insert);
	(void)sqlite3_close(j->db);
	j->insert = NULL;
	j->db = NULL;
}

static void remove_suffix(const char *path, const char *suffix)
{
	char full[4200];

	(void)snprintf(full, sizeof(full), "%s%s", path, suffix);
	(void)unlink(full);
}

/* A damaged file is kept for whoever wants to look at it; beyond DAMAGED_MAX each replaces the last. */
static int set_aside(struct journal *j)
{
	char full[4200];

	for (unsigned n = 1; n <= DAMAGED_MAX; n++) {
		(void)snprintf(full, sizeof(full), "%s.corrupt-%u", j->path, n);
		if (access(full, F_OK) < 0)
			break;
	}
	if (rename(j->path, full) < 0 && errno != ENOENT)
		return -errno;
	remove_suffix(j->path, "-wal");
	remove_suffix(j->path, "-shm");
	return 0;
}

static int make_directory(const char *path)
{
	char copy[4096];
	char *slash;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	slash = strrchr(copy, '/');
	if (!slash || slash == copy)
		return 0;
	*slash = '\0';
	return fs_mkdir_p(copy, 0750);
}

/* Integrity of what is read is checked by SQLite as it goes; here only whether the file can be used at all. */
static int check(struct journal *j)
{
	return execute(
		j,
		"SELECT count(*) FROM sqlite_master; SELECT seq FROM events ORDER BY seq DESC LIMIT 1");
}

int journal_open(const struct journal_options *o, char *why, size_t why_size, struct journal **ret)
{
	_cleanup_(journal_freep) struct journal *j = calloc(1, sizeof(*j));
	mode_t mask;
	int r;

	if (!j)
		return -ENOMEM;
	j->options = *o;
	(void)snprintf(j->path, sizeof(j->path), "%s", o->path);
	r = make_directory(j->path);
	if (r >= 0 && o->damaged)
		r = set_aside(j);
	for (unsigned tries = 0; r >= 0; tries++) {
		mask = umask(0027);
		r = open_db(j, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
		if (r >= 0)
			r = set_up(j);
		if (r >= 0)
			r = count_on(j, o->after_row);
		(void)umask(mask);
		if (r >= 0)
			r = check(j);
		if (r != -EUCLEAN || tries > 0)
			break;
		close_db(j);
		r = set_aside(j);
	}
	if (r < 0) {
		(void)snprintf(why, why_size, "journal '%s': %s", j->path,
			       j->db && sqlite3_errcode(j->db) != SQLITE_OK ? sqlite3_errmsg(j->db)
									    : strerror(-r));
		return r;
	}
	*ret = TAKE_PTR(j);
	return 0;
}

int journal_open_readonly(const char *path, char *why, size_t why_size, struct journal **ret)
{
	_cleanup_(journal_freep) struct journal *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	(void)snprintf(j->path, sizeof(j->path), "%s", path);
	r = access(path, F_OK) < 0 ? -errno : open_db(j, SQLITE_OPEN_READONLY);
	if (r >= 0)
		r = execute(j, "PRAGMA cache_size=-512; SELECT 1 FROM events LIMIT 1");
	if (r < 0) {
		(void)snprintf(why, why_size, "journal '%s': %s", path,
			       j->db && sqlite3_errcode(j->db) != SQLITE_OK ? sqlite3_errmsg(j->db)
									    : strerror(-r));
		return r;
	}
	*ret = TAKE_PTR(j);
	return 0;
}

struct journal *journal_free(struct journal *j)
{
	if (!j)
		return NULL;
	close_db(j);
	free(j);
	return NULL;
}

int journal_begin(struct journal *j)
{
	return execute(j, "BEGIN IMMEDIATE");
}

int journal_commit(struct journal *j)
{
	return execute(j, "COMMIT");
}

void journal_rollback(struct journal *j)
{
	if (!sqlite3_get_autocommit(j->db))
		(void)execute(j, "ROLLBACK");
}

static void bind_text(sqlite3_stmt *s, int column, const char *text)
{
	if (text && *text)
		(void)sqlite3_bind_text(s, column, text, -1, SQLITE_STATIC);
	else
		(void)sqlite3_bind_null(s, column);
}

int journal_append(struct journal *j, const struct event_keys *k, const char *id, const char *json,
		   size_t len, int64_t *ret_row)
{
	sqlite3_stmt *s = j->insert;
	int rc;

	if (!s)
		return -EROFS;
	bind_text(s, 1, id);
	(void)sqlite3_bind_int64(s, 2, (sqlite3_int64)k->wall_ns);
	bind_text(s, 3, k->name);
	(void)sqlite3_bind_int(s, 4, k->severity);
	bind_text(s, 5, k->container_id);
	bind_text(s, 6, k->container_name);
	bind_text(s, 7, k->namespace);
	bind_text(s, 8, k->pod);
	bind_text(s, 9, k->workload);
	bind_text(s, 10, k->cgroup);
	(void)sqlite3_bind_int64(s, 11, k->pid);
	(void)sqlite3_bind_blob64(s, 12, json, len, SQLITE_STATIC);
	rc = sqlite3_step(s);
	(void)sqlite3_reset(s);
	(void)sqlite3_clear_bindings(s);
	if (error_of(rc) == 0)
		*ret_row = sqlite3_last_insert_rowid(j->db);
	return error_of(rc);
}

static int64_t pragma_number(struct journal *j, const char *sql)
{
	sqlite3_stmt *s = NULL;
	int64_t v = 0;

	if (sqlite3_prepare_v2(j->db, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW)
		v = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return v;
}

uint64_t journal_bytes(struct journal *j)
{
	char wal[4200];
	struct stat st;
	uint64_t bytes = (uint64_t)(pragma_number(j, "PRAGMA page_count") *
				    pragma_number(j, "PRAGMA page_size"));

	(void)snprintf(wal, sizeof(wal), "%s-wal", j->path);
	return bytes + (stat(wal, &st) == 0 ? (uint64_t)st.st_size : 0);
}

static uint64_t used_bytes(struct journal *j)
{
	return (uint64_t)((pragma_number(j, "PRAGMA page_count") -
			   pragma_number(j, "PRAGMA freelist_count")) *
			  pragma_number(j, "PRAGMA page_size"));
}

/**
 * journal_expire() - apply retention
 *
 * Removes by age, then, while the file holds more than max_bytes, the oldest rows in batches. The WAL (≤ 1 MiB after a
 * checkpoint) comes on top of max_bytes.
 *
 * Return: 0; -errno. @ret_removed counts rows also when an error ends it.
 */
int journal_expire(struct journal *j, uint64_t now_wall_ns, uint64_t *ret_removed)
{
	char sql[160];
	int r;

	*ret_removed = 0;
	if (j->options.retention_us && now_wall_ns / NS_PER_USEC > j->options.retention_us) {
		(void)snprintf(
			sql, sizeof(sql), "DELETE FROM events WHERE wall < %llu",
			(unsigned long long)(now_wall_ns - j->options.retention_us * NS_PER_USEC));
		r = execute(j, sql);
		if (r < 0)
			return r;
		*ret_removed += (uint64_t)sqlite3_changes(j->db);
	}
	(void)snprintf(
		sql, sizeof(sql),
		"DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT %d)",
		EXPIRE_BATCH);
	while (j->options.max_bytes && used_bytes(j) > j->options.max_bytes) {
		r = execute(j, sql);
		if (r < 0 || sqlite3_changes(j->db) == 0)
			return r;
		*ret_removed += (uint64_t)sqlite3_changes(j->db);
	}
	return *ret_removed ? execute(j, "PRAGMA incremental_vacuum") : 0;
}

/* --- reading --- */

#define COLUMNS \
	"id,name,severity,wall,container,container_name,namespace,pod,workload,cgroup,pid,json,seq"

static void read_keys(sqlite3_stmt *s, struct event_keys *k)
{
	*k = (struct event_keys){
		.name = (const char *)sqlite3_column_text(s, 1),
		.severity = sqlite3_column_int(s, 2),
		.wall_ns = (uint64_t)sqlite3_column_int64(s, 3),
		.container_id = (const char *)sqlite3_column_text(s, 4),
		.container_name = (const char *)sqlite3_column_text(s, 5),
		.namespace = (const char *)sqlite3_column_text(s, 6),
		.pod = (const char *)sqlite3_column_text(s, 7),
		.workload = (const char *)sqlite3_column_text(s, 8),
		.cgroup = (const char *)sqlite3_column_text(s, 9),
		.pid = (uint32_t)sqlite3_column_int64(s, 10),
	};
}

/* Apart, because a long one lies on pages of its own. */
static void read_json(sqlite3_stmt *s, struct event_keys *k)
{
	k->json = sqlite3_column_blob(s, 11);
	k->json_len = (size_t)sqlite3_column_bytes(s, 11);
}

static int call(sqlite3_stmt *s, journal_fn fn, void *ctx)
{
	return fn(ctx, (const char *)sqlite3_column_text(s, 0),
		  (const char *)sqlite3_column_text(s, 1), sqlite3_column_blob(s, 11),
		  (size_t)sqlite3_column_bytes(s, 11));
}

/* Insertion numbers of the newest rows that match, newest first. */
static int find_newest(struct journal *j, const struct event_filter *f, size_t limit, int64_t *seqs,
		       size_t *ret_n)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(j->db,
				    "SELECT " COLUMNS
				    " FROM events WHERE wall>=?1 AND wall<=?2 AND severity>=?3"
				    " ORDER BY seq DESC",
				    -1, &s, NULL);

	*ret_n = 0;
	if (rc != SQLITE_OK)
		return error_of(rc);
	(void)sqlite3_bind_int64(s, 1, (sqlite3_int64)f->since_ns);
	(void)sqlite3_bind_int64(s, 2, f->until_ns ? (sqlite3_int64)f->until_ns : INT64_MAX);
	(void)sqlite3_bind_int(s, 3, f->severity);
	while (*ret_n < limit && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct event_keys k;

		read_keys(s, &k);
		if (f->scope)
			read_json(s, &k);
		if (k.name && event_filter_match(f, &k))
			seqs[(*ret_n)++] = sqlite3_column_int64(s, 12);
	}
	(void)sqlite3_finalize(s);
	return error_of(rc);
}

struct journal_cursor {
	sqlite3_stmt *row;
	size_t n; /* rows that are left */
	int64_t seqs[]; /* newest first */
};

int journal_cursor_new(struct journal *j, const struct event_filter *f, struct journal_cursor **ret)
{
	size_t limit = f->limit ? MIN(f->limit, (size_t)LIMIT_MAX) : LIMIT_DEFAULT;
	_cleanup_(journal_cursor_freep) struct journal_cursor *c =
		calloc(1, sizeof(*c) + limit * sizeof(c->seqs[0]));
	int r;

	if (!c)
		return -ENOMEM;
	r = find_newest(j, f, limit, c->seqs, &c->n);
	if (r >= 0)
		r = error_of(sqlite3_prepare_v2(
			j->db, "SELECT " COLUMNS " FROM events WHERE seq=?1", -1, &c->row, NULL));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

int journal_cursor_next(struct journal_cursor *c, journal_fn fn, void *ctx)
{
	while (c->n > 0) {
		int rc;

		(void)sqlite3_reset(c->row);
		(void)sqlite3_bind_int64(c->row, 1, c->seqs[--c->n]);
		rc = sqlite3_step(c->row);
		if (rc == SQLITE_ROW) {
			(void)call(c->row, fn, ctx);
			(void)sqlite3_reset(c->row);
			return 1;
		}
		if (error_of(rc) < 0)
			return error_of(rc);
		/* Expired meanwhile: the next. */
	}
	return 0;
}

struct journal_cursor *journal_cursor_free(struct journal_cursor *c)
{
	if (!c)
		return NULL;
	(void)sqlite3_finalize(c->row);
	free(c);
	return NULL;
}

struct counted {
	journal_fn fn;
	void *ctx;
	bool stop;
};

static int count_call(void *ctx, const char *id, const char *name, const char *json, size_t len)
{
	struct counted *c = ctx;

	c->stop = c->fn(c->ctx, id, name, json, len) != 0;
	return 0;
}

int journal_query(struct journal *j, const struct event_filter *f, journal_fn fn, void *ctx)
{
	_cleanup_(journal_cursor_freep) struct journal_cursor *cursor = NULL;
	struct counted counted = { fn, ctx, false };
	int rows = 0, r;

	r = journal_cursor_new(j, f, &cursor);
	while (r >= 0 && !counted.stop) {
		r = journal_cursor_next(cursor, count_call, &counted);
		if (r == 0)
			break;
		rows += r > 0;
	}
	return r < 0 ? r : rows;
}

int journal_after(struct journal *j, int64_t *row, const struct event_filter *f, journal_fn fn,
		  void *ctx)
{
	sqlite3_stmt *s = NULL;
	size_t limit = f->limit ? f->limit : LIMIT_MAX;
	int rc, rows = 0;

	rc = sqlite3_prepare_v2(j->db, "SELECT " COLUMNS " FROM events WHERE seq>?1 ORDER BY seq",
				-1, &s, NULL);
	if (rc != SQLITE_OK)
		return error_of(rc);
	(void)sqlite3_bind_int64(s, 1, *row);
	while ((size_t)rows < limit && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct event_keys k;

		*row = sqlite3_column_int64(s, 12);
		read_keys(s, &k);
		read_json(s, &k);
		if (!k.name || !event_filter_match(f, &k))
			continue;
		rows++;
		if (call(s, fn, ctx))
			break;
	}
	(void)sqlite3_finalize(s);
	return error_of(rc) < 0 ? error_of(rc) : rows;
}

int64_t journal_row_of(struct journal *j, const char *id)
{
	sqlite3_stmt *s = NULL;
	int64_t row = 0;

	if (sqlite3_prepare_v2(j->db,
			       /* Ids of one start grow longer from the millionth on. */
			       "SELECT coalesce((SELECT seq FROM events WHERE id=?1),"
			       "(SELECT max(seq) FROM events WHERE (substr(id,1,10),length(id),id)"
			       "<(substr(?1,1,10),length(?1),?1)),0)",
			       -1, &s, NULL) == SQLITE_OK) {
		bind_text(s, 1, id);
		if (sqlite3_step(s) == SQLITE_ROW)
			row = sqlite3_column_int64(s, 0);
	}
	(void)sqlite3_finalize(s);
	return row;
}

int64_t journal_last_row(struct journal *j)
{
	return pragma_number(j, "SELECT coalesce(max(seq),0) FROM events");
}

int journal_get(struct journal *j, const char *id, journal_fn fn, void *ctx)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(j->db, "SELECT " COLUMNS " FROM events WHERE id=?1", -1, &s,
				    NULL);
	int found = 0;

	if (rc != SQLITE_OK)
		return error_of(rc);
	bind_text(s, 1, id);
	rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		found = 1;
		(void)call(s, fn, ctx);
	}
	(void)sqlite3_finalize(s);
	return error_of(rc) < 0 ? error_of(rc) : found;
}
