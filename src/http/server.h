/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/cleanup.h"
#include "base/strbuf.h"

/*
 * HTTP server on libmicrohttpd
 *
 * Runs on threads of its own, so that a slow client, a TLS handshake or a query of the journal never holds up the loop.
 * Without TLS and authentication configured, routes that are not HTTP_PUBLIC answer 403 to peers outside loopback.
 */
struct http_request;

enum http_flags {
	HTTP_PUBLIC = 1 << 0, /* answers everybody even without TLS and authentication */
	HTTP_PREFIX = 1 << 1, /* path is a prefix */
};

typedef void (*http_handler)(struct http_request *q, void *ctx);
/*
 * A body that is looked at as it comes. All calls come on the thread of the connection; gone() is the last, whatever happened.
 */
struct http_upload_ops {
	bool (*begin)(struct http_request *q,
		      void *ctx); /* headers are in; false: answered, the body is not wanted */
	void (*data)(struct http_request *q, void *ctx, const void *data, size_t len);
	void (*end)(
		struct http_request *q,
		void *ctx); /* answers, or http_later(): then it is called again after http_resume() */
	void (*gone)(struct http_request *q, void *ctx);
};
/* What a route says of a bearer token; @token NULL: there is none. OFF: it does not ask for one. */
enum http_bearer { HTTP_BEARER_OFF, HTTP_BEARER_RIGHT, HTTP_BEARER_WRONG };
typedef enum http_bearer (*http_bearer_fn)(void *ctx, const char *token, size_t len);

struct http_route {
	const char *methods; /* "GET HEAD", "POST" */
	const char *path;
	unsigned flags;
	http_handler handler; /* must answer once, by http_reply() or http_reply_stream() */
	void *ctx;
	const struct http_upload_ops *upload; /* instead of handler */
	http_bearer_fn bearer; /* NULL: users of the web configuration alone */
};

const char *http_method(const struct http_request *q);
const char *http_path(const struct http_request *q);
const char *http_header(const struct http_request *q, const char *name); /* NULL when absent */
const char *http_query(const struct http_request *q,
		       const char *name); /* decoded, NULL when absent */
/* First query parameter that is not in @known (NULL-terminated); NULL when all are known. */
const char *http_query_unknown(const struct http_request *q, const char *const *known);
const void *http_body(const struct http_request *q, size_t *ret_len); /* whole body, ≤ body_max */
bool http_peer_loopback(const struct http_request *q);
bool http_peer_authenticated(const struct http_request *q);

void http_reply(struct http_request *q, unsigned status, const char *content_type, const void *body,
		size_t len); /* copies */
void http_reply_text(struct http_request *q, unsigned status, const char *fmt, ...)
	PRINTF_LIKE(3, 4); /* text/plain */
void http_reply_strbuf(struct http_request *q, unsigned status, const char *content_type,
		       struct strbuf *body); /* takes the memory */

/*
 * Streamed answer. @read fills at most @size bytes and returns the number, 0 = nothing now (the connection sleeps until
 * http_stream_wake()), HTTP_STREAM_END, HTTP_STREAM_ERROR. Runs on a server thread. @free is called once, whatever happens.
 */
#define HTTP_STREAM_END (-1)
#define HTTP_STREAM_ERROR (-2) /* the peer must not take what it has for the whole */
struct http_stream; /* handle for waking, valid until @free was called */
struct http_stream_ops {
	ssize_t (*read)(void *ctx, char *buf, size_t size);
	void (*free)(void *ctx);
};
int http_reply_stream(struct http_request *q, const char *content_type,
		      const struct http_stream_ops *ops, void *ctx, struct http_stream **ret);
void http_stream_wake(struct http_stream *s); /* from any thread */

void http_set_user(struct http_request *q, void *user); /* of an upload */
void *http_user(const struct http_request *q);
unsigned http_worker(const struct http_request *q); /* index of the worker whose connection it is */
void http_later(struct http_request *q);
void http_resume(struct http_request *q); /* on the worker's thread */
/* A header of the answer that comes next; at most 8. */
void http_reply_header(struct http_request *q, const char *name, const char *value);

struct http_server_options {
	const char *listen_address; /* ":9102", "127.0.0.1:9102", "[::1]:9102", "127.0.0.1:0" */
	const char *web_config_file; /* exporter-toolkit file, "" = plain HTTP */
	unsigned connections_max; /* 128 */
	unsigned connections_per_peer; /* of one address; 0 = half of all */
	unsigned timeout_s; /* of an idle connection, and of a whole request; 30 */
	/* With header_timeout_us a request as a whole has no timeout: its headers have, and its body may not be slower than body_rate. */
	uint64_t header_timeout_us;
	uint64_t body_rate; /* bytes a second, once a body has taken 5 s; 0 = no limit */
	struct http_server *share; /* counts its connections together with those of that one; NULL */
	size_t body_max; /* 1 MiB */
	/*
	 * 0: the server has threads of its own. Else it is driven by as many threads of the caller, each of which owns the connections that
	 * it accepted: poll http_server_fd() for at most http_server_timeout(), then http_server_run().
	 */
	unsigned workers;
};

struct http_server_stats { /* for telamon_http_* */
	uint64_t requests[6]; /* by status class; [0] unused */
	uint64_t refused_connections;
	uint64_t auth_failures, unauthorized,
		forbidden; /* the first is the sum: 401, and 403 for a certificate */
	/* The first is the sum of the next two; those that were too slow were cut off. */
	uint64_t refused_all, refused_peer, cut_headers, cut_body, cut_idle;
	unsigned connections; /* now */
};

struct http_server;
/*
 * @routes ends with {} and stays valid. Errors go to @why as one sentence: "listen address ':9102' is taken", a bad web config as
 * "web.yml:3:5: …".
 */
int http_server_new(const struct http_server_options *o, const struct http_route *routes, char *why,
		    size_t why_size, struct http_server **ret);
struct http_server *http_server_free(struct http_server *s); /* closes streams */
DEFINE_CLEANUP(struct http_server *, http_server_free);
int http_server_reload(struct http_server *s, char *why,
		       size_t why_size); /* certificates and users anew; old ones stay on error */
/* The same when its files have changed and rested since the last look: 1; 0 they have not; -errno with @why. */
int http_server_look(struct http_server *s, char *why, size_t why_size);
/* 0, or -errno with the first error in @why; the file is only read. */
int http_web_config_check(const char *path, char *why, size_t why_size);
uint16_t http_server_port(const struct http_server *s);
int http_server_fd(const struct http_server *s, unsigned worker);
int http_server_timeout(const struct http_server *s, unsigned worker); /* ms, -1 = none */
void http_server_run(struct http_server *s, unsigned worker);
void http_server_tick(struct http_server *s); /* each second: cuts off who is too slow */
void http_server_quiesce(struct http_server *s); /* no new connections */
void http_server_stats(const struct http_server *s, struct http_server_stats *ret);
