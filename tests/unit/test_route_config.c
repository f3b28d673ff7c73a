/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's file: a table of documents with what is wrong with each, then what good ones become. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/strbuf.h"
#include "route/config.h"
#include "route/queue/queue.h"
#include "route/send/send.h"
#include "route/shard/shard.h"
#include "test.h"

#define NODE "nodes: [{name: n, url: 'http://h:1/w'}]"
#define DEST "destinations:\n- {name: d, " NODE "}\n"
#define ROUTE "routes:\n- {name: r, destination: d}\n"
/* A destination with further keys; a route with further keys; the original's form with further keys of the rule. */
#define WITH_DEST(keys) "destinations:\n- {name: d, " NODE ", " keys "}\n" ROUTE
#define WITH_NODE(keys) \
	"destinations:\n- {name: d, nodes: [{name: n, url: 'http://h:1/w', " keys "}]}\n" ROUTE
#define WITH_ROUTE(keys) DEST "routes:\n- {name: r, destination: d, " keys "}\n"
#define GOOD DEST ROUTE
#define URLS \
	"upstreams: {upstream_type: remotewriter, upstream_urls: ['http://a:1/api/v1/write', 'http://b:1/api/v1/write']}"
#define COMPAT(keys) "router_rules:\n- {router_name: r, " URLS ", " keys "}\n"

struct document {
	const char *text;
	const char *error; /* "line:column: key: text", cut to its beginning after the file's name */
};

