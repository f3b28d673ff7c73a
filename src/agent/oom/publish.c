/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stage 2: from a run to events
 *
 * Here /proc may be opened: the kernel's snapshot holds what matters, these are the facts that only files tell (exe paths of
 * others, a command line that was never seen). Each is taken only from a process that is still the same entity.
 */
#define LOG_MODULE "oom"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "agent/oom/decode.h"
#include "agent/oom/internal.h"
#include "agent/oom/limit.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/time.h"

#define REPEAT_NS (60 * NS_PER_SEC)

/* --- what report.c asks --- */

/* Is @pid still the process that began at @start_boot_ns? /proc tells start times in ticks of 10 ms. */
static bool same_entity(uint32_t pid, uint64_t start_boot_ns)
{
	char path[64], text[1024], digits[24];
	const char *p, *field;
	uint64_t ticks;
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if (fs_read_into(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	p = strrchr(text, ')');
	if (!p || !parse_field(p + 1, 22 - 3, &field, &len) || len >= sizeof(digits))
		return false;
	memcpy(digits, field, len);
	digits[len] = '\0';
	return parse_u64(digits, &ticks) == 0 &&
	       (!start_boot_ns || ticks == start_boot_ns / OOM_TICK_NS);
}

static size_t exe_of(void *ctx, uint32_t pid, uint64_t start_boot_ns, char *buf, size_t size)
{
	char path[64];
	ssize_t n;

	(void)ctx;
	if (!pid || !same_entity(pid, start_boot_ns))
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	n = readlink(path, buf, size);
	return n > 0 ? (size_t)n : 0;
}

static size_t args_of(void *ctx, uint32_t pid, uint64_t start_boot_ns, char *buf, size_t size)
{
	char path[64];
	_cleanup_(closep) int fd = -EBADF;
	ssize_t n;

	(void)ctx;
	if (!pid || !same_entity(pid, start_boot_ns))
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

/* One line of /etc/passwd. The host's file: container users have numbers only. */
static const char *user_name(void *ctx, uint32_t uid)
{
	static char name[64];
	char text[8192], want[24];
	ssize_t n = fs_read_into(AT_FDCWD, "/etc/passwd", text, sizeof(text));

	(void)ctx;
	if (n < 0)
		return NULL;
	(void)snprintf(want, sizeof(want), ":%u:", uid);
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n"), first = strcspn(line, ":");
		const char *password = line + first + 1;
		size_t second = first < len ? strcspn(password, ":\n") : 0;

		if (first < len && first < sizeof(name) &&
		    strncmp(password + second, want, strlen(want)) == 0) {
			memcpy(name, line, first);
			name[first] = '\0';
			return name;
		}
		line += len;
		line += *line == '\n';
	}
	return NULL;
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

static bool add_trend(void *ctx, struct event_buf *b, const struct oom_run *run,
		      const struct oom_kill *k)
{
	struct provider_trend trend;
	struct provider_grower grower;

	if (ask(ctx, PROVIDER_MEMORY_GROWER, run, k, &grower, sizeof(grower)) == sizeof(grower)) {
		event_u64(b, "telamon.oom.grower.process.pid", grower.pid);
		event_str(b, "telamon.oom.grower.process.executable.path", grower.exe);
		event_str(b, "telamon.oom.grower.cgroup.path", grower.cgroup);
		event_i64(b, "telamon.oom.grower.bytes", grower.bytes);
	}
	if (ask(ctx, PROVIDER_MEMORY_TREND, run, k, &trend, sizeof(trend)) != sizeof(trend))
		return false;
	event_f64(b, "telamon.oom.trend.step", trend.step_s, 3);
	add_array(b, "telamon.oom.trend.hard", trend.hard, MIN(trend.n, ARRAY_SIZE(trend.hard)));
	add_array(b, "telamon.oom.trend.usage", trend.usage, MIN(trend.n, ARRAY_SIZE(trend.usage)));
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

void oom_publish_init(struct oom_state *s)
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
		.rss_is_approximate = true,
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

/* --- the limit --- */

static struct last_count *find_count(struct oom_state *s, uint64_t id)
{
	size_t at = (size_t)hash_u64(id) % COUNTS_MAX;

	for (size_t i = 0; i < 8; i++) {
		struct last_count *c = &s->counts[(at + i) % COUNTS_MAX];

		if (c->id == id || c->id == 0)
			return c;
	}
	return &s->counts[at]; /* crowded: this one is forgotten */
}

static uint64_t last_count(void *ctx, uint64_t id, enum oom_level_count count)
{
	struct oom_state *s = ctx;
	const struct last_count *c = find_count(s, id);
	enum identity_result result;
	const struct identity *i;

	if (c->id == id)
		return c->count[count];
	/* A cgroup that was made under our eyes began with zero. */
	i = identity_lookup(s->agent->identity, s->agent->cgroups->memory_hierarchy, id, NULL, 0,
			    &result);
	return i && i->added_us > s->started_us + US_PER_SEC ? 0 : UINT64_MAX;
}

static void remember_counts(struct oom_state *s, const struct oom_victim *v)
{
	for (uint32_t i = 0; i < v->n_levels; i++) {
		struct last_count *c = find_count(s, v->levels[i].id);

		c->id = v->levels[i].id;
		for (int k = 0; k < _LEVEL_COUNT_MAX; k++)
			c->count[k] = oom_level_count(v, i, k);
	}
}

/* Decisions in the same cgroup within the minute before this one. Host-wide ones share the id 0. */
void oom_note_decision(struct oom_state *s, struct oom_run *run)
{
	struct last_decision *next = &s->decisions[s->next_decision++ % DECISIONS_KEPT];

	run->repeats = 0;
	for (size_t i = 0; i < DECISIONS_KEPT; i++) {
		const struct last_decision *d = &s->decisions[i];

		if (d->boot_ns && d->cgroup_id == run->limit.id &&
		    run->first_ns - d->boot_ns <= REPEAT_NS)
			run->repeats++;
	}
	*next = (struct last_decision){ run->limit.id, run->first_ns };
}

void oom_find_limit(struct oom_state *s, struct oom_run *run)
{
	const struct oom_victim *v = &run->kills->v;
	struct oom_limit_question q = {
		.v = v,
		.reclaim_memcg_id = run->scope == SCOPE_MEMCG && !run->oc ? v->reclaim_cgroup_id
									  : 0,
		.order = run->order_known ? run->order : 0,
		.cpus = s->world.cpus,
		.last = last_count,
		.ctx = s,
	};

	if (run->scope != SCOPE_MEMCG && run->scope != SCOPE_UNKNOWN) {
		remember_counts(s, v);
		return;
	}
	if (run->limit.found && run->limit.id)
		q.oc_memcg_id = run->limit.id;
	else if (run->limit.found)
		q.kmsg_path = run->limit.path;
	if (run->limit.found && run->limit.level < 0) {
		struct oom_limit_found known = run->limit, level;

		oom_limit_choose(&q, &level);
		run->limit = level.level >= 0 ? level : known;
	} else if (!run->limit.found) {
		oom_limit_choose(&q, &run->limit);
	}
	remember_counts(s, v);
}

/* --- publishing --- */

static int publish(struct oom_state *s)
{
	int r = event_publish(s->agent->stream, EVENT_CLASS_OOM, &s->event);

	return r == -EAGAIN ? r : 0;
}

static double delay(uint64_t boot_ns)
{
	uint64_t now = time_boot_ns();

	return now > boot_ns ? (double)(now - boot_ns) / 1e9 : 0;
}

/* A cgroup that nobody knew is named by the path that the kernel walked. */
static void identify_late(struct oom_state *s, struct oom_kill *k)
{
	enum identity_result result;
	uint32_t hierarchy = s->agent->cgroups->memory_hierarchy;
	size_t len;
	const char *path = oom_text(&k->v, k->v.path, &len);

	if (k->identity)
		return;
	k->identity = identity_ref(
		identity_lookup(s->agent->identity, hierarchy, k->v.cgroup_id, path, len, &result));
	if (!k->identity && len)
		k->identity = identity_from_path(s->agent->identity, hierarchy, k->v.cgroup_id,
						 path, len);
}

static struct identity *lookup(struct oom_state *s, uint64_t id)
{
	enum identity_result result;

	return id ? identity_lookup(s->agent->identity, s->agent->cgroups->memory_hierarchy, id,
				    NULL, 0, &result)
		  : NULL;
}

static void prepare_world(struct oom_state *s, const struct oom_run *run)
{
	struct report_world *w = &s->world;

	w->redact = s->agent->redact;
	w->limit_identity = lookup(s, run->limit.id);
	if (!w->limit_identity && run->limit.path[0])
		w->limit_identity = identity_by_path(s->agent->identity,
						     s->agent->cgroups->memory_hierarchy,
						     run->limit.path, strlen(run->limit.path));
	w->trigger_identity = lookup(s, run->kills->v.trigger_cgroup_id);
}

static void count_missing(struct oom_state *s, unsigned missing)
{
	for (uint8_t f = 0; f < _FIELD_MAX; f++)
		if (missing & 1U << f)
			metric_add(s->metrics, METRIC(OOM_FIELDS_MISSING, f), 1);
}

int oom_publish_run(struct oom_state *s, struct oom_run *run)
{
	bool fresh = !run->kills->emitted;

	prepare_world(s, run);
	for (struct oom_kill *k = run->kills; k; k = k->next) {
		unsigned missing;

		if (k->emitted)
			continue;
		identify_late(s, k);
		k->wall_ns = clock_map_wall(s->agent->clock, k->boot_ns);
		if (report_kill(&s->world, run, k, &s->event, &missing) < 0)
			log_error("an OOM record does not fit into %d bytes", EVENT_BYTES_MAX);
		else if (publish(s) < 0)
			return -EAGAIN;
		k->emitted = true;
		if (k->v.kind != OOM_VICTIM_RESERVE)
			oom_count_workload(s, run, k);
		count_missing(s, missing);
		metric_observe(s->metrics, METRIC(OOM_EVENT_DELAY, STAGE_RECORD),
			       delay(k->boot_ns));
		log_debug("oom kill of %s[%u] published", k->v.comm, k->v.tgid);
	}
	if (fresh)
		oom_count_run(s, run);
	return 0;
}

int oom_publish_aftermath(struct oom_state *s, struct oom_run *run, const char *reason)
{
	uint64_t usage, before = OOM_UNKNOWN64;
	const struct oom_limit_found *f = &run->limit;

	if (!run->kills || run->kills->v.kind == OOM_VICTIM_RESERVE)
		return 0;
	prepare_world(s, run);
	if (f->level >= 0 && (uint32_t)f->level < run->kills->v.n_levels)
		before = oom_pages(run->kills->v.levels[f->level].usage);
	if (before != OOM_UNKNOWN64 && snapshot_usage(s->snapshotter, f->path, &usage) == 0) {
		run->freed_known = true;
		run->freed_bytes = before > usage ? before - usage : 0;
	}
	if (report_aftermath(&s->world, run, reason, &s->event) < 0)
		return 0;
	return publish(s);
}

void oom_publish_no_victim(struct oom_state *s, const struct report_no_victim *n)
{
	metric_add(s->metrics, METRIC(OOM_DECISIONS, n->scope, OUTCOME_NO_VICTIM), 1);
	if (report_no_victim(&s->world, n, &s->event) >= 0)
		(void)publish(s);
}

void oom_publish_unseen(struct oom_state *s, uint64_t count, const struct identity *where)
{
	if (report_unseen(&s->world, count, time_boot_ns(), where, &s->event) >= 0)
		(void)publish(s);
}

void oom_publish_lost(struct oom_state *s, uint64_t count)
{
	if (report_lost(&s->world, count, time_boot_ns(), &s->event) >= 0)
		(void)publish(s);
}
