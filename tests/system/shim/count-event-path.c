/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what the agent asks of libc while it handles a record of the OOM ring (OOM-612)
 *
 * Preloaded. libbpf is a shared library, so ring_buffer__new() can be taken over: the callback of the map `oom_ring` is wrapped, and
 * between its entry and its return every call below is counted on that thread. The totals lie in the file that
 * TELAMON_COUNT_FILE names, mapped, so that a test reads them while the agent runs.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "bpf/api/oom.h"

#define EXPORT __attribute__((visibility("default")))

/* In this order in the file, 64 bits each. */
enum count {
	RECORDS, /* callbacks */
	VICTIMS, /* of them, records of victims */
	ALLOCATIONS,
	FREES,
	OPENS,
	FORKS,
	LOCKS,
	STDIO,
	OUTSIDE, /* allocations elsewhere: shows that counting works */
	_COUNTS,
};

static uint64_t nowhere[_COUNTS];
static uint64_t *counts = nowhere;
static __thread unsigned inside;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *p);

static void count(enum count c)
{
	__atomic_fetch_add(&counts[c], 1, __ATOMIC_RELAXED);
}

static void count_inside(enum count c)
{
	if (inside)
		count(c);
}

static void *next(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();
	return p;
}

__attribute__((constructor)) static void open_counts(void)
{
	const char *path = getenv("TELAMON_COUNT_FILE");
	int (*real)(const char *, int, ...) = next("open");
	int fd = path ? real(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED
			 : mmap(NULL, sizeof(nowhere), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		(void)close(fd);
	if (p != MAP_FAILED)
		counts = p;
}

/* --- the callback --- */

struct wrapped {
	ring_buffer_sample_fn fn;
	void *ctx;
};

static int on_sample(void *ctx, void *data, size_t size)
{
	const struct wrapped *w = ctx;
	const struct record_head *head = data;
	int r;

	count(RECORDS);
	if (size >= sizeof(*head) && head->type == OOM_RECORD_VICTIM)
		count(VICTIMS);
	inside++;
	r = w->fn(w->ctx, data, size);
	inside--;
	return r;
}

EXPORT struct ring_buffer *ring_buffer__new(int map_fd, ring_buffer_sample_fn fn, void *ctx,
					    const struct ring_buffer_opts *opts)
{
	struct ring_buffer *(*real)(int, ring_buffer_sample_fn, void *,
				    const struct ring_buffer_opts *) = next("ring_buffer__new");
	static struct wrapped wrapped;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(map_fd, &info, &size) < 0 || strcmp(info.name, "oom_ring") != 0)
		return real(map_fd, fn, ctx, opts);
	wrapped = (struct wrapped){ fn, ctx };
	return real(map_fd, on_sample, &wrapped, opts);
}

/* --- what is counted --- */

EXPORT void *malloc(size_t size)
{
	count(inside ? ALLOCATIONS : OUTSIDE);
	return __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	count(inside ? ALLOCATIONS : OUTSIDE);
	return __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	count(inside ? ALLOCATIONS : OUTSIDE);
	return __libc_realloc(p, size);
}

EXPORT int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *p;

	count_inside(ALLOCATIONS);
	p = __libc_memalign(alignment, size);
	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	count_inside(ALLOCATIONS);
	return __libc_memalign(alignment, size);
}

EXPORT void free(void *p)
{
	if (p)
		count_inside(FREES);
	__libc_free(p);
}

/* The header gives two names to one function where files are large, so these are ours and only the symbols are libc's. */
#define AS(symbol) __asm__(symbol)

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name)                                                          \
	EXPORT int shim_##name(const char *path, int flags, ...) AS(#name); \
	int shim_##name(const char *path, int flags, ...)                   \
	{                                                                   \
		int (*real)(const char *, int, ...) = next(#name);          \
		va_list ap;                                                 \
		mode_t mode;                                                \
                                                                            \
		count_inside(OPENS);                                        \
		va_start(ap, flags);                                        \
		mode = mode_of(flags, ap);                                  \
		va_end(ap);                                                 \
		return real(path, flags, mode);                             \
	}
#define OPENAT(name)                                                                 \
	EXPORT int shim_##name(int dir, const char *path, int flags, ...) AS(#name); \
	int shim_##name(int dir, const char *path, int flags, ...)                   \
	{                                                                            \
		int (*real)(int, const char *, int, ...) = next(#name);              \
		va_list ap;                                                          \
		mode_t mode;                                                         \
                                                                                     \
		count_inside(OPENS);                                                 \
		va_start(ap, flags);                                                 \
		mode = mode_of(flags, ap);                                           \
		va_end(ap);                                                          \
		return real(dir, path, flags, mode);                                 \
	}
#define FOPEN(name)                                                             \
	EXPORT FILE *shim_##name(const char *path, const char *mode) AS(#name); \
	FILE *shim_##name(const char *path, const char *mode)                   \
	{                                                                       \
		FILE *(*real)(const char *, const char *) = next(#name);        \
                                                                                \
		count_inside(OPENS);                                            \
		return real(path, mode);                                        \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)

EXPORT pid_t shim_fork(void) AS("fork");
pid_t shim_fork(void)
{
	pid_t (*real)(void) = next("fork");

	count_inside(FORKS);
	return real();
}

EXPORT int pthread_mutex_lock(pthread_mutex_t *m)
{
	static int (*real)(pthread_mutex_t *);

	if (!real)
		real = next("pthread_mutex_lock");
	count_inside(LOCKS);
	return real(m);
}

EXPORT size_t shim_fwrite(const void *data, size_t size, size_t n, FILE *f) AS("fwrite");
size_t shim_fwrite(const void *data, size_t size, size_t n, FILE *f)
{
	size_t (*real)(const void *, size_t, size_t, FILE *) = next("fwrite");

	count_inside(STDIO);
	return real(data, size, n, f);
}

EXPORT int shim_vfprintf(FILE *f, const char *format, va_list ap) AS("vfprintf");
int shim_vfprintf(FILE *f, const char *format, va_list ap)
{
	int (*real)(FILE *, const char *, va_list) = next("vfprintf");

	count_inside(STDIO);
	return real(f, format, ap);
}
