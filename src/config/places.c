/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where values were written
 *
 * Checks across keys (a route that names no destination) come after the load and still tell line and column. Members do not move once the
 * file is read, so their address is the key.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "config/internal.h"

int config_add_place(struct config *c, const void *member, unsigned line, unsigned column)
{
	if (c->n_places == c->places_room) {
		size_t room = c->places_room ? 2 * c->places_room : 64;
		struct place *places = realloc(c->places, room * sizeof(*places));

		if (!places)
			return -ENOMEM;
		c->places = places;
		c->places_room = room;
	}
	c->places[c->n_places++] = (struct place){ member, { line, column } };
	return 0;
}

static int compare(const void *a, const void *b)
{
	const char *x = ((const struct place *)a)->member, *y = ((const struct place *)b)->member;

	return (x > y) - (x < y);
}

void config_sort_places(struct config *c)
{
	if (c->n_places)
		qsort(c->places, c->n_places, sizeof(*c->places), compare);
}

bool config_given(const struct config *c, const void *member, struct config_place *ret)
{
	const struct place key = { .member = member };
	const struct place *found =
		c->n_places ? bsearch(&key, c->places, c->n_places, sizeof(key), compare) : NULL;

	if (found && ret)
		*ret = found->at;
	return found;
}

void config_inherit(const struct config *c, const struct config_row *rows, void *to,
		    const void *from)
{
	for (const struct config_row *row = rows; row->key; row++) {
		char *member = (char *)to + row->offset;
		const char *inherited = (const char *)from + row->offset;

		if (row->type == CONFIG_MAP)
			config_inherit(c, row->rows, member, inherited);
		else if (row->size && !config_given(c, member, NULL))
			memcpy(member, inherited, row->size);
	}
}

void config_complain(const struct config *c, struct diags *diags, const void *member,
		     const char *key, const char *fmt, ...)
{
	struct config_place at = {};
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (member)
		(void)config_given(c, member, &at);
	diags_add(diags, config_file(c), at.line, at.column, "%s%s%s", key, *key ? ": " : "", text);
}

struct arena *config_arena(struct config *c)
{
	return c->arena;
}

const char *config_file(const struct config *c)
{
	return c->file ? c->file : "defaults";
}
