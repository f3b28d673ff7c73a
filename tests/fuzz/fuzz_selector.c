/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/route/relabel/apply.c src/route/relabel/casemap.c src/route/relabel/lex.c src/route/relabel/regex.c src/route/relabel/regex-class.c src/route/relabel/regex-emit.c src/route/relabel/regex-fast.c src/route/relabel/regex-parse.c src/route/relabel/rules.c src/route/relabel/selector.c src/route/relabel/series-text.c src/route/relabel/template.c src/route/relabel/unicode.c src/route/relabel/unicode-tables.c src/route/relabel/vm.c src/route/relabel/work.c src/route/wire/series.c src/route/wire/field.c src/route/wire/buf.c */
/* fuzz-libs: -lpcre2-8 -lxxhash -lnettle */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"
#include "route/relabel/selector.h"

/* Three lines: a selector, a series that it is held against, a replacement that is expanded over that series. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct relabel_context *c;
	static struct diags diags;
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	char *at = text;
	_cleanup_(arena_freep) struct arena *arena = NULL;
	_cleanup_(selector_freep) struct selector *selector = NULL;
	_cleanup_(relabel_unrefp) struct relabel *rule = NULL;
	const char *line[3] = { strsep(&at, "\n"), strsep(&at, "\n"), strsep(&at, "\n") };
	const struct rw_label *labels, *out;
	const char *const sources[] = { "__name__" };
	char why[128];
	size_t n, left;

	if (!text || !line[2] || (!c && relabel_context_new(&c) < 0) || arena_new(0, &arena) < 0 ||
	    series_parse(line[1], arena, why, sizeof(why), &labels, &n) < 0)
		return 0;
	if (selector_parse(line[0], why, sizeof(why), &selector) == 0)
		(void)selector_match(selector, c, labels, n);
	if (relabel_compile(&(struct relabel_source){ .source_labels = sources,
						      .n_source_labels = 1,
						      .regex = "(?P<a>.?)(.*)",
						      .replacement = line[2],
						      .target_label = "x$1" },
			    1, RELABEL_VM, false, "", "", &diags, &rule) == 0 &&
	    relabel_apply(rule, c, labels, n, &out, &left) == RELABEL_CHANGED)
		for (size_t i = 1; i < left; i++)
			assert(rw_label_compare(&out[i - 1], &out[i]) < 0 && out[i].value_len);
	return 0;
}
