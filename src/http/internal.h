/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <sys/socket.h>
#include "config/config.h"
#include "http/server.h"

/* --- listen.c --- */
/* Socket that listens; @why gets one sentence on failure. fd or -errno. */
int http_listen(const char *address, char *why, size_t why_size);
uint16_t http_socket_port(int fd);

/* --- connections.c: who is connected, and who has to go --- */
bool address_is_loopback(const struct sockaddr *a); /* NULL: no */
/* Of 4 or 16 bytes, as people write it; false for other lengths. */
bool address_text(const void *bytes, size_t len, char *ret, size_t size);
struct connection_limits {
	unsigned max, per_peer; /* per_peer: of one address, 0 = no limit */
	uint64_t header_us, idle_us;
	uint64_t request_us; /* headers and body together; 0 = no limit */
	uint64_t body_rate; /* bytes a second, once a body has taken 5 s; 0 = no limit */
};
struct connection_counts {
	uint64_t refused, refused_peer; /* for want of room: in all, of one address */
	uint64_t cut_headers, cut_body, cut_idle; /* for slowness */
	unsigned open; /* now */
};
struct connections;
int connections_new(const struct connection_limits *l, struct connections **ret);
struct connections *connections_share(struct connections *c); /* one owner more, of one thread */
struct connections *connections_free(struct connections *c);
void connections_tick(struct connections *c); /* cuts off who is too slow */
/* May another one come from @address? Cuts off who is too slow. */
bool connections_admit(struct connections *c, const struct sockaddr *address);
/* The handle of a new connection, NULL when there is no room for it (then it is not watched). */
void *connections_start(struct connections *c, int fd, const struct sockaddr *address);
void connections_request(struct connections *c, void *slot); /* a request begins */
void connections_body(struct connections *c, void *slot); /* its headers are in */
void connections_bytes(void *slot, size_t n); /* of the body */
void connections_busy(struct connections *c, void *slot); /* all of it is in */
void connections_idle(struct connections *c, void *slot); /* answered */
void connections_end(struct connections *c, void *slot);
void connections_counts(struct connections *c, struct connection_counts *ret);

/* --- webconfig.c: the exporter-toolkit file --- */
#define TLS_CHAIN_MAX 8
#define WEB_FILES_MAX 4
struct webconfig {
	struct config *config; /* NULL: plain HTTP, no users */
	bool tls, client_required, client_verified; /* client_auth_type */
	char priorities[128]; /* gnutls */
	gnutls_pcert_st chain[TLS_CHAIN_MAX];
	unsigned chain_len;
	gnutls_privkey_t key;
	gnutls_x509_trust_list_t client_ca; /* NULL: none */
	const struct config_strings *client_sans; /* allowed ones; none = all */
	char *files[WEB_FILES_MAX]; /* that it was read from */
	unsigned n_files;
	const struct config_pairs *users, *headers;
};
int webconfig_load(const char *path, char *why, size_t why_size, struct webconfig **ret);
struct webconfig *webconfig_free(struct webconfig *w);
DEFINE_CLEANUP(struct webconfig *, webconfig_free);

/* --- certificate.c: what a client shows --- */
void certificate_ask(const struct webconfig *w, gnutls_session_t session); /* of the handshake */
/* May this client in? */
bool certificate_ok(const struct webconfig *w, gnutls_session_t session);

/* --- auth.c: bcrypt, with a cache of what was right --- */
struct auth;
int auth_new(struct auth **ret);
struct auth *auth_free(struct auth *a);
DEFINE_CLEANUP(struct auth *, auth_free);
void auth_forget(struct auth *a);
/* @header: of Authorization, NULL when absent. */
bool auth_check(struct auth *a, const struct config_pairs *users, const char *header);
