/* SPDX-License-Identifier: Apache-2.0 */
/* Answers, backoff, breaker. */

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"
#include "base/parse.h"
#include "base/time.h"
#include "route/send/policy.h"

static const struct {
	int first, last;
	enum send_action action;
} answers[] = {
	{ 200, 299, SEND_RELEASE },   { 307, 308, SEND_REDIRECT }, { 300, 399, SEND_HOLD },
	{ 401, 401, SEND_HOLD },      { 403, 405, SEND_HOLD },	   { 407, 407, SEND_HOLD },
	{ 410, 410, SEND_HOLD },      { 408, 408, SEND_RETRY },	   { 413, 413, SEND_HALVE },
	{ 415, 415, SEND_STEP_DOWN }, { 425, 425, SEND_RETRY },	   { 429, 429, SEND_RETRY },
	{ 400, 499, SEND_DEAD },      { 500, 599, SEND_RETRY },
};

enum send_action send_judge(const struct send_answer *a)
{
	enum send_action action = SEND_RETRY;

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		if (a->status >= answers[i].first && a->status <= answers[i].last) {
			action = answers[i].action;
			break;
		}
	/* A node that does not know zstd says 400 (old VictoriaMetrics) or 415. */
	if (a->status == 400 && a->zstd)
		action = SEND_STEP_DOWN;
	/* Version 2 and no word of what was written: nothing was stored (GW-TX-3). */
	if (action == SEND_RELEASE && a->rw2 && !a->has_written)
		action = a->protocol == SEND_RW2 ? SEND_HOLD : SEND_STEP_DOWN;
	if (action == SEND_STEP_DOWN && !a->zstd && (!a->rw2 || a->protocol == SEND_RW2))
		action = SEND_HOLD; /* there is nothing below */
	return action;
}

/* --- backoff --- */

uint64_t backoff_next(struct backoff *b, uint64_t min_us, uint64_t max_us, double random01)
{
	uint64_t wait = min_us;

	if (b->factor == 0)
		b->factor = 0.75 + 0.25 * CLAMP(random01, 0.0, 1.0);
	for (unsigned i = 0; i < b->n && wait < max_us; i++)
		wait *= 2;
	b->n = MIN(b->n + 1, 63U);
	return MAX((uint64_t)((double)MIN(wait, max_us) * b->factor), US_PER_MSEC);
}

void backoff_reset(struct backoff *b)
{
	*b = (struct backoff){};
}

uint64_t retry_after(const char *value, int64_t now_s)
{
	uint64_t seconds;
	time_t date;

	value += strspn(value, " \t");
	if (parse_u64(value, &seconds) == 0)
		return MIN(seconds, 86400ULL) * US_PER_SEC;
	date = curl_getdate(value, NULL);
	if (date <= now_s)
		return 0;
	return (uint64_t)MIN(date - now_s, (int64_t)86400) * US_PER_SEC;
}

/* --- breaker --- */

bool breaker_allows(struct breaker *b, uint64_t now_us)
{
	if (b->state == BREAKER_OPEN && now_us >= b->until_us) {
		b->state = BREAKER_HALF_OPEN;
		b->successes = 0;
		b->probing = false;
	}
	return b->state == BREAKER_CLOSED || (b->state == BREAKER_HALF_OPEN && !b->probing);
}

void breaker_sent(struct breaker *b)
{
	if (b->state == BREAKER_HALF_OPEN)
		b->probing = true;
}

void breaker_answered(struct breaker *b)
{
	b->probing = false;
}

void breaker_success(struct breaker *b, const struct breaker_limits *l)
{
	b->failures = 0;
	b->probing = false;
	if (b->state == BREAKER_CLOSED || ++b->successes < l->successes)
		return;
	*b = (struct breaker){};
}

static void open_breaker(struct breaker *b, const char *reason, uint64_t until_us)
{
	b->state = BREAKER_OPEN;
	b->until_us = until_us;
	b->probing = false;
	(void)snprintf(b->reason, sizeof(b->reason), "%s", reason);
}

void breaker_failure(struct breaker *b, const struct breaker_limits *l, const char *reason,
		     uint64_t now_us)
{
	b->successes = 0;
	b->failures++;
	if (b->state == BREAKER_OPEN)
		return; /* answers that were on the way when it opened */
	if (b->state == BREAKER_HALF_OPEN || b->failures >= l->failures)
		open_breaker(b, reason, now_us + l->open_us);
	b->probing = false;
}

void breaker_hold(struct breaker *b, const char *reason, uint64_t now_us, uint64_t for_us)
{
	b->successes = 0;
	open_breaker(b, reason, now_us + for_us);
}

uint64_t breaker_next(const struct breaker *b)
{
	return b->state == BREAKER_OPEN ? b->until_us : 0;
}
