/* SPDX-License-Identifier: Apache-2.0 */
/* Whole bodies that were sealed before: converted or cut. Every limit was held when they came in; none is asked again. */

#include <errno.h>
#include "route/wire/block-write.h"
#include "route/wire/families.h"
#include "route/wire/scan.h"

/* Metadata of a body by family. */
struct families {
	struct rw_intern names;
	struct rw_metadata *items; /* [number of the name] */
	size_t items_size;
};

static void families_done(struct families *f)
{
	rw_intern_done(&f->names);
	free(f->items);
}

static int families_read(struct families *f, struct rw_scan *scan)
{
	struct rw_metadata m;

	while (rw_scan_metadata(scan, &m) == 1) {
		uint32_t n = rw_intern(&f->names, m.family.at, m.family.len);

		if (n == UINT32_MAX ||
		    !rw_array_grow(&f->items, &f->items_size, (size_t)n + 1, sizeof(*f->items)))
			return -ENOMEM;
		f->items[n] = m;
	}
	return 0;
}

/* By name, then less its suffix. */
static const struct rw_metadata *families_find(const struct families *f, const struct rw_series *s)
{
	const struct rw_label *name = rw_find_label(s->labels, s->n_labels, "__name__", 8);
	uint32_t n;

	if (!name)
		return NULL;
	n = rw_intern_find(&f->names, name->value, name->value_len);
	if (n == UINT32_MAX)
		n = rw_intern_find(&f->names, name->value,
				   rw_family_len(name->value, name->value_len));
	return n == UINT32_MAX || !n ? NULL : &f->items[n];
}

static int tell_family(struct families *f, struct rw_block *b, const struct rw_series *s)
{
	const struct rw_tell *t = &b->options.tell;
	uint32_t before = f->names.n, n;
	struct rw_metadata m;

	if (!rw_series_metadata(s, &m))
		return 0;
	n = rw_intern(&f->names, m.family.at, m.family.len);
	if (n == UINT32_MAX)
		return -ENOMEM;
	if (n < before || (t->table && !rw_told_due(t->table, rw_told_hash(t->tenant, m.family),
						    t->now_us, t->tag)))
		return 0;
	return rw_block_add_metadata(b, m.type, m.family, m.help, m.unit);
}

/* The block as a body of its own, owned by the caller. */
static int give(const struct rw_block *b, uint8_t **ret, size_t *ret_len)
{
	_cleanup_(rw_buf_done) struct rw_buf scratch = {};
	struct rw_span body;
	uint8_t *copy;

	if (!rw_block_body(b, &scratch, &body))
		return -ENOMEM;
	copy = malloc(body.len ? body.len : 1);
	if (!copy)
		return -ENOMEM;
	if (body.len)
		memcpy(copy, body.at, body.len);
	*ret = copy;
	*ret_len = body.len;
	return 0;
}

static int convert_series(struct families *f, struct rw_block *b, struct rw_scan *scan)
{
	struct rw_series s;
	int r;

	while ((r = rw_scan_next(scan, &s)) == 1) {
		const struct rw_metadata *m = NULL;

		if (b->version == RW2 && s.version == RW1)
			m = families_find(f, &s);
		if (m)
			rw_block_next_metadata(b, m);
		r = rw_block_add(b, &s, NULL, 0);
		if (r == 0 && b->version == RW1 && s.version == RW2)
			r = tell_family(f, b, &s);
		if (r < 0)
			return r;
	}
	return r;
}

static int same_metadata(struct rw_block *b, struct rw_scan *scan)
{
	struct rw_metadata m;
	int r = 0;

	while (r == 0 && b->version == RW1 && rw_scan_metadata(scan, &m) == 1)
		r = rw_block_add_metadata(b, m.type, m.family, m.help, m.unit);
	return r;
}

/**
 * rw_body_convert() - a decoded body in another version
 * @ret:    the body, owned by the caller: free()
 * @losses: what the other version cannot hold is added to these
 *
 * Metadata goes along: of RW1 by family to each series, of RW2 once per family.
 *
 * Return: 0; -EBADMSG; -ENOMEM.
 */
int rw_body_convert(const void *body, size_t len, enum rw_version from, enum rw_version to,
		    const struct rw_convert_options *o, uint8_t **ret, size_t *ret_len,
		    uint64_t losses[_RW_LOSS_MAX])
{
	_cleanup_(rw_scan_freep) struct rw_scan *scan = NULL;
	_cleanup_(rw_block_freep) struct rw_block *b = NULL;
	_cleanup_(families_done) struct families families = {};
	const struct rw_limits none = {};
	int r = rw_scan_new(&scan);

	if (r == 0)
		r = rw_block_new(to, o, &b);
	if (r == 0)
		r = rw_intern_init(&families.names);
	if (r == 0)
		r = rw_scan_begin(scan, from, &none, body, len);
	if (r == 0 && from == RW1 && to == RW2)
		r = families_read(&families, scan);
	if (r == 0)
		r = convert_series(&families, b, scan);
	if (r == 0 && from == to)
		r = same_metadata(b, scan);
	if (r == 0)
		r = give(b, ret, ret_len);
	for (size_t i = 0; r == 0 && i < _RW_LOSS_MAX; i++)
		losses[i] += b->losses[i];
	return r;
}

/**
 * rw_body_slice() - some series of a decoded body as a body of its own
 * @first, @n:  which; beyond the end there are none
 * @ret:        the body, owned by the caller: free()
 * @ret_series: how many the whole has
 *
 * RW1 metadata goes with the slice that begins at 0. RW2 symbols are those that the slice needs.
 *
 * Return: 0; -EBADMSG; -ENOMEM.
 */
int rw_body_slice(const void *body, size_t len, enum rw_version version, uint32_t first, uint32_t n,
		  uint8_t **ret, size_t *ret_len, uint32_t *ret_series)
{
	const struct rw_convert_options as_is = { .start = RW_START_AS_IS };
	_cleanup_(rw_scan_freep) struct rw_scan *scan = NULL;
	_cleanup_(rw_block_freep) struct rw_block *b = NULL;
	const struct rw_limits none = {};
	struct rw_series s;
	uint32_t i = 0;
	int r = rw_scan_new(&scan);

	if (r == 0)
		r = rw_block_new(version, &as_is, &b);
	if (r == 0)
		r = rw_scan_begin(scan, version, &none, body, len);
	if (r < 0)
		return r;
	for (; (r = rw_scan_next(scan, &s)) == 1; i++) {
		if (i >= first && i - first < n)
			r = rw_block_add(b, &s, NULL, 0);
		if (r < 0)
			return r;
	}
	if (r == 0 && first == 0)
		r = same_metadata(b, scan);
	if (r == 0)
		r = give(b, ret, ret_len);
	if (r == 0)
		*ret_series = i;
	return r;
}
