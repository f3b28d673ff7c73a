/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/cleanup.h"

/*
 * Space on the device that open blocks are promised
 *
 * A request is answered when all of its blocks are written. If one of them found no room, those of the other nodes would be there already, and
 * the sender's repetition would come to these nodes twice (GW-RX-5). So a reservation is real: a file without a name holds as many blocks of the file
 * system as are promised to all queues. A write that finds no room cuts that much from it and is tried again. While there is room nothing is
 * written and nothing is asked of the kernel, but when more is promised than ever before.
 */
struct ballast;
int ballast_new(const char *directory, struct ballast **ret); /* made if it is missing; -errno */
struct ballast *ballast_free(struct ballast *b);
DEFINE_CLEANUP(struct ballast *, ballast_free);
/* False: the device has not so much. Where the file system cannot promise (fallocate), everything is promised. Any thread. */
bool ballast_reserve(struct ballast *b, uint64_t bytes);
void ballast_unreserve(struct ballast *b, uint64_t bytes);
/* For the write of @bytes that were promised and find no room. False: there is nothing to give. */
bool ballast_give(struct ballast *b, uint64_t bytes);
void ballast_tick(
	struct ballast *b); /* each second: gives back what has not been needed for a minute */
uint64_t ballast_size(struct ballast *b);
