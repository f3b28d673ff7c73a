/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start, reload, stop
 *
 * A new configuration is read, checked and built aside; only then it is swapped in. Queues and senders of nodes that stay are the same
 * before and after.
 */
#define LOG_MODULE "route"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "base/log.h"
#include "base/macro.h"
#include "base/time.h"
#include "route/internal.h"

#define DESCRIPTORS_OTHERS 256
#define DRAIN_US (10 * US_PER_SEC) /* requests in work at the stop */

/* --- snapshots --- */

struct snapshot *gateway_take_snapshot(struct gateway *g)
{
	struct snapshot *s;

	pthread_mutex_lock(&g->lock);
	s = g->snapshot;
	s->refs++;
	pthread_mutex_unlock(&g->lock);
	return s;
}

/* The last reference goes on the main thread, which owns the nodes: others leave it to the tick. */
void gateway_put_snapshot(struct gateway *g, struct snapshot *s)
{
	pthread_mutex_lock(&g->lock);
	s->refs--;
	pthread_mutex_unlock(&g->lock);
}

static void free_retired(struct gateway *g)
{
	struct snapshot **p = &g->retired;

	pthread_mutex_lock(&g->lock);
	while (*p) {
		struct snapshot *s = *p;

		if (s->refs) {
			p = &s->next;
			continue;
		}
		*p = s->next;
		pthread_mutex_unlock(&g->lock);
		snapshot_free(s);
		pthread_mutex_lock(&g->lock);
	}
	pthread_mutex_unlock(&g->lock);
}

static void swap(struct gateway *g, struct snapshot *fresh)
{
	struct snapshot *old;

	if (g->snapshot) /* only reloads change it */
		route_metrics_moved(g, g->snapshot, fresh);
	pthread_mutex_lock(&g->lock);
	old = g->snapshot;
	fresh->generation = g->generation + 1;
	g->snapshot = fresh;
	if (old) {
		old->refs--;
		old->next = g->retired;
		g->retired = old;
	}
	g->generation = fresh->generation;
	pthread_mutex_unlock(&g->lock);
}

/* --- configuration --- */

static void add_diags(const struct diags *d, struct strbuf *text, bool warnings)
{
	char line[512];

	for (size_t i = 0; i < d->n; i++) {
		(void)diag_format(&d->items[i], line, sizeof(line));
		if (text)
			strbuf_addf(text, "%s\n", line);
		if (warnings)
			log_warning("%s", line);
		else
			log_error("%s", line);
	}
	if (d->total > d->n && text)
		strbuf_addf(text, "and %zu more\n", d->total - d->n);
}

/* Flags of the original gateway, where the file has no word of its own. */
static void take_flags(const struct gateway *g, struct route_config *c)
{
	struct receive_config *receive = (struct receive_config *)(uintptr_t)c->receive;

	if (g->o.max_body && !config_given(c->config, &receive->max_body, NULL))
		receive->max_body = g->o.max_body;
	for (size_t i = 0; g->o.send_timeout_us && i < c->n_destinations; i++) {
		struct node_config *nodes = (void *)(uintptr_t)c->destinations[i].nodes.items;

		for (size_t n = 0; n < c->destinations[i].nodes.n; n++)
			if (!config_given(c->config, &nodes[n].send.timeout, NULL))
				nodes[n].send.timeout = g->o.send_timeout_us;
	}
}

static void log_moves(const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_destinations; i++) {
		const struct destination *d = &s->destinations[i];

		for (size_t k = 0; k < d->n_moves; k++) {
			struct strbuf text = STRBUF_INIT;

			time_add_rfc3339(&text, (uint64_t)d->moves[k].boundary_ms * NS_PER_MSEC, 3);
			strbuf_addstr(&text, ", until ");
			time_add_rfc3339(&text, (uint64_t)d->moves[k].until_ms * NS_PER_MSEC, 3);
			log_info("destination %s: an old table is for samples up to %s",
				 d->config->name, strbuf_str(&text));
			strbuf_done(&text);
		}
	}
}

static int64_t wall_ms(void)
{
	return (int64_t)(time_wall_ns() / NS_PER_MSEC);
}

static void tell_restart(void *ctx, const char *key, const char *before, const char *after,
			 bool applied)
{
	(void)ctx, (void)before, (void)after;
	if (!applied)
		log_warning("%s has changed: it needs a restart", key);
}

