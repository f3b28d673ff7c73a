/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "sys/loop.h"

/*
 * Names of the host's users, read before they are asked for
 *
 * ROOTFS/etc/passwd is read at start and by a worker when it changed; at most USERS_MAX entries and USERS_BYTES_MAX bytes, the rest
 * has numbers only. Directory services are not asked: that could block. Users of containers have numbers only, too.
 */
#define USERS_MAX 8192
#define USERS_BYTES_MAX (1 << 20)
#define USERS_NAME 33 /* LOGIN_NAME_MAX of useradd(8), and the NUL */

struct user_entry {
	uint32_t uid, order; /* in the file */
	char name[USERS_NAME];
};

struct users;
/* @rootfs is copied. A file that cannot be read is no error: then nobody has a name. */
int users_new(struct workers *workers, const char *rootfs, struct users **ret);
struct users *users_free(struct users *u); /* after the workers are gone */
DEFINE_CLEANUP(struct users *, users_free);
void users_tick(struct users *u, uint64_t now_us);
/* Memory only. NULL when not known; valid until the loop's next turn. */
const char *users_name(const struct users *u, uint32_t uid);
/* The reading itself: text as of passwd(5), the first entry of a uid counts; at most @max. Returns how many. */
size_t users_parse(const char *text, struct user_entry *ret, size_t max);
