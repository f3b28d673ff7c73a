/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel symbols: ranges of a few wanted ones, names of any
 *
 * The file is read once at start. A symbol ends where the next text symbol begins, and the file is sorted by address on every
 * kernel that we know; modules follow at the end.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/parse.h"
#include "sys/kallsyms.h"

#define RANGES_MAX 96 /* clones: a wanted symbol may have several */
#define WANTED_MAX 32

struct range {
	uint64_t start, end;
	int wanted;
};

struct kallsyms {
	struct range ranges[RANGES_MAX];
	size_t n;
};

struct symbol {
	uint64_t address;
	char name[128];
	bool text;
};

/* Suffixes that compilers add to parts and clones of one function. */
static void strip_suffix(char *name)
{
	static const char *const suffixes[] = { ".isra", ".constprop", ".part", ".cold", ".llvm" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char *p = strstr(name, suffixes[i]);

		if (p && p != name)
			*p = '\0';
	}
}

static bool parse_line(const char *line, struct symbol *ret)
{
	size_t digits = strcspn(line, " ");
	size_t len;

	if (parse_hex64(line, digits, &ret->address) < 0 || line[digits] != ' ' ||
	    !line[digits + 1] || line[digits + 2] != ' ')
		return false;
	ret->text = (line[digits + 1] | 32) == 't' || (line[digits + 1] | 32) == 'w';
	line += digits + 3;
	len = strcspn(line, " \t\n");
	if (len >= sizeof(ret->name))
		len = sizeof(ret->name) - 1;
	memcpy(ret->name, line, len);
	ret->name[len] = '\0';
	return true;
}

static int index_of(const char *const *wanted, const char *name)
{
	for (int i = 0; wanted[i] && i < WANTED_MAX; i++)
		if (streq(wanted[i], name))
			return i;
	return -ENOENT;
}

int kallsyms_read(const char *path, const char *const *wanted, struct kallsyms **ret)
{
	_cleanup_(kallsyms_freep) struct kallsyms *k = calloc(1, sizeof(*k));
	_cleanup_(fclosep) FILE *f = fopen(path ? path : "/proc/kallsyms", "re");
	struct range *open_range = NULL;
	bool any_address = false;
	char line[512];

	if (!k)
		return -ENOMEM;
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		struct symbol s;
		int wanted_index;

		if (!parse_line(line, &s) || !s.text)
			continue;
		any_address |= s.address != 0;
		if (open_range && s.address > open_range->start) {
			open_range->end = s.address;
			open_range = NULL;
		}
		strip_suffix(s.name);
		wanted_index = index_of(wanted, s.name);
		if (wanted_index < 0 || k->n == RANGES_MAX)
			continue;
		open_range = &k->ranges[k->n++];
		*open_range = (struct range){ s.address, s.address + 65536, wanted_index };
	}
	if (!any_address)
		return -EACCES;
	*ret = TAKE_PTR(k);
	return 0;
}

struct kallsyms *kallsyms_free(struct kallsyms *k)
{
	free(k);
	return NULL;
}

int kallsyms_match(const struct kallsyms *k, uint64_t address)
{
	for (size_t i = 0; i < k->n; i++)
		if (address >= k->ranges[i].start && address < k->ranges[i].end)
			return k->ranges[i].wanted;
	return -ENOENT;
}

int kallsyms_names(const char *path, const uint64_t *addresses, size_t n, char (*ret)[64])
{
	_cleanup_(fclosep) FILE *f = fopen(path ? path : "/proc/kallsyms", "re");
	uint64_t best[64] = {};
	char line[512];

	if (!f)
		return -errno;
	if (n > ARRAY_SIZE(best))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		ret[i][0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		struct symbol s;

		if (!parse_line(line, &s) || !s.text || !s.address)
			continue;
		for (size_t i = 0; i < n; i++) {
			if (s.address > addresses[i] || s.address <= best[i] ||
			    addresses[i] - s.address > (1 << 20))
				continue;
			best[i] = s.address;
			(void)snprintf(ret[i], sizeof(ret[i]), "%.63s", s.name);
		}
	}
	return 0;
}
