/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction of arguments
 *
 * Every match of every pattern in an argument is hidden but for the pattern's group; what two patterns disagree on is hidden.
 * An option in which nothing was found is also matched together with its successor, because a secret often follows its
 * option ("--password", "x"); then the successor is hidden whole.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include <errno.h>
#include <pcre2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "event/redact.h"

#define MARK "<redacted>"
#define MATCH_LIMIT 20000
#define PATTERNS_MAX 64
#define PAIR_BYTES 2048

struct redact {
	pcre2_code *codes[PATTERNS_MAX];
	size_t n;
	pcre2_match_data *match;
	pcre2_match_context *context;
};

int redact_new(const char *const *patterns, size_t n, char *why, size_t why_size,
	       struct redact **ret)
{
	_cleanup_(redact_freep) struct redact *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->match = pcre2_match_data_create(2, NULL);
	r->context = pcre2_match_context_create(NULL);
	if (!r->match || !r->context)
		return -ENOMEM;
	(void)pcre2_set_match_limit(r->context, MATCH_LIMIT);
	for (size_t i = 0; i < n; i++) {
		PCRE2_UCHAR message[128];
		PCRE2_SIZE offset;
		int error;

		if (r->n == PATTERNS_MAX) {
			(void)snprintf(why, why_size, "more than %d patterns", PATTERNS_MAX);
			return -E2BIG;
		}
		r->codes[r->n] = pcre2_compile((PCRE2_SPTR)patterns[i], PCRE2_ZERO_TERMINATED,
					       PCRE2_NEVER_BACKSLASH_C | PCRE2_DOTALL, &error,
					       &offset, NULL);
		if (!r->codes[r->n]) {
			(void)pcre2_get_error_message(error, message, sizeof(message));
			(void)snprintf(why, why_size, "'%s' at character %zu: %s", patterns[i],
				       offset + 1, (char *)message);
			return -EINVAL;
		}
		/* Memory of matching is made at the first match and kept: now, and not while an OOM kill is reported. */
		(void)pcre2_match(r->codes[r->n], (PCRE2_SPTR) "--x=", 4, 0, 0, r->match,
				  r->context);
		r->n++;
	}
	*ret = TAKE_PTR(r);
	return 0;
}

struct redact *redact_free(struct redact *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < r->n; i++)
		pcre2_code_free(r->codes[i]);
	pcre2_match_data_free(r->match);
	pcre2_match_context_free(r->context);
	free(r);
	return NULL;
}

/* What is hidden of an argument: one flag a byte. Beyond BYTES_MAX a hit hides all. */
#define BYTES_MAX 8192

static void hide(bool *hidden, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		hidden[i] = true;
}

/* Every match of one pattern but for its group. */
static void hide_matches(const struct redact *r, pcre2_code *code, const char *text, size_t len,
			 bool *hidden)
{
	const PCRE2_SIZE *v = pcre2_get_ovector_pointer(r->match);
	size_t at = 0;

	while (at < len) {
		int rc = pcre2_match(code, (PCRE2_SPTR)text, len, at, PCRE2_NOTEMPTY, r->match,
				     r->context);
		bool group = rc >= 2 && v[2] != PCRE2_UNSET;

		if (rc == PCRE2_ERROR_NOMATCH)
			return;
		if (rc < 0) { /* a limit was hit: better too much hidden than too little */
			hide(hidden, 0, len);
			return;
		}
		hide(hidden, v[0], group ? v[2] : v[1]);
		if (group)
			hide(hidden, v[3], v[1]);
		at = MAX(v[1], at + 1); /* \K may end a match before its start */
	}
}

/* Does any pattern match from within the first @before bytes on to the end? */
static bool spans(const struct redact *r, const char *text, size_t before, size_t len)
{
	const PCRE2_SIZE *v = pcre2_get_ovector_pointer(r->match);

	for (size_t i = 0; i < r->n; i++) {
		int rc = pcre2_match(r->codes[i], (PCRE2_SPTR)text, len, 0, PCRE2_NOTEMPTY,
				     r->match, r->context);

		if (rc == PCRE2_ERROR_NOMATCH)
			continue;
		if (rc < 0 || (v[0] < before && v[1] > before))
			return true;
	}
	return false;
}

struct output {
	char *p;
	size_t len, size;
};

static void put(struct output *o, const char *s, size_t len)
{
	len = MIN(len, o->size - o->len);
	memcpy(o->p + o->len, s, len);
	o->len += len;
}

/* Writes one argument; false when nothing of it had to be hidden. */
static bool put_one(const struct redact *r, struct output *o, const char *arg, size_t len)
{
	bool hidden[BYTES_MAX] = {};
	size_t seen = MIN(len, sizeof(hidden)), n;
	bool hit = false;

	for (size_t i = 0; i < r->n; i++)
		hide_matches(r, r->codes[i], arg, seen, hidden);
	for (size_t i = 0; i < seen; i += n) {
		for (n = 1; i + n < seen && hidden[i + n] == hidden[i];)
			n++;
		hit |= hidden[i];
		if (hidden[i])
			put(o, MARK, strlen(MARK));
		else
			put(o, arg + i, n);
	}
	if (seen < len) /* too long to be looked at */
		put(o, MARK, strlen(MARK));
	put(o, "", 1);
	return hit || seen < len;
}

/* Is @next the secret that option @arg announces? What is too long for the pair is judged by its beginning. */
static bool is_pair(const struct redact *r, const char *arg, size_t len, const char *next,
		    size_t next_len)
{
	char pair[PAIR_BYTES];

	if (len == 0 || arg[0] != '-' || len + 2 > sizeof(pair) || next_len == 0)
		return false;
	next_len = MIN(next_len, sizeof(pair) - len - 1);
	memcpy(pair, arg, len);
	pair[len] = ' ';
	memcpy(pair + len + 1, next, next_len);
	return spans(r, pair, len + 1, len + 1 + next_len);
}

size_t redact_args(const struct redact *r, const char *args, size_t len, char *out, size_t size)
{
	struct output o = { out, 0, size };

	while (len > 0) {
		size_t n = strnlen(args, len);
		size_t step = n < len ? n + 1 : n;
		size_t next_n = strnlen(args + step, len - step);

		/* An argument that carries its secret itself announces none. */
		if (!put_one(r, &o, args, n) && len > step &&
		    is_pair(r, args, n, args + step, next_n)) {
			put(&o, MARK, strlen(MARK));
			put(&o, "", 1);
			step += next_n < len - step ? next_n + 1 : next_n;
		}
		args += step;
		len -= step;
	}
	return o.len;
}
