/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels of one series
 *
 * Order is decided by the first eight bytes of the names as one number; only where these are equal, bytes are compared. Limits bound what is kept, so a
 * series of a million labels costs a walk, not memory.
 */

#include <errno.h>
#include "route/wire/labels.h"
#include "route/wire/usual.h"

#define FINE (-1)
#define LABEL_EXTRA 24 /* more than tags and lengths of a label take */

struct rw_labels_item {
	struct rw_label label;
	uint32_t name_ref, value_ref;
};

void rw_labels_done(struct rw_labels *l)
{
	free(l->items);
	free(l->refs);
	free(l->sort);
	free(l->sort_tmp);
	memset(l, 0, sizeof(*l));
}

void rw_labels_begin(struct rw_labels *l, uint32_t max)
{
	l->max = max;
	l->n = l->n_refs = 0;
	l->span = (struct rw_span){};
	l->last_key = 0;
	l->in_place = l->ascending = l->ascii = true;
	l->empty = false;
	l->longest_name = l->longest_value = 0;
}

static inline void note_order(struct rw_labels *l, const struct rw_label *x)
{
	const uint8_t *name = (const uint8_t *)x->name;
	uint8_t last_bytes[8] = {};
	uint64_t key;

	if (l->body_end - name < 8) {
		memcpy(last_bytes, name, MIN(x->name_len, 8));
		name = last_bytes;
	}
	key = rw_name_key(name, x->name_len);

	if (key <= l->last_key && l->n && rw_label_compare(x - 1, x) >= 0)
		l->ascending = false;
	l->last_key = key;
	l->empty |= !x->name_len | !x->value_len;
	l->longest_name = MAX(l->longest_name, x->name_len);
	l->longest_value = MAX(l->longest_value, x->value_len);
}

/* A ref of at most three bytes; the walk saw that it ends. */
static inline const uint8_t *ref_get(const uint8_t *at, uint32_t *ret)
{
	uint32_t v = *at++;

	if (v >= 0x80) {
		v = (v & 0x7f) | (uint32_t)*at << 7;
		if (*at++ >= 0x80) {
			v = (v & 0x3fff) | (uint32_t)*at << 14;
			if (*at++ >= 0x80)
				v = UINT32_MAX;
		}
	}
	*ret = v;
	return at;
}

bool rw_labels_usual_refs(struct rw_labels *l, const struct rw_limits *limits, const uint8_t *at,
			  const uint8_t *end, const struct rw_symbols *symbols)
{
	const uint8_t *readable = l->body_end - 8;
	const struct rw_span *items = symbols->items;
	size_t most = (size_t)(end - at), longest_name = 0, longest_value = 0;
	bool named = !limits->require_metric_name;
	struct rw_label *x;
	uint32_t *refs;
	uint64_t last_key = 0;

	if (most / 2 > limits->labels ||
	    !rw_array_grow(&l->refs, &l->refs_size, most, sizeof(*l->refs)) ||
	    !rw_array_grow(&l->items, &l->items_size, most, sizeof(*l->items)))
		return false;
	for (x = l->items, refs = l->refs; at < end; x++, refs += 2) {
		struct rw_span name, value;
		uint64_t key;

		at = ref_get(at, &refs[0]);
		if (at >= end)
			return false;
		at = ref_get(at, &refs[1]);
		if (refs[0] >= symbols->n || refs[1] >= symbols->n)
			return false;
		name = items[refs[0]];
		value = items[refs[1]];
		if (name.at > readable || !name.len || !value.len)
			return false;
		key = rw_name_key(name.at, (uint32_t)name.len);
		*x = (struct rw_label){ (const char *)name.at, (const char *)value.at,
					(uint32_t)name.len, (uint32_t)value.len };
		if (key <= last_key && (x == l->items || rw_label_compare(x - 1, x) >= 0))
			return false;
		named |= key == RW_NAME_KEY && name.len == 8;
		last_key = key;
		longest_name = MAX(longest_name, name.len);
		longest_value = MAX(longest_value, value.len);
	}
	l->n = (uint32_t)(x - l->items);
	return l->n && named && longest_name <= limits->name_bytes &&
	       longest_value <= limits->value_bytes &&
	       (longest_name + longest_value + LABEL_EXTRA) * l->n <= limits->series_bytes;
}

