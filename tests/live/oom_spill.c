/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "base/time.h"
#include "oom_checks.h"
#include "oom_spill.h"

/*
 * A reader that stands still: the ring holds two records, the spill map four, and each kill is one of record, spilled, lost.
 */
void run_spill(const struct hook_env *env, const char *exe)
{
	static const char *const others[] = {
		"oom_decision/fentry",	 "oom_decision/fentry_direct",
		"oom_decision/kprobe",	 "oom_attempt/fentry",
		"oom_attempt/kprobe",	 "oom_invoke/fentry",
		"oom_invoke/kprobe",	 "oom_exit/tp_btf",
		"oom_exit/raw_tp",	 "oom_exit/tracepoint",
		"oom_reaper/tp_btf",	 "oom_reaper/raw_tp",
		"oom_reaper/tracepoint", NULL,
	};
	const struct oom_hooks_options o = { .ring_bytes = 4096,
					     .spill_entries = 4,
					     .args_entries = 64,
					     .victims = 64,
					     .args_bytes = 256,
					     .disabled = others };
	const struct oom_hooks_sink sink = { .record = on_record };
	_cleanup_(oom_hooks_freep) struct oom_hooks *h = NULL;
	struct run r = { .name = "spill", .argument = "hog" };
	uint64_t lost[_OOM_LOST_MAX];

	(void)snprintf(r.exe, sizeof(r.exe), "%s", exe);
	if (oom_hooks_new(&o, env, &sink, &h) < 0 || cgroup_layout_init("/", &r.place.layout) < 0)
		return;
	r.hooks = h;
	if (!runs_program(&r, OOM_CAP_KILL) || place_make(&r.place, 16 * MIB, false, 0) < 0) {
		cgroup_layout_done(&r.place.layout);
		return;
	}
	memset(&seen, 0, sizeof(seen));
	for (int i = 0; i < 8; i++)
		(void)hog_wait(hog_start(r.exe, "hog", r.place.procs));
	(void)oom_hooks_consume(h);
	oom_hooks_lost(h, lost);
	check(r.name, "some in the ring", seen.n_victims >= 1 && seen.n_victims <= 3, "%zu",
	      seen.n_victims);
	CHECK_U64(r.name, "spilled", seen.by_type[OOM_RECORD_SPILL], 4);
	CHECK_U64(r.name, "size of a spilled record", seen.core.head.size, 96);
	CHECK_U64(r.name, "its trigger's thread", seen.core.trigger_tid, seen.core.tid);
	if (runs_program(&r, OOM_CAP_RECLAIM)) /* each of these reclaimed before it was chosen */
		CHECK_U64(r.name, "its role", seen.core.role, OOM_ROLE_CHOSEN);
	CHECK_U64(r.name, "spilled are counted", lost[OOM_LOST_RING], 4);
	CHECK_U64(r.name, "records + spilled + lost", seen.n_victims + 4 + lost[OOM_LOST_SPILL], 8);
	place_remove(&r.place);
	cgroup_layout_done(&r.place.layout);
}
