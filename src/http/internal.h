/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include "config/config.h"
#include "http/server.h"

/* --- listen.c --- */
/* Socket that listens; @why gets one sentence on failure. fd or -errno. */
int http_listen(const char *address, char *why, size_t why_size);
uint16_t http_socket_port(int fd);

/* --- webconfig.c: the exporter-toolkit file --- */
struct webconfig {
	struct config *config; /* NULL: plain HTTP, no users */
	bool tls, client_required, client_verified; /* client_auth_type */
	const char *priorities; /* gnutls */
	gnutls_pcert_st certificate;
	gnutls_privkey_t key;
	char *client_ca; /* PEM */
	const struct config_pairs *users, *headers;
};
int webconfig_load(const char *path, char *why, size_t why_size, struct webconfig **ret);
struct webconfig *webconfig_free(struct webconfig *w);
DEFINE_CLEANUP(struct webconfig *, webconfig_free);

/* --- auth.c: bcrypt, with a cache of what was right --- */
struct auth;
int auth_new(struct auth **ret);
struct auth *auth_free(struct auth *a);
DEFINE_CLEANUP(struct auth *, auth_free);
void auth_forget(struct auth *a);
/* @header: of Authorization, NULL when absent. */
bool auth_check(struct auth *a, const struct config_pairs *users, const char *header);
