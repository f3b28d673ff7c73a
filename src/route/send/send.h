/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/cleanup.h"
#include "route/queue/queue.h"
#include "route/wire/block.h"

/*
 * Senders: one thread, libcurl multi, all nodes
 *
 * Per node: lanes (one request in flight each), backoff, breaker, protocol state. What to do with an answer is one pure table
 * (verdict.h); the rest moves blocks between queue and curl.
 */
enum send_protocol { SEND_AUTO, SEND_RW1, SEND_RW2, SEND_VM };
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct send_tls {
	const char *ca_file, *cert_file, *key_file, *server_name;
	bool insecure_skip_verify, tls13;
};
struct send_options { /* of one node; strings are copied */
	const char *destination, *node, *url, *zone;
	struct send_tls tls;
	const char *user, *password, *password_file, *auth_type, *credentials, *credentials_file;
	const char *const *headers; /* "Name: value", NULL-terminated */
	const char *tenant_header, *tenant; /* constant; a block's EXTRA_TENANT wins */
	enum send_protocol protocol;
	struct rw_convert_options convert;
	enum rw_snappy snappy;
	uint32_t lanes;
	uint64_t timeout_us, connect_timeout_us;
	uint64_t retry_min_us, retry_max_us, retry_after_max_us, client_error_hold_us, open_us;
	uint32_t poison_attempts, breaker_failures, breaker_successes;
};

struct sender_stats {
	enum breaker_state breaker;
	char reason[64]; /* why it is open; "" */
	bool up; /* last request 2xx */
	bool rw1_only; /* learnt (GW-TX-3) */
	uint64_t requests, successes, failures, retries, bytes;
	uint64_t by_code[600]; /* [0]: no status */
	uint64_t samples_sent, samples_partial, samples_dead;
	uint64_t series_sent, series_dead;
	uint64_t downgrades_rw1, downgrades_snappy;
	uint64_t latency_us_sum,
		latency_buckets
			[12]; /* .001 .005 .01 .025 .05 .1 .25 .5 1 2.5 5 10 s, cumulative is made by the reader */
	uint64_t errors_timeout, errors_connection, errors_breaker, errors_unknown;
	int64_t last_request_ms, last_success_ms, last_failure_ms;
	uint64_t retry_wait_us; /* until the next try, 0 = none */
	uint64_t losses[_RW_LOSS_MAX];
	uint64_t files_changed, files_bad; /* secrets and certificates that were read again */
};

/* Can the files be read, are they what they should be, does the key belong to the certificate? 0; -errno with one sentence. */
int send_tls_check(const struct send_tls *o, char *why, size_t why_size);

struct senders; /* the thread */
/* @epoch: of this start, part of the block ids. */
int senders_new(const char *gateway_name, uint64_t epoch, struct senders **ret);
struct senders *
senders_free(struct senders *s); /* cancels what is in flight; blocks go back to their queues */
struct sender; /* one node */
/* @q outlives the sender. From any thread. */
int sender_add(struct senders *s, const struct send_options *o, struct queue *q,
	       struct sender **ret);
/* New URL, credentials, limits; connections are kept where they still fit. */
int sender_change(struct sender *n, const struct send_options *o);
void sender_remove(struct sender *n); /* waits until nothing of it is in flight */
void sender_stats(struct sender *n, struct sender_stats *ret);
