/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

/*
 * Address ranges of wanted kernel symbols, and names of others. Suffixes .isra* .constprop* .part* .cold .llvm* are
 * stripped for matching, so clones are found under the plain name.
 */
struct kallsyms;
/* -EACCES when all addresses are zero (kptr_restrict, no CAP_SYSLOG). @path NULL: /proc/kallsyms. @wanted: ≤ 32, NULL-terminated */
int kallsyms_read(const char *path, const char *const *wanted, struct kallsyms **ret);
struct kallsyms *kallsyms_free(struct kallsyms *k);
DEFINE_CLEANUP(struct kallsyms *, kallsyms_free);
int kallsyms_match(const struct kallsyms *k, uint64_t address); /* index into wanted, or -ENOENT */
/* Name of any text symbol, looked up in the file by a worker, not on the event path. -ENOENT */
int kallsyms_names(const char *path, const uint64_t *addresses, size_t n, char (*ret)[64]);
