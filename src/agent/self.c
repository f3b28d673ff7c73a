/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent says about itself
 *
 * Totals of the other rooms are copied into the registry once a second, so that a scrape only formats. Names of
 * process_* follow the Prometheus client libraries.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "agent/self.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/time.h"

#define SINKS "stdout file journald"
#define CLASSES "oom other"

const struct metric_row self_metrics[_SELF_METRIC_MAX] = {
	[SELF_BUILD_INFO] = {
		.name = "telamon_build_info", .type = METRIC_INFO, .labels = { { "version", NULL } },
		.help = "Version of the running program.",
	},
	[SELF_MODULE_UP] = {
		.name = "telamon_module_up", .type = METRIC_GAUGE, .labels = { { "module", NULL } },
		.help = "1 while the module runs, 0 when it could not start.",
	},
	[SELF_HOOK_INFO] = {
		.name = "telamon_hook_info", .type = METRIC_INFO,
		.labels = { { "capability", NULL }, { "variant", NULL } },
		.help = "The live variant of each capability; variant none: nothing serves it.",
	},
	[SELF_HOOK_REFUSED_INFO] = {
		.name = "telamon_hook_refused_info", .type = METRIC_INFO,
		.labels = { { "capability", NULL }, { "variant", NULL }, { "reason", NULL } },
		.help = "Variants that were tried in vain, and why.",
	},
	[SELF_PROTECTION] = {
		.name = "telamon_agent_protection", .type = METRIC_GAUGE,
		.labels = { { "what", "locked adj ring_prefault" } },
		.help = "1 where the agent is protected against an OOM of its own host.",
	},
	[SELF_RELOAD_SUCCESSFUL] = {
		.name = "telamon_config_last_reload_successful", .type = METRIC_GAUGE,
		.help = "1 when the last load of the configuration was accepted.",
	},
	[SELF_RELOAD_TIMESTAMP] = {
		.name = "telamon_config_last_reload_success_timestamp_seconds", .type = METRIC_GAUGE,
		.help = "Wall time of the last accepted configuration.",
	},
	[SELF_EVENTS] = {
		.name = "telamon_events_total", .type = METRIC_COUNTER,
		.help = "Events that were published.",
	},
	[SELF_EVENTS_REFUSED] = {
		.name = "telamon_events_refused_total", .type = METRIC_COUNTER,
		.labels = { { "class", CLASSES } },
		.help = "Publications that found their queue full; class oom tries again, others are lost.",
	},
	[SELF_JOURNAL_EVENTS] = {
		.name = "telamon_journal_events_total", .type = METRIC_COUNTER,
		.help = "Events written to the journal and synced.",
	},
	[SELF_JOURNAL_ERRORS] = {
		.name = "telamon_journal_errors_total", .type = METRIC_COUNTER,
		.help = "Failed writes of the journal; each is tried again.",
	},
	[SELF_JOURNAL_MISSED] = {
		.name = "telamon_journal_missed_total", .type = METRIC_COUNTER,
		.help = "Events that never reached the journal, because it could not be opened; those of class oom are on stderr.",
	},
	[SELF_JOURNAL_EXPIRED] = {
		.name = "telamon_journal_expired_total", .type = METRIC_COUNTER,
		.help = "Events removed from the journal by age or size.",
	},
	[SELF_JOURNAL_BYTES] = {
		.name = "telamon_journal_bytes", .type = METRIC_GAUGE,
		.help = "Size of the journal on disk.",
	},
	[SELF_SINK_EVENTS] = {
		.name = "telamon_sink_events_total", .type = METRIC_COUNTER,
		.labels = { { "sink", SINKS } },
		.help = "Events written to sinks.",
	},
	[SELF_SINK_ERRORS] = {
		.name = "telamon_sink_errors_total", .type = METRIC_COUNTER,
		.labels = { { "sink", SINKS } },
		.help = "Events that a sink did not take.",
	},
	[SELF_SSE_CLIENTS] = {
		.name = "telamon_sse_clients", .type = METRIC_GAUGE,
		.help = "Clients that follow /events now.",
	},
	[SELF_SSE_REFUSED] = {
		.name = "telamon_sse_refused_total", .type = METRIC_COUNTER,
		.help = "Clients refused because events.max_clients follow already.",
	},
	[SELF_SSE_OVERFLOWS] = {
		.name = "telamon_sse_overflows_total", .type = METRIC_COUNTER,
		.help = "Events that slow clients of /events missed.",
	},
	[SELF_HTTP_REQUESTS] = {
		.name = "telamon_http_requests_total", .type = METRIC_COUNTER,
		.labels = { { "code", "1xx 2xx 3xx 4xx 5xx" } },
		.help = "HTTP requests answered, by class of the status.",
	},
	[SELF_HTTP_REFUSED] = {
		.name = "telamon_http_connections_refused_total", .type = METRIC_COUNTER,
		.help = "Connections refused by a limit.",
	},
	[SELF_HTTP_AUTH_FAILURES] = {
		.name = "telamon_http_auth_failures_total", .type = METRIC_COUNTER,
		.help = "Requests with wrong or missing credentials.",
	},
	[SELF_WORK_REFUSED] = {
		.name = "telamon_work_refused_total", .type = METRIC_COUNTER,
		.help = "Background work refused because the queue of the workers was full.",
	},
	[SELF_CLOCK_STEPS] = {
		.name = "telamon_clock_steps_total", .type = METRIC_COUNTER,
		.help = "Steps of the wall clock that were noticed.",
	},
	[SELF_PROCESS_CPU] = {
		.name = "process_cpu_seconds_total", .type = METRIC_COUNTER, .scale = 1e-6,
		.source = "getrusage()",
		.help = "User and system CPU time of the agent.",
	},
	[SELF_PROCESS_RSS] = {
		.name = "process_resident_memory_bytes", .type = METRIC_GAUGE,
		.source = "/proc/self/statm",
		.help = "Resident memory of the agent.",
	},
	[SELF_PROCESS_VSIZE] = {
		.name = "process_virtual_memory_bytes", .type = METRIC_GAUGE,
		.source = "/proc/self/statm",
		.help = "Virtual memory of the agent.",
	},
	[SELF_PROCESS_FDS] = {
		.name = "process_open_fds", .type = METRIC_GAUGE,
		.source = "/proc/self/fd",
		.help = "Open file descriptors of the agent.",
	},
	[SELF_PROCESS_START] = {
		.name = "process_start_time_seconds", .type = METRIC_GAUGE,
		.help = "Wall time at which the agent started.",
	},
};

