/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the gateway's file, one row each. */

#include <errno.h>
#include <string.h>
#include "base/parse.h"
#include "route/config-check.h"
#include "route/shard/shard.h"

#define MAP(key_, structure, member, rows_, help_) \
	CONFIG_ROW(key_, structure, member, CONFIG_MAP, .rows = rows_, .help = help_)
/* Keys of old examples that no version ever read. */
#define GONE(key_, text)                                       \
	{                                                      \
		.key = key_, .type = CONFIG_GONE, .help = text \
	}
#define RELOAD .flags = CONFIG_RELOAD
/* Members of structs that stand inside others, as offsets into the inner one. */
#define INNER(key_, structure, outer, member_, type_, ...)                                 \
	{                                                                                  \
		.key = key_, .type = type_,                                                \
		.offset = offsetof(structure, outer.member_) - offsetof(structure, outer), \
		.size = sizeof(((structure *)0)->outer.member_), __VA_ARGS__               \
	}

const char *const route_full_status_names[] = { "503", "429", NULL };
const char *const route_rate_status_names[] = { "429", "503", NULL };
static const char *const window_actions[] = { "drop", "route", NULL };
static const char *const metadata_modes[] = { "replicate", "shard", "drop", NULL };
static const char *const name_validations[] = { "utf8", "legacy", NULL };
static const char *const dialects[] = { "prometheus", "vm", NULL };
static const char *const routing_modes[] = { "all", "first_match", NULL };
static const char *const destination_types[] = { "remote_write", "aggregate", "kafka", "file",
						 NULL };
static const char *const tls_versions[] = { "TLS12", "TLS13", NULL };
static const char *const moves[] = { "now", "boundary", NULL };
static const char *const existing[] = { "replace", "keep", "reject", NULL };
static const char *const acks[] = { "memory", "disk", "fsync", NULL };
static const char *const fulls[] = { "block", "drop_oldest", "drop_newest", NULL };
static const char *const drains[] = { "fifo", "fresh_first", NULL };
static const char *const protocols[] = { "auto", "rw1", "rw2", "vm", NULL };
static const char *const starts[] = { "sample", "series", "both", NULL };
static const char *const custom_buckets[] = { "drop", "send", NULL };

static int check_name(const void *value, char *why, size_t why_size)
{
	const char *name = *(const char *const *)value;
	size_t len = strlen(name);

	if (len >= 1 && len <= 64 && !streq(name, ".") && !streq(name, "..") &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		    len)
		return 0;
	(void)snprintf(why, why_size, "a name has 1 to 64 of A-Z a-z 0-9 . _ - and is not . or ..");
	return -EINVAL;
}

static int check_zone(const void *value, char *why, size_t why_size)
{
	if (strlen(*(const char *const *)value) <= 64)
		return 0;
	(void)snprintf(why, why_size, "is longer than 64 bytes");
	return -EINVAL;
}

static int check_time(const void *value, char *why, size_t why_size)
{
	const char *text = *(const char *const *)value;
	uint64_t ns;

	if (!*text || parse_rfc3339(text, &ns) == 0)
		return 0;
	(void)snprintf(why, why_size, "'%s' is not a time such as 2026-05-12T08:00:00Z", text);
	return -EINVAL;
}

/* Old examples have the algorithm where the number of tasks belongs. */
static int check_mode(const void *value, char *why, size_t why_size)
{
	const char *text = *(const char *const *)value;
	uint32_t tasks;

	if (parse_u32(text, &tasks) == 0 && tasks <= 65536)
		return 0;
	if (streq(text, "hashmod") || streq(text, "jump"))
		(void)snprintf(why, why_size,
			       "is the number of tasks; the algorithm is hash_labels.algorithm: %s",
			       text);
	else
		(void)snprintf(why, why_size, "'%s' is not a number of tasks from 0 to 65536",
			       text);
	return -EINVAL;
}

/* --- relabelling --- */

static const struct config_row pairs_rows[] = {
	{ .key = "*",
	  .type = CONFIG_PAIRS,
	  .max_items = 64,
	  .size = sizeof(struct config_pairs),
	  .help = "Any name." },
	{},
};

