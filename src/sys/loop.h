/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/cleanup.h"

/*
 * One epoll loop and a small worker pool
 *
 * Everything that owns state runs on the loop thread. Blocking work (files, kubelet, collectors) runs on a worker and
 * its result comes back to the loop; so state needs no locks. Timers share one timerfd.
 */
struct loop;
int loop_new(struct loop **ret);
struct loop *loop_free(struct loop *l);
DEFINE_CLEANUP(struct loop *, loop_free);
int loop_run(struct loop *l); /* until loop_stop(); returns its code or -errno */
void loop_stop(struct loop *l, int code);

struct loop_source;
typedef void (*loop_fd_fn)(void *ctx, uint32_t events);
int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *ctx,
		struct loop_source **ret);
/* Other events than before; 0 = none for now. Allocates nothing. */
void loop_source_events(struct loop_source *s, uint32_t events);
struct loop_source *
loop_source_free(struct loop_source *s); /* leaves the fd open; safe inside its own callback */
DEFINE_CLEANUP(struct loop_source *, loop_source_free);

struct loop_timer;
typedef void (*loop_timer_fn)(void *ctx, uint64_t now_us);
int loop_add_timer(struct loop *l, loop_timer_fn fn, void *ctx, struct loop_timer **ret);
void loop_timer_at(struct loop_timer *t,
		   uint64_t mono_us); /* 0 = off; fires once; allocates nothing */
struct loop_timer *loop_timer_free(struct loop_timer *t);
DEFINE_CLEANUP(struct loop_timer *, loop_timer_free);
uint64_t loop_now(const struct loop *l); /* monotonic µs, read once per wake-up */

/* Work for a worker. Embedded in the caller's object, which lives until done() was called on the loop thread. */
struct work {
	void (*run)(struct work *w);
	void (*done)(struct work *w);
	struct work *next;
};
struct workers;
int workers_new(struct loop *l, unsigned threads, unsigned queue_max, struct workers **ret);
struct workers *workers_free(struct workers *w); /* waits for what runs, calls done() of all */
DEFINE_CLEANUP(struct workers *, workers_free);
int workers_submit(struct workers *w, struct work *work); /* -EAGAIN when the queue is full */
uint64_t workers_refused(const struct workers *w);
