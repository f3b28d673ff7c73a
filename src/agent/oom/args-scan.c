/* SPDX-License-Identifier: Apache-2.0 */
/* Walk over /proc for executables and command lines. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/oom/args-scan.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/time.h"

#define EVERY_US (10 * US_PER_SEC)

struct args_scan {
	struct work work; /* first; one at a time */
	struct workers *workers;
	const char *proc_path;
	bool busy;
	uint64_t next_us;
	size_t n, n_fresh;
	struct args_scan_entry entries[ARGS_SCAN_MAX]; /* the loop's */
	struct args_scan_entry fresh[ARGS_SCAN_MAX]; /* the worker's while busy */
};

static bool number_at(const char *text, unsigned field, uint64_t *ret)
{
	const char *p;
	char digits[24];
	size_t len;

	if (!parse_field(text, field, &p, &len) || len >= sizeof(digits))
		return false;
	memcpy(digits, p, len);
	digits[len] = '\0';
	return parse_u64(digits, ret) == 0;
}

bool args_scan_parse_stat(const char *text, uint64_t *ret_start, uint64_t *ret_rss)
{
	const char *p = strrchr(text, ')'); /* comm may hold anything */
	uint64_t start, rss;

	/* Fields 22 and 24 of proc(5); the state after the comm is field 3. */
	if (!p || !number_at(p + 1, 22 - 3, &start) || !number_at(p + 1, 24 - 3, &rss))
		return false;
	*ret_start = start;
	*ret_rss = rss;
	return true;
}

/* Smallest last: the heap's top would do, but 512 entries every 10 s do not ask for one. */
static void insert(struct args_scan_entry *all, size_t *n, size_t max,
		   const struct args_scan_entry *e)
{
	size_t at = *n;

	if (*n == max) {
		if (max == 0 || e->rss_pages <= all[max - 1].rss_pages)
			return;
		at = max - 1;
	} else {
		(*n)++;
	}
	while (at > 0 && all[at - 1].rss_pages < e->rss_pages) {
		all[at] = all[at - 1];
		at--;
	}
	all[at] = *e;
}

static bool read_size(int proc_fd, const char *pid, struct args_scan_entry *e)
{
	char path[300], text[1024];

	*e = (struct args_scan_entry){};
	(void)snprintf(path, sizeof(path), "%s/stat", pid);
	/* No resident pages: a kernel thread. */
	return parse_u32(pid, &e->pid) == 0 &&
	       fs_read_into(proc_fd, path, text, sizeof(text)) > 0 &&
	       args_scan_parse_stat(text, &e->start_ticks, &e->rss_pages) && e->rss_pages > 0;
}

static void read_text(int proc_fd, struct args_scan_entry *e)
{
	char path[64];
	_cleanup_(closep) int fd = -EBADF;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%u/exe", e->pid);
	n = readlinkat(proc_fd, path, e->exe, sizeof(e->exe));
	e->exe_len = (uint16_t)MAX(n, 0);
	(void)snprintf(path, sizeof(path), "%u/cmdline", e->pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, e->args, sizeof(e->args));
	e->args_len = (uint16_t)MAX(n, 0);
}

size_t args_scan_read(const char *proc_path, struct args_scan_entry *ret, size_t max)
{
	_cleanup_(closedirp) DIR *proc = opendir(proc_path);
	const struct dirent *entry;
	size_t n = 0;

	while (proc && (entry = readdir(proc))) {
		struct args_scan_entry e;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (read_size(dirfd(proc), entry->d_name, &e))
			insert(ret, &n, max, &e);
	}
	for (size_t i = 0; i < n; i++)
		read_text(dirfd(proc), &ret[i]);
	return n;
}

static void run(struct work *w)
{
	struct args_scan *s = (struct args_scan *)w;

	s->n_fresh = args_scan_read(s->proc_path, s->fresh, ARGS_SCAN_MAX);
}

static void done(struct work *w)
{
	struct args_scan *s = (struct args_scan *)w;

	memcpy(s->entries, s->fresh, s->n_fresh * sizeof(s->fresh[0]));
	s->n = s->n_fresh;
	s->busy = false;
}

int args_scan_new(struct workers *workers, const char *proc_path, struct args_scan **ret)
{
	struct args_scan *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->work.run = run;
	s->work.done = done;
	s->workers = workers;
	s->proc_path = proc_path;
	*ret = s;
	return 0;
}

struct args_scan *args_scan_free(struct args_scan *s)
{
	free(s);
	return NULL;
}

void args_scan_tick(struct args_scan *s, uint64_t now_us)
{
	if (s->busy || now_us < s->next_us)
		return;
	s->next_us = now_us + EVERY_US;
	s->busy = workers_submit(s->workers, &s->work) == 0;
}

const struct args_scan_entry *args_scan_find(const struct args_scan *s, uint32_t pid,
					     uint64_t start_ticks)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->entries[i].pid == pid &&
		    (!start_ticks || s->entries[i].start_ticks == start_ticks))
			return &s->entries[i];
	return NULL;
}
