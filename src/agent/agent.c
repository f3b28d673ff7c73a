/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telamon-agent: what is started, in which order, and what a signal does
 *
 * One thread runs everything that owns state (sys/loop.h); HTTP, the event writer and two workers have threads of their
 * own. Modules attach their hooks before identity is seeded, so that nothing between is missed (OOM-614).
 */
#define LOG_MODULE "agent"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include "agent/agent.h"
#include "agent/events-config.h"
#include "agent/host.h"
#include "agent/module.h"
#include "agent/protect.h"
#include "agent/self.h"
#include "agent/web.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/time.h"
#include "sys/bpf.h"

#define ADJ_WANTED (-999)
#define WORKERS 2
#define WORK_QUEUE 8192
#define MODULES_MAX 16

/* Order of start: who attaches hooks stands before identity, which seeds. Stop is the reverse. */
const struct module *const agent_modules[] = { &module_oom, &module_identity, NULL };

static const struct config_row paths_rows[] = {
	CONFIG_ROW(
		"rootfs", struct paths_config, rootfs, CONFIG_PATH, .def = "/",
		.help = "Directory below which /proc, /sys, /run and /var of the watched host stand."),
	CONFIG_ROW("run", struct paths_config, run, CONFIG_PATH, .def = "/run/telamon",
		   .help = "Directory of run-time files such as hooks.json."),
	{},
};

struct running {
	const struct module *module;
	void *state;
	struct metric_set *metrics;
	bool up;
};

struct daemon {
	struct agent agent; /* first: modules hand it back, see on_hooks_changed() */
	const struct agent_options *options;
	struct config *config;
	struct cgroup_layout cgroups;
	struct clock_map clock;
	struct hook_env *env;
	struct provider providers[_PROVIDER_MAX];
	struct running modules[MODULES_MAX];
	size_t n_modules;
	struct protection protection;
	struct self *self;
	struct web *web;
	int signal_fd;
	struct loop_source *signal_source, *clock_source;
	struct loop_timer *tick;
	struct host_names host;
	bool serving; /* hooks.json is ours */
	char *rootfs, *hooks_file; /* copies: a reload replaces the configuration */
};

const struct config_section *agent_sections(void)
{
	static struct config_section sections[MODULES_MAX + 3];
	size_t n = 0;

	if (sections[0].name)
		return sections;
	for (size_t i = 0; agent_modules[i]; i++) {
		const struct module *m = agent_modules[i];

		if (m->config)
			sections[1 + n++] =
				(struct config_section){ m->name, m->config, m->config_size };
	}
	sections[1 + n] = (struct config_section){ "events", events_config_rows,
						   sizeof(struct events_config) };
	sections[0] = (struct config_section){ "paths", paths_rows, sizeof(struct paths_config) };
	return sections;
}

static int load_config(const char *path, struct config **ret)
{
	struct diags diags = {};
	char line[512];
	int r;

	r = config_load(path, agent_sections(), &diags, ret);
	for (size_t i = 0; i < diags.n; i++)
		log_error("%s", diag_format(&diags.items[i], line, sizeof(line)));
	if (diags.total > diags.n)
		log_error("%s: %zu more errors", path, diags.total - diags.n);
	return r;
}

int agent_check(const struct agent_options *o)
{
	_cleanup_(config_freep) struct config *c = NULL;
	char why[512] = "";
	bool ok = load_config(o->config_file, &c) >= 0;

	if (http_web_config_check(o->web_config_file, why, sizeof(why)) < 0) {
		log_error("%s", why);
		ok = false;
	}
	return ok ? 0 : 1;
}

static const void *module_config(const struct config *c, const struct module *m)
{
	return m->config ? config_section(c, m->name) : NULL;
}

/* --- hooks: metrics and hooks.json follow what the modules found --- */

static size_t collect_hooks(struct daemon *d, struct hook_state *ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_modules; i++) {
		const struct running *m = &d->modules[i];
		const struct hook_state *states;
		size_t count;

		if (!m->up || !m->module->hooks)
			continue;
		count = m->module->hooks(m->state, &states);
		for (size_t k = 0; k < count && n < max; k++)
			ret[n++] = states[k];
	}
	return n;
}

