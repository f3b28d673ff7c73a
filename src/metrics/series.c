/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Series of families with open labels
 *
 * One thread writes. Slots and label memory are preallocated; a hash finds a series by its label values. Scrapes walk the
 * slots: a slot's version is odd while its labels change and different afterwards, so a torn read is seen and repeated.
 * What is evicted or refused goes to the series whose `other` label is "_other" (its open labels are empty, closed labels
 * keep their value), so the sum over a counter family never falls.
 */

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "base/hash.h"
#include "base/text.h"
#include "metrics/internal.h"

static const char *label_value(const char *const *values, unsigned i)
{
	return values[i] ? values[i] : "";
}

/* Valid UTF-8 of at most METRIC_LABEL_BYTES, cut on a character boundary. */
static void clean_label(const char *s, size_t len, char *ret)
{
	size_t used = 0;

	for (size_t i = 0, n; i < len; i += n) {
		const char *add = s + i;
		size_t add_len;

		n = add_len = utf8_sequence(s + i, len - i);
		if (n == 0) {
			n = 1;
			add = "\xef\xbf\xbd"; /* U+FFFD */
			add_len = 3;
		}
		if (used + add_len > METRIC_LABEL_BYTES)
			break;
		memcpy(ret + used, add, add_len);
		used += add_len;
	}
	ret[used] = '\0';
}

/*
 * The label values as they will be exposed: what looks the same to a scrape is the same series, else one hostile name
 * could make two lines with equal labels, and the whole scrape invalid.
 */
struct labels {
	const char *v[METRIC_LABELS_MAX];
	char room[METRIC_LABELS_MAX][LABEL_SLOT];
};

static const char *const *clean(const struct family *f, const char *const *values, struct labels *l)
{
	for (unsigned i = 0; i < f->n_labels; i++) {
		const char *v = label_value(values, i);
		size_t len = strlen(v);

		l->v[i] = v;
		if (len <= METRIC_LABEL_BYTES && utf8_valid(v, len))
			continue;
		clean_label(v, len, l->room[i]);
		l->v[i] = l->room[i];
	}
	return l->v;
}

static uint64_t hash_labels(const struct family *f, const char *const *values)
{
	uint64_t h = 0;

	for (unsigned i = 0; i < f->n_labels; i++)
		h = h * 0x9e3779b97f4a7c15ULL + hash_bytes(values[i], strlen(values[i]));
	return h;
}

static bool same_labels(const struct family *f, const struct metric_series *x,
			const char *const *values)
{
	for (unsigned i = 0; i < f->n_labels; i++)
		if (!streq(x->labels[i], values[i]))
			return false;
	return true;
}

static struct metric_series *find(const struct family *f, const char *const *values, uint64_t hash)
{
	for (uint32_t i = f->buckets[hash & (f->n_buckets - 1)]; i; i = f->series[i - 1].next)
		if (f->series[i - 1].hash == hash && same_labels(f, &f->series[i - 1], values))
			return &f->series[i - 1];
	return NULL;
}

static void begin_write(struct metric_series *x)
{
	atomic_fetch_add_explicit(&x->version, 1, memory_order_acq_rel);
	atomic_thread_fence(memory_order_seq_cst);
}

static void end_write(struct metric_series *x)
{
	atomic_fetch_add_explicit(&x->version, 1, memory_order_release);
}

static struct metric_series *fill(struct family *f, struct metric_series *x,
				  const char *const *values, uint64_t hash, uint64_t now_us)
{
	uint32_t *bucket = &f->buckets[hash & (f->n_buckets - 1)];
	size_t index = (size_t)(x - f->series);

	begin_write(x);
	if (!x->labels) { /* the slot is new */
		x->labels = f->label_memory + index * f->n_labels;
		x->cells = f->cells + index * f->cells_each;
	}
	for (size_t i = 0; i < f->cells_each; i++)
		atomic_store_explicit(&x->cells[i], 0, memory_order_relaxed);
	for (unsigned i = 0; i < f->n_labels; i++)
		memcpy(x->labels[i], values[i], strlen(values[i]) + 1);
	x->hash = hash;
	x->touched_us = now_us;
	x->is_other = false;
	atomic_store_explicit(&x->value, 0, memory_order_relaxed);
	atomic_store_explicit(&x->used, true, memory_order_relaxed);
	end_write(x);

	x->next = *bucket;
	*bucket = (uint32_t)index + 1;
	if (index >= f->high)
		f->high = index + 1;
	return x;
}

static struct metric_series *free_slot(struct family *f)
{
	size_t slots = f->series_max + 64;

	if (f->high < slots)
		return &f->series[f->high];
	for (size_t i = 0; i < slots; i++)
		if (!f->series[i].used)
			return &f->series[i];
	return NULL;
}

static void release(struct family *f, struct metric_series *x)
{
	uint32_t *p = &f->buckets[x->hash & (f->n_buckets - 1)];
	uint32_t index = (uint32_t)(x - f->series) + 1;

	while (*p && *p != index)
		p = &f->series[*p - 1].next;
	if (*p == index)
		*p = x->next;
	begin_write(x);
	atomic_store_explicit(&x->used, false, memory_order_relaxed);
	end_write(x);
	x->next = 0;
	if (!x->is_other)
		f->count--;
}

