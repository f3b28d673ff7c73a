/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "agent/oom/record.h"
#include "sys/kmsg.h"

/*
 * Lines of the kernel log until the record that they belong to is there
 *
 * The kernel writes who asked, then whom it chose, and only then kills: both lines may be read before the mark comes through the
 * ring. The first names no pid; oom_lock keeps decisions apart, so it belongs to the next line that does. Pure, fixed size.
 */
#define LOG_LINES_MAX 32

struct log_line {
	bool used;
	uint64_t now_us; /* when it was read */
	struct kmsg_oom k; /* of the request too, for a line that names the chosen one */
	char trigger_comm[16];
	size_t len;
	char text[640];
};

struct log_lines {
	struct log_line current, kept[LOG_LINES_MAX];
	struct kmsg_oom request; /* the last "invoked oom-killer" */
	size_t next;
};

/* The line with what the ones before it said, in @l->current; NULL: it names no victim. */
const struct log_line *log_lines_read(struct log_lines *l, const struct kmsg_oom *k,
				      const char *text, size_t len, uint64_t now_us);
void log_lines_keep(struct log_lines *l); /* the current line; it takes the place of the oldest */
/* The oldest line that names @pid or @tid and is not older than @max_us; it is handed out once. */
const struct log_line *log_lines_take(struct log_lines *l, uint32_t pid, uint32_t tid,
				      uint64_t now_us, uint64_t max_us);
/* What the line says, where nothing better said it. */
void log_line_apply(const struct log_line *l, struct oom_run *run, struct oom_kill *kill);
