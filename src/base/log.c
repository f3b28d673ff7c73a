/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on stderr
 *
 * logfmt as Prometheus programs write it, or JSON. A line is built in a buffer on the stack and goes out by one write(2):
 * nothing is allocated and no lock is taken, because the event path may log while memory is short.
 */

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "base/time.h"

#define LINE_MAX_BYTES 2048
#define LIMIT_WINDOW_US (10 * US_PER_SEC)

static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic int current_format = LOG_FORMAT_LOGFMT;

static const char *const level_names[_LOG_LEVEL_MAX] = { "debug", "info", "warn", "error" };
static const char *const format_names[_LOG_FORMAT_MAX] = { "logfmt", "json" };

void log_setup(enum log_level level, enum log_format format)
{
	current_level = level;
	current_format = format;
}

enum log_level log_level(void)
{
	return current_level;
}

static int index_of(const char *const *names, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (streq(names[i], s))
			return (int)i;
	return -EINVAL;
}

int log_level_from_string(const char *s)
{
	return index_of(level_names, ARRAY_SIZE(level_names), s);
}

int log_format_from_string(const char *s)
{
	return index_of(format_names, ARRAY_SIZE(format_names), s);
}

/* JSON escapes serve logfmt too: both quote with " and \. */
static void add_quoted(struct strbuf *b, const char *s)
{
	strbuf_addch(b, '"');
	(void)text_add_json(b, s, strlen(s));
	strbuf_addch(b, '"');
}

static void add_pair(struct strbuf *b, bool json, const char *key, const char *value, bool quote)
{
	if (b->len > 1)
		strbuf_addch(b, json ? ',' : ' ');
	if (json) {
		add_quoted(b, key);
		strbuf_addch(b, ':');
		add_quoted(b, value);
		return;
	}
	strbuf_addstr(b, key);
	strbuf_addch(b, '=');
	if (quote)
		add_quoted(b, value);
	else
		strbuf_addstr(b, value);
}

struct line {
	struct strbuf b;
	bool json;
	char text[LINE_MAX_BYTES];
};

static void line_begin(struct line *l, enum log_level level)
{
	char when[40];
	struct strbuf w;

	strbuf_init_fixed(&w, when, sizeof(when));
	time_add_rfc3339(&w, time_wall_ns(), 3);
	/* Room for the end of the line is kept apart, so that a cut message still closes. */
	strbuf_init_fixed(&l->b, l->text, sizeof(l->text) - 4);
	l->json = current_format == LOG_FORMAT_JSON;
	if (l->json)
		strbuf_addch(&l->b, '{');
	add_pair(&l->b, l->json, "time", strbuf_str(&w), false);
	add_pair(&l->b, l->json, "level", level_names[level], false);
}

static void line_end(struct line *l, bool quoted)
{
	size_t len = l->b.len;

	if (l->b.error && quoted && l->text[len - 1] != '"')
		l->text[len++] = '"';
	if (l->json)
		l->text[len++] = '}';
	l->text[len++] = '\n';
	if (write(STDERR_FILENO, l->text, len) < 0) {
		/* Nobody is left to tell. */
	}
}

int log_line(enum log_level level, const char *module, int error, const char *fmt, ...)
{
	char message[1024], reason[128];
	struct line l;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	line_begin(&l, level);
	add_pair(&l.b, l.json, "module", module, false);
	if (error < 0)
		add_pair(&l.b, l.json, "error", strerror_r(-error, reason, sizeof(reason)), true);
	add_pair(&l.b, l.json, "msg", message, true);
	line_end(&l, true);
	return error;
}

/* --- lines with fields --- */

static bool second_pass(struct log_second *s, uint64_t *ret_suppressed)
{
	uint64_t now = time_mono_us(), before = s->passed_us;

	/* Of several threads one passes. */
	if ((before && now < before + US_PER_SEC) ||
	    !atomic_compare_exchange_strong(&s->passed_us, &before, now)) {
		s->suppressed++;
		return false;
	}
	*ret_suppressed = atomic_exchange(&s->suppressed, 0);
	return true;
}

static void add_field(struct line *l, const struct log_field *f)
{
	/* Left out whole where it does not fit, so that the line stays what it is. */
	size_t before = l->b.len;

	if (f->text) {
		add_pair(&l->b, l->json, f->key, f->text, true);
	} else {
		strbuf_addch(&l->b, l->json ? ',' : ' ');
		if (l->json)
			add_quoted(&l->b, f->key);
		else
			strbuf_addstr(&l->b, f->key);
		strbuf_addf(&l->b, "%c%lld", l->json ? ':' : '=', (long long)f->number);
	}
	if (!l->b.error)
		return;
	strbuf_truncate(&l->b, before);
	l->b.error = 0;
}

void log_event(enum log_level level, struct log_second *limit, const char *event, const char *msg,
	       const struct log_field *fields, size_t n)
{
	struct log_field more = { "telamon.suppressed", NULL, 0 };
	uint64_t suppressed;
	struct line l;

	if ((int)level < current_level || !second_pass(limit, &suppressed))
		return;
	line_begin(&l, level);
	add_pair(&l.b, l.json, "msg", msg, true);
	add_pair(&l.b, l.json, "event.name", event, false);
	more.number = (int64_t)suppressed;
	if (suppressed)
		add_field(&l, &more);
	for (size_t i = 0; i < n; i++)
		add_field(&l, &fields[i]);
	line_end(&l, false);
}

bool log_limit_pass(struct log_limit *l, unsigned burst)
{
	uint64_t now = time_mono_us();

	if (now - l->window_us >= LIMIT_WINDOW_US) {
		if (l->suppressed)
			(void)log_line(LOG_LEVEL_WARN, "log", 0,
				       "%u lines like the next were suppressed", l->suppressed);
		*l = (struct log_limit){ .window_us = now };
	}
	if (l->passed >= burst) {
		l->suppressed++;
		return false;
	}
	l->passed++;
	return true;
}
