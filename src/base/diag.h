/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include "base/macro.h"

/* Errors of files that people write. Line and column count from 1; 0 = unknown. */
struct diag {
	char file[256]; /* a copy: what was read may be gone when its errors are told */
	unsigned line, column;
	char text[256];
};

/* All errors of one file, so that ten errors are told at once. More than the capacity are only counted. */
struct diags {
	struct diag items[50];
	size_t n, total;
};
void diags_add(struct diags *d, const char *file, unsigned line, unsigned column, const char *fmt,
	       ...) PRINTF_LIKE(5, 6);
/* "agent.yaml:12:15: oom.ring_bytes: 100KiB is below 256KiB" into @buf, cut to fit; returns @buf. */
const char *diag_format(const struct diag *d, char *buf, size_t size);
