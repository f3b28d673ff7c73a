/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP server
 *
 * libmicrohttpd with its own epoll threads: asleep while nobody asks. Order of the checks: route, method, loopback or
 * authentication, body. Streams sleep suspended and are woken by whoever has something for them.
 */
#define LOG_MODULE "http"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "http/internal.h"

#define THREADS 2
#define STACK_BYTES (256 * 1024)
#define CONNECTION_BYTES (32 * 1024) /* of one connection: headers longer than that are 431 */
#define STREAM_BLOCK 16384
/* The library's own limit is split between its threads and is silent: connections.c has to be met first. */
#define LIBRARY_SLACK 4U

#define WORKERS_MAX 256
#define UPLOAD_BYTES (64 * 1024) /* of a connection whose bodies are large */
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
	struct auth *auth;
	struct connections *connections;
	int listen_fd;
	uint16_t port;
	pthread_mutex_t streams_lock;
	struct http_stream *streams;
	atomic_bool stopping;
	_Atomic uint64_t requests[6], refused, auth_failures;
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

/* --- what handlers ask --- */

const char *http_method(const struct http_request *q)
{
	return q->method;
}

const char *http_path(const struct http_request *q)
{
	return q->path;
}

const char *http_header(const struct http_request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const struct http_request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct unknown {
	const char *const *known;
	const char *found;
};

static enum MHD_Result check_known(void *ctx, enum MHD_ValueKind kind, const char *key,
				   const char *value)
{
	struct unknown *u = ctx;

	(void)kind, (void)value;
	for (const char *const *k = u->known; *k; k++)
		if (streq(*k, key))
			return MHD_YES;
	u->found = key;
	return MHD_NO;
}

const char *http_query_unknown(const struct http_request *q, const char *const *known)
{
	struct unknown u = { known, NULL };

	(void)MHD_get_connection_values(q->connection, MHD_GET_ARGUMENT_KIND, check_known, &u);
	return u.found;
}

const void *http_body(const struct http_request *q, size_t *ret_len)
{
	*ret_len = q->body_len;
	return q->body ? q->body : "";
}

bool http_peer_loopback(const struct http_request *q)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(q->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	return info && address_is_loopback(info->client_addr);
}

bool http_peer_authenticated(const struct http_request *q)
{
	return q->authenticated;
}

/* --- answers --- */

static void queue_response(struct http_request *q, unsigned status, const char *content_type,
			   struct MHD_Response *response)
{
	struct http_server *s = q->server;

	if (!response)
		return;
	if (content_type)
		(void)MHD_add_response_header(response, "Content-Type", content_type);
	(void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	(void)MHD_add_response_header(response, "Cache-Control", "no-store");
	pthread_rwlock_rdlock(&s->config_lock);
	for (size_t i = 0; i < s->web->headers->n; i++)
		(void)MHD_add_response_header(response, s->web->headers->items[i].key,
					      s->web->headers->items[i].value);
	pthread_rwlock_unlock(&s->config_lock);
	for (unsigned i = 0; i < q->n_headers; i++)
		(void)MHD_add_response_header(response, q->headers[i].name, q->headers[i].value);
	s->requests[MIN(status / 100, 5U)]++;
	q->replied = MHD_queue_response(q->connection, status, response) == MHD_YES;
	MHD_destroy_response(response);
}

void http_reply(struct http_request *q, unsigned status, const char *content_type, const void *body,
		size_t len)
{
	queue_response(q, status, content_type,
		       MHD_create_response_from_buffer(len, (void *)body, MHD_RESPMEM_MUST_COPY));
}

void http_reply_text(struct http_request *q, unsigned status, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	http_reply(q, status, "text/plain; charset=utf-8", text, strlen(text));
}

void http_reply_strbuf(struct http_request *q, unsigned status, const char *content_type,
		       struct strbuf *body)
{
	size_t len;
	char *data = strbuf_steal(body, &len);
	struct MHD_Response *response;

	if (!data) {
		http_reply_text(q, 500, "out of memory\n");
		return;
	}
	response = MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);
	if (!response)
		free(data);
	queue_response(q, status, content_type, response);
}

/* --- streams --- */

static ssize_t stream_read(void *ctx, uint64_t position, char *buf, size_t size)
{
	struct http_stream *s = ctx;

	(void)position;
	for (;;) {
		ssize_t n;

		if (s->ended)
			return MHD_CONTENT_READER_END_OF_STREAM;
		n = s->ops->read(s->ctx, buf, size);
		if (n > 0)
			return n;
		if (n < 0)
			return n == HTTP_STREAM_END ? MHD_CONTENT_READER_END_OF_STREAM
						    : MHD_CONTENT_READER_END_WITH_ERROR;
		/* A wake-up between that answer and the sleep is not lost: it left its mark. */
		pthread_mutex_lock(&s->lock);
		if (s->woken || s->ended) {
			s->woken = false;
			pthread_mutex_unlock(&s->lock);
			continue;
		}
		s->suspended = true;
		MHD_suspend_connection(s->connection);
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
}

static void stream_free(void *ctx)
{
	struct http_stream *s = ctx, **p;

	/* First: after that nobody wakes it any more. */
	s->ops->free(s->ctx);
	pthread_mutex_lock(&s->server->streams_lock);
	for (p = &s->server->streams; *p && *p != s; p = &(*p)->next)
		;
	if (*p)
		*p = s->next;
	pthread_mutex_unlock(&s->server->streams_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int http_reply_stream(struct http_request *q, const char *content_type,
		      const struct http_stream_ops *ops, void *ctx, struct http_stream **ret)
{
	struct http_stream *s = calloc(1, sizeof(*s));
	struct MHD_Response *response;

	if (!s) {
		ops->free(ctx);
		http_reply_text(q, 500, "out of memory\n");
		return -ENOMEM;
	}
	s->server = q->server;
	s->connection = q->connection;
	s->ops = ops;
	s->ctx = ctx;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_lock(&q->server->streams_lock);
	s->next = q->server->streams;
	q->server->streams = s;
	pthread_mutex_unlock(&q->server->streams_lock);
	*ret = s;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, s,
						     stream_free);
	if (!response) {
		stream_free(s);
		http_reply_text(q, 500, "out of memory\n");
		return -ENOMEM;
	}
	queue_response(q, 200, content_type, response);
	/* Not taken: the response went at once, and with it the stream. */
	return q->replied ? 0 : -EIO;
}

static void wake_locked(struct http_stream *s)
{
	if (s->suspended) {
		s->suspended = false;
		MHD_resume_connection(s->connection);
	} else {
		s->woken = true;
	}
}

void http_stream_wake(struct http_stream *s)
{
	pthread_mutex_lock(&s->lock);
	wake_locked(s);
	pthread_mutex_unlock(&s->lock);
}

static void end_streams(struct http_server *server)
{
	pthread_mutex_lock(&server->streams_lock);
	for (struct http_stream *s = server->streams; s; s = s->next) {
		pthread_mutex_lock(&s->lock);
		s->ended = true;
		wake_locked(s);
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_unlock(&server->streams_lock);
}

/* --- dispatch --- */

static const struct http_route *find_route(const struct http_server *s, const char *path)
{
	for (const struct http_route *r = s->routes; r->path; r++) {
		size_t len = strlen(r->path);

		if (streq(r->path, path) ||
		    (r->flags & HTTP_PREFIX && strncmp(path, r->path, len) == 0))
			return r;
	}
	return NULL;
}

static bool has_method(const struct http_route *r, const char *method)
{
	size_t len = strlen(method);

	for (const char *p = r->methods; *p; p += strcspn(p, " "), p += *p == ' ')
		if (strcspn(p, " ") == len && strncmp(p, method, len) == 0)
			return true;
	return false;
}

static void reply_method(struct http_request *q, const struct http_route *r)
{
	static const char text[] = "method not allowed\n";
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
	char allow[64];
	size_t n = 0;

	for (const char *p = r->methods; *p && n + 3 < sizeof(allow); p++) {
		if (*p == ' ')
			allow[n++] = ',';
		allow[n++] = *p;
	}
	allow[n] = '\0';
	if (response)
		(void)MHD_add_response_header(response, "Allow", allow);
	queue_response(q, 405, "text/plain; charset=utf-8", response);
}

static bool client_certificate_ok(struct http_request *q, const struct webconfig *w)
{
	const union MHD_ConnectionInfo *info;
	gnutls_session_t session;
	unsigned n = 0, status = 0;

	if (!w->tls || (!w->client_required && !w->client_verified))
		return true;
	info = MHD_get_connection_info(q->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	if (!info)
		return false;
	session = info->tls_session;
	if (!gnutls_certificate_get_peers(session, &n) || n == 0)
		return !w->client_required;
	return !w->client_verified ||
	       (gnutls_certificate_verify_peers2(session, &status) >= 0 && status == 0);
}

static void reply_unauthorized(struct http_request *q)
{
	static const char text[] = "unauthorized\n";
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);

	if (response)
		(void)MHD_add_response_header(response, "WWW-Authenticate", "Basic");
	queue_response(q, 401, "text/plain; charset=utf-8", response);
}

/* May this peer have this route? Answers by itself when not. */
static bool admit(struct http_request *q, const struct http_route *r)
{
	struct http_server *s = q->server;
	bool users, required, certificate, ok;

	pthread_rwlock_rdlock(&s->config_lock);
	users = s->web->users->n > 0;
	required = s->web->tls && s->web->client_required;
	certificate = client_certificate_ok(q, s->web);
	ok = !users || auth_check(s->auth, s->web->users, http_header(q, "Authorization"));
	pthread_rwlock_unlock(&s->config_lock);

	if (!certificate || !ok)
		s->auth_failures++;
	if (!certificate) {
		http_reply_text(q, 403, "a client certificate is required\n");
		return false;
	}
	if (!ok) {
		reply_unauthorized(q);
		return false;
	}
	q->authenticated = users || required;
	if (!(r->flags & HTTP_PUBLIC) && !q->authenticated && !http_peer_loopback(q)) {
		http_reply_text(
			q, 403,
			"answers only on loopback while TLS and authentication are not configured\n");
		return false;
	}
	return true;
}

static void dispatch(struct http_request *q)
{
	const struct http_route *r = find_route(q->server, q->path);

	if (!r)
		http_reply_text(q, 404, "not found\n");
	else if (!has_method(r, q->method))
		reply_method(q, r);
	else if (q->too_large)
		http_reply_text(q, 413, "the body is larger than %zu bytes\n",
				q->server->options.body_max);
	else if (admit(q, r))
		r->handler(q, r->ctx);
}

static void take_body(struct http_request *q, const char *data, size_t len)
{
	char *body;

	if (q->too_large || len > q->server->options.body_max - q->body_len) {
		q->too_large = true;
		return;
	}
	body = realloc(q->body, q->body_len + len + 1);
	if (!body) {
		q->too_large = true;
		return;
	}
	memcpy(body + q->body_len, data, len);
	q->body = body;
	q->body_len += len;
	body[q->body_len] = '\0';
}

static void *slot_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* --- uploads --- */

void http_set_user(struct http_request *q, void *user)
{
	q->user = user;
}

void *http_user(const struct http_request *q)
{
	return q->user;
}

unsigned http_worker(const struct http_request *q)
{
	return q->worker->index;
}

void http_later(struct http_request *q)
{
	q->later = true;
}

void http_resume(struct http_request *q)
{
	if (!q->later)
		return;
	q->later = false;
	MHD_resume_connection(q->connection);
}

void http_reply_header(struct http_request *q, const char *name, const char *value)
{
	if (q->n_headers == HEADERS_MAX)
		return;
	(void)snprintf(q->headers[q->n_headers].name, sizeof(q->headers[0].name), "%s", name);
	(void)snprintf(q->headers[q->n_headers++].value, sizeof(q->headers[0].value), "%s", value);
}

/* Headers are in. What is refused is answered here, before the body. */
static enum MHD_Result begin_upload(struct http_request *q, const struct http_route *r)
{
	connections_busy(q->server->connections, slot_of(q->connection), true);
	if (!has_method(r, q->method)) {
		reply_method(q, r);
	} else if (admit(q, r)) {
		q->route = r;
		if (r->upload->begin(q, r->ctx))
			return MHD_YES;
	}
	return q->replied ? MHD_YES : MHD_NO;
}

static enum MHD_Result go_on_upload(struct http_request *q, const char *data, size_t *len)
{
	if (*len) {
		if (!q->replied)
			q->route->upload->data(q, q->route->ctx, data, *len);
		*len = 0;
		return MHD_YES;
	}
	if (q->replied)
		return MHD_YES;
	q->route->upload->end(q, q->route->ctx);
	if (q->later && !q->replied) {
		MHD_suspend_connection(q->connection);
		return MHD_YES;
	}
	return q->replied ? MHD_YES : MHD_NO;
}

static enum MHD_Result new_request(struct worker *w, struct MHD_Connection *connection,
				   const char *url, const char *method, struct http_request **ret)
{
	struct http_request *q = calloc(1, sizeof(*q));
	const struct http_route *r;

	if (!q)
		return MHD_NO;
	q->server = w->server;
	q->worker = w;
	q->connection = connection;
	q->method = method;
	q->path = url;
	*ret = q;
	r = find_route(w->server, url);
	return r && r->upload ? begin_upload(q, r) : MHD_YES;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **state)
{
	struct http_request *q = *state;

	(void)version;
	if (!q)
		return new_request(ctx, connection, url, method, (struct http_request **)state);
	q->method = method;
	q->path = url;
	if (q->route)
		return go_on_upload(q, data, len);
	if (q->replied) { /* refused before its body */
		*len = 0;
		return MHD_YES;
	}
	if (*len) {
		take_body(q, data, *len);
		*len = 0;
		return MHD_YES;
	}
	connections_busy(q->server->connections, slot_of(connection), true);
	dispatch(q);
	return q->replied ? MHD_YES : MHD_NO;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct http_request *q = *state;

	(void)ctx, (void)code;
	if (q) {
		if (q->route)
			q->route->upload->gone(q, q->route->ctx);
		connections_busy(q->server->connections, slot_of(connection), false);
		free(q->body);
	}
	free(q);
	*state = NULL;
}

static void on_log(void *ctx, const char *fmt, va_list ap)
{
	char line[512];

	(void)ctx;
	if (log_level() > LOG_LEVEL_DEBUG)
		return;
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("%s", line);
}

/* Certificates are asked for at each handshake, so a reload needs no new socket. */
static struct http_server *tls_server; /* MHD gives this callback no context */

static int on_certificate(gnutls_session_t session, const gnutls_datum_t *ca, int n_ca,
			  const gnutls_pk_algorithm_t *algorithms, int n_algorithms,
			  gnutls_pcert_st **pcert, unsigned *n, gnutls_privkey_t *key)
{
	struct http_server *s = tls_server;

	(void)session, (void)ca, (void)n_ca, (void)algorithms, (void)n_algorithms;
	pthread_rwlock_rdlock(&s->config_lock);
	*pcert = s->web->chain;
	*n = s->web->chain_len;
	*key = s->web->key;
	pthread_rwlock_unlock(&s->config_lock);
	return 0;
}

/* A zero byte would end the text early: "/metrics%00x" is not "/metrics". Another control byte matches nothing either. */
static size_t unescape(void *ctx, struct MHD_Connection *connection, char *s)
{
	(void)ctx, (void)connection;
	for (char *p = s; (p = strstr(p, "%00")); p += 3)
		p[2] = '1';
	return MHD_http_unescape(s);
}

static enum MHD_Result on_accept(void *ctx, const struct sockaddr *address, socklen_t len)
{
	struct http_server *s = ctx;

	(void)len;
	if (s->stopping)
		return MHD_NO;
	if (connections_admit(s->connections, address))
		return MHD_YES;
	s->refused++;
	return MHD_NO;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **slot,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_server *s = ctx;
	const union MHD_ConnectionInfo *fd, *address;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		connections_end(s->connections, *slot);
		*slot = NULL;
		return;
	}
	fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	address = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (fd && address)
		*slot = connections_start(s->connections, fd->connect_fd, address->client_addr);
}

static void set_tls(struct http_server *s, struct MHD_OptionItem tls[4])
{
	size_t n = 0;

	tls_server = s;
	tls[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
					    (void *)on_certificate };
	tls[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0,
					    (void *)s->web->priorities };
	if (s->web->client_ca)
		tls[n++] =
			(struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_TRUST, 0, s->web->client_ca };
	tls[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
}

/* @fd becomes the daemon's. */
static int start_daemon(struct http_server *s, struct worker *w, int fd)
{
	unsigned flags = MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_ITC;
	struct MHD_OptionItem tls[4] = { { MHD_OPTION_END, 0, NULL } };
	struct MHD_OptionItem threads[3] = { { MHD_OPTION_END, 0, NULL } };

	if (s->options.workers) {
		flags |= MHD_USE_EPOLL;
	} else {
		flags |= MHD_USE_EPOLL_INTERNAL_THREAD;
		threads[0] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, THREADS, NULL };
		threads[1] =
			(struct MHD_OptionItem){ MHD_OPTION_THREAD_STACK_SIZE, STACK_BYTES, NULL };
		threads[2] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	}
	if (s->web->tls) {
		flags |= MHD_USE_TLS;
		set_tls(s, tls);
	}
	w->daemon = MHD_start_daemon(
		flags, 0, on_accept, s, on_request, w, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_EXTERNAL_LOGGER, on_log,
		NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, s, MHD_OPTION_CONNECTION_LIMIT,
		LIBRARY_SLACK * s->options.connections_max, MHD_OPTION_CONNECTION_TIMEOUT,
		s->options.timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)(s->options.workers ? UPLOAD_BYTES : CONNECTION_BYTES), MHD_OPTION_ARRAY,
		threads, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
	if (w->daemon)
		return 0;
	(void)close(fd);
	return -EIO;
}

/* All daemons accept from one socket: who is idle takes the next connection. */
static int start_daemons(struct http_server *s)
{
	unsigned n = CLAMP(s->options.workers, 1U, (unsigned)WORKERS_MAX);

	s->workers = calloc(n, sizeof(*s->workers));
	if (!s->workers)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		int fd = fcntl(s->listen_fd, F_DUPFD_CLOEXEC, 3), r;

		if (fd < 0)
			return -errno;
		s->workers[i] = (struct worker){ .server = s, .index = i };
		r = start_daemon(s, &s->workers[i], fd);
		if (r < 0)
			return r;
		s->n_workers = i + 1;
	}
	return 0;
}

int http_server_fd(const struct http_server *s, unsigned worker)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(s->workers[worker].daemon, MHD_DAEMON_INFO_EPOLL_FD);

	return info ? info->epoll_fd : -EBADF;
}

int http_server_timeout(const struct http_server *s, unsigned worker)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(s->workers[worker].daemon, &ms) != MHD_YES)
		return -1;
	return (int)MIN(ms, 60000ULL);
}

