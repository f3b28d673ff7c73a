/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include "base/cleanup.h"

/* Blocking HTTP client on libcurl, for the CLI and for workers. Follows no redirects to other hosts. */
struct http_client_options {
	const char *user, *password; /* basic auth, NULL = none */
	const char *bearer_token_file, *ca_file, *cert_file, *key_file;
	unsigned timeout_ms; /* whole transfer; 0 = none (streams) */
	size_t body_max; /* 0 = no limit for the streaming form */
};

/* --http.config.file of Prometheus clients: basic_auth {username, password, password_file}, authorization, tls_config. */
struct http_client_config;

/* Called per piece of body; returns 0 to go on, anything else stops the transfer with -ECANCELED. */
typedef int (*http_client_fn)(void *ctx, const char *data, size_t len);
/* Returns the HTTP status, or -ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, -EPROTO, -EFBIG…; @why gets one sentence. */
int http_client_get(const char *url, const struct http_client_options *o, const char *const *headers, http_client_fn fn,
		    void *ctx, char *why, size_t why_size);