static int load(struct gateway *g, struct strbuf *text)
{
	struct diags diags = {}, warnings = {};
	struct route_config *config;
	struct snapshot *fresh;
	struct tokens *tokens = NULL;
	char why[512] = "";
	int r = route_config_load(g->o.config_file, &diags, &config);

	if (r < 0) {
		add_diags(&diags, text, false);
		return r;
	}
	take_flags(g, config);
	add_diags(&config->warnings, NULL, true);
	r = tokens_load(&config->receive->bearer_token_files, why, sizeof(why), &tokens);
	if (r >= 0)
		r = snapshot_after(g->snapshot, wall_ms(), config, g->nodes, &warnings, why,
				   sizeof(why), &fresh);
	add_diags(&warnings, NULL, true);
	if (r < 0) {
		log_error("%s", why);
		if (text)
			strbuf_addf(text, "%s\n", why);
		tokens_free(tokens);
		route_config_free(config);
		return r;
	}
	if (snapshot_apply(fresh) < 0)
		log_error("some nodes keep their old options");
	log_moves(fresh);
	gateway_swap_tokens(g, tokens);
	if (g->snapshot)
		config_diff(g->snapshot->config->config, config->config, tell_restart, NULL);
	if (g->families)
		rw_families_limit(g->families, fresh->config->metadata->families);
	swap(g, fresh);
	if (file_watch_set(&g->tokens_watch, config->receive->bearer_token_files.items,
			   config->receive->bearer_token_files.n) < 0)
		log_warning("out of memory, files of tokens are not watched");
	return 0;
}

/* The same configuration without the old tables whose time is over; nodes that only they had retire. */
static void end_moves(struct gateway *g)
{
	int64_t until = snapshot_moves_until(g->snapshot), now = wall_ms();
	struct diags warnings = {};
	struct snapshot *fresh;
	char why[512] = "";
	int r;

	if (!until || now < until)
		return;
	r = snapshot_after(g->snapshot, now, route_config_ref(g->snapshot->config), g->nodes,
			   &warnings, why, sizeof(why), &fresh);
	if (r < 0) {
		route_config_free(g->snapshot->config); /* the reference alone */
		log_warning_limited("old tables are not dropped yet: %s",
				    *why ? why : strerror(-r));
		return;
	}
	swap(g, fresh);
	log_info("old tables were dropped");
}

int gateway_reload(struct gateway *g, struct strbuf *text)
{
	char why[512];
	int r;

	pthread_mutex_lock(&g->reload_lock);
	r = load(g, text);
	for (unsigned i = 0; i <= g->n_servers; i++) {
		struct http_server *s = i < g->n_servers ? g->servers[i] : g->admin;
		int e = s ? http_server_reload(s, why, sizeof(why)) : 0;

		if (e < 0) {
			log_error("%s", why);
			if (text)
				strbuf_addf(text, "%s\n", why);
			r = r < 0 ? r : e;
		}
	}
	g->last_reload_ok = r >= 0;
	if (r >= 0)
		g->reload_ok_ms = time_wall_ns() / NS_PER_MSEC;
	pthread_mutex_unlock(&g->reload_lock);
	log_info(r < 0 ? "reload failed, the old configuration stays" : "reloaded");
	return r;
}

int gateway_check(const char *config_file)
{
	struct diags diags = {};
	struct route_config *config = NULL;
	char line[512];
	int r = route_config_load(config_file, &diags, &config);
	const struct diags *warnings = r < 0 ? NULL : &config->warnings;

	for (size_t i = 0; i < diags.n; i++)
		printf("%s\n", diag_format(&diags.items[i], line, sizeof(line)));
	for (size_t i = 0; warnings && i < warnings->n; i++)
		printf("warning: %s\n", diag_format(&warnings->items[i], line, sizeof(line)));
	if (r >= 0)
		printf("%s: ok, %zu routes, %zu destinations\n", config_file, config->n_routes,
		       config->n_destinations);
	route_config_free(config);
	return r < 0 ? 1 : 0;
}

/* --- start --- */

static unsigned count_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned)CLAMP(CPU_COUNT(&set), 1, 256);
}

/* Connections of senders, lanes with files of their queues, and what else is open. */
static void raise_descriptors(const struct gateway *g)
{
	const struct snapshot *s = g->snapshot;
	uint64_t need = s->config->limits->connections + DESCRIPTORS_OTHERS;
	struct rlimit lim;

	for (size_t i = 0; i < s->n_destinations; i++)
		need += s->destinations[i].n_nodes * (s->destinations[i].lanes + 4);
	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur >= need)
		return;
	lim.rlim_cur = lim.rlim_max == RLIM_INFINITY ? need : MIN(need, (uint64_t)lim.rlim_max);
	(void)setrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_cur < need)
		log_warning(
			"RLIMIT_NOFILE is %llu: too few for limits.connections and all nodes (%llu)",
			(unsigned long long)lim.rlim_cur, (unsigned long long)need);
}