void http_server_run(struct http_server *s, unsigned worker)
{
	(void)MHD_run(s->workers[worker].daemon);
}

void http_server_quiesce(struct http_server *s)
{
	s->stopping = true;
}

/**
 * http_server_new() - listen and serve
 * @routes: first match wins; stays the caller's
 *
 * Source: exporter-toolkit's web configuration for @o->web_config_file.
 *
 * Return: 0; -EADDRINUSE; -EINVAL; -errno. @why holds one sentence.
 */
int http_server_new(const struct http_server_options *o, const struct http_route *routes, char *why,
		    size_t why_size, struct http_server **ret)
{
	_cleanup_(http_server_freep) struct http_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->options = *o;
	s->routes = routes;
	s->listen_fd = -EBADF;
	pthread_rwlock_init(&s->config_lock, NULL);
	pthread_mutex_init(&s->streams_lock, NULL);
	(void)snprintf(s->web_path, sizeof(s->web_path), "%s",
		       o->web_config_file ? o->web_config_file : "");
	r = webconfig_load(s->web_path, why, why_size, &s->web);
	if (r >= 0)
		r = auth_new(&s->auth);
	if (r >= 0)
		r = connections_new(o->connections_max, o->timeout_s, &s->connections);
	if (r < 0)
		return r;
	s->listen_fd = http_listen(o->listen_address, why, why_size);
	if (s->listen_fd < 0)
		return s->listen_fd;
	s->port = http_socket_port(s->listen_fd);
	r = start_daemons(s);
	if (r < 0) {
		(void)snprintf(why, why_size, "the HTTP library does not start%s",
			       s->web->tls ? " with TLS" : "");
		return r;
	}
	*ret = TAKE_PTR(s);
	return 0;
}

