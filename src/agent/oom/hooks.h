/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bpf/api/oom.h"
#include "sys/hook.h"
#include "sys/probe.h"

/* Only hooks-load.c includes the skeleton of bpf/oom.bpf.c; all other code sees decoded records. */

struct oom_hooks_options {
	uint64_t ring_bytes; /* rounded up to a power of two of pages */
	uint32_t spill_entries, args_entries, victims;
	uint32_t args_bytes; /* 0: no command lines */
	bool user_stack;
	/* Variants that may not be used, "capability/variant", NULL-terminated; NULL: none. */
	const char *const *disabled;
};

struct oom_hooks_sink {
	/* Called on the reader's thread in ring order; the record is valid during the call. Allocates nothing. */
	void (*record)(void *ctx, const struct record_head *head, bool spilled);
	void *ctx;
};

/* Index into the states. */
enum oom_capability {
	OOM_CAP_KILL,
	OOM_CAP_SIGNAL,
	OOM_CAP_DECISION,
	OOM_CAP_ATTEMPT,
	OOM_CAP_INVOKE,
	OOM_CAP_RECLAIM,
	OOM_CAP_LIMIT,
	OOM_CAP_REAPER,
	OOM_CAP_EXIT,
	OOM_CAP_ARGS,
	OOM_CAP_STAT,
	_OOM_CAP_MAX,
};
extern const struct hook *const oom_capabilities[_OOM_CAP_MAX];

struct oom_hooks;
/* Selects, loads and attaches. Succeeds with no BPF program live at all (states say so); fails only for -ENOMEM. */
int oom_hooks_new(const struct oom_hooks_options *options, const struct hook_env *env,
		  const struct oom_hooks_sink *sink, struct oom_hooks **ret);
struct oom_hooks *oom_hooks_free(struct oom_hooks *h);
DEFINE_CLEANUP(struct oom_hooks *, oom_hooks_free);
/* For the doctor: probes and trial loads only; attaches nothing. */
int oom_hooks_probe(const struct hook_env *env, struct hook_state states[_OOM_CAP_MAX]);
const struct hook_state *oom_hooks_states(const struct oom_hooks *h); /* _OOM_CAP_MAX of them */

/* Of another probing of the same host: why variants are not live, where the live one is the same. */
void oom_hooks_take_reasons(struct oom_hooks *h, const struct oom_hooks *fresh);
/* Programs stop; what they wrote can still be read. */
void oom_hooks_detach(struct oom_hooks *h);
/* Can the maps be read by this thread, with the rights that it has now? 0; -errno. */
int oom_hooks_readable(const struct oom_hooks *h);

int oom_hooks_fd(const struct oom_hooks
			 *h); /* poll for reading; -ENOENT without a ring; -EIO: it is not mapped */
/* Maps the ring anew, after the descriptor of the last time is not polled any more. 0; -errno, and it is not mapped. */
int oom_hooks_reopen(struct oom_hooks *h);
int oom_hooks_consume(
	struct oom_hooks *h); /* all that waits, ring then spill; number of records or -errno */
/* From within the sink: what is behind this record waits for the next call. */
void oom_hooks_enough(struct oom_hooks *h);
int oom_hooks_drain_spill(struct oom_hooks *h); /* each second; number drained */
void oom_hooks_lost(const struct oom_hooks *h,
		    uint64_t ret[_OOM_LOST_MAX]); /* totals since start */
uint64_t
oom_hooks_malformed(const struct oom_hooks *h); /* records whose size is not that of a record */

/* Level counters of the kernel program (oom_limit fentry/kprobe): calls @fn for each cgroup with its hits since the last call. */
int oom_hooks_limits(const struct oom_hooks *h,
		     void (*fn)(void *ctx, uint64_t cgroup_id, const struct oom_limit_hits *hits),
		     void *ctx);
/* Seeds the command lines of processes that run already. Number seeded. Reads /proc: after attach, not on the event path. */
int oom_hooks_seed_args(struct oom_hooks *h);
