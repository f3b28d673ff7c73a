/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker pool beside the loop
 *
 * A bounded queue in, an unbounded (because bounded by the same work) list out; an eventfd wakes the loop. The loop
 * thread never waits for a worker: the mutex is held for a few instructions only.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "sys/loop.h"

#define WORKERS_MAX 8
#define STACK_BYTES (256 * 1024)

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t ready;
	pthread_t threads[WORKERS_MAX];
	unsigned n_threads, queued, queue_max;
	bool stop;
	uint64_t refused;
	struct work *head, **tail; /* waiting */
	struct work *finished, **finished_tail;
	int event_fd;
	struct loop_source *source;
};

static void *worker(void *arg)
{
	struct workers *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct work *work;
		uint64_t one = 1;

		while (!w->head && !w->stop)
			pthread_cond_wait(&w->ready, &w->lock);
		if (!w->head)
			break;
		work = w->head;
		w->head = work->next;
		if (!w->head)
			w->tail = &w->head;
		w->queued--;
		pthread_mutex_unlock(&w->lock);

		work->run(work);

		pthread_mutex_lock(&w->lock);
		work->next = NULL;
		*w->finished_tail = work;
		w->finished_tail = &work->next;
		if (write(w->event_fd, &one, sizeof(one)) < 0)
			/* The counter is full: the loop is awake already. */
			continue;
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void finish(struct workers *w)
{
	struct work *list;

	pthread_mutex_lock(&w->lock);
	list = w->finished;
	w->finished = NULL;
	w->finished_tail = &w->finished;
	pthread_mutex_unlock(&w->lock);

	while (list) {
		struct work *next = list->next;

		list->done(list); /* may free it */
		list = next;
	}
}

static void on_finished(void *ctx, uint32_t events)
{
	struct workers *w = ctx;
	uint64_t n;

	(void)events;
	if (read(w->event_fd, &n, sizeof(n)) > 0)
		finish(w);
}

static int start_threads(struct workers *w, unsigned threads)
{
	pthread_attr_t attr;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	/* Small stacks, because the agent locks its memory. */
	r = pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (; !r && w->n_threads < threads && w->n_threads < WORKERS_MAX; w->n_threads++) {
		r = pthread_create(&w->threads[w->n_threads], &attr, worker, w);
		if (r)
			break;
	}
	(void)pthread_attr_destroy(&attr);
	return -r;
}

/**
 * workers_new() - threads for work that blocks
 * @threads:   1..8
 * @queue_max: work waiting at most; more is refused and counted
 *
 * Return: 0; -ENOMEM; -EAGAIN when the system refuses a thread; else -errno.
 */
int workers_new(struct loop *l, unsigned threads, unsigned queue_max, struct workers **ret)
{
	_cleanup_(workers_freep) struct workers *w = NULL;
	int r;

	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->event_fd = -EBADF;
	w->queue_max = queue_max;
	w->tail = &w->head;
	w->finished_tail = &w->finished;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->ready, NULL);

	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event_fd < 0)
		return -errno;
	r = loop_add_fd(l, w->event_fd, EPOLLIN, on_finished, w, &w->source);
	if (r < 0)
		return r;
	r = start_threads(w, threads);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(w);
	return 0;
}

struct workers *workers_free(struct workers *w)
{
	if (!w)
		return NULL;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->ready);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->n_threads; i++)
		pthread_join(w->threads[i], NULL);
	finish(w);
	loop_source_free(w->source);
	if (w->event_fd >= 0)
		(void)close(w->event_fd);
	pthread_cond_destroy(&w->ready);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

int workers_submit(struct workers *w, struct work *work)
{
	int r = 0;

	work->next = NULL;
	pthread_mutex_lock(&w->lock);
	if (w->stop || w->queued >= w->queue_max) {
		w->refused++;
		r = -EAGAIN;
	} else {
		*w->tail = work;
		w->tail = &work->next;
		w->queued++;
		pthread_cond_signal(&w->ready);
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

uint64_t workers_refused(const struct workers *w)
{
	return __atomic_load_n(&w->refused, __ATOMIC_RELAXED);
}
