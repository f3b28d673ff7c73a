/* SPDX-License-Identifier: Apache-2.0 */
/* Runs, folding, waits and full tables, with a clock of our own. Recorded streams: test_report.c */
#include "test.h"

#include <jansson.h>
#include "oom_world.h"

#define START NS_PER_SEC /* when processes of these tests began */
#define BEGIN (1000 * NS_PER_SEC) /* boot time of the first mark */
#define MS NS_PER_MSEC

static const struct correlator_options defaults = { .wait_us = 500 * US_PER_MSEC,
						    .aftermath_us = 60 * US_PER_SEC,
						    .victims = 1024 };

static void begin_with(struct world *w, const struct correlator_options *o)
{
	world_init(w, "single", o);
	w->coded = true;
}

static void begin(struct world *w)
{
	begin_with(w, &defaults);
}

/* Process @pid is killed by request of thread @trigger. */
static struct oom_victim *mark(uint32_t pid, uint32_t trigger, uint64_t boot_ns,
			       enum coded_stack stack)
{
	static struct oom_victim v;

	memset(&v, 0, sizeof(v));
	v.head = (struct record_head){ .type = OOM_RECORD_VICTIM,
				       .size = offsetof(struct oom_victim, text),
				       .boot_ns = boot_ns };
	v.kind = OOM_VICTIM_KILL;
	v.flags = OOM_VICTIM_SNAPSHOT | OOM_VICTIM_STACK;
	v.tgid = v.tid = pid;
	v.trigger_tgid = v.trigger_tid = trigger;
	v.start_boot_ns = START + pid;
	v.stack[0] = stack;
	v.n_levels = 1;
	v.levels[0] = (struct oom_level){ .id = 7, .usage = 100, .max = 100 };
	v.cgroup_id = 7;
	memcpy(v.text, "/c/bin/x", 8);
	v.path = (struct oom_text){ 0, 2 };
	v.exe = (struct oom_text){ 2, 6 };
	v.args = (struct oom_text){ 7, 1 };
	v.args_source = OOM_ARGS_EXEC;
	v.head.size += 8;
	return &v;
}

static struct oom_exit *exit_of(uint32_t pid, uint64_t boot_ns)
{
	static struct oom_exit e;

	e = (struct oom_exit){
		.head = { .type = OOM_RECORD_EXIT, .size = sizeof(e), .boot_ns = boot_ns },
		.tgid = pid,
		.start_boot_ns = START + pid
	};
	return &e;
}

static struct oom_decision *decision(uint64_t number, uint32_t trigger, uint32_t chosen,
				     uint64_t boot_ns)
{
	static struct oom_decision d;

	memset(&d, 0, sizeof(d));
	d.head = (struct record_head){ .type = OOM_RECORD_DECISION,
				       .size = offsetof(struct oom_decision, text),
				       .boot_ns = boot_ns };
	d.decision = number;
	d.trigger_tgid = d.trigger_tid = trigger;
	d.chosen_tgid = chosen;
	d.constraint = OOM_CONSTRAINT_MEMCG;
	d.memcg_id = 7;
	return &d;
}

/* The @n-th event (from 1) as JSON. */
static json_t *event(const struct world *w, unsigned n)
{
	const char *line = w->json.data;
	json_t *j;

	for (unsigned i = 1; line && i < n; i++)
		line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
	assert_non_null(line);
	j = json_loadb(line, strcspn(line, "\n"), 0, NULL);
	assert_non_null(j);
	return j;
}

static unsigned n_events(const struct world *w, const char *name)
{
	const char *p = w->json.data;
	char wanted[64];
	unsigned n = 0;

	(void)snprintf(wanted, sizeof(wanted), "\"event.name\":\"%s\"", name);
	while (p && (p = strstr(p, wanted))) {
		n++;
		p++;
	}
	return n;
}

static void check_text(const struct world *w, unsigned n, const char *key, const char *want)
{
	json_t *j = event(w, n);
	const char *have = json_string_value(json_object_get(j, key));

	if (!have || !streq(have, want))
		fail_msg("event %u: %s is %s, not %s", n, key, have ? have : "absent", want);
	json_decref(j);
}

