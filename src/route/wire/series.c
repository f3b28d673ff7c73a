/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of one series: order, family, canonical bytes. */

#include <string.h>
#include "base/macro.h"
#include "route/wire/field.h"
#include "route/wire/series.h"
#include "route/wire/text.h"
#include "route/wire/varint.h"

const char *const rw_version_names[_RW_VERSION_MAX] = { "rw1", "rw2" };

#define TAG_LABELS 0x0a /* TimeSeries.labels */
#define TAG_NAME 0x0a
#define TAG_VALUE 0x12

static inline size_t without(const char *name, size_t len, const char *suffix, size_t n)
{
	return len > n && memcmp(name + len - n, suffix, n) == 0 ? len - n : len;
}

/* By the last byte, so that there is one comparison at most, of a constant length. */
size_t rw_family_len(const char *name, size_t len)
{
	switch (len ? name[len - 1] : '\0') {
	case 'm':
		return without(name, len, "_sum", 4);
	case 'l':
		return without(name, len, "_total", 6);
	case 'd':
		return without(name, len, "_created", 8);
	case 't':
		return len > 2 && name[len - 2] == 'e' ? without(name, len, "_bucket", 7)
						       : without(name, len, "_count", 6);
	default:
		return len;
	}
}

int rw_label_compare(const struct rw_label *a, const struct rw_label *b)
{
	int r = memcmp(a->name, b->name, MIN(a->name_len, b->name_len));

	if (r)
		return r;
	return a->name_len < b->name_len ? -1 : a->name_len > b->name_len;
}

const struct rw_label *rw_find_label(const struct rw_label *labels, size_t n, const char *name,
				     size_t name_len)
{
	for (size_t i = 0; i < n; i++)
		if (labels[i].name_len == name_len && memcmp(labels[i].name, name, name_len) == 0)
			return &labels[i];
	return NULL;
}

static size_t label_len(const struct rw_label *l)
{
	return 2 + varint_len(l->name_len) + l->name_len + varint_len(l->value_len) + l->value_len;
}

size_t rw_canon_len(const struct rw_label *labels, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		size_t inner = label_len(&labels[i]);

		total += 1 + varint_len(inner) + inner;
	}
	return total;
}

uint8_t *rw_canon_label(uint8_t *at, const struct rw_label *l)
{
	*at++ = TAG_LABELS;
	at = varint_put(at, label_len(l));
	*at++ = TAG_NAME;
	at = varint_put(at, l->name_len);
	memcpy(at, l->name, l->name_len);
	at += l->name_len;
	*at++ = TAG_VALUE;
	at = varint_put(at, l->value_len);
	memcpy(at, l->value, l->value_len);
	return at + l->value_len;
}

size_t rw_canon(const struct rw_label *labels, size_t n, uint8_t *buf, size_t size)
{
	uint8_t *at = buf;

	if (rw_canon_len(labels, n) > size)
		return 0;
	for (size_t i = 0; i < n; i++)
		at = rw_canon_label(at, &labels[i]);
	return (size_t)(at - buf);
}

static struct rw_span symbol_text(const struct rw_symbols *symbols, uint64_t ref)
{
	return ref < symbols->n ? symbols->items[ref] : RW_EMPTY;
}

#define TYPE_HISTOGRAM 3
#define TYPE_GAUGE_HISTOGRAM 4
#define TYPE_SUMMARY 5

/*
 * Metadata of @s with texts in the symbols of its request. The family is the name, of histograms and summaries less the suffix. False where the
 * series has no metadata, only the unspecified type without texts, or no name.
 */
bool rw_series_metadata(const struct rw_series *s, struct rw_metadata *ret)
{
	const uint8_t *at = s->metadata.at, *end;
	const struct rw_label *name = rw_find_label(s->labels, s->n_labels, "__name__", 8);
	struct rw_metadata m = { 0, RW_EMPTY, RW_EMPTY, RW_EMPTY };
	struct rw_field f;

	if (!at || !s->symbols || !name)
		return false;
	end = at + s->metadata.len;
	while (at < end && (at = rw_field_get(at, end, &f))) {
		if (f.type != RW_VARINT)
			continue;
		if (f.number == 1)
			m.type = (uint32_t)f.value;
		else if (f.number == 3)
			m.help = symbol_text(s->symbols, f.value);
		else if (f.number == 4)
			m.unit = symbol_text(s->symbols, f.value);
	}
	if (!m.type && !m.help.len && !m.unit.len)
		return false;
	m.family = (struct rw_span){ (const uint8_t *)name->value, name->value_len };
	if (m.type == TYPE_HISTOGRAM || m.type == TYPE_GAUGE_HISTOGRAM || m.type == TYPE_SUMMARY)
		m.family.len = rw_family_len(name->value, name->value_len);
	*ret = m;
	return true;
}

bool rw_metadata_get(const struct rw_field *message, struct rw_metadata *m)
{
	const uint8_t *at = message->at, *end = at + message->len;
	struct rw_field f;

	while (at < end && (at = rw_field_get(at, end, &f))) {
		struct rw_span text = { f.at, f.len };

		switch (f.number) {
		case 1:
			m->type = (uint32_t)f.value;
			break;
		case 2:
			m->family = text;
			break;
		case 4:
			m->help = text;
			break;
		case 5:
			m->unit = text;
			break;
		default:
			break;
		}
	}
	return m->family.len && rw_text_valid(m->family.at, m->family.len) &&
	       rw_text_valid(m->help.at, m->help.len) && rw_text_valid(m->unit.at, m->unit.len);
}
