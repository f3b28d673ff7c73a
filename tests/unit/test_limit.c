/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which cgroup's limit was hit (OOM-116): situations as rows
 *
 * The victim sits in /a/b/c: level 0 is /a/b/c (id 30), then /a/b (20), /a (10), / (1). Numbers are pages; two CPUs, so that a
 * limit counts as full within 128 of them.
 */
#include "test.h"

#include <stdlib.h>
#include "agent/oom/decode.h"
#include "agent/oom/limit.h"
#include "agent/oom/log-lines.h"
#include "base/macro.h"

#define NONE OOM_UNKNOWN64
#define LEVELS 4

struct level {
	uint64_t usage, max;
	uint64_t oom, last_oom; /* local OOMs now and as known before; last NONE: not known */
	uint64_t swap_usage, swap_max;
	uint64_t failcnt, last_failcnt, swap_failcnt, last_swap_failcnt;
};

/* clang-format off */
#define FREE { 500, NONE, 0, 0, 0, NONE, 0, 0, 0, 0 }
#define ROOMY { 500, 1000, 0, 0, 0, NONE, 0, 0, 0, 0 }
#define FULL { 1000, 1000, 0, 0, 0, NONE, 0, 0, 0, 0 }
#define ROSE { 500, 1000, 3, 2, 0, NONE, 0, 0, 0, 0 }
#define NEW { 1000, 1000, 3, NONE, 0, NONE, 0, 0, 0, 0 } /* nothing is known of before */
#define V1(...) { __VA_ARGS__ }
/* clang-format on */

static const uint64_t ids[LEVELS] = { 30, 20, 10, 1 };
static const char *const paths[LEVELS] = { "/a/b/c", "/a/b", "/a", "/" };

