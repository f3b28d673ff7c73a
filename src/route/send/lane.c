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

static struct breaker_limits limits_of(const struct sender *n)
{
	return (struct breaker_limits){ n->o.breaker_failures, n->o.breaker_successes,
					n->o.open_us };
}

/* --- ends of a block --- */

void send_idle(struct lane_state *l)
{
	send_cut_end(l);
	l->block = NULL;
	l->not_before_us = 0;
	l->first_failure_us = 0;
	l->lost = 0;
	backoff_reset(&l->backoff);
	if (!l->aside)
		return;
	/* The probe is over: now for the block that it was for. */
	l->block = TAKE_PTR(l->aside);
	l->first_failure_us = l->aside_failure_us;
}

/* What of the block was neither refused before nor left out by the node. @partial: by kind, what the node did not write. */
static void count_sent(struct sender *n, const struct lane_state *l, const uint64_t *partial)
{
	const struct record *r = &l->block->record;
	uint32_t histograms = MIN(record_histograms(r), r->samples);
	const uint64_t all[_SEND_KIND_MAX] = { r->samples - histograms, histograms };

	for (enum send_kind k = 0; k < _SEND_KIND_MAX; k++) {
		uint64_t left = all[k] - MIN(l->cut.dead[k], all[k]);
		uint64_t missing;

		if (k == SEND_HISTOGRAM)
			left -= MIN(l->lost, left);
		missing = partial ? MIN(partial[k], left) : 0;
		n->stats.samples[k][SEND_PARTIAL] += missing;
		n->stats.samples[k][SEND_SENT] += left - missing;
	}
	n->stats.series_sent += r->series - MIN(l->cut.series_dead, r->series);
}

/* The part on the way is dealt with; the block is when no part is left. */
static void next_part(struct sender *n, struct lane_state *l, const uint64_t *partial)
{
	if (l->cut.body && --l->cut.n_ranges > 0) {
		backoff_reset(&l->backoff);
		l->first_failure_us = l->not_before_us = 0;
		return;
	}
	count_sent(n, l, partial);
	queue_release_cut(n->queue, l->block, l->cut.dead[SEND_FLOAT] + l->cut.dead[SEND_HISTOGRAM],
			  l->cut.series_dead);
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

static void dead_part(struct sender *n, struct lane_state *l, int status, const char *reason,
		      enum send_dead why)
{
	_cleanup_(freep) uint8_t *payload = NULL;
	struct record r;
	char series[1024];
	uint32_t histograms;

	if (send_cut_record(n, l, &r, &payload, &histograms, series, sizeof(series)) < 0) {
		l->not_before_us = time_mono_us() + US_PER_SEC; /* no memory: it is asked again */
		return;
	}
	if (!is_written(l, queue_dead_letter(n->queue, l->block, &r, status, reason, series)))
		return;
	l->cut.dead[SEND_FLOAT] += r.samples - histograms;
	l->cut.dead[SEND_HISTOGRAM] += histograms;
	l->cut.series_dead += r.series;
	send_count_dead(n, r.samples, histograms, r.series, why);
	next_part(n, l, NULL);
}

void send_dead_block(struct sender *n, struct lane_state *l, int status, const char *reason,
		     enum send_dead why)
{
	const struct record *r = &l->block->record;
	uint32_t samples = r->samples, series = r->series;
	uint32_t histograms = MIN(record_histograms(r), samples);

	send_report(n, l, why == DEAD_UNREADABLE ? EVENT_UNREADABLE : EVENT_DEAD_LETTER, status,
		    CURLE_OK);
	if (l->cut.body) {
		dead_part(n, l, status, reason, why);
		return;
	}
	if (!is_written(l, queue_dead_letter(n->queue, l->block, NULL, status, reason, NULL)))
		return;
	send_count_dead(n, samples, histograms, series, why);
	send_idle(l);
}

/* Two halves of what was on the way; what cannot be halved is a dead letter. */
static void halve(struct sender *n, struct lane_state *l, int status, const char *reason,
		  enum send_dead why)
{
	if (status == 413)
		send_too_large(n, l);
	if (!l->cut.body && send_cut_begin(n, l) < 0) {
		send_dead_block(n, l, status, reason, why);
		return;
	}
	if (!send_cut_split(l, status == 413 ? SIZE_REQUESTS_MAX : POISON_REQUESTS_MAX))
		send_dead_block(n, l, status, reason, why);
	else
		l->not_before_us = 0;
}

/* --- failures --- */

static void hold(struct sender *n, struct lane_state *l, int status, uint64_t now_us)
{
	char reason[64];

	if (!n->o.client_error_hold_us) {
		send_dead_block(n, l, status, "refused by the node as a whole", DEAD_HELD);
		return;
	}
	(void)snprintf(reason, sizeof(reason), "status %d", status);
	send_report(n, l, EVENT_HOLD, status, CURLE_OK);
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
	send_report(n, l, EVENT_FAILED, status, code);
	if (l->aside)
		end_probe(n, l);
	if (!l->first_failure_us)
		l->first_failure_us = now_us;
	l->block->attempts++;
	n->stats.retries++;
	/* A part of a block that is cut up: the node takes others, so it is not the node. */
	if (is_poison(n, l, status) ||
	    (l->cut.body && status >= 500 && n->last_success_us + RECENT_US > now_us)) {
		halve(n, l, status, "fails while the node takes others", DEAD_POISON);
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

static void step_down(struct sender *n, struct lane_state *l, int status, uint64_t now_us)
{
	send_report(n, l, EVENT_DOWNGRADE, status, CURLE_OK);
	if (l->sent_zstd) {
		n->snappy_only = true;
		n->snappy_until_us = now_us + SNAPPY_LEARNT_US;
		n->stats.downgrades_snappy++;
	} else {
		n->stats.rw1_only = true;
		n->stats.downgrades_rw1++;
	}
	l->not_before_us = 0;
}

/* --- success --- */

static void stored(struct sender *n, struct lane_state *l, uint64_t now_us)
{
	struct breaker_limits limits = limits_of(n);
	const struct record *r = &l->block->record;
	uint64_t partial[_SEND_KIND_MAX] = {}, histograms = MIN(record_histograms(r), r->samples);

	n->stats.successes++;
	n->stats.up = true;
	n->stats.last_success_ms = (int64_t)(time_wall_ns() / NS_PER_MSEC);
	n->last_success_us = now_us;
	breaker_success(&n->breaker, &limits);
	if (l->sent_rw2 && l->has_written && !l->cut.body) {
		partial[SEND_FLOAT] =
			r->samples - histograms - MIN(l->written_samples, r->samples - histograms);
		partial[SEND_HISTOGRAM] = histograms - MIN(l->written_histograms, histograms);
	}
	for (unsigned i = 0; i < _RW_LOSS_MAX; i++)
		n->stats.losses[i] += l->losses[i];
	l->lost += l->losses[RW_LOSS_CUSTOM_BUCKETS];
	next_part(n, l, partial);
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
	send_count_answer(n, l, code, a.status, now_us);
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
		send_dead_block(n, l, a.status, l->answer_len ? l->answer : "refused",
				DEAD_REFUSED);
		return;
	case SEND_HALVE:
		halve(n, l, a.status, "too large", DEAD_TOO_LARGE);
		return;
	case SEND_STEP_DOWN:
		step_down(n, l, a.status, now_us);
		return;
	case SEND_HOLD:
	case SEND_REDIRECT:
		hold(n, l, a.status, now_us);
		return;
	default:
		retry(n, l, code, a.status, now_us);
	}
}
