/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include "base/cleanup.h"
#include "sys/loop.h"

/*
 * Names of kernel addresses, read from kallsyms by a worker and remembered: OOM stacks are nearly always the same.
 */
struct symbols;
int symbols_new(struct workers *workers, struct symbols **ret);
struct symbols *symbols_free(struct symbols *s); /* after the workers are gone */
DEFINE_CLEANUP(struct symbols *, symbols_free);
/* Asks for what is not known yet. Allocates nothing. */
void symbols_want(struct symbols *s, const unsigned long long *addresses, size_t n);
const char *symbols_name(const struct symbols *s, uint64_t address); /* NULL = not known (yet) */
bool symbols_busy(const struct symbols *s);
