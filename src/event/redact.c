/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction of arguments
 *
 * Each argument is matched alone, and joined with its successor where it begins with '-', because a secret often follows its
 * option ("--password", "x"). What the pattern's group matched is kept, the rest becomes the mark.
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

struct verdict {
	bool hit;
	size_t keep_from, keep_to; /* the group, empty when there is none */
	size_t to; /* end of the match */
};

static struct verdict match(const struct redact *r, const char *text, size_t len)
{
	for (size_t i = 0; i < r->n; i++) {
		int rc =
			pcre2_match(r->codes[i], (PCRE2_SPTR)text, len, 0, 0, r->match, r->context);
		const PCRE2_SIZE *v = pcre2_get_ovector_pointer(r->match);

		if (rc == PCRE2_ERROR_NOMATCH)
			continue;
		if (rc < 0) /* a limit was hit: better too much hidden than too little */
			return (struct verdict){ .hit = true, .to = len };
		if (rc >= 2 && v[2] != PCRE2_UNSET)
			return (struct verdict){ true, v[2], v[3], v[1] };
		return (struct verdict){ .hit = true, .to = v[1] };
	}
	return (struct verdict){};
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

/* Option and value in two arguments: 2 when the pair is a secret and was written, else 0. */
static bool put_pair(const struct redact *r, struct output *o, const char *arg, size_t len,
		     const char *next, size_t next_len)
{
	char pair[PAIR_BYTES];

	if (len == 0 || arg[0] != '-' || len + 1 + next_len > sizeof(pair))
		return false;
	memcpy(pair, arg, len);
	pair[len] = ' ';
	memcpy(pair + len + 1, next, next_len);
	if (!match(r, pair, len + 1 + next_len).hit)
		return false;
	put(o, arg, len);
	put(o, "", 1);
	put(o, MARK, strlen(MARK));
	put(o, "", 1);
	return true;
}

static void put_one(const struct redact *r, struct output *o, const char *arg, size_t len)
{
	struct verdict v = match(r, arg, len);

	if (v.hit) {
		put(o, arg + v.keep_from, v.keep_to - v.keep_from);
		put(o, MARK, strlen(MARK));
		put(o, arg + v.to, len - v.to);
	} else {
		put(o, arg, len);
	}
	put(o, "", 1);
}

size_t redact_args(const struct redact *r, const char *args, size_t len, char *out, size_t size)
{
	struct output o = { out, 0, size };

	while (len > 0) {
		size_t n = strnlen(args, len);
		size_t step = n < len ? n + 1 : n;
		size_t next_n = strnlen(args + step, len - step);

		if (len > step && put_pair(r, &o, args, n, args + step, next_n))
			step += next_n < len - step ? next_n + 1 : next_n;
		else
			put_one(r, &o, args, n);
		args += step;
		len -= step;
	}
	return o.len;
}
