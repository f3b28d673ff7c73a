/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <jansson.h>
#include "base/strbuf.h"
#include "route/snapshot.h"

/*
 * The way of one series, step by step, without taking it (GW-EP-7, GW-CL-3)
 *
 * The same functions decide as for samples: only no cache is asked and nothing is counted.
 */
/* @labels: canonical. One object, owned by the caller; NULL without memory. */
json_t *explain_run(const struct snapshot *s, const struct rw_label *labels, size_t n);
/* The same for people. Foreign text is escaped for terminals. */
void explain_text(const json_t *result, struct strbuf *out);