/* clang-format off */
static const struct situation {
	const char *name;
	struct level levels[LEVELS];
	/* What else is known. */
	uint64_t oc, reclaim, trigger;
	const char *kmsg, *trigger_path;
	int order;
	bool v1, kthread, no_path;
	unsigned n_levels; /* 0 = all */
	/* Expected. */
	int level; /* -1: by id or path only, -2: nothing */
	bool uncertain;
	const char *counter, *path;
	enum oom_limit_source source;
} situations[] = {
	/* (1) oc->memcg */
	{ .name = "oc says the leaf", .levels = { FULL, FULL, FREE, FREE }, .oc = 30, .level = 0, .source = LIMIT_FROM_OC },
	{ .name = "oc says two above, though the leaf is full", .levels = { FULL, FULL, FULL, FREE }, .oc = 10, .level = 2, .source = LIMIT_FROM_OC },
	{ .name = "oc names a level that was cut", .levels = { FULL, FULL, FULL, FULL }, .oc = 77, .level = -1, .path = "", .source = LIMIT_FROM_OC },
	{ .name = "oc beats reclaim and log", .levels = { FREE, FREE, FREE, FREE }, .oc = 20, .reclaim = 30, .kmsg = "/a", .level = 1, .source = LIMIT_FROM_OC },
	{ .name = "oc on v1, the sum is tighter", .levels = { V1(900, 1000, 0, 0, 1000, 1000, 0, 0, 0, 0), FREE, FREE, FREE }, .v1 = true, .oc = 30, .level = 0, .counter = "memsw", .source = LIMIT_FROM_OC },
	/* (2) the memcg of reclaim */
	{ .name = "reclaim says the middle", .levels = { FULL, FREE, FREE, FREE }, .reclaim = 20, .level = 1, .source = LIMIT_FROM_RECLAIM },
	{ .name = "reclaim beats the log", .levels = { FREE, FREE, FREE, FREE }, .reclaim = 30, .kmsg = "/a", .level = 0, .source = LIMIT_FROM_RECLAIM },
	{ .name = "reclaim outside of the levels", .levels = { FREE, FREE, FREE, FREE }, .reclaim = 99, .level = -1, .path = "", .source = LIMIT_FROM_RECLAIM },
	/* (3) the kernel log */
	{ .name = "log says the pod", .levels = { ROSE, FULL, FREE, FREE }, .kmsg = "/a/b", .level = 1, .source = LIMIT_FROM_KMSG },
	{ .name = "log says the root", .levels = { FULL, FREE, FREE, FREE }, .kmsg = "/", .level = 3, .source = LIMIT_FROM_KMSG },
	{ .name = "log says a path that is not the victim's", .levels = { FULL, FREE, FREE, FREE }, .kmsg = "/a/bb", .level = -1, .path = "/a/bb", .source = LIMIT_FROM_KMSG },
	{ .name = "log where the victim's path is not known", .levels = { FULL, FREE, FREE, FREE }, .kmsg = "/a/b", .no_path = true, .level = -1, .path = "/a/b", .source = LIMIT_FROM_KMSG },
	/* (4) counts */
	{ .name = "count of the leaf rose", .levels = { ROSE, FREE, FREE, FREE }, .level = 0, .source = LIMIT_FROM_COUNTS },
	{ .name = "count of the middle rose, the leaf is full", .levels = { FULL, ROSE, FREE, FREE }, .level = 1, .source = LIMIT_FROM_COUNTS },
	{ .name = "counts of two rose: the leafmost, perhaps", .levels = { ROSE, FREE, ROSE, FREE }, .level = 0, .uncertain = true, .source = LIMIT_FROM_COUNTS },
	{ .name = "a count without limit is no limit", .levels = { { 500, NONE, 3, 2, 0, NONE, 0, 0, 0, 0 }, ROSE, FREE, FREE }, .level = 1, .source = LIMIT_FROM_COUNTS },
	{ .name = "no last count: nothing rose", .levels = { NEW, ROSE, FREE, FREE }, .level = 1, .source = LIMIT_FROM_COUNTS },
	{ .name = "no last count anywhere: usage tells", .levels = { NEW, FREE, FREE, FREE }, .level = 0, .source = LIMIT_FROM_USAGE },
	{ .name = "a count that fell did not rise", .levels = { { 500, 1000, 1, 9, 0, NONE, 0, 0, 0, 0 }, FULL, FREE, FREE }, .level = 1, .source = LIMIT_FROM_USAGE },
	/* v1: page counters */
	{ .name = "v1: failcnt of the middle", .levels = { V1(500, 1000, 0, 0, 0, NONE, 5, 5, 0, 0), V1(500, 1000, 0, 0, 0, NONE, 9, 5, 0, 0), FREE, FREE }, .v1 = true, .level = 1, .source = LIMIT_FROM_COUNTS },
	{ .name = "v1: memsw failcnt", .levels = { V1(500, 1000, 0, 0, 900, 1100, 5, 5, 3, 2), FREE, FREE, FREE }, .v1 = true, .level = 0, .counter = "memsw", .source = LIMIT_FROM_COUNTS },
	{ .name = "v1: memsw failcnt without a limit of memory", .levels = { V1(500, NONE, 0, 0, 900, 1000, 0, 0, 3, 2), FREE, FREE, FREE }, .v1 = true, .level = 0, .counter = "memsw", .source = LIMIT_FROM_COUNTS },
	{ .name = "v1: failcnt is no evidence without a limit", .levels = { V1(500, NONE, 0, 0, 0, NONE, 9, 5, 0, 0), FULL, FREE, FREE }, .v1 = true, .level = 1, .source = LIMIT_FROM_USAGE },
	{ .name = "v1: the kernel's count beats failcnt, which rises at each reclaim", .levels = { V1(500, 1000, 0, 0, 0, NONE, 9, 5, 0, 0), ROSE, FREE, FREE }, .v1 = true, .level = 1, .source = LIMIT_FROM_COUNTS },
	{ .name = "v1: failcnt stays 0 (6.18), the kernel's count rose", .levels = { V1(1000, 1000, 1, 0, 1000, 1000, 0, 0, 0, 0), FREE, FREE, FREE }, .v1 = true, .level = 0, .counter = "memsw", .source = LIMIT_FROM_COUNTS },
	{ .name = "v1: failcnt stays 0 and no count: usage", .levels = { V1(1000, 1000, 0, NONE, 1000, 2000, 0, NONE, 0, NONE), FREE, FREE, FREE }, .v1 = true, .level = 0, .source = LIMIT_FROM_USAGE },
	{ .name = "v1: memory + swap is full, memory is not", .levels = { V1(500, 1000, 0, 0, 1500, 1500, 0, 0, 0, 0), FREE, FREE, FREE }, .v1 = true, .level = 0, .counter = "memsw", .source = LIMIT_FROM_USAGE },
	/* Memory of the kernel is charged to memory (and memsw) first; only these ask for a victim. A full kmem fails the allocation. */
	{ .name = "v1: the kernel's own memory meets the limit of memory", .levels = { V1(1000, 1000, 1, 0, 1000, NONE, 4, 3, 0, 0), FREE, FREE, FREE }, .v1 = true, .level = 0, .counter = "memory", .source = LIMIT_FROM_COUNTS },
	{ .name = "v1: the kernel's own memory meets memory + swap", .levels = { V1(1000, 2000, 1, 0, 1000, 1000, 3, 3, 4, 3), FREE, FREE, FREE }, .v1 = true, .level = 0, .counter = "memsw", .source = LIMIT_FROM_COUNTS },
	{ .name = "v1: a full kmem below limits with room is no limit", .levels = { V1(500, 1000, 0, 0, 500, 2000, 3, 3, 3, 3), FREE, FREE, FREE }, .v1 = true, .level = -2 },
	{ .name = "v2: full swap is no limit", .levels = { { 500, 1000, 0, 0, 50, 50, 0, 0, 0, 0 }, FULL, FREE, FREE }, .level = 1, .source = LIMIT_FROM_USAGE },
	{ .name = "v2: swap counts are not looked at", .levels = { { 500, 1000, 0, 0, 50, 50, 9, 1, 9, 1 }, FULL, FREE, FREE }, .level = 1, .source = LIMIT_FROM_USAGE },
	/* (5) usage */
	{ .name = "the middle is full", .levels = { ROOMY, FULL, FREE, FREE }, .level = 1, .source = LIMIT_FROM_USAGE },
	{ .name = "two are full: the leafmost, perhaps", .levels = { FREE, FULL, FULL, FREE }, .level = 1, .uncertain = true, .source = LIMIT_FROM_USAGE },
	{ .name = "charges in batches of 64 a CPU", .levels = { { 872, 1000, 0, 0, 0, NONE, 0, 0, 0, 0 }, FREE, FREE, FREE }, .level = 0, .source = LIMIT_FROM_USAGE },
	{ .name = "one page more than the batches", .levels = { { 871, 1000, 0, 0, 0, NONE, 0, 0, 0, 0 }, FREE, FREE, FREE }, .level = -2 },
	{ .name = "a request of 512 pages does not fit", .levels = { { 488, 1000, 0, 0, 0, NONE, 0, 0, 0, 0 }, FREE, FREE, FREE }, .order = 9, .level = 0, .source = LIMIT_FROM_USAGE },
	{ .name = "an order that no kernel has", .levels = { ROOMY, FREE, FREE, FREE }, .order = 32767, .level = 0, .source = LIMIT_FROM_USAGE },
	{ .name = "sysrq has no order", .levels = { FULL, FREE, FREE, FREE }, .order = -1, .level = 0, .source = LIMIT_FROM_USAGE },
	{ .name = "usage above a limit that was lowered", .levels = { { 2000, 1000, 0, 0, 0, NONE, 0, 0, 0, 0 }, FREE, FREE, FREE }, .level = 0, .source = LIMIT_FROM_USAGE },
	{ .name = "a usage that is not known fills nothing", .levels = { { OOM_UNKNOWN64, 1000, 0, 0, 0, NONE, 0, 0, 0, 0 }, FULL, FREE, FREE }, .level = 1, .source = LIMIT_FROM_USAGE },
	{ .name = "v1: named, without a limit of either kind", .levels = { V1(500, NONE, 0, 0, 900, NONE, 0, 0, 0, 0), FREE, FREE, FREE }, .v1 = true, .oc = 30, .level = 0, .source = LIMIT_FROM_OC },
	{ .name = "v2: named, swap is full, too", .levels = { { 900, 1000, 0, 0, 50, 50, 0, 0, 0, 0 }, FREE, FREE, FREE }, .oc = 30, .level = 0, .source = LIMIT_FROM_OC },
	{ .name = "no limit anywhere", .levels = { FREE, FREE, FREE, FREE }, .level = -2 },
	{ .name = "no levels at all", .levels = { FREE }, .n_levels = 99, .level = -2 },
	{ .name = "levels were cut below the limit", .levels = { FREE, FREE, FULL, FREE }, .n_levels = 2, .level = -2 },
	/* Only what is above the trigger, too */
	{ .name = "trigger in another container: the full leaf is not meant", .levels = { FULL, FULL, FREE, FREE }, .trigger_path = "/a/b/other", .level = 1, .source = LIMIT_FROM_USAGE },
	{ .name = "trigger in another container: its count rose elsewhere", .levels = { ROSE, ROSE, FREE, FREE }, .trigger_path = "/a/b/other", .level = 1, .source = LIMIT_FROM_COUNTS },
	{ .name = "a name that only begins alike", .levels = { FULL, FULL, FREE, FREE }, .trigger_path = "/a/b/c2", .level = 1, .source = LIMIT_FROM_USAGE },
	{ .name = "trigger below the victim's cgroup", .levels = { FULL, FREE, FREE, FREE }, .trigger_path = "/a/b/c/d", .level = 0, .source = LIMIT_FROM_USAGE },
	{ .name = "trigger in the parent, by id", .levels = { FULL, FULL, FREE, FREE }, .trigger = 20, .level = 1, .source = LIMIT_FROM_USAGE },
	{ .name = "trigger in another tree: only the root is common", .levels = { FULL, FULL, FULL, FREE }, .trigger_path = "/z", .level = -2 },
	{ .name = "a kernel thread charges for others", .levels = { FULL, FREE, FREE, FREE }, .trigger_path = "/", .kthread = true, .level = 0, .source = LIMIT_FROM_USAGE },
	{ .name = "the kernel's word needs no common ancestor", .levels = { FULL, FREE, FREE, FREE }, .trigger_path = "/z", .kmsg = "/a/b/c", .level = 0, .source = LIMIT_FROM_KMSG },
};
/* clang-format on */