struct http_server *http_server_free(struct http_server *s)
{
	if (!s)
		return NULL;
	s->stopping = true;
	end_streams(s);
	for (unsigned i = 0; i < s->n_workers; i++)
		MHD_stop_daemon(
			s->workers[i].daemon); /* closes its copy of the listening socket, too */
	if (s->listen_fd >= 0)
		(void)close(s->listen_fd);
	free(s->workers);
	webconfig_free(s->web);
	webconfig_free(s->retired);
	auth_free(s->auth);
	connections_free(s->connections);
	pthread_rwlock_destroy(&s->config_lock);
	pthread_mutex_destroy(&s->streams_lock);
	free(s);
	return NULL;
}

int http_server_reload(struct http_server *s, char *why, size_t why_size)
{
	struct webconfig *fresh, *old;
	const char *fixed = NULL;
	int r = webconfig_load(s->web_path, why, why_size, &fresh);

	if (r < 0)
		return r;
	/* What the library was given when it started. */
	if (fresh->tls != s->web->tls)
		fixed = "TLS is switched on and off";
	else if (!streq(fresh->priorities, s->web->priorities))
		fixed = "min_version and max_version change";
	else if (!streq(fresh->client_ca ? fresh->client_ca : "",
			s->web->client_ca ? s->web->client_ca : ""))
		fixed = "authorities of clients change";
	if (fixed) {
		webconfig_free(fresh);
		(void)snprintf(why, why_size, "%s: %s by a restart only", s->web_path, fixed);
		return -EINVAL;
	}
	pthread_rwlock_wrlock(&s->config_lock);
	old = s->retired;
	s->retired = s->web; /* a handshake may still hold its certificate */
	s->web = fresh;
	auth_forget(s->auth);
	pthread_rwlock_unlock(&s->config_lock);
	webconfig_free(old);
	return 0;
}

uint16_t http_server_port(const struct http_server *s)
{
	return s->port;
}

void http_server_stats(const struct http_server *s, struct http_server_stats *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(ret->requests); i++)
		ret->requests[i] = s->requests[i];
	ret->refused_connections = s->refused;
	ret->auth_failures = s->auth_failures;
}
