/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "sys/cgroup.h"
#include "sys/cgtrack.h"

/*
 * Cgroups that come and go, by inotify on the directories of the memory hierarchy: for where no program may run
 *
 * Events are those of the programs, told as soon as the reader gets to run. One watch per cgroup: @watches_max bounds them, the
 * kernel by fs.inotify.max_user_watches; what is refused is counted and left to the owner's scan.
 */
struct cgwatch;
/* Watches what exists already, of which @fn is not told. -ENOENT: no memory hierarchy; -EMFILE, -ENOSPC: the kernel's limits. */
int cgwatch_new(const struct cgroup_layout *cgroups, size_t watches_max, cgtrack_fn fn, void *ctx,
		struct cgwatch **ret);
struct cgwatch *cgwatch_free(struct cgwatch *w);
DEFINE_CLEANUP(struct cgwatch *, cgwatch_free);
int cgwatch_fd(const struct cgwatch *w); /* poll for reading */
int cgwatch_consume(struct cgwatch *w); /* number of events or -errno */
size_t cgwatch_count(const struct cgwatch *w); /* watches held */
uint64_t cgwatch_refused(const struct cgwatch *w);
uint64_t cgwatch_lost(
	const struct cgwatch
		*w); /* times that the kernel's queue was full; each is followed by a walk of all */