static const struct document bad[] = {
	/* the reader */
	{ GOOD "receives: {}\n", "5:1: receives: unknown key, did you mean 'receive'?" },
	{ GOOD "receive: {max_body: 1}\n", "5:21: receive.max_body: " },
	{ GOOD "receive: {max_body: 2GiB}\n", "5:21: receive.max_body: 2GiB is above 1GiB" },
	{ GOOD "receive: {max_body: 10B}\n", "5:21: receive.max_body: 10B is below 1KiB" },
	{ GOOD "receive: {header_timeout: 5}\n", "5:27: receive.header_timeout: " },
	{ GOOD "receive: {header_timeout: 500ms}\n",
	  "5:27: receive.header_timeout: 500ms is below 1s" },
	{ GOOD "receive: {full_status: 500}\n", "5:24: receive.full_status: " },
	{ GOOD "limits: {connections: 0}\n", "5:23: limits.connections: 0 is below 1" },
	{ GOOD "limits: {labels_per_series: 1025}\n",
	  "5:29: limits.labels_per_series: 1025 is above 1024" },
	{ GOOD "limits: {series_bytes: 100B}\n", "5:24: limits.series_bytes: 100B is below 256B" },
	{ GOOD "limits: {rate_status: 500}\n", "5:23: limits.rate_status: " },
	{ GOOD "metadata: {mode: copy}\n", "5:18: metadata.mode: " },
	{ GOOD "metadata: {interval: 500ms}\n", "5:22: metadata.interval: 500ms is below 1s" },
	{ GOOD "time_window: {max_age: 4000d}\n",
	  "5:24: time_window.max_age: 4000d is above 3650d" },
	{ GOOD "relabel_dialect: go\n", "5:18: relabel_dialect: " },
	{ GOOD "name_validation: none\n", "5:18: name_validation: " },
	{ GOOD "routing: {mode: some}\n", "5:17: routing.mode: " },
	{ GOOD "global: {scrape_interval: 15s}\n",
	  "5:27: global.scrape_interval: the gateway scrapes nothing" },
	{ "destinations:\n- {" NODE "}\n" ROUTE, "2:3: destinations[0].name: is required" },
	{ "destinations:\n- {name: d, nodes: [{name: n}]}\n" ROUTE,
	  "2:21: destinations[0].nodes[0].url: is required" },
	{ DEST "routes:\n- {name: r}\n", "4:3: routes[0].destination: is required" },
	{ DEST "routes:\n- {name: 'a b', destination: d}\n", "4:10: routes[0].name: a name has" },
	{ "destinations:\n- {name: '..', " NODE "}\n" ROUTE, "2:10: destinations[0].name: " },
	/* across keys of the file */
	{ GOOD "receive: {max_inflight: 64MiB}\n",
	  "5:25: receive.max_inflight: is below receive.max_decompressed" },
	{ GOOD "routing: {default_route: x}\n",
	  "5:26: routing.default_route: there is no route 'x'" },
	{ GOOD "time_window: {action: route}\n",
	  "5:23: time_window.route: is required by action: route" },
	{ GOOD "time_window: {max_age: 1h, action: route, route: x}\n",
	  "5:50: time_window.route: there is no route 'x'" },
	{ GOOD "time_window: {route: r}\n",
	  "5:22: time_window.route: goes with action: route only" },
	{ DEST, " routes: there is none" },
	{ GOOD COMPAT("hash_labels: {algorithm: jump}"),
	  "4:1: routes: stands beside router_rules" },
	/* destinations */
	{ "destinations:\n- {name: d}\n" ROUTE, "2:10: destinations[0].nodes: there is none" },
	{ "destinations:\n- {name: d, " NODE "}\n- {name: d, " NODE "}\n" ROUTE,
	  "3:10: destinations[1].name: another destination is called 'd', too" },
	{ "destinations:\n- {name: d, nodes: [{name: n, url: 'http://a/'}, {name: n, url: 'http://b/'}]}\n" ROUTE,
	  "2:57: destinations[0].nodes[1].name: another node is called 'n', too" },
	{ "destinations:\n- {name: d, nodes: [{name: n, url: 'ftp://a/'}]}\n" ROUTE,
	  "2:36: destinations[0].nodes[0].url: does not begin with http:// or https://" },
	{ "destinations:\n- {name: d, nodes: [{name: n, url: 'http://'}]}\n" ROUTE,
	  "2:36: destinations[0].nodes[0].url: is not a URL" },
	{ "destinations:\n- {name: d, nodes: [{name: n, url: 'http://u:p@a/'}]}\n" ROUTE,
	  "2:36: destinations[0].nodes[0].url: holds a user: write basic_auth" },
	{ WITH_DEST("type: kafka"), "2:" },
	{ WITH_DEST("type: aggregate"), "2:" },
	{ WITH_DEST("discovery: {}"), "2:" },
	{ WITH_DEST("kafka: {}"), "2:" },
	{ WITH_DEST("file: {}"), "2:" },
	{ WITH_DEST("headers: {User-Agent: x}"),
	  " destinations[0].headers: 'User-Agent' (line 2)" },
	{ WITH_DEST("headers: {'A B': x}"), " destinations[0].headers: 'A B' (line 2) is not" },
	{ WITH_NODE("headers: {Content-Type: x}"),
	  " destinations[0].nodes[0].headers: 'Content-Type' (line 2)" },
	{ WITH_DEST("basic_auth: {username: u, password: p}, authorization: {credentials: t}"),
	  "2:123: destinations[0].authorization: stands beside basic_auth" },
	{ WITH_DEST("basic_auth: {username: u, password: p, password_file: /f}"),
	  "2:90: destinations[0].basic_auth.password: stands beside password_file" },
	{ WITH_DEST("authorization: {credentials: t, credentials_file: /f}"),
	  "2:83: destinations[0].authorization.credentials: stands beside" },
	{ WITH_DEST("tls_config: {cert_file: /c}"),
	  "2:78: destinations[0].tls_config: cert_file and key_file go together" },
	{ WITH_DEST("tls_config: {key_file: /k}"), "2:77: destinations[0].tls_config: cert_file" },
	{ WITH_DEST("send: {retry: {min: 10s, max: 1s}}"),
	  "2:74: destinations[0].send.retry.min: is above max" },
	{ WITH_DEST("queue: {disk: 1MiB, segment: 2MiB}"),
	  "2:68: destinations[0].queue.disk: is below queue.segment" },
	{ WITH_NODE("weight: 0"), " destinations[0].nodes: none has a weight above 0" },
	{ WITH_NODE("weight: 101"), "2:60: destinations[0].nodes[0].weight: 101 is above 100" },
	/* sharding */
	{ WITH_DEST("shard: {replicas: 2}"),
	  "2:72: destinations[0].shard.replicas: is 2, but only 1 nodes have a weight above 0" },
	{ WITH_DEST("shard: {tasks: 0}"), "2:69: destinations[0].shard.tasks: 0 is below 1" },
	{ WITH_DEST("shard: {tasks: 65537}"), "2:69: destinations[0].shard.tasks: 65537 is above" },
	{ WITH_DEST("shard: {overload: 0%}"), "2:72: destinations[0].shard.overload: " },
	{ WITH_DEST("shard: {key: {by: [a], without: [b]}}"),
	  "2:72: destinations[0].shard.key: exactly one of by, without and aggregation" },
	{ WITH_DEST("shard: {key: {aggregation: {sets: [s]}}}"),
	  " destinations[0].shard.key.aggregation.sets: aggregation is not built" },
	{ WITH_DEST("shard: {key: {aggregation: {rules_file: /nowhere/r}}}"),
	  " No such file or directory" },
	{ WITH_DEST(
		  "queue: {drain: fresh_first}, shard: {key: {aggregation: {rules_file: /nowhere/r}}}"),
	  "2:69: destinations[0].queue.drain: fresh_first breaks the order" },
	{ WITH_DEST("shard: {algorithm: jump, replicas: 1, key: {without: [a]}}"),
	  "2:73: destinations[0].shard.algorithm: jump has neither" },
	{ WITH_DEST("shard: {algorithm: jump, move_at: boundary}"),
	  "2:88: destinations[0].shard.move_at: jump has no table that could move" },
	{ WITH_DEST("shard: {effective_at: '2026-05-12T08:00:00Z'}"),
	  "2:76: destinations[0].shard.effective_at: goes with move_at: boundary" },
	{ WITH_DEST("shard: {move_at: boundary, effective_at: soon}"),
	  "2:95: destinations[0].shard.effective_at: 'soon' is not a time" },
	{ WITH_NODE("weight: 100, zone: a") "defaults: {shard: {tasks: 65536, algorithm: x}}\n",
	  "5:45: defaults.shard.algorithm: " },
	/* routes */
	{ DEST "routes:\n- {name: r, destination: d}\n- {name: r, destination: d}\n",
	  "5:10: routes[1].name: another route is called 'r', too" },
	{ DEST "routes:\n- {name: r, destination: x}\n",
	  "4:26: routes[0].destination: there is no destination 'x'" },
	{ WITH_ROUTE("input: aggregated"), "4:36: routes[0].input: aggregation is not built" },
	{ WITH_ROUTE("input: some"), "4:36: routes[0].input: is not one of" },
	{ WITH_ROUTE("match: '{a='"), "4:36: routes[0].match[0]: " },
	{ WITH_ROUTE("match: [up, '{a=~\"(\"}']"), "4:36: routes[0].match[1]: " },
	{ WITH_ROUTE("time_window: {action: route}"), "4:51: routes[0].time_window.route: " },
	{ WITH_ROUTE("relabel_configs: [{action: repalce}]"),
	  "4:56: routes[0].relabel_configs[0].action: unknown action \"repalce\"; did you mean "
	  "\"replace\"?" },
	{ WITH_ROUTE("relabel_configs: [{action: keep, regex: '('}]"), "4:" },
	{ WITH_ROUTE("relabel_configs: [{source_labels: [a]}]"), "4:" },
	{ GOOD "relabel_configs: [{action: hashmod, target_label: x}]\n", "5:" },
	/* the original's form */
	{ COMPAT("hash_labels: {mode: hashmod}"),
	  "2:153: router_rules[0].hash_labels.mode: is the number of tasks; the algorithm is "
	  "hash_labels.algorithm: hashmod" },
	{ COMPAT("hash_labels: {mode: 70000}"), "2:153: router_rules[0].hash_labels.mode: " },
	{ COMPAT("hash_labels: {algorithm: md5}"),
	  "2:158: router_rules[0].hash_labels.algorithm: " },
	{ COMPAT("up_streams: {}"), "2:145: router_rules[0].up_streams: no version reads this key: "
				    "write upstreams" },
	{ "router_rule: []\n" GOOD,
	  "1:14: router_rule: no version reads this key: write router_rules" },
	{ "router_rules:\n- {router_name: r, upstreams: {up_streams_type: kafka}}\n",
	  "2:49: router_rules[0].upstreams.up_streams_type: no version reads" },
	{ "router_rules:\n- {router_name: r, upstreams: {kafka_topic: t}}\n",
	  "2:45: router_rules[0].upstreams.kafka_topic: no version reads" },
	{ "router_rules:\n- {router_name: r, upstreams: {upstream_type: remotewritter, upstream_urls: ['http://a/']}}\n",
	  "2:47: router_rules[0].upstreams.upstream_type: is neither remotewriter nor kafka" },
	{ "router_rules:\n- {router_name: r, upstreams: {upstream_type: kafka, kafka_config: {}}}\n",
	  "2:47: router_rules[0].upstreams.upstream_type: kafka is not built" },
	{ "router_rules:\n- {router_name: r, upstreams: {upstream_type: remotewriter}}\n",
	  "2:17: router_rules[0].upstreams.upstream_urls: there is none" },
	{ "router_rules:\n- {router_name: r, upstreams: {upstream_type: remotewriter, upstream_urls: ['http://a:1/x$', 'http://a:1/x!']}}\n",
	  "2:76: router_rules[0].nodes[1].name: another node is called" },
	{ COMPAT("hash_labels: {algorithm: jump}") "- {router_name: r, " URLS "}\n",
	  "3:17: router_rules[1].router_name: another route is called 'r', too" },
};

