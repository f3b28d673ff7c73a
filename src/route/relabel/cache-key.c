/* SPDX-License-Identifier: Apache-2.0 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "route/relabel/cache-key.h"

struct decision_key decision_key_plain(struct rw_span canon, const uint8_t *secret, uint64_t seed)
{
	XXH128_hash_t h =
		XXH3_128bits_withSecretandSeed(canon.at, canon.len, secret, DECISION_SECRET, seed);

	return (struct decision_key){ h.low64, h.high64 };
}

void decision_key_secret(uint8_t *ret, uint64_t seed)
{
	_Static_assert(DECISION_SECRET == XXH_SECRET_DEFAULT_SIZE, "size of the secret");
	XXH3_generateSecret_fromSeed(ret, seed);
}
