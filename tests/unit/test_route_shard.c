/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, tasks and tables against golden values: they must be the same for ever and on every machine. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>
#include "base/macro.h"
#include "route/shard/shard.h"
#include "test.h"

#define LABELS_MAX 16

struct parsed {
	struct rw_label labels[LABELS_MAX];
	size_t n;
};

/* "a=b c=d", sorted. */
static struct parsed parse(const char *text)
{
	struct parsed p = {};

	for (const char *at = text; *at;) {
		size_t len = strcspn(at, " "), name = strcspn(at, "=");

		p.labels[p.n++] = (struct rw_label){ at, at + name + 1, (uint32_t)name,
						     (uint32_t)(len - name - 1) };
		at += len;
		at += *at == ' ';
	}
	for (size_t i = 1; i < p.n; i++)
		for (size_t k = i; k > 0 && rw_label_compare(&p.labels[k - 1], &p.labels[k]) > 0;
		     k--) {
			struct rw_label swap = p.labels[k];

			p.labels[k] = p.labels[k - 1];
			p.labels[k - 1] = swap;
		}
	return p;
}

static void compat_vectors(void **state)
{
	static const struct {
		const char *labels;
		uint32_t fnv, mod100, mod3, jump[4]; /* of 100, 3, 4, 10 */
	} cases[] = {
		{ "__name__=up job=node", 1787935612, 12, 1, { 31, 1, 3, 3 } },
		{ "__name__=node job=up", 1787935612, 12, 1, { 31, 1, 3, 3 } },
		{ "__name__=up instance=host1 job=api", 465459002, 2, 2, { 58, 1, 1, 1 } },
		{ "__name__=http_requests_total code=200 instance=10.0.0.1:9100 job=api",
		  3685569161,
		  61,
		  2,
		  { 81, 0, 0, 7 } },
		{ "job=api instance=host1", 76940338, 38, 1, { 42, 2, 2, 6 } },
		{ "", 2166136261, 61, 1, { 94, 1, 1, 1 } },
	};
	static const uint32_t buckets[] = { 100, 3, 4, 10 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed p = parse(cases[i].labels);
		uint32_t h = shard_fnv(p.labels, p.n);

		assert_int_equal(h, cases[i].fnv);
		assert_int_equal(h % 100, cases[i].mod100);
		assert_int_equal(h % 3, cases[i].mod3);
		for (size_t k = 0; k < ARRAY_SIZE(buckets); k++)
			assert_int_equal(shard_jump(h, buckets[k]), cases[i].jump[k]);
	}
}

static void compat_node_keys(void **state)
{
	static const char *const two[] = { "__name__", "job" }, *const task[] = { "stream_task_id" },
				 *const twice[] = { "job", "job", "nope" };
	struct parsed p =
		parse("__name__=http_requests_total code=200 instance=10.0.0.1:9100 job=api");
	struct parsed t61 = parse("stream_task_id=61"), t81 = parse("stream_task_id=81");

	assert_int_equal(shard_fnv_of(p.labels, p.n, two, 2), 3615385255);
	assert_int_equal(shard_fnv_of(t61.labels, 1, task, 1), 3097513068);
	assert_int_equal(shard_fnv_of(t81.labels, 1, task, 1), 2440288422);
	assert_int_equal(3615385255 % 3, 1);
	assert_int_equal(shard_jump(3615385255, 10), 5);
	assert_int_equal(shard_jump(3097513068, 3), 2);
	assert_int_equal(shard_jump(3097513068, 10), 6);
	assert_int_equal(shard_jump(2440288422, 3), 2);
	assert_int_equal(shard_jump(2440288422, 10), 2);
	/* Listed twice counts twice, absent ones not at all. */
	assert_int_not_equal(shard_fnv_of(p.labels, p.n, twice, 3),
			     shard_fnv_of(p.labels, p.n, twice, 1));
	assert_int_equal(shard_fnv_of(p.labels, p.n, twice, 3),
			 shard_fnv_of(p.labels, p.n, twice, 2));
}