static struct route_config *load(const char *text, struct diags *d)
{
	struct route_config *c = NULL;
	int r;

	*d = (struct diags){};
	r = route_config_parse(text, strlen(text), "route.yaml", d, &c);
	assert_int_equal(r, d->total ? -EINVAL : 0);
	return c;
}

static bool has_error(const struct diags *d, const char *error)
{
	char line[1024];

	for (size_t i = 0; i < d->n; i++) {
		diag_format(&d->items[i], line, sizeof(line));
		/* " text": the beginning is not told. */
		if (*error == ' '
			    ? strstr(line, error) != NULL
			    : strncmp(line + strlen("route.yaml:"), error, strlen(error)) == 0)
			return true;
	}
	return false;
}

static void each_error_has_its_place(void **state)
{
	static struct diags d;
	size_t missed = 0;

	(void)state;
	assert_true(ARRAY_SIZE(bad) >= 60);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct route_config *c = load(bad[i].text, &d);
		char line[1024];

		if (!c && has_error(&d, bad[i].error))
			continue;
		missed++;
		print_error("%s\nwanted %s\n", bad[i].text, bad[i].error);
		for (size_t k = 0; k < d.n; k++)
			print_error("found  %s\n", diag_format(&d.items[k], line, sizeof(line)));
		route_config_free(c);
	}
	assert_int_equal(missed, 0);
}

