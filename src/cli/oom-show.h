/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <jansson.h>
#include "base/strbuf.h"

/* An oom.kill event for people. Pure: tested with golden files. */
void oom_show_line(const json_t *event, struct strbuf *b); /* one line of the list */
void oom_show_record(const json_t *event, const json_t *aftermath,
		     struct strbuf *b); /* aftermath may be NULL */
/* Parts of the record, in oom-show-lists.c; nothing is added where nothing is known. */
void oom_show_members(const json_t *event, struct strbuf *b);
void oom_show_stacks(const json_t *event, struct strbuf *b); /* and the largest processes */
void oom_show_kernel_text(const json_t *event, struct strbuf *b);