static void jump_vectors(void **state)
{
	assert_int_equal(shard_jump(256, 1024), 520);
	assert_int_equal(shard_jump(0xDEAD10CC, 666), 361);
	assert_int_equal(shard_jump(1, 10), 6);
	assert_int_equal(shard_jump(UINT64_MAX, 100), 92);
	assert_int_equal(shard_jump(77, 1), 0);
	assert_int_equal(shard_jump(77, 0), 0);
}

static struct shard_key *new_key(bool by, const char *const *names, size_t n)
{
	struct shard_key *k;
	const struct shard_key_options o = { .by = by,
					     .names = names,
					     .n_names = n,
					     .family = true,
					     .task_label = "stream_task_id" };

	assert_int_equal(shard_key_new(&o, &k), 0);
	return k;
}

static uint64_t hash_of(const struct shard_key *k, const char *text, bool in_place)
{
	struct parsed p = parse(text);
	uint8_t canon[1024], scratch[1024];
	struct rw_span span = { canon, rw_canon(p.labels, p.n, canon, sizeof(canon)) };

	if (!in_place)
		span.at = NULL;
	return shard_hash(k, p.labels, p.n, span, scratch, sizeof(scratch));
}

static void native_key_vectors(void **state)
{
	static const char *const name_job[] = { "job", "__name__" }, *const job_zone[] = { "zone",
											   "job" };
	_cleanup_(shard_key_freep) struct shard_key *all = new_key(false, NULL, 0);
	_cleanup_(shard_key_freep) struct shard_key *by = new_key(true, name_job, 2);
	_cleanup_(shard_key_freep) struct shard_key *missing = new_key(true, job_zone, 2);
	const struct {
		const struct shard_key *key;
		const char *labels;
		uint64_t hash;
		uint32_t task;
	} cases[] = {
		{ all, "__name__=up job=node", 0xcea15715d363446f, 3306 },
		{ all, "__name__=up job=node stream_task_id=9 le=1", 0xcea15715d363446f, 3306 },
		{ all, "__name__=up instance=host1 job=api", 0x97a60326adb9cbd5, 2426 },
		{ by, "__name__=http_requests_total code=200 job=api", 0xbd1f390b939791db, 3025 },
		{ by, "__name__=http_requests_bucket le=5 job=api", 0xbd1f390b939791db, 3025 },
		{ missing, "__name__=up job=api", 0x6fb6e763e38f6ec6, 1787 },
		{ all, "", 0x2d06800538d394c2, 720 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (int in_place = 0; in_place < 2; in_place++) {
			uint64_t h = hash_of(cases[i].key, cases[i].labels, in_place);

			assert_int_equal(h, cases[i].hash);
			assert_int_equal(shard_task(h, 4096), cases[i].task);
		}
}

static void key_bytes_and_room(void **state)
{
	static const char hex[] = "0a0e0a085f5f6e616d655f5f120275700a0b0a036a6f6212046e6f6465";
	_cleanup_(shard_key_freep) struct shard_key *k = new_key(false, NULL, 0);
	struct parsed p = parse("__name__=up job=node");
	uint8_t bytes[64];
	char text[130] = "";
	size_t n = shard_key_bytes(k, p.labels, p.n, bytes, sizeof(bytes));

	for (size_t i = 0; i < n; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(text, hex);
	for (size_t room = 0; room < n; room++)
		assert_int_equal(shard_key_bytes(k, p.labels, p.n, bytes, room), 0);
}

/* --- tables --- */

static char names[256][16];

static size_t make_nodes(struct shard_node *nodes, size_t n, const char *prefix)
{
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%s%zu", prefix, i);
		nodes[i] = (struct shard_node){ names[i], "", 1 };
	}
	return n;
}

static struct shard_table *build(const struct shard_node *nodes, size_t n, uint32_t tasks,
				 uint32_t replicas, bool zones)
{
	const struct shard_table_options o = { tasks, 2, replicas, zones };
	struct shard_table *t = NULL;
	char why[128] = "";

	assert_int_equal(shard_table_build(nodes, n, &o, why, sizeof(why), &t), 0);
	return t;
}

static uint32_t count(const struct shard_table *t, uint16_t node)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->tasks; i++)
		n += t->nodes[i] == node;
	return n;
}

