/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/record.h"

/*
 * Checks a record of type OOM_RECORD_VICTIM against its own sizes and copies it; text parts that do not lie inside are dropped.
 * -EBADMSG for anything that cannot be a record. Allocates nothing.
 */
int oom_decode_victim(const struct record_head *head, struct oom_victim *ret);
/* The other types: -EBADMSG when the size does not fit the type. */
int oom_decode_check(const struct record_head *head);
void oom_decode_core(const struct oom_core *core, struct oom_victim *ret); /* a spilled one */
/* A text part; length 0 and "" when it is not known. */
const char *oom_text(const struct oom_victim *v, struct oom_text part, size_t *ret_len);
uint64_t
oom_rss_pages(const struct oom_victim *v); /* all kinds together; OOM_UNKNOWN64 when not known */
uint64_t
oom_pages(uint64_t pages); /* to bytes; OOM_UNKNOWN64 stays, what would overflow becomes it */
