/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "agent/agent.h"
#include "agent/module.h"
#include "http/server.h"

/* The agent's HTTP surface: routes, readiness, reload. */
struct web;
/* @reload runs on the loop thread; returns whether the new configuration was taken. */
int web_new(struct agent *a, const struct agent_options *o, bool (*reload)(void *ctx), void *ctx,
	    char *why, size_t why_size, struct web **ret);
struct web *web_free(struct web *w);
DEFINE_CLEANUP(struct web *, web_free);
int web_reload(struct web *w, char *why, size_t why_size); /* certificates and users */
const struct http_server *web_server(const struct web *w); /* NULL before it listens */
void web_announce(struct web *w); /* prints where to look, once everything stands */
