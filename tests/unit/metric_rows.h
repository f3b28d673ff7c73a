/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that hold for every table of metric rows. */
#pragma once
#include "metrics/metrics.h"
#include "test.h"

static inline bool ends_with(const char *s, const char *suffix)
{
	size_t a = strlen(s), b = strlen(suffix);

	return a >= b && streq(s + a - b, suffix);
}

static inline void check_metric_rows(const struct metric_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct metric_row *r = &rows[i];

		assert_non_null(r->name);
		assert_non_null(r->help);
		assert_true(ends_with(r->help, "."));
		assert_true((r->help[0] >= 'A' && r->help[0] <= 'Z') ||
			    (r->help[0] >= '0' && r->help[0] <= '9'));
		assert_int_equal(strspn(r->name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
				 strlen(r->name));
		assert_int_equal(ends_with(r->name, "_total"), r->type == METRIC_COUNTER);
		assert_int_equal(ends_with(r->name, "_info"), r->type == METRIC_INFO);
		assert_int_equal(r->n_buckets > 0, r->type == METRIC_HISTOGRAM);
		for (size_t k = 1; k < r->n_buckets; k++)
			assert_true(r->buckets[k] > r->buckets[k - 1]);
		for (size_t k = 0; r->labels[k].name; k++)
			assert_true(k < METRIC_LABELS_MAX && !streq(r->labels[k].name, "le"));
		for (size_t k = i + 1; k < n; k++)
			assert_string_not_equal(r->name, rows[k].name);
	}
}