#define PROCESS_EVERY_US (5 * US_PER_SEC)

struct self {
	struct agent *agent;
	struct metric_set *set;
	int statm_fd;
	long page_size;
	uint64_t process_at_us; /* when the process looks at itself again */
};

static uint64_t now(struct self *s)
{
	return loop_now(s->agent->loop);
}

/**
 * self_new() - register the agent's own metrics
 *
 * Return: 0; -ENOMEM.
 */
int self_new(struct agent *a, struct self **ret)
{
	_cleanup_(self_freep) struct self *s = calloc(1, sizeof(*s));
	const char *version[] = { TELAMON_VERSION };
	int r;

	if (!s)
		return -ENOMEM;
	s->agent = a;
	s->page_size = sysconf(_SC_PAGESIZE);
	s->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	r = metrics_register(a->metrics, "agent", self_metrics, ARRAY_SIZE(self_metrics), 512,
			     &s->set);
	if (r < 0)
		return r;
	metric_series_gauge(metric_series(s->set, SELF_BUILD_INFO, version, now(s)), 1, now(s));
	metric_gauge(s->set, METRIC(SELF_PROCESS_START),
		     (double)(time_wall_ns() / NS_PER_MSEC) / 1e3);

	*ret = TAKE_PTR(s);
	return 0;
}

struct self *self_free(struct self *s)
{
	if (!s)
		return NULL;
	if (s->statm_fd >= 0)
		(void)close(s->statm_fd);
	free(s);
	return NULL;
}

void self_module(struct self *s, const char *module, bool up)
{
	const char *values[] = { module };

	metric_series_gauge(metric_series(s->set, SELF_MODULE_UP, values, now(s)), up, now(s));
}

/**
 * self_hooks() - publish one module's capabilities
 * @first: forget all that was published before
 */
void self_hooks(struct self *s, const struct hook_state *states, size_t n, bool first)
{
	if (first) {
		metric_series_clear(s->set, SELF_HOOK_INFO);
		metric_series_clear(s->set, SELF_HOOK_REFUSED_INFO);
	}
	for (size_t i = 0; i < n; i++) {
		const struct hook *h = states[i].hook;
		const char *live[] = { h->capability, hook_live_name(&states[i]) };

		metric_series_gauge(metric_series(s->set, SELF_HOOK_INFO, live, now(s)), 1, now(s));
		for (int v = 0; h->variants[v].name; v++) {
			enum hook_reason reason = states[i].reasons[v];
			const char *refused[] = { h->capability, h->variants[v].name,
						  hook_reason_name(reason) };

			if (v == states[i].live || reason == HOOK_OK || reason == HOOK_NOT_NEEDED)
				continue;
			metric_series_gauge(metric_series(s->set, SELF_HOOK_REFUSED_INFO, refused,
							  now(s)),
					    1, now(s));
		}
	}
}

