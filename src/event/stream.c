/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer thread: queue → journal → clients → sinks
 *
 * A batch is one transaction. When the journal refuses, the batch is tried again with growing pauses for as long as it takes;
 * after three failures events of class oom go to stderr and everybody else gets the batch all the same, so that a full
 * disk hides nothing. The queue keeps the batch until it is on disk.
 */
#define LOG_MODULE "events"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include "base/log.h"
#include "base/time.h"
#include "event/internal.h"

#define QUEUE_BYTES (1 << 20)
#define BATCH_EVENTS 512
#define STACK_BYTES (256 * 1024)
#define EXPIRE_EVERY_US (600 * US_PER_SEC)
#define REOPEN_EVERY_US (10 * US_PER_SEC)
#define PING_EVERY_US (15 * US_PER_SEC)
#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 5000
#define TELL_AFTER 3

struct event_stream {
	struct event_origin *origin;
	struct queue queues[_EVENT_CLASS_MAX];
	pthread_mutex_t other_lock; /* producers of class other: the loop and HTTP threads */
	int wake_fd;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	struct journal_options journal_options;
	char journal_path[4096];
	struct journal *journal; /* writer thread only, as the next */
	int64_t last_row;
	struct clients *clients;
	struct sinks *sinks;
	void (*on_journaled)(void *ctx, const struct event_keys *k, uint64_t boot_ns);
	void *on_journaled_ctx;
	uint64_t next_expire_us, next_ping_us, next_open_us;
	_Atomic uint64_t published, refused[_EVENT_CLASS_MAX], done, journaled, errors, retries,
		bytes, expired, missed[_EVENT_CLASS_MAX];
};

void event_format_id(char *buf, size_t size, const char *start, uint64_t sequence)
{
	(void)snprintf(buf, size, "%s-%06llu", start, (unsigned long long)sequence);
}

/* --- journal --- */

static void open_journal(struct event_stream *s, uint64_t now_us)
{
	char why[512] = "";
	int r;

	if (!s->journal_path[0] || s->journal || now_us < s->next_open_us)
		return;
	s->next_open_us = now_us + REOPEN_EVERY_US;
	if (s->journal_options.damaged)
		log_warning_limited("the journal '%s' is damaged: setting it aside, beginning anew",
				    s->journal_path);
	r = journal_open(&s->journal_options, why, sizeof(why), &s->journal);
	if (r < 0) {
		s->errors++;
		log_warning_limited("%s: events are not journalled, trying again each 10 s", why);
		return;
	}
	s->journal_options.damaged = false;
	s->last_row = MAX(s->last_row, journal_last_row(s->journal));
	s->bytes = journal_bytes(s->journal);
}

/* After -EUCLEAN or -EIO: whoever opens next finds out, or sets aside what reads well at first sight but is not. */
static void reopen_journal(struct event_stream *s, int error)
{
	s->journal = journal_free(s->journal);
	s->journal_options.damaged |= error == -EUCLEAN;
	s->next_open_us = 0;
	open_journal(s, time_mono_us());
}

static void expire(struct event_stream *s, uint64_t now_us)
{
	uint64_t removed = 0;
	int r;

	if (!s->journal || now_us < s->next_expire_us)
		return;
	s->next_expire_us = now_us + EXPIRE_EVERY_US;
	r = journal_expire(s->journal, time_wall_ns(), &removed);
	if (r < 0)
		log_warning_limited("cannot expire old events of the journal: %s, ignoring",
				    strerror(-r));
	s->expired += removed;
	if (r == -EUCLEAN)
		reopen_journal(s, r);
	if (s->journal)
		s->bytes = journal_bytes(s->journal);
}

static void say_on_stderr(struct queued *e)
{
	struct iovec parts[2] = { { (void *)queued_json(e), e->json_len }, { (void *)"\n", 1 } };

	if (e->told)
		return;
	e->told = 1;
	if (writev(STDERR_FILENO, parts, 2) < 0) {
		/* Nobody is left to tell. */
	}
}

struct batch {
	size_t ends[_EVENT_CLASS_MAX]; /* positions behind the last entry */
	size_t n;
};

typedef int (*entry_fn)(struct event_stream *s, struct queued *e, enum event_class c);

/* The same entries at each call: oom first, then the others, up to the ends of the batch. */
static int for_each_entry(struct event_stream *s, const struct batch *b, entry_fn fn)
{
	for (unsigned c = 0; c < _EVENT_CLASS_MAX; c++) {
		size_t position = queue_first(&s->queues[c]);

		while (position != b->ends[c]) {
			struct queued *e = queue_next(&s->queues[c], &position);
			int r = e ? fn(s, e, c) : 0;

			if (r < 0)
				return r;
			if (!e)
				break;
		}
	}
	return 0;
}

