/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel log as a source
 *
 * Enrichment where the decision cannot be hooked, and the last resort where no program loads at all. Its header lines are rate
 * limited by the kernel, so that absence proves nothing.
 */
#define LOG_MODULE "oom"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include "agent/oom/internal.h"
#include "base/log.h"
#include "base/time.h"
#include "sys/kmsg.h"

#define RECORDS_PER_WAKEUP 256

/* Boot time of a line: not when it is read, which may be later. */
static uint64_t written_ns(struct oom_state *s, const struct kmsg_oom *k)
{
	uint64_t mono_us = time_mono_us(), now_ns = time_boot_ns();
	uint64_t then_us = kmsg_clock_mono(&s->kmsg_clock, k->stamp_us, mono_us);

	return now_ns - (mono_us - then_us) * NS_PER_USEC;
}

/* A "Killed process" line as a record, where nothing better is live. */
static void feed_killed(struct oom_state *s, const struct kmsg_oom *k, uint64_t boot_ns)
{
	static struct oom_victim v;
	uint64_t page_kib = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;

	memset(&v, 0, sizeof(v));
	v.head = (struct record_head){ .type = OOM_RECORD_VICTIM,
				       .size = offsetof(struct oom_victim, text),
				       .boot_ns = boot_ns };
	v.tgid = v.tid = k->pid;
	v.uid = k->uid;
	v.adj = k->adj;
	v.kind = OOM_VICTIM_KILL;
	v.rss_anon = k->anon_rss_kb / page_kib;
	v.rss_file = k->file_rss_kb / page_kib;
	v.rss_shmem = k->shmem_rss_kb / page_kib;
	v.total_vm = k->total_vm_kb / page_kib;
	v.pgtables_bytes = k->pgtables_kb * 1024;
	v.swap = OOM_UNKNOWN64;
	memcpy(v.comm, k->comm, sizeof(v.comm) - 1);
	correlator_feed(s->correlator, &v.head, false, loop_now(s->agent->loop));
}

static void take_record(struct oom_state *s, const struct kmsg_oom *k, size_t n)
{
	const struct hook_state *states = oom_hooks_states(s->hooks);
	const char *line = memchr(s->kmsg_text, ';', n);
	uint64_t boot_ns = written_ns(s, k);
	size_t len;

	/* "prio,seq,usec,flags;text\n KEY=value…" */
	line = line ? line + 1 : s->kmsg_text + n;
	len = strcspn(line, "\n");
	if (k->fields & KMSG_NO_KILLABLE && hook_live_is(&states[OOM_CAP_INVOKE], "kmsg"))
		oom_publish_no_victim(s, &(struct report_no_victim){ .boot_ns = boot_ns,
								     .scope = SCOPE_UNKNOWN,
								     .certain = true,
								     .source = "kmsg" });
	if (k->fields & KMSG_KILLED && hook_live_is(&states[OOM_CAP_KILL], "kmsg"))
		feed_killed(s, k, boot_ns);
	correlator_kmsg(s->correlator, k, line, len, loop_now(s->agent->loop));
}

static void on_kmsg(void *ctx, uint32_t events)
{
	struct oom_state *s = ctx;

	(void)events;
	for (unsigned i = 0; i < RECORDS_PER_WAKEUP; i++) {
		struct kmsg_oom k;
		ssize_t n = read(s->kmsg_fd, s->kmsg_text, sizeof(s->kmsg_text) - 1);

		/* EPIPE: records were overwritten before we came; the next read goes on behind them. */
		if (n < 0 && (errno == EPIPE || errno == EINTR || errno == EINVAL))
			continue;
		if (n <= 0)
			break;
		s->kmsg_text[n] = '\0';
		if (kmsg_parse(s->kmsg_text, (size_t)n, &k) == 1)
			take_record(s, &k, (size_t)n);
	}
	oom_run_correlator(s);
}

/* The decision is not hooked, or the victim's counters cannot be read by typed loads alone. */
static bool wanted(const struct oom_state *s)
{
	const struct hook_state *states = oom_hooks_states(s->hooks);

	if (s->config.kmsg != OOM_KMSG_AUTO)
		return s->config.kmsg == OOM_KMSG_ON;
	if (strstr(hook_live_name(&states[OOM_CAP_KILL]), "_direct"))
		return true;
	return !hook_live_is(&states[OOM_CAP_DECISION], "fentry") &&
	       !hook_live_is(&states[OOM_CAP_DECISION], "kprobe");
}

void oom_kmsg_start(struct oom_state *s)
{
	int r;

	if (!wanted(s))
		return;
	s->kmsg_fd = kmsg_open(NULL);
	if (s->kmsg_fd < 0) {
		log_warning_errno(s->kmsg_fd,
				  "cannot read the kernel log (needs CAP_SYSLOG), ignoring");
		return;
	}
	r = loop_add_fd(s->agent->loop, s->kmsg_fd, EPOLLIN, on_kmsg, s, &s->kmsg_source);
	if (r < 0)
		log_warning_errno(r, "cannot follow the kernel log, ignoring");
}

void oom_kmsg_stop(struct oom_state *s)
{
	s->kmsg_source = loop_source_free(s->kmsg_source);
	if (s->kmsg_fd >= 0)
		(void)close(s->kmsg_fd);
	s->kmsg_fd = -EBADF;
}
