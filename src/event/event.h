/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "base/strbuf.h"

/*
 * The event form: one JSON object a line, flat OpenTelemetry keys
 *
 * An event is written once, into a buffer of fixed size, as the JSON that journal, clients and sinks all get; beside it
 * stand the few values that are filtered on. A field that is unknown is not written. Building allocates nothing.
 */
enum event_severity {
	SEVERITY_INFO = 9,
	SEVERITY_NOTICE = 10, /* INFO2 */
	SEVERITY_WARN = 13,
	SEVERITY_ERROR = 17,
	SEVERITY_FATAL = 21,
};
const char *event_severity_text(int severity); /* INFO INFO2 WARN ERROR FATAL */
int event_severity_from_string(
	const char *s); /* number, OTel text or info notice warning high critical; -EINVAL */

#define EVENT_BYTES_MAX 65536

/* Values that are filtered on; "" or 0 = not known. They point into the JSON or to the caller until publication. */
struct event_keys {
	const char *name; /* event.name */
	int severity;
	uint64_t wall_ns;
	uint64_t sequence; /* given by event_begin() */
	const char *container_id, *container_name, *namespace, *pod, *workload, *cgroup;
	uint32_t pid;
	const char *json; /* the whole event, for what is no key of its own; NULL = not at hand */
	size_t json_len;
};

struct event_buf {
	struct strbuf json; /* fixed */
	struct event_keys keys;
	uint64_t boot_ns;
	bool lossy; /* some text was not UTF-8: telamon.lossy_text is written at the end */
	bool overflow; /* did not fit */
	unsigned depth;
	bool comma[4];
	const char *truncated_names[8];
};

struct event_origin; /* who publishes: host.name, host.id, id prefix, sequence */
int event_origin_new(const char *host_name, const char *host_id, struct event_origin **ret);
struct event_origin *event_origin_free(struct event_origin *o);
DEFINE_CLEANUP(struct event_origin *, event_origin_free);
const char *event_origin_start(const struct event_origin *o); /* "01JD9X3M6Q": the <start> of ids */

void event_buf_init(struct event_buf *b, char *memory, size_t size); /* size ≥ EVENT_BYTES_MAX */
/* Writes the common fields: timestamp, event.name, severity, host, telamon.id, telamon.boottime_ns. */
void event_begin(struct event_buf *b, struct event_origin *o, const char *name, int severity,
		 uint64_t wall_ns, uint64_t boot_ns);
void event_str(struct event_buf *b, const char *key,
	       const char *value); /* NULL or "": not written */
void event_strn(struct event_buf *b, const char *key, const char *value, size_t len);
void event_u64(struct event_buf *b, const char *key, uint64_t v);
void event_u64_str(struct event_buf *b, const char *key, uint64_t v); /* ids that may pass 2^53 */
void event_i64(struct event_buf *b, const char *key, int64_t v);
void event_f64(struct event_buf *b, const char *key, double v,
	       unsigned digits); /* not finite: not written */
void event_bool(struct event_buf *b, const char *key, bool v);
void event_time(struct event_buf *b, const char *key, uint64_t wall_ns);
/* Arrays and the objects inside them; in an array the key is NULL. */
void event_array(struct event_buf *b, const char *key);
void event_array_end(struct event_buf *b);
void event_object(struct event_buf *b, const char *key);
void event_object_end(struct event_buf *b);
/* OOM-309: room left for arrays; an item that does not fit is rolled back and the array named in truncated[]. */
struct event_mark {
	size_t len;
	unsigned depth;
	bool comma[4];
};
struct event_mark event_mark(const struct event_buf *b);
void event_rollback(struct event_buf *b, struct event_mark m, const char *array_name);
bool event_room(const struct event_buf *b,
		size_t reserve); /* more than @reserve bytes left below EVENT_BYTES_MAX */
int event_end(struct event_buf *b); /* closes the object; -ENOSPC when it never fitted */
