/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens out of files. */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/fs.h"
#include "base/macro.h"
#include "route/receive/tokens.h"

#define FILE_MAX (1 << 20)
#define TOKENS_MAX 1024
#define TOKEN_BYTES_MAX 8192
#define DIGEST_BYTES 32

struct tokens {
	unsigned char key[DIGEST_BYTES];
	size_t n;
	unsigned char digests[TOKENS_MAX][DIGEST_BYTES];
};

static int digest(const struct tokens *t, const char *token, size_t len, unsigned char *ret)
{
	return gnutls_hmac_fast(GNUTLS_MAC_SHA256, t->key, sizeof(t->key), token, len, ret) < 0
		       ? -EIO
		       : 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* @line without blanks at its ends. */
static int add_line(struct tokens *t, const char *line, size_t len, const char **ret_why)
{
	while (len && is_blank(*line)) {
		line++;
		len--;
	}
	while (len && is_blank(line[len - 1]))
		len--;
	if (!len)
		return 0;
	*ret_why = NULL;
	if (memchr(line, '\0', len))
		*ret_why = "has a zero byte";
	else if (len > TOKEN_BYTES_MAX)
		*ret_why = "has a token of more than 8192 bytes";
	else if (t->n == TOKENS_MAX)
		*ret_why = "has the 1025th token, 1024 are taken";
	if (*ret_why)
		return -EINVAL;
	return digest(t, line, len, t->digests[t->n++]);
}

static int add_file(struct tokens *t, const char *path, char *why, size_t why_size)
{
	const char *reason = "cannot be digested";
	size_t len, before = t->n;
	char *text;
	int r = fs_read_at(AT_FDCWD, path, FILE_MAX, &text, &len);

	if (r < 0) {
		(void)snprintf(why, why_size, "%s: %s", path, strerror(-r));
		return r;
	}
	for (size_t at = 0, end; r >= 0 && at < len; at = end + 1) {
		const char *line_end = memchr(text + at, '\n', len - at);

		end = line_end ? (size_t)(line_end - text) : len;
		r = add_line(t, text + at, end - at, &reason);
	}
	gnutls_memset(text, 0, len);
	free(text);
	if (r >= 0 && t->n == before) {
		reason = "holds no token";
		r = -EINVAL;
	}
	if (r < 0)
		(void)snprintf(why, why_size, "%s %s", path, reason);
	return r;
}

int tokens_load(const struct config_strings *files, char *why, size_t why_size, struct tokens **ret)
{
	_cleanup_(tokens_freep) struct tokens *t = NULL;
	int r = 0;

	*ret = NULL;
	if (!files->n)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t || getrandom(t->key, sizeof(t->key), 0) != sizeof(t->key)) {
		(void)snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; r >= 0 && i < files->n; i++)
		r = add_file(t, files->items[i], why, why_size);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(t);
	return 0;
}

struct tokens *tokens_free(struct tokens *t)
{
	if (t)
		gnutls_memset(t, 0, sizeof(*t));
	free(t);
	return NULL;
}

size_t tokens_count(const struct tokens *t)
{
	return t->n;
}

bool tokens_hold(const struct tokens *t, const char *token, size_t len)
{
	unsigned char shown[DIGEST_BYTES];
	bool found = false;

	if (digest(t, token, len, shown) < 0)
		return false;
	for (size_t i = 0; i < t->n; i++)
		found |= gnutls_memcmp(t->digests[i], shown, DIGEST_BYTES) == 0;
	return found;
}