const struct config_row route_relabel_rows[] = {
	CONFIG_ROW("source_labels", struct relabel_rule_config, source_labels, CONFIG_STRINGS,
		   .max_items = 64, RELOAD, .help = "Labels whose values are joined."),
	CONFIG_ROW("separator", struct relabel_rule_config, separator, CONFIG_STRING, .def = ";",
		   RELOAD, .help = "What stands between joined values."),
	CONFIG_ROW(
		"regex", struct relabel_rule_config, regex, CONFIG_STRINGS, .max_items = 256,
		.flags = CONFIG_RELOAD | CONFIG_ONE_OR_MANY,
		.help = "Regular expression in RE2 syntax, anchored; several are alternatives. Without it (.*)."),
	CONFIG_ROW("modulus", struct relabel_rule_config, modulus, CONFIG_U64, .def = "0", RELOAD,
		   .help = "Of hashmod: number of values."),
	CONFIG_ROW("target_label", struct relabel_rule_config, target_label, CONFIG_STRING,
		   .def = "", RELOAD, .help = "Label that is written."),
	CONFIG_ROW("replacement", struct relabel_rule_config, replacement, CONFIG_STRING,
		   .def = "$1", RELOAD,
		   .help = "What is written; $1, ${1} and ${name} are groups of the match."),
	CONFIG_ROW("action", struct relabel_rule_config, action, CONFIG_STRING, .def = "replace",
		   RELOAD, .help = "What the rule does."),
	CONFIG_ROW(
		"if", struct relabel_rule_config, condition, CONFIG_STRINGS, .max_items = 64,
		.flags = CONFIG_RELOAD | CONFIG_ONE_OR_MANY,
		.help = "Selector, or several as alternatives; the rule is for series that match."),
	CONFIG_ROW("match", struct relabel_rule_config, match, CONFIG_STRING, .def = "", RELOAD,
		   .help = "Of graphite: template with * for the parts of the name."),
	MAP("labels", struct relabel_rule_config, labels, pairs_rows,
	    "Of graphite: labels out of the parts."),
	{},
};

#define RELABEL_LIST(structure, member)                                                           \
	CONFIG_ROW("relabel_configs", structure, member, CONFIG_LIST, .rows = route_relabel_rows, \
		   .item_size = sizeof(struct relabel_rule_config), .max_items = 1000, RELOAD,    \
		   .help = "Relabelling rules in order.")

/* --- sections --- */

static const struct config_row global_rows[] = {
	GONE("scrape_interval", "the gateway scrapes nothing; prefix is the only key here"),
	{ .key = "prefix",
	  .type = CONFIG_STRING,
	  .size = sizeof(char *),
	  .def = "",
	  .help = "Taken for compatibility, without effect." },
	{},
};

static const struct config_row receive_rows[] = {
	CONFIG_ROW("max_body", struct receive_config, max_body, CONFIG_SIZE, .def = "32MiB",
		   .min = "1KiB", .max = "1GiB", RELOAD, .help = "Largest body as it comes."),
	CONFIG_ROW("max_decompressed", struct receive_config, max_decompressed, CONFIG_SIZE,
		   .def = "128MiB", .min = "64KiB", .max = "4GiB", RELOAD,
		   .help = "Largest body after decompression."),
	CONFIG_ROW("max_inflight", struct receive_config, max_inflight, CONFIG_SIZE,
		   .def = "256MiB", .min = "64KiB", .max = "64GiB", RELOAD,
		   .help = "All decompressed bodies in work together."),
	CONFIG_ROW("require_metric_name", struct receive_config, require_metric_name, CONFIG_BOOL,
		   .def = "true", RELOAD, .help = "A series without __name__ is invalid."),
	CONFIG_ROW("validate_histograms", struct receive_config, validate_histograms, CONFIG_BOOL,
		   .def = "true", RELOAD,
		   .help = "Native histograms are checked bucket by bucket."),
	CONFIG_ROW("full_status", struct receive_config, full_status, CONFIG_ENUM, .def = "503",
		   .names = route_full_status_names, RELOAD,
		   .help = "Answer when a queue is full."),
	CONFIG_ROW("header_timeout", struct receive_config, header_timeout, CONFIG_DURATION,
		   .def = "10s", .min = "1s", .max = "5m",
		   .help = "Time for the headers of a request; then it is cut off."),
	CONFIG_ROW(
		"min_body_rate", struct receive_config, min_body_rate, CONFIG_SIZE, .def = "1KiB",
		.max = "1GiB",
		.help = "Bytes a second that a body must come at once it takes longer than 5 s; 0 = no limit."),
	CONFIG_ROW("idle_timeout", struct receive_config, idle_timeout, CONFIG_DURATION,
		   .def = "2m", .min = "1s", .max = "1h",
		   .help = "Time after which an idle connection is closed."),
	CONFIG_ROW(
		"bearer_token_files", struct receive_config, bearer_token_files, CONFIG_STRINGS,
		.max_items = 64, RELOAD,
		.help = "Files of tokens that senders show, one a line; without any they need none."),
	{},
};

