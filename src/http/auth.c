/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Basic authentication
 *
 * bcrypt is slow on purpose, a scrape comes every few seconds: what was right once is remembered as a keyed digest. An unknown
 * user costs one bcrypt too, so that the time of an answer does not tell which names exist.
 */

#include <crypt.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include "http/internal.h"

#define CACHE_MAX 64
#define DIGEST_BYTES 32
/* bcrypt of random bytes with cost 10: nobody's password. */
#define NOBODY "$2y$10$Y2h0c2Vlc3RoaXNpc24uZ3V1bm9ib2R5c3Bhc3N3b3JkaGFzaC5pMm"

struct auth {
	pthread_mutex_t lock;
	unsigned char key[DIGEST_BYTES];
	unsigned char cache[CACHE_MAX][DIGEST_BYTES];
	size_t n, next;
};

int auth_new(struct auth **ret)
{
	struct auth *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	if (getrandom(a->key, sizeof(a->key), 0) != sizeof(a->key)) {
		free(a);
		return -EIO;
	}
	pthread_mutex_init(&a->lock, NULL);
	*ret = a;
	return 0;
}

struct auth *auth_free(struct auth *a)
{
	if (!a)
		return NULL;
	pthread_mutex_destroy(&a->lock);
	gnutls_memset(a, 0, sizeof(*a));
	free(a);
	return NULL;
}

void auth_forget(struct auth *a)
{
	pthread_mutex_lock(&a->lock);
	a->n = a->next = 0;
	pthread_mutex_unlock(&a->lock);
}

static bool cached(struct auth *a, const unsigned char *digest)
{
	bool found = false;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->n; i++)
		found |= gnutls_memcmp(a->cache[i], digest, DIGEST_BYTES) == 0;
	pthread_mutex_unlock(&a->lock);
	return found;
}

static void remember(struct auth *a, const unsigned char *digest)
{
	pthread_mutex_lock(&a->lock);
	memcpy(a->cache[a->next], digest, DIGEST_BYTES);
	a->next = (a->next + 1) % CACHE_MAX;
	a->n = MAX(a->n, a->next ? a->next : (size_t)CACHE_MAX);
	pthread_mutex_unlock(&a->lock);
}

/* "user:password" out of the header, NUL-terminated; false for anything else. */
static bool decode(const char *header, char *ret, size_t size)
{
	gnutls_datum_t in, out;
	bool ok;

	if (!header || strncasecmp(header, "Basic ", 6) != 0)
		return false;
	header += 6;
	in = (gnutls_datum_t){ (unsigned char *)header, (unsigned)strlen(header) };
	if (gnutls_base64_decode2(&in, &out) < 0)
		return false;
	ok = out.size < size && !memchr(out.data, '\0', out.size) &&
	     memchr(out.data, ':', out.size);
	if (ok) {
		memcpy(ret, out.data, out.size);
		ret[out.size] = '\0';
	}
	gnutls_memset(out.data, 0, out.size);
	gnutls_free(out.data);
	return ok;
}

static bool verify(const char *password, const char *hash)
{
	_cleanup_(freep) struct crypt_data *data = calloc(1, sizeof(*data));
	const char *got = data ? crypt_r(password, hash, data) : NULL;
	size_t len = strlen(hash);

	return got && strlen(got) == len && gnutls_memcmp(got, hash, len) == 0;
}

bool auth_check(struct auth *a, const struct config_pairs *users, const char *header)
{
	unsigned char digest[DIGEST_BYTES];
	char pair[512], *password;
	const char *hash = NULL;
	bool ok;

	if (!decode(header, pair, sizeof(pair)))
		return false;
	if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, a->key, sizeof(a->key), pair, strlen(pair),
			     digest) < 0)
		return false;
	if (cached(a, digest))
		return true;
	password = strchr(pair, ':');
	*password++ = '\0';
	for (size_t i = 0; i < users->n; i++)
		if (streq(users->items[i].key, pair))
			hash = users->items[i].value;
	ok = verify(password, hash ? hash : NOBODY) && hash;
	if (ok)
		remember(a, digest);
	gnutls_memset(pair, 0, sizeof(pair));
	return ok;
}