static void on_hooks_changed(struct agent *a)
{
	struct daemon *d = container_of(a, struct daemon, agent);
	_cleanup_strbuf_ struct strbuf json = STRBUF_INIT;
	struct hook_state states[64];
	size_t n = collect_hooks(d, states, ARRAY_SIZE(states));
	int r;

	self_hooks(d->self, states, n, true);
	hook_states_write_json(states, n, &json);
	r = json.error ? json.error
		       : fs_write_atomic(d->hooks_file, 0640, strbuf_str(&json), json.len);
	if (r < 0)
		log_warning_errno(r,
				  "cannot write '%s', 'telamon doctor' probes by itself, ignoring",
				  d->hooks_file);
}

static void warn_about_hooks(const struct hook_state *states, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (states[i].live < 0)
			log_warning(
				"capability %s has no variant on this host: %s (telamon doctor tells why)",
				states[i].hook->capability, states[i].hook->without);
}

/* --- modules --- */

static int prepare_modules(struct daemon *d)
{
	for (size_t i = 0; agent_modules[i]; i++) {
		const struct module *m = agent_modules[i];
		int r;

		if (!m->prepare)
			continue;
		r = m->prepare(&d->agent, module_config(d->config, m));
		if (r < 0)
			return log_error_errno(r, "cannot prepare module '%s'", m->name);
	}
	return 0;
}

static int start_modules(struct daemon *d)
{
	for (size_t i = 0; agent_modules[i]; i++) {
		const struct module *m = agent_modules[i];
		struct running *run = &d->modules[d->n_modules];
		const void *config = module_config(d->config, m);
		const struct hook_state *states;
		int r;

		if (m->enabled && !m->enabled(config))
			continue;
		run->module = m;
		if (m->metrics) {
			r = metrics_register(d->agent.metrics, m->name, m->metrics, m->n_metrics,
					     m->series_max ? m->series_max(config) : 256,
					     &run->metrics);
			if (r < 0)
				return log_error_errno(r, "cannot register metrics of '%s'",
						       m->name);
		}
		r = m->start(&d->agent, config, run->metrics, &run->state);
		if (r < 0)
			log_warning_errno(r, "module '%s' cannot start, the agent runs without it",
					  m->name);
		run->up = r >= 0;
		self_module(d->self, m->name, run->up);
		d->n_modules++;
		if (run->up && m->hooks)
			warn_about_hooks(states, m->hooks(run->state, &states));
	}
	return 0;
}

static void stop_modules(struct daemon *d)
{
	while (d->n_modules > 0) {
		struct running *m = &d->modules[--d->n_modules];

		if (m->up && m->module->stop)
			m->module->stop(m->state);
		m->up = false;
	}
}

/* --- reload --- */

/* Facts for probing; at a reload anew, because file systems get mounted and rights change. */
static int read_env(struct daemon *d)
{
	struct hook_env *fresh;
	int r = hook_env_new(NULL, &fresh);

	if (r < 0)
		return r;
	fresh->cgroup_v2_memory = d->cgroups.mode == CGROUP_MODE_V2;
	hook_env_free(d->env);
	d->agent.env = d->env = fresh;
	return 0;
}

static void log_change(void *ctx, const char *key, const char *before, const char *after,
		       bool reloadable)
{
	(void)ctx;
	if (reloadable)
		log_info("%s changes from %s to %s", key, before, after);
	else
		log_warning("%s changes from %s to %s after a restart only", key, before, after);
}

static int build_redact(const struct config *c, struct redact **ret)
{
	const struct events_config *events = config_section(c, "events");
	char why[256] = "";
	int r = redact_new(events->redact.items, events->redact.n, why, sizeof(why), ret);

	return r < 0 ? log_error_errno(r, "events.redact: %s", why) : 0;
}