static const struct config_row limits_rows[] = {
	CONFIG_ROW("connections", struct limits_config, connections, CONFIG_UINT, .def = "1024",
		   .min = "1", .max = "100000", .help = "Connections at a time."),
	CONFIG_ROW("connections_per_ip", struct limits_config, connections_per_ip, CONFIG_UINT,
		   .def = "256", .max = "100000",
		   .help = "Connections of one address, 0 = no limit."),
	CONFIG_ROW("series_per_request", struct limits_config, series_per_request, CONFIG_UINT,
		   .def = "100000", .min = "1", .max = "10000000", RELOAD,
		   .help = "Series in one request."),
	CONFIG_ROW("samples_per_request", struct limits_config, samples_per_request, CONFIG_UINT,
		   .def = "1000000", .min = "1", .max = "100000000", RELOAD,
		   .help = "Samples in one request."),
	CONFIG_ROW("symbols_per_request", struct limits_config, symbols_per_request, CONFIG_UINT,
		   .def = "1000000", .min = "1", .max = "100000000", RELOAD,
		   .help = "Symbols in one request of version 2."),
	CONFIG_ROW("labels_per_series", struct limits_config, labels_per_series, CONFIG_UINT,
		   .def = "128", .min = "1", .max = "1024", RELOAD,
		   .help = "Labels of one series."),
	CONFIG_ROW("label_name_bytes", struct limits_config, label_name_bytes, CONFIG_UINT,
		   .def = "1024", .min = "1", .max = "65535", RELOAD,
		   .help = "Longest label name."),
	CONFIG_ROW("label_value_bytes", struct limits_config, label_value_bytes, CONFIG_UINT,
		   .def = "4096", .min = "1", .max = "1048576", RELOAD,
		   .help = "Longest label value."),
	CONFIG_ROW("series_bytes", struct limits_config, series_bytes, CONFIG_SIZE, .def = "64KiB",
		   .min = "256B", .max = "1MiB", RELOAD,
		   .help = "All labels of one series together."),
	CONFIG_ROW(
		"samples_per_second", struct limits_config, samples_per_second, CONFIG_UINT,
		.def = "0", .max = "1000000000", RELOAD,
		.help = "Samples a second of each tenant, and of all requests without one; 0 = no limit."),
	CONFIG_ROW("rate_status", struct limits_config, rate_status, CONFIG_ENUM, .def = "429",
		   .names = route_rate_status_names, RELOAD, .help = "Answer when they are more."),
	CONFIG_ROW(
		"tenants", struct limits_config, tenants, CONFIG_UINT, .def = "1024", .min = "1",
		.max = "65536", RELOAD,
		.help = "Tenants of samples_per_second that are told apart at a time; more share one bucket."),
	{},
};

const struct config_row route_window_rows[] = {
	CONFIG_ROW("max_age", struct window_config, max_age, CONFIG_DURATION, .def = "0s",
		   .max = "3650d", RELOAD,
		   .help = "Samples that are older are late; 0 = no limit."),
	CONFIG_ROW("max_ahead", struct window_config, max_ahead, CONFIG_DURATION, .def = "0s",
		   .max = "3650d", RELOAD,
		   .help = "Samples that are newer are of the future; 0 = no limit."),
	CONFIG_ROW("action", struct window_config, action, CONFIG_ENUM, .def = "drop",
		   .names = window_actions, RELOAD, .help = "What becomes of them."),
	CONFIG_ROW("route", struct window_config, route, CONFIG_STRING, .def = "", RELOAD,
		   .help = "The route that alone gets them."),
	{},
};

static const struct config_row metadata_rows[] = {
	CONFIG_ROW(
		"mode", struct metadata_config, mode, CONFIG_ENUM, .def = "replicate",
		.names = metadata_modes, RELOAD,
		.help = "Nodes that get metadata of version 1: all of each route, one by the family, none. drop also takes it from series of version 2."),
	CONFIG_ROW(
		"families", struct metadata_config, families, CONFIG_UINT, .def = "100000",
		.max = "10000000", RELOAD,
		.help = "Families whose metadata of version 1 is remembered for nodes that get version 2; the least recently used goes."),
	CONFIG_ROW(
		"interval", struct metadata_config, interval, CONFIG_DURATION, .def = "1m",
		.min = "1s", .max = "1d", RELOAD,
		.help = "Time between two sendings of a family's metadata to a node that gets version 1."),
	{},
};

static const struct config_row cache_rows[] = {
	{ .key = "max_bytes",
	  .type = CONFIG_SIZE,
	  .size = 8,
	  .def = "96MiB",
	  .max = "64GiB",
	  RELOAD,
	  .help = "Decision caches of all workers together; 0 = none." },
	{},
};

static const struct config_row routing_rows[] = {
	CONFIG_ROW("mode", struct routing_config, mode, CONFIG_ENUM, .def = "all",
		   .names = routing_modes, RELOAD,
		   .help = "Does a series go to all routes that take it, or to the first."),
	CONFIG_ROW("default_route", struct routing_config, default_route, CONFIG_STRING, .def = "",
		   RELOAD, .help = "Route of what no other takes."),
	{},
};

