/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel log, as a helper and as the last resort
 *
 * Only records of facility kern are looked at: user space can write to the log, but not with that facility. comm may hold
 * anything, also ",pid=1" and "oom-kill:", so lines are parsed from the right wherever a comm stands in them.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/cleanup.h"
#include "base/parse.h"
#include "base/time.h"
#include "sys/kmsg.h"

#define LATE_US (20 * (int64_t)US_PER_MSEC)
#define BELIEVED_US (600 * US_PER_SEC)

struct span {
	const char *p;
	size_t len;
};

static bool starts_with(struct span s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.len >= n && memcmp(s.p, prefix, n) == 0;
}

/* Last occurrence of @what in @s, or NULL. */
static const char *find_last(struct span s, const char *what)
{
	size_t n = strlen(what);

	for (size_t i = s.len >= n ? s.len - n + 1 : 0; i-- > 0;)
		if (memcmp(s.p + i, what, n) == 0)
			return s.p + i;
	return NULL;
}

static const char *find_first(struct span s, const char *what)
{
	return memmem(s.p, s.len, what, strlen(what));
}

static void copy(char *ret, size_t size, const char *from, const char *to)
{
	size_t len = MIN((size_t)(to - from), size - 1);

	memcpy(ret, from, len);
	ret[len] = '\0';
}

/* Digits at @p, stopping at @end. */
static bool number_at(const char *p, const char *end, uint64_t *ret)
{
	char digits[24];
	size_t n = 0;

	while (p + n < end && n < sizeof(digits) - 1 && p[n] >= '0' && p[n] <= '9') {
		digits[n] = p[n];
		n++;
	}
	digits[n] = '\0';
	return n > 0 && parse_u64(digits, ret) == 0;
}

/* "task=COMM,pid=N,uid=N" at the end of an oom-kill line, from the right. */
static bool parse_task(struct span s, struct kmsg_oom *ret, const char **ret_begin)
{
	const char *uid = find_last(s, ",uid="), *pid, *task;
	uint64_t v;

	if (!uid || !number_at(uid + 5, s.p + s.len, &v))
		return false;
	ret->uid = (uint32_t)v;
	s.len = (size_t)(uid - s.p);
	pid = find_last(s, ",pid=");
	if (!pid || !number_at(pid + 5, uid, &v))
		return false;
	ret->pid = (uint32_t)v;
	/* comm is at most 15 bytes, so "task=" stands within reach on its left. */
	s.len = (size_t)(pid - s.p);
	for (task = pid; task > s.p && pid - task <= 16 + 6; task--)
		if ((size_t)(pid - task) >= 6 && memcmp(task, ",task=", 6) == 0)
			break;
	if (task == s.p || memcmp(task, ",task=", 6) != 0)
		return false;
	copy(ret->comm, sizeof(ret->comm), task + 6, pid);
	*ret_begin = task;
	return true;
}

/* Value of "key" up to the next ',' in the part before the task. Paths may hold commas: they end at @next. */
static bool parse_value(struct span s, const char *key, const char *next, char *ret, size_t size)
{
	const char *p = find_first(s, key), *end;
	struct span rest;

	if (!p)
		return false;
	p += strlen(key);
	rest = (struct span){ p, (size_t)(s.p + s.len - p) };
	end = next ? find_first(rest, next) : NULL;
	copy(ret, size, p, end ? end : s.p + s.len);
	return true;
}

static int parse_oom_kill(struct span s, struct kmsg_oom *ret)
{
	const char *task;
	struct span head = s;

	if (!parse_task(s, ret, &task))
		return 0;
	ret->fields |= KMSG_TASK;
	head.len = (size_t)(task - s.p);
	if (parse_value(head, "constraint=", ",", ret->constraint, sizeof(ret->constraint)))
		ret->fields |= KMSG_CONSTRAINT;
	if (parse_value(head, ",nodemask=", ",cpuset=", ret->nodemask, sizeof(ret->nodemask)))
		ret->fields |= KMSG_NODEMASK;
	if (parse_value(head, ",cpuset=", ",mems_allowed=", ret->cpuset, sizeof(ret->cpuset)))
		ret->fields |= KMSG_CPUSET;
	if (parse_value(head, ",oom_memcg=", ",task_memcg=", ret->oom_memcg,
			sizeof(ret->oom_memcg)))
		ret->fields |= KMSG_OOM_MEMCG;
	else if (find_first(head, ",global_oom"))
		ret->fields |= KMSG_GLOBAL;
	if (parse_value(head, ",task_memcg=", NULL, ret->task_memcg, sizeof(ret->task_memcg)))
		ret->fields |= KMSG_TASK_MEMCG;
	return 1;
}

static void number_field(struct span s, const char *key, uint64_t *ret)
{
	const char *p = find_last(s, key);
	uint64_t v;

	if (p && number_at(p + strlen(key), s.p + s.len, &v))
		*ret = v;
}

