/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "route/relabel/regex-tree.h"

/*
 * Regular expressions in Go's syntax, matched whole: `^(?s:RE)$`
 *
 * What most rules are (a word, a list of words, "prefix.*") is matched without PCRE2. A compiled expression is shared read-only; match data
 * is in a regex_scratch per thread.
 */
enum regex_flags {
	REGEX_CAPTURES = 1, /* groups are wanted */
	REGEX_SEARCH = 2, /* anywhere in the text, not whole */
};

struct regex;
int regex_compile(const char *text, size_t len, unsigned flags, char *why, size_t why_size,
		  struct regex **ret);
struct regex *regex_free(struct regex *r);
DEFINE_CLEANUP(struct regex *, regex_free);
/* How it is matched, for people: "literal", "literal set", "prefix", "PCRE2 JIT", … */
const char *regex_path(const struct regex *r);
unsigned regex_n_captures(const struct regex *r);
/* Number of the group of that name, 0 for none. */
unsigned regex_find_name(const struct regex *r, const char *name, size_t len);
/* Is the group inside a repeat whose body can match nothing? Go and PCRE2 differ in what it holds then. */
bool regex_capture_unsure(const struct regex *r, unsigned capture);

struct regex_scratch;
int regex_scratch_new(struct regex_scratch **ret);
struct regex_scratch *regex_scratch_free(struct regex_scratch *s);
DEFINE_CLEANUP(struct regex_scratch *, regex_scratch_free);

enum regex_result {
	REGEX_NO,
	REGEX_YES,
	REGEX_LIMIT, /* no answer within the limits */
};
enum regex_result regex_match(const struct regex *r, struct regex_scratch *s, const char *text,
			      size_t len);
/* From @from on, REGEX_SEARCH only. */
enum regex_result regex_search(const struct regex *r, struct regex_scratch *s, const char *text,
			       size_t len, size_t from);
/* Bounds of a group of the last match with REGEX_CAPTURES, 0 = all; false: it took no part. */
bool regex_capture(const struct regex *r, const struct regex_scratch *s, unsigned capture,
		   size_t *ret_from, size_t *ret_to);

int regex_emit(const struct regex_tree *t, bool captures, struct strbuf *ret);

/* --- fast paths (regex-fast.c) --- */

enum regex_kind {
	REGEX_KIND_PCRE2,
	REGEX_KIND_LITERAL,
	REGEX_KIND_SET,
	REGEX_KIND_WILD, /* prefix, then .* or .+, then suffix */
	REGEX_KIND_FOLDED, /* ASCII literal in any case */
};

struct regex_fast {
	enum regex_kind kind;
	const char *path;
	char *text; /* all literals one behind the other */
	uint32_t prefix, suffix; /* bytes of the (folded) literal; of both around the wild part */
	uint32_t wild_min; /* 0 for .*, 1 for .+ */
	/* Set: open addresses by hash. */
	struct regex_word {
		uint32_t hash, at, len; /* at 1 + offset in text, 0 = free */
	} * words;
	uint32_t mask;
	/* Of each group: bounds as offsets into text; those behind the wild part count from the end. */
	struct regex_bound {
		uint32_t at;
		bool behind;
	} (*bounds)[2];
	unsigned n_captures;
};
/* kind REGEX_KIND_PCRE2 when there is none; -ENOMEM. */
int regex_fast_find(const struct regex_tree *t, bool captures, struct regex_fast *ret);
void regex_fast_done(struct regex_fast *f);
bool regex_fast_match(const struct regex_fast *f, const char *text, size_t len);
