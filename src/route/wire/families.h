/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/wire/buf.h"
#include "route/wire/series.h"

/*
 * What senders of version 1 say of families of metrics, and who was told (GW-CV-5)
 *
 * Version 1 sends metadata by family, apart from the series; version 2 with each series. The table remembers the former for the latter: bounded in
 * families and bytes, the one that was used least recently goes first. Any thread; one lock of several for each call. Families of different tenants
 * are different ones.
 */
struct rw_families;
int rw_families_new(uint32_t max, struct rw_families **ret); /* -ENOMEM */
struct rw_families *rw_families_free(struct rw_families *f);
DEFINE_CLEANUP(struct rw_families *, rw_families_free);
/* Another limit; 0 = nothing is remembered. What is too much goes. */
void rw_families_limit(struct rw_families *f, uint32_t max);
void rw_families_put(struct rw_families *f, uint64_t tenant, const struct rw_metadata *m);
/*
 * By the name of a series, then by that less a suffix. Texts of @ret are in @scratch, until that changes. False: nothing is known, or no memory.
 */
bool rw_families_find(struct rw_families *f, uint64_t tenant, const char *name, size_t len,
		      struct rw_buf *scratch, struct rw_metadata *ret);
struct rw_families_stats {
	uint64_t families, bytes; /* now */
	uint64_t evicted; /* made room, or were too large */
};
void rw_families_stats(struct rw_families *f, struct rw_families_stats *ret);

/*
 * Which families a node was told of within the interval: of each, metadata is sent once. Any thread.
 */
struct rw_told;
int rw_told_new(struct rw_told **ret); /* -ENOMEM */
struct rw_told *rw_told_free(struct rw_told *t);
DEFINE_CLEANUP(struct rw_told *, rw_told_free);
void rw_told_interval(struct rw_told *t, uint64_t interval_us);
uint64_t rw_told_hash(uint64_t tenant, struct rw_span family);
/*
 * True: it is due, and from now on counts as told. With a @tag that is not 0 it is due again for who has told it with the same one: a block that is sent
 * a second time says the same as the first time.
 */
bool rw_told_due(struct rw_told *t, uint64_t hash, uint64_t now_us, uint64_t tag);
/* It was not told after all. */
void rw_told_forget(struct rw_told *t, uint64_t hash);
