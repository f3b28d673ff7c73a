/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files beside the configuration that change: certificates and users of the server, tokens of senders (GW-CF-3, GW-LC-1)
 *
 * Read aside, then swapped; what cannot be read or is wrong leaves the old in force. The configuration itself is not read: an edit in
 * progress is nobody's wish yet. Secrets and certificates of nodes are watched by their senders.
 */
#define LOG_MODULE "route"

#include "base/log.h"
#include "base/macro.h"
#include "route/internal.h"

enum http_bearer gateway_bearer(void *ctx, const char *token, size_t len)
{
	struct gateway *g = ctx;
	enum http_bearer r = HTTP_BEARER_OFF;

	pthread_rwlock_rdlock(&g->tokens_lock);
	if (g->tokens)
		r = token && tokens_hold(g->tokens, token, len) ? HTTP_BEARER_RIGHT
								: HTTP_BEARER_WRONG;
	pthread_rwlock_unlock(&g->tokens_lock);
	return r;
}

void gateway_swap_tokens(struct gateway *g, struct tokens *fresh)
{
	struct tokens *old;

	pthread_rwlock_wrlock(&g->tokens_lock);
	old = g->tokens;
	g->tokens = fresh;
	pthread_rwlock_unlock(&g->tokens_lock);
	tokens_free(old);
}

static void note(struct gateway *g, enum file_kind kind, int r, const char *what, const char *why)
{
	if (r < 0) {
		g->files_bad[kind]++;
		log_warning("%s: %s stay as they were", why, what);
	} else if (r > 0) {
		g->files_changed[kind]++;
		log_info("%s have changed", what);
	}
}

static void look_at_server(struct gateway *g, struct http_server *s)
{
	char why[512] = "";

	note(g, FILES_WEB, http_server_look(s, why, sizeof(why)), "TLS and users", why);
}

static void look_at_tokens(struct gateway *g)
{
	struct tokens *fresh;
	char why[512] = "";
	int r;

	if (!file_watch_look(&g->tokens_watch))
		return;
	r = tokens_load(&g->snapshot->config->receive->bearer_token_files, why, sizeof(why),
			&fresh);
	if (r >= 0)
		gateway_swap_tokens(g, fresh);
	note(g, FILES_TOKENS, r < 0 ? r : 1, "tokens of senders", why);
}

void gateway_look_at_files(struct gateway *g)
{
	for (unsigned i = 0; i < g->n_servers; i++)
		look_at_server(g, g->servers[i]);
	if (g->admin)
		look_at_server(g, g->admin);
	look_at_tokens(g);
}