static int listen_all(struct gateway *g)
{
	struct snapshot *s = g->snapshot;
	const struct limits_config *l = s->config->limits;
	struct http_server_options o = {
		.web_config_file = g->o.web_config_file,
		.connections_max = l->connections,
		/* Off: as many as there may be. */
		.connections_per_peer = l->connections_per_ip ? l->connections_per_ip
							      : l->connections,
		.timeout_s = (unsigned)(s->config->receive->idle_timeout / US_PER_SEC),
		.header_timeout_us = s->config->receive->header_timeout,
		.body_rate = s->config->receive->min_body_rate,
		.body_max = 1 << 20,
		.workers = g->n_workers,
	};
	char why[512];
	int r = 0;

	for (unsigned i = 0; r >= 0 && g->o.listen_addresses[i] && i < SERVERS_MAX; i++) {
		o.listen_address = g->o.listen_addresses[i];
		r = http_server_new(&o, route_web(g, !*g->o.admin_address, true), why, sizeof(why),
				    &g->servers[i]);
		g->n_servers += r >= 0;
		o.share = g->servers[0]; /* limits.connections are of all addresses together */
	}
	if (r >= 0 && *g->o.admin_address) {
		o.listen_address = g->o.admin_address;
		o.workers = 0;
		o.share = NULL; /* senders do not keep administration out */
		r = http_server_new(&o, route_web(g, true, false), why, sizeof(why), &g->admin);
	}
	if (r < 0)
		log_error("%s", why);
	return r;
}

static void on_signal(void *ctx, uint32_t events)
{
	struct gateway *g = ctx;
	struct signalfd_siginfo si;

	(void)events;
	while (read(g->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGHUP) {
			(void)gateway_reload(g, NULL);
			continue;
		}
		log_info("stopping");
		g->stop_by_us = time_mono_us() + MIN(DRAIN_US, g->o.shutdown_timeout_us);
		g->stopping = true;
		loop_stop(g->loop, 0);
	}
}

const struct task_load *gateway_task_load(struct gateway *g, const struct destination *d)
{
	return task_load_find(g->task_loads, d->config->name, d->config->shard.tasks);
}

static void tick_tasks(struct gateway *g, const struct destination *d, uint64_t now)
{
	const char *name = d->config->name;
	uint32_t tasks = d->config->shard.tasks;
	struct task_load *t = task_load_find(g->task_loads, name, tasks);
	_cleanup_(freep) uint32_t *sums = calloc(tasks, sizeof(*sums));

	if (!sums || (!t && task_load_new(name, tasks, &t) < 0))
		return; /* the next second again */
	if (!gateway_task_load(g, d))
		task_load_link(&g->task_loads, t);
	for (unsigned i = 0; i < g->n_workers; i++)
		pipeline_task_totals(g->workers[i].pipeline, name, tasks, sums);
	task_load_take(t, sums, now);
}

static void tick_all_tasks(struct gateway *g, uint64_t now)
{
	struct snapshot *s = gateway_take_snapshot(g);

	for (size_t i = 0; i < s->n_destinations; i++)
		tick_tasks(g, &s->destinations[i], now);
	gateway_put_snapshot(g, s);
	task_load_sweep(&g->task_loads);
}

static void on_tick(void *ctx, uint64_t now)
{
	struct gateway *g = ctx;

	loop_timer_at(g->timer, now + US_PER_SEC);
	pthread_mutex_lock(&g->reload_lock);
	end_moves(g);
	gateway_look_at_files(g);
	for (unsigned i = 0; i < MIN(g->n_servers, 1U); i++)
		http_server_tick(g->servers[i]);
	if (g->admin)
		http_server_tick(g->admin);
	tick_all_tasks(g, now);
	route_metrics_tick(g); /* before nodes go, with what they counted last */
	nodes_tick(g->nodes, now);
	free_retired(g);
	pthread_mutex_unlock(&g->reload_lock);
}

static int set_up_loop(struct gateway *g)
{
	sigset_t set;
	int r = loop_new(&g->loop);

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	g->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (g->signal_fd < 0)
		return -errno;
	if (r >= 0)
		r = loop_add_fd(g->loop, g->signal_fd, EPOLLIN, on_signal, g, &g->signals);
	if (r >= 0)
		r = loop_add_timer(g->loop, on_tick, g, &g->timer);
	return r;
}