/* --- destinations --- */

static const struct config_row tls_rows[] = {
	CONFIG_ROW("ca_file", struct tls_client_config, ca_file, CONFIG_STRING, .def = "", RELOAD,
		   .help = "Authorities that are believed; without it the system's."),
	CONFIG_ROW("cert_file", struct tls_client_config, cert_file, CONFIG_STRING, .def = "",
		   RELOAD, .help = "Certificate shown to the node."),
	CONFIG_ROW("key_file", struct tls_client_config, key_file, CONFIG_STRING, .def = "", RELOAD,
		   .help = "Its key."),
	CONFIG_ROW("server_name", struct tls_client_config, server_name, CONFIG_STRING, .def = "",
		   RELOAD,
		   .help = "Name that the node's certificate must have; without it the URL's host."),
	CONFIG_ROW("insecure_skip_verify", struct tls_client_config, insecure_skip_verify,
		   CONFIG_BOOL, .def = "false", RELOAD,
		   .help = "The node's certificate is not checked."),
	CONFIG_ROW("min_version", struct tls_client_config, min_version, CONFIG_ENUM,
		   .def = "TLS12", .names = tls_versions, RELOAD, .help = "Oldest version of TLS."),
	{},
};

static const struct config_row basic_auth_rows[] = {
	CONFIG_ROW("username", struct basic_auth_config, username, CONFIG_STRING, .def = "", RELOAD,
		   .help = "User."),
	CONFIG_ROW("password", struct basic_auth_config, password, CONFIG_STRING, .def = "",
		   .flags = CONFIG_RELOAD | CONFIG_SECRET, .help = "Password."),
	CONFIG_ROW("password_file", struct basic_auth_config, password_file, CONFIG_STRING,
		   .def = "", RELOAD, .help = "File of the password, read again when it changes."),
	{},
};

static const struct config_row authorization_rows[] = {
	CONFIG_ROW("type", struct authorization_config, type, CONFIG_STRING, .def = "Bearer",
		   RELOAD, .help = "Scheme."),
	CONFIG_ROW("credentials", struct authorization_config, credentials, CONFIG_STRING,
		   .def = "", .flags = CONFIG_RELOAD | CONFIG_SECRET, .help = "Token."),
	CONFIG_ROW("credentials_file", struct authorization_config, credentials_file, CONFIG_STRING,
		   .def = "", RELOAD, .help = "File of the token, read again when it changes."),
	{},
};

static const struct config_row tenant_rows[] = {
	CONFIG_ROW("header", struct tenant_config, header, CONFIG_STRING, .def = "X-Scope-OrgID",
		   RELOAD, .help = "Header that names the tenant."),
	CONFIG_ROW("value", struct tenant_config, value, CONFIG_STRING, .def = "", RELOAD,
		   .help = "Tenant; without it no header is sent."),
	CONFIG_ROW("from_request", struct tenant_config, from_request, CONFIG_BOOL, .def = "false",
		   RELOAD, .help = "The sender's header is passed on."),
	{},
};

#define AGGREGATION key.aggregation
static const struct config_row aggregation_rows[] = {
	INNER("sets", struct shard_config, AGGREGATION, sets, CONFIG_STRINGS, .max_items = 64,
	      RELOAD, .help = "Own aggregation sets."),
	INNER("rules_file", struct shard_config, AGGREGATION, rules_file, CONFIG_STRING, .def = "",
	      RELOAD, .help = "Aggregation rules of the receivers, in the format of vmagent."),
	{},
};

static const struct config_row key_rows[] = {
	INNER("by", struct shard_config, key, by, CONFIG_STRINGS, .max_items = 64, RELOAD,
	      .help = "Labels that make the key."),
	INNER("without", struct shard_config, key, without, CONFIG_STRINGS, .max_items = 64, RELOAD,
	      .help = "Labels that do not belong to the key, all others do."),
	INNER("aggregation", struct shard_config, key, aggregation, CONFIG_MAP,
	      .rows = aggregation_rows, .help = "Key out of aggregation rules."),
	{},
};

static const struct config_row task_label_rows[] = {
	INNER("enabled", struct shard_config, task_label, enabled, CONFIG_BOOL, .def = "false",
	      RELOAD, .help = "Is the task written into the series."),
	INNER("name", struct shard_config, task_label, name, CONFIG_STRING, .def = "stream_task_id",
	      RELOAD, .help = "Name of the label."),
	INNER("on_existing", struct shard_config, task_label, on_existing, CONFIG_ENUM,
	      .def = "replace", .names = existing, RELOAD,
	      .help = "What becomes of a label that is there already."),
	{},
};

