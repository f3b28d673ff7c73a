/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probing again on SIGHUP (OOM-101)
 *
 * The new set of programs is attached beside the old one. Where the same variants are live the new one goes again and
 * nothing has happened. Else it takes over before the old one is detached, so no kill falls between; one that both saw is
 * folded, as every second report of a victim is. What follows from the variants (kernel log, limits, command lines) starts anew.
 */
#define LOG_MODULE "oom"

#include <string.h>
#include <sys/epoll.h>
#include "agent/oom/internal.h"
#include "base/log.h"

static bool same_variants(const struct hook_state *a, const struct hook_state *b)
{
	for (int c = 0; c < _OOM_CAP_MAX; c++)
		if (a[c].live != b[c].live)
			return false;
	return true;
}

static void log_changes(const struct hook_state *before, const struct hook_state *after)
{
	for (int c = 0; c < _OOM_CAP_MAX; c++)
		if (before[c].live != after[c].live)
			log_info("capability %s changes from %s to %s", after[c].hook->capability,
				 hook_live_name(&before[c]), hook_live_name(&after[c]));
}

/* Totals of the programs that go, so that no counter falls. */
static void keep_totals(struct oom_state *s)
{
	uint64_t lost[_OOM_LOST_MAX];

	oom_hooks_lost(s->hooks, lost);
	for (int i = 0; i < _OOM_LOST_MAX; i++)
		s->lost_before[i] += lost[i];
}

static void swap(struct oom_state *s, struct oom_hooks *fresh)
{
	struct oom_hooks *old = s->hooks;

	(void)oom_hooks_consume(old);
	(void)oom_hooks_drain_spill(old);
	keep_totals(s);
	oom_kmsg_stop(s);
	oom_limits_stop(s);
	s->ring_source = loop_source_free(s->ring_source);
	s->hooks = fresh;
	oom_hooks_free(old);
	if (oom_start_sources(s) < 0)
		log_warning("the new programs are not read, restart the agent");
	oom_name_hooks(s);
}

void oom_reprobe(struct oom_state *s)
{
	struct oom_hooks *fresh = NULL;
	int r = oom_load_hooks(s, &fresh);

	if (r < 0) {
		log_warning_errno(r, "cannot probe the hooks again, the old ones stay");
		return;
	}
	if (same_variants(oom_hooks_states(s->hooks), oom_hooks_states(fresh))) {
		oom_hooks_take_reasons(s->hooks, fresh);
		oom_hooks_free(fresh);
		return;
	}
	log_changes(oom_hooks_states(s->hooks), oom_hooks_states(fresh));
	swap(s, fresh);
}