static void golden_table(void **state)
{
	static const uint16_t first[] = { 2, 4, 0, 4, 0, 3, 1, 0, 0, 4, 1, 2, 2, 4, 4, 2 };
	static const uint32_t sizes[] = { 812, 810, 825, 814, 835 };
	struct shard_node nodes[5];
	_cleanup_(freep) struct shard_table *t =
		build(nodes, make_nodes(nodes, 5, "agg-"), 4096, 1, false);

	for (size_t i = 0; i < ARRAY_SIZE(first); i++)
		assert_int_equal(t->nodes[i], first[i]);
	for (uint16_t i = 0; i < 5; i++)
		assert_int_equal(count(t, i), sizes[i]);
	assert_int_equal(t->hash, 0x02bd350bae026c9c);
}

static void order_of_nodes_is_of_no_matter(void **state)
{
	struct shard_node nodes[5], other[5];
	_cleanup_(freep) struct shard_table *a =
		build(nodes, make_nodes(nodes, 5, "agg-"), 4096, 2, false);
	_cleanup_(freep) struct shard_table *b = NULL;

	for (size_t i = 0; i < 5; i++)
		other[i] = nodes[(i * 3 + 1) % 5];
	b = build(other, 5, 4096, 2, false);
	assert_int_equal(a->hash, b->hash);
	for (uint32_t i = 0; i < 2 * 4096; i++)
		assert_string_equal(nodes[a->nodes[i]].name, other[b->nodes[i]].name);
}

static void golden_without_one(void **state)
{
	static const uint32_t sizes[] = { 1027, 993, 1033, 1043 };
	struct shard_node nodes[5], four[4];
	_cleanup_(freep) struct shard_table *before =
		build(nodes, make_nodes(nodes, 5, "agg-"), 4096, 1, false);
	_cleanup_(freep) struct shard_table *after = NULL;
	uint32_t moved = 0, others = 0;

	for (size_t i = 0; i < 4; i++)
		four[i] = nodes[i < 2 ? i : i + 1];
	after = build(four, 4, 4096, 1, false);
	for (uint16_t i = 0; i < 4; i++)
		assert_int_equal(count(after, i), sizes[i]);
	for (uint32_t i = 0; i < 4096; i++) {
		if (before->nodes[i] == 2)
			continue;
		others++;
		moved += !streq(nodes[before->nodes[i]].name, four[after->nodes[i]].name);
	}
	assert_int_equal(others, 3271);
	assert_int_equal(moved, 2);
}

static void golden_weight(void **state)
{
	static const uint32_t sizes[] = { 669, 1392, 693, 662, 680 };
	struct shard_node nodes[5];
	_cleanup_(freep) struct shard_table *t = NULL;

	make_nodes(nodes, 5, "agg-");
	nodes[1].weight = 2;
	t = build(nodes, 5, 4096, 1, false);
	for (uint16_t i = 0; i < 5; i++)
		assert_int_equal(count(t, i), sizes[i]);
}

/* All pairs sorted and taken one after the other: slow, and what the definition says. */
struct pair {
	uint64_t score;
	uint32_t task;
	uint16_t node;
};
static const struct shard_node *pair_nodes;
static int compare_pairs(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	if (x->task != y->task)
		return x->task < y->task ? -1 : 1;
	return strcmp(pair_nodes[x->node].name, pair_nodes[y->node].name);
}

