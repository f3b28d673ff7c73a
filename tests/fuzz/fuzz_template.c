/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/route/relabel/apply.c src/route/relabel/casemap.c src/route/relabel/lex.c src/route/relabel/regex.c src/route/relabel/regex-class.c src/route/relabel/regex-emit.c src/route/relabel/regex-fast.c src/route/relabel/regex-parse.c src/route/relabel/rules.c src/route/relabel/selector.c src/route/relabel/series-text.c src/route/relabel/template.c src/route/relabel/unicode.c src/route/relabel/unicode-tables.c src/route/relabel/vm.c src/route/relabel/work.c src/route/wire/series.c src/route/wire/field.c src/route/wire/buf.c */
/* fuzz-libs: -lpcre2-8 -lxxhash -lnettle */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "config/config.h"
#include "fuzz.h"
#include "route/relabel/relabel.h"
#include "route/relabel/selector.h"

#define LINES 5

static void apply(const struct relabel *rule, const struct rw_label *labels, size_t n)
{
	static struct relabel_context *c;
	const struct rw_label *out;
	size_t left;

	if ((!c && relabel_context_new(&c) < 0) ||
	    relabel_apply(rule, c, labels, n, &out, &left) != RELABEL_CHANGED)
		return;
	for (size_t i = 0; i < left; i++)
		assert(out[i].name_len && (!i || rw_label_compare(&out[i - 1], &out[i]) < 0));
}

/* Lines: regex, target, replacement, a template of the graphite action, a series. Every action that expands, in both dialects. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const actions[] = { "replace", "replace_all", "labelmap", "labelmap_all",
					       "graphite" };
	static const char *const sources[] = { "__name__", "a" };
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	_cleanup_(arena_freep) struct arena *arena = NULL;
	const struct rw_label *labels;
	char *at = text, *line[LINES], why[128];
	size_t n;

	for (size_t i = 0; i < LINES; i++)
		line[i] = strsep(&at, "\n");
	if (!text || !line[LINES - 1] || arena_new(0, &arena) < 0 ||
	    series_parse(line[LINES - 1], arena, why, sizeof(why), &labels, &n) < 0)
		return 0;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(actions); i++) {
		const char *action = actions[i / 2];
		const struct config_pair pair = { line[1], line[2] };
		bool graphite = strcmp(action, "graphite") == 0,
		     map = !strncmp(action, "labelmap", 8);
		struct relabel_source source = { .action = action };
		struct diags diags = {};
		struct relabel *rule = NULL;

		if (graphite) {
			source.match = line[3];
			source.graphite_labels = &pair;
			source.n_graphite_labels = 1;
		} else {
			source.regex = line[0];
			source.replacement = line[2];
		}
		if (!graphite && !map) {
			source.source_labels = sources;
			source.n_source_labels = ARRAY_SIZE(sources);
			source.target_label = line[1];
		}
		if (relabel_compile(&source, 1, i % 2 ? RELABEL_VM : RELABEL_PROMETHEUS, i % 3 == 0,
				    "", "", &diags, &rule) == 0)
			apply(rule, labels, n);
		else
			assert(!rule && diags.total);
		relabel_unref(rule);
	}
	return 0;
}
