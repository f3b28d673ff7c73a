/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>

/*
 * Work that needs much memory once, done by a child process
 *
 * Reading the kernel's BTF and relocating programs against it takes more memory for a moment than the agent needs in all
 * its life. A child does it and hands back a few bytes and file descriptors; its memory goes with it.
 */
#define CHILD_DATA_MAX 8192
#define CHILD_FDS_MAX 64

struct child_result {
	void *data; /* the caller's, of @size bytes; the child's copy travels back */
	size_t size;
	int fds[CHILD_FDS_MAX]; /* owned by the caller afterwards */
	size_t n_fds;
};
/*
 * Runs @fn(ctx, r) in a child and returns what it returned, with data and fds filled in here. Where no child can be had, @fn
 * runs in this process: so it must hand over descriptors that stay open when it cleans up. -ETIMEDOUT, -EPIPE: it died.
 */
int child_run(int (*fn)(void *ctx, struct child_result *r), void *ctx, struct child_result *r);