static void same_as_the_definition(void **state)
{
	enum { TASKS = 256, NODES = 7 };
	struct shard_node nodes[NODES];
	static struct pair pairs[TASKS * NODES];
	uint16_t expected[TASKS];
	uint32_t held[NODES] = {}, cap[NODES], sum = 0;
	_cleanup_(freep) struct shard_table *t = NULL;
	size_t n = 0;

	make_nodes(nodes, NODES, "node");
	nodes[3].weight = 3;
	nodes[5].weight = 0;
	for (size_t i = 0; i < NODES; i++)
		sum += nodes[i].weight;
	for (uint16_t i = 0; i < NODES; i++) {
		uint64_t nh = XXH3_64bits(nodes[i].name, strlen(nodes[i].name));

		cap[i] = MAX((TASKS * nodes[i].weight + sum - 1) / sum,
			     TASKS * nodes[i].weight * 102 / (100 * sum));
		for (uint32_t task = 0; task < TASKS && nodes[i].weight; task++) {
			uint64_t le = task, best = 0;

			for (uint32_t k = 0; k < nodes[i].weight; k++)
				best = MAX(best, XXH3_64bits_withSeed(
							 &le, 8, nh + k * 0x9E3779B97F4A7C15ULL));
			pairs[n++] = (struct pair){ best, task, i };
		}
	}
	pair_nodes = nodes;
	qsort(pairs, n, sizeof(pairs[0]), compare_pairs);
	memset(expected, 0xff, sizeof(expected));
	for (size_t i = 0; i < n; i++) {
		if (expected[pairs[i].task] != SHARD_NO_NODE ||
		    held[pairs[i].node] == cap[pairs[i].node])
			continue;
		expected[pairs[i].task] = pairs[i].node;
		held[pairs[i].node]++;
	}
	t = build(nodes, NODES, TASKS, 1, false);
	for (uint32_t i = 0; i < TASKS; i++)
		assert_int_equal(t->nodes[i], expected[i]);
	assert_int_equal(count(t, 5), 0);
}

static void balance(void **state)
{
	for (size_t n = 2; n <= 100; n++) {
		struct shard_node nodes[100];
		_cleanup_(freep) struct shard_table *t =
			build(nodes, make_nodes(nodes, n, "b"), 4096, 1, false);
		double share = 4096.0 / (double)n, top = (double)((4096 + n - 1) / n) / share;

		for (uint16_t i = 0; i < n; i++)
			assert_true((double)count(t, i) <= MAX(1.02, top) * share);
	}
}

static void replicas(void **state)
{
	struct shard_node nodes[9];
	_cleanup_(freep) struct shard_table *one = NULL, *three = NULL;

	make_nodes(nodes, 9, "agg-");
	for (size_t i = 0; i < 9; i++)
		nodes[i].zone = i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "c";
	one = build(nodes, 9, 4096, 1, true);
	three = build(nodes, 9, 4096, 3, true);
	for (uint32_t t = 0; t < 4096; t++) {
		uint16_t a = three->nodes[t], b = three->nodes[4096 + t],
			 c = three->nodes[2 * 4096 + t];

		assert_int_equal(a, one->nodes[t]); /* more replicas move nothing */
		assert_true(a % 3 != b % 3 && a % 3 != c % 3 && b % 3 != c % 3);
	}
}

static void more_replicas_than_zones(void **state)
{
	struct shard_node nodes[4];
	_cleanup_(freep) struct shard_table *t = NULL;

	make_nodes(nodes, 4, "agg-");
	for (size_t i = 0; i < 4; i++)
		nodes[i].zone = i < 2 ? "a" : "b";
	t = build(nodes, 4, 1024, 3, true);
	for (uint32_t i = 0; i < 1024; i++) {
		uint16_t a = t->nodes[i], b = t->nodes[1024 + i], c = t->nodes[2048 + i];

		assert_true(a != b && b != c && a != c);
		assert_true((a < 2) != (b < 2));
	}
}

