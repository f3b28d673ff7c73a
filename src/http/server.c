/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP server
 *
 * libmicrohttpd with its own epoll threads, asleep while nobody asks, or driven by threads of the caller.
 */
#define LOG_MODULE "http"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/time.h"
#include "http/server-part.h"

#define THREADS 2
#define STACK_BYTES (256 * 1024)
#define CONNECTION_BYTES (32 * 1024) /* of one connection: headers longer than that are 431 */
/* The library's own limit is split between its threads and is silent: connections.c has to be met first. */
#define LIBRARY_SLACK 4U
#define LIBRARY_LATER_S \
	2U /* so that connections.c counts who is idle; the library looks after answers nobody reads */

#define WORKERS_MAX 256
#define UPLOAD_BYTES (64 * 1024) /* of a connection whose bodies are large */

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

	(void)ca, (void)n_ca, (void)algorithms, (void)n_algorithms;
	pthread_rwlock_rdlock(&s->config_lock);
	certificate_ask(s->web, session);
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
	return !s->stopping && connections_admit(s->connections, address) ? MHD_YES : MHD_NO;
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

/* The first line of a request is in. What is returned becomes the state of the request. */
static void *on_request_line(void *ctx, const char *uri, struct MHD_Connection *connection)
{
	struct http_server *s = ctx;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	(void)uri;
	if (info)
		connections_request(s->connections, info->socket_context);
	return NULL;
}

static void set_tls(struct http_server *s, struct MHD_OptionItem tls[4])
{
	size_t n = 0;

	tls_server = s;
	tls[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
					    (void *)on_certificate };
	tls[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0,
					    (void *)s->web->priorities };
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
		flags, 0, on_accept, s, http_on_request, w, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_EXTERNAL_LOGGER, on_log,
		NULL, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_CONNECTION_LIMIT,
		LIBRARY_SLACK * s->options.connections_max, MHD_OPTION_URI_LOG_CALLBACK,
		on_request_line, s, MHD_OPTION_CONNECTION_TIMEOUT,
		s->options.timeout_s + LIBRARY_LATER_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
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

void http_server_tick(struct http_server *s)
{
	connections_tick(s->connections);
}

void http_server_quiesce(struct http_server *s)
{
	s->stopping = true;
}

static bool same_watched(const struct http_server *s)
{
	bool same = s->watch.n == s->web->n_files;

	for (unsigned i = 0; same && i < s->web->n_files; i++)
		same = streq(s->watch.paths[i], s->web->files[i]);
	return same;
}

static void watch_files(struct http_server *s)
{
	if (file_watch_set(&s->watch, (const char *const *)s->web->files, s->web->n_files) < 0)
		log_warning("out of memory, files of %s are not watched", s->web_path);
}

static int make_connections(struct http_server *s, const struct http_server_options *o)
{
	uint64_t timeout_us = o->timeout_s * US_PER_SEC;
	const struct connection_limits l = {
		.max = o->connections_max,
		.per_peer = o->connections_per_peer ? o->connections_per_peer
						    : MAX(o->connections_max / 2, 1U),
		.header_us = o->header_timeout_us ? o->header_timeout_us : timeout_us,
		.request_us = o->header_timeout_us ? 0 : timeout_us,
		.idle_us = timeout_us,
		.body_rate = o->body_rate,
	};

	if (!o->share)
		return connections_new(&l, &s->connections);
	s->connections = connections_share(o->share->connections);
	return 0;
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
		r = make_connections(s, o);
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
	watch_files(s);
	*ret = TAKE_PTR(s);
	return 0;
}

struct http_server *http_server_free(struct http_server *s)
{
	if (!s)
		return NULL;
	s->stopping = true;
	http_end_streams(s);
	for (unsigned i = 0; i < s->n_workers; i++)
		MHD_stop_daemon(
			s->workers[i].daemon); /* closes its copy of the listening socket, too */
	if (s->listen_fd >= 0)
		(void)close(s->listen_fd);
	free(s->workers);
	file_watch_done(&s->watch);
	webconfig_free(s->web);
	webconfig_free(s->retired);
	auth_free(s->auth);
	connections_free(s->connections);
	pthread_rwlock_destroy(&s->config_lock);
	pthread_mutex_destroy(&s->streams_lock);
	free(s);
	return NULL;
}

int http_server_look(struct http_server *s, char *why, size_t why_size)
{
	int r;

	if (!file_watch_look(&s->watch))
		return 0;
	r = http_server_reload(s, why, why_size);
	return r < 0 ? r : 1;
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
	if (!same_watched(s))
		watch_files(s);
	return 0;
}

uint16_t http_server_port(const struct http_server *s)
{
	return s->port;
}

void http_server_stats(const struct http_server *s, struct http_server_stats *ret)
{
	struct connection_counts c;

	for (size_t i = 0; i < ARRAY_SIZE(ret->requests); i++)
		ret->requests[i] = s->requests[i];
	connections_counts(s->connections, &c);
	ret->refused_connections = c.refused + c.refused_peer;
	ret->refused_all = c.refused;
	ret->refused_peer = c.refused_peer;
	ret->cut_headers = c.cut_headers;
	ret->cut_body = c.cut_body;
	ret->cut_idle = c.cut_idle;
	ret->connections = c.open;
	ret->unauthorized = s->unauthorized;
	ret->forbidden = s->forbidden;
	ret->auth_failures = ret->unauthorized + ret->forbidden;
}
