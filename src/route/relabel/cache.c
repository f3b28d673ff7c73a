/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decisions by the hash of the labels
 *
 *   heads[hash] -> entry -> entry …        entries of 32 bytes, in blocks that never move; a number names one
 *                    edit number -> edits[] -> steps: copy n labels from i | insert label
 *                                                          -> a label, kept once for all edits (counted references)
 *
 * 128 bits of a seeded hash are the label set: 2^32 series collide with a chance of 2^-65. The clock hand runs over all entries and takes
 * the first that was not used since it came by last.
 */

#include <errno.h>
#include <xxhash.h>
#include "base/macro.h"
#include "route/relabel/cache-key.h"
#include "route/relabel/internal.h"
#include "route/wire/buf.h"

#define BLOCK 512 /* entries */
#define NONE UINT32_MAX
#define STEPS_MAX 255
#define EVICT_MAX 64 /* for one new entry */

struct entry { /* 32 bytes, two in a cache line */
	struct decision_key key;
	uint32_t next; /* in the chain, or of the free list */
	uint32_t edit; /* number, NONE = no change */
	uint32_t task;
	uint16_t lane;
	uint8_t result : 4; /* enum relabel_result */
	uint8_t matched : 1;
	uint8_t used : 1; /* since the hand came by */
	uint8_t taken : 1;
};
_Static_assert(sizeof(struct entry) == 32, "two in a cache line");

/* A label that edits insert. */
struct insert {
	struct insert *next; /* in its bucket */
	uint64_t hash;
	uint32_t references;
	struct rw_label label; /* into text */
	char text[];
};

struct step {
	struct insert *insert; /* NULL: copy */
	uint16_t from, n;
};

struct edit {
	uint16_t n_steps, n_labels;
	struct step steps[];
};

struct decision_cache {
	uint64_t seed;
	uint8_t secret[DECISION_SECRET];
	struct decision_key (*hash)(struct rw_span, const uint8_t *, uint64_t);
	size_t max_bytes, bytes;
	size_t edit_bytes; /* of bytes, what edits and their labels take */
	uint32_t *heads;
	uint32_t mask;
	struct entry **blocks;
	size_t blocks_size;
	uint32_t n_entries; /* in blocks, taken or free */
	uint32_t n_taken, free, hand;
	struct edit **edits; /* by number; a free one holds the number of the next + 1 */
	size_t edits_size;
	uint32_t n_edits, free_edit;
	struct insert **inserts;
	uint32_t inserts_mask, n_inserts;
	uint64_t hits, misses, evictions;
	struct edit *building; /* STEPS_MAX steps */
};

static struct entry *entry_of(const struct decision_cache *c, uint32_t at)
{
	return &c->blocks[at / BLOCK][at % BLOCK];
}

static uint32_t *head_of(const struct decision_cache *c, struct decision_key key)
{
	return &c->heads[key.low & c->mask];
}

struct decision_key decision_cache_key(const struct decision_cache *c, struct rw_span canon)
{
	return c->hash(canon, c->secret, c->seed);
}

static void count_edit(struct decision_cache *c, ssize_t bytes)
{
	c->bytes += (size_t)bytes;
	c->edit_bytes += (size_t)bytes;
}

/* --- inserted labels --- */

static uint64_t label_hash(const struct decision_cache *c, const struct rw_label *l)
{
	return XXH3_64bits_withSeed(l->value, l->value_len,
				    XXH3_64bits_withSeed(l->name, l->name_len, c->seed));
}

static size_t insert_bytes(const struct insert *i)
{
	return sizeof(*i) + i->label.name_len + i->label.value_len;
}

static bool same_label(const struct rw_label *a, const struct rw_label *b)
{
	return a->name_len == b->name_len && a->value_len == b->value_len &&
	       memcmp(a->name, b->name, a->name_len) == 0 &&
	       memcmp(a->value, b->value, a->value_len) == 0;
}

/* As many buckets as labels, at least; without memory for more the chains get longer. */
static void grow_inserts(struct decision_cache *c)
{
	uint32_t size = 2 * (c->inserts_mask + 1);
	struct insert **more = calloc(size, sizeof(struct insert *));

	if (!more)
		return;
	for (uint32_t i = 0; i <= c->inserts_mask; i++)
		while (c->inserts[i]) {
			struct insert *moved = c->inserts[i];

			c->inserts[i] = moved->next;
			moved->next = more[moved->hash & (size - 1)];
			more[moved->hash & (size - 1)] = moved;
		}
	free(c->inserts);
	c->bytes += (size - c->inserts_mask - 1) * sizeof(struct insert *);
	c->inserts = more;
	c->inserts_mask = size - 1;
}

