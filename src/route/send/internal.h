/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <curl/curl.h>
#include <pthread.h>
#include "base/arena.h"
#include "base/filewatch.h"
#include "base/log.h"
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
	uint32_t series_dead;
	uint32_t dead[_SEND_KIND_MAX]; /* of the record's samples, so that counts stay whole */
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
	bool in_flight;
	bool breaker_waited; /* for an open breaker, since it was last sent */
	bool sent_rw2, sent_zstd;
	uint64_t not_before_us;
	struct backoff backoff;
	unsigned hops;
	uint64_t began_us, first_failure_us;
	uint32_t sent_series, sent_samples; /* in the request on the way */
	uint64_t losses[_RW_LOSS_MAX]; /* of its conversion */
	uint64_t lost; /* histograms that conversions of this block's stored parts left out */
	struct queue_block
		*aside; /* fails, while the next one is sent to see whether it is the node */
	uint64_t aside_failure_us; /* its first_failure_us */
	/* What came back. */
	char answer[ANSWER_MAX + 1], retry_after[64];
	size_t answer_len;
	bool has_written;
	uint64_t written_samples, written_histograms;
};

enum send_event {
	EVENT_DEAD_LETTER,
	EVENT_FAILED,
	EVENT_HOLD,
	EVENT_DOWNGRADE,
	EVENT_UNREADABLE,
	_SEND_EVENT_MAX
};

struct secret { /* a value in the file, or a file that is read again when it changes */
	const char *value, *path;
	char text[4096];
	struct file_id id;
	bool known, told; /* text is that of a file; that it cannot be read was logged */
	uint64_t failures;
};

enum tls_file { TLS_CA, TLS_CERT, TLS_KEY, _TLS_FILE_MAX };
struct tls_copies { /* in memory, by names that libcurl opens; "" = none */
	int fds[_TLS_FILE_MAX];
	char names[_TLS_FILE_MAX][32];
};
struct node_tls {
	struct tls_copies now, old;
	struct file_watch watch;
	uint64_t failures;
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
	struct node_tls tls;
	uint64_t looked_us; /* at its certificates */
	bool snappy_only; /* learnt: zstd was refused */
	uint64_t snappy_until_us;
	uint64_t last_success_us;
	size_t max_bytes; /* of one request, after a 413; 0 = no limit */
	uint64_t not_before_us; /* Retry-After: of all lanes */
	char *verified_url,
		*host; /* tls.server_name: the URL with that name, and the host that is connected to */
	char *connect_to;
	bool removed;
	struct log_second logs[_SEND_EVENT_MAX];
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
		    uint8_t **ret_payload, uint32_t *ret_histograms, char *series,
		    size_t series_size);

/* report.c: what happened, for the log and for figures */
#define BLOCK_ID_MAX 320
/* <gateway>/<epoch>/<index>; of a part, .<first series>+<series> behind it: it is another body than the whole. */
void send_block_id(const struct lane_state *l, char id[BLOCK_ID_MAX]);
void send_report(struct sender *n, const struct lane_state *l, enum send_event event, int status,
		 CURLcode code);
void send_count_dead(struct sender *n, uint32_t samples, uint32_t histograms, uint32_t series,
		     enum send_dead why);
void send_count_answer(struct sender *n, const struct lane_state *l, CURLcode code, int status,
		       uint64_t now_us);

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
void send_dead_block(struct sender *n, struct lane_state *l, int status, const char *reason,
		     enum send_dead why);

/* secret.c */
void secret_set(struct secret *s, const char *value, const char *path);
bool secret_refresh(struct secret *s); /* true when it changed */

/* tls.c: the files of @o checked and copied; an error leaves what was there. */
int tls_load(struct node_tls *t, const struct send_tls *o, char *why, size_t why_size);
bool tls_refresh(struct node_tls *t, const struct send_options *o); /* true when they changed */
void tls_done(struct node_tls *t);

/* lane.c: the answer came */
void send_finished(struct sender *n, struct lane_state *l, CURLcode code, uint64_t now_us);
