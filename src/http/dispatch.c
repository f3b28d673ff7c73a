/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the library's calls to a handler
 *
 * Order of the checks: route, method, loopback or authentication, body. An upload is refused before its body is read.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/macro.h"
#include "http/server-part.h"

#define HEADERS_BYTES_MAX (16U * 1024)

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
	http_queue(q, 405, "text/plain; charset=utf-8", response);
}

static bool client_certificate_ok(struct http_request *q, const struct webconfig *w)
{
	const union MHD_ConnectionInfo *info;

	if (!w->tls || (!w->client_required && !w->client_verified))
		return true;
	info = MHD_get_connection_info(q->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	return info && certificate_ok(w, info->tls_session);
}

static void reply_unauthorized(struct http_request *q, bool basic, bool bearer)
{
	static const char text[] = "unauthorized\n";
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);

	if (response && basic)
		(void)MHD_add_response_header(response, "WWW-Authenticate", "Basic");
	if (response && bearer)
		(void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
	http_queue(q, 401, "text/plain; charset=utf-8", response);
}

static enum http_bearer ask_bearer(const struct http_route *r, const char *header)
{
	size_t len;

	if (!r->bearer)
		return HTTP_BEARER_OFF;
	if (!header || strncasecmp(header, "Bearer ", 7) != 0)
		return r->bearer(r->ctx, NULL, 0);
	header += 7;
	header += strspn(header, " ");
	for (len = strlen(header); len && header[len - 1] == ' ';)
		len--;
	return r->bearer(r->ctx, header, len);
}

/* May this peer have this route? Answers by itself when not. */
static bool admit(struct http_request *q, const struct http_route *r)
{
	struct http_server *s = q->server;
	const char *header = http_header(q, "Authorization");
	enum http_bearer bearer = ask_bearer(r, header);
	bool users, required, certificate, ok;

	pthread_rwlock_rdlock(&s->config_lock);
	users = s->web->users->n > 0;
	required = s->web->tls && s->web->client_required;
	certificate = client_certificate_ok(q, s->web);
	/* Where there are users and tokens, either will do. */
	ok = bearer == HTTP_BEARER_RIGHT || (!users && bearer == HTTP_BEARER_OFF) ||
	     (users && auth_check(s->auth, s->web->users, header));
	pthread_rwlock_unlock(&s->config_lock);

	if (!certificate) {
		s->forbidden++;
		http_reply_text(q, 403, "a client certificate that is allowed is required\n");
		return false;
	}
	if (!ok) {
		s->unauthorized++;
		reply_unauthorized(q, users, bearer != HTTP_BEARER_OFF);
		return false;
	}
	q->authenticated = users || required || bearer == HTTP_BEARER_RIGHT;
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

/* Headers are in. What is refused is answered here, before the body. */
static enum MHD_Result begin_upload(struct http_request *q, const struct http_route *r)
{
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
		connections_bytes(slot_of(q->connection), *len);
		if (!q->replied)
			q->route->upload->data(q, q->route->ctx, data, *len);
		*len = 0;
		return MHD_YES;
	}
	if (q->replied)
		return MHD_YES;
	connections_busy(q->server->connections, slot_of(q->connection));
	q->route->upload->end(q, q->route->ctx);
	if (q->later && !q->replied) {
		MHD_suspend_connection(q->connection);
		return MHD_YES;
	}
	return q->replied ? MHD_YES : MHD_NO;
}

static size_t headers_size(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	return info ? info->header_size : 0;
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
	connections_body(q->server->connections, slot_of(connection));
	if (headers_size(connection) > HEADERS_BYTES_MAX) {
		http_reply_text(q, 431, "the headers are larger than 16 KiB\n");
		return q->replied ? MHD_YES : MHD_NO;
	}
	r = find_route(w->server, url);
	return r && r->upload ? begin_upload(q, r) : MHD_YES;
}

enum MHD_Result http_on_request(void *ctx, struct MHD_Connection *connection, const char *url,
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
		connections_bytes(slot_of(connection), *len);
		take_body(q, data, *len);
		*len = 0;
		return MHD_YES;
	}
	connections_busy(q->server->connections, slot_of(connection));
	dispatch(q);
	return q->replied ? MHD_YES : MHD_NO;
}

void http_on_completed(void *ctx, struct MHD_Connection *connection, void **state,
		       enum MHD_RequestTerminationCode code)
{
	struct http_request *q = *state;

	(void)ctx, (void)code;
	if (q) {
		if (q->route)
			q->route->upload->gone(q, q->route->ctx);
		connections_idle(q->server->connections, slot_of(connection));
		free(q->body);
	}
	free(q);
	*state = NULL;
}