static void refusals(void **state)
{
	struct shard_node nodes[3];
	struct shard_table *t = NULL;
	char why[128];
	struct shard_table_options o = { 4096, 2, 4, false };

	make_nodes(nodes, 3, "agg-");
	assert_int_equal(shard_table_build(nodes, 3, &o, why, sizeof(why), &t), -EINVAL);
	assert_string_equal(why, "4 replicas, but only 3 nodes");
	o.replicas = 1;
	nodes[1].name = nodes[0].name;
	assert_int_equal(shard_table_build(nodes, 3, &o, why, sizeof(why), &t), -EINVAL);
	assert_string_equal(why, "two nodes are called 'agg-0'");
	nodes[1].name = "other";
	nodes[0].weight = nodes[1].weight = nodes[2].weight = 0;
	assert_int_equal(shard_table_build(nodes, 3, &o, why, sizeof(why), &t), -EINVAL);
	assert_string_equal(why, "no node has a weight above 0");
	nodes[0].weight = 100000;
	o.tasks = 65536;
	assert_int_equal(shard_table_build(nodes, 3, &o, why, sizeof(why), &t), -EINVAL);
	assert_null(t);
}

/* --- plans --- */

static void plan_moves_the_ideal(void **state)
{
	unsigned seed = 7;

	for (int round = 0; round < 200; round++) {
		struct shard_node all[40], old[40], new[40];
		size_t n_old = 0, n_new = 0;
		uint32_t kept = 0, quota_floor;
		_cleanup_(freep) struct shard_table *before = NULL, *plan = NULL;
		_cleanup_(freep) struct shard_moves *moves = NULL;

		make_nodes(all, 40, "n");
		for (size_t i = 0; i < 40; i++) {
			seed = seed * 1103515245 + 12345;
			if (seed >> 16 & 3)
				old[n_old++] = all[i];
			if (seed >> 18 & 3)
				new[n_new++] = all[i];
		}
		before = build(old, n_old, 1024, 1, false);
		assert_int_equal(shard_plan(before, old, n_old, new, n_new, &plan), 0);
		assert_int_equal(shard_moves(before, old, n_old, plan, new, n_new, &moves), 0);
		quota_floor = 1024 / (uint32_t)n_new;
		for (uint16_t i = 0; i < n_new; i++)
			assert_in_range(count(plan, i), quota_floor,
					quota_floor + (1024 % n_new != 0));
		/* The most that can stay: each staying node up to a quota, the larger quotas where they save a move. */
		{
			uint32_t larger = 1024 % (uint32_t)n_new;

			for (size_t i = 0; i < moves->n; i++) {
				uint32_t b = moves->rows[i].before;

				if (moves->rows[i].leaves || moves->rows[i].joins)
					continue;
				kept += MIN(b, quota_floor);
				if (b > quota_floor && larger) {
					kept++;
					larger--;
				}
			}
		}
		assert_int_equal(moves->moved, 1024 - kept);
		assert_int_equal(moves->ideal, moves->moved);
	}
}

static void moves_of_the_computed_table(void **state)
{
	struct shard_node nodes[5], four[4];
	_cleanup_(freep) struct shard_table *before =
		build(nodes, make_nodes(nodes, 5, "agg-"), 4096, 1, false);
	_cleanup_(freep) struct shard_table *after = NULL;
	_cleanup_(freep) struct shard_moves *m = NULL;

	for (size_t i = 0; i < 4; i++)
		four[i] = nodes[i < 2 ? i : i + 1];
	after = build(four, 4, 4096, 1, false);
	assert_int_equal(shard_moves(before, nodes, 5, after, four, 4, &m), 0);
	assert_int_equal(m->moved, 827);
	assert_int_equal(m->ideal, 825);
	assert_int_equal(m->between_staying, 2);
	assert_true(m->rows[2].leaves);
	assert_int_equal(m->rows[0].before, 812);
	assert_int_equal(m->rows[0].after, 1027);
	assert_int_equal(m->rows[0].gained, 215);
}

