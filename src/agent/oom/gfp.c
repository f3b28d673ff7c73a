/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of allocation flags
 *
 * Since v6.10 (772dd0342727) bit positions are an enum, so BTF knows them. Before, the print format of the page allocator's
 * tracepoint lists value and name of each flag and of the usual combinations.
 */

#include <bpf/btf.h>
#include <stdlib.h>
#include <string.h>
#include "agent/oom/gfp.h"
#include "base/fs.h"
#include "base/macro.h"
#include "base/strbuf.h"
#include "sys/child.h"

#define FORMAT_BYTES 32768

static void add_flag(struct gfp_names *g, const char *name, size_t len, uint32_t bits)
{
	if (g->n == ARRAY_SIZE(g->flags) || len >= sizeof(g->flags[0].name) || bits == 0)
		return;
	memcpy(g->flags[g->n].name, name, len);
	g->flags[g->n].name[len] = '\0';
	g->flags[g->n++].bits = bits;
}

static uint32_t bits_of(const struct gfp_names *g, const char *name)
{
	for (size_t i = 0; i < g->n; i++)
		if (streq(g->flags[i].name, name))
			return g->flags[i].bits;
	return 0;
}

/* Combinations by their definition in include/linux/gfp_types.h, names of flags only. */
static void add_combinations(struct gfp_names *g)
{
	static const struct {
		const char *name, *flags;
	} combinations[] = {
		{ "GFP_HIGHUSER_MOVABLE",
		  "__GFP_DIRECT_RECLAIM __GFP_KSWAPD_RECLAIM __GFP_IO __GFP_FS __GFP_HARDWALL "
		  "__GFP_HIGHMEM __GFP_MOVABLE" },
		{ "GFP_HIGHUSER",
		  "__GFP_DIRECT_RECLAIM __GFP_KSWAPD_RECLAIM __GFP_IO __GFP_FS __GFP_HARDWALL __GFP_HIGHMEM" },
		{ "GFP_USER",
		  "__GFP_DIRECT_RECLAIM __GFP_KSWAPD_RECLAIM __GFP_IO __GFP_FS __GFP_HARDWALL" },
		{ "GFP_KERNEL_ACCOUNT",
		  "__GFP_DIRECT_RECLAIM __GFP_KSWAPD_RECLAIM __GFP_IO __GFP_FS __GFP_ACCOUNT" },
		{ "GFP_KERNEL", "__GFP_DIRECT_RECLAIM __GFP_KSWAPD_RECLAIM __GFP_IO __GFP_FS" },
		{ "GFP_NOFS", "__GFP_DIRECT_RECLAIM __GFP_KSWAPD_RECLAIM __GFP_IO" },
		{ "GFP_NOIO", "__GFP_DIRECT_RECLAIM __GFP_KSWAPD_RECLAIM" },
		{ "GFP_ATOMIC", "__GFP_HIGH __GFP_KSWAPD_RECLAIM" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(combinations); i++) {
		const char *p = combinations[i].flags;
		uint32_t bits = 0;
		bool all = true;

		while (*p && all) {
			char name[32];
			size_t len = strcspn(p, " ");
			uint32_t bit;

			(void)snprintf(name, sizeof(name), "%.*s", (int)len, p);
			bit = bits_of(g, name);
			all = bit != 0;
			bits |= bit;
			p += len;
			p += *p == ' ';
		}
		if (all)
			add_flag(g, combinations[i].name, strlen(combinations[i].name), bits);
	}
}

static bool read_btf(const struct btf *btf, struct gfp_names *g)
{
	uint32_t n = btf__type_cnt(btf);

	for (uint32_t id = 1; id < n; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		const struct btf_enum *e;

		if (!btf_is_enum(t) || btf_vlen(t) < 8)
			continue;
		e = btf_enum(t);
		if (!streq(btf__name_by_offset(btf, e[0].name_off), "___GFP_DMA_BIT"))
			continue;
		for (int i = 0; i < btf_vlen(t); i++) {
			const char *name = btf__name_by_offset(btf, e[i].name_off);
			size_t len = strlen(name);

			/* "___GFP_DMA_BIT" is bit of __GFP_DMA */
			if (len > 5 && streq(name + len - 4, "_BIT") && e[i].val >= 0 &&
			    e[i].val < 32 && !strstr(name, "LAST"))
				add_flag(g, name + 1, len - 5, 1U << e[i].val);
		}
		return g->n > 0;
	}
	return false;
}

/* {(unsigned long)(((gfp_t)(0x400u|0x800u)) | ((gfp_t)0x40u)), "GFP_NOIO"}: only ors of constants are taken. */
void gfp_names_parse_format(const char *format, struct gfp_names *ret)
{
	const char *p = strstr(format, "__print_flags(");

	ret->n = 0;
	while (p && (p = strchr(p, '{'))) {
		const char *name = strstr(p, ", \""), *close = name ? strchr(name + 3, '"') : NULL;
		uint32_t bits = 0;
		bool plain = true;

		if (!close)
			return;
		for (const char *q = p; q < name; q++) {
			plain = plain && *q != '~' && *q != '<' && *q != '?';
			if (q[0] == '0' && q[1] == 'x')
				bits |= (uint32_t)strtoul(q, NULL, 16);
		}
		if (plain)
			add_flag(ret, name + 3, (size_t)(close - name - 3), bits);
		p = close;
	}
}

/* BTF takes several MiB to read; the names fit into one. */
static int read_names(void *ctx, struct child_result *r)
{
	_cleanup_(freep) char *text = NULL;
	struct hook_env env = *(const struct hook_env *)ctx;
	struct gfp_names *ret = r->data;
	const struct btf *btf;
	bool known;

	env.btf = NULL;
	btf = hook_env_btf(&env);
	known = btf && read_btf(btf, ret);
	hook_env_drop_btf(&env);
	if (known) {
		add_combinations(ret);
		return 0;
	}
	text = malloc(FORMAT_BYTES);
	if (text && env.tracefs_fd >= 0 &&
	    fs_read_into(env.tracefs_fd, "kmem/mm_page_alloc/format", text, FORMAT_BYTES) > 0)
		gfp_names_parse_format(text, ret);
	return 0;
}

void gfp_names_read(const struct hook_env *env, struct gfp_names *ret)
{
	struct child_result r = { .data = ret, .size = sizeof(*ret) };

	*ret = (struct gfp_names){};
	(void)child_run(read_names, (void *)env, &r);
}

/**
 * gfp_before_memcg_reclaim() - take out what reclaim of a memory cgroup puts in
 * @names: flags of this kernel
 * @gfp:   flags as the tracepoint mm_vmscan_memcg_reclaim_begin shows them
 *
 * try_to_free_mem_cgroup_pages() keeps the flags of the request that steer reclaim, and adds those of GFP_HIGHUSER_MOVABLE that
 * do not, whatever was asked for. Flags of the request beyond those that steer reclaim (__GFP_ACCOUNT) are lost there.
 *
 * Return: the flags; @gfp as it is where the kernel does not tell names.
 */
uint32_t gfp_before_memcg_reclaim(const struct gfp_names *names, uint32_t gfp)
{
	return gfp & ~(bits_of(names, "GFP_HIGHUSER_MOVABLE") & ~bits_of(names, "GFP_KERNEL"));
}

static unsigned count_bits(uint32_t v)
{
	return (unsigned)__builtin_popcount(v);
}

void gfp_format(const struct gfp_names *names, uint32_t gfp, char *buf, size_t size)
{
	struct strbuf b;
	uint32_t left = gfp;
	bool first = true;

	strbuf_init_fixed(&b, buf, size);
	strbuf_addf(&b, "0x%x", gfp);
	if (names->n == 0)
		return;
	strbuf_addch(&b, '(');
	while (left) { /* the largest name that fits into what is left */
		int best = -1;

		for (size_t i = 0; i < names->n; i++)
			if ((left & names->flags[i].bits) == names->flags[i].bits &&
			    (best < 0 || count_bits(names->flags[i].bits) >
						 count_bits(names->flags[best].bits)))
				best = (int)i;
		if (best < 0)
			break;
		strbuf_addf(&b, "%s%s", first ? "" : "|", names->flags[best].name);
		left &= ~names->flags[best].bits;
		first = false;
	}
	if (left)
		strbuf_addf(&b, "%s0x%x", first ? "" : "|", left);
	strbuf_addch(&b, ')');
}
