/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/relabel/cache.h"

/*
 * XXH3-128 with a secret that is made once: XXH3_128bits_withSeed() makes it anew for each text of more than 240 bytes. The same values come
 * out of both; inlined they take half of the time of the library's, with AVX2 a third.
 */
#define DECISION_SECRET 192

struct decision_key decision_key_plain(struct rw_span canon, const uint8_t *secret, uint64_t seed);
#ifdef __x86_64__
struct decision_key decision_key_avx2(struct rw_span canon, const uint8_t *secret, uint64_t seed);
#endif
void decision_key_secret(uint8_t *ret, uint64_t seed); /* DECISION_SECRET bytes */