static struct insert *insert_get(struct decision_cache *c, const struct rw_label *l)
{
	uint64_t hash = label_hash(c, l);
	struct insert *i;

	for (i = c->inserts[hash & c->inserts_mask]; i; i = i->next)
		if (i->hash == hash && same_label(&i->label, l)) {
			i->references++;
			return i;
		}
	if (c->n_inserts > c->inserts_mask)
		grow_inserts(c);
	i = malloc(sizeof(*i) + l->name_len + l->value_len);
	if (!i)
		return NULL;
	*i = (struct insert){ .hash = hash, .references = 1, .label = *l };
	i->label.name = memcpy(i->text, l->name, l->name_len);
	i->label.value = memcpy(i->text + l->name_len, l->value, l->value_len);
	i->next = c->inserts[hash & c->inserts_mask];
	c->inserts[hash & c->inserts_mask] = i;
	c->n_inserts++;
	count_edit(c, (ssize_t)insert_bytes(i));
	return i;
}

static void insert_put(struct decision_cache *c, struct insert *i)
{
	struct insert **link = &c->inserts[i->hash & c->inserts_mask];

	if (--i->references)
		return;
	while (*link != i)
		link = &(*link)->next;
	*link = i->next;
	c->n_inserts--;
	count_edit(c, -(ssize_t)insert_bytes(i));
	free(i);
}

/* --- edits --- */

static size_t edit_bytes(const struct edit *e)
{
	return sizeof(*e) + e->n_steps * sizeof(e->steps[0]);
}

static void release_steps(struct decision_cache *c, struct edit *e)
{
	for (uint16_t i = 0; i < e->n_steps; i++)
		if (e->steps[i].insert)
			insert_put(c, e->steps[i].insert);
	e->n_steps = 0;
}

/* Labels that are as they were are copied, the others inserted: both lists are in order. False: too long, or no memory. */
static bool build(struct decision_cache *c, const struct rw_label *old, size_t n_old,
		  const struct rw_label *new, size_t n_new)
{
	struct edit *e = c->building;
	size_t at = 0;

	e->n_steps = 0;
	e->n_labels = (uint16_t)n_new;
	for (size_t i = 0; i < n_new; i++) {
		struct step *last = e->n_steps ? &e->steps[e->n_steps - 1] : NULL;

		while (at < n_old && rw_label_compare(&old[at], &new[i]) < 0)
			at++;
		if (at < n_old && same_label(&old[at], &new[i])) {
			if (last && !last->insert && last->from + last->n == at) {
				last->n++;
				continue;
			}
			if (e->n_steps == STEPS_MAX)
				return false;
			e->steps[e->n_steps++] = (struct step){ NULL, (uint16_t)at, 1 };
			continue;
		}
		if (e->n_steps == STEPS_MAX)
			return false;
		e->steps[e->n_steps].insert = insert_get(c, &new[i]);
		if (!e->steps[e->n_steps].insert)
			return false;
		e->n_steps++;
	}
	return true;
}

static uint32_t edit_number(struct decision_cache *c)
{
	uint32_t at = c->free_edit;
	size_t before = c->edits_size;

	if (at != NONE) {
		c->free_edit = (uint32_t)((uintptr_t)c->edits[at] - 1);
		return at;
	}
	if (!rw_array_grow(&c->edits, &c->edits_size, c->n_edits + 1, sizeof(struct edit *)))
		return NONE;
	c->bytes += (c->edits_size - before) * sizeof(struct edit *);
	return c->n_edits++;
}

static uint32_t edit_new(struct decision_cache *c, const struct rw_label *old, size_t n_old,
			 const struct rw_label *new, size_t n_new)
{
	struct edit *e = NULL;
	uint32_t at = NONE;

	if (n_old <= UINT16_MAX && n_new <= UINT16_MAX && build(c, old, n_old, new, n_new)) {
		e = malloc(edit_bytes(c->building));
		at = e ? edit_number(c) : NONE;
	}
	if (at == NONE) {
		free(e);
		release_steps(c, c->building);
		return NONE;
	}
	memcpy(e, c->building, edit_bytes(c->building));
	c->edits[at] = e;
	count_edit(c, (ssize_t)edit_bytes(e));
	return at;
}

static void edit_drop(struct decision_cache *c, uint32_t at)
{
	struct edit *e = c->edits[at];

	count_edit(c, -(ssize_t)edit_bytes(e));
	release_steps(c, e);
	free(e);
	c->edits[at] = (struct edit *)((uintptr_t)c->free_edit + 1);
	c->free_edit = at;
}

