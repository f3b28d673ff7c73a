/* SPDX-License-Identifier: Apache-2.0 */
/* Cache of kernel symbol names, filled by a worker. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "agent/oom/symbols.h"
#include "sys/kallsyms.h"

#define CACHE_MAX 512
#define JOB_MAX 32

struct symbols {
	struct work work; /* first; one at a time */
	struct workers *workers;
	bool busy;
	size_t n;
	uint64_t wanted[JOB_MAX];
	size_t n_wanted;
	/* Of the job that runs. */
	uint64_t addresses[JOB_MAX];
	char names[JOB_MAX][64];
	size_t n_addresses;
	struct {
		uint64_t address;
		char name[64];
	} cache[CACHE_MAX];
};

static void run(struct work *w)
{
	struct symbols *s = (struct symbols *)w;

	if (kallsyms_names(NULL, s->addresses, s->n_addresses, s->names) < 0)
		memset(s->names, 0, sizeof(s->names));
}

static void start(struct symbols *s);

static void done(struct work *w)
{
	struct symbols *s = (struct symbols *)w;

	for (size_t i = 0; i < s->n_addresses; i++) {
		size_t slot = s->n < CACHE_MAX ? s->n++
					       : (size_t)(s->addresses[i] >> 4) % CACHE_MAX;

		s->cache[slot].address = s->addresses[i];
		memcpy(s->cache[slot].name, s->names[i], sizeof(s->names[i]));
	}
	s->busy = false;
	start(s);
}

static void start(struct symbols *s)
{
	if (s->busy || s->n_wanted == 0)
		return;
	memcpy(s->addresses, s->wanted, sizeof(s->addresses));
	s->n_addresses = s->n_wanted;
	s->n_wanted = 0;
	s->busy = workers_submit(s->workers, &s->work) == 0;
}

int symbols_new(struct workers *workers, struct symbols **ret)
{
	struct symbols *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->work.run = run;
	s->work.done = done;
	s->workers = workers;
	*ret = s;
	return 0;
}

struct symbols *symbols_free(struct symbols *s)
{
	free(s);
	return NULL;
}

const char *symbols_name(const struct symbols *s, uint64_t address)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->cache[i].address == address)
			return s->cache[i].name;
	return NULL;
}

static bool is_wanted(const struct symbols *s, uint64_t address)
{
	for (size_t i = 0; i < s->n_wanted; i++)
		if (s->wanted[i] == address)
			return true;
	for (size_t i = 0; s->busy && i < s->n_addresses; i++)
		if (s->addresses[i] == address)
			return true;
	return false;
}

void symbols_want(struct symbols *s, const unsigned long long *addresses, size_t n)
{
	for (size_t i = 0; i < n && s->n_wanted < JOB_MAX; i++)
		if (addresses[i] && !symbols_name(s, addresses[i]) && !is_wanted(s, addresses[i]))
			s->wanted[s->n_wanted++] = addresses[i];
	start(s);
}

bool symbols_busy(const struct symbols *s)
{
	return s->busy;
}