/* Everything is checked before anything is changed; the old configuration serves until the new one stands. */
static bool reload(struct daemon *d)
{
	_cleanup_(config_freep) struct config *fresh = NULL;
	_cleanup_(redact_freep) struct redact *redact = NULL;
	char why[256] = "";

	if (load_config(d->options->config_file, &fresh) < 0 || build_redact(fresh, &redact) < 0) {
		log_error("the configuration is not reloaded, the running one stays");
		return false;
	}
	if (web_reload(d->web, why, sizeof(why)) < 0) {
		log_error("the web configuration is not reloaded: %s", why);
		return false;
	}
	config_diff(d->config, fresh, log_change, NULL);
	(void)read_env(d);

	for (size_t i = 0; i < d->n_modules; i++) {
		const struct running *m = &d->modules[i];

		if (m->up && m->module->reload)
			m->module->reload(m->state, module_config(fresh, m->module));
	}
	/* After the modules: until now they may point into the old ones. */
	d->agent.redact = redact_free(d->agent.redact);
	d->agent.redact = TAKE_PTR(redact);
	config_free(d->config);
	d->config = TAKE_PTR(fresh);
	d->agent.config = d->config;
	on_hooks_changed(&d->agent);
	log_info("configuration reloaded");
	return true;
}

static bool on_reload_request(void *ctx)
{
	struct daemon *d = ctx;
	bool ok = reload(d);

	self_reloaded(d->self, ok);
	return ok;
}

/* --- what wakes the loop --- */

static void on_signal(void *ctx, uint32_t events)
{
	struct daemon *d = ctx;
	struct signalfd_siginfo info;

	(void)events;
	while (read(d->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			(void)on_reload_request(d);
			continue;
		}
		log_info("stopping on signal %u", info.ssi_signo);
		loop_stop(d->agent.loop, 0);
	}
}

static void on_clock_step(void *ctx, uint32_t events)
{
	struct daemon *d = ctx;

	(void)events;
	(void)clock_map_stepped(&d->clock);
}

static void on_tick(void *ctx, uint64_t now_us)
{
	struct daemon *d = ctx;

	clock_map_renew(&d->clock);
	for (size_t i = 0; i < d->n_modules; i++) {
		const struct running *m = &d->modules[i];

		if (m->up && m->module->tick)
			m->module->tick(m->state, now_us);
	}
	self_tick(d->self, web_server(d->web));
	loop_timer_at(d->tick, now_us + US_PER_SEC);
}

/* --- start and stop --- */

static int block_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* Before the first thread, so that all inherit it. */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	(void)signal(SIGPIPE, SIG_IGN);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signal_fd < 0 ? -errno : 0;
}

/* Facts of the host that every module reads. None of them can fail the start. */
static void read_host(struct daemon *d, const char *rootfs)
{
	int r;

	host_names_read(rootfs, &d->host);
	r = cgroup_layout_init(rootfs, &d->cgroups);
	if (r < 0)
		log_warning_errno(
			r, "no cgroup hierarchy with a memory controller is mounted, ignoring");
	if (d->cgroups.namespaced)
		log_warning(
			"the agent sits in a cgroup namespace of its own, paths are resolved by id only");
	(void)bpf_memlock_raise();
	bpf_log_to_debug();
}

static int open_stream(struct daemon *d)
{
	const struct events_config *events = config_section(d->config, "events");
	struct event_sink_config sinks[EVENTS_SINKS_MAX];
	struct event_stream_options o;
	int r;

	events_config_options(events, sinks, &o);
	r = event_origin_new(d->host.name, d->host.id, &d->agent.origin);
	if (r < 0)
		return log_error_errno(r, "cannot make event ids");
	r = event_stream_new(&o, d->agent.origin, &d->agent.stream);
	if (r < 0)
		return log_error_errno(r, "cannot start the event writer");
	return build_redact(d->config, &d->agent.redact);
}

static int start_rooms(struct daemon *d)
{
	struct agent *a = &d->agent;
	const struct paths_config *paths = config_section(d->config, "paths");
	int r;

	a->config = d->config;
	d->rootfs = strdup(paths->rootfs);
	if (!d->rootfs)
		return log_error_errno(-ENOMEM, "cannot start");
	a->rootfs = d->rootfs;
	a->hooks_changed = on_hooks_changed;
	a->providers = d->providers;
	a->clock = &d->clock;
	a->cgroups = &d->cgroups;
	read_host(d, paths->rootfs);
	a->host_name = d->host.name;

	r = clock_map_init(&d->clock);
	if (r < 0)
		return log_error_errno(r, "cannot read the clocks");
	r = read_env(d);
	if (r < 0)
		return log_error_errno(r, "cannot probe the kernel");
	r = loop_new(&a->loop);
	if (r >= 0)
		r = workers_new(a->loop, WORKERS, WORK_QUEUE, &a->workers);
	if (r >= 0)
		r = metrics_new(&a->metrics);
	if (r >= 0)
		r = bus_new(&a->bus);
	if (r >= 0)
		r = self_new(a, &d->self);
	if (r < 0)
		return log_error_errno(r, "cannot start");
	return open_stream(d);
}

