/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exposition: Prometheus text 0.0.4 and OpenMetrics 1.0
 *
 * Only this file knows a format. It reads values that other threads write; a series whose labels change meanwhile is read
 * again, at most a few times.
 */

#include <math.h>
#include <string.h>
#include "base/text.h"
#include "metrics/internal.h"

#define READ_TRIES 8

const char *const metrics_content_type[2] = {
	[METRICS_TEXT] = "text/plain; version=0.0.4; charset=utf-8",
	[METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

struct writer {
	struct strbuf *out;
	enum metrics_format format;
	const struct family *f;
};

static void add_number(struct strbuf *b, double v)
{
	if (isnan(v))
		strbuf_addstr(b, "NaN");
	else if (isinf(v))
		strbuf_addstr(b, v > 0 ? "+Inf" : "-Inf");
	else if (v >= 0 && v < 9007199254740992.0 && v == floor(v))
		strbuf_addu64(b, (uint64_t)v);
	else
		strbuf_addf(b, "%.17g", v);
}

/* Shortest form that reads back the same: 0.1 and not 0.10000000000000001. */
static void add_shortest(struct strbuf *b, double v)
{
	for (int digits = 6; digits < 17; digits++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v) {
			strbuf_addstr(b, text);
			return;
		}
	}
	strbuf_addf(b, "%.17g", v);
}

static void add_value(struct writer *w, uint64_t raw)
{
	const struct metric_row *row = w->f->row;
	double v;

	if (row->type == METRIC_COUNTER && row->scale == 0) {
		strbuf_addu64(w->out, raw);
		return;
	}
	if (row->type == METRIC_COUNTER)
		v = (double)raw * row->scale;
	else
		memcpy(&v, &raw, sizeof(v));
	if (isnan(v) || v == floor(v))
		add_number(w->out, v);
	else
		add_shortest(w->out, v);
}

static const char *type_name(enum metric_type t, enum metrics_format format)
{
	switch (t) {
	case METRIC_COUNTER:
		return "counter";
	case METRIC_HISTOGRAM:
		return "histogram";
	case METRIC_INFO:
		return format == METRICS_OPENMETRICS ? "info" : "gauge";
	default:
		return "gauge";
	}
}

/* OpenMetrics names the family without the suffix that its samples carry. */
static size_t family_name_len(const struct metric_row *row, enum metrics_format format)
{
	size_t len = strlen(row->name);
	const char *suffix = row->type == METRIC_COUNTER ? "_total"
			     : row->type == METRIC_INFO	 ? "_info"
							 : "";
	size_t n = strlen(suffix);

	if (format == METRICS_OPENMETRICS && n && len > n && streq(row->name + len - n, suffix))
		return len - n;
	return len;
}

static void add_header(struct writer *w)
{
	const struct metric_row *row = w->f->row;
	size_t len = family_name_len(row, w->format);

	strbuf_addstr(w->out, "# HELP ");
	strbuf_add(w->out, row->name, len);
	strbuf_addch(w->out, ' ');
	for (const char *p = row->help; *p; p++) {
		if (*p == '\\' || *p == '\n' || (*p == '"' && w->format == METRICS_OPENMETRICS))
			strbuf_addch(w->out, '\\');
		strbuf_addch(w->out, *p == '\n' ? 'n' : *p);
	}
	strbuf_addstr(w->out, "\n# TYPE ");
	strbuf_add(w->out, row->name, len);
	strbuf_addch(w->out, ' ');
	strbuf_addstr(w->out, type_name(row->type, w->format));
	strbuf_addch(w->out, '\n');
}

static void add_label(struct writer *w, bool *first, const char *name, const char *value,
		      size_t len)
{
	strbuf_addch(w->out, *first ? '{' : ',');
	*first = false;
	strbuf_addstr(w->out, name);
	strbuf_addstr(w->out, "=\"");
	text_add_label(w->out, value, len, METRIC_LABEL_BYTES);
	strbuf_addch(w->out, '"');
}

/* Closed labels of combination @index; returns whether no label was written yet. */
static bool add_closed_labels(struct writer *w, size_t index)
{
	const struct family *f = w->f;
	unsigned v[METRIC_LABELS_MAX];
	bool first = true;

	for (unsigned i = f->n_labels; i-- > 0; index /= f->n_values[i])
		v[i] = (unsigned)(index % f->n_values[i]);
	for (unsigned i = 0; i < f->n_labels; i++)
		add_label(w, &first, f->row->labels[i].name, f->values[i][v[i]],
			  f->value_len[i][v[i]]);
	return first;
}

/* Labels of one line; returns whether none was written. */
static bool add_labels(struct writer *w, size_t index, const struct metric_series *x)
{
	const struct family *f = w->f;
	bool first = true;

	if (!x)
		return add_closed_labels(w, index);
	for (unsigned i = 0; i < f->n_labels; i++) {
		size_t len = strnlen(x->labels[i], METRIC_LABEL_BYTES);

		if (len) /* an empty label is the same as none */
			add_label(w, &first, f->row->labels[i].name, x->labels[i], len);
	}
	return first;
}

static void add_bound(struct writer *w, size_t i)
{
	const struct metric_row *row = w->f->row;

	if (i == row->n_buckets)
		strbuf_addstr(w->out, "+Inf");
	else if (row->buckets[i] == floor(row->buckets[i]))
		strbuf_addf(w->out, w->format == METRICS_OPENMETRICS ? "%.1f" : "%.0f",
			    row->buckets[i]);
	else
		add_shortest(w->out, row->buckets[i]);
}

/* Combination @index of a closed family, or series @x of an open one. */
static void add_histogram(struct writer *w, size_t index, const struct metric_series *x)
{
	const struct metric_row *row = w->f->row;
	_Atomic uint64_t *cells = x ? x->cells : &w->f->cells[index * w->f->cells_each];
	uint64_t count = 0;

	for (size_t i = 0; i <= row->n_buckets; i++) {
		bool first;

		count += atomic_load_explicit(&cells[i], memory_order_relaxed);
		strbuf_addf(w->out, "%s_bucket", row->name);
		first = add_labels(w, index, x);
		strbuf_addstr(w->out, first ? "{le=\"" : ",le=\"");
		add_bound(w, i);
		strbuf_addstr(w->out, "\"} ");
		strbuf_addu64(w->out, count);
		strbuf_addch(w->out, '\n');
	}
	strbuf_addf(w->out, "%s_sum", row->name);
	if (!add_labels(w, index, x))
		strbuf_addch(w->out, '}');
	strbuf_addch(w->out, ' ');
	add_shortest(w->out, (double)atomic_load_explicit(&cells[row->n_buckets + 1],
							  memory_order_relaxed) /
				     1e9);
	strbuf_addf(w->out, "\n%s_count", row->name);
	if (!add_labels(w, index, x))
		strbuf_addch(w->out, '}');
	strbuf_addf(w->out, " %llu\n", (unsigned long long)count);
}

static bool is_unset(const struct family *f, uint64_t raw)
{
	double v;

	if (f->row->type != METRIC_GAUGE && f->row->type != METRIC_INFO)
		return false;
	memcpy(&v, &raw, sizeof(v));
	return isnan(v);
}

static void add_closed(struct writer *w)
{
	const struct family *f = w->f;
	bool header = false;

	for (size_t i = 0; i < f->combinations; i++) {
		uint64_t raw =
			atomic_load_explicit(&f->cells[i * f->cells_each], memory_order_relaxed);

		if (f->row->type != METRIC_HISTOGRAM && is_unset(f, raw))
			continue;
		if (!header)
			add_header(w);
		header = true;
		if (f->row->type == METRIC_HISTOGRAM) {
			add_histogram(w, i, NULL);
			continue;
		}
		strbuf_addstr(w->out, f->row->name);
		if (!add_closed_labels(w, i))
			strbuf_addch(w->out, '}');
		strbuf_addch(w->out, ' ');
		add_value(w, raw);
		strbuf_addch(w->out, '\n');
	}
}

static void add_line(struct writer *w, const struct metric_series *x)
{
	strbuf_addstr(w->out, w->f->row->name);
	if (!add_labels(w, 0, x))
		strbuf_addch(w->out, '}');
	strbuf_addch(w->out, ' ');
	add_value(w, atomic_load_explicit(&x->value, memory_order_relaxed));
	strbuf_addch(w->out, '\n');
}

/* One line, or all of a histogram, out of a slot; false when the slot changed meanwhile. */
static bool try_series(struct writer *w, struct metric_series *x)
{
	uint32_t before = atomic_load_explicit(&x->version, memory_order_acquire);

	if (before & 1)
		return false;
	if (!atomic_load_explicit(&x->used, memory_order_relaxed))
		return true;
	if (w->f->row->type == METRIC_HISTOGRAM)
		add_histogram(w, 0, x);
	else
		add_line(w, x);
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&x->version, memory_order_relaxed) == before;
}

