/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot time to wall clock
 *
 * Kernel records carry CLOCK_BOOTTIME. The offset is taken between two reads of it; of five such sandwiches the tightest
 * wins, so a preempted read does no harm. A timerfd tells about steps of the wall clock at once.
 */

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "base/time.h"
#include "sys/clock.h"

#define READS 5

static int arm(struct clock_map *c)
{
	/* Far in the future: it never expires, only a step cancels it. */
	const struct itimerspec spec = { .it_value = { .tv_sec = 1LL << 40 } };

	if (timerfd_settime(c->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec, NULL) < 0)
		return -errno;
	return 0;
}

int clock_map_init(struct clock_map *c)
{
	int r;

	*c = (struct clock_map){ .fd = -EBADF };
	clock_map_renew(c);
	c->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->fd < 0)
		return -errno;
	r = arm(c);
	if (r < 0)
		clock_map_done(c);
	return r;
}

void clock_map_done(struct clock_map *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -EBADF;
}

void clock_map_renew(struct clock_map *c)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < READS; i++) {
		uint64_t before = time_boot_ns();
		uint64_t wall = time_wall_ns();
		uint64_t after = time_boot_ns();

		if (after - before >= best)
			continue;
		best = after - before;
		c->wall_minus_boot_ns = (int64_t)(wall - (before + best / 2));
	}
}

int clock_map_stepped(struct clock_map *c)
{
	uint64_t n;

	if (read(c->fd, &n, sizeof(n)) < 0 && errno == ECANCELED)
		c->steps++;
	clock_map_renew(c);
	return arm(c);
}

uint64_t clock_map_wall(const struct clock_map *c, uint64_t boot_ns)
{
	return boot_ns + (uint64_t)c->wall_minus_boot_ns;
}
