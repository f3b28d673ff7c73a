/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "route/send/send.h"

/*
 * What to do with an answer, when to try again, when to stop trying: pure
 */
enum send_action {
	SEND_RELEASE, /* stored */
	SEND_RETRY, /* later, with backoff */
	SEND_DEAD, /* refused for good: dead letter */
	SEND_HALVE, /* too large: two halves; a single series is a dead letter */
	SEND_STEP_DOWN, /* another encoding or version, at once */
	SEND_HOLD, /* the node's or our fault as a whole: nothing is lost, try again after client_error_hold */
	SEND_REDIRECT, /* 307, 308 */
};

struct send_answer {
	int status; /* 0 = none: network, TLS, timeout */
	bool zstd, rw2; /* what was sent */
	bool has_written; /* RW2: a Written header was there */
	enum send_protocol protocol;
};
enum send_action send_judge(const struct send_answer *a);

/* Backoff min * 2^n up to max, times one factor in [0.75, 1] drawn per outage: does not decrease (GW-TX-8). */
struct backoff {
	unsigned n;
	double factor; /* 0 = no outage */
};
uint64_t backoff_next(struct backoff *b, uint64_t min_us, uint64_t max_us, double random01);
void backoff_reset(struct backoff *b);
/* Retry-After in seconds or as an HTTP date; µs from now, 0 = none. */
uint64_t retry_after(const char *value, int64_t now_s);

/* Breaker of one node (GW-TX-9). */
struct breaker {
	enum breaker_state state;
	unsigned failures, successes; /* in a row */
	uint64_t until_us; /* open */
	bool probing; /* half-open: the one request is on the way */
	char reason[64];
};
struct breaker_limits {
	unsigned failures, successes;
	uint64_t open_us;
};
bool breaker_allows(struct breaker *b, uint64_t now_us);
void breaker_sent(struct breaker *b);
/* Whatever the answer was: 413 and 415 are neither success nor failure, and the next request must not wait for ever. */
void breaker_answered(struct breaker *b);
void breaker_success(struct breaker *b, const struct breaker_limits *l);
void breaker_failure(struct breaker *b, const struct breaker_limits *l, const char *reason,
		     uint64_t now_us);
/* Open for @for_us, whatever was before: a hold. */
void breaker_hold(struct breaker *b, const char *reason, uint64_t now_us, uint64_t for_us);
uint64_t breaker_next(
	const struct breaker *b); /* µs at which an open one lets a request through, 0 = not open */