static void check_number(const struct world *w, unsigned n, const char *key, long long want)
{
	json_t *j = event(w, n), *v = json_object_get(j, key);

	if (!json_is_integer(v) || json_integer_value(v) != want)
		fail_msg("event %u: %s is %lld, not %lld", n, key,
			 v ? (long long)json_integer_value(v) : -1, want);
	json_decref(j);
}

static void check_absent(const struct world *w, unsigned n, const char *key)
{
	json_t *j = event(w, n);

	assert_null(json_object_get(j, key));
	json_decref(j);
}

static void check_bool(const struct world *w, unsigned n, const char *key, bool want)
{
	json_t *j = event(w, n);

	assert_true(json_is_boolean(json_object_get(j, key)));
	assert_int_equal(json_is_true(json_object_get(j, key)), want);
	json_decref(j);
}

/* --- OOM-202: the wait --- */

static void test_wait(void **state)
{
	static const struct {
		const char *name;
		bool busy, invoke_live;
		uint64_t members_every_ms, members; /* marks after the first */
		uint64_t ready_ms; /* after the first mark */
	} cases[] = {
		{ "nothing to wait for", false, false, 0, 0, 20 },
		{ "something is pending", true, false, 0, 0, 500 },
		{ "out_of_memory() has not returned", false, true, 0, 0, 500 },
		{ "half a second after the last member", true, false, 100, 3, 800 },
		{ "five seconds after the first", true, false, 400, 20, 5000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct correlator_options o = defaults;
		struct world w;

		o.invoke_live = cases[i].invoke_live;
		begin_with(&w, &o);
		w.busy = cases[i].busy;
		world_feed(&w, mark(1, 1, BEGIN, STACK_MEMCG), false);
		for (uint64_t m = 1; m <= cases[i].members && !w.readies; m++) {
			uint64_t at = BEGIN + m * cases[i].members_every_ms * MS;

			world_wait(&w, at / 1000);
			if (!w.readies)
				world_feed(&w, mark(1 + (uint32_t)m, 1, at, STACK_MEMBER), false);
		}
		world_wait(&w, BEGIN / 1000 + 10 * US_PER_SEC);
		if (w.ready_us != BEGIN / 1000 + cases[i].ready_ms * US_PER_MSEC)
			fail_msg("%s: after %llu us", cases[i].name,
				 (unsigned long long)(w.ready_us - BEGIN / 1000));
		world_done(&w);
	}
}

/* The return of out_of_memory() ends the wait. */
static void test_invoke_ends_wait(void **state)
{
	struct correlator_options o = defaults;
	struct oom_invoke r = {
		.head = { .type = OOM_RECORD_INVOKE, .size = sizeof(r), .boot_ns = BEGIN + 3 * MS },
		.trigger_tgid = 1,
		.trigger_tid = 1,
		.marks = 1,
		.result = 1,
		.duration_ns = 4 * MS
	};
	struct world w;

	(void)state;
	o.invoke_live = true;
	begin_with(&w, &o);
	world_feed(&w, mark(1, 1, BEGIN, STACK_MEMCG), false);
	world_feed(&w, &r, false);
	world_wait(&w, BEGIN / 1000 + US_PER_SEC);
	assert_int_equal(w.ready_us, BEGIN / 1000 + 23 * US_PER_MSEC);
	world_done(&w);
}

/* A full event queue: asked again, nothing is lost, nothing twice. */
static void test_refused(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.refuse = true;
	world_feed(&w, mark(1, 1, BEGIN, STACK_MEMCG), false);
	world_wait(&w, BEGIN / 1000 + 2 * US_PER_SEC);
	assert_int_equal(n_events(&w, "oom.kill"), 0);
	w.refuse = false;
	world_wait(&w, BEGIN / 1000 + 3 * US_PER_SEC);
	assert_int_equal(n_events(&w, "oom.kill"), 1);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 1);
	assert_int_equal(n_events(&w, "oom.aftermath"), 1);
	world_done(&w);
}

/* --- OOM-113: one record per entity --- */

