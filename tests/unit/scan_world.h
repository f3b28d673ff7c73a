/* SPDX-License-Identifier: Apache-2.0 */
/* One scan with its buffers, for the tests of a group. */
#pragma once
#include "wire.h"

struct world {
	struct rw_scan *scan;
	struct rw_buf buf;
	struct rw_out o;
	struct strbuf text;
};

static inline int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(rw_scan_new(&w->scan), 0);
	w->o.buf = &w->buf;
	*state = w;
	return 0;
}

static inline int tear_down(void **state)
{
	struct world *w = *state;

	rw_scan_free(w->scan);
	rw_buf_done(&w->buf);
	strbuf_done(&w->text);
	free(w);
	return 0;
}

static inline void expect_limits(struct world *w, enum rw_version version,
				 const struct rw_limits *l, int r, const char *text)
{
	assert_int_equal(tell(w->scan, version, l, w->buf.data, w->buf.len, &w->text), r);
	assert_string_equal(strbuf_str(&w->text), text);
}

static inline void expect(struct world *w, enum rw_version version, int r, const char *text)
{
	expect_limits(w, version, &test_limits, r, text);
	w->buf.len = 0;
}

/* Labels l000 and so on. */
static inline void put_many(struct rw_out *o, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "l%03u", i);
		put_label(o, 1, name, "v");
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