static int add_sources(struct daemon *d)
{
	struct loop *l = d->agent.loop;
	int r;

	r = loop_add_fd(l, d->signal_fd, EPOLLIN, on_signal, d, &d->signal_source);
	if (r >= 0 && d->clock.fd >= 0)
		r = loop_add_fd(l, d->clock.fd, EPOLLIN, on_clock_step, d, &d->clock_source);
	if (r >= 0)
		r = loop_add_timer(l, on_tick, d, &d->tick);
	if (r < 0)
		return log_error_errno(r, "cannot watch signals and clocks");
	loop_timer_at(d->tick, time_mono_us() + US_PER_SEC);
	return 0;
}

/* paths.run takes effect at a restart only, so its name is made once. */
static int name_hooks_file(struct daemon *d)
{
	const struct paths_config *paths = config_section(d->config, "paths");

	if (asprintf(&d->hooks_file, "%s/hooks.json", paths->run) < 0) {
		d->hooks_file = NULL;
		return log_error_errno(-ENOMEM, "cannot start");
	}
	(void)fs_mkdir_p(paths->run, 0755); /* writing the file says what is wrong */
	return 0;
}

static int start(struct daemon *d)
{
	char why[256] = "";
	int r;

	r = load_config(d->options->config_file, &d->config);
	if (r < 0)
		return r;
	r = name_hooks_file(d);
	if (r < 0)
		return r;
	r = block_signals(d);
	if (r < 0)
		return log_error_errno(r, "cannot block signals");
	protect_early(&d->protection, ADJ_WANTED);
	r = start_rooms(d);
	if (r >= 0)
		r = add_sources(d);
	if (r >= 0)
		r = prepare_modules(d);
	if (r >= 0)
		r = start_modules(d);
	if (r < 0)
		return r;

	r = web_new(&d->agent, d->options, on_reload_request, d, why, sizeof(why), &d->web);
	if (r < 0)
		return log_error_errno(r, "cannot serve HTTP: %s", why);
	protect_late(&d->protection);
	d->serving = true;
	on_hooks_changed(&d->agent);
	d->protection.ring_prefault = d->agent.prefaulted;
	self_protection(d->self, &d->protection);
	self_reloaded(d->self, true);
	self_tick(d->self, web_server(d->web));
	return 0;
}

/* The stream drains before it goes, so that the last records reach the journal. */
static void stop(struct daemon *d)
{
	struct agent *a = &d->agent;

	d->web = web_free(d->web);
	/* What it says is over: the doctor has to look for itself. */
	if (d->serving)
		(void)unlink(d->hooks_file);
	/* First: what the workers finish is handed to modules that still stand. */
	a->workers = workers_free(a->workers);
	stop_modules(d);
	a->stream = event_stream_free(a->stream);
	a->origin = event_origin_free(a->origin);
	a->identity = identity_cache_free(a->identity);
	a->redact = redact_free(a->redact);
	a->bus = bus_free(a->bus);
	d->self = self_free(d->self);
	a->metrics = metrics_free(a->metrics);
	d->signal_source = loop_source_free(d->signal_source);
	d->clock_source = loop_source_free(d->clock_source);
	d->tick = loop_timer_free(d->tick);
	a->loop = loop_free(a->loop);
	d->env = hook_env_free(d->env);
	clock_map_done(&d->clock);
	cgroup_layout_done(&d->cgroups);
	if (d->signal_fd >= 0)
		(void)close(d->signal_fd);
	d->config = config_free(d->config);
	free(d->rootfs);
	free(d->hooks_file);
}

int agent_run(const struct agent_options *o)
{
	struct daemon *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return 1;
	d->options = o;
	d->signal_fd = d->clock.fd = d->cgroups.memory_fd = d->cgroups.unified_fd = -EBADF;
	r = start(d);
	if (r >= 0) {
		web_announce(d->web);
		r = loop_run(d->agent.loop);
		if (r < 0)
			log_error_errno(r, "the event loop failed");
	}
	stop(d);
	free(d);
	return r < 0 ? 1 : 0;
}
