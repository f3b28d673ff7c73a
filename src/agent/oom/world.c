/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts that a report asks for beside the records
 *
 * Here /proc may be opened: the kernel's snapshot holds what matters, these are the facts that only files tell (exe paths of
 * others, a command line that was never seen). Each is taken only from a process that is still the same entity.
 */
#define LOG_MODULE "oom"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/oom/internal.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/time.h"

#define TICK_US 10000
#define CERTAIN_AGE_US (6 * US_PER_SEC) /* longer than any record waits */

/*
 * Is @pid still the process that began at @start_boot_ns? /proc tells start times in ticks of 10 ms. Where the start is not known
 * (no BTF), a process counts that is older than any record waits: a pid that was given away meanwhile is younger.
 */
static bool same_entity(uint32_t pid, uint64_t start_boot_ns)
{
	char path[64], text[1024];
	uint64_t ticks, rss;

	(void)snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if (fs_read_into(AT_FDCWD, path, text, sizeof(text)) < 0 ||
	    !args_scan_parse_stat(text, &ticks, &rss))
		return false;
	if (start_boot_ns)
		return ticks == start_boot_ns / OOM_TICK_NS;
	return ticks * TICK_US + CERTAIN_AGE_US < time_boot_ns() / 1000;
}

/* A run that makes room for another is written out while that other's record is handled: then it stays without these facts. */
static bool may_not_open(const struct oom_state *s)
{
	return s->in_ring;
}

static const struct args_scan_entry *scanned(const struct oom_state *s, uint32_t pid,
					     uint64_t start_boot_ns)
{
	return s->args_scan ? args_scan_find(s->args_scan, pid, start_boot_ns / OOM_TICK_NS) : NULL;
}

static size_t copy(char *buf, size_t size, const char *from, size_t len)
{
	len = MIN(len, size);
	memcpy(buf, from, len);
	return len;
}

static size_t exe_of(void *ctx, uint32_t pid, uint64_t start_boot_ns, char *buf, size_t size)
{
	const struct args_scan_entry *e = scanned(ctx, pid, start_boot_ns);
	char path[64];
	ssize_t n;

	if (e && e->exe_len)
		return copy(buf, size, e->exe, e->exe_len);
	if (may_not_open(ctx) || !pid || !same_entity(pid, start_boot_ns))
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	n = readlink(path, buf, size);
	return n > 0 ? (size_t)n : 0;
}

static size_t args_of(void *ctx, uint32_t pid, uint64_t start_boot_ns, char *buf, size_t size)
{
	const struct args_scan_entry *e = scanned(ctx, pid, start_boot_ns);
	char path[64];
	_cleanup_(closep) int fd = -EBADF;
	ssize_t n;

	if (e && e->args_len)
		return copy(buf, size, e->args, e->args_len);
	if (may_not_open(ctx) || !pid || !same_entity(pid, start_boot_ns))
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, size);
	return n > 0 ? (size_t)n : 0;
}

static const char *symbol(void *ctx, uint64_t address)
{
	const struct oom_state *s = ctx;

	return symbols_name(s->symbols, address);
}

static const char *user_name(void *ctx, uint32_t uid)
{
	const struct oom_state *s = ctx;

	return users_name(s->users, uid);
}

static uint64_t wall(void *ctx, uint64_t boot_ns)
{
	const struct oom_state *s = ctx;

	return clock_map_wall(s->agent->clock, boot_ns);
}

static size_t ask(struct oom_state *s, enum provider_name p, const struct oom_run *run,
		  const struct oom_kill *k, void *buf, size_t size)
{
	const struct provider *provider = &s->agent->providers[p];

	return provider->fn ? provider->fn(provider->ctx, run->limit.id, k ? k->v.tgid : 0,
					   k ? k->v.start_boot_ns : 0, buf, size)
			    : 0;
}

static void add_array(struct event_buf *b, const char *key, const uint64_t *v, size_t n)
{
	event_array(b, key);
	for (size_t i = 0; i < n; i++)
		event_u64(b, NULL, v[i]);
	event_array_end(b);
}