static void all_errors_in_one_run(void **state)
{
	static struct diags d;

	(void)state;
	assert_null(load("destinations:\n- {name: d, nodes: [{name: n, url: 'ftp://h/'}]}\n"
			 "- {name: d, nodes: []}\nroutes:\n- {name: r, destination: x}\n"
			 "- {name: r, destination: d, match: '{'}\nrouting: {default_route: q}\n",
			 &d));
	assert_true(has_error(&d, "2:36: destinations[0].nodes[0].url"));
	assert_true(has_error(&d, "3:10: destinations[1].name"));
	assert_true(has_error(&d, "3:10: destinations[1].nodes"));
	assert_true(has_error(&d, "5:26: routes[0].destination"));
	assert_true(has_error(&d, "6:10: routes[1].name"));
	assert_true(has_error(&d, "6:36: routes[1].match[0]"));
	assert_true(has_error(&d, "7:26: routing.default_route"));
}

/* --- good ones --- */

static struct route_config *load_good(const char *text)
{
	static struct diags d;
	struct route_config *c = load(text, &d);
	char line[1024];

	for (size_t i = 0; i < d.n; i++)
		print_error("%s\n", diag_format(&d.items[i], line, sizeof(line)));
	assert_non_null(c);
	return c;
}

static bool warned(const struct route_config *c, const char *text)
{
	return has_error(&c->warnings, text);
}

