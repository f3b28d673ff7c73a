/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building an event
 *
 * JSON is written straight into a fixed buffer: no tree, no allocation. A small tail is kept back for what event_end() adds.
 * Ids are <start>-<sequence>: start is the agent's start time in ms as 10 digits of Crockford's base 32, so ids sort by time.
 */

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "base/time.h"
#include "event/event.h"

#define TAIL_BYTES 256 /* telamon.truncated, telamon.lossy_text, the closing brace */

struct event_origin {
	char host_name[256], host_id[64], start[11];
	_Atomic uint64_t sequence;
};

static const struct {
	int severity;
	const char *text, *word;
} severities[] = {
	{ SEVERITY_INFO, "INFO", "info" },	 { SEVERITY_NOTICE, "INFO2", "notice" },
	{ SEVERITY_WARN, "WARN", "warning" },	 { SEVERITY_ERROR, "ERROR", "high" },
	{ SEVERITY_FATAL, "FATAL", "critical" },
};

const char *event_severity_text(int severity)
{
	for (size_t i = 0; i < ARRAY_SIZE(severities); i++)
		if (severities[i].severity == severity)
			return severities[i].text;
	return "INFO";
}

int event_severity_from_string(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(severities); i++)
		if (streq(s, severities[i].text) || streq(s, severities[i].word))
			return severities[i].severity;
	if (s[0] >= '1' && s[0] <= '9' && (!s[1] || (s[1] >= '0' && s[1] <= '9' && !s[2]))) {
		int v = (int)strtol(s, NULL, 10);

		return v <= 24 ? v : -EINVAL;
	}
	return -EINVAL;
}

int event_origin_new(const char *host_name, const char *host_id, struct event_origin **ret)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	struct event_origin *o = calloc(1, sizeof(*o));
	uint64_t ms = time_wall_ns() / NS_PER_MSEC;

	if (!o)
		return -ENOMEM;
	(void)snprintf(o->host_name, sizeof(o->host_name), "%s", host_name);
	(void)snprintf(o->host_id, sizeof(o->host_id), "%s", host_id);
	for (size_t i = sizeof(o->start) - 1; i-- > 0; ms >>= 5)
		o->start[i] = digits[ms & 31];
	*ret = o;
	return 0;
}

struct event_origin *event_origin_free(struct event_origin *o)
{
	free(o);
	return NULL;
}

const char *event_origin_start(const struct event_origin *o)
{
	return o->start;
}

void event_buf_init(struct event_buf *b, char *memory, size_t size)
{
	*b = (struct event_buf){};
	assert(size >= EVENT_BYTES_MAX);
	strbuf_init_fixed(&b->json, memory, EVENT_BYTES_MAX - TAIL_BYTES);
}

static void begin_value(struct event_buf *b, const char *key)
{
	if (b->comma[b->depth])
		strbuf_addch(&b->json, ',');
	b->comma[b->depth] = true;
	if (!key)
		return;
	strbuf_addch(&b->json, '"');
	strbuf_addstr(&b->json, key);
	strbuf_addstr(&b->json, "\":");
}

void event_strn(struct event_buf *b, const char *key, const char *value, size_t len)
{
	/* In an array an empty text has its place: sh -c '' has three arguments. */
	if (!value || (len == 0 && key))
		return;
	begin_value(b, key);
	strbuf_addch(&b->json, '"');
	b->lossy |= text_add_json(&b->json, value, len);
	strbuf_addch(&b->json, '"');
}

void event_str(struct event_buf *b, const char *key, const char *value)
{
	if (value)
		event_strn(b, key, value, strlen(value));
}

void event_u64(struct event_buf *b, const char *key, uint64_t v)
{
	begin_value(b, key);
	strbuf_addu64(&b->json, v);
}

void event_u64_str(struct event_buf *b, const char *key, uint64_t v)
{
	begin_value(b, key);
	strbuf_addch(&b->json, '"');
	strbuf_addu64(&b->json, v);
	strbuf_addch(&b->json, '"');
}

void event_i64(struct event_buf *b, const char *key, int64_t v)
{
	begin_value(b, key);
	strbuf_addi64(&b->json, v);
}

void event_f64(struct event_buf *b, const char *key, double v, unsigned digits)
{
	static const uint64_t powers[] = { 1, 10, 100, 1000, 10000, 100000, 1000000 };
	uint64_t scaled, rest;

	if (!isfinite(v) || fabs(v) > 9e12)
		return;
	digits = MIN(digits, (unsigned)ARRAY_SIZE(powers) - 1);
	begin_value(b, key);
	if (v < 0)
		strbuf_addch(&b->json, '-');
	scaled = (uint64_t)(fabs(v) * (double)powers[digits] + 0.5);
	strbuf_addu64(&b->json, scaled / powers[digits]);
	rest = scaled % powers[digits];
	if (rest == 0)
		return;
	strbuf_addch(&b->json, '.');
	for (unsigned i = digits; i-- > 0 && rest; rest %= powers[i])
		strbuf_addch(&b->json, (char)('0' + rest / powers[i]));
}

