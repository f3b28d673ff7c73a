/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorded rings through correlator and report, byte by byte against tests/golden/oom
 *
 * TELAMON_GOLDEN=write rewrites the expected events; read the difference before it is committed.
 */
#include "test.h"

#include <fcntl.h>
#include <unistd.h>
#include <jansson.h>
#include "oom_bent.h"

#define GOLDEN TESTS_DIR "/golden/oom/"

/* --- what no recording shows: made of recorded ones --- */

/* Another trigger in another cgroup, @shift_ns later. */
static void shift(struct ring *r, size_t from, uint32_t pids, uint64_t shift_ns)
{
	for (size_t i = from; i < r->n; i++) {
		r->records[i]->boot_ns += shift_ns;
		if (r->records[i]->type == OOM_RECORD_EXIT) {
			((struct oom_exit *)r->records[i])->tgid += pids;
			continue;
		}
		victim_at(r, i)->tgid += pids;
		victim_at(r, i)->tid += pids;
		victim_at(r, i)->trigger_tgid += pids;
		victim_at(r, i)->trigger_tid += pids;
	}
}

/* Two groups die at the same time, mark by mark in turn. */
static void interleave(struct ring *r)
{
	size_t n = r->n;

	ring_read(r, "group");
	shift(r, n, 1000, 50000);
	for (size_t i = 0; i < n; i++)
		ring_move(r, n + i, 2 * i + 1);
}

/* The chosen one comes last, the exits before their kills. */
static void reorder(struct ring *r)
{
	ring_move(r, 0, 6);
	ring_move(r, r->n - 1, 0);
}

static void drop_mark(struct ring *r)
{
	ring_drop(r, 0);
	ring_drop(r, 0);
}

/* oom_signal has no variant: kill or reserve cannot be told apart. */
static void drop_signals(struct ring *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->records[i]->type == OOM_RECORD_VICTIM)
			victim_at(r, i)->kind = OOM_VICTIM_UNSURE;
}

static void make_reserve(struct ring *r)
{
	victim_at(r, 0)->kind = OOM_VICTIM_RESERVE;
}

/* The ring is full from the second victim on; the spill map is read at last. */
static void spill(struct ring *r)
{
	for (size_t i = 1; i < 7; i++)
		if (r->records[i]->type == OOM_RECORD_VICTIM)
			ring_spill(r, i);
	ring_move(r, 1, r->n - 1);
	for (size_t i = 0; i < 4; i++)
		ring_move(r, 2, r->n - 1);
}

static void drop_stacks(struct ring *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->records[i]->type == OOM_RECORD_VICTIM)
			victim_at(r, i)->flags &= ~(unsigned)OOM_VICTIM_STACK;
}

static void add_reaper(struct ring *r)
{
	struct oom_reaper reaper = { .tid = victim_at(r, 0)->tid };
	static const uint32_t what[] = { OOM_REAPER_WAKE, OOM_REAPER_START, OOM_REAPER_FINISH };

	reaper.head = (struct record_head){ .type = OOM_RECORD_REAPER, .size = sizeof(reaper) };
	r->records[1]->boot_ns += 3 * NS_PER_SEC; /* the exit */
	for (size_t i = 0; i < ARRAY_SIZE(what); i++) {
		reaper.what = what[i];
		reaper.head.boot_ns = r->records[0]->boot_ns + 2 * NS_PER_SEC + i * NS_PER_MSEC;
		(void)ring_add(r, &reaper);
		ring_move(r, r->n - 1, 1 + i);
	}
}

/* Of a decision record everything but its mark: oom_kill_process() met a task that had gone. Then nobody is found at all. */
static void drop_victim(struct ring *r)
{
	struct oom_invoke *invoke;

	ring_drop(r, 2);
	invoke = (struct oom_invoke *)r->records[2];
	assert_int_equal(invoke->head.type, OOM_RECORD_INVOKE);
	invoke = (struct oom_invoke *)ring_add(r, invoke);
	invoke->decision = invoke->result = invoke->marks = 0;
	invoke->head.boot_ns += NS_PER_SEC;
}