static void defaults_of_the_file(void **state)
{
	struct route_config *c = load_good(GOOD);
	const struct destination_config *d = c->destinations;
	const struct node_config *n = d->nodes.items;

	(void)state;
	assert_int_equal(c->receive->max_body, 32 << 20);
	assert_int_equal(c->receive->max_decompressed, 128 << 20);
	assert_true(c->receive->require_metric_name);
	assert_int_equal(c->limits->series_bytes, 65536);
	assert_int_equal(c->relabel_cache_bytes, 96 << 20);
	assert_int_equal(c->default_route, -1);
	assert_int_equal(d->shard.tasks, 4096);
	assert_int_equal(d->shard.overload, 2);
	assert_true(d->shard.family);
	assert_string_equal(d->shard.task_label.name, "stream_task_id");
	assert_int_equal(n->weight, 1);
	assert_int_equal(n->queue.ack, QUEUE_ACK_DISK);
	assert_int_equal(n->queue.segment, 16 << 20);
	assert_int_equal(n->send.lanes, 4);
	assert_int_equal(n->send.retry.min, 100000);
	assert_int_equal(c->warnings.total, 0);
	route_config_free(c);
}

static void nodes_inherit(void **state)
{
	struct route_config *c = load_good(
		"defaults: {queue: {ack: fsync, memory: 1MiB}, send: {lanes: 2, timeout: 3s}}\n"
		"destinations:\n"
		"- name: d\n"
		"  queue: {memory: 2MiB}\n"
		"  send: {lanes: 8}\n"
		"  basic_auth: {username: u, password_file: /p}\n"
		"  tls_config: {ca_file: /ca, min_version: TLS13}\n"
		"  headers: {X-A: b}\n"
		"  tenant: {value: t}\n"
		"  nodes:\n"
		"  - {name: a, url: 'http://a/'}\n"
		"  - {name: b, url: 'http://b/', queue: {memory: 4MiB}, authorization: {credentials_file: /t},\n"
		"     tls_config: {server_name: s}, headers: {X-C: d}, send: {retry: {max: 1s}}}\n" ROUTE);
	const struct node_config *n = c->destinations->nodes.items;

	(void)state;
	assert_int_equal(n[0].queue.ack, QUEUE_ACK_FSYNC);
	assert_int_equal(n[0].queue.memory, 2 << 20);
	assert_int_equal(n[1].queue.memory, 4 << 20);
	assert_int_equal(n[1].queue.ack, QUEUE_ACK_FSYNC);
	assert_int_equal(n[0].send.lanes, 8);
	assert_int_equal(n[1].send.timeout, 3000000);
	assert_int_equal(n[1].send.retry.max, 1000000);
	assert_int_equal(n[0].send.retry.max, 30000000);
	assert_string_equal(n[0].basic_auth.username, "u");
	assert_string_equal(n[0].tls_config.ca_file, "/ca");
	/* Each of these is one thing: nothing of the destination's stays beside the node's own. */
	assert_string_equal(n[1].basic_auth.username, "");
	assert_string_equal(n[1].authorization.credentials_file, "/t");
	assert_string_equal(n[1].tls_config.ca_file, "");
	assert_string_equal(n[1].tls_config.server_name, "s");
	assert_int_equal(n[0].headers.n, 1);
	assert_string_equal(n[1].headers.items[0].key, "X-C");
	assert_string_equal(n[1].tenant.value, "t");
	route_config_free(c);
}

