/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound clean-up
 *
 * `_cleanup_(freep) char *s = NULL;` frees when the scope ends; TAKE_PTR() and TAKE_FD() hand the
 * object over and leave nothing to clean. DEFINE_CLEANUP() stands right under the prototype of x_free().
 */
#pragma once
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/macro.h"

#define _cleanup_(f) __attribute__((cleanup(f)))

#define DEFINE_CLEANUP(type, func)                                  \
	static inline __attribute__((unused)) void func##p(type *p) \
	{                                                           \
		if (*p)                                             \
			(void)func(*p);                             \
	}                                                           \
	struct func##_cleanup_needs_a_semicolon

#define TAKE_PTR(p)                         \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})
#define TAKE_FD(fd)                \
	({                         \
		int taken_ = (fd); \
		(fd) = -EBADF;     \
		taken_;            \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}

static inline void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}
