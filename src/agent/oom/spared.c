/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a group decision left alive
 *
 * memory.oom.group kills all but processes with oom_score_adj -1000, of which no hook tells. They are counted when seen: right
 * before the record is written, in the cgroups in which members died.
 */

#include <fcntl.h>
#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/internal.h"
#include "base/fs.h"
#include "base/parse.h"

#define CGROUPS_MAX 16
#define PROCESSES_MAX 1024
#define PIDS_TEXT 16384

static bool is_spared(const char *pid, size_t len)
{
	char path[64], adj[16];

	(void)snprintf(path, sizeof(path), "/proc/%.*s/oom_score_adj", (int)len, pid);
	return fs_read_into(AT_FDCWD, path, adj, sizeof(adj)) > 0 && streq(adj, "-1000\n");
}

/* cgroup.procs: a pid per line. What does not fit is not counted. */
static unsigned count_in(const struct oom_state *s, const char *cgroup, size_t len, unsigned *left)
{
	char path[OOM_PATH_MAX + 64], text[PIDS_TEXT];
	unsigned n = 0;

	(void)snprintf(path, sizeof(path), ".%.*s/cgroup.procs",
		       (int)MIN(len, (size_t)OOM_PATH_MAX), cgroup);
	if (s->agent->cgroups->memory_fd < 0 ||
	    fs_read_into(s->agent->cgroups->memory_fd, path, text, sizeof(text)) <= 0)
		return 0;
	for (const char *line = text; *line && *left > 0; (*left)--) {
		size_t digits = strspn(line, "0123456789");

		if (line[digits] != '\n')
			break;
		n += digits > 0 && digits < 12 && is_spared(line, digits);
		line += digits + 1;
	}
	return n;
}

/* Where a victim was: as the kernel told it, else as its identity is known. */
static const char *cgroup_of(const struct oom_kill *k, size_t *ret_len)
{
	const char *path = oom_text(&k->v, k->v.path, ret_len);

	if (*ret_len == 0 && k->identity) {
		path = k->identity->path;
		*ret_len = strlen(path);
	}
	return path;
}

static bool seen_before(const struct oom_run *run, const struct oom_kill *k, const char *path,
			size_t len)
{
	for (const struct oom_kill *other = run->kills; other != k; other = other->next) {
		size_t n;
		const char *p = cgroup_of(other, &n);

		if (n == len && memcmp(p, path, len) == 0)
			return true;
	}
	return false;
}

/* Processes with oom_score_adj -1000 in up to 16 cgroups of a group decision's members. Allocates nothing. */
unsigned oom_count_spared(const struct oom_state *s, const struct oom_run *run)
{
	unsigned n = 0, cgroups = 0, left = PROCESSES_MAX;

	for (const struct oom_kill *k = run->kills; k && cgroups < CGROUPS_MAX; k = k->next) {
		size_t len;
		const char *path = cgroup_of(k, &len);

		if (len == 0 || path[0] != '/' || seen_before(run, k, path, len))
			continue;
		cgroups++;
		n += count_in(s, path, len, &left);
	}
	return n;
}