const struct config_row route_shard_rows[] = {
	CONFIG_ROW("algorithm", struct shard_config, algorithm, CONFIG_ENUM, .def = "native",
		   .names = shard_algorithm_names, RELOAD,
		   .help = "How series become tasks and tasks nodes."),
	CONFIG_ROW("tasks", struct shard_config, tasks, CONFIG_UINT, .def = "4096", .min = "1",
		   .max = "65536", RELOAD, .help = "Number of tasks, for ever."),
	CONFIG_ROW("seed", struct shard_config, seed, CONFIG_U64, .def = "0", RELOAD,
		   .help = "Seed of the key's hash, the same on all gateways."),
	MAP("key", struct shard_config, key, key_rows, "Labels that decide."),
	CONFIG_ROW("family", struct shard_config, family, CONFIG_BOOL, .def = "true", RELOAD,
		   .help = "Series of one histogram or summary stay together."),
	CONFIG_ROW("replicas", struct shard_config, replicas, CONFIG_UINT, .def = "1", .min = "1",
		   .max = "5", RELOAD, .help = "Nodes that get each task."),
	CONFIG_ROW("zone_aware", struct shard_config, zone_aware, CONFIG_BOOL, .def = "true",
		   RELOAD, .help = "Replicas stand in different zones where that can be."),
	CONFIG_ROW("overload", struct shard_config, overload, CONFIG_PERCENT, .def = "2%",
		   .max = "100%", RELOAD, .help = "What a node may have above its share."),
	CONFIG_ROW("table_file", struct shard_config, table_file, CONFIG_STRING, .def = "", RELOAD,
		   .help = "Pinned table, made by telamon route plan."),
	CONFIG_ROW(
		"move_at", struct shard_config, move_at, CONFIG_ENUM, .def = "now", .names = moves,
		RELOAD,
		.help = "When a new table takes over: now, or for samples after a boundary of time."),
	CONFIG_ROW(
		"move_interval", struct shard_config, move_interval, CONFIG_DURATION, .def = "5m",
		.min = "1s", .max = "1d", RELOAD,
		.help = "Boundaries at which it may; with aggregation rules their common interval."),
	CONFIG_ROW("effective_at", struct shard_config, effective_at, CONFIG_STRING, .def = "",
		   .check = check_time, RELOAD,
		   .help = "The boundary itself, RFC 3339, the same on all gateways."),
	MAP("task_label", struct shard_config, task_label, task_label_rows, "Label of the task."),
	{},
};

const struct config_row route_batch_rows[] = {
	CONFIG_ROW("max_samples", struct batch_config, max_samples, CONFIG_UINT, .def = "10000",
		   .min = "1", .max = "1000000", RELOAD, .help = "Samples of one block."),
	CONFIG_ROW("max_bytes", struct batch_config, max_bytes, CONFIG_SIZE, .def = "4MiB",
		   .min = "4KiB", .max = "64MiB", RELOAD,
		   .help = "Bytes of one block before compression."),
	CONFIG_ROW("linger", struct batch_config, linger, CONFIG_DURATION, .def = "20ms",
		   .max = "10s", RELOAD, .help = "Longest time that a row waits for others."),
	CONFIG_ROW("split_by_labels", struct batch_config, split_by_labels, CONFIG_STRINGS,
		   .max_items = 8, RELOAD,
		   .help = "Blocks hold one value of each of these labels."),
	{},
};

const struct config_row route_queue_rows[] = {
	CONFIG_ROW("memory", struct queue_config, memory, CONFIG_SIZE, .def = "8MiB",
		   .min = "64KiB", .max = "64GiB", RELOAD, .help = "Memory tier of one node."),
	CONFIG_ROW("disk", struct queue_config, disk, CONFIG_SIZE, .def = "4GiB", .max = "64TiB",
		   RELOAD, .help = "Disk tier of one node; 0 = none."),
	CONFIG_ROW("segment", struct queue_config, segment, CONFIG_SIZE, .def = "16MiB",
		   .min = "1MiB", .max = "512MiB", RELOAD, .help = "Size of a segment file."),
	CONFIG_ROW("min_free_disk", struct queue_config, min_free_disk, CONFIG_SIZE,
		   .def = "512MiB", .max = "1TiB", RELOAD,
		   .help = "Free space that the queue leaves to others."),
	CONFIG_ROW("ack", struct queue_config, ack, CONFIG_ENUM, .def = "disk", .names = acks,
		   RELOAD, .help = "Where a block is when its request is answered."),
	CONFIG_ROW("full", struct queue_config, full, CONFIG_ENUM, .def = "block", .names = fulls,
		   RELOAD, .help = "What a full queue does."),
	CONFIG_ROW("drain", struct queue_config, drain, CONFIG_ENUM, .def = "fifo", .names = drains,
		   RELOAD, .help = "Order in which a backlog leaves."),
	CONFIG_ROW("max_age", struct queue_config, max_age, CONFIG_DURATION, .def = "0s",
		   .max = "365d", RELOAD,
		   .help = "Blocks that are older are dropped and counted; 0 = never."),
	CONFIG_ROW("dead_letter", struct queue_config, dead_letter, CONFIG_SIZE, .def = "256MiB",
		   .max = "1TiB", RELOAD, .help = "Room for blocks that a node refused for good."),
	CONFIG_ROW("retire_timeout", struct queue_config, retire_timeout, CONFIG_DURATION,
		   .def = "1h", .max = "30d", RELOAD,
		   .help = "How long the queue of a removed node is still sent."),
	{},
};