static void the_key_is_one_thing(void **state)
{
	struct route_config *c = load_good("defaults: {shard: {tasks: 128, key: {by: [job]}}}\n"
					   "destinations:\n- {name: d, " NODE "}\n"
					   "- {name: e, " NODE
					   ", shard: {key: {without: [pod]}}}\n" ROUTE);
	const struct destination_config *d = c->destinations;

	(void)state;
	assert_int_equal(d[0].shard.key.by.n, 1);
	assert_int_equal(d[0].shard.tasks, 128);
	assert_int_equal(d[1].shard.key.by.n, 0);
	assert_int_equal(d[1].shard.key.without.n, 1);
	assert_string_equal(d[1].shard.key.without.items[0], "pod");
	assert_int_equal(d[1].shard.tasks, 128);
	route_config_free(c);
}

static void routes_are_compiled(void **state)
{
	struct route_config *c = load_good(
		"relabel_configs: [{action: labeldrop, regex: tmp}]\n"
		"time_window: {max_age: 1h, max_ahead: 5m}\n"
		"routing: {mode: first_match, default_route: late}\n" DEST "routes:\n"
		"- {name: r, destination: d, match: ['up', '{a=\"b\"}'], relabel_configs: [{action: drop, source_labels: [a], regex: x}],\n"
		"   time_window: {max_age: 2h, action: route, route: late}}\n"
		"- {name: late, destination: d, stop: true, metadata: false}\n");

	(void)state;
	assert_non_null(c->relabel);
	assert_int_equal(c->routing_mode, ROUTING_FIRST_MATCH);
	assert_int_equal(c->default_route, 1);
	assert_non_null(c->routes[0].relabel);
	assert_int_equal(relabel_count(c->routes[0].relabel), 1);
	assert_int_equal(c->routes[0].match.n, 2);
	assert_non_null(c->routes[0].selectors[1]);
	assert_int_equal(c->routes[0].window_route, 1);
	assert_int_equal(c->routes[0].time_window.max_age, 7200000000);
	assert_int_equal(c->routes[0].time_window.max_ahead, 300000000);
	assert_null(c->routes[1].relabel);
	assert_int_equal(c->routes[1].window_route, -1);
	assert_true(c->routes[1].stop);
	assert_false(c->routes[1].metadata);
	route_config_free(c);
}

static void warnings(void **state)
{
	struct route_config *c = load_good(
		"destinations:\n- name: d\n  shard: {tasks: 64}\n  basic_auth: {username: u, password: p}\n"
		"  queue: {disk: 0, ack: disk}\n"
		"  nodes: [{name: a, url: 'http://a/'}, {name: b, url: 'http://b/'}]\n" ROUTE
		"limits: {connections_per_ip: 8}\nreceive: {header_timeout: 5s}\n");

	(void)state;
	assert_true(warned(c, "3:18: destinations[0].shard.tasks: 64 tasks over 2 nodes spread "
			      "unevenly: 128 would do"));
	assert_true(warned(c, "4:39: destinations[0].basic_auth.password: stands in the file"));
	assert_true(warned(c, "5:25: destinations[0].queue.ack: without disk it is memory"));
	route_config_free(c);
}

/* --- the original's form --- */

