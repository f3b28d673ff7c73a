/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes of the agent
 *
 * Handlers run on threads of the HTTP server. They read what is safe from any thread (registry, stream); a reload is
 * handed to the loop through an eventfd and waited for.
 */
#define LOG_MODULE "web"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "agent/web.h"
#include "base/log.h"
#include "base/text.h"
#include "base/time.h"

#define RELOAD_WAIT_S 30

struct web {
	struct agent *agent;
	struct http_server *server;
	struct http_route routes[10];
	char landing[4096];
	char path[128]; /* of the telemetry */
	/* Reloads, from HTTP threads to the loop and back: numbers of the last one wanted and the last one done. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t wanted, done;
	bool ok, stopping;
	int event_fd;
	struct loop_source *source;
	bool (*reload)(void *ctx);
	void *reload_ctx;
	atomic_bool ready;
};

static void handle_metrics(struct http_request *q, void *ctx)
{
	const struct web *w = ctx;
	struct strbuf out = STRBUF_INIT;
	enum metrics_format format = metrics_negotiate(http_header(q, "Accept"));

	metrics_write(w->agent->metrics, format, &out);
	if (out.error) {
		strbuf_done(&out);
		http_reply_text(q, 500, "out of memory\n");
		return;
	}
	http_reply_strbuf(q, 200, metrics_content_type[format], &out);
}

static void handle_healthy(struct http_request *q, void *ctx)
{
	(void)ctx;
	http_reply_text(q, 200, "telamon-agent is healthy.\n");
}

static void handle_ready(struct http_request *q, void *ctx)
{
	struct web *w = ctx;

	if (atomic_load(&w->ready))
		http_reply_text(q, 200, "telamon-agent is ready.\n");
	else
		http_reply_text(q, 503, "telamon-agent starts.\n");
}

static void handle_landing(struct http_request *q, void *ctx)
{
	const struct web *w = ctx;

	http_reply(q, 200, "text/html; charset=utf-8", w->landing, strlen(w->landing));
}

static bool wait_for_reload(struct web *w)
{
	uint64_t one = 1, mine;
	struct timespec until;
	bool ok = false;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RELOAD_WAIT_S;

	pthread_mutex_lock(&w->lock);
	mine = ++w->wanted;
	if (write(w->event_fd, &one, sizeof(one)) == sizeof(one))
		while (w->done < mine && !w->stopping)
			if (pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT)
				break;
	if (w->done >= mine) /* a later one read the same file, or a newer one */
		ok = w->ok;
	pthread_mutex_unlock(&w->lock);
	return ok;
}

static void handle_reload(struct http_request *q, void *ctx)
{
	struct web *w = ctx;

	if (wait_for_reload(w))
		http_reply_text(q, 200, "configuration reloaded\n");
	else
		http_reply_text(q, 500, "the configuration was not reloaded, the log says why\n");
}

static void on_reload(void *ctx, uint32_t events)
{
	struct web *w = ctx;
	uint64_t n;
	bool ok;

	(void)events;
	if (read(w->event_fd, &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&w->lock);
	n = w->wanted;
	pthread_mutex_unlock(&w->lock);
	ok = w->reload(w->reload_ctx);
	pthread_mutex_lock(&w->lock);
	w->done = n;
	w->ok = ok;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void write_landing(struct web *w)
{
	struct strbuf b;

	strbuf_init_fixed(&b, w->landing, sizeof(w->landing));
	strbuf_addf(
		&b,
		"<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<title>telamon-agent</title><style>body{font:16px/1.5 sans-serif;max-width:44em;"
		"margin:3em auto;padding:0 1em}code{background:#eee;padding:0 .3em}</style></head>"
		"<body><h1>telamon-agent %s</h1><ul>"
		"<li><a href=\"%s\">Metrics</a> for Prometheus</li>"
		"<li><a href=\"/api/v1/events?type=oom\">OOM events</a> as JSON lines, "
		"the same as <code>telamon oom</code></li>"
		"<li><a href=\"/api/v1/events\">All events</a>; <code>/events</code> follows them"
		" as server-sent events</li>"
		"<li><a href=\"/-/healthy\">Health</a>, <a href=\"/-/ready\">readiness</a></li>"
		"</ul><p>What this host allows, and why not more: <code>telamon doctor</code>.</p>"
		"</body></html>\n",
		TELAMON_VERSION, w->path);
}

static void fill_routes(struct web *w)
{
	struct event_stream *stream = w->agent->stream;
	const struct http_route routes[] = {
		{ "GET HEAD", w->path, HTTP_PUBLIC, handle_metrics, w },
		{ "GET HEAD", "/-/healthy", HTTP_PUBLIC, handle_healthy, w },
		{ "GET HEAD", "/-/ready", HTTP_PUBLIC, handle_ready, w },
		{ "POST PUT", "/-/reload", 0, handle_reload, w },
		{ "GET", "/events", 0, event_http_sse, stream },
		{ "GET HEAD", "/api/v1/events", 0, event_http_query, stream },
		{ "POST", "/api/v1/events/test", 0, event_http_test, stream },
		{ "GET HEAD", "/", 0, handle_landing, w },
	};

	_Static_assert(ARRAY_SIZE(routes) < ARRAY_SIZE(w->routes), "room for the end mark");
	memcpy(w->routes, routes, sizeof(routes));
}

/**
 * web_new() - start serving
 * @why: one sentence for people when it fails
 *
 * Return: 0; -EADDRINUSE; -EINVAL for a bad address, path or web configuration; else -errno.
 */
int web_new(struct agent *a, const struct agent_options *o, bool (*reload)(void *ctx), void *ctx,
	    char *why, size_t why_size, struct web **ret)
{
	_cleanup_(web_freep) struct web *w = calloc(1, sizeof(*w));
	const struct http_server_options options = {
		.listen_address = o->listen_address,
		.web_config_file = o->web_config_file,
		.connections_max = 128,
		.timeout_s = 30,
		.body_max = 1 << 20,
	};
	int r;

	if (!w)
		return -ENOMEM;
	w->agent = a;
	w->reload = reload;
	w->reload_ctx = ctx;
	w->event_fd = -EBADF;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	if (o->telemetry_path[0] != '/' || strlen(o->telemetry_path) >= sizeof(w->path)) {
		(void)snprintf(
			why, why_size,
			"--web.telemetry-path: '%s' does not begin with a slash or is too long",
			o->telemetry_path);
		return -EINVAL;
	}
	memcpy(w->path, o->telemetry_path, strlen(o->telemetry_path));
	write_landing(w);
	fill_routes(w);

	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event_fd < 0)
		return -errno;
	r = loop_add_fd(a->loop, w->event_fd, EPOLLIN, on_reload, w, &w->source);
	if (r < 0)
		return r;
	r = http_server_new(&options, w->routes, why, why_size, &w->server);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(w);
	return 0;
}

struct web *web_free(struct web *w)
{
	if (!w)
		return NULL;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	http_server_free(w->server);
	loop_source_free(w->source);
	if (w->event_fd >= 0)
		(void)close(w->event_fd);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

int web_reload(struct web *w, char *why, size_t why_size)
{
	return http_server_reload(w->server, why, why_size);
}

const struct http_server *web_server(const struct web *w)
{
	return w ? w->server : NULL;
}

void web_announce(struct web *w)
{
	atomic_store(&w->ready, true);
	log_info("telamon-agent %s listens on port %u, metrics at %s", TELAMON_VERSION,
		 http_server_port(w->server), w->path);
}