static void test_fold(void **state)
{
	static const struct {
		const char *name;
		uint64_t after_ms, start; /* of the second mark; start 0 = unknown, 1 = the same */
		bool first_unknown, reserve, same_thread;
		unsigned records;
	} cases[] = {
		{ "another thread of it", 1, 1, false, false, false, 1 },
		{ "the same thread", 1, 1, false, false, true, 1 },
		{ "just below a minute", 59999, 1, false, false, false, 1 },
		{ "a minute later", 60000, 1, false, false, false, 2 },
		{ "pid reuse within the wait", 5, START + 77, false, false, true, 2 },
		{ "start unknown, at once", 1, 0, false, false, false, 1 },
		{ "start unknown of the first", 1, 1, true, false, false, 1 },
		{ "start unknown, seconds later", 2000, 0, true, false, true, 2 },
		{ "a thread of a killed process gets reserves", 1, 1, false, true, false, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oom_victim *v = mark(10, 1, BEGIN, STACK_MEMCG);
		struct world w;
		uint64_t at = BEGIN + cases[i].after_ms * MS;

		begin(&w);
		if (cases[i].first_unknown)
			v->start_boot_ns = 0;
		world_feed(&w, v, false);
		world_wait(&w, at / 1000);
		v = mark(10, 2, at, STACK_MEMCG);
		v->tid = cases[i].same_thread ? 10 : 11;
		if (cases[i].start != 1)
			v->start_boot_ns = cases[i].start;
		if (cases[i].reserve)
			v->kind = OOM_VICTIM_RESERVE;
		world_feed(&w, v, false);
		world_wait(&w, UINT64_MAX);
		if (n_events(&w, "oom.kill") != cases[i].records || w.victims != cases[i].records ||
		    n_events(&w, "oom.reserve") != 0)
			fail_msg("%s: %u records", cases[i].name, n_events(&w, "oom.kill"));
		if (cases[i].records == 1 && cases[i].after_ms < 20)
			check_number(&w, 1, "telamon.oom.attempts", 2);
		world_done(&w);
	}
}

/* Marks of one entity in the wrong order are one, too. */
static void test_fold_backwards(void **state)
{
	struct oom_victim *v;
	struct world w;

	(void)state;
	begin(&w);
	world_feed(&w, mark(10, 1, BEGIN + MS, STACK_MEMCG), false);
	v = mark(10, 2, BEGIN, STACK_MEMCG);
	v->tid = 11;
	world_feed(&w, v, false);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 1);
	world_done(&w);
}

/* --- OOM-201: which run --- */

static void test_same_run(void **state)
{
	static const struct {
		const char *name;
		enum coded_stack first, second;
		uint64_t gap_us;
		bool oom_group, shared;
		uint32_t trigger; /* of the second */
		unsigned decisions;
	} cases[] = {
		{ "a member", STACK_MEMCG, STACK_MEMBER, 100, true, false, 1, 1 },
		{ "the next decision of the same thread", STACK_MEMCG, STACK_MEMCG, 100, true,
		  false, 1, 2 },
		{ "a member of another thread's decision", STACK_MEMCG, STACK_MEMBER, 100, true,
		  false, 2, 2 },
		{ "a member seconds later", STACK_MEMCG, STACK_MEMBER, 3000000, true, false, 1, 2 },
		{ "a sharer", STACK_MEMCG, STACK_MEMCG, 100, false, true, 1, 1 },
		{ "no stack, group, at once", STACK_NONE, STACK_NONE, 19999, true, false, 1, 1 },
		{ "no stack, group, 20 ms", STACK_NONE, STACK_NONE, 20000, true, false, 1, 2 },
		{ "no stack, no group", STACK_NONE, STACK_NONE, 100, false, false, 1, 2 },
		{ "no stack, sharer without group", STACK_NONE, STACK_NONE, 100, false, true, 1,
		  1 },
		{ "no stack, another thread", STACK_NONE, STACK_NONE, 100, true, false, 2, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oom_victim *v = mark(10, 1, BEGIN, cases[i].first);
		struct world w;

		begin(&w);
		v->levels[0].oom_group = cases[i].oom_group;
		world_feed(&w, v, false);
		v = mark(11, cases[i].trigger, BEGIN + cases[i].gap_us * 1000, cases[i].second);
		v->levels[0].oom_group = cases[i].oom_group;
		if (cases[i].shared)
			v->kind = OOM_VICTIM_SHARED_MM;
		world_feed(&w, v, false);
		world_wait(&w, UINT64_MAX);
		if (w.aftermaths != cases[i].decisions)
			fail_msg("%s: %u decisions", cases[i].name, w.aftermaths);
		assert_int_equal(n_events(&w, "oom.kill"), 2);
		world_done(&w);
	}
}

/* The number of a hooked decision is stronger than stack and time, and the decision record may come last. */
static void test_numbered(void **state)
{
	struct oom_victim *v;
	struct world w;

	(void)state;
	begin(&w);
	for (uint32_t i = 0; i < 4; i++) {
		v = mark(10 + i, 1, BEGIN + i * MS, STACK_NONE);
		v->flags |= OOM_VICTIM_DECISION;
		v->decision = 5 + i / 2;
		world_feed(&w, v, false);
	}
	world_feed(&w, decision(5, 1, 11, BEGIN - MS), false);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(w.aftermaths, 2);
	check_text(&w, 1, "telamon.oom.role", "group"); /* 10: the decision says 11 */
	check_text(&w, 2, "telamon.oom.role", "chosen");
	check_number(&w, 1, "telamon.oom.chosen_pid", 11);
	check_text(&w, 1, "telamon.oom.scope.source", "oc");
	check_text(&w, 3, "telamon.oom.role", "chosen");
	check_text(&w, 4, "telamon.oom.role", "group");
	world_done(&w);
}

/* A victim that comes when its run was told already has a record of its own (wait 0). */
static void test_late_member(void **state)
{
	struct correlator_options o = defaults;
	struct world w;

	(void)state;
	o.wait_us = 0;
	begin_with(&w, &o);
	world_feed(&w, mark(10, 1, BEGIN, STACK_MEMCG), false);
	world_feed(&w, mark(11, 1, BEGIN + MS, STACK_MEMBER), false);
	world_feed(&w, mark(12, 1, BEGIN - MS, STACK_MEMBER), false); /* its clock was first */
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 3);
	assert_int_equal(w.aftermaths, 1);
	check_number(&w, 2, "process.pid", 11);
	check_number(&w, 3, "process.pid", 12);
	for (unsigned n = 1; n <= 3; n++) {
		check_number(&w, n, "telamon.oom.chosen_pid", 10);
		check_text(&w, n, "telamon.oom.decision", "c0ffee01-1000000000000");
	}
	world_done(&w);
}

