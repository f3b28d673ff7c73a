/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <jansson.h>
#include "base/strbuf.h"

/* An oom.kill event for people. Pure: tested with golden files. */
void oom_show_line(const json_t *event, struct strbuf *b); /* one line of the list */
void oom_show_record(const json_t *event, const json_t *aftermath,
		     struct strbuf *b); /* aftermath may be NULL */
