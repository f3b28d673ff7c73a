/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks are probed again on reload (OOM-101)
 *
 * A worker loads and attaches a second set beside the first. When a capability got a better variant and none a worse one, the second
 * takes over: of the moment T on its records count, and before T those of the first; what the first still holds is read before it
 * goes. So no kill is lost, and at worst one that happens at T itself is told twice, which the correlator folds. Else the second
 * set goes, and only its reasons are kept.
 */
#define LOG_MODULE "oom"

#include <errno.h>
#include <sys/epoll.h>
#include "agent/oom/internal.h"
#include "agent/privilege.h"
#include "base/log.h"
#include "base/time.h"

static void run(struct work *w)
{
	struct oom_reprobe *p = container_of(w, struct oom_reprobe, work);
	_cleanup_(hook_env_freep) struct hook_env *env = NULL;

	p->fresh = NULL;
	p->result = hook_env_new(NULL, &env);
	if (p->result < 0)
		return;
	env->tracepoint_tier = p->state->env.tracepoint_tier;
	env->cgroup_v2_memory = p->state->env.cgroup_v2_memory;
	p->result = oom_hooks_new(&p->options, env, &p->sink, &p->fresh);
}

/* Better somewhere and worse nowhere. Variants stand best first. */
static bool is_better(const struct hook_state *now, const struct hook_state *then)
{
	bool better = false;

	for (int c = 0; c < _OOM_CAP_MAX; c++) {
		if (then[c].live == now[c].live)
			continue;
		if (then[c].live < 0 || (now[c].live >= 0 && then[c].live > now[c].live))
			return false;
		better = true;
	}
	return better;
}

static void tell_changes(const struct hook_state *now, const struct hook_state *then)
{
	for (int c = 0; c < _OOM_CAP_MAX; c++)
		if (then[c].live != now[c].live)
			log_info("capability %s changes from %s to %s", then[c].hook->capability,
				 hook_live_name(&now[c]), hook_live_name(&then[c]));
}

static void take_over(struct oom_state *s, struct oom_reprobe *p)
{
	struct oom_hooks *old = s->hooks;
	uint64_t lost[_OOM_LOST_MAX];

	tell_changes(oom_hooks_states(old), oom_hooks_states(p->fresh));
	s->ring_source = loop_source_free(s->ring_source);
	p->from_ns = s->source_until_ns = time_boot_ns();
	oom_hooks_detach(old);
	do
		s->victims_read = 0;
	while (oom_hooks_consume(old) == -EAGAIN);
	s->source_until_ns = s->resume_us = 0;
	oom_hooks_lost(old, lost);
	for (int i = 0; i < _OOM_LOST_MAX; i++)
		s->lost_before[i] += lost[i];
	s->malformed_before += oom_hooks_malformed(old);
	s->hooks = p->fresh;
	p->fresh = NULL;
	(void)oom_hooks_free(old);
	oom_hooks_replaced(s);
}

static void done(struct work *w)
{
	struct oom_reprobe *p = container_of(w, struct oom_reprobe, work);
	struct oom_state *s = p->state;

	p->busy = false;
	if (p->result < 0 || !p->fresh) {
		log_warning_errno(p->result, "hooks cannot be probed again, the running ones stay");
		return;
	}
	if (is_better(oom_hooks_states(s->hooks), oom_hooks_states(p->fresh))) {
		take_over(s, p);
	} else {
		oom_hooks_take_reasons(s->hooks, p->fresh);
		p->fresh = oom_hooks_free(p->fresh);
		log_info("hooks probed again: no better variant, the running ones stay");
	}
	s->agent->hooks_changed(s->agent);
}

void oom_reprobe(struct oom_state *s)
{
	struct oom_reprobe *p = &s->reprobe;

	if (s->dropped) {
		log_info(
			"hooks are not probed again: CAP_BPF and CAP_PERFMON were dropped after start "
			"(oom.drop_capabilities)");
		return;
	}
	if (p->busy)
		return;
	p->state = s;
	p->work = (struct work){ .run = run, .done = done };
	p->busy = workers_submit(s->agent->workers, &p->work) == 0;
	if (!p->busy)
		log_warning("hooks are not probed again: the workers are busy");
}

/* --- what only the start needs --- */

/* What the agent asks of its maps all the time. */
static int use_maps(void *ctx)
{
	return oom_hooks_readable(ctx);
}

void oom_drop_capabilities(struct oom_state *s)
{
	int r;

	if (!s->config.drop_capabilities || s->dropped || s->reprobe.busy)
		return;
	s->config.drop_capabilities = false; /* tried once */
	r = privilege_drop_bpf(use_maps, s->hooks);
	s->dropped = r >= 0;
	if (r == -EPERM)
		log_warning(
			"CAP_BPF and CAP_PERFMON are kept: this kernel lets nobody without them read "
			"the maps of loaded programs");
	else if (r < 0)
		log_warning_errno(r, "cannot drop CAP_BPF and CAP_PERFMON in all threads");
	else
		log_info("CAP_BPF and CAP_PERFMON dropped, a reload does not probe hooks again");
}