static void name_gateway(char *name, size_t size)
{
	if (gethostname(name, size) < 0)
		(void)snprintf(name, size, "gateway");
	name[size - 1] = '\0';
}

static int start(struct gateway *g)
{
	char name[128];
	int r = set_up_loop(g);

	if (getrandom(&g->epoch, sizeof(g->epoch), 0) != (ssize_t)sizeof(g->epoch))
		g->epoch = time_wall_ns();
	name_gateway(name, sizeof(name));
	g->n_workers = g->o.workers ? g->o.workers : count_cpus();
	g->workers = calloc(g->n_workers, sizeof(*g->workers));
	if (!g->workers)
		return -ENOMEM;
	if (r >= 0)
		r = rate_new(&g->rate);
	if (r >= 0)
		r = nodes_new(g->o.storage_path, name, g->epoch, g->o.snappy, &g->nodes);
	if (r >= 0)
		r = load(g, NULL);
	if (r >= 0)
		r = rw_families_new(g->snapshot->config->metadata->families, &g->families);
	if (r >= 0)
		r = route_metrics_new(g);
	if (r >= 0)
		raise_descriptors(g);
	if (r >= 0)
		r = listen_all(g);
	if (r >= 0)
		r = workers_start(g);
	if (r < 0)
		return r;
	g->last_reload_ok = true;
	g->reload_ok_ms = time_wall_ns() / NS_PER_MSEC;
	on_tick(g, time_mono_us());
	g->ready = true;
	return 0;
}

/*
 * The stop has its time, and a second signal ends it at once (GW-LC-3): what was acknowledged under disk or fsync is in its files, what is open was
 * not acknowledged.
 */
static void *end_of_stop(void *ctx)
{
	struct gateway *g = ctx;
	uint64_t end = time_mono_us() + g->o.shutdown_timeout_us;
	struct pollfd p = { .fd = g->signal_fd, .events = POLLIN };
	struct signalfd_siginfo si;

	for (;;) {
		uint64_t now = time_mono_us();

		if (now >= end) {
			log_warning("the stop took longer than --shutdown.timeout, leaving now");
			_exit(0);
		}
		(void)poll(&p, 1, (int)MIN((end - now) / US_PER_MSEC + 1, (uint64_t)INT32_MAX));
		if (read(g->signal_fd, &si, sizeof(si)) != (ssize_t)sizeof(si) ||
		    si.ssi_signo == SIGHUP)
			continue;
		log_warning("second signal, leaving at once");
		_exit(0);
	}
	return NULL;
}

static void stop(struct gateway *g)
{
	pthread_t thread;

	if (g->stopping && pthread_create(&thread, NULL, end_of_stop, g) == 0)
		(void)pthread_detach(thread);
	g->stopping = true;
	if (!g->stop_by_us)
		g->stop_by_us = time_mono_us();
	for (unsigned i = 0; i < g->n_servers; i++)
		http_server_quiesce(g->servers[i]);
	workers_stop(g);
	for (unsigned i = 0; i < g->n_servers; i++)
		http_server_free(g->servers[i]);
	http_server_free(g->admin);
	for (unsigned i = 0; g->workers && i < g->n_workers; i++) {
		struct route_worker *w = &g->workers[i];

		pipeline_free(w->pipeline);
		route_worker_done(w);
		if (w->snapshot)
			gateway_put_snapshot(g, w->snapshot);
	}
	rate_free(g->rate);
	tokens_free(g->tokens);
	file_watch_done(&g->tokens_watch);
	if (g->snapshot)
		snapshot_free(g->snapshot);
	free_retired(g);
	nodes_free(g->nodes);
	rw_families_free(g->families);
	task_load_sweep(&g->task_loads); /* the first only forgets that they were used */
	task_load_sweep(&g->task_loads);
	route_metrics_free(g);
	loop_source_free(g->signals);
	loop_timer_free(g->timer);
	loop_free(g->loop);
	free(g->workers);
}

int gateway_run(const struct gateway_options *o)
{
	static struct gateway g;
	int r;

	g.o = *o;
	g.signal_fd = -EBADF;
	pthread_mutex_init(&g.lock, NULL);
	pthread_mutex_init(&g.reload_lock, NULL);
	pthread_rwlock_init(&g.tokens_lock, NULL);
	r = start(&g);
	if (r >= 0) {
		log_info("telamon-route " TELAMON_VERSION " is ready, %u workers", g.n_workers);
		r = loop_run(g.loop);
	}
	stop(&g); /* its thread may still read the signals */
	return r < 0 ? 1 : 0;
}