void rw_label_get(const uint8_t *at, size_t len, struct rw_label *ret)
{
	const uint8_t *end = at + len;
	/* What is missing is empty, but within the body: names are read eight bytes at a time. */
	struct rw_label l = { (const char *)at, (const char *)at, 0, 0 };
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f))) {
		if (f.type != RW_BYTES)
			continue;
		if (f.number == 1) {
			l.name = (const char *)f.at;
			l.name_len = (uint32_t)f.len;
		} else if (f.number == 2) {
			l.value = (const char *)f.at;
			l.value_len = (uint32_t)f.len;
		}
	}
	*ret = l;
}

/* Are these the bytes that rw_canon_label() would write? Lengths in more bytes than they need and further fields are longer. */
static bool is_canonical(const struct rw_label *x, const uint8_t *at, const uint8_t *end)
{
	size_t len = (size_t)(end - at), inner = 2 + varint_len(x->name_len) + x->name_len +
						 varint_len(x->value_len) + x->value_len;

	return len == 1 + varint_len(inner) + inner &&
	       (const uint8_t *)x->name == at + 2 + varint_len(inner) + varint_len(x->name_len) &&
	       (const uint8_t *)x->value + x->value_len == end;
}

bool rw_labels_add(struct rw_labels *l, const uint8_t *at, const struct rw_field *f,
		   const uint8_t *end)
{
	struct rw_label *x;

	if (l->n > l->max)
		return true;
	if (!rw_array_grow(&l->items, &l->items_size, l->n + 1, sizeof(*l->items)))
		return false;
	x = &l->items[l->n];
	rw_label_get(f->at, f->len, x);
	if (!l->span.len)
		l->span = (struct rw_span){ at, 0 };
	if (l->span.at + l->span.len != at || !is_canonical(x, at, end))
		l->in_place = false;
	l->span.len += (size_t)(end - at);
	l->ascii = l->ascii && rw_ascii(x->name, x->name_len) && rw_ascii(x->value, x->value_len);
	note_order(l, x);
	l->n++;
	return true;
}

bool rw_labels_add_refs(struct rw_labels *l, const struct rw_field *f)
{
	const uint8_t *at = f->at, *end = at + f->len;
	size_t most = 2 * ((size_t)l->max + 1);
	uint64_t ref = 0;

	/* A ref is a byte at least, so this is the most that can come. */
	if (!rw_array_grow(&l->refs, &l->refs_size, MIN(l->n_refs + f->len, most),
			   sizeof(*l->refs)))
		return false;
	while (at < end && l->n_refs < most) {
		if (*at < 0x80)
			ref = *at++;
		else
			at = varint_get(at, end, &ref);
		l->refs[l->n_refs++] = (uint32_t)MIN(ref, (uint64_t)UINT32_MAX);
	}
	return true;
}

static int over(struct rw_labels *l, enum rw_label_limit limit)
{
	l->over = limit;
	return RW_LABEL_LIMIT;
}

/* Labels out of refs. FINE or a reason. */
static int resolve(struct rw_labels *l, const struct rw_symbols *symbols)
{
	const struct rw_span *items = symbols->items;

	if (l->n_refs / 2 > l->max)
		return over(l, RW_LIMIT_LABELS);
	if (l->n_refs % 2)
		return RW_ODD_SYMBOL_REFS;
	if (!rw_array_grow(&l->items, &l->items_size, l->n_refs / 2, sizeof(*l->items)))
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n_refs; i += 2) {
		uint32_t name = l->refs[i], value = l->refs[i + 1];
		struct rw_label *x = &l->items[l->n];

		if (name >= symbols->n || value >= symbols->n)
			return RW_BAD_SYMBOL_REF;
		*x = (struct rw_label){ (const char *)items[name].at, (const char *)items[value].at,
					(uint32_t)items[name].len, (uint32_t)items[value].len };
		note_order(l, x);
		l->n++;
	}
	return FINE;
}

static int blame(struct rw_span *ret, enum rw_invalid reason, const char *text, size_t len)
{
	*ret = (struct rw_span){ (const uint8_t *)text, len };
	return (int)reason;
}

