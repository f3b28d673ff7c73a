/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "route/wire/sample_body.h"

/* Remote write as fast as it is answered, or at a rate; one thread, plain sockets, http only. */
struct load_options {
	const char *host, *path; /* "127.0.0.1:8080", "/api/v1/write" */
	struct sample_shape shape;
	enum rw_version version;
	uint32_t series, per_request, connections;
	uint64_t rate; /* samples per second, 0 = no limit */
	uint64_t duration_us, requests; /* the end is what comes first; 0 = no limit */
};

struct load_result {
	uint64_t requests, samples, bytes, raw_bytes; /* answered with 2xx, bytes as sent */
	uint64_t by_status[600]; /* [0]: no answer */
	uint64_t elapsed_us;
	uint64_t p50_us, p99_us, max_us; /* with a rate: from the moment at which it was due */
	char why[256]; /* of the last failure without an answer, "" = none */
};
/* 0; -errno with @ret->why when it could not even begin. */
int load_run(const struct load_options *o, struct load_result *ret);
