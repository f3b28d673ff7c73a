/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include "base/cleanup.h"
#include "config/config.h"

/*
 * Bearer tokens that senders show (receive.bearer_token_files, GW-SC-1)
 *
 * One token a line; blanks at both ends are cut, empty lines skipped. Only keyed digests are kept, and one is compared with all of them in constant
 * time. Immutable once loaded.
 */
struct tokens;
/* Without files *@ret is NULL: no check. A file that cannot be read or all without a token: -errno, -EINVAL with one sentence in @why. */
int tokens_load(const struct config_strings *files, char *why, size_t why_size,
		struct tokens **ret);
struct tokens *tokens_free(struct tokens *t);
DEFINE_CLEANUP(struct tokens *, tokens_free);
size_t tokens_count(const struct tokens *t);
bool tokens_hold(const struct tokens *t, const char *token, size_t len);
