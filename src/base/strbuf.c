/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing or fixed text
 *
 * Growth doubles. The first error sticks, so that callers append freely and look once at the end. One byte is always
 * kept for the NUL.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/strbuf.h"

void strbuf_init_fixed(struct strbuf *b, char *data, size_t size)
{
	*b = (struct strbuf){ .data = data, .size = size, .fixed = true };
	if (size)
		data[0] = '\0';
}

void strbuf_done(struct strbuf *b)
{
	if (!b->fixed)
		free(b->data);
	*b = STRBUF_INIT;
}

void strbuf_clear(struct strbuf *b)
{
	b->len = 0;
	b->error = 0;
	if (b->data && b->size)
		b->data[0] = '\0';
}

/* Makes room for @len bytes and the NUL, or sets the error. */
static bool reserve(struct strbuf *b, size_t len)
{
	size_t need, size;
	char *data;

	if (b->error)
		return false;
	if (len >= SIZE_MAX / 2 - b->len || (b->max && b->len + len > b->max)) {
		b->error = -ENOSPC;
		return false;
	}
	need = b->len + len + 1;
	if (need <= b->size)
		return true;
	if (b->fixed) {
		b->error = -ENOSPC;
		return false;
	}
	size = MAX(b->size * 2, (size_t)64);
	while (size < need)
		size *= 2;
	data = realloc(b->data, size);
	if (!data) {
		b->error = -ENOMEM;
		return false;
	}
	b->data = data;
	b->size = size;
	return true;
}

void strbuf_add(struct strbuf *b, const void *data, size_t len)
{
	if (!reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void strbuf_addstr(struct strbuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

void strbuf_addch(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void strbuf_addu64(struct strbuf *b, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	strbuf_add(b, digits + i, sizeof(digits) - i);
}

void strbuf_addi64(struct strbuf *b, int64_t v)
{
	if (v < 0)
		strbuf_addch(b, '-');
	strbuf_addu64(b, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void strbuf_addf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !reserve(b, (size_t)n))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void strbuf_truncate(struct strbuf *b, size_t len)
{
	if (len > b->len)
		return;
	b->len = len;
	if (b->data && b->size)
		b->data[len] = '\0';
	if (b->error == -ENOSPC)
		b->error = 0;
}

const char *strbuf_str(struct strbuf *b)
{
	return b->data ? b->data : "";
}

char *strbuf_steal(struct strbuf *b, size_t *ret_len)
{
	char *data;

	if (!b->error && !b->data)
		strbuf_add(b, "", 0);
	if (b->error || b->fixed) {
		strbuf_done(b);
		return NULL;
	}
	data = b->data;
	if (ret_len)
		*ret_len = b->len;
	*b = STRBUF_INIT;
	return data;
}
