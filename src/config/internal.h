/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/arena.h"
#include "config/config.h"

/* Where a member was written. */
struct place {
	const void *member;
	struct config_place at;
};

/* Shared by the files of this room only. */
struct config {
	struct arena *arena;
	const struct config_section *sections;
	void **values; /* one struct per section */
	const char *file;
	struct place *places; /* of written members, sorted by address once the file is read */
	size_t n_places, places_room;
};

/* @text in the row's own notation into @value. 0, or -EINVAL with @why. Strings are copied to @arena. */
int config_value_parse(const struct config_row *row, const char *text, struct arena *arena,
		       void *value, char *why, size_t why_size);
/* As a person would write it. */
void config_value_format(const struct config_row *row, const void *value, struct strbuf *out);
const char *config_type_name(const struct config_row *row); /* "" for an enum: its names say it */
/* places.c */
int config_add_place(struct config *c, const void *member, unsigned line, unsigned column);
void config_sort_places(struct config *c);
