/* SPDX-License-Identifier: Apache-2.0 */
/* The same for processors that have AVX2, which the header sees by the macro that the pragma sets. Called only where they have. */
#ifdef __x86_64__
#pragma GCC target("avx2")
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "route/relabel/cache-key.h"

_Static_assert(XXH_VECTOR == XXH_AVX2, "made for AVX2");

struct decision_key decision_key_avx2(struct rw_span canon, const uint8_t *secret, uint64_t seed)
{
	XXH128_hash_t h =
		XXH3_128bits_withSecretandSeed(canon.at, canon.len, secret, DECISION_SECRET, seed);

	return (struct decision_key){ h.low64, h.high64 };
}
#endif