static uint64_t last(void *ctx, uint64_t id, enum oom_level_count count)
{
	const struct situation *s = ctx;

	for (size_t i = 0; i < LEVELS; i++)
		if (ids[i] == id)
			return count == LEVEL_OOM	? s->levels[i].last_oom
			       : count == LEVEL_FAILCNT ? s->levels[i].last_failcnt
							: s->levels[i].last_swap_failcnt;
	return UINT64_MAX;
}

static void make_victim(const struct situation *s, struct oom_victim *v)
{
	memset(v, 0, sizeof(*v));
	v->flags = (s->v1 ? OOM_VICTIM_V1 : 0) | (s->kthread ? OOM_VICTIM_TRIGGER_KTHREAD : 0);
	v->n_levels = s->n_levels == 99 ? 0 : s->n_levels ? s->n_levels : LEVELS;
	v->trigger_cgroup_id = s->trigger;
	for (size_t i = 0; i < LEVELS; i++) {
		const struct level *l = &s->levels[i];

		v->levels[i] = (struct oom_level){ .id = ids[i],
						   .usage = l->usage,
						   .max = l->max,
						   .swap_usage = l->swap_usage,
						   .swap_max = l->swap_max,
						   .oom_count = l->failcnt,
						   .swap_count = l->swap_failcnt,
						   .oom_events = l->oom };
	}
	if (!s->no_path) {
		memcpy(v->text, paths[0], strlen(paths[0]));
		v->path.length = (uint16_t)strlen(paths[0]);
	}
}

