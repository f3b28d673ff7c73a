/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config/config.h"
#include "route/relabel/relabel.h"
#include "route/relabel/selector.h"
#include "route/shard/rules.h"

/*
 * The gateway's file: rows, checks across keys, and the form of the original gateway
 *
 * Member names are the keys. After route_config_load() everything is checked, inherited and compiled: what stands here can be built.
 */
struct relabel_rule_config {
	struct config_strings source_labels, regex, condition; /* if */
	const char *separator, *target_label, *replacement, *action, *match;
	uint64_t modulus;
	struct config_pairs labels; /* graphite */
};

struct window_config {
	uint64_t max_age, max_ahead; /* µs, 0 = off */
	int action; /* enum window_action */
	const char *route;
};
enum window_action { WINDOW_DROP, WINDOW_ROUTE };

struct receive_config {
	uint64_t max_body, max_decompressed, max_inflight;
	bool require_metric_name, validate_histograms;
	int full_status; /* enum full_status */
	uint64_t header_timeout, min_body_rate, idle_timeout;
	struct config_strings bearer_token_files;
};
enum full_status {
	FULL_503,
	FULL_429
}; /* also of rate_status, the other way round there: RATE_429, RATE_503 */
enum rate_status { RATE_429, RATE_503 };

struct limits_config {
	uint32_t connections, connections_per_ip;
	uint32_t series_per_request, samples_per_request, symbols_per_request;
	uint32_t labels_per_series, label_name_bytes, label_value_bytes;
	uint64_t series_bytes;
	uint32_t samples_per_second;
	int rate_status;
	uint32_t tenants;
};

struct metadata_config {
	int mode; /* enum metadata_mode */
	uint32_t families;
	uint64_t interval;
};
enum metadata_mode { METADATA_REPLICATE, METADATA_SHARD, METADATA_DROP };

struct tls_client_config {
	const char *ca_file, *cert_file, *key_file, *server_name;
	bool insecure_skip_verify;
	int min_version; /* 0 TLS12, 1 TLS13 */
};
struct basic_auth_config {
	const char *username, *password, *password_file;
};
struct authorization_config {
	const char *type, *credentials, *credentials_file;
};
struct tenant_config {
	const char *header, *value;
	bool from_request;
};

struct shard_config {
	int algorithm; /* enum shard_algorithm */
	uint32_t tasks;
	uint64_t seed;
	struct {
		struct config_strings by, without;
		struct {
			struct config_strings sets;
			const char *rules_file;
		} aggregation;
	} key;
	bool family;
	uint32_t replicas;
	bool zone_aware;
	uint32_t overload; /* percent, 0 = off */
	const char *table_file;
	int move_at; /* enum shard_move_at */
	uint64_t move_interval;
	const char *effective_at;
	struct {
		bool enabled;
		const char *name;
		int on_existing; /* enum task_label_existing */
	} task_label;
};
enum shard_move_at { MOVE_NOW, MOVE_BOUNDARY };
enum task_label_existing { TASK_LABEL_REPLACE, TASK_LABEL_KEEP, TASK_LABEL_REJECT };

struct batch_config {
	uint32_t max_samples;
	uint64_t max_bytes, linger;
	struct config_strings split_by_labels;
};

struct queue_config {
	uint64_t memory, disk, segment, min_free_disk;
	int ack, full, drain; /* enum queue_ack, queue_full, queue_drain */
	uint64_t max_age, dead_letter, retire_timeout;
};

struct send_config {
	int protocol, rw2_start_timestamp, rw1_custom_buckets;
	uint32_t lanes;
	uint64_t timeout, connect_timeout;
	struct {
		uint64_t min, max, retry_after_max;
		uint32_t poison_attempts;
		uint64_t client_error_hold;
	} retry;
	struct {
		uint32_t failures;
		uint64_t open;
		uint32_t successes;
	} breaker;
};

struct node_config {
	const char *name, *url, *zone;
	uint32_t weight;
	struct tls_client_config tls_config;
	struct basic_auth_config basic_auth;
	struct authorization_config authorization;
	struct config_pairs headers;
	struct tenant_config tenant;
	struct queue_config queue;
	struct send_config send;
};

enum destination_type {
	DESTINATION_REMOTE_WRITE,
	DESTINATION_AGGREGATE,
	DESTINATION_KAFKA,
	DESTINATION_FILE
};
struct destination_config {
	const char *name;
	int type;
	struct config_list nodes; /* struct node_config */
	bool discovery, kafka, file; /* given; not built in this version */
	struct tls_client_config tls_config;
	struct basic_auth_config basic_auth;
	struct authorization_config authorization;
	struct config_pairs headers, add_labels;
	struct tenant_config tenant;
	struct shard_config shard;
	struct shard_rules *rules; /* of shard.key.aggregation.rules_file, compiled; NULL = none */
	struct batch_config batch;
	struct queue_config queue;
	struct send_config send;
	/* Of the original's form: node by hash of these labels (GW-SH-2). */
	bool compat;
	struct config_strings compat_labels;
};

struct route_rule_config {
	const char *name, *destination, *input;
	struct config_strings match;
	struct config_list relabel_configs; /* struct relabel_rule_config */
	int relabel_dialect; /* enum relabel_dialect; not given: that of the file */
	struct window_config time_window;
	bool metadata, stop;
	/* Compiled. */
	struct relabel *relabel;
	uint64_t decisions; /* hash of match and rules as written: the same text decides the same */
	struct selector *const *selectors;
	size_t destination_index;
	int window_route; /* of time_window, -1 = none */
};

enum routing_mode { ROUTING_ALL, ROUTING_FIRST_MATCH };
struct route_config {
	struct config *config; /* owns all text */
	bool compat; /* the document has router_rules */
	const struct receive_config *receive;
	const struct limits_config *limits;
	const struct window_config *time_window;
	const struct metadata_config *metadata;
	uint64_t relabel_cache_bytes;
	bool legacy_names;
	int routing_mode;
	int default_route; /* index, -1 = none */
	int window_route; /* of time_window, -1 = none */
	struct relabel *relabel; /* global relabel_configs; NULL = none */
	struct destination_config *destinations;
	size_t n_destinations;
	struct route_rule_config *routes;
	size_t n_routes;
	struct diags warnings;
	unsigned refs; /* under the lock of who shares it */
};

/* For the reader, the docs and the example file; ends with {}. */
const struct config_section *route_config_sections(void);
/* All errors in @diags. 0; -EINVAL; -errno of the file. */
int route_config_load(const char *path, struct diags *diags, struct route_config **ret);
int route_config_parse(const char *text, size_t len, const char *name, struct diags *diags,
		       struct route_config **ret);
/* One more who frees it. */
struct route_config *route_config_ref(struct route_config *c);
struct route_config *route_config_free(struct route_config *c);
DEFINE_CLEANUP(struct route_config *, route_config_free);
