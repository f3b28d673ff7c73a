/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler asks of its request, and how it answers. */

#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "base/strbuf.h"
#include "http/server-part.h"

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

void http_queue(struct http_request *q, unsigned status, const char *content_type,
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
	http_queue(q, status, content_type,
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
	http_queue(q, status, content_type, response);
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
