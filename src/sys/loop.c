/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll loop
 *
 * One thread, level-triggered epoll, one timerfd armed for the earliest timer. Sources and timers are few (tens), so the
 * timers stand in an unordered list: the scan is cheaper than a heap is complicated. A source that is freed inside a
 * callback may still have an event in the batch at hand, so it is only unlinked at once and freed after the batch.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include "base/time.h"
#include "sys/loop.h"

#define EVENTS_PER_WAKEUP 32

struct loop_source {
	struct loop *loop;
	struct loop_source *next_dead;
	int fd;
	bool dead;
	loop_fd_fn fn;
	void *ctx;
};

struct loop_timer {
	struct loop *loop;
	struct loop_timer *next;
	uint64_t at_us; /* 0 = off */
	bool dead;
	loop_timer_fn fn;
	void *ctx;
};

struct loop {
	int epoll_fd, timer_fd;
	bool stop, in_batch;
	int code;
	uint64_t now_us, armed_us;
	struct loop_timer *timers;
	struct loop_source *dead;
};

int loop_new(struct loop **ret)
{
	_cleanup_(loop_freep) struct loop *l = NULL;
	struct epoll_event ev = { .events = EPOLLIN };

	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->epoll_fd = l->timer_fd = -EBADF;

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return -errno;
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->timer_fd < 0)
		return -errno;
	ev.data.ptr = NULL; /* the timer is the only source without an object */
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->timer_fd, &ev) < 0)
		return -errno;
	l->now_us = time_mono_us();

	*ret = TAKE_PTR(l);
	return 0;
}

static void free_dead(struct loop *l)
{
	struct loop_timer **p = &l->timers;

	while (l->dead) {
		struct loop_source *s = l->dead;

		l->dead = s->next_dead;
		free(s);
	}
	while (*p) {
		struct loop_timer *t = *p;

		if (!t->dead) {
			p = &t->next;
			continue;
		}
		*p = t->next;
		free(t);
	}
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	free_dead(l);
	while (l->timers) {
		struct loop_timer *t = l->timers;

		l->timers = t->next;
		free(t);
	}
	if (l->timer_fd >= 0)
		(void)close(l->timer_fd);
	if (l->epoll_fd >= 0)
		(void)close(l->epoll_fd);
	free(l);
	return NULL;
}

/* Arms the timerfd for the earliest timer; a call that would change nothing is left out. */
static void arm(struct loop *l)
{
	struct itimerspec spec = {};
	uint64_t earliest = 0;

	for (const struct loop_timer *t = l->timers; t; t = t->next)
		if (!t->dead && t->at_us && (!earliest || t->at_us < earliest))
			earliest = t->at_us;
	if (earliest == l->armed_us)
		return;
	spec.it_value.tv_sec = (time_t)(earliest / US_PER_SEC);
	spec.it_value.tv_nsec = (long)(earliest % US_PER_SEC * NS_PER_USEC);
	if (timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0)
		l->armed_us = earliest;
}

static void run_timers(struct loop *l)
{
	uint64_t expirations;

	if (read(l->timer_fd, &expirations, sizeof(expirations)) < 0)
		assert(errno == EAGAIN || errno == EINTR);
	l->armed_us = 0; /* it fired, so arm() must set it again */
	for (struct loop_timer *t = l->timers; t; t = t->next) {
		if (t->dead || !t->at_us || t->at_us > l->now_us)
			continue;
		t->at_us = 0;
		t->fn(t->ctx, l->now_us);
	}
}

int loop_run(struct loop *l)
{
	while (!l->stop) {
		struct epoll_event events[EVENTS_PER_WAKEUP];
		bool timers = false;
		int n;

		arm(l);
		n = epoll_wait(l->epoll_fd, events, EVENTS_PER_WAKEUP, -1);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		l->now_us = time_mono_us();
		l->in_batch = true;
		for (int i = 0; i < n; i++) {
			struct loop_source *s = events[i].data.ptr;

			if (!s)
				timers = true;
			else if (!s->dead)
				s->fn(s->ctx, events[i].events);
		}
		/* After the files: a timer that waits for data must see what came together with it. */
		if (timers)
			run_timers(l);
		l->in_batch = false;
		free_dead(l);
	}
	l->stop = false;
	return l->code;
}

void loop_stop(struct loop *l, int code)
{
	l->stop = true;
	l->code = code;
}

uint64_t loop_now(const struct loop *l)
{
	return l->now_us;
}

/**
 * loop_add_fd() - call back when a file is ready
 * @fd:     borrowed; stays open until after loop_source_free()
 * @events: EPOLLIN, EPOLLOUT, EPOLLPRI; EPOLLERR and EPOLLHUP are always told
 *
 * Return: 0; -EPERM for a file that cannot be polled; else -errno.
 */
int loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *ctx,
		struct loop_source **ret)
{
	_cleanup_(freep) struct loop_source *s = NULL;
	struct epoll_event ev = { .events = events };

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->loop = l;
	s->fd = fd;
	s->fn = fn;
	s->ctx = ctx;
	ev.data.ptr = s;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;

	*ret = TAKE_PTR(s);
	return 0;
}

void loop_source_events(struct loop_source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	if (s && !s->dead)
		(void)epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev);
}

struct loop_source *loop_source_free(struct loop_source *s)
{
	if (!s || s->dead)
		return NULL;
	(void)epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	s->dead = true;
	s->next_dead = s->loop->dead;
	s->loop->dead = s;
	if (!s->loop->in_batch)
		free_dead(s->loop);
	return NULL;
}

int loop_add_timer(struct loop *l, loop_timer_fn fn, void *ctx, struct loop_timer **ret)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->loop = l;
	t->fn = fn;
	t->ctx = ctx;
	t->next = l->timers;
	l->timers = t;
	*ret = t;
	return 0;
}

void loop_timer_at(struct loop_timer *t, uint64_t mono_us)
{
	t->at_us = mono_us;
}

struct loop_timer *loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return NULL;
	t->dead = true;
	if (!t->loop->in_batch)
		free_dead(t->loop);
	return NULL;
}
