/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring of OOM records as a source
 *
 * Its descriptor sits in the loop; a timer wakes up only while a run is open. A ring that cannot be mapped or read is opened anew at the
 * next tick, so at most once a second (OOM-603): what waits in it is the kernel's and stays there.
 */
#define LOG_MODULE "oom"

#include <errno.h>
#include <sys/epoll.h>
#include "agent/oom/internal.h"
#include "base/log.h"
#include "base/time.h"

#define VICTIMS_AT_ONCE 96
#define PAUSE_US \
	(30 * US_PER_MSEC) /* a decision is written 20 ms after its last record at the earliest */

static uint64_t now_us(const struct oom_state *s)
{
	return loop_now(s->agent->loop);
}

void oom_on_record(void *ctx, const struct record_head *head, bool spilled)
{
	struct oom_state *s = ctx;

	if (s->source_until_ns && head->boot_ns >= s->source_until_ns)
		return; /* a newer set of hooks tells it, too */
	s->in_ring = true;
	correlator_feed(s->correlator, head, spilled, now_us(s));
	s->in_ring = false;
	if (head->type == OOM_RECORD_VICTIM && ++s->victims_read >= VICTIMS_AT_ONCE)
		oom_hooks_enough(s->hooks);
}

void oom_on_fresh_record(void *ctx, const struct record_head *head, bool spilled)
{
	struct oom_state *s = ctx;

	if (head->boot_ns >= s->reprobe.from_ns)
		oom_on_record(s, head, spilled);
}

static void set_timer(struct oom_state *s, uint64_t at)
{
	loop_timer_at(s->timer, s->resume_us && (!at || s->resume_us < at) ? s->resume_us : at);
}

void oom_run_correlator(struct oom_state *s)
{
	correlator_run(s->correlator, now_us(s));
	set_timer(s, correlator_next(s->correlator));
}

/*
 * More at once than this and decisions would push each other out of their slots before they are written, and out of the queue of the
 * event writer. The ring keeps the rest until these are on their way.
 */
static void pause_ring(struct oom_state *s)
{
	s->resume_us = now_us(s) + PAUSE_US;
	loop_source_events(s->ring_source, 0);
}

/* Out of the loop, which would be woken for it all the time. */
static void give_up_ring(struct oom_state *s)
{
	s->ring_source = loop_source_free(s->ring_source);
	s->ring_broken = true;
	s->resume_us = 0;
}

void oom_ring_read(struct oom_state *s)
{
	int r;

	if (!s->ring_source)
		return;
	s->victims_read = 0;
	r = oom_hooks_consume(s->hooks);
	if (r == -EAGAIN) {
		pause_ring(s);
	} else if (r < 0) {
		log_warning_errno(r, "cannot read the ring of OOM records, opening it anew");
		give_up_ring(s);
	}
	oom_run_correlator(s);
}

static void on_ring(void *ctx, uint32_t events)
{
	(void)events;
	oom_ring_read(ctx);
}

static void resume_ring(struct oom_state *s)
{
	s->resume_us = 0;
	loop_source_events(s->ring_source, EPOLLIN);
	oom_ring_read(s);
}

void oom_on_timer(void *ctx, uint64_t now)
{
	struct oom_state *s = ctx;
	uint64_t next;

	correlator_run(s->correlator, now);
	next = correlator_next(s->correlator);
	/* What is due already waits for somebody else (a full queue, a worker): look again soon, not at once. */
	set_timer(s, next && next <= now ? now + 50 * US_PER_MSEC : next);
	if (s->resume_us && now >= s->resume_us)
		resume_ring(s);
}

int oom_ring_start(struct oom_state *s)
{
	int fd = oom_hooks_fd(s->hooks), r;

	s->ring_broken = fd == -EIO;
	if (fd < 0)
		return 0;
	r = loop_add_fd(s->agent->loop, fd, EPOLLIN, on_ring, s, &s->ring_source);
	if (r < 0)
		log_warning_errno(r, "cannot watch the ring of OOM records");
	s->ring_broken = r < 0;
	return r;
}

void oom_ring_tick(struct oom_state *s)
{
	int r;

	if (!s->ring_broken)
		return;
	r = oom_hooks_reopen(s->hooks);
	metric_add(s->metrics, METRIC(OOM_RING_REOPENED), 1);
	if (r < 0) {
		log_warning_limited("cannot map the ring of OOM records: %s", strerror(-r));
		return;
	}
	if (oom_ring_start(s) == 0)
		log_info("the ring of OOM records is open again");
	oom_ring_read(s);
}
