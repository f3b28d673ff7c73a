/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

/*
 * Growing text with an optional hard limit. The first error sticks (`error`, a negative errno): callers append
 * freely and check once. The text is always NUL-terminated once something was appended or strbuf_str() was called.
 */
struct strbuf {
	char *data;
	size_t len, size;
	size_t max; /* 0: no limit; else -ENOSPC beyond */
	bool fixed; /* data belongs to the caller and never grows: -ENOSPC when full */
	int error;
};

#define STRBUF_INIT ((struct strbuf){})
void strbuf_init_fixed(struct strbuf *b, char *data, size_t size); /* no allocation ever */
void strbuf_done(struct strbuf *b); /* frees, and leaves STRBUF_INIT */
void strbuf_clear(struct strbuf *b); /* keeps the memory and the limit, clears the error */
void strbuf_add(struct strbuf *b, const void *data, size_t len);
void strbuf_addstr(struct strbuf *b, const char *s);
void strbuf_addch(struct strbuf *b, char c);
void strbuf_addu64(struct strbuf *b, uint64_t v); /* decimal, without stdio */
void strbuf_addi64(struct strbuf *b, int64_t v);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strbuf_truncate(struct strbuf *b,
		     size_t len); /* back to a mark taken from b->len; clears -ENOSPC */
const char *strbuf_str(struct strbuf *b); /* never NULL */
char *strbuf_steal(struct strbuf *b,
		   size_t *ret_len); /* heap text, owned by the caller; NULL on error */
#define _cleanup_strbuf_ _cleanup_(strbuf_done)
