/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of levels as they were seen last. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "agent/oom/cgroup-files.h"
#include "agent/oom/level-counts.h"
#include "base/hash.h"
#include "base/parse.h"

#define COUNTS_MAX 4096
#define PROBES 8

struct entry {
	uint64_t id, count[_LEVEL_COUNT_MAX];
};

struct level_counts {
	struct entry entries[COUNTS_MAX]; /* open addressing */
};

int level_counts_new(struct level_counts **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

struct level_counts *level_counts_free(struct level_counts *c)
{
	free(c);
	return NULL;
}

void *level_counts_memory(struct level_counts *c, size_t *ret_size)
{
	*ret_size = sizeof(*c);
	return c;
}

/* Of @id, or a free one, or one that is forgotten because it is crowded here. */
static size_t place_of(const struct level_counts *c, uint64_t id)
{
	size_t at = (size_t)hash_u64(id) % COUNTS_MAX;

	for (size_t i = 0; i < PROBES; i++) {
		const struct entry *e = &c->entries[(at + i) % COUNTS_MAX];

		if (e->id == id || e->id == 0)
			return (at + i) % COUNTS_MAX;
	}
	return at;
}

bool level_counts_last(const struct level_counts *c, uint64_t id, enum oom_level_count count,
		       uint64_t *ret)
{
	const struct entry *e = &c->entries[place_of(c, id)];

	if (e->id != id)
		return false;
	*ret = e->count[count];
	return true;
}

void level_counts_remember(struct level_counts *c, const struct oom_victim *v)
{
	for (uint32_t i = 0; i < v->n_levels; i++) {
		struct entry *e = &c->entries[place_of(c, v->levels[i].id)];

		e->id = v->levels[i].id;
		for (int k = 0; k < _LEVEL_COUNT_MAX; k++)
			e->count[k] = oom_level_count(v, i, k);
	}
}

/* "max 12\noom 3\n" */
static uint64_t oom_of(const char *text)
{
	const char *line = strncmp(text, "oom ", 4) == 0 ? text : strstr(text, "\noom ");
	char digits[24];
	uint64_t v;
	size_t n;

	if (!line)
		return UINT64_MAX;
	line = strchr(line, ' ') + 1;
	n = strcspn(line, "\n");
	if (n >= sizeof(digits))
		return UINT64_MAX;
	memcpy(digits, line, n);
	digits[n] = '\0';
	return parse_u64(digits, &v) == 0 ? v : UINT64_MAX;
}

void level_counts_seed(struct level_counts *c, const struct cgroup_layout *l, uint64_t id,
		       const char *path)
{
	const struct cgroup_place p = { id, path, NULL };
	struct entry e = { id, { UINT64_MAX, UINT64_MAX, UINT64_MAX } };
	struct entry *slot = &c->entries[place_of(c, id)];
	char text[512];

	if (!id || slot->id == id)
		return;
	if (l->mode == CGROUP_MODE_V2) {
		if (cgroup_file_read(l, &p, CGROUP_FILE_EVENTS, text, sizeof(text)) > 0)
			e.count[LEVEL_OOM] = oom_of(text);
	} else { /* the kernel's own count stands in no file of v1 */
		(void)cgroup_file_number(l, &p, CGROUP_FILE_FAILCNT, &e.count[LEVEL_FAILCNT]);
		(void)cgroup_file_number(l, &p, CGROUP_FILE_SWAP_FAILCNT,
					 &e.count[LEVEL_SWAP_FAILCNT]);
	}
	*slot = e;
}
