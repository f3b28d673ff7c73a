/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include "base/cleanup.h"

/*
 * Redaction of command lines before they leave the agent (events.redact)
 *
 * Each pattern is a PCRE2 expression with at most one group; the group (or nothing) is kept, the rest of the match becomes
 * "<redacted>". Where an option stands alone ("--password" "x"), a pattern that matches "--password x" covers the next
 * argument too. Match limits are set; a pattern that exceeds them redacts the whole argument.
 */
struct redact;
int redact_new(const char *const *patterns, size_t n, char *why, size_t why_size,
	       struct redact **ret);
struct redact *redact_free(struct redact *r);
DEFINE_CLEANUP(struct redact *, redact_free);
/* @args: NUL-separated, @len bytes; writes the same form to @out (≤ size). Returns its length. No allocation. */
size_t redact_args(const struct redact *r, const char *args, size_t len, char *out, size_t size);