/* The label that is over a limit. */
static int check_limits(struct rw_labels *l, const struct rw_limits *limits,
			struct rw_span *culprit)
{
	if (l->n > limits->labels)
		return over(l, RW_LIMIT_LABELS);
	if (l->longest_name <= limits->name_bytes && l->longest_value <= limits->value_bytes)
		return FINE;
	for (uint32_t i = 0; i < l->n; i++) {
		bool name = l->items[i].name_len > limits->name_bytes;

		if (!name && l->items[i].value_len <= limits->value_bytes)
			continue;
		(void)over(l, name ? RW_LIMIT_NAME : RW_LIMIT_VALUE);
		return blame(culprit, RW_LABEL_LIMIT, l->items[i].name, l->items[i].name_len);
	}
	return FINE;
}

static int check_text(const struct rw_labels *l, struct rw_span *culprit)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const struct rw_label *x = &l->items[i];

		if (!rw_text_valid(x->name, x->name_len) || !rw_text_valid(x->value, x->value_len))
			return blame(culprit, RW_INVALID_UTF8, x->name, x->name_len);
	}
	return FINE;
}

static int drop_empty(struct rw_labels *l, bool refs, uint32_t *ret_empty)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < l->n; i++)
		if (!l->items[i].name_len)
			return RW_EMPTY_LABEL_NAME;
	for (uint32_t i = 0; i < l->n; i++) {
		if (!l->items[i].value_len)
			continue;
		if (refs)
			memmove(&l->refs[2 * kept], &l->refs[2 * i], 2 * sizeof(*l->refs));
		l->items[kept++] = l->items[i];
	}
	*ret_empty = l->n - kept;
	l->in_place &= l->n == kept;
	l->n = kept;
	return FINE;
}

static int by_name(const void *a, const void *b)
{
	return rw_label_compare(&((const struct rw_labels_item *)a)->label,
				&((const struct rw_labels_item *)b)->label);
}

static int sort(struct rw_labels *l, bool refs)
{
	if (!rw_array_grow(&l->sort, &l->sort_size, l->n, sizeof(*l->sort)) ||
	    !rw_array_grow(&l->sort_tmp, &l->sort_tmp_size, l->n, sizeof(*l->sort_tmp)))
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n; i++)
		l->sort[i] = (struct rw_labels_item){ l->items[i], refs ? l->refs[2 * i] : 0,
						      refs ? l->refs[2 * i + 1] : 0 };
	rw_sort(l->sort, l->sort_tmp, l->n, sizeof(*l->sort), by_name);
	for (uint32_t i = 0; i < l->n; i++) {
		l->items[i] = l->sort[i].label;
		if (refs) {
			l->refs[2 * i] = l->sort[i].name_ref;
			l->refs[2 * i + 1] = l->sort[i].value_ref;
		}
	}
	l->in_place = false;
	return FINE;
}

static int check_twice(const struct rw_labels *l, struct rw_span *culprit)
{
	for (uint32_t i = 1; i < l->n; i++)
		if (rw_label_compare(&l->items[i - 1], &l->items[i]) == 0)
			return blame(culprit, RW_DUPLICATE_LABEL, l->items[i].name,
				     l->items[i].name_len);
	return FINE;
}

static bool has_name(const struct rw_labels *l)
{
	static const char name[] = "__name__";

	/* Nearly always the first. */
	return rw_find_label(l->items, l->n, name, sizeof(name) - 1) != NULL;
}

/* The sum is made only where a bound does not decide. */
static bool too_long(const struct rw_labels *l, uint32_t max)
{
	size_t most = ((size_t)l->longest_name + l->longest_value + LABEL_EXTRA) * l->n;

	return most > max && rw_canon_len(l->items, l->n) > max;
}

int rw_labels_finish(struct rw_labels *l, const struct rw_limits *limits,
		     const struct rw_symbols *symbols, uint32_t *ret_empty,
		     struct rw_span *ret_culprit)
{
	int r = symbols ? resolve(l, symbols) : FINE;

	if (r == FINE)
		r = check_limits(l, limits, ret_culprit);
	if (r == FINE && !l->ascii)
		r = check_text(l, ret_culprit);
	if (r == FINE && l->empty)
		r = drop_empty(l, symbols, ret_empty);
	if (r == FINE && !l->ascending) {
		r = sort(l, symbols);
		if (r == FINE)
			r = check_twice(l, ret_culprit);
	}
	if (r != FINE)
		return r;
	if (!l->n)
		return RW_NO_LABELS;
	if (limits->require_metric_name && !has_name(l))
		return RW_MISSING_METRIC_NAME;
	return too_long(l, limits->series_bytes) ? over(l, RW_LIMIT_SERIES_BYTES) : FINE;
}