static void add_open(struct writer *w)
{
	const struct family *f = w->f;
	size_t high = f->high;
	size_t start = w->out->len, body;

	add_header(w);
	body = w->out->len;
	for (size_t i = 0; i < high; i++) {
		size_t mark = w->out->len;

		for (unsigned tries = 0; tries < READ_TRIES; tries++) {
			if (try_series(w, &f->series[i]))
				break;
			strbuf_truncate(w->out, mark);
		}
	}
	if (w->out->len == body && f->row->type != METRIC_COUNTER)
		strbuf_truncate(w->out, start);
}

void metrics_write(const struct metrics *m, enum metrics_format format, struct strbuf *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&m->lock;
	size_t n;

	pthread_mutex_lock(lock);
	n = m->n; /* sets are only ever added */
	pthread_mutex_unlock(lock);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < m->sets[i]->n; k++) {
			struct writer w = { out, format, &m->sets[i]->families[k] };

			if (w.f->open)
				add_open(&w);
			else
				add_closed(&w);
		}
	}
	if (format == METRICS_OPENMETRICS)
		strbuf_addstr(out, "# EOF\n");
}

/* q of one media range of Accept in thousandths; ranges are separated by commas. */
static int quality(const char *range, size_t len)
{
	const char *q = memmem(range, len, "q=", 2);
	int value = 0, digit = 100;

	if (!q || q + 2 >= range + len)
		return 1000;
	if (q[2] == '1')
		return 1000;
	for (const char *p = q + 4; p < range + len && *p >= '0' && *p <= '9' && digit;
	     p++, digit /= 10)
		value += (*p - '0') * digit;
	return value;
}

