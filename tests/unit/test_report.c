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
#include "oom_world.h"

#define GOLDEN TESTS_DIR "/golden/oom/"

static const struct correlator_options defaults = { .wait_us = 500 * US_PER_MSEC,
						    .aftermath_us = 60 * US_PER_SEC,
						    .victims = 64 };

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
		if (r->records[i]->type == OOM_RECORD_VICTIM) {
			victim_at(r, i)->role = OOM_ROLE_MEMBER;
			ring_spill(r, i);
		}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
