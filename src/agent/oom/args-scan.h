/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "sys/loop.h"

/*
 * Executables and command lines of the largest processes, read from /proc before anything happens to them
 *
 * For hosts where exec cannot be hooked: a worker walks /proc at start and every 10 s and keeps the 512 largest.
 */
#define ARGS_SCAN_MAX 512
#define ARGS_SCAN_ARGS 256
#define ARGS_SCAN_EXE 256

struct args_scan_entry {
	uint32_t pid;
	uint64_t start_ticks, rss_pages;
	uint16_t exe_len, args_len;
	char exe[ARGS_SCAN_EXE], args[ARGS_SCAN_ARGS];
};

struct args_scan;
/* @proc_path: "/proc" or a fixture. */
int args_scan_new(struct workers *workers, const char *proc_path, struct args_scan **ret);
struct args_scan *args_scan_free(struct args_scan *s); /* after the workers are gone */
DEFINE_CLEANUP(struct args_scan *, args_scan_free);
void args_scan_tick(struct args_scan *s, uint64_t now_us);
/* @start_ticks 0: whoever has this pid. NULL when not known. */
const struct args_scan_entry *args_scan_find(const struct args_scan *s, uint32_t pid,
					     uint64_t start_ticks);
/* The reading itself, on any thread: the largest first, at most @max; number of entries. */
size_t args_scan_read(const char *proc_path, struct args_scan_entry *ret, size_t max);
/* Start time (clock ticks since boot) and resident pages out of the text of /proc/PID/stat; false for other text. */
bool args_scan_parse_stat(const char *text, uint64_t *ret_start, uint64_t *ret_rss);