static void check(const struct situation *s, const struct oom_limit_found *f)
{
	const char *path = s->path ? s->path : s->level >= 0 ? paths[s->level] : "";
	const char *counter = s->counter ? s->counter : "memory";

	if (f->found != (s->level != -2) || f->level != MAX(s->level, -1) ||
	    f->source != s->source || (f->found && f->certain == s->uncertain) ||
	    strcmp(f->path, path) != 0 || strcmp(f->counter, counter) != 0)
		fail_msg("%s: found %d level %d source %d certain %d path '%s' counter %s", s->name,
			 f->found, f->level, f->source, f->certain, f->path, f->counter);
	if (s->level >= 0)
		assert_int_equal(f->id, ids[s->level]);
	else if (f->found)
		assert_int_equal(f->id, s->oc ? s->oc : s->reclaim);
}

static void test_situations(void **state)
{
	static struct oom_victim v;

	(void)state;
	assert_true(ARRAY_SIZE(situations) >= 30);
	for (size_t i = 0; i < ARRAY_SIZE(situations); i++) {
		const struct situation *s = &situations[i];
		const struct oom_limit_question q = {
			.v = &v,
			.oc_memcg_id = s->oc,
			.reclaim_memcg_id = s->reclaim,
			.kmsg_path = s->kmsg,
			.trigger_path = s->trigger_path,
			.order = s->order,
			.cpus = 2,
			.last = last,
			.ctx = (void *)(uintptr_t)s,
		};
		struct oom_limit_found f;

		make_victim(s, &v);
		oom_limit_choose(&q, &f);
		check(s, &f);
	}
}

