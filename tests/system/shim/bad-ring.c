/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of OOM records that cannot be mapped, cannot be read, or holds something that is no record (OOM-603)
 *
 * Preloaded: libbpf is a shared library. Of the map `oom_ring` the first TELAMON_BAD_MAP mappings and the first TELAMON_BAD_READ
 * readings fail, and the first TELAMON_BAD_SIZE records come with a size that no record has.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static struct ring_buffer *ring;
static ring_buffer_sample_fn sample;

static void *next(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		abort();
	return p;
}

/* One of those that are to fail? */
static bool fails(const char *variable, unsigned *n)
{
	const char *text = getenv(variable);

	return text && (*n)++ < strtoul(text, NULL, 10);
}

static int on_sample(void *ctx, void *data, size_t size)
{
	static unsigned n;

	return sample(ctx, data, fails("TELAMON_BAD_SIZE", &n) ? 3 : size);
}

EXPORT struct ring_buffer *ring_buffer__new(int map_fd, ring_buffer_sample_fn fn, void *ctx,
					    const struct ring_buffer_opts *opts)
{
	struct ring_buffer *(*real)(int, ring_buffer_sample_fn, void *,
				    const struct ring_buffer_opts *) = next("ring_buffer__new");
	static unsigned n;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(map_fd, &info, &size) < 0 || strcmp(info.name, "oom_ring") != 0)
		return real(map_fd, fn, ctx, opts);
	if (fails("TELAMON_BAD_MAP", &n)) {
		errno = ENOMEM;
		return NULL;
	}
	sample = fn;
	ring = real(map_fd, on_sample, ctx, opts);
	return ring;
}

EXPORT int ring_buffer__consume(struct ring_buffer *rb)
{
	int (*real)(struct ring_buffer *) = next("ring_buffer__consume");
	static unsigned n;

	if (rb == ring && fails("TELAMON_BAD_READ", &n))
		return -EBADF;
	return real(rb);
}
