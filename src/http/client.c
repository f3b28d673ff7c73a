/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP client on libcurl, blocking: for the CLI and for workers. */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "http/client.h"
#include "http/curl.h"

static pthread_once_t initialised = PTHREAD_ONCE_INIT;
static const struct curl_api *api; /* NULL: no libcurl */

static void initialise(void)
{
	api = curl_api();
	if (api)
		(void)api->global_init(CURL_GLOBAL_DEFAULT);
}

struct transfer {
	http_client_fn fn;
	void *ctx;
	size_t total, max;
	bool too_large;
	CURL *only_200; /* its answer's body counts when the status is 200; NULL: always */
};

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	size_t len = size * n;
	long status = 200;

	if (t->only_200)
		(void)api->easy_getinfo(t->only_200, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return len;
	t->total += len;
	if (t->max && t->total > t->max) {
		t->too_large = true;
		return 0;
	}
	return t->fn(t->ctx, data, len) == 0 ? len : 0;
}

static int error_of(CURLcode c)
{
	switch (c) {
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_WRITE_ERROR:
		return -ECANCELED;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -EINVAL;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return -EKEYREJECTED;
	case CURLE_FILESIZE_EXCEEDED:
		return -EFBIG;
	case CURLE_SSL_CACERT_BADFILE:
		return -ENOKEY;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
		return -EPIPE;
	default:
		return -EPROTO;
	}
}

static void curl_cleanupp(CURL **c)
{
	if (*c)
		api->easy_cleanup(*c);
}

static void slist_freep(struct curl_slist **s)
{
	if (*s)
		api->slist_free_all(*s);
}

/**
 * http_client_get() - GET a URL and hand its body over piece by piece
 * @headers: "Name: value", NULL-terminated, may be NULL
 *
 * Return: HTTP status; -ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT, -ECANCELED (@fn said stop), -EFBIG, -EINVAL (URL), -EPIPE
 * (the peer went away), -EKEYREJECTED (its certificate), -ENOKEY (ca_file cannot be used), -ELIBACC (no libcurl), -EPROTO.
 */
static int perform(const char *url, const struct http_client_options *o, const char *const *headers,
		   const char *post, http_client_fn fn, void *ctx, char *why, size_t why_size)
{
	_cleanup_(curl_cleanupp) CURL *c = NULL;
	_cleanup_(slist_freep) struct curl_slist *list = NULL;
	struct transfer t = { fn, ctx, 0, o->body_max, false, NULL };
	char reason[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode rc;

	pthread_once(&initialised, initialise);
	if (!api) {
		(void)snprintf(why, why_size, "%s: there is no libcurl", url);
		return -ELIBACC;
	}
	c = api->easy_init();
	if (!c)
		return -ENOMEM;
	t.only_200 = o->only_200 ? c : NULL;
	for (; headers && *headers; headers++)
		list = api->slist_append(list, *headers);
	(void)api->easy_setopt(c, CURLOPT_URL, url);
	(void)api->easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)api->easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)api->easy_setopt(c, CURLOPT_NOPROXY, "*"); /* the agent is asked, not a proxy */
	(void)api->easy_setopt(c, CURLOPT_HTTPHEADER, list);
	(void)api->easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	(void)api->easy_setopt(c, CURLOPT_WRITEDATA, &t);
	(void)api->easy_setopt(c, CURLOPT_ERRORBUFFER, reason);
	(void)api->easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
	(void)api->easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
	if (o->body_max) /* a body that says its size beforehand is not even begun */
		(void)api->easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)o->body_max);
	if (post) {
		(void)api->easy_setopt(c, CURLOPT_POST, 1L);
		(void)api->easy_setopt(c, CURLOPT_POSTFIELDS, post);
	}
	if (o->user) {
		(void)api->easy_setopt(c, CURLOPT_USERNAME, o->user);
		(void)api->easy_setopt(c, CURLOPT_PASSWORD, o->password ? o->password : "");
	}
	if (o->bearer_token) {
		(void)api->easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		(void)api->easy_setopt(c, CURLOPT_XOAUTH2_BEARER, o->bearer_token);
	}
	if (o->ca_file && *o->ca_file) {
		(void)api->easy_setopt(c, CURLOPT_CAINFO, o->ca_file);
		/* Else the directory of the system's authorities would be trusted too, at 15 MiB of memory. */
		(void)api->easy_setopt(c, CURLOPT_CAPATH, NULL);
	}
	if (o->insecure) {
		(void)api->easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		(void)api->easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (o->cert_file && *o->cert_file)
		(void)api->easy_setopt(c, CURLOPT_SSLCERT, o->cert_file);
	if (o->key_file && *o->key_file)
		(void)api->easy_setopt(c, CURLOPT_SSLKEY, o->key_file);
	rc = api->easy_perform(c);
	(void)api->easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	if (rc == CURLE_OK)
		return (int)status;
	(void)snprintf(why, why_size, "%s: %s", url, *reason ? reason : api->easy_strerror(rc));
	return t.too_large ? -EFBIG : error_of(rc);
}

int http_client_get(const char *url, const struct http_client_options *o,
		    const char *const *headers, http_client_fn fn, void *ctx, char *why,
		    size_t why_size)
{
	return perform(url, o, headers, NULL, fn, ctx, why, why_size);
}

int http_client_post(const char *url, const struct http_client_options *o, const char *body,
		     http_client_fn fn, void *ctx, char *why, size_t why_size)
{
	return perform(url, o, NULL, body, fn, ctx, why, why_size);
}
