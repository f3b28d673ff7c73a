/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stdlib.h>
#include "base/time.h"
#include "sys/clock.h"
#include "test.h"

/* The map agrees with the clocks themselves within what lies between two reads. */
static void test_map(void **state)
{
	struct clock_map c;
	uint64_t wall_before, boot, wall_after, mapped;

	assert_int_equal(clock_map_init(&c), 0);
	wall_before = time_wall_ns();
	boot = time_boot_ns();
	wall_after = time_wall_ns();
	mapped = clock_map_wall(&c, boot);
	assert_true(mapped + NS_PER_MSEC >= wall_before);
	assert_true(mapped <= wall_after + NS_PER_MSEC);
	clock_map_done(&c);
}

/* A stamp is mapped by the offset of its time: renewing changes no difference between stamps. */
static void test_arithmetic(void **state)
{
	struct clock_map c = { .wall_minus_boot_ns = 1000 };

	assert_int_equal(clock_map_wall(&c, 5), 1005);
	c.wall_minus_boot_ns = -3;
	assert_int_equal(clock_map_wall(&c, 5), 2);
}

/* Without a step the descriptor stays quiet, also after it was armed again. */
static void test_quiet(void **state)
{
	struct clock_map c;
	struct pollfd p;

	assert_int_equal(clock_map_init(&c), 0);
	p = (struct pollfd){ .fd = c.fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(clock_map_stepped(&c), 0);
	assert_int_equal(c.steps, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	clock_map_done(&c);
	clock_map_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