enum metrics_format metrics_negotiate(const char *accept)
{
	int open = 0, text = 0;

	while (accept && *accept) {
		size_t len = strcspn(accept, ",");
		int q = quality(accept, len);

		if (memmem(accept, len, "application/openmetrics-text", 28)) {
			/* A version that is not ours is not asked of us. */
			if (!memmem(accept, len, "version=", 8) ||
			    memmem(accept, len, "version=1.0.0", 13) ||
			    memmem(accept, len, "version=\"1.0.0\"", 15))
				open = MAX(open, q);
		} else if (memmem(accept, len, "text/plain", 10) || memmem(accept, len, "*/*", 3)) {
			text = MAX(text, q);
		}
		accept += len;
		accept += *accept == ',';
	}
	return open > 0 && open >= text ? METRICS_OPENMETRICS : METRICS_TEXT;
}

void metrics_write_docs(const char *module, const struct metric_row *rows, size_t n,
			struct strbuf *out)
{
	static const char *const types[_METRIC_TYPE_MAX] = { "counter", "gauge", "histogram",
							     "info" };

	strbuf_addf(
		out,
		"\n## %s\n\n| metric | type | labels | source | meaning |\n|---|---|---|---|---|\n",
		module);
	for (size_t i = 0; i < n; i++) {
		unsigned labels = metric_label_count(&rows[i]);

		strbuf_addf(out, "| `%s` | %s | ", rows[i].name, types[rows[i].type]);
		for (unsigned k = 0; k < labels; k++) {
			strbuf_addf(out, "%s`%s`", k ? ", " : "", rows[i].labels[k].name);
			if (rows[i].labels[k].values)
				strbuf_addf(out, " (%s)", rows[i].labels[k].values);
		}
		strbuf_addf(out, " | %s | %s |\n", rows[i].source ? rows[i].source : "",
			    rows[i].help);
	}
}
