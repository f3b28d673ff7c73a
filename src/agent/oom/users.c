/* SPDX-License-Identifier: Apache-2.0 */
/* Cache of user names, filled at start and by a worker. */
#define LOG_MODULE "oom"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/oom/users.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/parse.h"
#include "base/time.h"

#define EVERY_US (10 * US_PER_SEC)

struct table {
	size_t n;
	struct user_entry entries[USERS_MAX]; /* by uid */
};

struct users {
	struct work work; /* first; one at a time */
	struct workers *workers;
	char *path;
	bool busy;
	uint64_t next_us;
	struct stat read_as; /* when the file was read last */
	struct table *known; /* the loop's */
	struct table *fresh; /* the worker's while busy */
};

static int by_uid(const void *a, const void *b)
{
	const struct user_entry *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static int by_uid_and_order(const void *a, const void *b)
{
	const struct user_entry *x = a, *y = b;
	int r = by_uid(a, b);

	return r ? r : (int)x->order - (int)y->order;
}

static bool parse_line(const char *line, size_t len, struct user_entry *ret)
{
	const char *end = line + len, *name_end = memchr(line, ':', len);
	const char *uid = name_end ? memchr(name_end + 1, ':', (size_t)(end - name_end - 1)) : NULL;
	const char *uid_end = uid ? memchr(uid + 1, ':', (size_t)(end - uid - 1)) : NULL;
	char digits[12];
	size_t n;

	if (!uid_end || name_end == line || name_end - line >= USERS_NAME)
		return false;
	n = (size_t)(uid_end - uid - 1);
	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, uid + 1, n);
	digits[n] = '\0';
	memcpy(ret->name, line, (size_t)(name_end - line));
	ret->name[name_end - line] = '\0';
	return parse_u32(digits, &ret->uid) == 0;
}

/* Several names may share a uid. */
static size_t drop_doubles(struct user_entry *e, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (kept == 0 || e[kept - 1].uid != e[i].uid)
			e[kept++] = e[i];
	return kept;
}

size_t users_parse(const char *text, struct user_entry *ret, size_t max)
{
	size_t n = 0;

	while (*text && n < max) {
		size_t len = strcspn(text, "\n");

		ret[n].order = (uint32_t)n;
		n += parse_line(text, len, &ret[n]);
		text += len;
		text += *text == '\n';
	}
	if (*text)
		log_warning("more than %zu users, the others are told by their numbers", max);
	qsort(ret, n, sizeof(*ret), by_uid_and_order);
	return drop_doubles(ret, n);
}

static void run(struct work *w)
{
	struct users *u = (struct users *)w;
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r = fs_read_at(AT_FDCWD, u->path, USERS_BYTES_MAX, &text, &len);

	u->fresh->n = r < 0 ? 0 : users_parse(text, u->fresh->entries, USERS_MAX);
	if (r < 0 && r != -ENOENT)
		log_warning_errno(r, "cannot read '%s', users are told by their numbers", u->path);
}

static void done(struct work *w)
{
	struct users *u = (struct users *)w;
	struct table *before = u->known;

	u->known = u->fresh;
	u->fresh = before;
	u->busy = false;
}

int users_new(struct workers *workers, const char *rootfs, struct users **ret)
{
	_cleanup_(users_freep) struct users *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->work.run = run;
	u->work.done = done;
	u->workers = workers;
	u->known = calloc(1, sizeof(*u->known));
	u->fresh = calloc(1, sizeof(*u->fresh));
	if (!u->known || !u->fresh ||
	    asprintf(&u->path, "%s/etc/passwd", streq(rootfs, "/") ? "" : rootfs) < 0)
		return -ENOMEM;
	(void)stat(u->path, &u->read_as);
	run(&u->work);
	done(&u->work);
	*ret = TAKE_PTR(u);
	return 0;
}

struct users *users_free(struct users *u)
{
	if (!u)
		return NULL;
	free(u->path);
	free(u->known);
	free(u->fresh);
	free(u);
	return NULL;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void users_tick(struct users *u, uint64_t now_us)
{
	struct stat st = {};

	if (u->busy || now_us < u->next_us)
		return;
	u->next_us = now_us + EVERY_US;
	(void)stat(u->path, &st);
	if (same_file(&st, &u->read_as))
		return;
	u->busy = workers_submit(u->workers, &u->work) == 0;
	if (u->busy)
		u->read_as = st;
}

const char *users_name(const struct users *u, uint32_t uid)
{
	const struct user_entry key = { .uid = uid };
	const struct user_entry *e =
		bsearch(&key, u->known->entries, u->known->n, sizeof(u->known->entries[0]), by_uid);

	return e ? e->name : NULL;
}