void self_protection(struct self *s, const struct protection *p)
{
	metric_gauge(s->set, METRIC(SELF_PROTECTION, 0), p->locked);
	metric_gauge(s->set, METRIC(SELF_PROTECTION, 1), p->adj);
	metric_gauge(s->set, METRIC(SELF_PROTECTION, 2), p->ring_prefault);
}

void self_reloaded(struct self *s, bool ok)
{
	metric_gauge(s->set, METRIC(SELF_RELOAD_SUCCESSFUL), ok);
	if (ok)
		metric_gauge(s->set, METRIC(SELF_RELOAD_TIMESTAMP),
			     (double)(time_wall_ns() / NS_PER_MSEC) / 1e3);
}

static void tick_events(struct self *s)
{
	struct event_stream_stats st;

	event_stream_stats(s->agent->stream, &st);
	metric_store(s->set, METRIC(SELF_EVENTS), st.published);
	for (unsigned c = 0; c < _EVENT_CLASS_MAX; c++)
		metric_store(s->set, METRIC(SELF_EVENTS_REFUSED, c), st.refused[c]);
	metric_store(s->set, METRIC(SELF_JOURNAL_EVENTS), st.journaled);
	metric_store(s->set, METRIC(SELF_JOURNAL_ERRORS), st.journal_errors);
	metric_store(s->set, METRIC(SELF_JOURNAL_MISSED),
		     st.journal_missed[EVENT_CLASS_OOM] + st.journal_missed[EVENT_CLASS_OTHER]);
	metric_store(s->set, METRIC(SELF_JOURNAL_EXPIRED), st.journal_expired);
	metric_gauge(s->set, METRIC(SELF_JOURNAL_BYTES), (double)st.journal_bytes);
	for (unsigned k = 0; k < _EVENT_SINK_MAX; k++) {
		metric_store(s->set, METRIC(SELF_SINK_EVENTS, k), st.sink_written[k]);
		metric_store(s->set, METRIC(SELF_SINK_ERRORS, k), st.sink_errors[k]);
	}
	metric_gauge(s->set, METRIC(SELF_SSE_CLIENTS), st.clients);
	metric_store(s->set, METRIC(SELF_SSE_REFUSED), st.clients_refused);
	metric_store(s->set, METRIC(SELF_SSE_OVERFLOWS), st.client_overflows);
}

static void tick_http(struct self *s, const struct http_server *http)
{
	struct http_server_stats st;

	if (!http)
		return;
	http_server_stats(http, &st);
	for (unsigned c = 1; c <= 5; c++)
		metric_store(s->set, METRIC(SELF_HTTP_REQUESTS, c - 1), st.requests[c]);
	metric_store(s->set, METRIC(SELF_HTTP_REFUSED), st.refused_connections);
	metric_store(s->set, METRIC(SELF_HTTP_AUTH_FAILURES), st.auth_failures);
}

static uint64_t timeval_us(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * US_PER_SEC + (uint64_t)t->tv_usec;
}

/* Half of what an idle agent would do, were it done each second. */
static void tick_process(struct self *s)
{
	struct rusage u;
	struct stat st;
	char text[128];

	if (now(s) < s->process_at_us)
		return;
	s->process_at_us = now(s) + PROCESS_EVERY_US;
	if (getrusage(RUSAGE_SELF, &u) == 0)
		metric_store(s->set, METRIC(SELF_PROCESS_CPU),
			     timeval_us(&u.ru_utime) + timeval_us(&u.ru_stime));
	/* Since v6.2 (f1f1f2569901) the size of the directory is the number of descriptors; before that it is 0. */
	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		metric_gauge(s->set, METRIC(SELF_PROCESS_FDS), (double)st.st_size);
	if (s->statm_fd >= 0 && fs_pread_into(s->statm_fd, text, sizeof(text)) > 0) {
		unsigned long long size, resident;

		if (sscanf(text, "%llu %llu", &size, &resident) == 2) {
			metric_gauge(s->set, METRIC(SELF_PROCESS_VSIZE),
				     (double)size * (double)s->page_size);
			metric_gauge(s->set, METRIC(SELF_PROCESS_RSS),
				     (double)resident * (double)s->page_size);
		}
	}
}

void self_tick(struct self *s, const struct http_server *http)
{
	tick_events(s);
	tick_http(s, http);
	tick_process(s);
	metric_store(s->set, METRIC(SELF_WORK_REFUSED), workers_refused(s->agent->workers));
	metric_store(s->set, METRIC(SELF_CLOCK_STEPS), s->agent->clock->steps);
}