/* The "_other" series that stands for @values. NULL for families without one, or without any slot left. */
static struct metric_series *other_series(struct family *f, const char *const *values,
					  uint64_t now_us)
{
	const char *other[METRIC_LABELS_MAX] = {};
	struct metric_series *x;
	uint64_t hash;

	if (!f->row->other)
		return NULL;
	for (unsigned i = 0; i < f->n_labels; i++) {
		if (f->row->labels[i].values)
			other[i] = values[i];
		else
			other[i] = streq(f->row->labels[i].name, f->row->other) ? "_other" : "";
	}
	hash = hash_labels(f, other);
	x = find(f, other, hash);
	if (x)
		return x;
	x = free_slot(f);
	if (!x)
		return NULL;
	fill(f, x, other, hash, now_us);
	x->is_other = true;
	return x;
}

static void evict(struct family *f, struct metric_series *x, uint64_t now_us)
{
	const char *values[METRIC_LABELS_MAX];
	struct metric_series *other;

	for (unsigned i = 0; i < f->n_labels; i++)
		values[i] = x->labels[i];
	if (f->row->type == METRIC_COUNTER && x->value) {
		other = other_series(f, values, now_us);
		if (other)
			metric_series_add(other, x->value, now_us);
	}
	f->evicted++;
	release(f, x);
}

/**
 * metric_series() - find or create
 * @values: one per label of the row; closed labels must hold one of their values
 *
 * Return: the series, valid until the next call for this family; at the limit the "_other" series, or NULL for
 * families that have none.
 */
struct metric_series *metric_series(struct metric_set *s, uint16_t metric,
				    const char *const *values, uint64_t now_us)
{
	struct family *f = &s->families[metric];
	struct metric_series *x;
	struct labels labels;
	uint64_t hash;

	assert(metric < s->n && f->open);
	values = clean(f, values, &labels);
	hash = hash_labels(f, values);
	x = find(f, values, hash);
	if (x)
		return x;
	if (f->count >= f->series_max) {
		f->evicted++;
		return other_series(f, values, now_us);
	}
	x = free_slot(f);
	if (!x)
		return NULL;
	f->count++;
	return fill(f, x, values, hash, now_us);
}

void metric_series_add(struct metric_series *x, uint64_t n, uint64_t now_us)
{
	if (!x)
		return;
	atomic_fetch_add_explicit(&x->value, n, memory_order_relaxed);
	x->touched_us = now_us;
}

/**
 * metric_series_observe() - add to a histogram what was counted elsewhere
 * @counts: of each bucket of the row and, last, of what lies above; not cumulative
 */
void metric_series_observe(struct metric_series *x, const uint64_t *counts, size_t n_counts,
			   uint64_t sum_ns, uint64_t now_us)
{
	if (!x)
		return;
	for (size_t i = 0; i < n_counts; i++)
		if (counts[i])
			atomic_fetch_add_explicit(&x->cells[i], counts[i], memory_order_relaxed);
	atomic_fetch_add_explicit(&x->cells[n_counts], sum_ns, memory_order_relaxed);
	x->touched_us = now_us;
}

void metric_series_gauge(struct metric_series *x, double value, uint64_t now_us)
{
	uint64_t bits;

	if (!x)
		return;
	memcpy(&bits, &value, sizeof(bits));
	atomic_store_explicit(&x->value, bits, memory_order_relaxed);
	x->touched_us = now_us;
}

struct metric_series *metric_series_find(struct metric_set *s, uint16_t metric,
					 const char *const *values)
{
	const struct family *f = &s->families[metric];
	struct labels labels;

	values = clean(f, values, &labels);
	return find(f, values, hash_labels(f, values));
}

void metric_series_drop(struct metric_set *s, uint16_t metric, const char *const *values)
{
	struct metric_series *x = metric_series_find(s, metric, values);

	if (x)
		release(&s->families[metric], x);
}

size_t metric_series_drop_zero(struct metric_set *s, uint16_t metric, uint64_t before_us)
{
	struct family *f = &s->families[metric];
	size_t n = 0;

	for (size_t i = 0; i < f->high; i++) {
		struct metric_series *x = &f->series[i];

		if (!x->used || x->is_other || x->value || x->touched_us >= before_us)
			continue;
		release(f, x);
		n++;
	}
	return n;
}

void metric_series_clear(struct metric_set *s, uint16_t metric)
{
	struct family *f = &s->families[metric];

	for (size_t i = 0; i < f->high; i++)
		if (f->series[i].used)
			release(f, &f->series[i]);
}

size_t metric_series_expire(struct metric_set *s, uint16_t metric, uint64_t before_us)
{
	struct family *f = &s->families[metric];
	size_t n = 0;

	for (size_t i = 0; i < f->high; i++) {
		struct metric_series *x = &f->series[i];

		if (!x->used || x->is_other || x->touched_us >= before_us)
			continue;
		evict(f, x, before_us);
		n++;
	}
	return n;
}

size_t metric_series_count(const struct metric_set *s, uint16_t metric)
{
	return s->families[metric].count;
}

uint64_t metric_series_evicted(const struct metric_set *s, uint16_t metric)
{
	return s->families[metric].evicted;
}

uint64_t metric_series_value(const struct metric_series *x)
{
	return atomic_load_explicit(&x->value, memory_order_relaxed);
}
