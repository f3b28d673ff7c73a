/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/config/?*.c src/route/config*.c src/route/rules-file.c src/route/relabel/[abd-z]*.c src/route/relabel/casemap.c src/route/shard/?*.c src/route/wire/?*.c src/route/snapshot.c src/route/move.c src/route/explain.c src/route/explain-text.c src/route/nodes.c src/route/send/?*.c src/route/queue/?*.c src/route/receive/window.c */
/* fuzz-libs: -lyaml -lpcre2-8 -lxxhash -lnettle -ljansson -lsnappy -lzstd -lgnutls -lcurl */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"
#include "fuzz.h"
#include "route/explain.h"

static const char *const documents[] = {
	"routing: {mode: all, default_route: rest}\n"
	"relabel_configs: [{source_labels: [a], regex: '(.*)x', target_label: b, replacement: '$1'}]\n"
	"destinations:\n"
	"- name: d\n"
	"  add_labels: {site: s}\n"
	"  shard: {tasks: 64, key: {by: [__name__, job]}, task_label: {enabled: true, on_existing: keep}, replicas: 2}\n"
	"  nodes: [{name: n0, url: 'http://a/'}, {name: n1, url: 'http://b/'}, {name: n2, url: 'http://c/', zone: z}]\n"
	"routes:\n"
	"- {name: one, destination: d, match: ['{job=~\"a|b.*\"}'], stop: true, relabel_configs: [{regex: 'x(.+)', action: labelmap}]}\n"
	"- {name: two, destination: d, relabel_dialect: vm, relabel_configs: [{action: replace_all, source_labels: [job], regex: '-', target_label: job, replacement: '_{{a}}'}]}\n"
	"- {name: rest, destination: d}\n",
	"router_rules:\n"
	"- router_name: r\n"
	"  upstreams: {upstream_type: remotewriter, upstream_urls: ['http://a:1/api/v1/write', 'http://b:1/api/v1/write']}\n"
	"  hash_labels: {mode: 100, labels: [job, stream_task_id], algorithm: jump}\n"
	"  metric_relabel_configs: [{source_labels: [__name__], regex: 'no.*', action: drop}]\n",
};

static struct snapshot *open_document(const char *text)
{
	struct diags d = {};
	struct route_config *c = NULL;
	struct snapshot *s = NULL;
	char why[256];

	if (route_config_parse(text, strlen(text), "fuzz.yaml", &d, &c) < 0 ||
	    snapshot_new(c, NULL, &d, why, sizeof(why), &s) < 0)
		abort();
	return s;
}

/* A series as people write it: told the same way twice, as JSON and as text without control characters. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct snapshot *snapshots[ARRAY_SIZE(documents)];
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	_cleanup_(arena_freep) struct arena *arena = NULL;
	const struct rw_label *labels;
	char why[128];
	size_t n;

	if (!text || arena_new(0, &arena) < 0 ||
	    series_parse(text, arena, why, sizeof(why), &labels, &n) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
		_cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
		json_t *first, *second;

		if (!snapshots[i])
			snapshots[i] = open_document(documents[i]);
		first = explain_run(snapshots[i], labels, n);
		second = explain_run(snapshots[i], labels, n);
		assert(first && second && json_equal(first, second));
		explain_text(first, &out);
		for (size_t c = 0; c < out.len; c++)
			assert(out.data[c] == '\n' || (uint8_t)out.data[c] >= ' ');
		json_decref(first);
		json_decref(second);
	}
	return 0;
}
