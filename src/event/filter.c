/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters over events
 *
 * One meaning for all: the journal's rows, live clients, and the parameters of /api/v1/events and /events.
 */

#include <errno.h>
#include <string.h>
#include "base/parse.h"
#include "base/time.h"
#include "event/internal.h"

#define LIMIT_MAX 10000

static bool name_matches(const char *type, const char *name)
{
	size_t n = strlen(type);

	if (streq(type, "alert"))
		type = "runtime.alert", n = strlen(type);
	return strncmp(type, name, n) == 0 &&
	       (!name[n] || name[n] == '.' || (n && type[n - 1] == '.'));
}

/* One of a comma-separated list. */
static bool any_name_matches(const char *types, const char *name)
{
	while (*types) {
		char one[64];
		size_t n = strcspn(types, ",");

		(void)snprintf(one, sizeof(one), "%.*s", (int)MIN(n, sizeof(one) - 1), types);
		if (*one && name_matches(one, name))
			return true;
		types += n;
		types += *types == ',';
	}
	return false;
}

static bool text_is(const char *want, const char *have)
{
	return !want || !*want || (have && streq(want, have));
}

static bool container_is(const char *want, const struct event_keys *k)
{
	size_t n = want ? strlen(want) : 0;

	if (n == 0)
		return true;
	if (k->container_name && streq(want, k->container_name))
		return true;
	if (!k->container_id)
		return false;
	return streq(want, k->container_id) || (n >= 8 && strncmp(want, k->container_id, n) == 0);
}

/* One "[...]" of a glob against @c; *@p moves behind it. An unclosed bracket is a plain one. */
static bool set_matches(const char **p, char c)
{
	const char *s = *p + 1;
	bool invert = *s == '!' || *s == '^', found = false;

	s += invert;
	for (const char *first = s; *s && (*s != ']' || s == first); s++) {
		if (s[1] == '-' && s[2] && s[2] != ']') {
			found |= (unsigned char)s[0] <= (unsigned char)c &&
				 (unsigned char)c <= (unsigned char)s[2];
			s += 2;
		} else {
			found |= *s == c;
		}
	}
	if (!*s) {
		++*p;
		return c == '[';
	}
	*p = s + 1;
	return found != invert;
}

static bool one_matches(const char **p, char c)
{
	if (**p == '[')
		return set_matches(p, c);
	if (**p == '?') {
		++*p;
		return true;
	}
	if (**p == '\\' && !*++*p)
		return false;
	return **p && *(*p)++ == c;
}

/*
 * As fnmatch() without flags, but never slower than pattern times text: pattern and path are foreign, the writer of events
 * waits for the answer. Only the last star can need another try.
 */
static bool glob_matches(const char *p, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text) {
		if (*p == '*') {
			star = ++p;
			retry = text;
		} else if (one_matches(&p, *text)) {
			text++;
		} else if (star) {
			p = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	return p[strspn(p, "*")] == '\0';
}

/* It has no column: too few events have one. In text that others chose quotes are escaped, so this is the field itself. */
static bool scope_is(const char *want, const struct event_keys *k)
{
	static const char key[] = "\"telamon.oom.scope\":";
	const char *p = k->json, *end = k->json + k->json_len;
	size_t n = want ? strlen(want) : 0;

	if (n == 0)
		return true;
	p = p ? memmem(p, k->json_len, key, strlen(key)) : NULL;
	if (!p)
		return false;
	for (p += strlen(key); p < end && *p == ' ';)
		p++;
	return (size_t)(end - p) > n + 1 && *p == '"' && memcmp(p + 1, want, n) == 0 &&
	       p[n + 1] == '"';
}

bool event_filter_match(const struct event_filter *f, const struct event_keys *k)
{
	if (f->type && *f->type && !any_name_matches(f->type, k->name))
		return false;
	if ((f->since_ns && k->wall_ns < f->since_ns) || (f->until_ns && k->wall_ns > f->until_ns))
		return false;
	if (f->severity && k->severity < f->severity)
		return false;
	if (f->pid && k->pid != f->pid)
		return false;
	if (f->cgroup && *f->cgroup && (!k->cgroup || !glob_matches(f->cgroup, k->cgroup)))
		return false;
	return container_is(f->container, k) && text_is(f->namespace, k->namespace) &&
	       text_is(f->pod, k->pod) && text_is(f->workload, k->workload) &&
	       scope_is(f->scope, k);
}

/* --- parameters --- */

static int bad(char *why, size_t why_size, const char *name, const char *value, const char *want)
{
	(void)snprintf(why, why_size, "%s: '%.100s' is not %s", name, value, want);
	return -EINVAL;
}

static int parse_when(const char *text, const char *name, uint64_t *ret, char *why, size_t why_size)
{
	if (!text || !*text)
		return 0;
	if (parse_time(text, time_wall_ns(), ret) == 0) {
		*ret = MAX(*ret, UINT64_C(1)); /* 0 means any */
		return 0;
	}
	return bad(why, why_size, name, text, "RFC 3339 or a duration such as 10m");
}

/**
 * event_filter_read() - parameters into a filter
 * @get: text of a parameter, NULL when it is not given; stays the caller's
 *
 * Return: 0; -EINVAL with the name and the value in @why.
 */
int event_filter_read(const char *(*get)(void *ctx, const char *name), void *ctx,
		      struct event_filter *ret, char *why, size_t why_size)
{
	struct event_filter f = {
		.type = get(ctx, "type"),
		.container = get(ctx, "container"),
		.namespace = get(ctx, "namespace"),
		.pod = get(ctx, "pod"),
		.workload = get(ctx, "workload"),
		.cgroup = get(ctx, "cgroup"),
		.scope = get(ctx, "scope"),
	};
	const char *text;
	uint64_t v;
	int r;

	r = parse_when(get(ctx, "since"), "since", &f.since_ns, why, why_size);
	if (r >= 0)
		r = parse_when(get(ctx, "until"), "until", &f.until_ns, why, why_size);
	if (r < 0)
		return r;
	if (f.scope && f.scope[strspn(f.scope, "abcdefghijklmnopqrstuvwxyz_")])
		return bad(why, why_size, "scope", f.scope, "the scope of an OOM");
	text = get(ctx, "severity");
	if (text && *text) {
		f.severity = event_severity_from_string(text);
		if (f.severity < 0)
			return bad(why, why_size, "severity", text,
				   "a number of 1..24 or one of info notice warning high critical");
	}
	text = get(ctx, "limit");
	if (text && *text) {
		if (parse_u64(text, &v) < 0 || v == 0 || v > LIMIT_MAX)
			return bad(why, why_size, "limit", text, "a number of 1..10000");
		f.limit = v;
	}
	text = get(ctx, "pid");
	if (text && *text && parse_u32(text, &f.pid) < 0)
		return bad(why, why_size, "pid", text, "a process id");
	*ret = f;
	return 0;
}

static const char *get_query(void *ctx, const char *name)
{
	return http_query(ctx, name);
}

int event_filter_parse(struct http_request *q, struct event_filter *ret, char *why, size_t why_size)
{
	static const char *const known[] = { "type", "since",	 "until",  "container", "namespace",
					     "pod",  "workload", "cgroup", "severity",	"limit",
					     "pid",  "scope",	 NULL };
	const char *unknown = http_query_unknown(q, known);

	if (unknown) {
		(void)snprintf(why, why_size, "unknown parameter '%.100s'", unknown);
		return -EINVAL;
	}
	return event_filter_read(get_query, q, ret, why, why_size);
}
