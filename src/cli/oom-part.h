/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "cli/cli.h"

/* What the files of `telamon oom` share. */

#define ALL_RECORDS "10000" /* more are not given at once */
#define RECORDS_MAX 10000

struct oom_options {
	struct cli_source source;
	const char *since, *until, *namespace, *workload, *container, *cgroup, *scope, *limit,
		*format, *by, *width;
	bool follow;
};

bool oom_wants_json(const struct oom_options *o);
void oom_add_filters(const struct oom_options *o, struct strbuf *query, const char *type);
/* --limit, or @otherwise. -1 after a message. */
int oom_read_limit(const struct oom_options *o, uint32_t otherwise, uint32_t *ret);
/* Exit status of a query: @r records, or -errno; @none is said where there was none. */
int oom_finish(const struct oom_options *o, int r, const char *none);

int oom_top(struct oom_options *o);