static void compat_document(void **state)
{
	struct route_config *c = load_good(
		"router_rules:\n"
		"  - router_name: vmagent\n"
		"    upstreams: {upstream_type: remotewriter, upstream_urls: [\"http://vmagent-0:8429/api/v1/write\", \"http://vmagent-1:8429/insert/0\"]}\n"
		"    hash_labels: {mode: 100, labels: [stream_task_id], algorithm: jump}\n"
		"    metric_relabel_configs: [{source_labels: [__name__], regex: \"istio_.*\", action: keep}]\n"
		"  - router_name: one\n"
		"    upstreams: {upstream_type: remotewriter, upstream_urls: [\"http://[::1]:9/api/v1/write\"]}\n"
		"  - router_name: old\n"
		"    upstreams: {upstream_type: remotewriter, upstream_urls: [\"http://a:1/api/v1/write\", \"http://b:1/api/v1/write\"]}\n"
		"    hash_labels: {mode: 16}\n"
		"global: {prefix: x}\n");
	const struct destination_config *d = c->destinations;
	const struct node_config *n = d[0].nodes.items;

	(void)state;
	assert_true(c->compat && d[0].compat);
	assert_int_equal(c->n_routes, 3);
	assert_string_equal(c->routes[0].name, "vmagent");
	assert_string_equal(n[0].name, "vmagent-0_8429");
	assert_string_equal(n[1].name, "vmagent-1_8429_insert_0");
	assert_int_equal(d[0].shard.algorithm, SHARD_JUMP);
	assert_int_equal(d[0].shard.tasks, 100);
	assert_true(d[0].shard.task_label.enabled);
	assert_int_equal(d[0].compat_labels.n, 1);
	assert_non_null(c->routes[0].relabel);
	assert_int_equal(n[0].queue.memory, 8 << 20);
	assert_int_equal(n[0].send.protocol, SEND_AUTO);
	/* One node: nothing is hashed, and no label tells of it. */
	assert_false(d[1].shard.task_label.enabled);
	assert_int_equal(d[1].shard.tasks, 1);
	assert_int_equal(c->warnings.total, 1);
	assert_true(
		warned(c, " router_rules[2].hash_labels.algorithm: is not given, so it is jump"));
	route_config_free(c);
}

static void compat_with_our_keys(void **state)
{
	struct route_config *c = load_good(COMPAT(
		"hash_labels: {mode: 8, algorithm: hashmod}") "defaults: {queue: {ack: memory}, send: {protocol: vm}, shard: {tasks: 9}}\n"
							      "limits: {series_per_request: 5}\n");
	const struct node_config *n = c->destinations->nodes.items;

	(void)state;
	assert_int_equal(n->queue.ack, QUEUE_ACK_MEMORY);
	assert_int_equal(n->send.protocol, SEND_VM);
	assert_int_equal(c->destinations->shard.tasks, 8);
	assert_int_equal(c->destinations->shard.algorithm, SHARD_HASHMOD);
	assert_int_equal(c->limits->series_per_request, 5);
	assert_int_equal(c->warnings.total, 0);
	route_config_free(c);
}

/* Every row's default and bounds are in its own notation, and the printed configuration is one. */
static void printed_is_read_again(void **state)
{
	_cleanup_strbuf_ struct strbuf example = STRBUF_INIT, yaml = STRBUF_INIT;
	struct route_config *c =
		load_good(WITH_DEST("basic_auth: {username: u, password: secret}"));

	(void)state;
	config_write_example(route_config_sections(), &example);
	config_write_yaml(c->config, &yaml);
	assert_true(example.len > 1000 && !example.error);
	assert_null(strstr(strbuf_str(&yaml), "secret\n"));
	assert_non_null(strstr(strbuf_str(&yaml), "<secret>"));
	route_config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_error_has_its_place),
		cmocka_unit_test(all_errors_in_one_run),
		cmocka_unit_test(defaults_of_the_file),
		cmocka_unit_test(nodes_inherit),
		cmocka_unit_test(the_key_is_one_thing),
		cmocka_unit_test(routes_are_compiled),
		cmocka_unit_test(warnings),
		cmocka_unit_test(compat_document),
		cmocka_unit_test(compat_with_our_keys),
		cmocka_unit_test(printed_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
