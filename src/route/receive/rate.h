/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/cleanup.h"

/*
 * Samples a second: token buckets with a burst of 2 s (GW-RX-18)
 *
 * Each tenant has a bucket of its own, requests without a tenant share one. A bucket that is full again says nothing and makes room for
 * another tenant; so the table is full only when that many tenants are active, and then the rest shares one bucket. Asked once a request, from any
 * worker.
 */
struct rate_limit;
int rate_new(struct rate_limit **ret); /* -ENOMEM */
struct rate_limit *rate_free(struct rate_limit *r);
DEFINE_CLEANUP(struct rate_limit *, rate_free);

struct rate_question {
	uint32_t per_second; /* 0 = no limit */
	uint32_t tenants; /* told apart */
	const char *tenant; /* "" = none */
};
/* Seconds after which @q may bring samples again, 0 = now. @ret_shared: the tenant is one too many and has no bucket of its own. */
unsigned rate_wait(struct rate_limit *r, const struct rate_question *q, uint64_t now_us,
		   bool *ret_shared);
/* So many were taken; a bucket may go below zero, so that one large request passes, and its sender waits for it afterwards. */
void rate_take(struct rate_limit *r, const struct rate_question *q, uint64_t samples,
	       uint64_t now_us);
