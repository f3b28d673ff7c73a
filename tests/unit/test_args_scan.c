/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/oom/args-scan.h"
#include "base/macro.h"
#include "base/time.h"
#include "sys/loop.h"
#include "test.h"

static const struct {
	const char *name, *text;
	bool ok;
	uint64_t start, rss;
} stats[] = {
	{ "plain", "7 (sh) S 1 7 7 0 -1 4 1 1 1 1 1 1 1 1 20 0 1 0 4242 9000 33 18 1", true, 4242,
	  33 },
	{ "comm with brackets and spaces",
	  "7 (a) b) (c) S 1 7 7 0 -1 4 1 1 1 1 1 1 1 1 20 0 1 0 5 9 3 1", true, 5, 3 },
	{ "cut short", "7 (sh) S 1 7 7 0 -1 4 1 1 1 1 1 1 1 1 20 0 1 0 4242", false, 0, 0 },
	{ "no comm", "7 S 1 7", false, 0, 0 },
	{ "not a number", "7 (sh) S 1 7 7 0 -1 4 1 1 1 1 1 1 1 1 20 0 1 0 x 9000 33 18", false, 0,
	  0 },
	{ "empty", "", false, 0, 0 },
};

static void test_stat(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(stats); i++) {
		uint64_t start = 77, rss = 78;

		assert_int_equal(args_scan_parse_stat(stats[i].text, &start, &rss), stats[i].ok);
		assert_int_equal(start, stats[i].ok ? stats[i].start : 77);
		assert_int_equal(rss, stats[i].ok ? stats[i].rss : 78);
	}
}

static void put(const char *path, const char *text, size_t len)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void process(const char *root, unsigned pid, unsigned start, unsigned rss)
{
	static const char args[] = "prog\0--flag";
	char path[160], text[160];

	(void)snprintf(path, sizeof(path), "%s/%u", root, pid);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/%u/stat", root, pid);
	(void)snprintf(text, sizeof(text),
		       "%u (p) S 1 7 7 0 -1 4 1 1 1 1 1 1 1 1 20 0 1 0 %u 9000 %u 1", pid, start,
		       rss);
	put(path, text, strlen(text));
	(void)snprintf(path, sizeof(path), "%s/%u/cmdline", root, pid);
	put(path, args, sizeof(args));
	(void)snprintf(path, sizeof(path), "%s/%u/exe", root, pid);
	assert_int_equal(symlink("/usr/bin/prog", path), 0);
}

/* The largest stay, kernel threads do not count, foreign names are passed over. */
static void test_largest(void **state)
{
	char root[] = "/tmp/telamon-proc-XXXXXX", path[64], command[64];
	struct args_scan_entry all[2];

	assert_non_null(mkdtemp(root));
	process(root, 10, 100, 5);
	process(root, 11, 101, 50);
	process(root, 12, 102, 0);
	process(root, 13, 103, 20);
	(void)snprintf(path, sizeof(path), "%s/self", root);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/99", root); /* gone between readdir and open */
	assert_int_equal(mkdir(path, 0700), 0);

	assert_int_equal(args_scan_read(root, all, 2), 2);
	assert_int_equal(all[0].pid, 11);
	assert_int_equal(all[1].pid, 13);
	assert_int_equal(all[0].start_ticks, 101);
	assert_int_equal(all[0].exe_len, strlen("/usr/bin/prog"));
	assert_memory_equal(all[0].args, "prog\0--flag", all[0].args_len);
	assert_int_equal(all[0].args_len, sizeof("prog\0--flag"));
	assert_int_equal(args_scan_read("/nowhere", all, 2), 0);
	assert_int_equal(args_scan_read(root, all, 0), 0);

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
}

/* However they are listed: the largest, largest first. */
static void test_order(void **state)
{
	static const unsigned rss[] = { 5, 50, 3, 20, 7, 33, 12, 41, 28, 50 };
	static const unsigned sorted[] = { 50, 50, 41, 33, 28, 20, 12, 7, 5, 3 };
	char root[] = "/tmp/telamon-proc-XXXXXX", path[64], command[64];
	struct args_scan_entry all[ARRAY_SIZE(rss) + 1];

	assert_non_null(mkdtemp(root));
	for (unsigned i = 0; i < ARRAY_SIZE(rss); i++)
		process(root, 10 + 7 * i, 100 + i, rss[i]);
	(void)snprintf(path, sizeof(path), "%s/:9", root); /* between the digits and the letters */
	assert_int_equal(mkdir(path, 0700), 0);
	for (size_t max = 0; max <= ARRAY_SIZE(rss); max++) {
		memset(all, 0xff, sizeof(all));
		assert_int_equal(args_scan_read(root, all, max), max);
		for (size_t i = 0; i < max; i++) {
			assert_int_equal(all[i].rss_pages, sorted[i]);
			assert_int_equal(all[i].args_len, sizeof("prog\0--flag"));
		}
		assert_int_equal(all[max].pid, UINT32_MAX);
	}
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
}

static void stop(void *ctx, uint64_t now)
{
	(void)now;
	loop_stop(ctx, 0);
}

/* Walked by a worker, every ten seconds; found by pid and start, because a pid is given away again (OOM-304). */
static void test_every_ten_seconds(void **state)
{
	char root[] = "/tmp/telamon-proc-XXXXXX", command[64];
	const struct args_scan_entry *e;
	struct loop *loop;
	struct workers *workers;
	struct loop_timer *timer;
	struct args_scan *s;

	assert_non_null(mkdtemp(root));
	process(root, 10, 100, 5);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(workers_new(loop, 1, 4, &workers), 0);
	assert_int_equal(loop_add_timer(loop, stop, loop, &timer), 0);
	assert_int_equal(args_scan_new(workers, root, &s), 0);
	assert_null(args_scan_find(s, 10, 100));
	for (unsigned walk = 0; walk < 2; walk++) {
		args_scan_tick(s, (1 + 10 * walk) * US_PER_SEC);
		for (unsigned i = 0; i < 500 && !args_scan_find(s, 10 + walk, 0); i++) {
			loop_timer_at(timer, time_mono_us() + 10 * US_PER_MSEC);
			assert_int_equal(loop_run(loop), 0);
		}
		e = args_scan_find(s, 10 + walk, 100 + walk);
		assert_non_null(e);
		assert_memory_equal(e->args, "prog\0--flag", e->args_len);
		assert_null(args_scan_find(s, 10 + walk, 99));
		assert_null(args_scan_find(s, 12, 100 + walk));
		process(root, 11 + walk, 101 + walk, 50);
		args_scan_tick(s, (10 + 10 * walk) * US_PER_SEC); /* too early */
		loop_timer_at(timer, time_mono_us() + 50 * US_PER_MSEC);
		assert_int_equal(loop_run(loop), 0);
		assert_null(args_scan_find(s, 11 + walk, 0));
	}
	loop_timer_free(timer);
	workers_free(workers);
	args_scan_free(s);
	loop_free(loop);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_every_ten_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
