/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of files that people write, collected so that all are told at once. */

#include <stdarg.h>
#include <stdio.h>
#include "base/diag.h"

void diags_add(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
	       ...)
{
	struct diag *item;
	va_list ap;

	d->total++;
	if (d->n == ARRAY_SIZE(d->items))
		return;
	item = &d->items[d->n++];
	*item = (struct diag){ .line = line, .column = column };
	(void)snprintf(item->file, sizeof(item->file), "%s", file);
	va_start(ap, fmt);
	(void)vsnprintf(item->text, sizeof(item->text), fmt, ap);
	va_end(ap);
}

const char *diag_format(const struct diag *d, char *buf, size_t size)
{
	if (d->line && d->column)
		(void)snprintf(buf, size, "%s:%u:%u: %s", d->file, d->line, d->column, d->text);
	else if (d->line)
		(void)snprintf(buf, size, "%s:%u: %s", d->file, d->line, d->text);
	else
		(void)snprintf(buf, size, "%s: %s", d->file, d->text);
	return buf;
}
