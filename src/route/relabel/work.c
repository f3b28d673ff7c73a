/* SPDX-License-Identifier: Apache-2.0 */
/* A series in work: see internal.h. Everything here grows once and is kept. */

#include <errno.h>
#include "base/macro.h"
#include "route/relabel/internal.h"
#include "route/wire/buf.h"

#define CHUNK_MIN (16 * 1024)

struct work_chunk {
	struct work_chunk *next;
	size_t size;
	char data[];
};

static struct work_chunk *chunk_new(size_t size)
{
	struct work_chunk *k = malloc(sizeof(*k) + size);

	if (k)
		*k = (struct work_chunk){ .size = size };
	return k;
}

int relabel_context_new(struct relabel_context **ret)
{
	_cleanup_(relabel_context_freep) struct relabel_context *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	r = regex_scratch_new(&c->regex);
	if (r < 0)
		return r;
	c->first = c->chunk = chunk_new(CHUNK_MIN);
	if (!c->first)
		return -ENOMEM;
	*ret = TAKE_PTR(c);
	return 0;
}

struct relabel_context *relabel_context_free(struct relabel_context *c)
{
	if (!c)
		return NULL;
	while (c->first) {
		struct work_chunk *next = c->first->next;

		free(c->first);
		c->first = next;
	}
	(void)regex_scratch_free(c->regex);
	free(c->dead);
	free(c->added);
	free(c->out);
	free(c->snapshot);
	free(c);
	return NULL;
}

void work_begin(struct relabel_context *c, const struct rw_label *labels, size_t n)
{
	c->base = labels;
	c->n_base = (uint32_t)n;
	c->n_dead = c->n_added = 0;
	c->chunk = c->first;
	c->used = c->total = 0;
	c->limit = false;
}

char *work_bytes(struct relabel_context *c, size_t n)
{
	if (n > WORK_BYTES_MAX - c->total) {
		c->limit = true;
		return NULL;
	}
	c->total += n;
	while (c->chunk->size - c->used < n) {
		if (!c->chunk->next)
			c->chunk->next = chunk_new(MAX(n, 2 * c->chunk->size));
		if (!c->chunk->next) {
			c->limit = true;
			return NULL;
		}
		c->chunk = c->chunk->next;
		c->used = 0;
	}
	c->used += n;
	return c->chunk->data + c->used - n;
}

void work_give_back(struct relabel_context *c, size_t n)
{
	c->used -= n;
	c->total -= n;
}

static int find_base(const struct relabel_context *c, const char *name, size_t len)
{
	for (uint32_t i = 0; i < c->n_base; i++)
		if (c->base[i].name_len == len && memcmp(c->base[i].name, name, len) == 0)
			return (int)i;
	return -1;
}

static struct work_added *find_added(const struct relabel_context *c, const char *name, size_t len)
{
	for (uint32_t i = 0; i < c->n_added; i++)
		if (c->added[i].label.name_len == len &&
		    memcmp(c->added[i].label.name, name, len) == 0)
			return &c->added[i];
	return NULL;
}

static bool is_dead(const struct relabel_context *c, uint32_t at)
{
	return c->n_dead && c->dead[at];
}

struct rw_span work_get(const struct relabel_context *c, const char *name, size_t len)
{
	const struct work_added *a = find_added(c, name, len);
	int at;

	if (a)
		return span_of(a->label.value, a->label.value_len);
	at = find_base(c, name, len);
	if (at < 0 || is_dead(c, (uint32_t)at))
		return span_of("", 0);
	return span_of(c->base[at].value, c->base[at].value_len);
}

static bool kill_base(struct relabel_context *c, uint32_t at)
{
	if (!rw_array_grow(&c->dead, &c->dead_size, c->n_base, sizeof(*c->dead))) {
		c->limit = true;
		return false;
	}
	if (!c->n_dead)
		memset(c->dead, 0, c->n_base);
	c->n_dead += !c->dead[at];
	c->dead[at] = 1;
	return true;
}