static int parse_killed(struct span s, const char *at, struct kmsg_oom *ret)
{
	const char *p = at + strlen("Killed process "), *open, *close;
	struct span rest;
	uint64_t v;

	if (!number_at(p, s.p + s.len, &v))
		return 0;
	ret->pid = (uint32_t)v;
	rest = (struct span){ p, (size_t)(s.p + s.len - p) };
	open = find_first(rest, " (");
	close = find_last(rest, ") total-vm:");
	if (!open || !close || close < open + 2)
		return 0;
	copy(ret->comm, sizeof(ret->comm), open + 2, close);
	ret->fields |= KMSG_KILLED;
	rest = (struct span){ close, (size_t)(s.p + s.len - close) };
	number_field(rest, "total-vm:", &ret->total_vm_kb);
	number_field(rest, "anon-rss:", &ret->anon_rss_kb);
	number_field(rest, "file-rss:", &ret->file_rss_kb);
	number_field(rest, "shmem-rss:", &ret->shmem_rss_kb);
	number_field(rest, "pgtables:", &ret->pgtables_kb);
	v = UINT32_MAX;
	number_field(rest, "UID:", &v);
	ret->uid = (uint32_t)v;
	p = find_last(rest, "oom_score_adj:");
	if (p) {
		bool negative = p + 14 < s.p + s.len && p[14] == '-';

		if (number_at(p + 14 + negative, s.p + s.len, &v))
			ret->adj = negative ? -(int)v : (int)v;
		ret->fields |= KMSG_MEMORY;
	}
	return 1;
}

static int parse_invoked(struct span s, const char *at, struct kmsg_oom *ret)
{
	struct span rest = { at, (size_t)(s.p + s.len - at) };
	const char *order;
	uint64_t v;

	copy(ret->comm, sizeof(ret->comm), s.p, at);
	ret->fields |= KMSG_INVOKED;
	if (parse_value(rest, "gfp_mask=", ", order=", ret->gfp, sizeof(ret->gfp))) {
		/* v5.10 put the nodemask between. */
		char *nodemask = strstr(ret->gfp, ", nodemask=");

		if (nodemask)
			*nodemask = '\0';
		ret->fields |= KMSG_GFP;
	}
	order = find_last(rest, " order=");
	if (order) {
		bool negative = order + 7 < s.p + s.len && order[7] == '-';

		if (number_at(order + 7 + negative, s.p + s.len, &v))
			ret->order = negative ? -(int)v : (int)v;
	}
	return 1;
}

/* "prio,seq,usec,flags;": fills facility and time. */
static int parse_header(struct span *s, uint64_t *ret_prio, uint64_t *ret_us)
{
	const char *semicolon = memchr(s->p, ';', MIN(s->len, (size_t)128));
	const char *end = s->p + s->len, *p = s->p;
	uint64_t seq;

	if (!semicolon || !number_at(p, end, ret_prio))
		return -EBADMSG;
	p = memchr(p, ',', (size_t)(semicolon - p));
	if (!p || !number_at(p + 1, end, &seq))
		return -EBADMSG;
	p = memchr(p + 1, ',', (size_t)(semicolon - p - 1));
	if (!p || !number_at(p + 1, end, ret_us))
		return -EBADMSG;
	s->len = (size_t)(end - semicolon - 1);
	s->p = semicolon + 1;
	return 0;
}

int kmsg_parse(const char *record, size_t len, struct kmsg_oom *ret)
{
	struct kmsg_oom found = {};
	struct span s = { record, len };
	const char *newline, *at;
	uint64_t prio, us;
	int r;

	r = parse_header(&s, &prio, &us);
	if (r < 0)
		return r;
	if (prio >> 3) /* facility 0 is kern */
		return 0;
	newline = memchr(s.p, '\n', s.len);
	if (newline)
		s.len = (size_t)(newline - s.p);
	found.stamp_us = us;
	found.uid = UINT32_MAX;

	if (starts_with(s, "oom-kill:")) {
		r = parse_oom_kill(s, &found);
	} else if (starts_with(s, "Out of memory and no killable processes")) {
		found.fields = KMSG_NO_KILLABLE;
		r = 1;
	} else if ((starts_with(s, "Memory cgroup out of memory: ") ||
		    starts_with(s, "Out of memory") || starts_with(s, "Tasks in ")) &&
		   (at = find_first(s, ": Killed process "))) {
		r = parse_killed(s, at + 2, &found);
	} else if ((at = find_last(s, " invoked oom-killer: ")) && at - s.p <= 15) {
		r = parse_invoked(s, at, &found);
	}
	if (r == 1)
		*ret = found;
	return r;
}

/*
 * A reader that is woken at once is nearer to the truth than a clock that drifts. One that comes late finds stamps which lie further
 * back than they did, by more than any drift in between.
 */
uint64_t kmsg_clock_mono(struct kmsg_clock *c, uint64_t stamp_us, uint64_t mono_us)
{
	int64_t offset = (int64_t)(mono_us - stamp_us);

	if (c->known && mono_us < c->until_us && offset > c->offset_us + LATE_US)
		return stamp_us + (uint64_t)c->offset_us;
	*c = (struct kmsg_clock){ true, offset, mono_us + BELIEVED_US };
	return mono_us;
}

int kmsg_open(const char *path)
{
	int fd = open(path ? path : "/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (lseek(fd, 0, SEEK_END) < 0) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	return fd;
}
