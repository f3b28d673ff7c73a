/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz-sources: src/event/filter.c src/event/event.c */
#include <assert.h>
#include <string.h>
#include "event/journal.h"
#include "event/stream.h"
#include "fuzz.h"
#include "http/server.h"

/* The server's part: one line of the input for each parameter, in this order. */
static const char names[] =
	"type since until container namespace pod workload cgroup severity limit pid scope";
static char values[sizeof(names)][256];

const char *http_query(const struct http_request *q, const char *name)
{
	return values[strstr(names, name) - names];
}
const char *http_query_unknown(const struct http_request *q, const char *const *known)
{
	return NULL;
}
/* Any parameters: a filter within its limits, or a reason; and matching ends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct event_keys k = { .name = "oom.kill",
				      .cgroup = "/a.slice/aaaaaaaaaaaaaaaaaaaaaaaaaaaa.service" };
	struct event_filter f = { .limit = 12345 };
	char why[256] = "";
	memset(values, 0, sizeof(values));
	for (size_t at = 0, n = 0, i = 0; i < size && at < sizeof(names); i++)
		if (data[i] == '\n')
			at += strcspn(names + at, " ") + 1, n = 0;
		else if (n < 255)
			values[at][n++] = (char)data[i];
	if (event_filter_parse(NULL, &f, why, sizeof(why)) < 0)
		return assert(why[0] && f.limit == 12345), 0;
	(void)event_filter_match(&f, &k);
	return assert(f.limit <= 10000 && f.severity >= 0 && f.severity <= 24), 0;
}