/* The limit is the pod's, two levels above the cgroup in which a container runs its own. */
static void make_pod(struct ring *r)
{
	static const char path[] =
		"/kubepods/burstable/pod0c7b3fe6-5a8d-4d43-8a0e-5f5c1b2a9d10/"
		"3f5a9c0d7e8b1f2a4c6d8e0f1a3b5c7d9e0f2a4b6c8d0e1f3a5b7c9d0e2f4a6b/init";
	struct oom_victim *v = victim_at(r, 0);
	size_t at = v->head.size - offsetof(struct oom_victim, text);

	memcpy(v->text + at, path, sizeof(path) - 1);
	v->path = (struct oom_text){ (uint16_t)at, sizeof(path) - 1 };
	v->head.size += sizeof(path) - 1;
}

static const struct golden {
	const char *name, *ring;
	void (*change)(struct ring *r);
	bool invoke_live, batch;
} goldens[] = {
	{ "single", "single", NULL, false },
	{ "nested", "nested", NULL, false },
	{ "thread", "thread", NULL, false },
	{ "foreign_trigger", "foreign_trigger", NULL, false },
	{ "shared_mm", "shared_mm", NULL, false },
	{ "repeat", "repeat", NULL, false },
	{ "group", "group", NULL, false },
	{ "single_decision", "single_decision", NULL, true },
	{ "group_decision", "group_decision", NULL, true },
	{ "pod", "nested", make_pod, false },
	{ "reserve", "single", make_reserve, false },
	{ "interleaved", "group", interleave, false },
	{ "out_of_order", "group", reorder, false },
	{ "missing_mark", "shared_mm", drop_mark, false },
	{ "missing_signal", "group", drop_signals, false },
	{ "spill", "group", spill, false, true },
	{ "no_stack", "group", drop_stacks, false },
	{ "reaper", "single", add_reaper, false },
	{ "no_victim", "single_decision", drop_victim, true },
};

static void play(struct world *w, const struct golden *g)
{
	struct correlator_options o = defaults;
	struct ring r = {};

	o.invoke_live = g->invoke_live;
	world_init(w, g->ring, &o);
	ring_read(&r, g->ring);
	world_know(w, &r);
	if (g->change)
		g->change(&r);
	world_know(w, &r);
	if (g->batch)
		world_play_batch(w, &r);
	else
		world_play(w, &r);
	ring_free(&r);
}

static void compare(const char *name, const char *text, size_t len)
{
	_cleanup_(freep) char *want = NULL;
	_cleanup_(closep) int fd = -EBADF;
	const char *mode = getenv("TELAMON_GOLDEN");
	char path[512];
	size_t want_len;

	(void)snprintf(path, sizeof(path), GOLDEN "%s.jsonl", name);
	if (mode && streq(mode, "write")) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		assert_true(fd >= 0 && write(fd, text, len) == (ssize_t)len);
		return;
	}
	if (fs_read_at(AT_FDCWD, path, 1 << 20, &want, &want_len) < 0)
		fail_msg("cannot read '%s'", path);
	if (want_len != len || memcmp(want, text, len) != 0)
		fail_msg("%s: expected\n%.*s\nhave\n%.*s", name, (int)want_len, want, (int)len,
			 text);
}

static void test_golden(void **state)
{
	(void)state;
	if (sysconf(_SC_PAGESIZE) != 4096 || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		skip(); /* the recordings are of another kind of machine */
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		struct world w;

		play(&w, &goldens[i]);
		compare(goldens[i].name, strbuf_str(&w.json), w.json.len);
		assert_int_equal(correlator_stats(w.correlator)->decode_errors, 0);
		world_done(&w);
	}
}

/* OOM-207: what is missing by no fault of this host's sources, and what makes a record incomplete. */
static void no_change(struct bent *t)
{
	(void)t;
}

static void no_scope(struct bent *t)
{
	t->run.scope = SCOPE_UNKNOWN;
}

