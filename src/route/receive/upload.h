/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "route/internal.h"

/*
 * One body on its way in: its memory, and its share of what all bodies in work may hold
 *
 * receive.max_inflight counts what has come of a body until it is decoded, then the larger of both forms.
 */
struct upload {
	struct upload *next_free;
	struct http_request *q;
	struct route_worker *worker;
	uint8_t *body;
	size_t size, len, seen;
	enum path_index path;
	enum rw_version version;
	enum rw_encoding encoding;
	unsigned hops;
	uint64_t began_us, held; /* bytes of receive.max_inflight */
	struct ticket ticket;
	struct pipeline_answer answer;
	bool waiting, taken;
	bool too_large, no_room; /* what else comes is read and thrown away */
};

struct upload *upload_new(struct route_worker *w); /* NULL: no memory */
void upload_free(struct upload *u);
bool upload_grow(struct upload *u, size_t need);
/* Its share becomes @bytes. False: all together would hold too much, its share stays. One alone always has room. */
bool upload_hold(struct upload *u, uint64_t bytes);
