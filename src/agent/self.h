/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/module.h"
#include "agent/protect.h"
#include "http/server.h"

/* Metrics of the agent about itself. */
enum self_metric {
	SELF_BUILD_INFO,
	SELF_MODULE_UP,
	SELF_HOOK_INFO,
	SELF_HOOK_REFUSED_INFO,
	SELF_PROTECTION,
	SELF_RELOAD_SUCCESSFUL,
	SELF_RELOAD_TIMESTAMP,
	SELF_EVENTS,
	SELF_EVENTS_REFUSED,
	SELF_JOURNAL_EVENTS,
	SELF_JOURNAL_ERRORS,
	SELF_JOURNAL_MISSED,
	SELF_JOURNAL_EXPIRED,
	SELF_JOURNAL_BYTES,
	SELF_SINK_EVENTS,
	SELF_SINK_ERRORS,
	SELF_SSE_CLIENTS,
	SELF_SSE_REFUSED,
	SELF_SSE_OVERFLOWS,
	SELF_HTTP_REQUESTS,
	SELF_HTTP_REFUSED,
	SELF_HTTP_AUTH_FAILURES,
	SELF_WORK_REFUSED,
	SELF_CLOCK_STEPS,
	SELF_PROCESS_CPU,
	SELF_PROCESS_RSS,
	SELF_PROCESS_VSIZE,
	SELF_PROCESS_FDS,
	SELF_PROCESS_START,
	_SELF_METRIC_MAX,
};
extern const struct metric_row self_metrics[_SELF_METRIC_MAX];

struct self;
int self_new(struct agent *a, struct self **ret);
struct self *self_free(struct self *s);
DEFINE_CLEANUP(struct self *, self_free);
void self_module(struct self *s, const char *module, bool up);
void self_hooks(struct self *s, const struct hook_state *states, size_t n, bool first);
void self_protection(struct self *s, const struct protection *p);
void self_reloaded(struct self *s, bool ok);
/* Each second: copies totals that are counted elsewhere. @http may be NULL. */
void self_tick(struct self *s, const struct http_server *http);
