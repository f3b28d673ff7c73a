/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

/* Maps CLOCK_BOOTTIME stamps of the kernel to wall clock. Renewed each second and at once on clock steps. */
struct clock_map {
	int64_t wall_minus_boot_ns;
	int fd; /* timerfd with TFD_TIMER_CANCEL_ON_SET: readable after a step */
	uint64_t steps;
};
int clock_map_init(struct clock_map *c);
void clock_map_done(struct clock_map *c);
void clock_map_renew(struct clock_map *c); /* tightest of 5 sandwiched reads */
int clock_map_stepped(struct clock_map *c); /* call when fd is readable; re-arms and renews */
uint64_t clock_map_wall(const struct clock_map *c, uint64_t boot_ns);
