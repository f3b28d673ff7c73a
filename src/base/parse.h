/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All return 0, -EINVAL for text of another form, -ERANGE for a value out of the type; @ret only on success. */
int parse_u64(const char *s,
	      uint64_t *ret); /* decimal digits only: no sign, no space, no base prefix */
int parse_i64(const char *s, int64_t *ret);
int parse_u32(const char *s, uint32_t *ret);
int parse_hex64(const char *s, size_t len, uint64_t *ret); /* 1..16 hex digits */
int parse_double(const char *s, double *ret); /* C locale, finite */
int parse_bool(const char *s, bool *ret); /* true false */
int parse_size(
	const char *s,
	uint64_t *ret_bytes); /* 0, or number + unit: B KiB MiB GiB TiB KB MB GB TB (also k, M, G without B as powers of 1024) */
int parse_duration(
	const char *s,
	uint64_t *ret_us); /* 0, or sums of number + unit: us ms s m h d w, as 1h30m, 500ms */
/* "10m" back from @now_ns, or RFC 3339 with optional fraction and Z or offset; wall clock ns */
int parse_time(const char *s, uint64_t now_ns, uint64_t *ret_ns);
int parse_rfc3339(const char *s, uint64_t *ret_ns);

/* Field @n (from 0) of a text of fields separated by spaces or tabs; false when there are fewer. */
bool parse_field(const char *line, unsigned n, const char **ret, size_t *ret_len);