static bool replay(const struct edit *e, struct relabel_context *w, const struct rw_label *labels,
		   const struct rw_label **ret)
{
	struct rw_label *out;

	if (!rw_array_grow(&w->out, &w->out_size, e->n_labels + 1u, sizeof(*w->out)))
		return false;
	out = w->out;
	for (const struct step *s = e->steps; s < e->steps + e->n_steps; s++) {
		if (s->insert) {
			*out++ = s->insert->label;
			continue;
		}
		memcpy(out, labels + s->from, s->n * sizeof(*out));
		out += s->n;
	}
	*ret = w->out;
	return true;
}

/* --- entries --- */

static void entry_remove(struct decision_cache *c, uint32_t at)
{
	struct entry *e = entry_of(c, at);
	uint32_t *link = head_of(c, e->key);

	while (*link != at)
		link = &entry_of(c, *link)->next;
	*link = e->next;
	if (e->edit != NONE)
		edit_drop(c, e->edit);
	*e = (struct entry){ .next = c->free };
	c->free = at;
	c->n_taken--;
}

/* Ends, because a round of the hand leaves nothing used. */
static void evict_one(struct decision_cache *c)
{
	for (;;) {
		uint32_t at = c->hand;
		struct entry *e = entry_of(c, at);

		c->hand = at + 1 < c->n_entries ? at + 1 : 0;
		if (!e->taken)
			continue;
		if (e->used) {
			e->used = false;
			continue;
		}
		entry_remove(c, at);
		c->evictions++;
		return;
	}
}

static bool grow_heads(struct decision_cache *c)
{
	uint32_t size = c->heads ? 2 * (c->mask + 1) : BLOCK;
	uint32_t *more = malloc(size * sizeof(*more));

	if (!more)
		return false;
	memset(more, 0xff, size * sizeof(*more)); /* NONE */
	c->bytes += (size - (c->heads ? c->mask + 1 : 0)) * sizeof(*more);
	free(c->heads);
	c->heads = more;
	c->mask = size - 1;
	for (uint32_t i = 0; i < c->n_entries; i++) {
		struct entry *e = entry_of(c, i);

		if (!e->taken)
			continue;
		e->next = *head_of(c, e->key);
		*head_of(c, e->key) = i;
	}
	return true;
}

static bool add_block(struct decision_cache *c)
{
	size_t n = c->n_entries / BLOCK, before = c->blocks_size;
	struct entry *block;

	if (!rw_array_grow(&c->blocks, &c->blocks_size, n + 1, sizeof(struct entry *)))
		return false;
	block = aligned_alloc(64, BLOCK * sizeof(*block));
	if (!block)
		return false;
	c->bytes += BLOCK * sizeof(*block) + (c->blocks_size - before) * sizeof(struct entry *);
	c->blocks[n] = block;
	for (uint32_t i = 0; i < BLOCK; i++)
		block[i] = (struct entry){ .next = i + 1 < BLOCK ? c->n_entries + i + 1 : NONE };
	c->free = c->n_entries;
	c->n_entries += BLOCK;
	return true;
}

/*
 * A free entry: of a new block while there is room for one and the edits that such entries have had so far, else that of the least used.
 * Blocks are never given back, so they must leave room for edits.
 */
static uint32_t entry_take(struct decision_cache *c)
{
	size_t want = BLOCK * (sizeof(struct entry) + 2 * sizeof(uint32_t));
	uint32_t at;

	if (c->n_taken)
		want += c->edit_bytes / c->n_taken * BLOCK;

	if (c->free == NONE && c->bytes + want <= c->max_bytes) {
		if (c->n_entries > c->mask)
			(void)grow_heads(c);
		(void)add_block(c);
	}
	if (c->free == NONE && c->n_taken)
		evict_one(c);
	at = c->free;
	if (at != NONE)
		c->free = entry_of(c, at)->next;
	return at;
}

/* --- the whole --- */

int decision_cache_new(size_t max_bytes, uint64_t seed, struct decision_cache **ret)
{
	_cleanup_(decision_cache_freep) struct decision_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->seed = seed;
	decision_key_secret(c->secret, seed);
	c->hash = decision_key_plain;
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		c->hash = decision_key_avx2;
#endif
	c->max_bytes = max_bytes;
	c->free = c->free_edit = NONE;
	c->inserts_mask = 63;
	c->inserts = calloc(c->inserts_mask + 1, sizeof(struct insert *));
	c->building = malloc(sizeof(struct edit) + STEPS_MAX * sizeof(struct step));
	if (!c->inserts || !c->building || !grow_heads(c))
		return -ENOMEM;
	c->bytes += sizeof(*c) + 64 * sizeof(struct insert *) + sizeof(struct edit) +
		    STEPS_MAX * sizeof(struct step);
	*ret = TAKE_PTR(c);
	return 0;
}

