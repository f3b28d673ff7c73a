/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARN,
	LOG_LEVEL_ERROR,
	_LOG_LEVEL_MAX,
};

enum log_format {
	LOG_FORMAT_LOGFMT,
	LOG_FORMAT_JSON,
	_LOG_FORMAT_MAX,
};

/* Each source file that logs says `#define LOG_MODULE "oom"` before its includes. */
#ifndef LOG_MODULE
#define LOG_MODULE "agent"
#endif

void log_setup(enum log_level level, enum log_format format);
enum log_level log_level(void);
int log_level_from_string(const char *s); /* debug info warn error; else -EINVAL */
int log_format_from_string(const char *s); /* logfmt json; else -EINVAL */

/*
 * One line on stderr, `time=… level=… module=… msg="…"` or the same as JSON, written by one write(2). @error: 0, or a
 * negative errno that is appended as error="…". Returns @error, so that `return log_error_errno(r, …)` reads well.
 */
int log_line(enum log_level level, const char *module, int error, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

#define log_full(level, error, ...) \
	((level) < log_level() ? (error) : log_line((level), LOG_MODULE, (error), __VA_ARGS__))
#define log_debug(...) ((void)log_full(LOG_LEVEL_DEBUG, 0, __VA_ARGS__))
#define log_info(...) ((void)log_full(LOG_LEVEL_INFO, 0, __VA_ARGS__))
#define log_warning(...) ((void)log_full(LOG_LEVEL_WARN, 0, __VA_ARGS__))
#define log_error(...) ((void)log_full(LOG_LEVEL_ERROR, 0, __VA_ARGS__))
#define log_debug_errno(r, ...) log_full(LOG_LEVEL_DEBUG, (r), __VA_ARGS__)
#define log_warning_errno(r, ...) log_full(LOG_LEVEL_WARN, (r), __VA_ARGS__)
#define log_error_errno(r, ...) log_full(LOG_LEVEL_ERROR, (r), __VA_ARGS__)

/*
 * A line about one thing that happened: `event.name` and fields after the message, in the names of OpenTelemetry. At most one a second passes
 * @limit; `telamon.suppressed` of the next tells how many did not. From any thread.
 */
struct log_field {
	const char *key;
	const char *text; /* NULL: the number */
	int64_t number;
};
struct log_second {
	_Atomic uint64_t passed_us; /* when the last one did */
	_Atomic uint64_t suppressed;
};
void log_event(enum log_level level, struct log_second *limit, const char *event, const char *msg,
	       const struct log_field *fields, size_t n);

/* At most @burst lines per 10 s and call site; the next line that passes is followed by the number suppressed. */
struct log_limit {
	uint64_t window_us;
	unsigned passed, suppressed;
};
bool log_limit_pass(struct log_limit *l, unsigned burst);
#define log_warning_limited(...)                  \
	do {                                      \
		static struct log_limit limit_;   \
		if (log_limit_pass(&limit_, 5))   \
			log_warning(__VA_ARGS__); \
	} while (0)
