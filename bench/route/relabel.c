/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What relabelling costs per series
 *
 * 10,000 series of ten labels, 271 bytes each (body A); CPU time of the thread, median of rounds. `bench_relabel [rounds]`.
 */

#include <stdio.h>
#include <time.h>
#include "base/strbuf.h"
#include "route/relabel/cache.h"
#include "route/relabel/selector.h"

#define SERIES 10000
#define LABELS 10
#define CANON_MAX 1024
#define ROUNDS_MAX 99
#define RULES_MAX 3

struct series {
	struct rw_label labels[LABELS];
	struct rw_span canon;
};

static struct series *all;
static struct relabel_context *context;

static const char *const names[LABELS] = { "__name__", "cluster", "code",   "handler",
					   "instance", "job",	  "method", "namespace",
					   "pod",      "zone" };

static void make(void)
{
	static const char *const kinds[LABELS] = { "http_request_duration_seconds_bucket_%u",
						   "production-eu-west-%u",
						   "20%u",
						   "/api/v1/query_range/%u",
						   "10.13.%u.17:9100",
						   "word_%u",
						   "GET%u",
						   "monitoring-namespace-%u",
						   "prometheus-operated-7f9c5d-%u",
						   "eu-west-1%u" };
	static const unsigned counts[LABELS] = { 100, 4, 7, 40, 250, 2000, 4, 12, 10000, 3 };

	uint8_t *canon = malloc(SERIES * CANON_MAX), *end = canon + SERIES * CANON_MAX;

	all = calloc(SERIES, sizeof(*all));
	for (unsigned i = 0; i < SERIES; i++) {
		for (unsigned k = 0; k < LABELS; k++) {
			struct strbuf b = STRBUF_INIT;
			size_t len;
			char *text;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			strbuf_addf(&b, kinds[k], i * 2654435761u % counts[k]);
#pragma GCC diagnostic pop
			text = strbuf_steal(&b, &len);
			all[i].labels[k] = (struct rw_label){ names[k], text,
							      (uint32_t)strlen(names[k]),
							      (uint32_t)len };
		}
		all[i].canon = (struct rw_span){ canon, rw_canon(all[i].labels, LABELS, canon,
								 (size_t)(end - canon)) };
		canon += all[i].canon.len;
	}
}

static double now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct relabel *compile(const struct relabel_source *rules, size_t n)
{
	static struct diags d;
	struct relabel *r = NULL;
	char line[400];

	if (relabel_compile(rules, n, RELABEL_PROMETHEUS, false, "bench", "rules", &d, &r) < 0) {
		puts(diag_format(&d.items[0], line, sizeof(line)));
		exit(1);
	}
	return r;
}

static size_t apply_all(const struct relabel *r)
{
	size_t sum = 0;

	for (size_t i = 0; i < SERIES; i++) {
		const struct rw_label *out;
		size_t n = 0;

		sum += relabel_apply(r, context, all[i].labels, LABELS, &out, &n) + n;
	}
	return sum;
}

static size_t find_all(struct decision_cache *cache)
{
	size_t sum = 0;

	for (size_t i = 0; i < SERIES; i++) {
		const struct rw_label *out;
		struct decision d;
		size_t n = 0;

		sum += decision_cache_find(cache, all[i].canon, context, all[i].labels, LABELS, &d,
					   &out, &n) +
		       n;
	}
	return sum;
}

static void put_all(struct decision_cache *cache, const struct relabel *r)
{
	for (size_t i = 0; i < SERIES; i++) {
		const struct rw_label *out = NULL;
		struct decision d = { .matched = true };
		size_t n = 0;

		d.result = relabel_apply(r, context, all[i].labels, LABELS, &out, &n);
		decision_cache_put(cache, all[i].canon, all[i].labels, LABELS, &d, out, n);
	}
}

/* Bytes as they stand in a request, of which the worker has just read some: a few requests' worth, again and again. */
static size_t hash_all(const struct decision_cache *cache)
{
	size_t sum = 0;

	for (size_t i = 0; i < SERIES; i++)
		sum += decision_cache_key(cache, all[i].canon).low;
	return sum;
}

static void measure(const char *what, const struct relabel *r, struct decision_cache *cache,
		    int rounds)
{
	double ns[ROUNDS_MAX];
	size_t sum = 0;

	for (int i = 0; i < rounds; i++) {
		double begin = now_ns();

		sum += !cache ? apply_all(r) : r ? find_all(cache) : hash_all(cache);
		ns[i] = (now_ns() - begin) / SERIES;
	}
	qsort(ns, (size_t)rounds, sizeof(*ns), compare);
	printf("%-34s %7.1f ns a series   (%zu)\n", what, ns[rounds / 2], sum);
}

static void measure_rules(const char *what, const struct relabel_source *rules, size_t n,
			  int rounds)
{
	struct relabel *r = compile(rules, n);
	struct decision_cache *cache = NULL;
	struct decision_cache_stats stats;
	char text[64];

	measure(what, r, NULL, rounds);
	if (decision_cache_new(96 << 20, 1, &cache) == 0) {
		put_all(cache, r);
		decision_cache_stats(cache, &stats);
		(void)snprintf(text, sizeof(text), "  from the cache, %.0f bytes each",
			       (double)stats.bytes / (double)stats.entries);
		measure(text, r, cache, rounds);
	}
	(void)decision_cache_free(cache);
	(void)relabel_unref(r);
}

int main(int argc, char **argv)
{
	static const char *const job[] = { "job" }, *const pod[] = { "pod" },
				 *const two[] = { "namespace", "pod" };
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 21;
	struct strbuf words = STRBUF_INIT;
	struct decision_cache *hash = NULL;
	struct relabel_source one = { .source_labels = job, .n_source_labels = 1 };
	struct relabel_source three[RULES_MAX] = {
		{ .source_labels = job,
		  .n_source_labels = 1,
		  .regex = "test|dev",
		  .action = "drop" },
		{ .source_labels = pod,
		  .n_source_labels = 1,
		  .regex = "(.*)-([0-9]+)",
		  .target_label = "workload",
		  .replacement = "$1" },
		{ .regex = "zone|handler", .action = "labeldrop" },
	};

	if (rounds < 1 || rounds > ROUNDS_MAX || relabel_context_new(&context) < 0)
		return 2;
	make();
	printf("%zu bytes the first series\n", all[0].canon.len);
	if (decision_cache_new(1 << 20, 1, &hash) < 0)
		return 1;
	measure("hash of the labels", NULL, hash, rounds);
	(void)decision_cache_free(hash);
	for (int i = 0; i < 1000; i++)
		strbuf_addf(&words, "%sword_%d", i ? "|" : "", i);
	one.action = "keep";
	one.regex = strbuf_str(&words);
	measure_rules("keep, set of 1,000 literals", &one, 1, rounds);
	one.regex = "word_1.*";
	measure_rules("keep, prefix", &one, 1, rounds);
	one.regex = "word_[0-9]+";
	measure_rules("keep, PCRE2", &one, 1, rounds);
	one = (struct relabel_source){ .source_labels = two,
				       .n_source_labels = 2,
				       .action = "hashmod",
				       .modulus = 1000,
				       .target_label = "shard" };
	measure_rules("hashmod of two labels", &one, 1, rounds);
	measure_rules("drop, replace, labeldrop", three, RULES_MAX, rounds);
	return 0;
}
