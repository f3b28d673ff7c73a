/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/arena.h"
#include "route/relabel/unicode.h"

/*
 * What the parser of Go's regexp/syntax makes: a small tree in an arena, out of which PCRE2 text is emitted and fast paths are seen
 */
enum regex_op {
	REGEX_EMPTY,
	REGEX_LITERAL, /* one code point; fold: any case */
	REGEX_CLASS,
	REGEX_ANY, /* with newline */
	REGEX_ANY_NOT_NL,
	REGEX_BEGIN_LINE,
	REGEX_END_LINE,
	REGEX_BEGIN_TEXT,
	REGEX_END_TEXT,
	REGEX_WORD,
	REGEX_NO_WORD,
	REGEX_CAPTURE,
	REGEX_REPEAT,
	REGEX_CONCAT,
	REGEX_ALTERNATE,
};

struct regex_range {
	uint32_t lo, hi;
};

/* \p{Name}: left to PCRE2, but what it means without regard to case is added as ranges by the emitter. */
struct regex_property {
	const char *name; /* as PCRE2 spells it: "Lu", "sc:Greek" */
	bool negated;
	bool fold;
	struct regex_property *next;
};

struct regex_class {
	struct regex_range *ranges;
	size_t n, size;
	struct regex_property *properties;
	bool negated;
};

struct regex_node {
	enum regex_op op;
	bool fold; /* of a literal */
	bool lazy; /* of a repeat */
	uint32_t c; /* literal */
	int min, max; /* repeat; max -1: no end */
	unsigned capture; /* from 1 */
	struct regex_class *class;
	struct regex_node *child; /* first of them, in order */
	struct regex_node *next; /* sibling */
};

struct regex_tree {
	struct arena *arena;
	struct regex_node *root;
	unsigned n_captures;
	const char **names; /* by number; NULL without a name */
};

#define REGEX_SOURCE_MAX 32768
#define REGEX_DEPTH_MAX 250
#define REGEX_REPEAT_MAX 1000

/*
 * @text of @len bytes, UTF-8, with the flag s set as Prometheus does it. 0; -EINVAL with @why, a sentence with the offset; -ENOMEM.
 */
int regex_parse(const char *text, size_t len, struct arena *arena, char *why, size_t why_size,
		struct regex_tree *ret);

/* The part of the parser that reads what stands in brackets. Sorted and merged ranges; not negated where there are properties. */
struct regex_reader {
	const char *at, *end;
	const char *start;
	struct arena *arena;
	bool fold;
	const char *error; /* what is wrong, first */
	const char *error_at;
	bool no_memory;
};
void regex_fail(struct regex_reader *r, const char *at, const char *what);
bool regex_read_escape(struct regex_reader *r, uint32_t *ret);
bool regex_read_class(struct regex_reader *r, struct regex_class **ret); /* at '[' */
/* At '\': \d \w \s \p and their negations. 1: read; 0: it is none of them; -1: wrong. */
int regex_read_group(struct regex_reader *r, struct regex_class *c);
struct regex_class *regex_class_new(struct regex_reader *r);
bool regex_class_done(struct regex_reader *r, struct regex_class *c);
