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

int log_line(enum log_level level, const char *module, int error, const char *fmt, ...)
{
	bool json = current_format == LOG_FORMAT_JSON;
	char line[LINE_MAX_BYTES], message[1024], when[40], reason[128];
	struct strbuf b, w;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	strbuf_init_fixed(&w, when, sizeof(when));
	time_add_rfc3339(&w, time_wall_ns(), 3);

	/* Room for the end of the line is kept apart, so that a cut message still closes. */
	strbuf_init_fixed(&b, line, sizeof(line) - 4);
	if (json)
		strbuf_addch(&b, '{');
	add_pair(&b, json, "time", strbuf_str(&w), false);
	add_pair(&b, json, "level", level_names[level], false);
	add_pair(&b, json, "module", module, false);
	if (error < 0)
		add_pair(&b, json, "error", strerror_r(-error, reason, sizeof(reason)), true);
	add_pair(&b, json, "msg", message, true);
	if (b.error && line[b.len - 1] != '"')
		line[b.len++] = '"';
	if (json)
		line[b.len++] = '}';
	line[b.len++] = '\n';
	if (write(STDERR_FILENO, line, b.len) < 0) {
		/* Nobody is left to tell. */
	}
	return error;
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