/* Points of the last trend_window. */
static size_t trend_points(const struct oom_state *s, const struct provider_trend *t)
{
	double window_s = (double)s->config.trend_window_us / US_PER_SEC;
	size_t n = MIN(t->n, ARRAY_SIZE(t->hard));

	return t->step_s > 0 && window_s / t->step_s < (double)n ? (size_t)(window_s / t->step_s)
								 : n;
}

static bool add_trend(void *ctx, struct event_buf *b, const struct oom_run *run,
		      const struct oom_kill *k)
{
	struct provider_trend trend;
	struct provider_grower grower;
	size_t n, skip;

	if (ask(ctx, PROVIDER_MEMORY_GROWER, run, k, &grower, sizeof(grower)) == sizeof(grower)) {
		event_u64(b, "telamon.oom.grower.process.pid", grower.pid);
		event_str(b, "telamon.oom.grower.process.executable.path", grower.exe);
		event_str(b, "telamon.oom.grower.cgroup.path", grower.cgroup);
		event_i64(b, "telamon.oom.grower.bytes", grower.bytes);
	}
	if (ask(ctx, PROVIDER_MEMORY_TREND, run, k, &trend, sizeof(trend)) != sizeof(trend))
		return false;
	n = trend_points(ctx, &trend);
	skip = MIN(trend.n, ARRAY_SIZE(trend.hard)) - n;
	event_f64(b, "telamon.oom.trend.step", trend.step_s, 3);
	add_array(b, "telamon.oom.trend.hard", trend.hard + skip, n);
	add_array(b, "telamon.oom.trend.usage", trend.usage + skip, n);
	event_f64(b, "telamon.oom.trend.rate", trend.rate, 0);
	if (trend.forecast_age_s >= 0)
		event_f64(b, "telamon.oom.trend.forecast_age", trend.forecast_age_s, 1);
	return true;
}

static void add_largest(void *ctx, struct event_buf *b, const struct oom_run *run)
{
	struct oom_state *s = ctx;
	struct provider_process top[20];
	size_t n = ask(s, PROVIDER_MEMORY_LARGEST, run, NULL, top, sizeof(top)) / sizeof(top[0]);

	if (n == 0)
		return;
	event_array(b, "telamon.oom.largest");
	for (size_t i = 0; i < MIN(n, (size_t)s->config.processes_top); i++) {
		event_object(b, NULL);
		event_u64(b, "pid", top[i].pid);
		event_str(b, "comm", top[i].comm);
		event_u64(b, "rss", top[i].rss);
		event_u64(b, "swap", top[i].swap);
		event_f64(b, "age", top[i].age_s, 1);
		event_object_end(b);
	}
	event_array_end(b);
}

static void name_hooks(struct oom_state *s)
{
	static const int told[] = { OOM_CAP_KILL,    OOM_CAP_SIGNAL, OOM_CAP_DECISION,
				    OOM_CAP_RECLAIM, OOM_CAP_ARGS,   OOM_CAP_STAT };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		const struct hook_state *state = &oom_hooks_states(s->hooks)[told[i]];

		if (state->live < 0)
			continue;
		(void)snprintf(s->hook_names[n], sizeof(s->hook_names[n]), "%s/%s",
			       state->hook->capability, hook_live_name(state));
		s->world.hooks[n] = s->hook_names[n];
		n++;
	}
	s->world.hooks[n] = NULL;
}

void oom_world_init(struct oom_state *s)
{
	char text[64] = "";

	s->world = (struct report_world){
		.origin = s->agent->origin,
		.gfp = &s->gfp,
		.psi_on = s->psi_on,
		.args_on = s->config.args_bytes > 0,
		.members_max = s->config.members_max,
		.processes_top = s->config.processes_top,
		.cpus = (uint32_t)MAX(sysconf(_SC_NPROCESSORS_CONF), 1L),
		.ctx = s,
		.symbol = symbol,
		.user_name = user_name,
		.exe_of = exe_of,
		.args_of = args_of,
		.wall = wall,
		.add_trend = add_trend,
		.add_largest = add_largest,
	};
	if (fs_read_into(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof(text)) > 8)
		(void)parse_hex64(text, 8, &s->world.boot_id);
	name_hooks(s);
}