void event_bool(struct event_buf *b, const char *key, bool v)
{
	begin_value(b, key);
	strbuf_addstr(&b->json, v ? "true" : "false");
}

void event_time(struct event_buf *b, const char *key, uint64_t wall_ns)
{
	begin_value(b, key);
	strbuf_addch(&b->json, '"');
	time_add_rfc3339(&b->json, wall_ns, 9);
	strbuf_addch(&b->json, '"');
}

static void open_level(struct event_buf *b, const char *key, char bracket)
{
	assert(b->depth + 1 < ARRAY_SIZE(b->comma));
	begin_value(b, key);
	strbuf_addch(&b->json, bracket);
	b->comma[++b->depth] = false;
}

static void close_level(struct event_buf *b, char bracket)
{
	assert(b->depth > 0);
	b->depth--;
	strbuf_addch(&b->json, bracket);
}

void event_array(struct event_buf *b, const char *key)
{
	open_level(b, key, '[');
}

void event_array_end(struct event_buf *b)
{
	close_level(b, ']');
}

void event_object(struct event_buf *b, const char *key)
{
	open_level(b, key, '{');
}

void event_object_end(struct event_buf *b)
{
	close_level(b, '}');
}

static void add_id(struct event_buf *b, const struct event_origin *o)
{
	char digits[24];

	begin_value(b, "telamon.id");
	(void)snprintf(digits, sizeof(digits), "%06llu", (unsigned long long)b->keys.sequence);
	strbuf_addf(&b->json, "\"%s-%s\"", o->start, digits);
}

void event_begin(struct event_buf *b, struct event_origin *o, const char *name, int severity,
		 uint64_t wall_ns, uint64_t boot_ns)
{
	strbuf_clear(&b->json);
	b->keys = (struct event_keys){ .name = name, .severity = severity, .wall_ns = wall_ns };
	b->keys.sequence = atomic_fetch_add(&o->sequence, 1) + 1;
	b->boot_ns = boot_ns;
	b->lossy = b->overflow = false;
	b->depth = 0;
	memset(b->comma, 0, sizeof(b->comma));
	memset(b->truncated_names, 0, sizeof(b->truncated_names));

	strbuf_addch(&b->json, '{');
	event_time(b, "timestamp", wall_ns);
	event_str(b, "event.name", name);
	event_str(b, "severity_text", event_severity_text(severity));
	event_u64(b, "severity_number", (uint64_t)severity);
	event_str(b, "host.name", o->host_name);
	event_str(b, "host.id", o->host_id);
	add_id(b, o);
	if (boot_ns)
		event_u64_str(b, "telamon.boottime_ns", boot_ns);
}

struct event_mark event_mark(const struct event_buf *b)
{
	struct event_mark m = { .len = b->json.len, .depth = b->depth };

	memcpy(m.comma, b->comma, sizeof(m.comma));
	return m;
}

void event_rollback(struct event_buf *b, struct event_mark m, const char *array_name)
{
	strbuf_truncate(&b->json, m.len);
	b->depth = m.depth;
	memcpy(b->comma, m.comma, sizeof(b->comma));
	for (unsigned i = 0; i < ARRAY_SIZE(b->truncated_names); i++) {
		if (b->truncated_names[i] && streq(b->truncated_names[i], array_name))
			return;
		if (!b->truncated_names[i]) {
			b->truncated_names[i] = array_name;
			return;
		}
	}
}

bool event_room(const struct event_buf *b, size_t reserve)
{
	return !b->json.error && b->json.len + reserve < b->json.size;
}

/* As many names as the tail holds beside what follows them. */
static void add_truncated(struct event_buf *b)
{
	static const char rest[] = "],\"telamon.lossy_text\":true}";

	if (!b->truncated_names[0])
		return;
	event_array(b, "telamon.truncated");
	for (unsigned i = 0; i < ARRAY_SIZE(b->truncated_names) && b->truncated_names[i]; i++) {
		size_t len = strlen(",\"\"") + strlen(b->truncated_names[i]);

		if (b->json.len + len + sizeof(rest) <= b->json.size)
			event_str(b, NULL, b->truncated_names[i]);
	}
	event_array_end(b);
}

int event_end(struct event_buf *b)
{
	if (b->json.error) {
		b->overflow = true;
		return -ENOSPC;
	}
	assert(b->depth == 0);
	b->json.size += TAIL_BYTES;
	add_truncated(b);
	if (b->lossy)
		event_bool(b, "telamon.lossy_text", true);
	strbuf_addch(&b->json, '}');
	b->json.size -= TAIL_BYTES;
	return b->json.error;
}
