/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/cleanup.h"

/* Blocking HTTP client on libcurl, for the CLI and for workers. Follows no redirects and uses no proxy. */
struct http_client_options {
	const char *user, *password; /* basic auth, NULL = none */
	const char *bearer_token, *ca_file, *cert_file, *key_file;
	bool insecure; /* no check of the server's certificate */
	unsigned timeout_ms; /* whole transfer; 0 = none (streams) */
	size_t body_max; /* 0 = no limit */
	bool only_200; /* the bodies of other answers are dropped */
};

/* Called per piece of body; returns 0 to go on, anything else stops the transfer with -ECANCELED. */
typedef int (*http_client_fn)(void *ctx, const char *data, size_t len);
/* Returns the HTTP status, or -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -EPROTO, -EFBIG…; @why gets one sentence. */
int http_client_get(const char *url, const struct http_client_options *o,
		    const char *const *headers, http_client_fn fn, void *ctx, char *why,
		    size_t why_size);
int http_client_post(const char *url, const struct http_client_options *o, const char *body,
		     http_client_fn fn, void *ctx, char *why, size_t why_size);

/*
 * --http.config.file as Prometheus clients take it: basic_auth {username, password, password_file}, authorization
 * {credentials, credentials_file}, tls_config {ca_file, cert_file, key_file, insecure_skip_verify}. The options point into *@ret.
 */
struct http_client_config;
int http_client_config_load(const char *path, char *why, size_t why_size,
			    struct http_client_config **ret, struct http_client_options *options);
struct http_client_config *http_client_config_free(struct http_client_config *c);
DEFINE_CLEANUP(struct http_client_config *, http_client_config_free);
