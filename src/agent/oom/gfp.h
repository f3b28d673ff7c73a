/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "sys/probe.h"

/* Names of allocation flags as this kernel numbers them (OOM-310); never from the build host's headers. */
struct gfp_names {
	struct {
		char name[32]; /* __GFP_SKIP_KASAN_UNPOISON */
		uint32_t bits;
	} flags[48];
	size_t n;
};
/* BTF enum ___GFP_*_BIT, else the flag list of events/kmem/mm_page_alloc/format; empty when neither is there. */
void gfp_names_read(const struct hook_env *env, struct gfp_names *ret);
void gfp_names_parse_format(const char *format, struct gfp_names *ret);
/* The request behind the flags that reclaim of a memory cgroup shows. */
uint32_t gfp_before_memcg_reclaim(const struct gfp_names *names, uint32_t gfp);
/* "0xcc0(GFP_KERNEL)", "0x100cca(GFP_HIGHUSER_MOVABLE)"; the hex alone without names. */
void gfp_format(const struct gfp_names *names, uint32_t gfp, char *buf, size_t size);
