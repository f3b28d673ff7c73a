/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane after the answer: the block is released, tried again, cut up, or a dead letter
 *
 * policy.c says what the answer means; here is what follows for block, node and figures.
 */
#define LOG_MODULE "send"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "base/time.h"
#include "route/send/internal.h"

#define SNAPPY_LEARNT_US (3600ULL * US_PER_SEC)
#define RECENT_US (60ULL * US_PER_SEC)

static const double latency_bounds[] = { .001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10 };

static struct breaker_limits limits_of(const struct sender *n)
{
	return (struct breaker_limits){ n->o.breaker_failures, n->o.breaker_successes,
					n->o.open_us };
}

static void count_answer(struct sender *n, struct lane_state *l, CURLcode code, int status,
			 uint64_t now_us)
{
	uint64_t took = now_us - l->began_us;
	size_t bucket = 0;

	n->stats.by_code[CLAMP(status, 0, 599)]++;
	n->stats.latency_us_sum += took;
	while (bucket < ARRAY_SIZE(latency_bounds) && (double)took / 1e6 > latency_bounds[bucket])
		bucket++;
	if (bucket < ARRAY_SIZE(latency_bounds))
		n->stats.latency_buckets[bucket]++;
	if (code == CURLE_OPERATION_TIMEDOUT)
		n->stats.errors_timeout++;
	else if (code != CURLE_OK)
		n->stats.errors_connection++;
	else if (status < 200 || status > 299)
		n->stats.errors_unknown++;
}

static void log_answer(const struct sender *n, const struct lane_state *l, const char *what,
		       int status, CURLcode code)
{
	char text[600];
	struct strbuf b;

	strbuf_init_fixed(&b, text, sizeof(text));
	if (code != CURLE_OK)
		strbuf_addstr(&b, curl_easy_strerror(code));
	else
		text_add_terminal(&b, l->answer, MIN(l->answer_len, (size_t)400));
	log_warning_limited(
		"%s destination=%s node=%s status=%d block=%llu attempts=%u answer=\"%s\"", what,
		n->o.destination, n->o.node, status, (unsigned long long)l->block->record.index,
		l->block->attempts, text);
}

/* --- ends of a block --- */

void send_idle(struct lane_state *l)
{
	send_cut_end(l);
	l->block = NULL;
	l->not_before_us = 0;
	l->first_failure_us = 0;
	backoff_reset(&l->backoff);
	if (!l->aside)
		return;
	/* The probe is over: now for the block that it was for. */
	l->block = TAKE_PTR(l->aside);
	l->first_failure_us = l->aside_failure_us;
}

/* The part on the way is dealt with; the block is when no part is left. */
static void next_part(struct sender *n, struct lane_state *l)
{
	if (l->cut.body && --l->cut.n_ranges > 0) {
		backoff_reset(&l->backoff);
		l->first_failure_us = l->not_before_us = 0;
		return;
	}
	n->stats.samples_sent += l->block->record.samples - l->cut.samples_dead;
	n->stats.series_sent += l->block->record.series;
	queue_release(n->queue, l->block);
	send_idle(l);
}

/* Where the disk takes no dead letter (full, or failing), the block stays, and the node is asked again. */
static bool is_written(struct lane_state *l, int r)
{
	if (r >= 0 || r == -EFBIG)
		return true;
	l->not_before_us = time_mono_us() + US_PER_SEC;
	return false;
}

static void dead_part(struct sender *n, struct lane_state *l, int status, const char *reason)
{
	_cleanup_(freep) uint8_t *payload = NULL;
	struct record r;
	char series[1024];

	if (send_cut_record(n, l, &r, &payload, series, sizeof(series)) < 0 ||
	    !is_written(l, queue_dead_letter(n->queue, l->block, &r, status, reason, series)))
		return;
	n->stats.samples_dead += r.samples;
	n->stats.series_dead += r.series;
	l->cut.samples_dead += r.samples;
	next_part(n, l);
}

void send_dead_block(struct sender *n, struct lane_state *l, int status, const char *reason)
{
	uint32_t samples = l->block->record.samples, series = l->block->record.series;

	log_answer(n, l, "block refused for good", status, CURLE_OK);
	if (l->cut.body) {
		dead_part(n, l, status, reason);
		return;
	}
	if (!is_written(l, queue_dead_letter(n->queue, l->block, NULL, status, reason, NULL)))
		return;
	n->stats.samples_dead += samples;
	n->stats.series_dead += series;
	send_idle(l);
}

/* Two halves of what was on the way; what cannot be halved is a dead letter. */
static void halve(struct sender *n, struct lane_state *l, int status, const char *reason)
{
	if (status == 413)
		send_too_large(n, l);
	if (!l->cut.body && send_cut_begin(n, l) < 0) {
		send_dead_block(n, l, status, reason);
		return;
	}
	if (!send_cut_split(l, status == 413 ? SIZE_REQUESTS_MAX : POISON_REQUESTS_MAX))
		send_dead_block(n, l, status, reason);
	else
		l->not_before_us = 0;
}

/* --- failures --- */

static void hold(struct sender *n, struct lane_state *l, int status, uint64_t now_us)
{
	char reason[64];

	if (!n->o.client_error_hold_us) {
		send_dead_block(n, l, status, "refused by the node as a whole");
		return;
	}
	(void)snprintf(reason, sizeof(reason), "status %d", status);
	log_answer(n, l, "node refuses requests, holding", status, CURLE_OK);
	breaker_hold(&n->breaker, reason, now_us, n->o.client_error_hold_us);
	l->block->attempts++;
}

