/* SPDX-License-Identifier: Apache-2.0 */
/* vm_clock [SECONDS]: steps the wall clock by so much, then prints by how many nanoseconds it is ahead of the time since boot. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NS_PER_SEC 1000000000LL
#define READS 9

static int64_t now(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0) {
		perror("vm_clock: clock_gettime");
		exit(1);
	}
	return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

/* Of several reads between two others the tightest: one that was interrupted says nothing. */
static int64_t wall_minus_boot(void)
{
	int64_t best = INT64_MAX, offset = 0;

	for (int i = 0; i < READS; i++) {
		int64_t before = now(CLOCK_BOOTTIME), wall = now(CLOCK_REALTIME),
			after = now(CLOCK_BOOTTIME);

		if (after - before >= best)
			continue;
		best = after - before;
		offset = wall - (before + best / 2);
	}
	return offset;
}

int main(int argc, char **argv)
{
	if (argc > 2)
		return 2;
	if (argc == 2) {
		int64_t at = now(CLOCK_REALTIME) + atoll(argv[1]) * NS_PER_SEC;
		struct timespec t = { .tv_sec = at / NS_PER_SEC, .tv_nsec = at % NS_PER_SEC };

		if (clock_settime(CLOCK_REALTIME, &t) < 0) {
			perror("vm_clock: clock_settime");
			return 1;
		}
	}
	printf("%lld\n", (long long)wall_minus_boot());
	return 0;
}
