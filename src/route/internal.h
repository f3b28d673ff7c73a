/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "base/filewatch.h"
#include "http/server.h"
#include "route/gateway.h"
#include "route/receive/rate.h"
#include "route/receive/tokens.h"
#include "route/task-load.h"
#include "sys/loop.h"

/* What the files of the gateway share. */
#define SERVERS_MAX 8

enum path_index { PATH_WRITE, PATH_RECEIVE, _PATH_MAX };
enum receive_error { /* error_type of stream_receive_errors_total (GW-OB-1) */
		     ERROR_CONTENT_LENGTH,
		     ERROR_READ,
		     ERROR_EMPTY,
		     ERROR_SNAPPY,
		     ERROR_PROTOBUF,
		     ERROR_STORE,
		     ERROR_MEDIA,
		     ERROR_SERIES,
		     _RECEIVE_ERROR_MAX,
};

/* A limit that refused something, for telamon_route_limit_refused_total; the labels are the keys of the file (GW-RX-17). */
enum route_limit {
	LIMIT_MAX_BODY,
	LIMIT_MAX_DECOMPRESSED,
	LIMIT_MAX_INFLIGHT,
	LIMIT_HEADER_TIMEOUT,
	LIMIT_MIN_BODY_RATE,
	LIMIT_IDLE_TIMEOUT,
	LIMIT_CONNECTIONS,
	LIMIT_CONNECTIONS_PER_IP,
	LIMIT_SERIES, /* and two more, as enum rw_over */
	LIMIT_SAMPLES,
	LIMIT_SYMBOLS,
	LIMIT_LABELS, /* and three more, as enum rw_label_limit */
	LIMIT_LABEL_NAME,
	LIMIT_LABEL_VALUE,
	LIMIT_SERIES_BYTES,
	LIMIT_RATE,
	LIMIT_TENANTS,
	_ROUTE_LIMIT_MAX,
};

/* Files that are read again when they change (GW-CF-3): of the server, of senders' tokens, of nodes. */
enum file_kind { FILES_WEB, FILES_TOKENS, FILES_NODE, _FILE_KIND_MAX };

struct http_counters { /* of one worker, as worker_counters */
	uint64_t status[600];
	uint64_t errors[_RECEIVE_ERROR_MAX];
	uint64_t bytes[_PATH_MAX], samples[_PATH_MAX], series[_PATH_MAX], dropped[_PATH_MAX];
	uint64_t in_flight, limits[_ROUTE_LIMIT_MAX];
};

struct route_worker {
	struct gateway *gateway;
	unsigned index;
	pthread_t thread;
	bool started;
	struct pipeline *pipeline;
	struct snapshot *snapshot; /* a reference */
	uint8_t *decoded; /* of the request at work */
	size_t decoded_size;
	const char **tenants; /* of the request at work, by destination; point into its headers */
	struct upload *free_uploads;
	unsigned n_free;
	struct http_counters counters;
	_Atomic uint64_t turned_us; /* last turn of the loop */
	_Atomic uint64_t busy_us,
		worst_us; /* since when it works, 0 = waits; longest turn since it was asked for */
};

struct gateway {
	struct gateway_options o;
	struct loop *loop;
	struct loop_timer *timer;
	struct loop_source *signals;
	int signal_fd;
	struct nodes *nodes;
	struct rw_families *families;
	struct http_server *servers[SERVERS_MAX], *admin;
	unsigned n_servers, n_workers;
	struct route_worker *workers;
	pthread_mutex_t reload_lock; /* one reload, or the tick, at a time: owns the nodes */
	pthread_mutex_t lock; /* snapshots and their references */
	struct snapshot *snapshot, *retired;
	struct task_load *task_loads; /* under the reload lock */
	_Atomic uint64_t generation;
	atomic_bool stopping, stopped, ready;
	uint64_t held_bytes; /* bytes of decoded bodies */
	struct rate_limit *rate;
	pthread_rwlock_t tokens_lock;
	struct tokens *tokens; /* of senders; NULL = none are asked for */
	struct metrics *metrics;
	struct metric_set *set;
	struct figures *figures;
	uint64_t reload_ok_ms;
	bool last_reload_ok;
	struct file_watch tokens_watch;
	uint64_t files_changed[_FILE_KIND_MAX], files_bad[_FILE_KIND_MAX];
	uint64_t epoch;
	uint64_t stop_by_us;
};

/* Do the senders' tokens hold this one? (http_bearer_fn) */
enum http_bearer gateway_bearer(void *ctx, const char *token, size_t len);

/* snapshots */
struct snapshot *gateway_take_snapshot(struct gateway *g);
void gateway_put_snapshot(struct gateway *g, struct snapshot *s);
/* Reads the file again. 0; -EINVAL with all diagnostics in @text. Main thread, or a handler while it waits. */
int gateway_reload(struct gateway *g, struct strbuf *text);

/* What the tasks of @d had to do in the last minute; NULL: not known yet. The reload lock is held. */
const struct task_load *gateway_task_load(struct gateway *g, const struct destination *d);

/* receive/handler.c */
extern const struct http_upload_ops route_upload;
/* Between requests, and when there are none: a node that is gone is held by nobody for long. */
void route_worker_use_newest(struct route_worker *w);

/* receive/upload.c */
void route_worker_done(struct route_worker *w); /* frees what uploads left */

/* watch.c: each second, with the reload lock held */
void gateway_look_at_files(struct gateway *g);
void gateway_swap_tokens(struct gateway *g, struct tokens *fresh);

/* worker.c */
int workers_start(struct gateway *g);
void workers_stop(struct gateway *g);

/* web.c */
const struct http_route *route_web(struct gateway *g, bool with_admin, bool with_write);

/* stats.c */
void route_stats(struct http_request *q, void *ctx);

/* tick.c */
int route_metrics_new(struct gateway *g);
void route_metrics_free(struct gateway *g);
void route_metrics_tick(struct gateway *g);
/* Another snapshot comes: tasks that move are counted. */
void route_metrics_moved(struct gateway *g, const struct snapshot *old,
			 const struct snapshot *fresh);