/* Does the node take others while this block fails again and again? (GW-TX-10) */
static bool is_poison(const struct sender *n, const struct lane_state *l, int status)
{
	return status >= 500 && l->block->attempts >= n->o.poison_attempts && l->first_failure_us &&
	       n->last_success_us > l->first_failure_us;
}

/*
 * The lane's next block goes first for once, to see whether the node or the block is at fault (GW-TX-10). Only when it has to be seen, that is
 * once in poison_attempts failures.
 */
static void begin_probe(struct sender *n, struct lane_state *l, int status)
{
	struct queue_block *next;

	if (status < 500 || l->cut.body || n->removed ||
	    l->block->attempts % n->o.poison_attempts != 0)
		return;
	next = queue_take(n->queue, l->index, (int64_t)(time_wall_ns() / NS_PER_MSEC));
	if (!next)
		return;
	l->aside = l->block;
	l->aside_failure_us = l->first_failure_us;
	l->block = next;
}

/* The probe failed as well: it waits for its turn again. */
static void end_probe(struct sender *n, struct lane_state *l)
{
	send_cut_end(l);
	queue_put_back(n->queue, l->block);
	l->block = TAKE_PTR(l->aside);
	l->first_failure_us = l->aside_failure_us;
}

static void retry(struct sender *n, struct lane_state *l, CURLcode code, int status,
		  uint64_t now_us)
{
	struct breaker_limits limits = limits_of(n);
	char reason[64];
	uint64_t asked;

	(void)snprintf(reason, sizeof(reason), "%s",
		       code != CURLE_OK ? curl_easy_strerror(code) : "");
	if (code == CURLE_OK)
		(void)snprintf(reason, sizeof(reason), "status %d", status);
	log_answer(n, l, "sending failed", status, code);
	if (l->aside)
		end_probe(n, l);
	if (!l->first_failure_us)
		l->first_failure_us = now_us;
	l->block->attempts++;
	n->stats.retries++;
	/* A part of a block that is cut up: the node takes others, so it is not the node. */
	if (is_poison(n, l, status) ||
	    (l->cut.body && status >= 500 && n->last_success_us + RECENT_US > now_us)) {
		halve(n, l, status, "fails while the node takes others");
		return;
	}
	begin_probe(n, l, status);
	breaker_failure(&n->breaker, &limits, reason, now_us);
	l->not_before_us = now_us + backoff_next(&l->backoff, n->o.retry_min_us, n->o.retry_max_us,
						 (double)random() / (double)RAND_MAX);
	asked = *l->retry_after
			? retry_after(l->retry_after, (int64_t)(time_wall_ns() / NS_PER_SEC))
			: 0;
	asked = MIN(asked, n->o.retry_after_max_us);
	/* What a node asks for holds for all of its lanes. */
	if (asked)
		n->not_before_us = MAX(n->not_before_us, now_us + asked);
}

static void step_down(struct sender *n, struct lane_state *l, uint64_t now_us)
{
	if (l->sent_zstd) {
		n->snappy_only = true;
		n->snappy_until_us = now_us + SNAPPY_LEARNT_US;
		n->stats.downgrades_snappy++;
		log_info("node %s/%s does not take zstd, sending snappy", n->o.destination,
			 n->o.node);
	} else {
		n->stats.rw1_only = true;
		n->stats.downgrades_rw1++;
		log_info("node %s/%s does not take version 2, sending version 1", n->o.destination,
			 n->o.node);
	}
	l->not_before_us = 0;
}

/* --- success --- */

static void stored(struct sender *n, struct lane_state *l, uint64_t now_us)
{
	struct breaker_limits limits = limits_of(n);
	uint64_t written = l->written_samples + l->written_histograms;

	n->stats.successes++;
	n->stats.up = true;
	n->stats.last_success_ms = (int64_t)(time_wall_ns() / NS_PER_MSEC);
	n->last_success_us = now_us;
	breaker_success(&n->breaker, &limits);
	if (l->sent_rw2 && l->has_written && !l->cut.body && written < l->block->record.samples)
		n->stats.samples_partial += l->block->record.samples - written;
	next_part(n, l);
}

void send_finished(struct sender *n, struct lane_state *l, CURLcode code, uint64_t now_us)
{
	long status = 0;
	struct send_answer a = { .zstd = l->sent_zstd,
				 .rw2 = l->sent_rw2,
				 .has_written = l->has_written,
				 .protocol = n->o.protocol };
	enum send_action action;

	if (code == CURLE_OK)
		(void)curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
	l->in_flight = false;
	a.status = (int)status;
	count_answer(n, l, code, a.status, now_us);
	action = send_judge(&a);
	if (action == SEND_REDIRECT && send_redirect(l))
		return;
	breaker_answered(&n->breaker);
	if (action == SEND_RELEASE) {
		stored(n, l, now_us);
		return;
	}
	n->stats.failures++;
	n->stats.up = false;
	n->stats.last_failure_ms = (int64_t)(time_wall_ns() / NS_PER_MSEC);
	switch (action) {
	case SEND_DEAD:
		breaker_success(&n->breaker,
				&(struct breaker_limits){ n->o.breaker_failures,
							  n->o.breaker_successes, n->o.open_us });
		send_dead_block(n, l, a.status, l->answer_len ? l->answer : "refused");
		return;
	case SEND_HALVE:
		halve(n, l, a.status, "too large");
		return;
	case SEND_STEP_DOWN:
		step_down(n, l, now_us);
		return;
	case SEND_HOLD:
	case SEND_REDIRECT:
		hold(n, l, a.status, now_us);
		return;
	default:
		retry(n, l, code, a.status, now_us);
	}
}
