/* SPDX-License-Identifier: Apache-2.0 */
/* The request behind the flags that reclaim of a memory cgroup shows; values of Debian's 6.1, seen with the kernel log beside them. */
#include "agent/oom/gfp.h"
#include "base/macro.h"
#include "test.h"

static const char format[] =
	"print fmt: __print_flags(REC->gfp_flags, \"|\", "
	"{(unsigned long)(((gfp_t)(0x400u|0x800u)) | ((gfp_t)0x40u) | ((gfp_t)0x80u) | ((gfp_t)0x100000u) | ((gfp_t)0x02u) | "
	"((gfp_t)0x08u)), \"GFP_HIGHUSER_MOVABLE\"}, "
	"{(unsigned long)(((gfp_t)(0x400u|0x800u)) | ((gfp_t)0x40u) | ((gfp_t)0x80u)), \"GFP_KERNEL\"}) : \"none\"\n";

static void test_request(void **state)
{
	static const struct {
		uint32_t reclaim, request;
	} cases[] = {
		{ 0x100cca, 0xcc0 }, /* a page fault: GFP_KERNEL */
		{ 0x100c4a, 0xc40 }, /* GFP_NOFS */
		{ 0x100ecaU | 0x1000, 0x1ec0 }, /* flags that steer reclaim stay */
		{ 0xcc0, 0xcc0 },
	};
	struct gfp_names names;

	(void)state;
	gfp_names_parse_format(format, &names);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(gfp_before_memcg_reclaim(&names, cases[i].reclaim),
				 cases[i].request);
}

static void test_without_names(void **state)
{
	const struct gfp_names none = { .n = 0 };

	(void)state;
	assert_int_equal(gfp_before_memcg_reclaim(&none, 0x100cca), 0x100cca);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_without_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
