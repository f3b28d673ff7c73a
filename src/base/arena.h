/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include "base/cleanup.h"

/* Memory that is dropped whole: configuration snapshots, parse results. Not thread-safe. */
struct arena;
int arena_new(size_t max_bytes, struct arena **ret); /* max 0: no limit */
struct arena *arena_free(struct arena *a);
DEFINE_CLEANUP(struct arena *, arena_free);
void *arena_alloc(struct arena *a, size_t size); /* zeroed, aligned to 16; NULL beyond the limit */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);
size_t arena_bytes(const struct arena *a);
