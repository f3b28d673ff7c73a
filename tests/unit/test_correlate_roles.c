/* SPDX-License-Identifier: Apache-2.0 */
/* Roles, reserves, counts and scopes of runs. */
#include "marks.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_scope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
