/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "base/fs.h"
#include "base/strbuf.h"
#include "base/time.h"
#include "event/journal.h"
#include "scratch.h"

#define NOW (1000 * 86400 * NS_PER_SEC)

static struct scratch scratch;

static int setup(void **state)
{
	scratch_init(&scratch);
	return 0;
}

static int teardown(void **state)
{
	scratch_done(&scratch);
	return 0;
}

static struct journal *open_with(const char *path, uint64_t retention_us, uint64_t max_bytes)
{
	struct journal_options o = { path, retention_us, max_bytes };
	struct journal *j = NULL;
	char why[512] = "";
	int r = journal_open(&o, why, sizeof(why), &j);

	if (r < 0)
		fail_msg("%s: %d", why, r);
	return j;
}

static struct journal *open_journal(void)
{
	return open_with(scratch_path(&scratch, "state/journal.db"), 0, 0);
}

static void id_of(unsigned n, char *id, size_t size)
{
	(void)snprintf(id, size, "01JD9X3M6Q-%06u", n);
}

/* Event number @n with @len bytes of JSON; 0 or -errno. */
static int append(struct journal *j, unsigned n, size_t len)
{
	struct event_keys k = { .name = n % 2 ? "oom.kill" : "runtime.alert",
				.severity = n % 2 ? SEVERITY_ERROR : SEVERITY_INFO,
				.wall_ns = NOW + n,
				.namespace = n % 3 ? "shop" : NULL,
				.pid = n };
	char id[32], json[8192];
	int64_t row;

	id_of(n, id, sizeof(id));
	memset(json, 'x', sizeof(json));
	return journal_append(j, &k, id, json, MIN(len, sizeof(json)), &row);
}

static void append_range(struct journal *j, unsigned from, unsigned to, size_t len)
{
	assert_int_equal(journal_begin(j), 0);
	for (unsigned n = from; n <= to; n++)
		assert_int_equal(append(j, n, len), 0);
	assert_int_equal(journal_commit(j), 0);
}

/* The numbers of the events, "1 2 3 ". */
static int note(void *ctx, const char *id, const char *name, const char *json, size_t len)
{
	strbuf_addf(ctx, "%ld ", strtol(strchr(id, '-') + 1, NULL, 10));
	return 0;
}

static void assert_found(struct journal *j, struct event_filter f, const char *want)
{
	_cleanup_strbuf_ struct strbuf got = STRBUF_INIT;

	assert_true(journal_query(j, &f, note, &got) >= 0);
	assert_string_equal(strbuf_str(&got), want);
}

static int count(void *ctx, const char *id, const char *name, const char *json, size_t len)
{
	++*(unsigned *)ctx;
	return 0;
}

static unsigned rows(struct journal *j)
{
	unsigned n = 0;

	assert_true(journal_query(j, &(struct event_filter){ .limit = 10000 }, count, &n) >= 0);
	return n;
}