static void test_paths(void **state)
{
	static const struct {
		const char *path;
		unsigned up;
		const char *expected;
	} cases[] = {
		{ "/a/b", 0, "/a/b" },
		{ "/a/b", 1, "/a" },
		{ "/a/b", 2, "/" },
		{ "/a/b", 9, "/" },
		{ "/", 0, "/" },
		{ "/", 1, "/" },
		{ "", 0, "/" },
		{ "cut/b", 1, "cut" },
		{ "/abcdefgh", 0, "/abcdef" }, /* the room of a path */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[8];

		oom_limit_path(cases[i].path, strlen(cases[i].path), cases[i].up, path,
			       sizeof(path));
		assert_string_equal(path, cases[i].expected);
	}
}

/* A run asks again when the kernel log has told more: what levels let guess gives way, what the kernel said does not. */
static void test_log_corrects(void **state)
{
	static const struct situation guess = { .levels = { FULL, FULL, FREE, FREE } };
	const struct oom_limit_facts facts = { .cpus = 2, .last = last, .ctx = (void *)&guess };
	static struct oom_run run;
	static struct oom_kill kill;
	static struct log_line line;

	(void)state;
	make_victim(&guess, &kill.v);
	run = (struct oom_run){ .scope = SCOPE_MEMCG, .kills = &kill, .limit.level = -1 };
	oom_limit_find(&facts, &run);
	assert_int_equal(run.limit.level, 0);
	assert_false(run.limit.certain);
	run.limit_read = true;
	run.snapshot.stat_seen = 1;

	line.k.fields = KMSG_TASK | KMSG_OOM_MEMCG;
	(void)snprintf(line.k.oom_memcg, sizeof(line.k.oom_memcg), "/a/b/c");
	log_line_apply(&line, &run, &kill);
	assert_true(run.limit.certain && run.limit_read && run.snapshot.stat_seen);
	assert_int_equal(run.limit.level, 0);

	run.limit.source = LIMIT_FROM_USAGE;
	(void)snprintf(line.k.oom_memcg, sizeof(line.k.oom_memcg), "/a/b");
	log_line_apply(&line, &run, &kill);
	assert_false(run.limit_read || run.snapshot.stat_seen); /* those were of another cgroup */
	oom_limit_find(&facts, &run);
	assert_int_equal(run.limit.level, 1);
	assert_int_equal(run.limit.id, 20);
	assert_true(run.limit.certain);

	run.limit.source = LIMIT_FROM_OC;
	(void)snprintf(line.k.oom_memcg, sizeof(line.k.oom_memcg), "/a");
	log_line_apply(&line, &run, &kill);
	assert_string_equal(run.limit.path, "/a/b");
}

/* What the decision said of itself is looked up among the levels; its path stands where the victim's is not known. */
static void test_decision_is_looked_up(void **state)
{
	static struct situation guess = { .levels = { FULL, FREE, FREE, FREE } };
	const struct oom_limit_facts facts = { .cpus = 2, .last = last, .ctx = (void *)&guess };
	static struct oom_run run;
	static struct oom_kill kill;

	(void)state;
	for (int known = 0; known < 2; known++) {
		guess.no_path = !known;
		make_victim(&guess, &kill.v);
		run = (struct oom_run){ .scope = SCOPE_MEMCG,
					.kills = &kill,
					.limit = { .found = true,
						   .source = LIMIT_FROM_OC,
						   .level = -1,
						   .id = 20,
						   .path = "/told" } };
		oom_limit_find(&facts, &run);
		assert_int_equal(run.limit.source, LIMIT_FROM_OC);
		assert_int_equal(run.limit.level, 1);
		assert_int_equal(run.limit.id, 20);
		assert_string_equal(run.limit.path, known ? "/a/b" : "/told");
	}
}

/* No cgroup has to do with an OOM of the host. */
static void test_host(void **state)
{
	static const struct situation full = { .levels = { FULL, FREE, FREE, FREE } };
	const struct oom_limit_facts facts = { .cpus = 2, .last = last, .ctx = (void *)&full };
	static struct oom_kill kill;

	(void)state;
	make_victim(&full, &kill.v);
	for (enum oom_scope scope = 0; scope < _SCOPE_MAX; scope++) {
		struct oom_run *run = calloc(1, sizeof(*run));

		assert_non_null(run);
		run->scope = scope;
		run->kills = &kill;
		run->limit.level = -1;
		oom_limit_find(&facts, run);
		assert_int_equal(run->limit.found, scope == SCOPE_MEMCG || scope == SCOPE_UNKNOWN);
		free(run);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_situations),   cmocka_unit_test(test_paths),
		cmocka_unit_test(test_log_corrects), cmocka_unit_test(test_decision_is_looked_up),
		cmocka_unit_test(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
