/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the server share: a server, a request, a stream. */
#pragma once
#include <microhttpd.h>
#include <stdatomic.h>
#include "base/filewatch.h"
#include "http/internal.h"

#define HEADERS_MAX 8

struct worker { /* a daemon of the library, and who of the caller's threads runs it */
	struct http_server *server;
	struct MHD_Daemon *daemon;
	unsigned index;
};

struct http_server {
	struct worker *workers;
	unsigned n_workers;
	struct http_server_options options;
	const struct http_route *routes;
	char web_path[4096];
	pthread_rwlock_t config_lock;
	struct webconfig *web, *retired; /* before the last reload */
	struct file_watch watch;
	struct auth *auth;
	struct connections *connections;
	int listen_fd;
	uint16_t port;
	pthread_mutex_t streams_lock;
	struct http_stream *streams;
	atomic_bool stopping;
	_Atomic uint64_t requests[6], unauthorized, forbidden;
};

struct http_request {
	struct http_server *server;
	const struct worker *worker;
	const struct http_route *route; /* of an upload */
	void *user;
	bool later;
	struct {
		char name[64], value[128];
	} headers[HEADERS_MAX];
	unsigned n_headers;
	struct MHD_Connection *connection;
	const char *method, *path;
	char *body;
	size_t body_len;
	bool too_large, replied, authenticated;
};

struct http_stream {
	struct http_server *server;
	struct MHD_Connection *connection;
	const struct http_stream_ops *ops;
	void *ctx;
	struct http_stream *next;
	pthread_mutex_t lock;
	bool suspended, woken;
	atomic_bool ended;
};

/* --- request.c --- */
void http_queue(struct http_request *q, unsigned status, const char *content_type,
		struct MHD_Response *response);

/* --- stream.c --- */
void http_end_streams(struct http_server *server);

/* --- dispatch.c: called by the library --- */
enum MHD_Result http_on_request(void *worker, struct MHD_Connection *connection, const char *url,
				const char *method, const char *version, const char *data,
				size_t *len, void **state);
void http_on_completed(void *ctx, struct MHD_Connection *connection, void **state,
		       enum MHD_RequestTerminationCode code);