static void test_new_file(void **state)
{
	_cleanup_(journal_freep) struct journal *j = open_journal();
	struct stat st;

	assert_int_equal(stat(scratch_path(&scratch, "state/journal.db"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(stat(scratch_path(&scratch, "state"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(rows(j), 0);
	assert_int_equal(journal_last_row(j), 0);
	assert_true(journal_bytes(j) > 0);
}

static void test_query(void **state)
{
	_cleanup_(journal_freep) struct journal *j = open_journal();
	unsigned n = 0;

	append_range(j, 1, 8, 10);
	assert_found(j, (struct event_filter){}, "1 2 3 4 5 6 7 8 ");
	assert_found(j, (struct event_filter){ .limit = 3 }, "6 7 8 ");
	assert_found(j, (struct event_filter){ .type = "oom" }, "1 3 5 7 ");
	assert_found(j, (struct event_filter){ .type = "oom", .limit = 2 }, "5 7 ");
	assert_found(j, (struct event_filter){ .severity = SEVERITY_WARN }, "1 3 5 7 ");
	assert_found(j, (struct event_filter){ .since_ns = NOW + 3, .until_ns = NOW + 5 },
		     "3 4 5 ");
	assert_found(j, (struct event_filter){ .namespace = "shop" }, "1 2 4 5 7 8 ");
	assert_found(j, (struct event_filter){ .pid = 4 }, "4 ");
	assert_found(j, (struct event_filter){ .type = "nothing" }, "");
	assert_int_equal(journal_get(j, "01JD9X3M6Q-000004", count, &n), 1);
	assert_int_equal(journal_get(j, "01JD9X3M6Q-000009", count, &n), 0);
	assert_int_equal(n, 1);
}

static int stop_after_two(void *ctx, const char *id, const char *name, const char *json, size_t len)
{
	return ++*(unsigned *)ctx == 2;
}

static void test_stop(void **state)
{
	_cleanup_(journal_freep) struct journal *j = open_journal();
	unsigned n = 0;
	int64_t row = 0;

	append_range(j, 1, 8, 10);
	assert_int_equal(journal_query(j, &(struct event_filter){}, stop_after_two, &n), 2);
	n = 0;
	assert_int_equal(journal_after(j, &row, &(struct event_filter){}, stop_after_two, &n), 2);
	assert_int_equal(row, 2);
}

/* What a client that comes back asks for. */
static void test_replay(void **state)
{
	_cleanup_(journal_freep) struct journal *j = open_journal();
	_cleanup_strbuf_ struct strbuf got = STRBUF_INIT;
	int64_t row;

	append_range(j, 1, 8, 10);
	row = journal_row_of(j, "01JD9X3M6Q-000003");
	assert_int_equal(row, 3);
	assert_int_equal(journal_after(j, &row, &(struct event_filter){ .type = "oom", .limit = 2 },
				       note, &got),
			 2);
	assert_string_equal(strbuf_str(&got), "5 7 ");
	assert_int_equal(row, 7);
	assert_int_equal(
		journal_after(j, &row, &(struct event_filter){ .type = "oom" }, note, &got), 0);
	assert_int_equal(row, 8); /* what did not match was looked at */
	assert_int_equal(journal_row_of(j, "01JD9X3M6Q-000099"), 8);
	assert_int_equal(journal_row_of(j, "00000000AA-000001"), 0);
	assert_int_equal(journal_row_of(j, ""), 0);
	assert_int_equal(journal_last_row(j), 8);
}

static void test_rollback(void **state)
{
	_cleanup_(journal_freep) struct journal *j = open_journal();

	append_range(j, 1, 1, 10);
	assert_int_equal(journal_begin(j), 0);
	assert_int_equal(append(j, 2, 10), 0);
	journal_rollback(j);
	journal_rollback(j); /* without a transaction: nothing */
	assert_int_equal(rows(j), 1);
	/* An id is of one event for ever. */
	assert_int_equal(journal_begin(j), 0);
	assert_true(append(j, 1, 10) < 0);
	journal_rollback(j);
	append_range(j, 2, 2, 10);
	assert_found(j, (struct event_filter){}, "1 2 ");
}

static void test_reopen(void **state)
{
	struct journal *j = open_journal();

	append_range(j, 1, 5, 100);
	j = journal_free(j);
	j = open_journal();
	assert_found(j, (struct event_filter){}, "1 2 3 4 5 ");
	append_range(j, 6, 6, 100);
	assert_int_equal(journal_last_row(j), 6);
	journal_free(j);
}

static void test_readonly(void **state)
{
	_cleanup_(journal_freep) struct journal *w = open_journal();
	_cleanup_(journal_freep) struct journal *r = NULL;
	const char *path = scratch_path(&scratch, "state/journal.db");
	char why[512] = "";
	struct journal *none = NULL;

	append_range(w, 1, 3, 10);
	assert_int_equal(journal_open_readonly(path, why, sizeof(why), &r), 0);
	assert_found(r, (struct event_filter){}, "1 2 3 ");
	append_range(w, 4, 4, 10); /* a reader does not hold up the writer */
	assert_found(r, (struct event_filter){}, "1 2 3 4 ");
	assert_int_equal(append(r, 9, 10), -EROFS);
	assert_int_equal(journal_open_readonly(scratch_path(&scratch, "none.db"), why, sizeof(why),
					       &none),
			 -ENOENT);
	assert_non_null(strstr(why, "none.db': No such file"));
	assert_null(none);
}

static void test_age(void **state)
{
	_cleanup_(journal_freep) struct journal *j =
		open_with(scratch_path(&scratch, "j.db"), 3600 * US_PER_SEC, 0);
	uint64_t removed = 77;

	append_range(j, 1, 10, 10);
	assert_int_equal(journal_expire(j, NOW + 3600 * NS_PER_SEC, &removed), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(journal_expire(j, NOW + 3600 * NS_PER_SEC + 4, &removed), 0);
	assert_int_equal(removed, 3);
	assert_found(j, (struct event_filter){}, "4 5 6 7 8 9 10 ");
	/* Numbers of insertion go on after all is gone. */
	assert_int_equal(journal_expire(j, NOW + 9999 * NS_PER_SEC, &removed), 0);
	assert_int_equal(removed, 7);
	append_range(j, 11, 11, 10);
	assert_int_equal(journal_last_row(j), 11);
	assert_int_equal(journal_expire(j, 0, &removed), 0); /* a clock that jumped back */
	assert_int_equal(removed, 0);
}

static void test_size(void **state)
{
	const uint64_t max = 1 << 20;
	_cleanup_(journal_freep) struct journal *j =
		open_with(scratch_path(&scratch, "j.db"), 0, max);
	uint64_t removed, total = 0;
	struct stat st;

	for (unsigned n = 1; n <= 2000; n += 100) {
		append_range(j, n, n + 99, 2048);
		assert_int_equal(journal_expire(j, NOW, &removed), 0);
		total += removed;
	}
	assert_true(total > 1000);
	assert_int_equal(rows(j), 2000 - total);
	assert_true(rows(j) > 0);
	assert_int_equal(journal_last_row(j), 2000); /* the newest stay */
	assert_int_equal(stat(scratch_path(&scratch, "j.db"), &st), 0);
	assert_true((uint64_t)st.st_size <= max + (1 << 20)); /* what is free was given back */
	assert_true(journal_bytes(j) <= max + (3 << 20));
}

/* A cursor whose rows expire under it goes on with the next. */
static void test_cursor_and_expiry(void **state)
{
	_cleanup_(journal_freep) struct journal *w =
		open_with(scratch_path(&scratch, "j.db"), 3600 * US_PER_SEC, 0);
	_cleanup_(journal_freep) struct journal *r = NULL;
	_cleanup_(journal_cursor_freep) struct journal_cursor *c = NULL;
	_cleanup_strbuf_ struct strbuf got = STRBUF_INIT;
	uint64_t removed;
	char why[256];

	append_range(w, 1, 6, 10);
	assert_int_equal(
		journal_open_readonly(scratch_path(&scratch, "j.db"), why, sizeof(why), &r), 0);
	assert_int_equal(journal_cursor_new(r, &(struct event_filter){}, &c), 0);
	assert_int_equal(journal_cursor_next(c, note, &got), 1);
	assert_int_equal(journal_expire(w, NOW + 3600 * NS_PER_SEC + 5, &removed), 0);
	assert_int_equal(removed, 4);
	while (journal_cursor_next(c, note, &got) == 1) {
	}
	assert_string_equal(strbuf_str(&got), "1 5 6 ");
}

static void test_not_a_journal(void **state)
{
	_cleanup_(journal_freep) struct journal *j = NULL;
	_cleanup_(freep) char *kept = NULL;

	for (unsigned round = 1; round <= 2; round++) {
		char name[32];

		scratch_write(&scratch, "j.db",
			      "this is no database, whatever its name says ......");
		j = open_with(scratch_path(&scratch, "j.db"), 0, 0);
		append_range(j, 1, 3, 10);
		assert_int_equal(rows(j), 3);
		j = journal_free(j);
		(void)snprintf(name, sizeof(name), "j.db.corrupt-%u", round);
		assert_int_equal(access(scratch_path(&scratch, name), F_OK), 0);
		(void)unlink(scratch_path(&scratch, "j.db"));
	}
	assert_int_equal(fs_read_at(AT_FDCWD, scratch_path(&scratch, "j.db.corrupt-1"), 4096, &kept,
				    NULL),
			 0);
	assert_non_null(strstr(kept, "no database")); /* for whoever wants to look at it */
}

static void overwrite(const char *path, off_t from, off_t to)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
	char noise[4096];

	assert_true(fd >= 0);
	memset(noise, 0xa5, sizeof(noise));
	for (; from < to; from += (off_t)sizeof(noise))
		assert_true(pwrite(fd, noise, sizeof(noise), from) > 0);
}

/* Damage at any place: opening, reading and writing end in rows or in an error, and a damaged file can be replaced. */
static void test_damage(void **state)
{
	const char *path = scratch_path(&scratch, "j.db");
	char copy[128];
	struct stat st;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	for (unsigned part = 0; part < 8; part++) {
		struct journal_options o = { copy, 0, 0 };
		struct journal *j = open_with(copy, 0, 0);
		unsigned n = 0;
		int r = 0;

		append_range(j, 1, 400, 1000);
		j = journal_free(j);
		assert_int_equal(stat(copy, &st), 0);
		if (part == 7)
			assert_int_equal(truncate(copy, st.st_size / 3), 0);
		else
			overwrite(copy, st.st_size / 8 * part / 4096 * 4096 + (part ? 0 : 4096),
				  st.st_size / 8 * (part + 1));
		j = open_with(copy, 0, 0);
		r = journal_query(j, &(struct event_filter){ .limit = 10000 }, count, &n);
		assert_true(r == (int)n || r == -EUCLEAN);
		r = journal_begin(j);
		for (unsigned i = 1000; i < 1400 && r >= 0; i++)
			r = append(j, i, 1000);
		if (r >= 0)
			r = journal_commit(j);
		else
			journal_rollback(j);
		assert_true(r == 0 || r == -EUCLEAN);
		j = journal_free(j);
		if (r == -EUCLEAN) {
			char why[256] = "";

			o.damaged = true;
			assert_int_equal(journal_open(&o, why, sizeof(why), &j), 0);
			append_range(j, 1, 3, 10);
			assert_int_equal(rows(j), 3);
			j = journal_free(j);
		}
		(void)unlink(copy);
	}
}

static void test_cannot_open(void **state)
{
	struct journal_options o = { scratch_path(&scratch, "file/j.db"), 0, 0 };
	struct journal *j = NULL;
	char why[512] = "";

	scratch_write(&scratch, "file", "");
	assert_true(journal_open(&o, why, sizeof(why), &j) < 0);
	assert_null(j);
	assert_non_null(strstr(why, "file/j.db': "));
	o.path = scratch.path; /* a directory */
	assert_true(journal_open(&o, why, sizeof(why), &j) < 0);
	assert_null(j);
}

/* Writes batches for ever and says each number on the pipe after its commit. */
static void write_until_killed(int fd)
{
	struct journal *j = open_journal();

	for (unsigned n = 1;; n += 3) {
		if (journal_begin(j) < 0 || append(j, n, 500) < 0 || append(j, n + 1, 500) < 0 ||
		    append(j, n + 2, 500) < 0 || journal_commit(j) < 0)
			_exit(1);
		if (write(fd, &n, sizeof(n)) != sizeof(n))
			_exit(1);
	}
}

static void test_killed_writer(void **state)
{
	for (unsigned round = 0; round < 5; round++) {
		struct journal *j;
		unsigned last = 0, n, total;
		int status, fds[2];
		pid_t pid;

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			write_until_killed(fds[1]);
		(void)close(fds[1]);
		for (unsigned i = 0; i < 3 + round * 17; i++)
			assert_int_equal(read(fds[0], &last, sizeof(last)), sizeof(last));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(fds[0], &n, sizeof(n)) == sizeof(n))
			last = n;
		(void)close(fds[0]);

		j = open_journal();
		total = rows(j);
		assert_true(total >= last + 2); /* all that was acknowledged */
		assert_int_equal(total % 3, 0); /* and no half of a batch */
		journal_free(j);
		scratch_remove_at(AT_FDCWD, scratch_path(&scratch, "state"));
	}
}

/* Fills until it is refused, makes room by @more, goes on; 0 when every acknowledged event is there. */
static int fill_and_go_on(const char *path, void (*more)(const char *path))
{
	struct journal_options o = { path, 0, 0 };
	struct journal *j = NULL;
	unsigned acknowledged = 0, n = 0;
	char why[256];
	int r = 0;

	if (journal_open(&o, why, sizeof(why), &j) < 0)
		return 10;
	for (unsigned i = 1; i < 20000 && r >= 0; i += 4) {
		r = journal_begin(j);
		for (unsigned k = 0; k < 4 && r >= 0; k++)
			r = append(j, i + k, 8000);
		if (r >= 0)
			r = journal_commit(j);
		if (r >= 0)
			acknowledged += 4;
	}
	journal_rollback(j);
	if (r != -ENOSPC && r != -EIO)
		return 11;
	if (journal_query(j, &(struct event_filter){ .limit = 10000 }, count, &n) < 0)
		return 12;
	if (n != acknowledged || n == 0)
		return 13;
	more(path);
	if (r == -EIO) {
		journal_free(j);
		if (journal_open(&o, why, sizeof(why), &j) < 0)
			return 14;
	}
	for (unsigned i = 20000; i < 20010; i++)
		if (append(j, i, 8000) < 0)
			return 15;
	n = 0;
	if (journal_query(j, &(struct event_filter){ .limit = 10000 }, count, &n) < 0)
		return 16;
	journal_free(j);
	return n == acknowledged + 10 ? 0 : 17;
}

static void raise_limit(const char *path)
{
	struct rlimit l = { RLIM_INFINITY, RLIM_INFINITY };

	l.rlim_cur = 64 << 20;
	(void)setrlimit(RLIMIT_FSIZE, &l);
}

static void grow_tmpfs(const char *path)
{
	(void)mount("tmpfs", scratch.path, "tmpfs", MS_REMOUNT, "size=32m");
}

static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int limited_file(void)
{
	struct rlimit l = { 2 << 20, RLIM_INFINITY };

	(void)signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &l) < 0)
		return 9;
	return fill_and_go_on(scratch_path(&scratch, "j.db"), raise_limit);
}

#define NO_MOUNT 77

static int full_disk(void)
{
	/* The mount is of this process alone and goes with it. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", scratch.path, "tmpfs", 0, "size=4m") < 0)
		return NO_MOUNT;
	return fill_and_go_on(scratch_path(&scratch, "j.db"), grow_tmpfs);
}

static void test_limited_file(void **state)
{
	assert_int_equal(in_child(limited_file), 0);
}

static void test_full_disk(void **state)
{
	int r = in_child(full_disk);

	if (r == NO_MOUNT)
		skip();
	assert_int_equal(r, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new_file),	  TEST(test_query),
		TEST(test_stop),	  TEST(test_replay),
		TEST(test_rollback),	  TEST(test_reopen),
		TEST(test_readonly),	  TEST(test_age),
		TEST(test_size),	  TEST(test_cursor_and_expiry),
		TEST(test_not_a_journal), TEST(test_damage),
		TEST(test_cannot_open),	  TEST(test_killed_writer),
		TEST(test_limited_file),  TEST(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