/* --- table files --- */

static void pinned_round_trip(void **state)
{
	struct shard_node nodes[5], other[5];
	const struct shard_table_options o = { 4096, 2, 2, false };
	_cleanup_(freep) struct shard_table *t =
		build(nodes, make_nodes(nodes, 5, "agg-"), 4096, 1, false);
	_cleanup_(freep) struct shard_table *same = NULL, *without = NULL;
	_cleanup_(freep) char *json = NULL;
	struct shard_pinned_warnings w;
	char why[128] = "";

	t->nodes[0] = 3; /* not what would be computed */
	json = shard_pinned_write("aggregators", nodes, 5, t);
	assert_non_null(json);
	for (size_t i = 0; i < 5; i++)
		other[i] = nodes[4 - i];
	assert_int_equal(shard_pinned_read(json, strlen(json), "aggregators", other, 5, &o, why,
					   sizeof(why), &same, &w),
			 0);
	for (uint32_t i = 0; i < 4096; i++) {
		assert_string_equal(other[same->nodes[i]].name, nodes[t->nodes[i]].name);
		assert_int_not_equal(same->nodes[i], same->nodes[4096 + i]);
	}
	/* agg-3 leaves, one joins: the new one gets nothing, the left tasks go to the others. */
	other[1] = (struct shard_node){ "new", "", 1 };
	assert_int_equal(shard_pinned_read(json, strlen(json), "aggregators", other, 5, &o, why,
					   sizeof(why), &without, &w),
			 0);
	assert_int_equal(w.missing_nodes, 1);
	assert_int_equal(w.absent_tasks, count(t, 3));
	assert_int_equal(count(without, 1), 0);
}

static void pinned_bad_files(void **state)
{
	struct shard_node nodes[3];
	const struct shard_table_options o = { 64, 2, 1, false };
	_cleanup_(freep) struct shard_table *t =
		build(nodes, make_nodes(nodes, 3, "agg-"), 64, 1, false);
	_cleanup_(freep) char *json = shard_pinned_write("d", nodes, 3, t);
	struct shard_pinned_warnings w;
	struct shard_table *got = NULL;
	char why[128];
	size_t len = strlen(json);

	for (size_t cut = 0; cut < len - 1; cut++)
		assert_int_equal(shard_pinned_read(json, cut, "d", nodes, 3, &o, why, sizeof(why),
						   &got, &w),
				 -EINVAL);
	assert_int_equal(shard_pinned_read(json, len, "e", nodes, 3, &o, why, sizeof(why), &got,
					   &w),
			 -EINVAL);
	assert_string_equal(why, "table file: made for another destination");
	*strchr(strstr(json, "\"table\": \"") + 10, 'A') = 'B';
	assert_int_equal(shard_pinned_read(json, len, "d", nodes, 3, &o, why, sizeof(why), &got,
					   &w),
			 -EINVAL);
	assert_non_null(strstr(why, "damaged"));
	assert_null(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compat_vectors),
		cmocka_unit_test(compat_node_keys),
		cmocka_unit_test(jump_vectors),
		cmocka_unit_test(native_key_vectors),
		cmocka_unit_test(key_bytes_and_room),
		cmocka_unit_test(golden_table),
		cmocka_unit_test(order_of_nodes_is_of_no_matter),
		cmocka_unit_test(golden_without_one),
		cmocka_unit_test(golden_weight),
		cmocka_unit_test(same_as_the_definition),
		cmocka_unit_test(balance),
		cmocka_unit_test(replicas),
		cmocka_unit_test(more_replicas_than_zones),
		cmocka_unit_test(refusals),
		cmocka_unit_test(plan_moves_the_ideal),
		cmocka_unit_test(moves_of_the_computed_table),
		cmocka_unit_test(pinned_round_trip),
		cmocka_unit_test(pinned_bad_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
