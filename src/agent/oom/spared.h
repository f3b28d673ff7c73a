/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include "agent/oom/record.h"

/* The cgroup whose memory.oom.group made this run a group kill; false: there is none, or its path is not known. */
bool spared_group_path(const struct oom_run *run, char *ret, size_t size);
/*
 * Processes in @cgroup and below that memory.oom.group leaves alone (oom_score_adj -1000). For the time after the kill, when
 * the others are gone: opens files. -E2BIG where too many are there to ask each; @ret is untouched then.
 */
int spared_count(int hierarchy_fd, int proc_fd, const char *cgroup, unsigned *ret);