#define RETRY retry
static const struct config_row retry_rows[] = {
	INNER("min", struct send_config, RETRY, min, CONFIG_DURATION, .def = "100ms", .min = "1ms",
	      .max = "10s", RELOAD, .help = "First wait."),
	INNER("max", struct send_config, RETRY, max, CONFIG_DURATION, .def = "30s", .min = "1ms",
	      .max = "60s", RELOAD, .help = "Longest wait."),
	INNER("retry_after_max", struct send_config, RETRY, retry_after_max, CONFIG_DURATION,
	      .def = "5m", .max = "1h", RELOAD, .help = "Longest wait that a node may ask for."),
	INNER("poison_attempts", struct send_config, RETRY, poison_attempts, CONFIG_UINT,
	      .def = "8", .min = "2", .max = "1000", RELOAD,
	      .help = "Failures after which a block is suspected itself."),
	INNER("client_error_hold", struct send_config, RETRY, client_error_hold, CONFIG_DURATION,
	      .def = "5m", .max = "1d", RELOAD,
	      .help = "Wait after an answer that blames the gateway; 0 = dead letter."),
	{},
};

static const struct config_row breaker_rows[] = {
	INNER("failures", struct send_config, breaker, failures, CONFIG_UINT, .def = "5",
	      .min = "1", .max = "1000", RELOAD, .help = "Failures in a row that open it."),
	INNER("open", struct send_config, breaker, open, CONFIG_DURATION, .def = "30s", .min = "1s",
	      .max = "10m", RELOAD, .help = "Time until it lets one request through."),
	INNER("successes", struct send_config, breaker, successes, CONFIG_UINT, .def = "3",
	      .min = "1", .max = "100", RELOAD, .help = "Successes in a row that close it."),
	{},
};

const struct config_row route_send_rows[] = {
	CONFIG_ROW("protocol", struct send_config, protocol, CONFIG_ENUM, .def = "auto",
		   .names = protocols, RELOAD,
		   .help = "Version of remote write that the node speaks."),
	CONFIG_ROW("rw2_start_timestamp", struct send_config, rw2_start_timestamp, CONFIG_ENUM,
		   .def = "sample", .names = starts, RELOAD,
		   .help = "Where start timestamps are written."),
	CONFIG_ROW("rw1_custom_buckets", struct send_config, rw1_custom_buckets, CONFIG_ENUM,
		   .def = "drop", .names = custom_buckets, RELOAD,
		   .help = "Histograms with custom buckets in version 1."),
	CONFIG_ROW("lanes", struct send_config, lanes, CONFIG_UINT, .def = "4", .min = "1",
		   .max = "64", RELOAD, .help = "Requests in flight, one per lane."),
	CONFIG_ROW("timeout", struct send_config, timeout, CONFIG_DURATION, .def = "30s",
		   .min = "1s", .max = "10m", RELOAD, .help = "Time for one request."),
	CONFIG_ROW("connect_timeout", struct send_config, connect_timeout, CONFIG_DURATION,
		   .def = "5s", .min = "100ms", .max = "1m", RELOAD,
		   .help = "Time for the connection."),
	MAP("retry", struct send_config, retry, retry_rows, "Waits and repetitions."),
	MAP("breaker", struct send_config, breaker, breaker_rows, "Breaker of the node."),
	{},
};

#define ACCESS_ROWS(structure)                                                          \
	MAP("tls_config", structure, tls_config, tls_rows, "TLS to the node."),         \
		MAP("basic_auth", structure, basic_auth, basic_auth_rows,               \
		    "Basic authentication."),                                           \
		MAP("authorization", structure, authorization, authorization_rows,      \
		    "Authorization header."),                                           \
		MAP("headers", structure, headers, pairs_rows, "Further headers."),     \
		MAP("tenant", structure, tenant, tenant_rows, "Tenant."),               \
		MAP("queue", structure, queue, route_queue_rows, "Queue of one node."), \
		MAP("send", structure, send, route_send_rows, "How blocks are sent.")