void decision_cache_clear(struct decision_cache *c)
{
	for (uint32_t i = 0; i < c->n_entries; i++)
		if (entry_of(c, i)->taken)
			entry_remove(c, i);
}

struct decision_cache *decision_cache_free(struct decision_cache *c)
{
	if (!c)
		return NULL;
	if (c->heads)
		decision_cache_clear(c);
	for (uint32_t i = 0; i < c->n_entries / BLOCK; i++)
		free(c->blocks[i]);
	free(c->blocks);
	free(c->heads);
	free(c->edits);
	free(c->inserts);
	free(c->building);
	free(c);
	return NULL;
}

bool decision_cache_find_key(struct decision_cache *c, struct decision_key key,
			     struct relabel_context *context, const struct rw_label *labels,
			     size_t n, struct decision *ret, const struct rw_label **ret_labels,
			     size_t *ret_n)
{
	struct entry *e;

	for (uint32_t at = *head_of(c, key); at != NONE; at = e->next) {
		e = entry_of(c, at);
		if (e->key.low != key.low || e->key.high != key.high)
			continue;
		if (e->edit != NONE) {
			if (!replay(c->edits[e->edit], context, labels, ret_labels))
				break;
			*ret_n = c->edits[e->edit]->n_labels;
		} else {
			*ret_labels = labels;
			*ret_n = n;
		}
		*ret = (struct decision){ .result = (enum relabel_result)e->result,
					  .task = e->task,
					  .lane = e->lane,
					  .matched = e->matched };
		e->used = true;
		c->hits++;
		return true;
	}
	c->misses++;
	return false;
}

/**
 * decision_cache_put_key() - remember
 * @labels:  before, @n of them
 * @changed: after, with RELABEL_CHANGED; both sorted
 *
 * What finds no room is not remembered.
 */
void decision_cache_put_key(struct decision_cache *c, struct decision_key key,
			    const struct rw_label *labels, size_t n, const struct decision *d,
			    const struct rw_label *changed, size_t n_changed)
{
	uint32_t at, edit = NONE, *head;

	for (at = *head_of(c, key); at != NONE; at = entry_of(c, at)->next)
		if (entry_of(c, at)->key.low == key.low && entry_of(c, at)->key.high == key.high)
			return;
	if (d->result == RELABEL_CHANGED) {
		edit = edit_new(c, labels, n, changed, n_changed);
		if (edit == NONE)
			return;
	}
	at = entry_take(c);
	if (at == NONE) {
		if (edit != NONE)
			edit_drop(c, edit);
		return;
	}
	head = head_of(c, key);
	*entry_of(c, at) = (struct entry){ .key = key,
					   .next = *head,
					   .edit = edit,
					   .task = d->task,
					   .lane = d->lane,
					   .result = (uint8_t)d->result,
					   .matched = d->matched,
					   .taken = true };
	*head = at;
	c->n_taken++;
	for (int i = 0; i < EVICT_MAX && c->bytes > c->max_bytes && c->n_taken; i++)
		evict_one(c);
	if (c->bytes > c->max_bytes && entry_of(c, at)->taken)
		entry_remove(c, at);
}

bool decision_cache_find(struct decision_cache *c, struct rw_span canon,
			 struct relabel_context *context, const struct rw_label *labels, size_t n,
			 struct decision *ret, const struct rw_label **ret_labels, size_t *ret_n)
{
	return decision_cache_find_key(c, decision_cache_key(c, canon), context, labels, n, ret,
				       ret_labels, ret_n);
}

void decision_cache_put(struct decision_cache *c, struct rw_span canon,
			const struct rw_label *labels, size_t n, const struct decision *d,
			const struct rw_label *changed, size_t n_changed)
{
	decision_cache_put_key(c, decision_cache_key(c, canon), labels, n, d, changed, n_changed);
}

void decision_cache_stats(const struct decision_cache *c, struct decision_cache_stats *ret)
{
	*ret = (struct decision_cache_stats){ .entries = c->n_taken,
					      .bytes = c->bytes,
					      .hits = c->hits,
					      .misses = c->misses,
					      .evictions = c->evictions };
}