static void no_limit(struct bent *t)
{
	t->run.limit = (struct oom_limit_found){ .level = -1 };
}

static void no_gfp(struct bent *t)
{
	t->run.gfp_known = false;
}

static void no_gfp_sysrq(struct bent *t)
{
	t->run.gfp_known = false;
	t->run.scope = SCOPE_SYSRQ;
}

static void no_stat(struct bent *t)
{
	t->run.snapshot.stat_seen = 0;
}

static void no_stat_host(struct bent *t)
{
	t->run.snapshot.stat_seen = 0;
	t->run.scope = SCOPE_GLOBAL;
}

static void no_psi(struct bent *t)
{
	t->run.snapshot.system.known = false;
}

static void no_psi_kernel(struct bent *t)
{
	t->run.snapshot.system.known = t->w.report.psi_on = false;
}

static void no_identity(struct bent *t)
{
	t->kill.identity = identity_unref(t->kill.identity);
}

static void no_args(struct bent *t)
{
	t->kill.v.args.length = 0;
}

static void no_args_wanted(struct bent *t)
{
	t->kill.v.args.length = 0;
	t->w.report.args_on = false;
}

static void no_exe(struct bent *t)
{
	t->kill.v.exe.length = 0;
}

static bool some_trend(void *ctx, struct event_buf *b, const struct oom_run *run,
		       const struct oom_kill *k)
{
	(void)ctx, (void)run, (void)k;
	event_f64(b, "telamon.oom.trend.step", 1, 0);
	return true;
}

static void a_trend(struct bent *t)
{
	t->w.report.add_trend = some_trend;
}

static void too_early(struct bent *t)
{
	t->run.early = true;
}

