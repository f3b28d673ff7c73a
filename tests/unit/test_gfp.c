/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of allocation flags (OOM-310)
 *
 * The formats are lines of events/kmem/mm_page_alloc/format as Debian's 5.10 and 6.1 print them (shortened); the same bits have
 * other names on other kernels. BTF is a table made here, with the positions of v6.12.
 */
#include "test.h"

#include <bpf/btf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "agent/oom/gfp.h"
#include "base/fs.h"
#include "base/macro.h"
#include "scratch.h"

/* clang-format off */
#define HEAD "name: mm_page_alloc\nID: 1\nprint fmt: \"page=%p gfp_flags=%s\", REC->pfn, (REC->gfp_flags) ? __print_flags(REC->gfp_flags, \"|\", "

static const char format_5_10[] = HEAD
	"{(unsigned long)(((((((( gfp_t)(0x400u|0x800u)) | (( gfp_t)0x40u) | (( gfp_t)0x80u) | (( gfp_t)0x100000u)) | (( gfp_t)0x02u)) | (( gfp_t)0x08u)) | (( gfp_t)0)) | (( gfp_t)0x80000u) | (( gfp_t)0x2000u)) & ~(( gfp_t)0x400u)), \"GFP_TRANSHUGE_LIGHT\"}, "
	"{(unsigned long)((((( gfp_t)(0x400u|0x800u)) | (( gfp_t)0x40u) | (( gfp_t)0x80u) | (( gfp_t)0x100000u)) | (( gfp_t)0x02u)) | (( gfp_t)0x08u)), \"GFP_HIGHUSER_MOVABLE\"}, "
	"{(unsigned long)((( gfp_t)(0x400u|0x800u)) | (( gfp_t)0x40u) | (( gfp_t)0x80u)), \"GFP_KERNEL\"}, "
	"{(unsigned long)((( gfp_t)(0x400u|0x800u)) | (( gfp_t)0x40u)), \"GFP_NOFS\"}, "
	"{(unsigned long)(( gfp_t)0x20u), \"__GFP_HIGH\"}, "
	"{(unsigned long)(( gfp_t)0x100u), \"__GFP_ZERO\"}, "
	"{(unsigned long)(( gfp_t)0x100000u), \"__GFP_HARDWALL\"}) : \"none\"\n";

static const char format_6_1[] = HEAD
	"{( unsigned long)(((( gfp_t)(0x400u|0x800u)) | (( gfp_t)0x40u) | (( gfp_t)0x80u))), \"GFP_KERNEL\"}, "
	"{( unsigned long)(( gfp_t)0x100u), \"__GFP_ZERO\"}, "
	"{( unsigned long)(( gfp_t)0x1000000u), \"__GFP_SKIP_KASAN_UNPOISON\"}) : \"none\"\n";

/* clang-format on */