static const struct config_row node_rows[] = {
	CONFIG_ROW("name", struct node_config, name, CONFIG_STRING, .check = check_name,
		   .flags = CONFIG_REQUIRED | CONFIG_RELOAD,
		   .help = "Identity of the node and its queue, for ever."),
	CONFIG_ROW("url", struct node_config, url, CONFIG_STRING,
		   .flags = CONFIG_REQUIRED | CONFIG_RELOAD | CONFIG_URL,
		   .help = "Where it takes remote write."),
	CONFIG_ROW("weight", struct node_config, weight, CONFIG_UINT, .def = "1", .max = "100",
		   RELOAD, .help = "Share; 0 = no tasks, the queue is still sent."),
	CONFIG_ROW("zone", struct node_config, zone, CONFIG_STRING, .def = "", .check = check_zone,
		   RELOAD, .help = "Failure domain."),
	ACCESS_ROWS(struct node_config),
	{},
};

static const struct config_row destination_rows[] = {
	CONFIG_ROW("name", struct destination_config, name, CONFIG_STRING, .check = check_name,
		   .flags = CONFIG_REQUIRED | CONFIG_RELOAD, .help = "Name of the destination."),
	CONFIG_ROW("type", struct destination_config, type, CONFIG_ENUM, .def = "remote_write",
		   .names = destination_types, RELOAD, .help = "What it is."),
	CONFIG_ROW("nodes", struct destination_config, nodes, CONFIG_LIST, .rows = node_rows,
		   .item_size = sizeof(struct node_config), .max_items = 1024, RELOAD,
		   .help = "Its receivers."),
	CONFIG_ROW("discovery", struct destination_config, discovery, CONFIG_ANY, RELOAD,
		   .help = "Receivers out of files or DNS: not built in this version."),
	CONFIG_ROW("kafka", struct destination_config, kafka, CONFIG_ANY, RELOAD,
		   .help = "Keys of type kafka: not built in this version."),
	CONFIG_ROW("file", struct destination_config, file, CONFIG_ANY, RELOAD,
		   .help = "Keys of type file: not built in this version."),
	ACCESS_ROWS(struct destination_config),
	MAP("add_labels", struct destination_config, add_labels, pairs_rows,
	    "Constant labels; a label that is there wins."),
	MAP("shard", struct destination_config, shard, route_shard_rows, "Series to nodes."),
	MAP("batch", struct destination_config, batch, route_batch_rows, "Size of blocks."),
	{},
};

static const struct config_row defaults_rows[] = {
	MAP("shard", struct defaults_config, shard, route_shard_rows, "Series to nodes."),
	MAP("batch", struct defaults_config, batch, route_batch_rows, "Size of blocks."),
	MAP("queue", struct defaults_config, queue, route_queue_rows, "Queue of one node."),
	MAP("send", struct defaults_config, send, route_send_rows, "How blocks are sent."),
	{},
};

/* --- routes --- */

const struct config_row route_rule_rows[] = {
	CONFIG_ROW("name", struct route_rule_config, name, CONFIG_STRING, .check = check_name,
		   .flags = CONFIG_REQUIRED | CONFIG_RELOAD, .help = "Name of the route."),
	CONFIG_ROW("destination", struct route_rule_config, destination, CONFIG_STRING,
		   .flags = CONFIG_REQUIRED | CONFIG_RELOAD, .help = "Where it leads."),
	CONFIG_ROW("input", struct route_rule_config, input, CONFIG_STRING, .def = "any", RELOAD,
		   .help = "any, received, aggregated or aggregation:RULE."),
	CONFIG_ROW("match", struct route_rule_config, match, CONFIG_STRINGS, .max_items = 256,
		   .flags = CONFIG_RELOAD | CONFIG_ONE_OR_MANY,
		   .help = "Selectors, any of them; without one all series."),
	RELABEL_LIST(struct route_rule_config, relabel_configs),
	CONFIG_ROW("relabel_dialect", struct route_rule_config, relabel_dialect, CONFIG_ENUM,
		   .def = "prometheus", .names = dialects, RELOAD, .help = "Dialect of its rules."),
	MAP("time_window", struct route_rule_config, time_window, route_window_rows,
	    "Ages that it takes."),
	CONFIG_ROW("metadata", struct route_rule_config, metadata, CONFIG_BOOL, .def = "true",
		   RELOAD, .help = "Does metadata go this way, too."),
	CONFIG_ROW("stop", struct route_rule_config, stop, CONFIG_BOOL, .def = "false", RELOAD,
		   .help = "Later routes do not see what this one took."),
	{},
};

/* --- the original's form --- */