static void test_missing(void **state)
{
	static const struct {
		void (*change)(struct bent *t);
		const char *missing; /* beside trend */
		bool incomplete;
	} cases[] = {
		{ no_change, NULL, false },	{ no_scope, "scope", true },
		{ no_limit, "limit", true },	{ no_gfp, "gfp", true },
		{ no_gfp_sysrq, NULL, false },	{ no_stat, "stat", true },
		{ no_stat_host, NULL, false },	{ no_psi, "psi", true },
		{ no_psi_kernel, NULL, false }, { no_identity, "identity", true },
		{ no_args, "args", true },	{ no_args_wanted, NULL, false },
		{ no_exe, "exe", true },	{ a_trend, NULL, false },
		{ too_early, NULL, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool trend = cases[i].change != a_trend;
		struct bent t;
		json_t *j;

		bend(&t);
		cases[i].change(&t);
		j = report(&t);
		assert_int_equal(json_array_size(json_object_get(j, "telamon.oom.missing")),
				 trend + !!cases[i].missing);
		assert_int_equal(names(j, "telamon.oom.missing", "trend"), trend);
		if (cases[i].missing && !names(j, "telamon.oom.missing", cases[i].missing))
			fail_msg("case %zu: %s is not said to be missing", i, cases[i].missing);
		if (json_is_true(json_object_get(j, "telamon.oom.complete")) == cases[i].incomplete)
			fail_msg("case %zu: complete", i);
		json_decref(j);
		unbend(&t);
	}
}

/* OOM-310: names, else the text of the kernel log, else the number alone. */
static void test_gfp(void **state)
{
	struct bent t;
	json_t *j;

	(void)state;
	bend(&t);
	t.run.oc = true; /* the decision's own; of reclaim's the log knows better */
	snprintf(t.run.kmsg_gfp, sizeof(t.run.kmsg_gfp), "0xcc0(GFP_OF_THE_LOG)");
	j = report(&t);
	assert_string_equal(json_string_value(json_object_get(j, "telamon.oom.gfp_mask")),
			    "0xcc0(GFP_KERNEL)");
	json_decref(j);
	t.w.gfp.n = 0;
	j = report(&t);
	assert_string_equal(json_string_value(json_object_get(j, "telamon.oom.gfp_mask")),
			    "0xcc0(GFP_OF_THE_LOG)");
	json_decref(j);
	t.run.kmsg_gfp[0] = '\0';
	j = report(&t);
	assert_string_equal(json_string_value(json_object_get(j, "telamon.oom.gfp_mask")), "0xcc0");
	json_decref(j);
	unbend(&t);
}

/* Where no level was read, the distance comes from the paths. */
static void test_distance(void **state)
{
	static const struct {
		const char *limit;
		int distance; /* -1: not told */
	} cases[] = {
		{ "/telamon-lab-32089/single", 0 },
		{ "/telamon-lab-32089", 1 },
		{ "/", 2 },
		{ "/telamon-lab", -1 },
		{ "/other", -1 },
		{ "/telamon-lab-32089/single/x", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const json_t *v;
		struct bent t;
		json_t *j;

		bend(&t);
		t.kill.v.n_levels = 0;
		t.run.limit = (struct oom_limit_found){
			.found = true, .certain = true, .level = -1, .counter = "memory"
		};
		snprintf(t.run.limit.path, sizeof(t.run.limit.path), "%s", cases[i].limit);
		j = report(&t);
		v = json_object_get(j, "telamon.oom.limit.distance");
		if ((v ? json_integer_value(v) : -1) != cases[i].distance)
			fail_msg("%s: %d", cases[i].limit, v ? (int)json_integer_value(v) : -1);
		json_decref(j);
		unbend(&t);
	}
}

/* OOM-308: any byte in a comm, a path, an argument. */
static void test_lossy(void **state)
{
	struct bent t;
	json_t *j;

	(void)state;
	bend(&t);
	j = report(&t);
	assert_null(json_object_get(j, "telamon.lossy_text"));
	json_decref(j);
	memcpy(t.kill.v.comm, "a\xff\n\"b", 6);
	t.kill.v.comm[6] = '\0';
	j = report(&t);
	assert_true(json_is_true(json_object_get(j, "telamon.lossy_text")));
	assert_memory_equal(json_string_value(json_object_get(j, "telamon.oom.comm")),
			    "a\xef\xbf\xbd\n\"b", 8);
	json_decref(j);
	unbend(&t);
}

/* Every text as long and as expensive as it can be (six bytes for each), a group of as many members as there are slots. */
static size_t worst_exe(void *ctx, uint32_t pid, uint64_t start, char *buf, size_t size)
{
	(void)ctx, (void)pid, (void)start;
	memset(buf, 1, size);
	return size;
}

static const char *worst_symbol(void *ctx, uint64_t address)
{
	static char name[64];

	(void)ctx, (void)address;
	memset(name, 1, sizeof(name) - 1);
	return name;
}

static void worst_victim(struct oom_victim *v)
{
	memset(v->text, 1, sizeof(v->text));
	memset(v->comm, 1, COMM_MAX - 1);
	memset(v->trigger_comm, 1, COMM_MAX - 1);
	v->path = (struct oom_text){ 0, OOM_PATH_MAX };
	v->exe = v->cwd = v->trigger_exe = v->path;
	v->args = (struct oom_text){ 0, OOM_ARGS_MAX };
	v->n_ancestors = OOM_ANCESTORS_MAX;
	v->n_levels = OOM_LEVELS_MAX;
	v->n_stack = OOM_STACK_MAX;
	v->trigger_tgid = v->tgid + 1;
	for (size_t i = 0; i < OOM_ANCESTORS_MAX; i++)
		memset(v->ancestors[i].comm, 1, COMM_MAX - 1);
	for (size_t i = 0; i < OOM_LEVELS_MAX; i++)
		v->levels[i] = (struct oom_level){ UINT64_MAX, 1ULL << 50, 1ULL << 50, 1ULL << 50,
						   1ULL << 50, INT64_MAX,  INT64_MAX,  INT64_MAX,
						   1,	       {} };
	for (size_t i = 0; i < OOM_STACK_MAX; i++)
		v->stack[i] = 1;
}

/* Labels as others chose them on top of it: no arrays then, and they are said to be cut, but a record all the same. */
static void check_lean(struct bent *t)
{
	static const char *const cut[] = { "ancestors", "levels",     "members",
					   "stack",	"kernel_log", "labels" };
	static struct oci_label labels[40];
	static struct identity i;
	struct identity *known = t->kill.identity;
	json_t *j;

	i = *known;
	i.labels = labels;
	i.n_labels = ARRAY_SIZE(labels);
	for (size_t n = 0; n < ARRAY_SIZE(labels); n++) {
		(void)snprintf(labels[n].key, sizeof(labels[n].key), "key%zu", n);
		memset(labels[n].value, 1, sizeof(labels[n].value) - 1);
	}
	t->kill.identity = &i;
	j = report(t);
	for (size_t n = 0; n < ARRAY_SIZE(cut); n++)
		if (!names(j, "telamon.truncated", cut[n]))
			fail_msg("%s is not said to be cut", cut[n]);
	assert_null(json_object_get(j, "telamon.oom.levels"));
	assert_non_null(json_object_get(j, "process.command_args"));
	assert_non_null(json_object_get(j, "telamon.hook"));
	json_decref(j);
	t->kill.identity = known;
}

static const struct identity nobody = {
	.path = "/pod/x",
	.container_id = "",
	.container_outer_id = "",
	.container_name = "",
	.image = "",
	.pod_name = "",
	.pod_uid = "",
	.pod_namespace = "",
	.k8s_container = "",
	.qos = "",
	.node = "",
	.unit = "",
	.machine = "",
	.workload = "",
	.label_namespace = "",
	.label_workload = "",
	.label_container = "",
	.owner_kind = "",
	.owner_name = "",
	.priority_class = "",
};

/* Trigger and limit are named like the victim where they are not of its container; the pod's names may come from the victim. */
static void test_others(void **state)
{
	struct identity victim = nobody, trigger = nobody, pod = nobody, *before;
	struct bent t;
	json_t *j;

	bend(&t);
	before = t.kill.identity;
	t.kill.identity = &victim;
	t.run.limit.found = true;
	t.w.report.trigger_identity = &trigger;
	t.w.report.limit_identity = &pod;
	victim.path = "/pod/a";
	victim.container_id = "aa";
	victim.pod_name = "web-1";
	victim.pod_uid = pod.pod_uid = "u1";
	victim.pod_namespace = "shop";
	victim.workload = "web";
	victim.confirmed = true;
	pod.path = "/pod";
	pod.level = CGLEVEL_K8S_POD;
	trigger.path = "/system.slice/cron.service";
	trigger.unit = "cron.service";
	trigger.container_name = "runner";
	j = report(&t);
	assert_string_equal(string_at(j, "telamon.oom.trigger.unit"), "cron.service");
	assert_string_equal(string_at(j, "telamon.oom.trigger.container.name"), "runner");
	assert_null(json_object_get(j, "telamon.oom.trigger.k8s.pod.name"));
	assert_string_equal(string_at(j, "telamon.oom.limit.k8s.pod.uid"), "u1");
	assert_string_equal(string_at(j, "telamon.oom.limit.k8s.pod.name"), "web-1");
	assert_string_equal(string_at(j, "telamon.oom.limit.k8s.namespace.name"), "shop");
	assert_string_equal(string_at(j, "telamon.oom.limit.workload"), "web");
	json_decref(j);

	/* A cgroup inside of the victim's container. */
	trigger = victim;
	trigger.path = "/pod/a/below";
	j = report(&t);
	assert_string_equal(string_at(j, "telamon.oom.trigger.container.id"), "aa");
	assert_null(json_object_get(j, "telamon.oom.trigger.k8s.pod.name"));
	assert_null(json_object_get(j, "telamon.oom.trigger.workload"));
	json_decref(j);
	t.kill.identity = before;
	unbend(&t);
}

/* Kernels before 6.2 hold pages back per thread, later ones per CPU. */
static void test_rss_error(void **state)
{
	struct bent t;
	json_t *j;

	bend(&t);
	t.w.report.cpus = 32;
	t.kill.v.threads = 3;
	j = report(&t);
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.oom.rss_error")),
			 oom_pages(32ULL * 64));
	json_decref(j);
	t.kill.v.flags |= OOM_VICTIM_RSS_PER_THREAD;
	j = report(&t);
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.oom.rss_error")),
			 oom_pages(3ULL * 64));
	json_decref(j);
	unbend(&t);
}