static void collect(struct event_stream *s, size_t max, struct batch *b)
{
	b->n = 0;
	for (unsigned c = 0; c < _EVENT_CLASS_MAX; c++) {
		size_t position = queue_first(&s->queues[c]);

		b->ends[c] = position;
		while (b->n < max && queue_next(&s->queues[c], &position)) {
			b->ends[c] = position;
			b->n++;
		}
	}
}

static int append(struct event_stream *s, struct queued *e, enum event_class c)
{
	struct event_keys k;
	char id[40];
	int r;

	(void)c;
	queued_keys(e, &k);
	event_format_id(id, sizeof(id), event_origin_start(s->origin), e->sequence);
	r = journal_append(s->journal, &k, id, queued_json(e), e->json_len, &e->row);
	s->last_row = MAX(s->last_row, e->row);
	return r;
}

static int write_batch(struct event_stream *s, const struct batch *b)
{
	int r = journal_begin(s->journal);

	if (r >= 0)
		r = for_each_entry(s, b, append);
	if (r >= 0)
		r = journal_commit(s->journal);
	if (r < 0)
		journal_rollback(s->journal);
	return r;
}

static int hand(struct event_stream *s, struct queued *e, enum event_class c)
{
	struct event_keys k;
	char id[40];

	(void)c;
	if (e->handed)
		return 0;
	e->handed = 1;
	queued_keys(e, &k);
	event_format_id(id, sizeof(id), event_origin_start(s->origin), e->sequence);
	clients_hand(s->clients, &k, id, e->row, queued_json(e), e->json_len);
	sinks_write(s->sinks, &k, queued_json(e), e->json_len);
	return 0;
}

static int tell(struct event_stream *s, struct queued *e, enum event_class c)
{
	(void)s;
	e->row = 0; /* not on disk: nothing to compare a replay with */
	if (c == EVENT_CLASS_OOM)
		say_on_stderr(e);
	return 0;
}

static int give_up(struct event_stream *s, struct queued *e, enum event_class c)
{
	s->missed[c]++;
	return tell(s, e, c);
}

static int report_journaled(struct event_stream *s, struct queued *e, enum event_class c)
{
	struct event_keys k;

	(void)c;
	queued_keys(e, &k);
	if (s->on_journaled)
		s->on_journaled(s->on_journaled_ctx, &k, e->boot_ns);
	return 0;
}

/* While the disk refuses, whatever is queued goes to all others, also what came after the batch that waits. */
static void pass_by(struct event_stream *s)
{
	struct batch all;

	collect(s, SIZE_MAX, &all);
	(void)for_each_entry(s, &all, tell);
	(void)for_each_entry(s, &all, hand);
}

static void pause_ms(struct event_stream *s, unsigned ms)
{
	/* In steps, so that a stop is not held up. */
	for (unsigned done = 0; done < ms && !s->stop; done += 50)
		(void)poll(NULL, 0, 50);
}

/*
 * Until it is on disk; gives up only when the agent stops, or when there was no journal to begin with: one that is lost on
 * the way is opened until it opens.
 */
static bool journal_batch(struct event_stream *s, const struct batch *b)
{
	unsigned wait = RETRY_FIRST_MS;

	if (!s->journal)
		return false;
	for (unsigned failures = 0;;) {
		uint64_t removed = 0;
		int r = s->journal ? write_batch(s, b) : -EIO;

		if (r >= 0) {
			s->journaled += b->n;
			s->journal_options.after_row = s->last_row;
			s->bytes = journal_bytes(s->journal);
			return true;
		}
		s->errors++;
		failures++;
		log_warning_limited("cannot write to the journal: %s, trying again", strerror(-r));
		if (failures >= TELL_AFTER)
			pass_by(s);
		if (r == -ENOSPC)
			(void)journal_expire(s->journal, time_wall_ns(), &removed);
		s->expired += removed;
		if (r == -EUCLEAN || r == -EIO)
			reopen_journal(s, r);
		if (s->stop && failures >= TELL_AFTER)
			return false;
		s->retries++;
		pause_ms(s, wait);
		wait = MIN(wait * 2, (unsigned)RETRY_MAX_MS);
	}
}

/*
 * A journal that was never open. Everybody else gets what there is, and it stays in the queue for the day when the journal
 * opens, but never more than half of the queue, so that there is always room for what comes. True: nothing else to do.
 */
