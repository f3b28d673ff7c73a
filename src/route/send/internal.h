/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <curl/curl.h>
#include <pthread.h>
#include "base/arena.h"
#include "route/send/policy.h"
#include "route/send/send.h"
#include "route/wire/snappy.h"

#define LANES_MAX 64
#define RANGES_MAX 64 /* parts of one block that wait */
#define POISON_REQUESTS_MAX \
	64 /* further requests for one block, to find the series that is at fault (GW-TX-10) */
#define SIZE_REQUESTS_MAX 1024 /* to get under the size that a node takes */
#define ANSWER_MAX 4096 /* of a body, for the log */

/* A block that is cut up: series ranges of its decoded body that are still to be sent. */
struct cut {
	uint8_t *body; /* decoded; NULL = the block is whole */
	size_t len;
	enum rw_version version;
	struct {
		uint32_t first, n;
	} ranges[RANGES_MAX];
	unsigned n_ranges, requests;
	uint32_t samples_dead; /* of the record's samples, so that counts stay whole */
};

struct lane_state { /* one request at a time */
	struct sender *node;
	uint32_t index;
	CURL *easy;
	struct curl_slist *headers,
		*connect_to; /* curl keeps pointers while the request is on the way */
	struct queue_block *block; /* NULL = idle */
	struct cut cut;
	size_t sent_len;
	uint8_t *made; /* body of another version or encoding than the block's; NULL = the block's own bytes */
	size_t made_size, made_len;
	bool in_flight, is_probe;
	bool sent_rw2, sent_zstd;
	uint64_t not_before_us;
	struct backoff backoff;
	unsigned hops;
	uint64_t began_us, first_failure_us;
	struct queue_block
		*aside; /* fails, while the next one is sent to see whether it is the node */
	uint64_t aside_failure_us; /* its first_failure_us */
	/* What came back. */
	char answer[ANSWER_MAX + 1], retry_after[64];
	size_t answer_len;
	bool has_written;
	uint64_t written_samples, written_histograms;
};

struct secret { /* a value in the file, or a file that is read again when it changes */
	const char *value, *path;
	char text[4096];
	struct timespec mtime;
	off_t size;
};

struct sender {
	struct senders *all;
	struct sender *next;
	struct arena *arena; /* texts of options */
	struct send_options o;
	struct queue *queue;
	struct lane_state lanes[LANES_MAX];
	struct breaker breaker;
	struct secret password, credentials;
	bool credentials_changed;
	bool snappy_only; /* learnt: zstd was refused */
	uint64_t snappy_until_us;
	uint64_t last_success_us;
	size_t max_bytes; /* of one request, after a 413; 0 = no limit */
	uint64_t not_before_us; /* Retry-After: of all lanes */
	char *verified_url,
		*host; /* tls.server_name: the URL with that name, and the host that is connected to */
	char *connect_to;
	bool removed;
	struct sender_stats stats;
};

struct senders {
	pthread_t thread;
	pthread_mutex_t lock; /* everything of a sender but what curl holds */
	pthread_cond_t idle;
	CURLM *multi;
	struct sender *list;
	bool stop, started;
	char gateway[256];
	uint64_t epoch;
	struct rw_encoder *encoder;
	uint8_t *decoded;
	size_t decoded_size;
};

/* body.c: bytes to send for a lane. 0, -errno; -EBADMSG: the block cannot be decoded. */
int send_prepare_body(struct sender *n, struct lane_state *l, const uint8_t **ret, size_t *ret_len);
int send_cut_begin(struct sender *n, struct lane_state *l); /* decodes the block into l->cut */
/* The current range into two halves; false: one series, or more than @requests requests for this block. */
bool send_cut_split(struct lane_state *l, unsigned requests);
/* The node took no more (413): of what follows less at once. A single series says nothing of that. */
void send_too_large(struct sender *n, struct lane_state *l);
void send_cut_end(struct lane_state *l);
/* Record and series text of the current range, as a dead letter. @ret_payload is malloc'd. */
int send_cut_record(struct sender *n, struct lane_state *l, struct record *ret,
		    uint8_t **ret_payload, char *series, size_t series_size);

/* request.c */
int send_start(struct sender *n, struct lane_state *l, const uint8_t *body, size_t len,
	       uint64_t now_us);
void send_lane_free(struct lane_state *l);
int send_set_target(struct sender *n); /* from the options */
void send_target_done(struct sender *n);
bool send_redirect(struct lane_state *l); /* follows 307, 308 within the host */

/* lane.c: nothing waits in the lane any more */
void send_idle(struct lane_state *l);
/* The block, or the part of it that is on the way, to dead/. */
void send_dead_block(struct sender *n, struct lane_state *l, int status, const char *reason);

/* secret.c */
void secret_set(struct secret *s, const char *value, const char *path);
bool secret_refresh(struct secret *s); /* true when it changed */

/* lane.c: the answer came */
void send_finished(struct sender *n, struct lane_state *l, CURLcode code, uint64_t now_us);