static size_t gone_exe(void *ctx, uint32_t pid, uint64_t start_boot_ns, char *buf, size_t size)
{
	return (size_t)snprintf(buf, size, "/usr/bin/%u (deleted)", pid);
}

/* OOM-307: a link of /proc marks what was unlinked; the path is told without the mark. */
static void test_deleted(void **state)
{
	struct bent t;
	json_t *j;
	char path[32];

	bend(&t);
	t.kill.v.exe = (struct oom_text){};
	t.kill.v.flags &= ~(unsigned)OOM_VICTIM_EXE_DELETED;
	j = report(&t);
	assert_null(json_object_get(j, "telamon.exe.deleted"));
	json_decref(j);
	t.w.report.exe_of = gone_exe;
	j = report(&t);
	(void)snprintf(path, sizeof(path), "/usr/bin/%u", t.kill.v.tgid);
	assert_string_equal(json_string_value(json_object_get(j, "process.executable.path")), path);
	assert_true(json_is_true(json_object_get(j, "telamon.exe.deleted")));
	json_decref(j);
	unbend(&t);
}

static void test_worst(void **state)
{
	struct oom_kill *members = calloc(512, sizeof(*members));
	struct bent t;
	json_t *j;

	(void)state;
	assert_non_null(members);
	bend(&t);
	t.w.report.exe_of = worst_exe;
	t.w.report.symbol = worst_symbol;
	t.w.report.members_max = 1024;
	t.run.n_kills = 513;
	for (size_t i = 0; i < 512; i++) {
		members[i].v = t.kill.v;
		members[i].next = i < 511 ? &members[i + 1] : NULL;
	}
	t.kill.next = members;
	j = report(&t); /* an ordinary group of that size */
	assert_true(json_array_size(json_object_get(j, "telamon.oom.members")) > 200);
	assert_true(names(j, "telamon.truncated", "members"));
	assert_false(names(j, "telamon.truncated", "levels"));
	json_decref(j);
	worst_victim(&t.kill.v);
	memset(t.run.message, 1, sizeof(t.run.message) - 1);
	memset(t.run.nodemask, 1, sizeof(t.run.nodemask) - 1);
	memset(t.run.cpuset, 1, sizeof(t.run.cpuset) - 1);
	memset(t.run.kernel_log, 1, sizeof(t.run.kernel_log) - 1);
	t.run.kernel_log_len = sizeof(t.run.kernel_log);
	t.run.limit.found = true;
	memset(t.run.limit.path, 1, sizeof(t.run.limit.path) - 1);
	for (size_t i = 0; i < 512; i++)
		worst_victim(&members[i].v);
	j = report(&t);
	assert_true(names(j, "telamon.truncated", "members"));
	assert_int_equal(json_integer_value(json_object_get(j, "telamon.oom.members.count")), 513);
	assert_false(names(j, "telamon.truncated", "stack"));
	assert_int_equal(json_array_size(json_object_get(j, "telamon.oom.stack.kernel")),
			 OOM_STACK_MAX);
	assert_non_null(json_object_get(j, "telamon.hook")); /* what stands last is there */
	json_decref(j);
	check_lean(&t);
	assert_int_equal(report_aftermath(&t.w.report, &t.run, "exited", 1, &t.w.event), 0);
	unbend(&t);
	free(members);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	cmocka_unit_test(test_missing),
		cmocka_unit_test(test_gfp),	cmocka_unit_test(test_distance),
		cmocka_unit_test(test_lossy),	cmocka_unit_test(test_worst),
		cmocka_unit_test(test_deleted), cmocka_unit_test(test_rss_error),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
