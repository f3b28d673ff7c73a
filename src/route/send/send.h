/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "base/cleanup.h"
#include "base/durations.h"
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
	struct rw_told *told; /* families that the node was told of; NULL = unknown */
	enum rw_snappy snappy;
	uint32_t lanes;
	uint64_t timeout_us, connect_timeout_us;
	uint64_t retry_min_us, retry_max_us, retry_after_max_us, client_error_hold_us, open_us;
	uint32_t poison_attempts, breaker_failures, breaker_successes;
};

#define SEND_CODES_MAX 16 /* statuses told apart; what comes later is counted with the last */
struct send_code {
	int status; /* 0: none came */
	uint64_t requests, bytes, series, samples;
	struct durations took;
};

enum send_kind { SEND_FLOAT, SEND_HISTOGRAM, _SEND_KIND_MAX };
enum send_result { SEND_SENT, SEND_PARTIAL, SEND_DEAD_LETTER, _SEND_RESULT_MAX };
enum send_dead { /* why something is a dead letter */
		 DEAD_REFUSED, /* 4xx of a kind that does not pass */
		 DEAD_TOO_LARGE, /* a single series */
		 DEAD_POISON, /* fails while the node takes others */
		 DEAD_HELD, /* the node refuses all, and client_error_hold is 0 */
		 DEAD_UNREADABLE, /* the block cannot be decoded */
		 _SEND_DEAD_MAX,
};

struct sender_stats {
	enum breaker_state breaker;
	char reason[64]; /* why it is open; "" */
	bool up; /* last request 2xx */
	bool rw1_only; /* learnt (GW-TX-3) */
	uint64_t requests, successes, failures, retries, bytes;
	struct send_code codes[SEND_CODES_MAX]; /* n_codes of them */
	unsigned n_codes;
	/* Of all samples that left the queue to here each is in one: sent, partial, dead, or lost in a conversion. */
	uint64_t samples[_SEND_KIND_MAX][_SEND_RESULT_MAX];
	uint64_t dead_samples[_SEND_DEAD_MAX];
	uint64_t series_sent, series_dead;
	uint64_t downgrades_rw1, downgrades_snappy;
	struct durations took; /* requests that got an answer or failed */
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