static const struct config_row upstream_rows[] = {
	CONFIG_ROW("upstream_type", struct compat_upstreams, type, CONFIG_STRING, .def = "", RELOAD,
		   .help = "remotewriter or kafka."),
	CONFIG_ROW("upstream_urls", struct compat_upstreams, urls, CONFIG_STRINGS,
		   .max_items = 1024, RELOAD, .help = "Receivers."),
	CONFIG_ROW("kafka_config", struct compat_upstreams, kafka, CONFIG_ANY, RELOAD,
		   .help = "Keys of Kafka: not built in this version."),
	GONE("up_streams_type", "no version reads this key: write upstream_type"),
	GONE("kafka_topic", "no version reads this key: write kafka_config.topic"),
	{},
};

static const struct config_row hash_rows[] = {
	CONFIG_ROW("mode", struct compat_hash, mode, CONFIG_STRING, .def = "0", .check = check_mode,
		   RELOAD, .help = "Number of tasks."),
	CONFIG_ROW("labels", struct compat_hash, labels, CONFIG_STRINGS, .max_items = 64, RELOAD,
		   .help = "Labels of the node's key; without any the task's hash is taken again."),
	CONFIG_ROW("algorithm", struct compat_hash, algorithm, CONFIG_ENUM, .def = "jump",
		   .names = shard_algorithm_names, RELOAD, .help = "Hash."),
	{},
};

static const struct config_row compat_rows[] = {
	CONFIG_ROW("router_name", struct compat_rule, name, CONFIG_STRING, .check = check_name,
		   .flags = CONFIG_REQUIRED | CONFIG_RELOAD,
		   .help = "Name of route and destination."),
	GONE("up_streams", "no version reads this key: write upstreams"),
	MAP("upstreams", struct compat_rule, upstreams, upstream_rows, "Receivers."),
	MAP("hash_labels", struct compat_rule, hash, hash_rows, "Hashing."),
	CONFIG_ROW("metric_relabel_configs", struct compat_rule, relabel_configs, CONFIG_LIST,
		   .rows = route_relabel_rows, .item_size = sizeof(struct relabel_rule_config),
		   .max_items = 1000, RELOAD, .help = "Relabelling rules in order."),
	{},
};

/* --- the file --- */

static const struct config_row root_rows[] = {
	RELABEL_LIST(struct root_config, relabel_configs),
	CONFIG_ROW("name_validation", struct root_config, name_validation, CONFIG_ENUM,
		   .def = "utf8", .names = name_validations, RELOAD,
		   .help = "Label names that a rule may make."),
	CONFIG_ROW("relabel_dialect", struct root_config, relabel_dialect, CONFIG_ENUM,
		   .def = "prometheus", .names = dialects, RELOAD, .help = "Dialect of all rules."),
	CONFIG_ROW("destinations", struct root_config, destinations, CONFIG_LIST,
		   .rows = destination_rows, .item_size = sizeof(struct destination_config),
		   .max_items = 1000, RELOAD, .help = "Where routes lead."),
	CONFIG_ROW("routes", struct root_config, routes, CONFIG_LIST, .rows = route_rule_rows,
		   .item_size = sizeof(struct route_rule_config), .max_items = 1000, RELOAD,
		   .help = "Which series go where."),
	GONE("router_rule", "no version reads this key: write router_rules"),
	CONFIG_ROW("router_rules", struct root_config, router_rules, CONFIG_LIST,
		   .rows = compat_rows, .item_size = sizeof(struct compat_rule), .max_items = 1000,
		   RELOAD, .help = "The original gateway's form of routes and destinations."),
	{},
};

static const struct config_section sections[] = {
	{ "global", global_rows, sizeof(char *) },
	{ "receive", receive_rows, sizeof(struct receive_config) },
	{ "limits", limits_rows, sizeof(struct limits_config) },
	{ "time_window", route_window_rows, sizeof(struct window_config) },
	{ "metadata", metadata_rows, sizeof(struct metadata_config) },
	{ "relabel_cache", cache_rows, sizeof(uint64_t) },
	{ "routing", routing_rows, sizeof(struct routing_config) },
	{ "defaults", defaults_rows, sizeof(struct defaults_config) },
	{ "", root_rows, sizeof(struct root_config) },
	{},
};

const struct config_section *route_config_sections(void)
{
	return sections;
}

int route_blank(struct arena *arena, struct destination_config *d, struct node_config *n,
		struct route_rule_config *r)
{
	int e = config_set_defaults(destination_rows, arena, memset(d, 0, sizeof(*d)));

	if (e >= 0)
		e = config_set_defaults(node_rows, arena, memset(n, 0, sizeof(*n)));
	if (e >= 0)
		e = config_set_defaults(route_rule_rows, arena, memset(r, 0, sizeof(*r)));
	return e;
}