/* --- OOM-112: roles --- */

static void test_roles(void **state)
{
	static const struct {
		const char *name;
		enum coded_stack stack;
		bool sysctl, self;
		uint16_t kind;
		const char *role;
	} cases[] = {
		{ "host, sysctl, self", STACK_GLOBAL, true, true, OOM_VICTIM_KILL,
		  "allocating_task" },
		{ "host, no sysctl", STACK_GLOBAL, false, true, OOM_VICTIM_KILL, "chosen" },
		{ "host, another one", STACK_GLOBAL, true, false, OOM_VICTIM_KILL, "chosen" },
		{ "memcg has no such rule", STACK_MEMCG, true, true, OOM_VICTIM_KILL, "chosen" },
		{ "nor has sysrq", STACK_SYSRQ, true, true, OOM_VICTIM_KILL, "chosen" },
		{ "member", STACK_MEMBER, true, true, OOM_VICTIM_KILL, "group" },
		{ "sharer", STACK_GLOBAL, true, true, OOM_VICTIM_SHARED_MM, "shared_mm" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct correlator_options o = defaults;
		struct oom_victim *v;
		struct world w;

		o.allocating_task = cases[i].sysctl;
		begin_with(&w, &o);
		v = mark(10, cases[i].self ? 10 : 1, BEGIN, cases[i].stack);
		v->kind = cases[i].kind;
		world_feed(&w, v, false);
		correlator_set_allocating_task(w.correlator,
					       false); /* set back at once: the run began before */
		world_wait(&w, UINT64_MAX);
		check_text(&w, 1, "telamon.oom.role", cases[i].role);
		world_done(&w);
	}
}

/* A mere mark is an event of its own kind, and nothing follows it. */
static void test_reserve(void **state)
{
	struct oom_victim *v = mark(10, 10, BEGIN, STACK_MEMCG);
	struct world w;

	(void)state;
	begin(&w);
	v->kind = OOM_VICTIM_RESERVE;
	world_feed(&w, v, false);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.reserve"), 1);
	assert_int_equal(n_events(&w, "oom.kill") + w.aftermaths, 0);
	assert_int_equal(correlator_stats(w.correlator)->kills, 0);
	check_absent(&w, 1, "telamon.oom.role");
	world_done(&w);

	/* A kill of the same trigger right after it is no part of it, in whatever order they come. */
	for (int backwards = 0; backwards < 2; backwards++) {
		begin(&w);
		v = mark(10, 10, BEGIN, STACK_NONE);
		v->kind = OOM_VICTIM_RESERVE;
		world_feed(&w, v, false);
		v = mark(11, 10, backwards ? BEGIN - MS : BEGIN + MS, STACK_NONE);
		v->levels[0].oom_group = 1;
		world_feed(&w, v, false);
		world_wait(&w, UINT64_MAX);
		assert_int_equal(n_events(&w, "oom.reserve"), 1);
		assert_int_equal(n_events(&w, "oom.kill"), 1);
		check_text(&w, 2, "telamon.oom.role", "chosen");
		assert_int_equal(w.aftermaths, 1);
		world_done(&w);
	}
}

/* What the kernel counts (OOM-119): marked ones, and once more per group; sharers not. */
static void test_counts(void **state)
{
	static const struct {
		const char *name;
		struct {
			uint32_t pid;
			uint16_t kind;
			enum coded_stack stack;
		} marks[4];
		bool oom_group;
		uint64_t vmstat;
	} cases[] = {
		{ "one", { { 10, OOM_VICTIM_KILL, STACK_MEMCG } }, false, 1 },
		{ "group of one", { { 10, OOM_VICTIM_KILL, STACK_MEMCG } }, true, 2 },
		{ "group",
		  { { 10, OOM_VICTIM_KILL, STACK_MEMCG },
		    { 11, OOM_VICTIM_KILL, STACK_MEMBER },
		    { 12, OOM_VICTIM_KILL, STACK_MEMBER } },
		  true,
		  4 },
		{ "group, the chosen one marked twice",
		  { { 10, OOM_VICTIM_KILL, STACK_MEMCG },
		    { 11, OOM_VICTIM_KILL, STACK_MEMBER },
		    { 10, OOM_VICTIM_KILL, STACK_MEMBER } },
		  true,
		  3 },
		{ "sharer",
		  { { 10, OOM_VICTIM_KILL, STACK_MEMCG },
		    { 11, OOM_VICTIM_SHARED_MM, STACK_MEMCG } },
		  false,
		  1 },
		{ "sharer that is a member, too",
		  { { 10, OOM_VICTIM_KILL, STACK_MEMCG },
		    { 11, OOM_VICTIM_SHARED_MM, STACK_MEMCG },
		    { 11, OOM_VICTIM_KILL, STACK_MEMBER } },
		  true,
		  3 },
		{ "member that shares, too",
		  { { 10, OOM_VICTIM_KILL, STACK_MEMCG },
		    { 11, OOM_VICTIM_KILL, STACK_MEMBER },
		    { 11, OOM_VICTIM_SHARED_MM, STACK_MEMBER } },
		  true,
		  3 },
		{ "killed again by sysrq",
		  { { 10, OOM_VICTIM_KILL, STACK_MEMCG }, { 10, OOM_VICTIM_KILL, STACK_SYSRQ } },
		  false,
		  2 },
		{ "reserve", { { 10, OOM_VICTIM_RESERVE, STACK_MEMCG } }, false, 0 },
		{ "killed, then reserves",
		  { { 10, OOM_VICTIM_KILL, STACK_NONE }, { 10, OOM_VICTIM_RESERVE, STACK_NONE } },
		  false,
		  1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct correlator_stats *c;
		struct world w;

		begin(&w);
		for (size_t m = 0; m < 4 && cases[i].marks[m].pid; m++) {
			struct oom_victim *v = mark(cases[i].marks[m].pid, 1, BEGIN + m * 1000,
						    cases[i].marks[m].stack);

			v->kind = cases[i].marks[m].kind;
			v->levels[0].oom_group = cases[i].oom_group;
			world_feed(&w, v, false);
		}
		world_wait(&w, BEGIN / 1000 + US_PER_SEC);
		c = correlator_stats(w.correlator);
		if (c->kills + c->groups != cases[i].vmstat)
			fail_msg("%s: %llu + %llu", cases[i].name, (unsigned long long)c->kills,
				 (unsigned long long)c->groups);
		world_done(&w);
	}
}

/* --- OOM-115: scope --- */

static void test_scope(void **state)
{
	static const struct {
		const char *name;
		enum coded_stack stack;
		uint16_t reclaim;
		uint32_t constraint; /* 9: no decision record */
		int32_t order;
		const char *kmsg; /* NULL: no line */
		const char *scope, *source;
	} cases[] = {
		{ "nothing", STACK_NONE, 0, 9, 0, NULL, "unknown", "none" },
		{ "log memcg", STACK_NONE, 0, 9, 0, "CONSTRAINT_MEMCG", "memcg", "kmsg" },
		{ "log host", STACK_NONE, 0, 9, 0, "CONSTRAINT_NONE", "global", "kmsg" },
		{ "reclaim beats log", STACK_NONE, OOM_RECLAIM_MEMCG, 9, 0, "CONSTRAINT_NONE",
		  "memcg", "reclaim" },
		{ "reclaim of the host", STACK_NONE, OOM_RECLAIM_DIRECT, 9, 0, NULL, "global",
		  "reclaim" },
		{ "stack beats reclaim", STACK_GLOBAL, OOM_RECLAIM_MEMCG, 9, 0, NULL, "global",
		  "stack" },
		{ "stack beats log", STACK_MEMCG, 0, 9, 0, "CONSTRAINT_NONE", "memcg", "stack" },
		{ "only the log knows cpusets", STACK_GLOBAL, 0, 9, 0, "CONSTRAINT_CPUSET",
		  "cpuset", "kmsg" },
		{ "and policies", STACK_GLOBAL, OOM_RECLAIM_DIRECT, 9, 0,
		  "CONSTRAINT_MEMORY_POLICY", "mempolicy", "kmsg" },
		{ "sysrq", STACK_SYSRQ, OOM_RECLAIM_DIRECT, 9, 0, NULL, "sysrq", "stack" },
		{ "oc beats all", STACK_GLOBAL, OOM_RECLAIM_DIRECT, OOM_CONSTRAINT_MEMCG, 0,
		  "CONSTRAINT_CPUSET", "memcg", "oc" },
		{ "oc: cpuset", STACK_GLOBAL, 0, OOM_CONSTRAINT_CPUSET, 0, NULL, "cpuset", "oc" },
		{ "oc: policy", STACK_GLOBAL, 0, OOM_CONSTRAINT_MEMORY_POLICY, 0, NULL, "mempolicy",
		  "oc" },
		{ "oc: sysrq", STACK_NONE, 0, OOM_CONSTRAINT_NONE, -1, NULL, "sysrq", "oc" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct oom_victim *v = mark(10, 1, BEGIN, cases[i].stack);
		struct world w;

		begin(&w);
		if (cases[i].reclaim) {
			v->flags |= OOM_VICTIM_RECLAIM;
			v->reclaim_kind = cases[i].reclaim;
		}
		if (cases[i].constraint != 9) {
			struct oom_decision *d = decision(1, 1, 10, BEGIN);

			d->constraint = cases[i].constraint;
			d->order = cases[i].order;
			d->memcg_id = d->constraint == OOM_CONSTRAINT_MEMCG ? 7 : 0;
			v->flags |= OOM_VICTIM_DECISION;
			v->decision = 1;
			world_feed(&w, d, false);
		}
		world_feed(&w, v, false);
		if (cases[i].kmsg) {
			struct kmsg_oom k = { .fields = KMSG_TASK | KMSG_CONSTRAINT, .pid = 10 };

			k.fields |= streq(cases[i].kmsg, "CONSTRAINT_NONE") ? KMSG_GLOBAL : 0;
			(void)snprintf(k.constraint, sizeof(k.constraint), "%s", cases[i].kmsg);
			correlator_kmsg(w.correlator, &k, "line", 4, w.now_us);
		}
		/* A member's stack tells no better than the first one's. */
		v->tgid = v->tid = 11;
		v->start_boot_ns++;
		v->kind = OOM_VICTIM_SHARED_MM;
		world_feed(&w, v, false);
		world_wait(&w, UINT64_MAX);
		for (unsigned n = 1; n <= 2; n++) {
			check_text(&w, n, "telamon.oom.scope", cases[i].scope);
			check_text(&w, n, "telamon.oom.scope.source", cases[i].source);
		}
		world_done(&w);
	}
}

/* --- OOM-204, OOM-205: aftermath --- */

static void test_aftermath(void **state)
{
	static const struct {
		const char *name;
		uint64_t exit_s[2]; /* of the two victims, 0 = never */
		uint64_t aftermath_s, at_s;
		const char *reason;
		unsigned exits;
	} cases[] = {
		{ "a second after the last exit", { 1, 3 }, 60, 4, "exited", 2 },
		{ "one stays", { 1, 0 }, 60, 60, "timeout", 1 },
		{ "an exit later than a minute", { 1, 90 }, 600, 91, "exited", 2 },
		{ "short aftermath", { 0, 0 }, 1, 1, "timeout", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct correlator_options o = defaults;
		struct world w;

		o.aftermath_us = cases[i].aftermath_s * US_PER_SEC;
		begin_with(&w, &o);
		for (uint32_t k = 0; k < 2; k++)
			world_feed(&w, mark(10 + k, 1, BEGIN, k ? STACK_MEMBER : STACK_MEMCG),
				   false);
		for (uint32_t k = 0; k < 2; k++) {
			uint64_t at = BEGIN + cases[i].exit_s[k] * NS_PER_SEC;

			if (!cases[i].exit_s[k])
				continue;
			world_wait(&w, at / 1000);
			world_feed(&w, exit_of(10 + k, at), false);
			world_feed(&w, exit_of(10 + k, at), false); /* told twice: one exit */
		}
		world_wait(&w, UINT64_MAX);
		assert_int_equal(w.aftermaths, 1);
		assert_int_equal(w.exits, cases[i].exits);
		if (!streq(w.reason, cases[i].reason) ||
		    w.now_us != BEGIN / 1000 + cases[i].at_s * US_PER_SEC)
			fail_msg("%s: %s at %llu", cases[i].name, w.reason,
				 (unsigned long long)(w.now_us - BEGIN / 1000));
		world_done(&w);
	}
}

static void test_victims_full(void **state)
{
	struct correlator_options o = defaults;
	struct world w;

	(void)state;
	o.victims = 64;
	begin_with(&w, &o);
	for (uint32_t i = 0; i < 65; i++)
		world_feed(&w, mark(100 + i, 100 + i, BEGIN + i * 1000, STACK_MEMCG), false);
	world_wait(&w, BEGIN / 1000 + US_PER_SEC);
	assert_int_equal(n_events(&w, "oom.kill"), 65);
	assert_int_equal(w.aftermaths, 1);
	assert_string_equal(w.reason, "evicted");
	assert_int_equal(correlator_stats(w.correlator)->evicted, 1);
	/* Those that went were not missed: nothing is evicted for them. */
	for (uint32_t i = 1; i < 65; i++)
		world_feed(&w, exit_of(100 + i, BEGIN + NS_PER_SEC), false);
	for (uint32_t i = 0; i < 64; i++)
		world_feed(&w, mark(300 + i, 300 + i, BEGIN + NS_PER_SEC + 1, STACK_MEMCG), false);
	assert_int_equal(correlator_stats(w.correlator)->evicted, 1);
	world_done(&w);
}

/* --- OOM-602: slots --- */

static void test_slots_full(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.busy = true;
	for (uint32_t i = 0; i < 300; i++) {
		struct oom_victim *v = mark(1000 + i, 1000 + i, BEGIN + i, STACK_MEMCG);

		v->flags |= OOM_VICTIM_RECLAIM;
		v->reclaim_kind = OOM_RECLAIM_MEMCG;
		world_feed(&w, v, false);
	}
	assert_int_equal(n_events(&w, "oom.kill"), 300 - 256);
	check_number(&w, 1, "process.pid", 1000); /* the oldest first, at once, incomplete */
	check_bool(&w, 1, "telamon.oom.complete", false);
	check_text(&w, 2, "telamon.oom.aftermath", "evicted");
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 300);
	assert_int_equal(w.aftermaths, 300);
	assert_int_equal(correlator_stats(w.correlator)->evicted, 44);
	check_bool(&w, 2 * 44 + 1, "telamon.oom.complete", true);
	world_done(&w);
}

/* What was told and only waits for its aftermath makes room first. */
static void test_told_go_first(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.busy = true;
	for (uint32_t i = 0; i < 255; i++)
		world_feed(&w, mark(1000 + i, 1000 + i, BEGIN + i, STACK_MEMCG), false);
	w.busy = false;
	world_wait(&w, BEGIN / 1000 + 100 * US_PER_MSEC);
	assert_int_equal(n_events(&w, "oom.kill"), 255);
	w.busy = true;
	for (uint32_t i = 0; i < 256; i++)
		world_feed(&w, mark(2000 + i, 2000 + i, BEGIN + 100 * MS + i, STACK_MEMCG), false);
	assert_int_equal(n_events(&w, "oom.kill"), 255);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 511);
	world_done(&w);
}

/* A group that is larger than the pool of kills: a record for each, one decision. */
static void test_large_group(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	w.busy = true;
	for (uint32_t i = 0; i < 1000; i++)
		world_feed(&w, mark(1000 + i, 1000, BEGIN + i, i ? STACK_MEMBER : STACK_MEMCG),
			   false);
	for (uint32_t i = 0; i < 1000; i++)
		world_feed(&w, exit_of(1000 + i, BEGIN + MS + i), false);
	world_wait(&w, UINT64_MAX);
	assert_int_equal(n_events(&w, "oom.kill"), 1000);
	assert_int_equal(w.aftermaths, 1);
	assert_string_equal(w.reason, "exited");
	check_number(&w, 1000, "telamon.oom.chosen_pid", 1000);
	check_text(&w, 1000, "telamon.oom.role", "group");
	check_text(&w, 1000, "telamon.oom.decision", "c0ffee01-1000000000000");
	assert_int_equal(correlator_stats(w.correlator)->kills, 1000);
	assert_int_equal(correlator_stats(w.correlator)->groups, 1);
	world_done(&w);
}

/* 65,536 followed victims: what a record costs does not grow with them. No time is measured; a scan would not end here. */
static void test_many_victims(void **state)
{
	struct correlator_options o = defaults;
	struct world w;

	(void)state;
	o.victims = 65536;
	begin_with(&w, &o);
	for (uint32_t i = 0; i < 100000; i++) {
		uint64_t at = BEGIN + i * MS;

		correlator_feed(w.correlator, &mark(1000 + i, 1000 + i, at, STACK_MEMCG)->head,
				false, at / 1000);
		correlator_feed(w.correlator, &exit_of(1000 + i, at)->head, false, at / 1000);
		if (i % 64 == 0) {
			w.now_us = at / 1000;
			correlator_run(w.correlator, w.now_us);
			strbuf_clear(&w.json);
		}
	}
	assert_int_equal(w.exits, 100000);
	world_done(&w);
}

/* --- bad records --- */

static void test_bad_records(void **state)
{
	struct oom_victim *v;
	struct record_head head = { .type = 99, .size = sizeof(head) };
	struct world w;

	(void)state;
	begin(&w);
	world_feed(&w, &head, false);
	v = mark(0, 1, BEGIN, STACK_MEMCG);
	world_feed(&w, v, false);
	v = mark(1, 1, BEGIN, STACK_MEMCG);
	v->kind = 77;
	world_feed(&w, v, false);
	v = mark(1, 1, BEGIN, STACK_MEMCG);
	v->head.size = offsetof(struct oom_victim, text) - 1;
	world_feed(&w, v, false);
	assert_int_equal(correlator_stats(w.correlator)->decode_errors, 4);
	assert_int_equal(w.victims, 0);
	world_feed(&w, mark(1, 1, BEGIN, STACK_MEMCG), false); /* and the loop goes on */
	assert_int_equal(w.victims, 1);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait),	       cmocka_unit_test(test_invoke_ends_wait),
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_fold),
		cmocka_unit_test(test_fold_backwards), cmocka_unit_test(test_same_run),
		cmocka_unit_test(test_numbered),       cmocka_unit_test(test_late_member),
		cmocka_unit_test(test_roles),	       cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_counts),	       cmocka_unit_test(test_scope),
		cmocka_unit_test(test_aftermath),      cmocka_unit_test(test_victims_full),
		cmocka_unit_test(test_slots_full),     cmocka_unit_test(test_told_go_first),
		cmocka_unit_test(test_large_group),    cmocka_unit_test(test_many_victims),
		cmocka_unit_test(test_bad_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