static void remove_added(struct relabel_context *c, struct work_added *a)
{
	struct work_added *end = c->added + --c->n_added;

	memmove(a, a + 1, (size_t)((char *)end - (char *)a));
}

void work_delete(struct relabel_context *c, const char *name, size_t len)
{
	struct work_added *a = find_added(c, name, len);
	int at;

	if (a)
		remove_added(c, a);
	at = find_base(c, name, len);
	if (at >= 0)
		(void)kill_base(c, (uint32_t)at);
}

void work_set(struct relabel_context *c, struct rw_span name, struct rw_span value)
{
	const char *text = (const char *)name.at;
	struct work_added *a;
	int at;

	if (!value.len) {
		work_delete(c, text, name.len);
		return;
	}
	a = find_added(c, text, name.len);
	if (!a) {
		if (!rw_array_grow(&c->added, &c->added_size, c->n_added + 1, sizeof(*c->added))) {
			c->limit = true;
			return;
		}
		at = find_base(c, text, name.len);
		if (at >= 0 && !kill_base(c, (uint32_t)at))
			return;
		a = &c->added[c->n_added++];
		a->label.name = text;
		a->label.name_len = (uint32_t)name.len;
		a->replaces = at;
	}
	a->label.value = (const char *)value.at;
	a->label.value_len = (uint32_t)value.len;
}

const struct rw_label *work_snapshot(struct relabel_context *c, size_t *ret_n)
{
	size_t n = 0;

	if (!rw_array_grow(&c->snapshot, &c->snapshot_size, (size_t)c->n_base + c->n_added + 1,
			   sizeof(*c->snapshot))) {
		c->limit = true;
		return NULL;
	}
	for (uint32_t i = 0; i < c->n_base; i++)
		if (!is_dead(c, i))
			c->snapshot[n++] = c->base[i];
	for (uint32_t i = 0; i < c->n_added; i++)
		c->snapshot[n++] = c->added[i].label;
	*ret_n = n;
	return c->snapshot;
}

/* --- the end --- */

static bool unchanged(const struct relabel_context *c)
{
	if (c->n_added != c->n_dead)
		return false;
	for (uint32_t i = 0; i < c->n_added; i++) {
		const struct work_added *a = &c->added[i];
		const struct rw_label *old;

		if (a->replaces < 0)
			return false;
		old = &c->base[a->replaces];
		if (old->value_len != a->label.value_len ||
		    memcmp(old->value, a->label.value, old->value_len) != 0)
			return false;
	}
	return true;
}

static void sort_added(struct relabel_context *c)
{
	for (uint32_t i = 1; i < c->n_added; i++) {
		struct work_added a = c->added[i];
		uint32_t k = i;

		for (; k > 0 && rw_label_compare(&c->added[k - 1].label, &a.label) > 0; k--)
			c->added[k] = c->added[k - 1];
		c->added[k] = a;
	}
}

bool work_finish(struct relabel_context *c, bool *ret_changed, const struct rw_label **ret,
		 size_t *ret_n)
{
	uint32_t added = 0;
	size_t n = 0;

	*ret_changed = !unchanged(c);
	*ret = c->base;
	*ret_n = c->n_base;
	if (!*ret_changed)
		return true;
	if (!rw_array_grow(&c->out, &c->out_size, (size_t)c->n_base + c->n_added + 1,
			   sizeof(*c->out)))
		return false;
	sort_added(c);
	for (uint32_t i = 0; i < c->n_base; i++) {
		if (is_dead(c, i))
			continue;
		while (added < c->n_added &&
		       rw_label_compare(&c->added[added].label, &c->base[i]) < 0)
			c->out[n++] = c->added[added++].label;
		c->out[n++] = c->base[i];
	}
	while (added < c->n_added)
		c->out[n++] = c->added[added++].label;
	*ret = c->out;
	*ret_n = n;
	return true;
}