static bool keep_for_later(struct event_stream *s, struct batch *b)
{
	if (s->journal || !s->journal_path[0] || s->stop)
		return false;
	pass_by(s);
	b->n = 0;
	for (unsigned c = 0; c < _EVENT_CLASS_MAX; c++) {
		size_t position = queue_first(&s->queues[c]);

		while (queue_bytes(&s->queues[c], position) > s->queues[c].size / 2 &&
		       queue_next(&s->queues[c], &position))
			b->n++;
		b->ends[c] = position;
	}
	return b->n == 0;
}

static void drain(struct event_stream *s)
{
	struct batch b;

	for (;;) {
		bool journaled;

		if (keep_for_later(s, &b))
			return;
		if (s->journal || !s->journal_path[0] || s->stop)
			collect(s, BATCH_EVENTS, &b);
		if (b.n == 0)
			return;
		journaled = journal_batch(s, &b);
		if (!journaled && s->journal_path[0]) {
			(void)for_each_entry(s, &b, give_up);
		}
		(void)for_each_entry(s, &b, hand);
		if (journaled)
			(void)for_each_entry(s, &b, report_journaled);
		for (unsigned c = 0; c < _EVENT_CLASS_MAX; c++)
			queue_advance(&s->queues[c], b.ends[c]);
		s->done += b.n;
		/* By size at once, by age at the next turn. */
		if (s->journal && s->journal_options.max_bytes &&
		    s->bytes > s->journal_options.max_bytes)
			s->next_expire_us = 0;
		expire(s, time_mono_us());
	}
}

/* Sleeps without a timeout while nothing is due: an idle agent does not wake up for this thread. */
static int sleep_ms(const struct event_stream *s, uint64_t now_us)
{
	uint64_t until = UINT64_MAX;

	if (s->journal)
		until = MIN(until, s->next_expire_us);
	else if (s->journal_path[0])
		until = MIN(until, s->next_open_us);
	if (clients_any(s->clients))
		until = MIN(until, s->next_ping_us);
	if (until == UINT64_MAX)
		return -1;
	return until <= now_us ? 0
			       : (int)MIN((until - now_us) / US_PER_MSEC + 1, (uint64_t)3600000);
}

static void *writer(void *arg)
{
	struct event_stream *s = arg;

	for (;;) {
		struct pollfd p = { .fd = s->wake_fd, .events = POLLIN };
		uint64_t n, now = time_mono_us();
		bool last =
			s->stop; /* before the drain, so that what was published before the stop is in it */

		open_journal(s, now);
		expire(s, now);
		if (clients_any(s->clients) && now >= s->next_ping_us) {
			clients_ping(s->clients);
			s->next_ping_us = now + PING_EVERY_US;
		}
		drain(s);
		if (last)
			break;
		if (poll(&p, 1, sleep_ms(s, time_mono_us())) > 0 &&
		    read(s->wake_fd, &n, sizeof(n)) < 0)
			continue;
	}
	return NULL;
}

/* --- public --- */

static int start_thread(struct event_stream *s)
{
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r)
		return -r;
	r = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (!r)
		r = pthread_create(&s->thread, &attr, writer, s);
	(void)pthread_attr_destroy(&attr);
	s->running = r == 0;
	return -r;
}

/**
 * event_stream_new() - start the writer
 * @o: copied
 *
 * A journal that cannot be opened is a warning and is tried again each 10 s: clients and sinks get events all the same.
 *
 * Return: 0; -ENOMEM; -errno of the thread.
 */
int event_stream_new(const struct event_stream_options *o, struct event_origin *origin,
		     struct event_stream **ret)
{
	_cleanup_(event_stream_freep) struct event_stream *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	s->origin = origin;
	pthread_mutex_init(&s->other_lock, NULL);
	s->journal_options = o->journal;
	(void)snprintf(s->journal_path, sizeof(s->journal_path), "%s",
		       o->journal.path ? o->journal.path : "");
	s->journal_options.path = s->journal_path;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0)
		return -errno;
	for (unsigned c = 0; c < _EVENT_CLASS_MAX && r >= 0; c++)
		r = queue_init(&s->queues[c], o->queue_bytes ? o->queue_bytes : QUEUE_BYTES);
	if (r >= 0)
		r = clients_new(s->journal_path, event_origin_start(origin), o->clients_max,
				&s->clients);
	if (r >= 0)
		r = sinks_new(o->sinks, o->n_sinks, &s->sinks);
	if (r < 0)
		return r;
	open_journal(
		s,
		time_mono_us()); /* here, so that its first warning stands among those of the start */
	r = start_thread(s);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

static void wake(struct event_stream *s)
{
	uint64_t one = 1;

	if (write(s->wake_fd, &one, sizeof(one)) < 0) {
		/* The counter is full: the writer is awake already. */
	}
}

