/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registry: rows to cells
 *
 * Closed families are a dense array of atomics, one cell per combination of label values. Open families live in
 * series.c. All memory is taken at registration.
 */

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "metrics/internal.h"

unsigned metric_label_count(const struct metric_row *row)
{
	unsigned n = 0;

	while (n < METRIC_LABELS_MAX && row->labels[n].name)
		n++;
	return n;
}

int metrics_new(struct metrics **ret)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	*ret = m;
	return 0;
}

static void free_set(struct metric_set *s)
{
	if (!s)
		return;
	for (size_t i = 0; s->families && i < s->n; i++) {
		free(s->families[i].cells);
		free(s->families[i].series);
		free(s->families[i].label_memory);
		free(s->families[i].buckets);
	}
	free(s->families);
	free(s);
}

struct metrics *metrics_free(struct metrics *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; i < m->n; i++)
		free_set(m->sets[i]);
	pthread_mutex_destroy(&m->lock);
	free(m);
	return NULL;
}

/* Splits "a b c" in place of the row: pointers and lengths, no copy. */
static void split_values(struct family *f, unsigned label)
{
	const char *p = f->row->labels[label].values;

	while (*p) {
		size_t len = strcspn(p, " ");

		assert(f->n_values[label] < ARRAY_SIZE(f->values[label]) && len < 256);
		f->values[label][f->n_values[label]] = p;
		f->value_len[label][f->n_values[label]++] = (uint8_t)len;
		p += len;
		p += strspn(p, " ");
	}
	assert(f->n_values[label] > 0);
}

static int init_closed(struct family *f)
{
	f->combinations = 1;
	for (unsigned i = 0; i < f->n_labels; i++) {
		split_values(f, i);
		f->combinations *= f->n_values[i];
	}
	f->cells_each = f->row->type == METRIC_HISTOGRAM ? f->row->n_buckets + 2 : 1;
	f->cells = calloc(f->combinations * f->cells_each, sizeof(*f->cells));
	if (!f->cells)
		return -ENOMEM;
	if (f->row->type == METRIC_GAUGE) {
		double nan_value = NAN;
		uint64_t bits;

		/* A gauge that nobody set is absent, not 0. */
		memcpy(&bits, &nan_value, sizeof(bits));
		for (size_t i = 0; i < f->combinations; i++)
			f->cells[i] = bits;
	}
	return 0;
}

static int init_open(struct family *f, size_t series_max)
{
	size_t slots =
		series_max +
		64; /* "_other" series come on top of the limit: one per closed combination */

	for (unsigned i = 0; i < f->n_labels; i++)
		if (f->row->labels[i].values)
			split_values(f, i);
	f->series_max = series_max;
	f->n_buckets = 64;
	while (f->n_buckets < slots)
		f->n_buckets *= 2;
	f->series = calloc(slots, sizeof(*f->series));
	f->label_memory = calloc(slots * f->n_labels, sizeof(*f->label_memory));
	f->buckets = calloc(f->n_buckets, sizeof(*f->buckets));
	if (!f->series || !f->label_memory || !f->buckets)
		return -ENOMEM;
	if (f->row->type != METRIC_HISTOGRAM)
		return 0;
	f->cells_each = f->row->n_buckets + 2;
	f->cells = calloc(slots * f->cells_each, sizeof(*f->cells));
	return f->cells ? 0 : -ENOMEM;
}

static int init_family(struct family *f, const struct metric_row *row, size_t series_max)
{
	f->row = row;
	f->n_labels = metric_label_count(row);
	for (unsigned i = 0; i < f->n_labels; i++)
		f->open |= !row->labels[i].values;
	return f->open ? init_open(f, series_max) : init_closed(f);
}

/**
 * metrics_register() - add one module's rows
 * @rows:       static const, indexed by the module's enum
 * @series_max: limit of each family with an open label
 * @ret:        owned by the registry
 *
 * Return: 0; -ENOMEM; -ENOSPC beyond 32 sets.
 */
int metrics_register(struct metrics *m, const char *module, const struct metric_row *rows, size_t n,
		     size_t series_max, struct metric_set **ret)
{
	struct metric_set *s = calloc(1, sizeof(*s));
	int r = s ? 0 : -ENOMEM;

	if (s) {
		s->module = module;
		s->n = n;
		s->families = calloc(n, sizeof(*s->families));
		r = s->families ? 0 : -ENOMEM;
	}
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = init_family(&s->families[i], &rows[i], series_max);
	if (r >= 0) {
		pthread_mutex_lock(&m->lock);
		if (m->n == SETS_MAX)
			r = -ENOSPC;
		else
			m->sets[m->n++] = s;
		pthread_mutex_unlock(&m->lock);
	}
	if (r < 0) {
		free_set(s);
		return r;
	}
	*ret = s;
	return 0;
}

static _Atomic uint64_t *cell(struct metric_set *s, struct metric_ref r, struct family **ret_family)
{
	struct family *f = &s->families[r.metric];
	size_t index = 0;

	assert(r.metric < s->n && !f->open);
	for (unsigned i = 0; i < f->n_labels; i++) {
		assert(r.v[i] < f->n_values[i]);
		index = index * f->n_values[i] + r.v[i];
	}
	*ret_family = f;
	return &f->cells[index * f->cells_each];
}

void metric_add(struct metric_set *s, struct metric_ref r, uint64_t n)
{
	struct family *f;

	atomic_fetch_add_explicit(cell(s, r, &f), n, memory_order_relaxed);
}

void metric_store(struct metric_set *s, struct metric_ref r, uint64_t total)
{
	struct family *f;

	atomic_store_explicit(cell(s, r, &f), total, memory_order_relaxed);
}

void metric_gauge(struct metric_set *s, struct metric_ref r, double value)
{
	struct family *f;
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	atomic_store_explicit(cell(s, r, &f), bits, memory_order_relaxed);
}

void metric_observe(struct metric_set *s, struct metric_ref r, double seconds)
{
	struct family *f;
	_Atomic uint64_t *cells = cell(s, r, &f);
	size_t i = 0;

	assert(f->row->type == METRIC_HISTOGRAM);
	if (!(seconds >= 0))
		seconds = 0; /* clocks of two CPUs may disagree by a little */
	while (i < f->row->n_buckets && seconds > f->row->buckets[i])
		i++;
	atomic_fetch_add_explicit(&cells[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&cells[f->row->n_buckets + 1],
				  (uint64_t)(MIN(seconds, 1e9) * 1e9), memory_order_relaxed);
}
