/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/gfp.h"
#include "agent/oom/record.h"
#include "event/event.h"
#include "event/redact.h"
#include "sys/hook.h"

/* Facts beside the records that a report wants; pure: files are read by these calls. */
struct report_world {
	struct event_origin *origin;
	const struct redact *redact;
	const struct gfp_names *gfp;
	const char *hooks[8]; /* "oom_kill/tp_btf_task", NULL-terminated */
	bool psi_on, args_on;
	bool lean; /* without arrays and labels: else the event would not fit */
	uint32_t members_max, processes_top;
	uint64_t boot_id; /* part of entity and decision ids */
	uint32_t cpus;
	struct identity *limit_identity,
		*trigger_identity; /* of the run at hand, NULL = not known */
	void *ctx;
	const char *(*symbol)(void *ctx, uint64_t address); /* NULL = not known */
	const char *(*user_name)(void *ctx, uint32_t uid);
	/* Exe path of a process that still runs as the same entity; length or 0. */
	size_t (*exe_of)(void *ctx, uint32_t pid, uint64_t start_boot_ns, char *buf, size_t size);
	/* Command line from /proc, NUL-separated; length or 0. */
	size_t (*args_of)(void *ctx, uint32_t pid, uint64_t start_boot_ns, char *buf, size_t size);
	uint64_t (*wall)(void *ctx, uint64_t boot_ns); /* of what is told as it happens */
	/* Memory trend and largest processes, from providers; nothing when there are none. */
	bool (*add_trend)(void *ctx, struct event_buf *b, const struct oom_run *run,
			  const struct oom_kill *k);
	void (*add_largest)(void *ctx, struct event_buf *b, const struct oom_run *run);
};

/* The cgroup of a pod tells its uid alone; the victim, where it is one of its containers, tells the rest. */
bool report_knows_pod(const struct identity *limit, const struct oom_run *run);

/* oom.kill or oom.reserve for one victim. @ret_missing: bit per enum oom_field. 0 or -ENOSPC. */
int report_kill(const struct report_world *w, const struct oom_run *run, const struct oom_kill *k,
		struct event_buf *b, unsigned *ret_missing);
/* @boot_ns: now. */
int report_aftermath(const struct report_world *w, const struct oom_run *run, const char *reason,
		     uint64_t boot_ns, struct event_buf *b);
struct report_no_victim {
	uint64_t boot_ns, duration_ns; /* duration 0 = not known */
	uint32_t trigger_pid; /* 0 = not known */
	enum oom_scope scope;
	bool certain;
	const char *source; /* oc, kmsg, counters */
	const struct identity
		*identity; /* of the cgroup whose limit was met; NULL = host or not known */
};
int report_no_victim(const struct report_world *w, const struct report_no_victim *n,
		     struct event_buf *b);
/* @where: NULL = somewhere on this host; @limit: the nearest cgroup with a limit at or above it, NULL = none known. */
int report_unseen(const struct report_world *w, uint64_t count, uint64_t boot_ns,
		  const struct identity *where, const struct identity *limit, struct event_buf *b);
int report_lost(const struct report_world *w, uint64_t count, uint64_t boot_ns,
		struct event_buf *b);