struct event_stream *event_stream_free(struct event_stream *s)
{
	if (!s)
		return NULL;
	if (s->running) {
		s->stop = true; /* the writer drains once more */
		wake(s);
		(void)pthread_join(s->thread, NULL);
	}
	s->clients = clients_free(s->clients);
	s->sinks = sinks_free(s->sinks);
	s->journal = journal_free(s->journal);
	for (unsigned c = 0; c < _EVENT_CLASS_MAX; c++)
		queue_done(&s->queues[c]);
	if (s->wake_fd >= 0)
		(void)close(s->wake_fd);
	pthread_mutex_destroy(&s->other_lock);
	free(s);
	return NULL;
}

int event_publish(struct event_stream *s, enum event_class c, const struct event_buf *b)
{
	int r;

	/* Only class oom has a single producer, so only it is free of locks. */
	if (c != EVENT_CLASS_OOM)
		pthread_mutex_lock(&s->other_lock);
	r = queue_put(&s->queues[c], b, b->boot_ns);
	if (c != EVENT_CLASS_OOM)
		pthread_mutex_unlock(&s->other_lock);
	if (r < 0) {
		s->refused[c]++;
		return r;
	}
	s->published++;
	wake(s);
	return 0;
}

int event_stream_flush(struct event_stream *s, unsigned timeout_ms)
{
	uint64_t want = s->published;

	for (unsigned waited = 0; s->done < want; waited += 5) {
		if (waited >= timeout_ms)
			return -ETIMEDOUT;
		(void)poll(NULL, 0, 5);
	}
	return 0;
}

void event_stream_stats(const struct event_stream *s, struct event_stream_stats *ret)
{
	*ret = (struct event_stream_stats){
		.published = s->published,
		.refused = { s->refused[0], s->refused[1] },
		.journaled = s->journaled,
		.journal_errors = s->errors,
		.journal_retries = s->retries,
		.journal_bytes = s->bytes,
		.journal_expired = s->expired,
		.journal_missed = { s->missed[EVENT_CLASS_OOM], s->missed[EVENT_CLASS_OTHER] },
	};
	sinks_stats(s->sinks, ret);
	clients_stats(s->clients, ret);
}

void event_stream_on_journaled(struct event_stream *s,
			       void (*fn)(void *ctx, const struct event_keys *k, uint64_t boot_ns),
			       void *ctx)
{
	s->on_journaled_ctx = ctx;
	s->on_journaled = fn;
}

struct clients *event_stream_clients(struct event_stream *s)
{
	return s->clients;
}

void event_stream_joined(struct event_stream *s)
{
	wake(s);
}

const char *event_stream_journal_path(const struct event_stream *s)
{
	return s->journal_path;
}

static int count_row(void *ctx, const char *id, const char *name, const char *json, size_t len)
{
	(void)id, (void)name, (void)json, (void)len;
	++*(int *)ctx;
	return 0;
}

static void describe_journal(const struct event_stream *s, const char *id, struct strbuf *out)
{
	_cleanup_(journal_freep) struct journal *j = NULL;
	char why[256] = "";
	int found = 0;

	if (!s->journal_path[0])
		return;
	if (journal_open_readonly(s->journal_path, why, sizeof(why), &j) >= 0)
		(void)journal_get(j, id, count_row, &found);
	strbuf_addf(out, "{\"destination\":\"journal\",\"id\":\"%s\",\"result\":\"%s\"}\n", id,
		    found ? "delivered" : "failed");
}

int event_stream_test(struct event_stream *s, struct strbuf *out)
{
	_cleanup_(freep) char *memory = malloc(EVENT_BYTES_MAX);
	struct event_buf b;
	char id[40];
	int r;

	if (!memory)
		return -ENOMEM;
	event_buf_init(&b, memory, EVENT_BYTES_MAX);
	event_begin(&b, s->origin, "runtime.alert", SEVERITY_INFO, time_wall_ns(), time_boot_ns());
	event_str(&b, "telamon.rule.id", "self_test");
	event_bool(&b, "telamon.alert.test", true);
	event_str(&b, "message", "A test alert: nothing happened.");
	r = event_end(&b);
	if (r >= 0)
		r = event_publish(s, EVENT_CLASS_OTHER, &b);
	if (r >= 0)
		r = event_stream_flush(s, 3000);
	event_format_id(id, sizeof(id), event_origin_start(s->origin), b.keys.sequence);
	if (r < 0 && r != -ETIMEDOUT)
		return r;
	describe_journal(s, id, out);
	(void)sinks_describe(s->sinks, out, "runtime.alert");
	return out->error;
}