static void test_format(void **state)
{
	static const struct {
		const char *format;
		uint32_t gfp;
		const char *text;
	} cases[] = {
		{ format_5_10, 0xcc0, "0xcc0(GFP_KERNEL)" },
		{ format_5_10, 0x100cca, "0x100cca(GFP_HIGHUSER_MOVABLE)" },
		{ format_5_10, 0x100dca, "0x100dca(GFP_HIGHUSER_MOVABLE|__GFP_ZERO)" },
		{ format_5_10, 0xc40, "0xc40(GFP_NOFS)" },
		{ format_5_10, 0x40000cc0, "0x40000cc0(GFP_KERNEL|0x40000000)" },
		{ format_5_10, 0x1, "0x1(0x1)" },
		{ format_6_1, 0x1000cc0, "0x1000cc0(GFP_KERNEL|__GFP_SKIP_KASAN_UNPOISON)" },
		{ format_6_1, 0x100cca, "0x100cca(GFP_KERNEL|0x10000a)" },
		{ "", 0xcc0, "0xcc0" },
		{ HEAD, 0xcc0, "0xcc0" },
		{ HEAD "{(unsigned long)0x1u, \"cut", 0xcc0, "0xcc0" },
		{ HEAD "{(unsigned long)0x1u", 0xcc0, "0xcc0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gfp_names names;
		char text[256];

		memset(&names, 0x5a, sizeof(names));
		gfp_names_parse_format(cases[i].format, &names);
		gfp_format(&names, cases[i].gfp, text, sizeof(text));
		if (strcmp(text, cases[i].text) != 0)
			fail_msg("case %zu: %s, not %s", i, text, cases[i].text);
	}
}

/* A list without end, names without end: bounded. A buffer that is too small: cut. */
static void test_bounds(void **state)
{
	static char format[65536];
	struct gfp_names names;
	char small[8];
	size_t n = 0;

	(void)state;
	n += (size_t)snprintf(format, sizeof(format), "%s", HEAD);
	while (n < sizeof(format) - 128)
		n += (size_t)snprintf(format + n, sizeof(format) - n,
				      "{(unsigned long)0x%xu, \"%s\"}, ", 1U << n % 32,
				      n % 2 ? "__GFP_A_NAME_OF_MORE_THAN_THIRTY_ONE_BYTES"
					    : "__GFP_X");
	gfp_names_parse_format(format, &names);
	assert_int_equal(names.n, ARRAY_SIZE(names.flags));
	gfp_format(&names, UINT32_MAX, small, sizeof(small));
	assert_true(strlen(small) < sizeof(small));
}

static struct btf *make_btf(void)
{
	static const struct {
		const char *name;
		int bit;
	} bits[] = {
		{ "___GFP_DMA_BIT", 0 },
		{ "___GFP_HIGHMEM_BIT", 1 },
		{ "___GFP_DMA32_BIT", 2 },
		{ "___GFP_MOVABLE_BIT", 3 },
		{ "___GFP_RECLAIMABLE_BIT", 4 },
		{ "___GFP_HIGH_BIT", 5 },
		{ "___GFP_IO_BIT", 6 },
		{ "___GFP_FS_BIT", 7 },
		{ "___GFP_ZERO_BIT", 8 },
		{ "___GFP_DIRECT_RECLAIM_BIT", 10 },
		{ "___GFP_KSWAPD_RECLAIM_BIT", 11 },
		{ "___GFP_HARDWALL_BIT", 17 },
		{ "___GFP_LAST_BIT", 28 },
	};
	struct btf *btf = btf__new_empty();

	assert_non_null(btf);
	assert_true(btf__add_enum(btf, "unrelated", 4) > 0);
	assert_int_equal(btf__add_enum_value(btf, "___GFP_NOT_BIT", 3), 0);
	assert_true(btf__add_enum(btf, NULL, 4) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		assert_int_equal(btf__add_enum_value(btf, bits[i].name, bits[i].bit), 0);
	return btf;
}

static void read_names(const char *btf_path, int tracefs_fd, struct gfp_names *ret)
{
	struct hook_env env = { .tracefs_fd = tracefs_fd };

	(void)snprintf(env.btf_path, sizeof(env.btf_path), "%s", btf_path);
	gfp_names_read(&env, ret);
}

/* BTF first, and by its own positions: HARDWALL is bit 17 here. Without it the format, without both nothing. */
static void test_sources(void **state)
{
	struct btf *btf = make_btf();
	struct gfp_names names;
	char path[200], text[128];
	uint32_t size;
	const void *raw = btf__raw_data(btf, &size);
	struct scratch dir;
	int tracefs, fd;

	(void)state;
	scratch_init(&dir);
	assert_int_equal(mkdir(scratch_path(&dir, "kmem"), 0700), 0);
	assert_int_equal(mkdir(scratch_path(&dir, "kmem/mm_page_alloc"), 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/btf", dir.path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, raw, size) == (ssize_t)size);
	close(fd);
	scratch_write(&dir, "kmem/mm_page_alloc/format", format_5_10);
	tracefs = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	read_names(path, tracefs, &names);
	gfp_format(&names, 0x20cca, text, sizeof(text));
	assert_string_equal(text, "0x20cca(GFP_HIGHUSER_MOVABLE)");
	gfp_format(&names, 0x820, text, sizeof(text));
	assert_string_equal(text, "0x820(GFP_ATOMIC)");

	read_names("/nonexistent", tracefs, &names);
	gfp_format(&names, 0x100cca, text, sizeof(text));
	assert_string_equal(text, "0x100cca(GFP_HIGHUSER_MOVABLE)");

	read_names("/nonexistent", -1, &names);
	assert_int_equal(names.n, 0);
	close(tracefs);
	scratch_done(&dir);
	btf__free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
