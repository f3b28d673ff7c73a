/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/diag.h"
#include "base/strbuf.h"

/*
 * YAML under row tables
 *
 * A row is one key: type, place in the section's struct, default, bounds, flags, help. Parser, defaults, `--help`,
 * docs and the reload check read the same rows. Text and lists live in the arena of the struct config that holds them;
 * a reload builds a new struct config and leaves the old one alone on any error.
 */
enum config_type {
	CONFIG_BOOL, /* bool */
	CONFIG_UINT, /* uint32_t; decimal digits */
	CONFIG_U64, /* uint64_t; decimal digits */
	CONFIG_PERCENT, /* uint32_t; "2%", or "off" = 0 */
	CONFIG_SIZE, /* uint64_t bytes; "1MiB" */
	CONFIG_DURATION, /* uint64_t microseconds; "500ms" */
	CONFIG_STRING, /* const char *, never NULL */
	CONFIG_PATH, /* const char *, absolute */
	CONFIG_ENUM, /* int: index into .names */
	CONFIG_STRINGS, /* struct config_strings; .max_items */
	CONFIG_MAP, /* nested struct described by .rows, placed at .offset */
	CONFIG_PAIRS, /* struct config_pairs: the only row of a map whose keys are free; its key is "*" */
	CONFIG_LIST, /* struct config_list of structs described by .rows; .item_size, .max_items */
	CONFIG_ANY, /* bool: is the key there; its value is not looked at */
	CONFIG_GONE, /* a key that is refused, with .help as the reason; in no document */
	_CONFIG_TYPE_MAX,
};

struct config_strings {
	const char *const *items;
	size_t n;
};
struct config_pair {
	const char *key, *value;
	unsigned line, column; /* of the value */
};
struct config_pairs {
	struct config_pair *items;
	size_t n;
};
struct config_list {
	const void *items; /* n structs of item_size bytes */
	size_t n;
};

enum config_flags {
	CONFIG_RELOAD =
		1 << 0, /* takes effect on reload; others need a restart and a reload says so */
	CONFIG_SECRET = 1 << 1, /* never printed */
	CONFIG_REQUIRED = 1 << 2, /* of a list item: the key must be there */
	CONFIG_ONE_OR_MANY = 1 << 3, /* strings: one value may stand without a list */
	CONFIG_URL = 1 << 4, /* strings: what stands behind a question mark is never printed */
};

struct config_row {
	const char *key;
	enum config_type type;
	size_t offset, size; /* of the member, checked by a unit test over all tables */
	const char *def; /* as written in YAML; strings lists: flow form "[a, b]" */
	const char *min, *max; /* inclusive, in the row's own notation; NULL: none */
	const char *const *names; /* enum: NULL-terminated */
	const struct config_row *rows; /* map, list: ends with {} */
	size_t item_size, max_items; /* list, strings */
	unsigned flags;
	/* More than bounds: 0 or -EINVAL with a reason in @why. NULL: nothing more to check. */
	int (*check)(const void *value, char *why, size_t why_size);
	const char *help; /* one sentence */
};
#define CONFIG_MEMBER(structure, member) \
	.offset = offsetof(structure, member), .size = sizeof(((structure *)0)->member)
#define CONFIG_ROW(key_, structure, member, type_, ...)                                   \
	{                                                                                 \
		.key = key_, .type = type_, CONFIG_MEMBER(structure, member), __VA_ARGS__ \
	}

struct config_section {
	const char *name; /* "": the rows are keys of the file itself */
	const struct config_row *rows;
	size_t size; /* of the section's struct */
};

struct config;
/*
 * @path NULL: defaults only. @sections ends with {}. Errors are collected in @diags (all of them, not just the first) and
 * -EINVAL is returned; a file that cannot be read is one diag and its -errno. Limits: 1 MiB of text, depth 16,
 * aliases and multiple documents refused, duplicate keys refused.
 */
int config_load(const char *path, const struct config_section *sections, struct diags *diags,
		struct config **ret);
/* The same from text in memory; @name stands in diagnostics. For tests and fuzzers. */
int config_parse(const char *text, size_t len, const char *name,
		 const struct config_section *sections, struct diags *diags, struct config **ret);
struct config *config_free(struct config *c);
DEFINE_CLEANUP(struct config *, config_free);
const void *config_section(const struct config *c,
			   const char *name); /* never NULL for a known name */

/* Where the value of a key stands in the file. */
struct config_place {
	unsigned line, column;
};
/* Was the key of @member written in the file, or is its value the default? @ret may be NULL. */
bool config_given(const struct config *c, const void *member, struct config_place *ret);
/* Copies what @from says of @rows to @to where @to's own key was not written: `defaults:` of things in a list. */
void config_inherit(const struct config *c, const struct config_row *rows, void *to,
		    const void *from);
/* Defaults of @rows into a zeroed struct, for items that no list of the file has. 0 or -ENOMEM. */
struct arena;
int config_set_defaults(const struct config_row *rows, struct arena *arena, void *object);
/*
 * For checks across keys, after the load: an error or warning at the value of @member (NULL, or not written: without a place).
 * @key: dotted, as in the errors of the reader.
 */
void config_complain(const struct config *c, struct diags *diags, const void *member,
		     const char *key, const char *fmt, ...) PRINTF_LIKE(5, 6);
struct arena *config_arena(struct config *c); /* for what is derived and lives as long */
const char *config_file(const struct config *c); /* as given to the load; "defaults" without one */

/* One call per key that differs: dotted key, old and new as text (secrets as "<secret>"), and whether it takes effect. */
typedef void (*config_diff_fn)(void *ctx, const char *key, const char *before, const char *after,
			       bool reloadable);
void config_diff(const struct config *before, const struct config *after, config_diff_fn fn,
		 void *ctx);

/* One object of @rows in the same form: equal texts, equal values (but for secrets, which are not told). */
void config_write_object(const struct config_row *rows, const void *object, struct strbuf *out);
void config_write_yaml(const struct config *c,
		       struct strbuf *out); /* effective values, secrets hidden */
void config_write_markdown(const struct config_section *sections,
			   struct strbuf *out); /* docs tables */
void config_write_example(const struct config_section *sections,
			  struct strbuf *out); /* a file with every key behind a `#` */
void config_write_rst(const struct config_section *sections,
		      struct strbuf *out); /* entries of the manual page */
